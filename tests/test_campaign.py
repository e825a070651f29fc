"""Campaigns on a real cell: the same bytes at any number of worlds and threads, after a kill, and when played again."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.errors import BadInput
from genba.envs.task import Task, get_task, task_ids
from genba.safety.campaign import Campaign, UntilDecided, check, make_plan, stopping
from genba.safety.compare import compare, compared
from genba.safety.evidence import Incomplete, Tampered, missing_shards, read_evidence, read_plan, shard_path
from genba.safety.folders import attempts
from genba.safety.progress import Progress
from genba.safety.replay import loop_of, replay, replays
from genba.safety.report import report
from genba.safety.result import read_check
from genba.safety.suite import Suite, load_suite

Rows = NDArray[np.float32]
TASK = "conveyor-sort"  # the shorter episodes


@dataclass(frozen=True)
class Expert:
    """The task's teacher, perhaps with something done to its actions."""

    folder: Path
    task: str = TASK
    name: str = "expert"
    change: Callable[[Rows], Rows] | None = None
    kind: str = "scripted"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    def act(self, observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
        action = teacher(self.task).expert(observation).astype(np.float32)
        return action if self.change is None else self.change(action)


TASKS: dict[str, Task] = {}


def teacher(task_id: str) -> Task:
    if task_id not in TASKS:
        TASKS[task_id] = get_task(task_id)
    return TASKS[task_id]


def small(episodes: int, *disturbances: str) -> Suite:
    basic = load_suite("basic")
    rules = basic.verdict.model_copy(update={"success": basic.verdict.success[:1]})
    kept = {name: (3,) for name in disturbances}
    return basic.model_copy(
        update={"episodes_per_condition": episodes, "disturbances": kept, "verdict": rules}
    )


SUITE = small(8, "sensor-noise", "push")


def shards(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "shards").iterdir())]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One uninterrupted check of 24 episodes: 24 worlds, 2 threads."""
    policy = Expert(tmp_path_factory.mktemp("run"))
    return check(policy, suite=SUITE, seed=7, threads=2, worlds=24).folder


@pytest.mark.parametrize(("worlds", "threads"), [(5, 1), (7, 2)])
def test_evidence_does_not_know_worlds_or_threads(
    reference: Path, tmp_path: Path, worlds: int, threads: int
) -> None:
    result = check(Expert(tmp_path), suite=SUITE, seed=7, threads=threads, worlds=worlds)
    assert result.evidence.sha256 == read_evidence(reference).sha256
    assert shards(result.folder) == shards(reference)
    assert (result.folder / "plan.json").read_bytes() == (reference / "plan.json").read_bytes()


def test_a_check_tells_what_it_did(reference: Path) -> None:
    evidence = read_evidence(reference)
    assert len(evidence) == 24 and len(shards(reference)) == 24
    assert evidence.columns["success"].mean() > 0.9
    disturbed = evidence.columns["disturbance"] == "push"
    assert disturbed.sum() == 8 and (evidence.columns["severity"][disturbed] == 3).all()
    stored = (reference / "check.json").read_text(encoding="utf-8")
    assert evidence.sha256 in stored and '"monitor_share"' in stored
    everything = b"".join([*shards(reference), (reference / "plan.json").read_bytes()])
    assert str(reference).encode() not in everything, "no path may enter the evidence"


CHILD = """
from pathlib import Path
from genba.safety.campaign import Campaign, UntilDecided, check, make_plan, stopping
from genba.tests.test_campaign import Expert, SUITE
check(Expert(Path({folder!r})), suite=SUITE, seed=7, worlds=2, threads=1)
"""


def test_killed_at_any_moment_and_resumed_ends_in_the_same_bytes(reference: Path, tmp_path: Path) -> None:
    code = CHILD.format(folder=str(tmp_path))
    folder = tmp_path / "checks" / "01"
    give_up = time.monotonic() + 60.0
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as child:
        while not shard_path(folder, 3).is_file() and time.monotonic() < give_up and child.poll() is None:
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        _, errors = child.communicate()
    assert child.returncode == -signal.SIGKILL, errors.decode()
    kept = len(shards(folder))
    assert 0 < kept < 24 and not (folder / "check.json").exists()
    result = check(Expert(tmp_path), suite=SUITE, seed=7, worlds=6, resume=True)
    assert result.folder == folder and attempts(tmp_path) == [1]
    assert result.evidence.sha256 == read_evidence(reference).sha256
    assert shards(folder) == shards(reference)


def test_foreign_code_is_never_asked_twice_at_once_and_its_error_comes_out(tmp_path: Path) -> None:
    inside, most, calls, threads = 0, 0, 0, set()

    def watched(action: Rows) -> Rows:
        nonlocal inside, most, calls
        inside, calls = inside + 1, calls + 1
        most = max(most, inside)
        threads.add(threading.get_ident())
        time.sleep(0.001)
        inside -= 1
        if calls == 60:
            raise BadInput("the policy broke")
        return action

    with pytest.raises(BadInput, match="the policy broke"):
        check(Expert(tmp_path, change=watched), suite=SUITE, seed=7, threads=2, worlds=24)
    assert most == 1 and len(threads) > 2, "the probe's thread and two loops"
    alive = {each.ident for each in threading.enumerate()}
    assert threads & alive == {threading.get_ident()}, "no loop goes on alone"


def test_an_interrupt_says_what_is_kept(tmp_path: Path) -> None:
    calls = 0

    def interrupt(action: Rows) -> Rows:
        nonlocal calls
        calls += 1
        if calls == 40:
            raise KeyboardInterrupt
        return action

    with pytest.raises(KeyboardInterrupt, match="0 of 24 episodes are kept in .* go on with --resume"):
        check(Expert(tmp_path, change=interrupt), suite=SUITE, seed=7)


def test_resume_refuses_to_mix_checks(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no unfinished check"):
        check(Expert(tmp_path), suite=SUITE, seed=7, resume=True)

    def stop(action: Rows) -> Rows:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(
            Expert(tmp_path, change=lambda action: stop(action) if len(action) > 3 else action),
            suite=SUITE,
            seed=7,
        )
    with pytest.raises(BadInput, match="begun with another policy"):
        check(Expert(tmp_path, name="other"), suite=SUITE, seed=7, resume=True)
    with pytest.raises(BadInput, match="begun with another suite"):
        check(Expert(tmp_path), suite=small(9, "push"), seed=7, resume=True)
    with pytest.raises(BadInput, match="begun with another seed base"):
        check(Expert(tmp_path), suite=SUITE, seed=8, resume=True)
    (tmp_path / "checks" / "01" / "platform.json").write_text('{"numpy": "1.0"}')
    with pytest.raises(BadInput, match="begun on another platform"):
        check(Expert(tmp_path), suite=SUITE, seed=7, resume=True)


def test_a_policy_of_the_wrong_shape_leaves_nothing(tmp_path: Path) -> None:
    narrow = Expert(tmp_path, change=lambda action: action[:, :3])
    with pytest.raises(BadInput, match=r"expected actions \(n, 5\) .* found \(2, 3\)"):
        check(narrow, suite=SUITE)
    assert not (tmp_path / "checks").exists()
    with pytest.raises(BadInput, match="--seed -1: expected 0 to 999,999"):
        check(Expert(tmp_path), suite=SUITE, seed=-1)


def test_each_attempt_without_a_seed_meets_new_worlds(tmp_path: Path) -> None:
    one, two = (check(Expert(tmp_path), suite=small(2)).evidence for _ in range(2))
    assert set(one.columns["seed"].tolist()).isdisjoint(two.columns["seed"].tolist())
    assert min(one.columns["seed"]) >= 3_000_000_000 + 1_000_000 * 1_000_000


UNTIL = UntilDecided(at_most=24, look_every=6)


@pytest.mark.wide
def test_a_check_that_stops_when_decided_ends_at_a_look_with_the_same_rows(tmp_path: Path) -> None:
    """A policy that never succeeds fails at the first look that shows it; the rows are those of the plan's
    beginning.
    """
    still = Expert(tmp_path / "a", name="still", change=lambda action: action * np.float32(0.0))
    result = check(still, suite=SUITE, seed=7, until=UNTIL, worlds=7)
    plan, n = result.evidence.plan, len(result.evidence)
    assert result.verdict.word == "FAIL" and n < 24 and n in plan.ends
    assert plan.ends == (6, 12, 18, 24) and plan.lane.name == "until-decided"
    assert (
        "until it was decided, 24 at most" in result.table() and result.as_json()["lane"] == "until-decided"
    )
    again = check(
        replace(still, folder=tmp_path / "b"), suite=SUITE, seed=7, until=UNTIL, worlds=3, threads=1
    )
    assert again.evidence.sha256 == result.evidence.sha256
    whole = check(replace(still, folder=tmp_path / "c"), suite=SUITE, seed=7)
    for name, values in result.evidence.columns.items():
        assert np.array_equal(values, whole.evidence.columns[name][:n], equal_nan=values.dtype.kind == "f"), (
            name
        )
    page = report(result.folder).read_text(encoding="utf-8")
    assert "until decided: a look every 6, at most 24" in page and "Clopper-Pearson" not in page


@pytest.mark.wide
def test_an_undecided_check_goes_to_the_end_of_its_plan_and_says_what_would_decide(tmp_path: Path) -> None:
    result = check(Expert(tmp_path), suite=SUITE, seed=7, until=UNTIL)
    assert result.verdict.word == "INSUFFICIENT" and len(result.evidence) == 24
    assert result.verdict.more_episodes > 500 and "more clean episodes would decide" in result.table()


def test_going_on_after_a_decision_is_seen(tmp_path: Path) -> None:
    """Episodes added behind the back of the look that had decided."""
    still = Expert(tmp_path, name="still", change=lambda action: action * np.float32(0.0))
    result = check(still, suite=SUITE, seed=7, until=UNTIL)
    plan, folder = result.evidence.plan, result.folder
    (folder / "check.json").unlink()
    campaign = Campaign(folder, plan, still, teacher(TASK), SUITE.bind(teacher(TASK)))
    with Progress("more", 24) as progress:
        campaign._play(campaign._loops(6, 1), missing_shards(folder, plan), progress)
    longer = read_check(folder)
    assert len(longer.evidence) == 24 and longer.verdict.word == "FAIL"
    assert "episodes were added after the look at" in longer.verdict.reasons[0]


def test_more_episodes_than_an_attempt_has_seeds_are_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    suite = small(1, "sensor-noise", "push").model_copy(update={"episodes_per_condition": 400_000})
    with pytest.raises(
        BadInput, match=r"3 conditions x 400,000 episodes are 1,200,000, .* to 333,333 or less"
    ):
        check(Expert(tmp_path), suite=suite)
    assert attempts(tmp_path) == [] and not (tmp_path / "checks").exists()
    whole = suite.model_copy(update={"episodes_per_condition": 333_333})
    policy, task = Expert(tmp_path), teacher(TASK)
    assert make_plan(policy, task, whole, whole.bind(task), 7).episodes == 999_999


@pytest.mark.wide
def test_a_check_that_was_cut_between_looks_is_incomplete(tmp_path: Path) -> None:
    result = check(Expert(tmp_path), suite=SUITE, seed=7, until=UNTIL)
    (result.folder / "check.json").unlink()
    shard_path(result.folder, 1).unlink()
    with pytest.raises(Incomplete, match=r"missing from shards/00001\.parquet"):
        read_evidence(result.folder)
    with pytest.raises(BadInput, match="begun with another episodes per shard"):
        check(Expert(tmp_path), suite=SUITE, seed=7, resume=True, until=UntilDecided(24, 3))
    again = check(Expert(tmp_path), suite=SUITE, seed=7, resume=True, until=UNTIL)
    assert again.folder == result.folder and again.evidence.sha256 == result.evidence.sha256


@pytest.mark.wide
@pytest.mark.parametrize("until", [None, UNTIL])
def test_a_shard_lost_after_the_end_is_played_again(tmp_path: Path, until: UntilDecided | None) -> None:
    """The advice about a damaged shard, to delete it and go on, can be followed in a concluded check."""
    first = check(Expert(tmp_path), suite=SUITE, seed=7, until=until)
    kept, damaged = shards(first.folder), shard_path(first.folder, 2)
    damaged.write_bytes(b"junk")
    with pytest.raises(Tampered, match=r"delete it and go on with: genba check --resume"):
        read_check(first.folder)
    damaged.unlink()
    again = check(Expert(tmp_path), suite=SUITE, seed=7, until=until, resume=True)
    assert again.folder == first.folder and shards(again.folder) == kept
    assert again.evidence.sha256 == first.evidence.sha256
    with pytest.raises(BadInput, match="no unfinished check"):
        check(Expert(tmp_path), suite=SUITE, seed=7, until=until, resume=True)


def test_a_budget_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--at-most 2: expected 3"):
        check(Expert(tmp_path), suite=SUITE, until=UntilDecided(2))
    with pytest.raises(BadInput, match="--at-most goes with --until-decided"):
        stopping(False, 100)
    assert stopping(False, None) is None and not (tmp_path / "checks").exists()


def test_an_episode_after_the_decision_does_not_wait_for_a_resume(tmp_path: Path) -> None:
    still = Expert(tmp_path, name="still", change=lambda action: action * np.float32(0.0))
    result = check(still, suite=SUITE, seed=7, until=UNTIL)
    n = len(result.evidence)
    assert n < result.evidence.plan.episodes
    decided = f"no episode {n} in .*: this check was decided after {n} episodes; expected 0 to {n - 1}$"
    with pytest.raises(BadInput, match=decided):
        replay(result.folder, n, still)
    (result.folder / "check.json").unlink()  # as in a release
    with pytest.raises(BadInput, match=decided):
        replay(result.folder, n, still)
    shard_path(result.folder, 0).unlink()
    with pytest.raises(Incomplete, match=f"episode {n} was not judged yet"):
        replay(result.folder, n, still)


def test_replay_is_equal_bit_for_bit(reference: Path) -> None:
    policy = Expert(reference.parent.parent)
    played = replay(reference, 5, policy)
    assert played.equal and played.exit_code == 0
    found = played.as_json()
    assert found["equal"] is True and found["trace_sha256"] == found["stored_sha256"]
    assert all(each.equal for each in replays(reference.parent.parent, [0, 11, 23], policy))


def test_replay_of_something_else_says_so(reference: Path) -> None:
    folder = reference.parent.parent
    with pytest.raises(BadInput, match="is not the one that was judged"):
        replay(reference, 5, Expert(folder, name="other"))
    with pytest.raises(BadInput, match="expected 0 to 23"):
        replay(reference, 24, Expert(folder))
    slower = replay(reference, 5, Expert(folder, change=lambda action: action * np.float32(0.9)))
    assert not slower.equal and "trace_sha256" in slower.changed and slower.exit_code == 1
    assert "NOT equal" in slower.table() and "edited since" not in slower.table()


def test_replay_of_evidence_older_than_a_parameter_goes_on_and_of_another_cell_is_refused(
    reference: Path,
) -> None:
    plan, policy = read_plan(reference), Expert(reference.parent.parent)
    older = {name: value for name, value in plan.cell.items() if name != "part.scale"}
    assert len(older) == len(plan.cell) - 1
    assert loop_of(plan.model_copy(update={"cell": older}), policy, 2, 1).n == 2
    other = {**plan.cell, "part.scale": (1.1, 1.1)}
    with pytest.raises(BadInput, match="judged in another cell"):
        loop_of(plan.model_copy(update={"cell": other}), policy, 2, 1)


def test_replay_names_what_was_edited_since(reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = reference.parent.parent
    monkeypatch.setattr("genba.safety.replay.versions", lambda task: {"genba": "0.0.9", "cell": "abc"})
    same = replay(reference, 5, Expert(folder))
    assert same.equal and len(same.other_versions) == 2 and "edited" not in same.table()
    slower = replay(reference, 5, Expert(folder, change=lambda action: action * np.float32(0.9)))
    assert "edited since (then / now): cell " in slower.table() and " / 0.0.9" in slower.table()


def test_another_platform_is_named_and_compared_by_outcome(
    reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genba.safety.replay.fingerprint", lambda: {"numpy": "0"})
    policy = Expert(reference.parent.parent)
    played = replay(reference, 5, policy)
    assert any(line.startswith("numpy") for line in played.other_platform) and played.agrees


def test_compare_puts_what_got_worse_first(reference: Path, tmp_path: Path) -> None:
    folder = reference.parent.parent
    slow = Expert(
        tmp_path, name="slow", change=lambda action: action * np.array([1, 1, 0.6, 1, 1], np.float32)
    )
    found = compare(Expert(folder), slow, suite=SUITE, seed=7)
    assert attempts(folder) == [1], "the finished check with the same plan is taken"
    assert found.differences[0].word == "worse"
    words = [each.word for each in found.differences]
    assert words == sorted(words, key=["worse", "better", "no difference shown"].index)
    cycle = next(each for each in found.differences if each.what.startswith("cycle time"))
    assert cycle.word == "worse" and cycle.interval.lower > 0.0
    back = compared(found.b, found.a)
    assert next(each for each in back.differences if each.what.startswith("cycle time")).word == "better"
    with pytest.raises(BadInput, match="differ in seed base"):
        compared(found.a, check(Expert(tmp_path / "x"), suite=SUITE, seed=8).evidence)


def test_compare_passes_over_a_check_that_cannot_be_read(reference: Path, tmp_path: Path) -> None:
    for run, data in (("a", b"junk"), ("b", b"")):
        shutil.copytree(reference, tmp_path / run / "checks" / "02")
        shutil.copytree(reference, tmp_path / run / "checks" / "01")
        (tmp_path / run / "checks" / "01" / "plan.json").write_bytes(data)
    found = compare(Expert(tmp_path / "a"), Expert(tmp_path / "b"), suite=SUITE, seed=7)
    assert [each.folder.name for each in (found.a, found.b)] == ["02", "02"]
    assert attempts(tmp_path / "a") == [1, 2]


def test_compare_goes_on_with_what_it_began(reference: Path, tmp_path: Path) -> None:
    """Also where another check was begun since; the advice is the one that helps."""
    policy, calls = Expert(tmp_path), 0

    def interrupt(action: Rows) -> Rows:
        nonlocal calls
        calls += 1
        if calls == 40:
            raise KeyboardInterrupt
        return action

    with pytest.raises(KeyboardInterrupt, match="are kept in .*; go on with the same genba compare"):
        compare(replace(policy, change=interrupt), policy, suite=SUITE, seed=7)
    first = tmp_path / "checks" / "01"
    for number in (0, 1):
        shutil.copy(shard_path(reference, number), shard_path(first, number))
    began = shard_path(first, 0).stat().st_mtime_ns
    shutil.copytree(first, tmp_path / "checks" / "02")
    (tmp_path / "checks" / "02" / "plan.json").write_bytes(b"junk")
    found = compare(policy, Expert(reference.parent.parent), suite=SUITE, seed=7)
    assert found.a.folder == first and attempts(tmp_path) == [1, 2]
    assert shards(first) == shards(reference) and shard_path(first, 0).stat().st_mtime_ns == began


def test_a_nan_action_is_a_fault_finding(tmp_path: Path) -> None:
    def sick(action: Rows) -> Rows:
        action = action.copy()
        action[0] = np.nan
        return action

    result = check(Expert(tmp_path, change=sick), suite=small(3), seed=1, worlds=3)
    assert result.verdict.word == "FAIL" and "fault" in result.verdict.reasons[0]
    assert any(finding.reason == "fault" for finding in result.findings)


@pytest.mark.long
@pytest.mark.parametrize("task_id", task_ids())
def test_the_expert_of_each_task_is_judged_the_same_twice(task_id: str, tmp_path: Path) -> None:
    suite = load_suite("basic").model_copy(update={"episodes_per_condition": 2})
    one, two = (
        check(Expert(tmp_path / name, task=task_id), suite=suite, seed=3, threads=threads, worlds=worlds)
        for name, threads, worlds in (("a", 1, 26), ("b", 2, 5))
    )
    assert one.evidence.sha256 == two.evidence.sha256
    assert one.evidence.columns["success"].mean() > 0.9
