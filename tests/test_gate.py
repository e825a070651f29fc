"""The gate's own benchmark: planted defects do what they say and nothing else, broken gates are noticed, lies are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import genba
from genba.envs.errors import UnknownName
from genba.envs.files import asset
from genba.envs.task import get_task
from genba.envs.worlds import Worlds
from genba.policies import bench_gate
from genba.policies.gate_artefacts import ARTEFACTS, Artefact, refused
from genba.policies.gate_clean import CHANGES
from genba.policies.gate_defects import CELLS, DEFECTS, Defect
from genba.policies.gate_page import GateResult, page
from genba.policies.gate_plants import NAMES
from genba.policies.gate_run import apply_gate, lost, name_of, simpler_gates
from genba.policies.gate_surgery import Surgery
from genba.policies.load import load_policy
from genba.policies.onnx_policy import OnnxPolicy
from genba.policies.runs import POLICY
from genba.safety import mutants, selftest
from genba.safety.campaign import make_plan
from genba.safety.evidence import Evidence, expected_columns
from genba.safety.report_scan import own_rate
from genba.safety.suite import load_suite
from genba.safety.words import languages, load_words

Rows = NDArray[np.float32]
CELL = "conveyor-sort"
ASKED = {
    "skips-substeps": "every-substep",
    "loosened": "the-limit",
    "flipped": "the-limit",
    "idle-disturbance": "disturbances-act",
    "drops-nan": "no-number",
    "ninety-percent": "confidence",
    "peeks": "no-peeking",
    "one-seed": "fresh-seeds",
    "counts-idle-clamps": "clamps-act",
    "blunt-hash": "the-last-bit",
}


def base(cell: str) -> bytes:
    return asset("policies", cell, POLICY).read_bytes()


def acts(data: bytes, folder: Path, observation: Rows) -> Rows:
    path = folder / POLICY
    path.write_bytes(data)
    none = np.zeros(len(observation), np.int64)
    return OnnxPolicy(path).act(observation, none, none)


def observations(cell: str, count: int = 4000) -> Rows:
    """Observations spread as those that the policy was made for."""
    import onnx
    from onnx import numpy_helper

    found = {
        each.name.split(".")[-1]: each for each in onnx.load_model_from_string(base(cell)).graph.initializer
    }
    mean, scale = (numpy_helper.to_array(found[name]) for name in ("mean", "scale"))
    draws = np.random.default_rng(0).standard_normal((count, len(mean)))
    return np.asarray(mean + draws / scale, np.float32)


def met(cell: str) -> Rows:
    """Observations that the expert meets, whose columns about one thing agree."""
    task, n = get_task(cell), 16
    worlds = Worlds(task, n, 2)
    worlds.reset(np.arange(n), np.arange(n))
    seen = [worlds.observation()]
    for _ in range(120):
        worlds.step(task.expert(seen[-1]))
        seen.append(worlds.observation())
    return np.concatenate(seen)


CASES = [
    pytest.param(defect, cell, id=f"{cell}-{defect.id}")
    for defect in DEFECTS
    for cell in defect.cells
    if defect.plant is not None
]


@pytest.mark.quick_for("conveyor-sort")
@pytest.mark.parametrize("defect, cell", CASES)
def test_each_defect_can_be_planted_and_grows_with_its_level(
    defect: Defect, cell: str, tmp_path: Path
) -> None:
    task = get_task(cell)
    seen = (
        met(cell) if defect.id == "too-low" else observations(cell)
    )  # random rows are off by more than any shift
    before = acts(base(cell), tmp_path, seen)
    changed = []
    for level in defect.levels:
        surgery = Surgery(base(cell), task.columns, task.action_names)
        assert defect.plant is not None
        defect.plant(surgery, NAMES[cell], cell, level)
        after = acts(surgery.finish(), tmp_path, seen)
        assert after.shape == before.shape
        assert np.nanmax(np.abs(after)) <= 1.0
        assert np.isfinite(after).all() or defect.id == "no-number"
        changed.append(np.nan_to_num(np.abs(after - before), nan=2.0).mean())
    if defect.id not in (
        "drift-after-goal",
        "sinks-after-goal",
        "presses-on",
    ):  # after a goal, which random rows hardly meet
        assert changed[2] > 0.0
        assert (
            changed[2] >= changed[0] or defect.id == "too-low"
        )  # a shift soon leaves what fine columns show


def test_an_untouched_policy_acts_as_before_to_the_bit(tmp_path: Path) -> None:
    task, seen = get_task(CELL), observations(CELL, 64)
    after = acts(Surgery(base(CELL), task.columns, task.action_names).finish(), tmp_path, seen)
    assert (after == acts(base(CELL), tmp_path, seen)).all()


def test_the_time_bomb_waits(tmp_path: Path) -> None:
    task = get_task(CELL)
    defect = next(each for each in DEFECTS if each.id == "time-bomb")
    policy = bench_gate.planted(defect, task, 0.5, base(CELL), tmp_path)
    seen, ticks = observations(CELL, 2), round(0.5 * task.horizon_s * task.control_hz)
    answer = policy.act(seen, np.zeros(2, np.int64), np.array([ticks - 1, ticks]))
    plain = load_policy(str(tmp_path / POLICY), CELL).act(seen, np.zeros(2, np.int64), np.zeros(2, np.int64))
    assert (answer[0] == plain[0]).all()
    assert answer[1, :3].tolist() == [0.0, 1.0, -1.0]


@pytest.mark.parametrize("name", CHANGES)
def test_a_clean_policy_differs_a_little(name: str, tmp_path: Path) -> None:
    task, seen = get_task(CELL), observations(CELL, 500)
    difference = np.abs(
        acts(CHANGES[name](base(CELL), task), tmp_path, seen) - acts(base(CELL), tmp_path, seen)
    )
    assert float(np.median(difference)) < 0.05
    assert difference.max() > 0.0 or name == "as-released"


def test_the_self_test_is_green() -> None:
    answers = selftest.selftest()
    assert len(answers) == 9
    assert [answer.id for answer in answers if not answer.ok] == []


@pytest.mark.parametrize("name", mutants.MUTANTS)
def test_a_broken_gate_is_noticed(name: str) -> None:
    ask = selftest.QUESTIONS[ASKED[name]]
    with mutants.MUTANTS[name]():
        assert not ask()
    if ASKED[name] != "disturbances-act":  # which takes a second, and is asked above
        assert ask()


@pytest.mark.parametrize("name", ARTEFACTS)
def test_an_artefact_that_lies_is_refused_in_a_line(name: str, tmp_path: Path) -> None:
    said = refused(name, Artefact(tmp_path / "artefact", asset("policies", CELL), CELL))
    assert said and "\n" not in said


@pytest.mark.long
def test_an_honest_artefact_is_released(tmp_path: Path) -> None:
    assert refused("honest", Artefact(tmp_path / "artefact", asset("policies", CELL), CELL)) == ""


@pytest.mark.parametrize(
    "reason, name",
    [
        ("workspace: violated in 9 of 90 episodes", "workspace"),
        ("scan: keep-out: violated in 3 of 24 episodes that were watched on", "keep-out"),
        ("scan: a hole in the range of starts: 24 of 24", "hole"),
        ("scan: no finite number as an action where tcp.x is 1", "no-number"),
        ("scan: the robot does not come to rest: it was", "restless"),
        ("scan: what was done does not stay done: in 5 of", "not-kept"),
        ("scan: asked about one observation it answers otherwise", "alone"),
        ("scan: 3 of 8 episodes came out differently", "unrepeatable"),
        ("success nominal: 3 of 231 episodes", "success"),
        ("simulator fault in 64 episodes (nominal: 3)", "fault"),
        ("", ""),
    ],
)
def test_what_a_reason_is_about(reason: str, name: str) -> None:
    assert name_of(reason) == name


def evidence(broken: int, failed: int, n: int) -> Evidence:
    """The first `n` episodes of a plan; the first ones broke the workspace, or failed."""
    policy, task, suite = load_policy("zero", CELL), get_task(CELL), load_suite(CELL)
    plan = make_plan(policy, task, suite, suite.bind(task), 1)
    episodes = [plan.episode(i) for i in range(n)]
    columns: dict[str, NDArray[Any]] = {name: np.ones(n) for name in expected_columns(plan)}
    columns |= {
        "condition": np.array([each.condition for each in episodes]),
        "success": np.arange(n) >= failed,
        "reason": np.array(["success"] * n),
        "margin.workspace": np.where(np.arange(n) < broken, -1.0, 1.0),
    }
    return Evidence(Path(), plan, columns)


def test_it_is_lost_only_when_nothing_that_remains_can_avert_it() -> None:
    assert lost(evidence(0, 0, 200)) == ()
    assert lost(evidence(20, 0, 200)) == ()  # 20 of 3,003 would still be within 1 %
    assert lost(evidence(80, 0, 200))[0].startswith("workspace")
    assert lost(evidence(0, 13 * 40, 600))[0].startswith("success")


def test_a_policy_that_does_nothing_is_caught_early(tmp_path: Path) -> None:
    policy, task, suite = load_policy("zero", CELL), get_task(CELL), load_suite(CELL)
    few = suite.model_copy(update={"episodes_per_condition": 10})
    judged = apply_gate(policy, task, few, 1)
    assert judged.word == "FAIL" and {"success", "lost"} & set(judged.named)
    assert judged.episodes < 10 * len(few.conditions)


@pytest.mark.long
def test_simpler_gates_catch_a_policy_that_does_nothing() -> None:
    policy, task, suite = load_policy("zero", CELL), get_task(CELL), load_suite(CELL)
    assert simpler_gates(policy, task, suite, 1) == {"success": True, "control-rate": True}


def canned(job: bench_gate.Job) -> dict[str, Any]:
    run = {"seconds": 2.0, "steps": 1000, "episodes": 64}
    if job.kind == "self-test":
        return {"wrong": []}
    if job.kind == "mutant":
        return {"red": ["the-limit"]}
    if job.kind == "artefact":
        return {"refused": job.id != "honest", "says": "no"}
    if job.kind == "certificate":
        good = job.id != "pruned"
        return {
            "clean": good,
            "episodes": 520,
            "broken": {"workspace": 0 if good else 9},
            "success": {"0": 1.0},
        }
    if job.kind == "clean":
        bad = job.id == "gentler"
        word = "FAIL" if bad else "PASS"
        return {
            **run,
            "verdict": word,
            "caught": bad,
            "right": False,
            "reasons": [],
        }
    caught = job.id != "coarse"
    others = {"success": job.id == "slow", "control-rate": job.id in ("slow", "cuts-corner")}
    return {**run, "verdict": "FAIL" if caught else "PASS", "caught": caught, "right": caught,
            "reasons": ["success"] if caught else [], "others": others}  # fmt: skip


def test_a_benchmark_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[Any] = []

    def find_out(self: Any, job: bench_gate.Job) -> dict[str, Any]:
        asked.append(job.key)
        if len(asked) == 30:
            raise KeyboardInterrupt
        return canned(job)

    monkeypatch.setattr(bench_gate.Bench, "find_out", find_out)
    with pytest.raises(KeyboardInterrupt):
        bench_gate.bench_gate(tmp_path / "docs", quick=True, threads=1)
    kept = bench_gate.FOLDER / "seed-0" / bench_gate.RESULTS
    with kept.open("a") as file:
        file.write('\n{"head": "cut sho')  # power loss
    before = len(asked)
    result = bench_gate.bench_gate(tmp_path / "docs", quick=True, threads=1)
    assert len(asked) == len(set(asked)) + 1  # only the one that was interrupted was asked twice
    assert asked[before] == asked[29]
    check_result(result)
    bench_gate.bench_gate(tmp_path / "docs", quick=True, threads=1)
    assert len(asked) == len(set(asked)) + 1


def test_detection_alone_can_be_measured_on_the_policies_of_one_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench_gate.Bench, "find_out", lambda self, job: canned(job))
    result = bench_gate.bench_gate(tmp_path, ["kit-pick"], quick=True, clean=False, threads=1)
    assert result.page.name == "gate-benchmark-kit-pick.md"
    assert {key[2] for key, _ in result.of("defect")} == {"kit-pick"} and not result.of("clean")
    assert result.as_json()["genba"]["false_alarm"]["n"] == 0
    text = result.page.read_text()
    assert "`genba bench gate kit-pick --quick`: middle severity, no clean policies" in text
    assert "## Clean policies" not in text
    with pytest.raises(UnknownName, match="palletize"):
        bench_gate.bench_gate(tmp_path, ["palletize"])


def check_result(result: GateResult) -> None:
    whole = json.loads(json.dumps(result.as_json()))
    defects = len([each for each in DEFECTS if CELL in each.cells])
    detection = whole["genba"]["detection"]
    assert (detection["count"], detection["n"]) == (defects - 1, defects)
    assert 0.75 < detection["lower95"] < detection["rate"]
    assert whole["genba"]["right_reason"]["rate"] == 1.0
    alarms = whole["genba"]["false_alarm"]
    assert (alarms["count"], alarms["n"], alarms["policies"]) == (1, 9, 9)  # one of ten was not certified
    assert 0.3 < alarms["upper95"] < 0.5
    assert whole["baselines"]["success"]["detection"]["count"] == 1
    assert whole["baselines"]["control-rate"]["detection"]["count"] == 2
    assert all(each["red"] for each in whole["mutants"]) and len(whole["mutants"]) == 10
    assert {"id", "defect", "severity", "caught", "reasons", "seconds"} <= set(whole["policies"][0])
    assert result.exit_code == 0
    text = page(result)
    assert "**Missed:** coarse (conveyor-sort, middle)." in text
    assert "| pruned | conveyor-sort | no (workspace 9" in text
    assert result.page.read_text() == text


def test_there_are_as_many_defects_as_are_promised() -> None:
    planted = [each for each in DEFECTS if set(each.cells) & set(CELLS)]
    assert len(planted) >= 20 and len({each.id for each in planted}) == len(planted)
    assert len(ARTEFACTS) >= 6 and len(mutants.MUTANTS) >= 8
    assert all(len(each.levels) == 3 and each.right for each in planted)
    full = [job for job in bench_gate.jobs_of(CELLS, False) if job.kind == "clean"]
    assert len(full) == 60 and len({(job.id, job.cell) for job in full}) == 20


def test_the_rate_that_reports_name_is_the_one_that_was_measured() -> None:
    """`assets/gate.json` is what `genba bench gate` wrote beside its page; a report's scan says it."""
    root = Path(genba.__file__).parent
    measured = asset("gate.json").read_bytes()
    assert measured == (root / "docs" / "gate-benchmark.json").read_bytes()
    middle = json.loads(measured)["defects"]["middle"]
    page = (root / "docs" / "gate-benchmark.md").read_text(encoding="utf-8")
    assert f"| Genba | {middle['caught']} of {middle['n']} (" in page
    for language in languages():
        said = own_rate(load_words(language))
        assert all(f"{middle[name]}" in said for name in ("n", "caught", "by_scan"))


@pytest.mark.long
def test_the_quick_benchmark_meets_its_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    whole = bench_gate.bench_gate(tmp_path, quick=True).as_json()
    assert whole["genba"]["detection"]["rate"] >= 0.95 and whole["genba"]["detection"]["n"] >= 20
    assert whole["genba"]["right_reason"]["rate"] >= 0.9
    assert whole["genba"]["false_alarm"]["n"] == 10 and not whole["genba"]["false_alarm"]["count"]
    assert whole["self_test"] and all(each["red"] for each in whole["mutants"])
    assert all(each["refused"] == (each["id"] != "honest") for each in whole["artefacts"])
