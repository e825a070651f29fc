"""What every registered task keeps: a sane start, an expert that succeeds, an oracle on raw state that agrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.engine import Engine
from genba.envs.streams import Streams
from genba.envs.task import SEED_RANGES, Task, task_ids
from genba.envs.worlds import Worlds
from genba.tests.cell_kit import Act, Oracle, base_suite, by_expert, cells

TASKS = task_ids()
each_task = pytest.mark.parametrize("task_id", TASKS)


# A sane start


def deepest(task: Task, seeds: NDArray[np.int64]) -> float:
    """The deepest penetration in m over the start poses of the seeds."""
    engine = Engine(task.model, len(seeds), 2, task.substeps, task.expanded)
    start = task.place(Streams(task.key, seeds))
    engine.restart(
        np.arange(len(seeds)), start.qpos, start.ctrl, start.mocap_pos, start.mocap_quat, start.fields
    )
    worst = 0.0
    for world in range(len(seeds)):
        model, data = engine.snapshot(world)
        mujoco.mj_forward(model, data)
        worst = max(worst, -min((contact.dist for contact in data.contact), default=0.0))
    return worst


@each_task
def test_nothing_overlaps_deeply_at_the_start(tasks: dict[str, Task], task_id: str) -> None:
    assert deepest(tasks[task_id], np.arange(100)) < 1e-3


@pytest.mark.long
@each_task
def test_nothing_overlaps_deeply_at_a_thousand_starts(tasks: dict[str, Task], task_id: str) -> None:
    for start in range(0, 1000, 100):
        assert deepest(tasks[task_id], SEED_RANGES["test"] + np.arange(start, start + 100)) < 1e-3


# The expert, and an oracle that looks at raw state


ORACLES: dict[str, Oracle] = {task: module.oracle for task, module in cells().items()}


CARELESS: dict[str, Act] = {task: getattr(module, "careless", by_expert) for task, module in cells().items()}


def finish(worlds: Worlds, task: Task, act: Act = by_expert) -> None:
    """Play until every world is done."""
    while not worlds.done[: worlds.n].all():
        worlds.step(act(task, worlds.observation().astype(float), worlds.seeds, worlds.steps))


def verdicts(worlds: Worlds, oracle: Oracle) -> list[bool]:
    found = []
    for world in range(worlds.n):
        model, data = worlds.engine.snapshot(world)
        mujoco.mj_forward(model, data)
        found.append(oracle(model, data))
    return found


def test_every_task_has_an_oracle() -> None:
    assert set(ORACLES) == set(TASKS)


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_task
@pytest.mark.parametrize("n", [24, pytest.param(1000, marks=pytest.mark.long)])
def test_the_expert_succeeds_without_a_warning_and_the_oracle_agrees(
    tasks: dict[str, Task], task_id: str, n: int
) -> None:
    task = tasks[task_id]
    worlds = Worlds(task, n, 2)
    worlds.reset(np.arange(n), SEED_RANGES["test"] + np.arange(n))
    began = verdicts(worlds, ORACLES[task_id])
    finish(worlds, task)
    assert worlds.success[:n].mean() >= 0.95
    assert worlds.engine.batch.warning[:, :, 1].sum() == 0
    assert np.nanmedian(worlds.cycle_s) <= task.takt_s
    assert not any(began)
    assert verdicts(worlds, ORACLES[task_id]) == worlds.success[:n].tolist()


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_task
@pytest.mark.parametrize("n", [12, pytest.param(240, marks=pytest.mark.long)])
def test_the_oracle_agrees_where_the_expert_fails(tasks: dict[str, Task], task_id: str, n: int) -> None:
    """Noise and delay leave near misses behind, or the cell's own careless policy where its expert takes them in its stride: neither side may
    call one a success alone."""
    task = tasks[task_id]
    worlds = Worlds(task, n, 2, disturbances=("sensor-noise", "observation-delay"))
    levels = {"sensor-noise": 1 + np.arange(n) % 5, "observation-delay": np.where(np.arange(n) % 2, 5, 0)}
    worlds.reset(np.arange(n), SEED_RANGES["test"] + np.arange(n), levels)
    finish(worlds, task, CARELESS[task_id])
    assert 0 < worlds.success[:n].sum() < n
    assert verdicts(worlds, ORACLES[task_id]) == worlds.success[:n].tolist()


@dataclass(frozen=True)
class Expert:
    """The teacher as a policy."""

    task: Task
    kind: str = "scripted"
    name: str = "expert"
    sha256: str = ""

    def act(self, observation: NDArray[np.float32], seeds: Any, steps: Any) -> NDArray[np.float32]:
        return self.task.expert(observation).astype(np.float32)


@pytest.mark.long
@each_task
def test_the_expert_succeeds_at_a_thousand_seeds_and_keeps_every_hard_constraint(
    tasks: dict[str, Task], task_id: str
) -> None:
    from genba.safety.episodes import Loop
    from genba.safety.plan import Episode
    from genba.safety.suite import load_suite

    task = tasks[task_id]
    hard = [
        bound.constraint
        for bound in load_suite(base_suite(task_id)).bind(task).assessed
        if bound.constraint.hard
    ]
    loop = Loop(Expert(task), task, hard, (), worlds=128, threads=2)
    episodes = [Episode(i, 0, "none", 0, SEED_RANGES["test"] + i) for i in range(1000)]
    rows = list(loop.play(episodes))
    breaches = [
        (row["seed"], constraint.id)
        for row in rows
        for constraint in hard
        if not row[f"margin.{constraint.id}"] >= 0.0
    ]
    assert np.mean([row["success"] for row in rows]) >= 0.97
    assert breaches == []
