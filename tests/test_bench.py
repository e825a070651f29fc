"""genba bench envs: the replay is the same work, the numbers have the agreed keys."""

from __future__ import annotations

import numpy as np
import pytest

from genba.envs import bench as benches
from genba.envs import graphics
from genba.envs.bench import Loop, Single, Speeds, async_steps_per_s, bench_task, compare
from genba.envs.errors import EnvironmentProblem
from genba.envs.task import Task, task_ids

KEYS = {
    "steps_per_s",
    "bare_steps_per_s",
    "ratio_to_bare",
    "async_steps_per_s",
    "ratio_to_async",
    "worlds",
    "threads",
    "single_steps_per_s",
    "single_bare_steps_per_s",
    "single_ratio_to_bare",
}


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@pytest.mark.parametrize("task_id", task_ids())
@pytest.mark.parametrize("ticks", [(20, 40), pytest.param((60, 110), marks=pytest.mark.long)])
def test_the_bare_replay_repeats_steps(tasks: dict[str, Task], task_id: str, ticks: tuple[int, int]) -> None:
    """`replay_s` raises unless the replay ends in the loop's state, bit for bit."""
    task = tasks[task_id]
    loop = Loop(task, 16, 2)
    for each in ticks:
        assert loop.run_s(each) > 0.0 and loop.pair.replay_s() > 0.0
    single = Single(task)
    assert single.run_s(sum(ticks)) > 0.0 and single.pair.replay_s() > 0.0


def test_the_bare_replay_repeats_resets(tasks: dict[str, Task]) -> None:
    loop = Loop(tasks["conveyor-sort"], 16, 2)
    assert loop.run_s(170) > 0.0 and (loop.worlds.seeds > 16).any()
    assert loop.pair.replay_s() > 0.0


def test_a_replay_of_other_work_is_refused(tasks: dict[str, Task]) -> None:
    loop = Loop(tasks["kit-pick"], 4, 1)
    loop.run_s(3)
    loop.pair.tape.notes.pop()
    with pytest.raises(EnvironmentProblem, match="bit for bit"):
        loop.pair.replay_s()


def test_the_numbers_have_the_agreed_keys(tasks: dict[str, Task], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benches, "SEGMENT_S", 0.01)
    monkeypatch.setattr(benches, "async_steps_per_s", lambda task, processes: 10.0)
    cell = bench_task(tasks["conveyor-sort"], worlds=8, threads=1, processors=2)
    assert KEYS <= set(cell)
    assert cell["worlds"] == 8 and cell["threads"] == 1 and 0.0 < cell["ratio_to_bare"] < 2.0
    assert cell["ratio_to_async"] == pytest.approx(cell["steps_per_s"] / 10.0, rel=0.01)
    speeds = Speeds({"conveyor-sort": cell})
    assert speeds.as_json() == {"cells": {"conveyor-sort": cell}}
    assert "conveyor-sort" in speeds.table() and "async" in speeds.table()


@pytest.mark.long
@pytest.mark.parametrize("task_id", task_ids())
def test_the_closed_loop_keeps_up_with_bare_stepping(tasks: dict[str, Task], task_id: str) -> None:
    """The target is 0.80 where the policy needs no pictures; a busy machine is forgiven a little."""
    rate, bare, ratio = compare(Loop(tasks[task_id], 128, 0), 128)
    assert rate > 0.0 and bare > 0.0 and ratio > (0.50 if tasks[task_id].sees else 0.75)


@pytest.mark.long
@pytest.mark.parametrize("task_id", ["kit-pick", "conveyor-sort"])
def test_a_single_environment_keeps_up_with_bare_stepping(tasks: dict[str, Task], task_id: str) -> None:
    """The target is 0.40; a busy machine is forgiven a little."""
    rate, bare, ratio = compare(Single(tasks[task_id]), 1)
    assert rate > 0.0 and bare > 0.0 and ratio > 0.35


@pytest.mark.long
def test_async_processes_run_the_single_environment(tasks: dict[str, Task]) -> None:
    assert np.isfinite(async_steps_per_s(tasks["kit-pick"], 2, seconds=0.5))


@pytest.mark.parametrize(("draws", "ways"), [("egl", (1, 2)), (graphics.RAYS, (1,))])
def test_cells_that_see_are_named_as_they_do(
    monkeypatch: pytest.MonkeyPatch, draws: str, ways: tuple[int, ...]
) -> None:
    monkeypatch.setattr(benches, "backend", lambda: draws)
    assert benches.seeing(["kit-pick", "handover"]) == [f"kit-pick,vision={way}" for way in ways]
