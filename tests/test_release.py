"""Release: only what passed leaves, whole, and what was changed on the way is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genba.envs.errors import BadInput, Refused, UnknownName
from genba.envs.files import atomic_write_bytes, atomic_write_text, plain_json
from genba.envs.task import get_task
from genba.policies.card import refuse_claims
from genba.policies.contract import contract_of
from genba.policies.load import load_for_check, load_policy
from genba.policies.manifest import verify_manifest, write_manifest
from genba.policies.onnx_policy import OnnxPolicy
from genba.policies.release import release
from genba.policies.run_release import run
from genba.policies.runtime import Runtime
from genba.policies.watch import Watched, read_watched
from genba.safety.campaign import check
from genba.safety.constraints import Constraint, Source
from genba.safety.evidence import expected_columns, read_evidence, rows_sha256, shard_path
from genba.safety.replay import replay
from genba.safety.shards import write_shard
from genba.tests.release_kit import TASK, easy_suite, make_check, make_run, onnx_bytes

Row = dict[str, Any]


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose check says PASS."""
    folder = make_run(tmp_path_factory.mktemp("runs") / TASK / "still")
    assert make_check(folder).passed
    return folder


@pytest.fixture(scope="module")
def made(passed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release(passed, tmp_path_factory.mktemp("releases")).folder


@pytest.fixture
def copied(passed: Path, tmp_path: Path) -> Path:
    """The run that passed, to be spoilt."""
    return Path(shutil.copytree(passed, tmp_path / "run"))


@pytest.fixture
def taken(made: Path, tmp_path: Path) -> Path:
    """The release, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / made.name))


def test_a_release_holds_what_a_robot_and_a_reviewer_need(made: Path, passed: Path) -> None:
    names = {path.name for path in made.iterdir()}
    assert names == {
        "policy.onnx", "contract.json", "monitor.json", "evidence", "report.html", "card.md", "MANIFEST.sha256",
    }  # fmt: skip
    assert made.name == f"{TASK}-{OnnxPolicy(made / 'policy.onnx').sha256[:6]}"
    assert (made / "policy.onnx").read_bytes() == (passed / "policy.onnx").read_bytes()
    assert read_evidence(made / "evidence").sha256 == read_evidence(passed / "checks" / "01").sha256
    assert verify_manifest(made) == 8 + len(list((made / "evidence" / "shards").iterdir()))
    assert json.loads((made / "contract.json").read_bytes()) == json.loads(
        contract_of(get_task(TASK)).to_bytes()
    )
    assert not [path for path in made.parent.iterdir() if path != made], "no draft stays behind"


def test_the_same_release_twice_is_one(made: Path, passed: Path) -> None:
    before = (made / "MANIFEST.sha256").read_bytes()
    assert release(passed, made.parent).folder == made
    assert (made / "MANIFEST.sha256").read_bytes() == before


def test_the_card_says_what_was_not_shown_and_claims_nothing(made: Path, passed: Path) -> None:
    card = (made / "card.md").read_text(encoding="utf-8")
    evidence = read_evidence(passed / "checks" / "01")
    for part in (
        evidence.sha256,
        evidence.plan.sha256,
        "separation: not assessed",
        "NOT as shipped",
        "the gap between",
    ):
        assert part in card
    assert str(made.parent) not in card, "no path of this machine"
    refuse_claims(card)
    refuse_claims((made / "report.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "claim",
    [
        "ISO 10218 compliant", "this is ISO/TS 15066 compliant", "TS 15066 compliance", "Certified", "reaches PL d", "SIL 2",
        "EU AI Act compliant", "AISI approved", "Safe for use near people", "OECD compliant",
    ],
)  # fmt: skip
def test_no_card_may_claim(claim: str) -> None:
    with pytest.raises(ValueError, match="may not claim"):
        refuse_claims(f"In short: {claim}.")


def refused(run: Path, out: Path) -> str:
    with pytest.raises(Refused) as caught:
        release(run, out)
    assert caught.value.exit_code == 1 and "\n" not in str(caught.value)
    assert not out.exists() or not list(out.iterdir())
    return str(caught.value)


def test_nothing_leaves_without_a_whole_check(copied: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shard_path(copied / "checks" / "01", 2).unlink()
    assert "missing from shards/00002" in refused(copied, out)
    shutil.rmtree(copied / "checks")
    assert "holds no check" in refused(copied, out)
    with pytest.raises(BadInput, match="no such folder"):
        release(tmp_path / "nowhere", out)


def test_a_stored_pass_is_not_believed(copied: Path, tmp_path: Path) -> None:
    """A check that fails, with a conclusion that says PASS."""
    folder = make_run(tmp_path / "fast", action=(1.0, 1.0, 1.0, 1.0, 1.0))
    failed = make_check(folder)
    assert failed.verdict.word == "FAIL"
    atomic_write_text(
        failed.folder / "check.json", plain_json({**failed.as_json(), "verdict": "PASS", "reasons": []})
    )
    message = refused(folder, tmp_path / "out")
    assert "no release without PASS" in message and "says FAIL: " in message


@pytest.mark.parametrize("kind", ["scripted", "random", "zero", "callable"])
def test_only_files_are_released(kind: str, copied: Path, tmp_path: Path) -> None:
    plan = read_evidence(copied / "checks" / "01").plan
    other = plan.model_copy(update={"policy": plan.policy.model_copy(update={"kind": kind})})
    rewrite(copied / "checks" / "01", other.to_bytes(), other.sha256)
    assert f"kind '{kind}' can be checked, never released" in refused(copied, tmp_path / "out")


def rewrite(check: Path, plan: bytes, plan_sha256: str, change: Callable[[Row], Row] | None = None) -> None:
    """Forge a check from end to end: plan, rows and every hash."""
    evidence = read_evidence(check)
    rows = [change(row) if change else row for row in evidence.rows()]
    (check / "check.json").unlink()
    atomic_write_bytes(check / "plan.json", plan)
    atomic_write_text(check / "plan.sha256", plan_sha256)
    for number in range(evidence.plan.shards):
        part = [rows[index] for index in evidence.plan.shard(number)]
        hashes = {"plan_sha256": plan_sha256, "rows_sha256": rows_sha256(part)}
        write_shard(shard_path(check, number), part, expected_columns(evidence.plan), hashes)


def test_evidence_forged_from_end_to_end_does_not_survive_a_replay(copied: Path, tmp_path: Path) -> None:
    plan = read_evidence(copied / "checks" / "01").plan
    rewrite(
        copied / "checks" / "01",
        plan.to_bytes(),
        plan.sha256,
        lambda row: {**row, "success": True, "reason": "success"},
    )
    assert "played again gives another result" in refused(copied, tmp_path / "out")


def test_one_byte_of_the_policy_changed_after_the_check(copied: Path, tmp_path: Path) -> None:
    path = copied / "policy.onnx"
    data = bytearray(path.read_bytes())
    data[data.index(np.float32(-1.0).tobytes())] ^= 1
    path.write_bytes(data)
    assert "is not the file that was judged" in refused(copied, tmp_path / "out")
    path.unlink()
    assert "is missing" in refused(copied, tmp_path / "out")


def test_a_contract_of_another_rate(copied: Path, tmp_path: Path) -> None:
    contract = contract_of(get_task(TASK)).model_copy(update={"control_hz": 20})
    (copied / "contract.json").write_bytes(contract.to_bytes())
    assert "control_hz: 20, expected 50" in refused(copied, tmp_path / "out")


@pytest.mark.parametrize(
    ("action", "scale", "message"),
    [
        ((0.0, 0.0, 0.0, 0.0, -3.0), 1.0, "outside [-1, 1]"),
        ((0.0, 0.0, 0.0, 0.0, -0.5), 2.0, "not what contract.json makes of"),
    ],
)
def test_outputs_must_be_what_the_contract_says(
    tmp_path: Path, action: tuple[float, ...], scale: float, message: str
) -> None:
    folder = make_run(tmp_path / "run")
    atomic_write_bytes(folder / "policy.onnx", onnx_bytes(contract_of(get_task(TASK)), action, scale))
    assert make_check(folder).passed
    assert message in refused(folder, tmp_path / "out")


def test_a_changed_release_does_not_open(taken: Path) -> None:
    card = taken / "card.md"
    text = card.read_text(encoding="utf-8")
    card.write_text(text + "certified", encoding="utf-8")
    with pytest.raises(Refused, match=r"card.md: was changed"):
        Runtime(taken)
    card.write_text(text, encoding="utf-8")
    (taken / "more.txt").write_text("")
    with pytest.raises(Refused, match=r"more.txt: was added"):
        Runtime(taken)
    (taken / "more.txt").unlink()
    (taken / "link").symlink_to(card)
    with pytest.raises(Refused, match=r"link: is a link"):
        Runtime(taken)
    (taken / "link").unlink()
    shard_path(taken / "evidence", 0).unlink()
    with pytest.raises(Refused, match=r"00000.parquet: is missing"):
        Runtime(taken)
    (taken / "MANIFEST.sha256").write_text("junk")
    with pytest.raises(Refused, match="is damaged"):
        Runtime(taken)
    (taken / "MANIFEST.sha256").unlink()
    with pytest.raises(BadInput, match="no release here"):
        Runtime(taken)


def test_the_runtime_acts_as_the_judged_file_did(made: Path, passed: Path) -> None:
    runtime, judged = Runtime(made), load_policy(str(passed))
    observation = (
        np.random.default_rng(1).standard_normal((5, len(runtime.contract.observation))).astype(np.float32)
    )
    rows = np.zeros(5, np.int64)
    assert (runtime.act(observation, rows, rows) == judged.act(observation, rows, rows)).all()
    scale = np.array([each.scale for each in runtime.contract.action], np.float32)
    one = runtime.command(np.zeros(observation.shape[1]))
    assert one.shape == (5,) and (one == scale * [0, 0, 0, 0, -1]).all()
    assert (runtime.hold([0.3, 0.1, 0.0, 2.0, 1.0]) == [0, 0, 0, 0, 1.0]).all(), "the vacuum stays on"


def test_the_runtime_refuses_what_its_contract_does_not_hold(made: Path) -> None:
    runtime = Runtime(made)
    columns = len(runtime.contract.observation)
    with pytest.raises(BadInput, match=rf"expected {columns} columns, found shape \(3,\)"):
        runtime.command([0.0, 0.0, 0.0])
    for bad in (np.nan, np.inf, 1e6):
        with pytest.raises(BadInput, match="observation tcp.y: expected -"):
            runtime.command([0.0, bad] + [0.0] * (columns - 2))


def test_the_guard_stops_and_says_what_it_cannot_watch(made: Path) -> None:
    runtime = Runtime(made)
    guard = runtime.guard(available=["tcp.speed", "workspace.margin"])
    monitored = set(guard.monitor.ids)
    assert monitored == {"tcp-speed", "workspace"}, "the cell's speed limit is a constant in monitor.json"
    assert {name for name, _ in guard.not_monitored} == {
        each.id for each in runtime.watched.constraints
    } - monitored
    limit = runtime.watched.constants["tcp.speed.limit"]
    fine = guard.tick({"tcp.speed": 0.5 * limit, "workspace.margin": 0.1})
    assert not fine.stop and fine.margins["tcp-speed"] == pytest.approx(0.5 * limit)
    fast = guard.tick({"tcp.speed": 1.1 * limit, "workspace.margin": 0.1})
    assert fast.stop and fast.broken == ("tcp-speed",)
    assert guard.tick({"tcp.speed": 0.0, "workspace.margin": 0.1}).stop, "a stop lasts"
    guard.restart()
    assert not guard.tick({"tcp.speed": 0.0, "workspace.margin": 0.1}).stop
    assert guard.tick({"tcp.speed": 0.0}).broken == ("workspace",), "a signal that is silent stops the robot"
    with pytest.raises(UnknownName, match="unknown signal 'tcp.sped'. Did you mean tcp.speed"):
        runtime.guard(available=["tcp.sped"])


def test_run_plays_a_release_with_its_monitor(made: Path, tmp_path: Path) -> None:
    result = run(made, episodes=3, seed=1, video=tmp_path / "out.webm")
    found = result.as_json()
    assert (found["episodes"], found["success"], found["stops"]) == (3, 0.0, 0)
    assert (tmp_path / "out.webm").stat().st_size > 1000
    seeds = {row["seed"] for row in result.rows}
    assert len(seeds) == 3 and max(seeds) < 3_000_000_000, "never a judged seed"
    assert seeds.isdisjoint(row["seed"] for row in run(made, episodes=3, seed=2).rows)
    with pytest.raises(BadInput, match="seed of 0 to 499"):
        run(made, seed=500)


def test_run_counts_what_the_monitor_stops(taken: Path) -> None:
    watched = read_watched(taken / "monitor.json")
    source = Source("a test", "time", "cell_spec")
    early = Constraint("early", {"en": "Ends within a second"}, "always (episode.time <= 1 s)", source, True)
    table = get_task(TASK).table
    signals = {**watched.signals, "episode.time": table["episode.time"]}
    tighter = Watched((early,), signals, watched.constants, watched.rate_hz)
    (taken / "monitor.json").write_bytes(tighter.to_bytes())
    write_manifest(taken)
    result = run(taken, episodes=2)
    assert result.as_json()["stops"] == 2 and result.success == 0
    assert [row["time_s"] for row in result.stops] == pytest.approx([1.02, 1.02])
    assert result.as_json()["stopped_by"][0]["constraint"] == ["early"]


def test_a_release_is_checked_and_replayed_without_being_touched(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path / "releases" / made.name)
    home = Path("releases") / made.name
    loaded = load_policy(str(home))
    assert loaded.folder == Path("runs") / TASK / made.name
    assert (
        check(loaded, suite=easy_suite(), seed=5).evidence.sha256 == read_evidence(home / "evidence").sha256
    )
    assert replay(home, 1, load_for_check(str(home))).equal
    assert replay(loaded.folder, 1, load_for_check(str(loaded.folder))).equal
    verify_manifest(home)


def test_run_refuses_a_release_for_another_cell(taken: Path) -> None:
    contract = contract_of(get_task(TASK)).model_copy(update={"physics_hz": 250})
    (taken / "contract.json").write_bytes(contract.to_bytes())
    write_manifest(taken)
    with pytest.raises(BadInput, match="physics_hz: 250, expected 500"):
        run(taken)


def test_an_onnx_of_another_shape_says_expected_and_found(tmp_path: Path) -> None:
    contract = contract_of(get_task(TASK))
    narrow = contract.model_copy(update={"observation": contract.observation[:4]})
    path = tmp_path / "policy.onnx"
    path.write_bytes(onnx_bytes(narrow))
    with pytest.raises(
        BadInput, match=r"input 'observation': expected float32 \(n, 38\), found float \(n, 4\)"
    ):
        OnnxPolicy(path, columns=38)
    with pytest.raises(BadInput, match=r"output 'action': expected float32 \(n, 7\), found float \(n, 5\)"):
        OnnxPolicy(path, columns=4, channels=7)
    path.write_bytes(b"not a model")
    with pytest.raises(BadInput, match="not an ONNX model"):
        OnnxPolicy(path)
    with pytest.raises(BadInput, match="no such file"):
        OnnxPolicy(tmp_path / "nowhere.onnx")
