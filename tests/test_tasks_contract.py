"""What every registered task keeps: the same bits in any company, observations inside their limits, words for everything."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.disturbances import disturbances_for
from genba.envs.task import Task, task_ids
from genba.envs.worlds import Worlds
from genba.safety.units import parse_unit

TASKS = task_ids()
each_task = pytest.mark.parametrize("task_id", TASKS)


# Bits: the outcome of an episode depends on nothing but its identity


@dataclass(frozen=True)
class Played:
    """Everything an episode left, as bytes."""

    trace: str
    observations: str
    rewards: str


def names_of(task: Task) -> tuple[str, ...]:
    return tuple(disturbances_for(task))


def condition(task: Task, seed: int) -> tuple[str, int]:
    """One seed in so many is nominal, the others meet one of the cell's disturbances each, at severity 3."""
    names = names_of(task)
    kind = seed % (len(names) + 1)
    return ("none", 0) if kind == len(names) else (names[kind], 3)


def reset(worlds: Worlds, ids: NDArray[np.int64], seeds: NDArray[np.int64]) -> None:
    met = [condition(worlds.task, int(seed)) for seed in seeds]
    levels = {
        name: np.array([level * (each == name) for each, level in met]) for name in names_of(worlds.task)
    }
    worlds.reset(ids, seeds, levels)


def play(
    task: Task, seeds: list[int], threads: int, ticks: int, before: int | None = None
) -> dict[int, Played]:
    """The first `ticks` of the seeds' episodes side by side; `before` plays ten ticks of that seed first."""
    n = len(seeds)
    worlds = Worlds(task, n, threads, tail_s=1.0, disturbances=names_of(task), trace=True)
    if before is not None:
        reset(worlds, np.arange(n), np.full(n, before))
        for _ in range(10):
            worlds.step(task.expert(worlds.observation()))
    reset(worlds, np.arange(n), np.array(seeds))
    seen = [hashlib.sha256() for _ in seeds]
    paid = [hashlib.sha256() for _ in seeds]
    for _ in range(ticks):
        observation = worlds.observation()
        running = np.flatnonzero(~worlds.done[:n])
        worlds.step(task.expert(observation))
        for world in running:
            seen[world].update(observation[world].tobytes())
            paid[world].update(worlds.reward[world].tobytes())
        if worlds.done[:n].all():
            break
    return {
        seed: Played(worlds.trace_sha256(i), seen[i].hexdigest(), paid[i].hexdigest())
        for i, seed in enumerate(seeds)
    }


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_task
def test_the_same_bits_alone_in_company_and_on_any_number_of_threads(
    tasks: dict[str, Task], task_id: str
) -> None:
    task, few = tasks[task_id], [62, 3, 4, 41, 5, 6, 7]
    crowd = play(task, list(range(64)), 2, 40)
    assert len({played.trace for played in crowd.values()}) == 64
    assert play(task, few, 1, 40) == {seed: crowd[seed] for seed in few}
    gripped = play(task, few, 2, 130)  # long enough to hold the part
    assert play(task, few[::-1], 4, 130, before=9) == gripped
    for seed in few[:2]:
        assert play(task, [seed], 1, 130) == {seed: gripped[seed]}


@pytest.mark.long
@each_task
def test_the_same_bits_to_the_end_of_every_episode(tasks: dict[str, Task], task_id: str) -> None:
    task = tasks[task_id]
    ticks, seeds = round((task.horizon_s + 1.5) * task.control_hz), list(range(256))
    crowd = play(task, seeds, 1, ticks)
    assert play(task, seeds[::-1], 2, ticks) == crowd
    assert play(task, seeds, 4, ticks, before=77) == crowd
    for start in range(0, 49, 7):
        few = seeds[start : start + 7]
        assert play(task, few, 2, ticks) == {seed: crowd[seed] for seed in few}
    for seed in seeds[:14]:
        assert play(task, [seed], 1, ticks) == {seed: crowd[seed]}


@each_task
def test_the_expert_looks_at_its_own_row_only(tasks: dict[str, Task], task_id: str) -> None:
    task = tasks[task_id]
    low, high = -task.observation_limits, task.observation_limits
    rows = np.random.default_rng(0).uniform(low, high, (64, len(low))).astype(np.float32)
    given = task.expert(rows)
    assert (
        given.shape == (64, len(task.action_names))
        and np.isfinite(given).all()
        and np.abs(given).max() <= 1.0
    )
    assert task.expert(rows[::-1])[::-1].tobytes() == np.ascontiguousarray(given).tobytes()
    pairs = [task.expert(np.repeat(row[None], 2, axis=0))[0].tobytes() for row in rows]
    assert pairs == [row.tobytes() for row in given]


# Bounds and words


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_task
@pytest.mark.parametrize("ticks", [40, pytest.param(120, marks=pytest.mark.long)])
def test_observations_are_finite_and_inside_their_limits_on_the_worst_day(
    tasks: dict[str, Task], task_id: str, ticks: int
) -> None:
    task, n = tasks[task_id], 24
    worlds = Worlds(task, n, 2, disturbances=names_of(task))
    worlds.reset(np.arange(n), np.arange(n), {name: np.full(n, 5) for name in names_of(task)})
    rng = np.random.default_rng(1)
    seen = [worlds.observation()]
    for _ in range(ticks):
        worlds.step(np.sign(rng.uniform(-1.0, 1.0, (n, len(task.action_names)))))
        seen.append(worlds.observation())
    every = np.concatenate(seen)
    assert every.dtype == np.float32 and np.isfinite(every).all()
    assert (np.abs(every) <= task.observation_limits).all()
    unclipped = np.abs(every) < task.observation_limits
    coarse = np.array([not re.search(r"mm|fine", name) for name, _ in task.observation_names])
    assert unclipped[:, coarse].mean() > 0.9, "declared limits must be generous"


@each_task
def test_every_signal_is_described_in_two_languages(tasks: dict[str, Task], task_id: str) -> None:
    table = tasks[task_id].table
    assert 10 <= len(table)
    for signal in table.values():
        assert re.fullmatch(r"[a-z]\w*(\.\w+)*", signal.name), signal.name
        assert len(signal.en) > 5 and re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", signal.ja), signal.name
        parse_unit(signal.unit)
        assert signal.kind in ("sensor", "held", "derived", "constant") and signal.rate_hz > 0


@each_task
def test_every_signal_can_be_read_in_its_shape(tasks: dict[str, Task], task_id: str) -> None:
    task, n = tasks[task_id], 3
    worlds = Worlds(task, n, 1)
    worlds.reset(np.arange(n), np.arange(n))
    worlds.step(np.zeros((n, len(task.action_names))))
    for name, signal in task.table.items():
        now = worlds.signals.now[name].copy()  # before the block is asked, which it would be taken from
        block = worlds.signals[name]
        assert now.shape == (n, *signal.shape) and block.shape == (n, task.substeps, *signal.shape), name
        assert now.tobytes() == np.ascontiguousarray(block[:, -1]).tobytes(), name
        assert np.isfinite(block).all(), name


@each_task
def test_names_are_unique_and_the_job_is_described(tasks: dict[str, Task], task_id: str) -> None:
    task = tasks[task_id]
    names = [name for name, _ in task.observation_names]
    assert len(set(names)) == len(names) and len(set(task.action_names)) == len(task.action_names)
    assert len(set(task.reasons)) == len(task.reasons)
    assert {"goal", "running"}.isdisjoint(task.rewards)
    assert 0 < task.takt_s < task.horizon_s and task.physics_hz % task.control_hz == 0
    assert all(task.title) and set(task.sensed) <= set(task.table)


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_task
def test_severity_zero_and_idleness_are_no_fault(tasks: dict[str, Task], task_id: str) -> None:
    task, n = tasks[task_id], 2
    worlds = Worlds(task, n, 1)
    worlds.reset(np.arange(n), np.arange(n))
    while not worlds.done.all():
        worlds.step(np.zeros((n, len(task.action_names))))
    assert not worlds.success.any()
    assert {task.reasons[code] for code in worlds.reason} <= {"timeout", *task.failures}


@each_task
def test_what_is_stepped_leaves_out_what_is_only_looked_at(tasks: dict[str, Task], task_id: str) -> None:
    task = tasks[task_id]
    model = task.model
    sensed = {int(each) for each in (*model.sensor_objid, *model.sensor_refid)}
    sensed |= {int(each) for each in (*model.pair_geom1, *model.pair_geom2)}
    idle = [
        model.geom(i).name or model.body(model.geom_bodyid[i]).name
        for i in range(model.ngeom)
        if not model.geom_contype[i] and not model.geom_conaffinity[i] and i not in sensed
    ]
    assert set(idle) <= set(task.looks)
    assert model.ngeom < 0.5 * task.scene.ngeom
    moves = model.body_treeid >= 0
    assert np.array_equal(model.body_mass[moves], task.scene.body_mass[moves])
    assert np.array_equal(model.body_inertia[moves], task.scene.body_inertia[moves])
