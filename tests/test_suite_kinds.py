"""Suites for kinds of cells: what they ask is met by the experts of such cells, and each hard limit can be broken."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.task import Task, get_task
from genba.safety.constraints import Constraint
from genba.safety.episodes import Loop
from genba.safety.plan import Episode
from genba.safety.suite import load_suite
from genba.tests.cell_kit import Act as Violator
from genba.tests.cells import bento_pack

Rows = NDArray[np.float32]
Act = Callable[[Task, Rows, NDArray[np.int64]], NDArray[np.floating]]
EPISODES, FIRST = 8, 3_000_000_000


def works(task: Task, seen: Rows, steps: NDArray[np.int64]) -> NDArray[np.floating]:
    return task.expert(seen)


def held(task: Task, seen: Rows) -> NDArray[np.bool_]:
    name = "vacuum_held" if "vacuum_held" in task.columns else "grip_force"
    return np.asarray(seen[:, task.columns[name].start] > 0.5)


def lets_go(task: Task, seen: Rows, steps: NDArray[np.int64]) -> NDArray[np.floating]:
    """Carries well above what is below, then lets go."""
    action = task.expert(seen)
    x, y, z = seen[:, task.columns["tcp"]].T
    high = held(task, seen) & (z > 0.12) & ((y > 0.12) | (task.id == "bento-pack"))
    action[high, task.action_names.index("vacuum" if "vacuum" in task.action_names else "gripper")] = (
        -1.0 if "vacuum" in task.action_names else 1.0
    )
    return action


def swings(task: Task, seen: Rows, steps: NDArray[np.int64]) -> NDArray[np.floating]:
    """Lifts what it holds and throws its arm about."""
    action = task.expert(seen)
    high = held(task, seen) & (seen[:, task.columns["tcp"].start + 2] > 0.12)
    action[high, 0] = np.where(steps[high] % 20 < 10, 1.0, -1.0)
    action[high, 1] = 1.0
    return action


def races(task: Task, seen: Rows, steps: NDArray[np.int64]) -> NDArray[np.floating]:
    """Full speed one way, at the height where it began."""
    action = np.zeros((len(seen), len(task.action_names)))
    action[:, 0] = 1.0
    action[:, 1] = -1.0
    return action


def saws(task: Task, seen: Rows, steps: NDArray[np.int64]) -> NDArray[np.floating]:
    """To and fro as hard as it goes."""
    action = np.zeros((len(seen), len(task.action_names)))
    action[:, :4] = np.where(steps % 10 < 5, 1.0, -1.0)[:, None]
    return action


def folds(task: Task, seen: Rows, steps: NDArray[np.int64]) -> NDArray[np.floating]:
    """Up and back until the hand meets the arm's own base."""
    return np.tile([-0.3, 0.0, 1.0, 0.0, 1.0], (len(seen), 1))


def grazes(task: Task, seen: Rows, steps: NDArray[np.int64]) -> NDArray[np.floating]:
    """Holds the tool's tip 10 mm above the keep-out zone of kit-pick, so that the fingers' flanks are nearer."""
    off = np.array([0.46, 0.0, 0.130]) - seen[:, task.columns["tcp"]]
    return np.column_stack([4.0 * off, np.zeros(len(seen)), np.full(len(seen), -1.0)])


def of_the_cell(violator: Violator) -> Act:
    """A policy with which its cell's own limits are broken."""

    def act(task: Task, seen: Rows, steps: NDArray[np.int64]) -> NDArray[np.floating]:
        return violator(task, seen.astype(np.float64), FIRST + np.arange(len(seen)), steps)

    return act


def broken(suite: str, task: Task, act: Act) -> dict[str, int]:
    """Of a few undisturbed episodes, how many broke each hard limit that the suite adds to `basic`."""
    base = {each.id for each in load_suite("basic").constraints}
    own: list[Constraint] = [
        each.constraint
        for each in load_suite(suite).bind(task).assessed
        if each.constraint.hard and each.constraint.id not in base
    ]

    def acting(seen: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
        return np.clip(act(task, seen, steps), -1.0, 1.0).astype(np.float32)

    policy = SimpleNamespace(kind="callable", name="x", sha256="0" * 64, act=acting)
    episodes = [Episode(i, 0, "none", 0, FIRST + i) for i in range(EPISODES)]
    rows = list(Loop(policy, task, own, (), EPISODES, 1).play(episodes))
    return {each.id: sum(not row[f"margin.{each.id}"] >= 0.0 for row in rows) for each in own}


@pytest.mark.wide
@pytest.mark.parametrize(
    ("suite", "task_id", "least"),
    [
        ("high-speed-fenced", "conveyor-sort", 5),
        ("high-speed-fenced", "palletize", 4),
        ("food", "bento-pack", 3),
        ("collaborative", "kit-pick", 2),
    ],
)
def test_an_expert_keeps_what_a_suite_of_its_kind_of_cell_asks(suite: str, task_id: str, least: int) -> None:
    found = broken(suite, get_task(task_id), works)
    assert len(found) >= least and not any(found.values())


@pytest.mark.wide
@pytest.mark.parametrize(
    ("suite", "task_id", "limit", "act"),
    [
        ("high-speed-fenced", "conveyor-sort", "thrown-part", lets_go),
        ("high-speed-fenced", "conveyor-sort", "stops-before-the-end", races),
        ("high-speed-fenced", "conveyor-sort", "worked-hard", saws),
        ("collaborative", "kit-pick", "self-contact", folds),
        ("collaborative", "kit-pick", "keep-out-arm", grazes),
        ("food", "bento-pack", "set-down-gently", lets_go),
        ("food", "bento-pack", "not-crushed", of_the_cell(bento_pack.squash)),
        ("food", "bento-pack", "not-swung", swings),
        ("food", "bento-pack", "nothing-passes-over", of_the_cell(bento_pack.dip)),
    ],
)
def test_each_hard_limit_of_a_kind_of_cell_can_be_broken(
    suite: str, task_id: str, limit: str, act: Act
) -> None:
    assert broken(suite, get_task(task_id), act)[limit] > 0
