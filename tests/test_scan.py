"""The scan: what it finds that is there, what it does not find that is not, and what that does to a verdict."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.errors import BadInput
from genba.envs.files import canonical_json
from genba.envs.streams import Streams
from genba.envs.task import get_task
from genba.policies.load import LoadedPolicy, load_policy
from genba.safety.campaign import check, make_plan
from genba.safety.episodes import Row
from genba.safety.evidence import Tampered
from genba.safety.plan import Episode, Plan
from genba.safety.report_scan import scan_lines, scan_reasons, scan_warnings
from genba.safety.result import read_check
from genba.safety.scan import long_runs
from genba.safety.scan_files import FILE, WALK_RUNS, Hole, Inputs, Long, Scan, Walks, read_scan, write_scan
from genba.safety.scan_holes import HALF_WIDTH, Rules, Suspect, holes
from genba.safety.scan_inputs import apart, swept
from genba.safety.scan_walks import PACE, Walker, walked
from genba.safety.suite import Suite, load_suite
from genba.safety.words import languages, load_words

Rows = NDArray[np.float32]
TASK = "conveyor-sort"
RULES = Rules(("limit",), True)
NAMES = ("a", "b.x", "b.y")
TERMS = (slice(0, 1), slice(1, 3))


@dataclass(frozen=True)
class Function:
    """A policy that is a function of one observation row."""

    answer: Callable[[Rows], Rows]
    kind: str = "onnx"
    name: str = "function"
    sha256: str = "0" * 64

    def act(self, observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
        return self.answer(observation)


def met() -> Rows:
    return np.random.default_rng(0).uniform(-1.0, 1.0, (200, 3)).astype(np.float32)


def smooth(rows: Rows) -> Rows:
    return np.asarray(np.tanh(200.0 * rows[:, :1] + rows[:, 1:2]))


def test_a_steep_network_neither_jumps_nor_lacks_a_number() -> None:
    found = swept(Function(smooth), met(), NAMES, TERMS)
    assert (found.no_number, found.jumps) == ({}, {})
    assert found.asked > 3 * 8 * 257


@pytest.mark.parametrize("half", [0.005, 0.0003])
def test_an_answer_that_is_no_number_is_found_in_a_narrow_band(half: float) -> None:
    def banded(rows: Rows) -> Rows:
        return np.where(np.abs(rows[:, 1:2] - 0.3) < half, np.nan, smooth(rows))

    found = swept(Function(banded), met(), NAMES, TERMS)
    assert abs(found.no_number["b.x"] - 0.3) < half
    assert "a" not in found.no_number and "b.y" not in found.no_number


def test_a_lost_reading_must_be_answered_with_a_number() -> None:
    def scaled(rows: Rows) -> Rows:
        with np.errstate(invalid="ignore", divide="ignore"):
            length = np.sqrt((rows[:, 1:3] ** 2).sum(axis=1, keepdims=True))
            return np.asarray(smooth(rows) * (length / length))

    assert swept(Function(scaled), met(), NAMES, TERMS).no_number == {"every reading": 0.0, "b": 0.0}


def test_what_hangs_on_how_many_are_asked_about_is_found_in_a_network() -> None:
    def lonely(rows: Rows) -> Rows:
        return np.asarray(np.sign(smooth(rows)) if len(rows) == 1 else smooth(rows))

    def first(rows: Rows) -> Rows:
        return np.asarray(smooth(rows) + 0.1 * (np.arange(len(rows))[:, None] == 0))

    def choosy(rows: Rows) -> Rows:
        if len(rows) == 7:
            raise BadInput("not seven")
        return smooth(rows)

    for answer, least in ((lonely, 0.2), (first, 0.05), (choosy, 1.9)):
        assert swept(Function(answer), met(), NAMES, TERMS).alone > least
    assert swept(Function(smooth), met(), NAMES, TERMS).alone == 0.0
    assert swept(Function(lonely, "callable"), met(), NAMES, TERMS).alone == 0.0


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("company", [1, 2, 7, 200])
def test_an_answer_that_is_no_number_in_some_company_only_is_found(wrong: float, company: int) -> None:
    """Alone, as a robot asks, or among all that was met."""

    def lonely(rows: Rows) -> Rows:
        answer = smooth(rows)
        return (
            np.where(np.arange(len(rows))[:, None] == len(rows) - 1, wrong, answer)
            if len(rows) == company
            else answer
        )

    assert apart(Function(lonely), met()) == 2.0


@pytest.mark.parametrize("kind", ["onnx", "callable"])
def test_a_branch_over_two_columns_is_found_in_a_network_only(kind: str) -> None:
    def secret(rows: Rows) -> Rows:
        near = np.hypot(rows[:, 1] + 0.4, rows[:, 2] - 0.2) < 0.1
        return np.where(near[:, None], -0.9, 0.9 * np.ones((len(rows), 1))).astype(np.float32)

    found = swept(Function(secret, kind), met(), NAMES, TERMS)
    expected = kind == "onnx"
    assert ("b.x with b.y" in found.jumps) is expected
    assert "a" not in found.jumps


def test_a_policy_that_cannot_answer_what_it_was_never_asked_is_found_and_not_fatal() -> None:
    def fragile(rows: Rows) -> Rows:
        if (np.abs(rows[:, 2] - 0.7) < 0.003).any() and len(rows) > 2:
            raise BadInput("could not act")
        return smooth(rows)

    found = swept(Function(fragile, "callable"), met(), NAMES, TERMS)
    assert "b.y" in found.no_number and "a" not in found.no_number


def test_a_policy_that_is_gone_is_no_finding() -> None:
    def gone(rows: Rows) -> Rows:
        raise BadInput("nobody answers")

    with pytest.raises(BadInput, match="nobody answers"):
        swept(Function(gone, "server"), met(), NAMES, TERMS)


class World:
    """Episodes without physics: what goes wrong is a function of the draws and the seed."""

    def __init__(self, wrong: Callable[[Mapping[str, NDArray[np.float64]]], bool]) -> None:
        self.wrong, self.played = wrong, 0

    def draws(self, episode: Episode) -> dict[str, NDArray[np.float64]]:
        streams = Streams("test", np.array([episode.seed]))
        drawn = {"part.xy": 2, "part.yaw": 1, "slot": 1, "reach.start": 1, "reach.stay": 1}
        own = {name: streams.uniform(name, (width,))[0] for name, width in drawn.items()}
        return own | {name: np.array(values) for name, values in episode.draws.items()}

    def row(self, episode: Episode) -> Row:
        bad = self.wrong(self.draws(episode))
        reason = "timeout" if bad else "success"
        return {"episode": episode.index, "seed": episode.seed, "success": not bad, "reason": reason,
                "severity": 0, "margin.limit": 1.0}  # fmt: skip

    def __call__(self, episodes: Sequence[Episode]) -> list[Row]:
        self.played += len(episodes)
        return [self.row(episode) for episode in episodes]

    def suspects(self, most: int = 24) -> list[Suspect]:
        """The failures of 3,000 episodes."""
        found: list[Suspect] = []
        for seed in range(3000):
            episode = Episode(seed, 0, "none", 0, seed)
            row = self.row(episode)
            if not row["success"] and len(found) < most:
                drawn = self.draws(episode)
                found.append(Suspect(row, drawn, {"slot": 4}, tuple(sorted(drawn))))
        return found


def noise(draws: Mapping[str, NDArray[np.float64]]) -> float:
    """A number between 0 and 1 that hangs on the last digits of everything."""
    return float(sum(values.sum() for values in draws.values()) * 1e6 % 1.0)


def test_a_hole_is_found_and_named_by_what_it_hangs_on() -> None:
    world = World(lambda d: bool(np.hypot(*(d["part.xy"] - [0.3, 0.7])) < 0.05))
    suspects = world.suspects()
    assert 10 < len(suspects)
    found, played = holes(suspects, world, 0, RULES, 0.95)
    assert played == world.played
    assert [set(hole.held) for hole in found] == [{"part.xy"}]
    assert np.hypot(*(np.array(found[0].held["part.xy"]) - [0.3, 0.7])) < 0.05 + HALF_WIDTH
    assert found[0].wrong > 0.75 * found[0].n and found[0].reason == "timeout"


def test_a_hole_of_one_choice_and_one_quantity_is_found() -> None:
    world = World(lambda d: bool(d["slot"][0] < 0.25 and abs(d["reach.start"][0] - 0.5) < 0.03))
    found, _ = holes(world.suspects(), world, 0, RULES, 0.95)
    assert found and all(set(hole.held) <= {"slot", "reach.start"} for hole in found)
    assert all(hole.choices == {name: 4 for name in hole.held if name == "slot"} for hole in found)


def test_failures_by_chance_are_no_hole() -> None:
    world = World(lambda d: noise(d) < 0.02)
    suspects = world.suspects()
    assert len(suspects) == 24
    found, _ = holes(suspects, world, 0, RULES, 0.95)
    assert found == []


def test_a_failure_on_a_knifes_edge_is_no_hole() -> None:
    """Four quantities must meet: the rate of the campaign speaks of that."""
    middle = {"part.xy": np.array([0.5, 0.5]), "part.yaw": np.array([0.5]), "reach.start": np.array([0.5])}
    world = World(lambda d: all(np.abs(d[name] - value).max() < 0.15 for name, value in middle.items()))
    suspects = world.suspects()
    assert suspects
    found, _ = holes(suspects, world, 0, RULES, 0.95)
    assert found == []


def test_failing_everywhere_is_no_hole() -> None:
    world = World(lambda d: True)
    assert holes(world.suspects(), world, 0, RULES, 0.95)[0] == []


def test_where_no_success_is_demanded_only_limits_count() -> None:
    row = {"success": False, "reason": "timeout", "margin.limit": 1.0}
    assert Rules(("limit",), True).why(row) == "timeout"
    assert Rules(("limit",), False).why(row) == ""
    assert Rules(("limit",), False).why({**row, "margin.limit": float("nan")}) == "limit"


def test_without_failures_nothing_is_played() -> None:
    world = World(lambda d: False)
    assert holes([], world, 0, RULES, 0.95) == ([], 0)
    assert world.played == 0


def small() -> Suite:
    suite = load_suite(TASK)
    return suite.model_copy(update={"episodes_per_condition": 2})


def a_scan(plan: Plan) -> Scan:
    return Scan(
        plan_sha256=plan.sha256,
        repeated=8,
        changed=(),
        inputs=Inputs(asked=100, no_number={}),
        long=Long(runs=24, seconds=16.0, broken={"workspace": 0, "keep-out": 0}, not_kept=0),
        suspects=0,
        holes=(),
        episodes=32,
    )


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small check that was scanned, of the expert."""
    home = tmp_path_factory.mktemp("scanned")
    policy = replace(load_policy("scripted", TASK), folder=home)
    return check(policy, suite=small(), seed=1, scan=True).folder


def test_a_check_is_scanned_and_read_back(checked: Path) -> None:
    result = read_check(checked)
    assert result.evidence.plan.scan and result.scan is not None
    scan = result.scan
    assert (scan.repeated, scan.changed, scan.holes) == (8, (), ())
    assert scan.long.restless == 0 and scan.long.fastest < 0.02
    assert scan.long.runs == 24 and not any(scan.long.broken.values()) and not scan.long.not_kept
    assert scan.inputs.asked > 10_000 and not scan.inputs.no_number
    assert scan.walks is not None and scan.walks.runs == 16 and scan.walks.failed <= 3
    assert scan.episodes == 48
    assert result.as_json()["scan"]["repeated"] == 8
    assert any("watched on" in line for line in result.table().splitlines())


def test_a_scan_that_is_gone_leaves_the_check_unfinished(checked: Path) -> None:
    data = (checked / FILE).read_bytes()
    (checked / FILE).unlink()
    try:
        result = read_check(checked)
        assert result.verdict.word == "INSUFFICIENT"
        assert "the scan is missing" in result.verdict.reasons[0]
    finally:
        (checked / FILE).write_bytes(data)


@pytest.mark.wide
def test_a_scan_that_is_gone_is_made_again_by_going_on(checked: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(checked, run / "checks" / "01")
    kept = (checked / FILE).read_bytes()
    (run / "checks" / "01" / FILE).unlink()
    policy = replace(load_policy("scripted", TASK), folder=run)
    result = check(policy, suite=small(), seed=1, scan=True, resume=True)
    assert result.folder == run / "checks" / "01" and (result.folder / FILE).read_bytes() == kept
    with pytest.raises(BadInput, match="no unfinished check"):
        check(policy, suite=small(), seed=1, scan=True, resume=True)
    (result.folder / FILE).unlink()
    (result.folder / "check.json").write_text("[1, 2")
    with pytest.raises(Tampered, match=r"check\.json: is damaged; delete it and go on"):
        check(policy, suite=small(), seed=1, scan=True, resume=True)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1, 2", b"\xff\xfe", b'{"format": 2}'])
def test_a_damaged_scan_is_refused_in_one_line(checked: Path, data: bytes) -> None:
    kept = (checked / FILE).read_bytes()
    (checked / FILE).write_bytes(data)
    try:
        with pytest.raises(Tampered) as caught:
            read_check(checked)
        assert "\n" not in str(caught.value) and FILE in str(caught.value)
    finally:
        (checked / FILE).write_bytes(kept)


def test_a_scan_of_another_plan_is_refused(checked: Path, tmp_path: Path) -> None:
    plan = read_check(checked).evidence.plan
    write_scan(tmp_path, a_scan(plan).model_copy(update={"plan_sha256": "0" * 64}))
    with pytest.raises(Tampered, match="another plan"):
        read_scan(tmp_path, plan)


def test_what_a_scan_has_against_a_policy(checked: Path) -> None:
    plan = read_check(checked).evidence.plan
    fine = a_scan(plan)
    assert (fine.reasons(plan), fine.doubts(), fine.warnings(plan)) == ((), (), ())
    once = fine.long.model_copy(update={"broken": {"workspace": 1, "keep-out": 0}})
    often = fine.long.model_copy(update={"broken": {"workspace": 4, "keep-out": 0}, "not_kept": 3})
    assert fine.model_copy(update={"long": once}).reasons(plan) == ()  # 1 of 24 does not show 1 %
    whole = fine.model_copy(update={"long": often})
    assert [reason.split(":")[1].strip() for reason in whole.reasons(plan)] == ["workspace"]
    assert "3 of 24" in whole.warnings(plan)[0]
    undone = fine.model_copy(update={"long": fine.long.model_copy(update={"not_kept": 4})})  # 5 % are allowed
    assert [reason.split(":")[1].strip() for reason in undone.reasons(plan)] == [
        "what was done does not stay done"
    ]
    assert undone.warnings(plan) == ()
    alone = fine.model_copy(update={"inputs": Inputs(asked=9, no_number={}, alone=0.02)})
    assert alone.reasons(plan)[0].startswith("scan: asked about one observation it answers otherwise")
    seldom = fine.long.model_copy(update={"restless": 9, "fastest": 0.05})
    assert fine.model_copy(update={"long": seldom}).reasons(plan) == ()
    assert "by up to 50 mm/s, in 9 of 24" in fine.model_copy(update={"long": seldom}).warnings(plan)[0]
    always = fine.model_copy(update={"long": seldom.model_copy(update={"restless": 11})})
    assert always.reasons(plan)[0].startswith("scan: the robot does not come to rest")
    assert always.warnings(plan) == ()
    for failed, broken, gates, warns in (
        (4, 8, 0, 0),
        (5, 0, 0, 1),
        (0, 9, 0, 1),
        (15, 0, 0, 1),
        (16, 16, 1, 0),
    ):
        walks = Walks(runs=16, seconds=1.0, failed=failed, broken={"workspace": broken})
        found = fine.model_copy(update={"walks": walks})
        assert (len(found.reasons(plan)), len(found.warnings(plan))) == (gates, warns)
        assert all(f"{failed} of 16" in line for line in (*found.reasons(plan), *found.warnings(plan)))
    changed = fine.model_copy(update={"changed": (4, 9)})
    assert changed.reasons(plan) == () and "2 of 8 episodes" in changed.doubts()[0]
    nan = fine.model_copy(update={"inputs": Inputs(asked=9, no_number={"tcp.x": 0.25})})
    assert "tcp.x is 0.25" in nan.reasons(plan)[0]


@pytest.mark.wide
def test_a_policy_with_a_memory_of_its_own_is_found_out(tmp_path: Path) -> None:
    """It counts its calls: played again, an episode is another one."""
    task, calls = get_task(TASK), [0]

    def act(observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
        calls[0] += 1
        answer = task.expert(observation).astype(np.float32)
        answer[:, 0] += 1e-3 * np.sin(calls[0])
        return answer

    policy = LoadedPolicy("callable", "counts", "1" * 64, TASK, tmp_path, act)
    suite = small()
    result = check(policy, suite=suite, seed=1, scan=True)
    assert result.scan is not None and result.scan.changed
    assert result.verdict.word == "INSUFFICIENT"
    assert any("came out differently" in reason for reason in result.verdict.reasons)


@pytest.mark.parametrize("language", languages())
def test_a_report_says_what_a_scan_found(checked: Path, language: str) -> None:
    words, whole = load_words(language), read_check(checked)
    assert whole.scan is not None
    assert scan_reasons(whole, words) == [] and len(scan_lines(whole, words)) == 6
    hole = Hole(
        episode=17,
        held={"part.shape": (0.7,), "part.x": (0.25,)},
        choices={"part.shape": 3},
        half_width=0.01,
        wrong=23,
        n=24,
        reason="timeout",
    )
    assert "part.shape 3 of 3" in hole.says and "part.x near 0.250 of its range" in hole.says
    often = whole.scan.long.model_copy(
        update={"broken": {"workspace": 20}, "not_kept": 3, "restless": 3, "fastest": 0.084}
    )
    inputs = Inputs(asked=9, no_number={"tcp.x": 0.125}, jumps={"tcp.y": 1.5}, alone=0.75)
    changes = {"holes": (hole,), "long": often, "inputs": inputs, "changed": (3,)}
    found = replace(whole, scan=whole.scan.model_copy(update=changes))
    said = "\n".join(scan_reasons(found, words))
    assert len(scan_reasons(found, words)) == 5
    assert all(
        each in said for each in ("0.75", "23", "part.x", "0.250", "17", "workspace", "20", "tcp.x", "0.125")
    )
    assert "84" in "\n".join(scan_warnings(found, words))
    assert "tcp.y" in "\n".join(scan_warnings(found, words))
    undone = often.model_copy(update={"broken": {}, "not_kept": 13})
    lost = replace(whole, scan=whole.scan.model_copy(update={"long": undone}))
    assert "13" in scan_reasons(lost, words)[0] and len(scan_warnings(lost, words)) == 1
    always = often.model_copy(update={"broken": {}, "restless": 24})
    never = replace(whole, scan=whole.scan.model_copy(update={"long": always}))
    assert "84" in scan_reasons(never, words)[0] and len(scan_warnings(never, words)) == 1
    assert whole.scan.walks is not None
    for failed, reasons in ((5, 0), (16, 1)):
        walks = whole.scan.walks.model_copy(update={"failed": failed})
        off = replace(whole, scan=whole.scan.model_copy(update={"walks": walks}))
        assert len(scan_reasons(off, words)) == reasons and len(scan_warnings(off, words)) == 1 - reasons
        assert f"{failed}" in "\n".join([*scan_reasons(off, words), *scan_warnings(off, words)])
    unscanned = replace(whole, scan=None)
    assert len(scan_reasons(unscanned, words)) == 1  # its plan asks for one
    assert len(scan_lines(unscanned, words)) == 1


def test_a_walk_goes_its_own_way_any_way_but_down_and_then_the_policy_acts() -> None:
    task = get_task(TASK)
    asked: list[int] = []

    def act(rows: Rows) -> Rows:
        asked.append(len(rows))
        return np.full((len(rows), len(task.action_names)), 0.75, np.float32)

    walker = Walker(Function(act), task)
    seeds, columns = np.array([5, 6]), len(task.observation_names)
    rows = np.zeros((2, columns), np.float32)
    ways = np.array([walker.act(rows, seeds, np.full(2, step)) for step in range(walker.ticks + 1)])
    assert asked == [2] * (walker.ticks + 1)
    assert (ways[-1] == 0.75).all()
    walk = ways[:-1]
    assert (np.abs(walk[..., :4]) <= PACE).all() and np.abs(walk[..., :2]).max() > 0.1
    assert (walk[..., task.action_names.index("vz")] >= 0.0).all()
    assert (walk[..., task.action_names.index("vacuum")] == -1.0).all()
    assert not np.array_equal(walk[:, 0], walk[:, 1])
    assert np.abs(np.diff(walk[..., :4], axis=0)).max() < 0.1
    again = Walker(Function(act), task)
    np.testing.assert_array_equal(again.act(rows, seeds, np.array([7, 30])), ways[[7, 30], [0, 1]])


def test_a_policy_that_knows_its_own_way_only_is_lost_and_one_that_looks_is_not() -> None:
    """It plays back what the expert did in an undisturbed episode of the same seed, whatever happens."""
    task = get_task(TASK)
    hard = [each.constraint for each in load_suite(TASK).bind(task).assessed if each.constraint.hard]
    expert = load_policy("scripted", TASK)
    first = 8_000_000_000_000_000
    worlds = task.make_worlds(WALK_RUNS, 1, 0.0, [], False)
    worlds.reset(np.arange(WALK_RUNS), first + np.arange(WALK_RUNS))
    tape = []
    for _ in range(240):
        tape.append(task.expert(worlds.observation()).astype(np.float32))
        worlds.step(tape[-1])

    def act(observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
        return np.array([tape[min(step, 239)][seed - first] for seed, step in zip(seeds, steps, strict=True)])

    blind = walked(LoadedPolicy("callable", "blind", "2" * 64, TASK, Path(), act), task, hard, first, 1)
    looks = walked(expert, task, hard, first, 1)
    assert blind.lost(0.95) and blind.failed == 16 and not looks.lost(0.95) and looks.failed <= 3
    assert set(looks.broken) == {each.id for each in hard}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"long": {"runs": 0}}, "looked at 0 long runs, not 24"),
        ({"long": {"restless": 25}}, "counts more than it looked at"),
        ({"long": {"broken": {}}}, "its limits are not the hard ones of the plan"),
        ({"walks": {"failed": 17}}, "counts more than it looked at"),
        ({"walks": {"runs": 3}}, "looked at 24 long runs"),
        ({"repeated": 0}, "counts more than it looked at"),
        ({"suspects": 99}, "is not the scan that check.json was concluded with"),
    ],
)
def test_a_scan_that_no_scan_would_write_is_refused(
    checked: Path, tmp_path: Path, change: Any, says: str
) -> None:
    folder = Path(shutil.copytree(checked, tmp_path / "check"))
    path = folder / "scan.json"
    said = json.loads(path.read_bytes())
    for key, value in change.items():
        said[key] = {**said[key], **value} if isinstance(value, dict) else value
    path.write_bytes(canonical_json(said))
    with pytest.raises(Tampered, match=says):
        read_check(folder)


def test_a_claim_about_walks_is_made_at_the_plans_confidence() -> None:
    walks = Walks(runs=16, seconds=1.0, failed=16, broken={})
    assert walks.lost(0.95) and not walks.lost(0.99)


class Undoes:
    """The expert, which comes back 4 s after success and puts its part elsewhere."""

    kind, name, sha256 = "callable", "undoes", "2" * 64

    def __init__(self) -> None:
        self.task = get_task(TASK)

    def act(self, observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
        action = self.task.expert(observation).astype(np.float32)
        late = steps > 400
        seen = self.task.split(observation)
        over = np.abs(seen["part_from_cup"][:, :2]).max(axis=1) < 0.004
        back = np.column_stack([8.0 * seen["part_from_cup"][:, :2], np.where(over, -0.2, 0.0)])
        action[late, :3] = np.clip(back, -0.2, 0.2)[late]
        action[late, 3], action[late, 4] = 0.0, 1.0
        return action


@pytest.mark.wide
def test_work_that_is_undone_later_does_not_pass() -> None:
    task, policy, suite = get_task(TASK), Undoes(), small()
    plan = make_plan(policy, task, suite, suite.bind(task), 1, None, True)
    long, _ = long_runs(plan, policy, task, suite.bind(task), 1 << 21, 2)
    assert long.not_kept > 12
    assert any(
        "does not stay done" in each for each in a_scan(plan).model_copy(update={"long": long}).reasons(plan)
    )


def test_what_a_cell_cannot_keep_is_not_asked_for() -> None:
    assert not get_task("screw-drive").lasting and get_task(TASK).lasting
