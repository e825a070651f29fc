"""What the experts decide in the moments that used to go wrong, from single observations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.task import Task, get_task
from genba.envs.worlds import Worlds

Row = dict[str, float | tuple[float, ...]]


def answer(task: Task, given: Row) -> dict[str, float]:
    """The expert's action by name, where the observation is `given` and zero elsewhere; distances to people are large."""
    seen: NDArray[np.float32] = np.zeros((1, len(task.observation_names)), np.float32)
    far: Row = {"hand_from_tcp": (0.6, 0.0, 0.0), "worker_distance": 0.6}
    for name, value in ({k: v for k, v in far.items() if k in task.columns} | given).items():
        seen[:, task.columns[name]] = value
    return dict(zip(task.action_names, task.expert(seen)[0].tolist(), strict=True))


def over(offset: tuple[float, float, float], width: float = 0.08) -> Row:
    """The open gripper over a part that lies in the tote, far from its slot."""
    return {
        "tcp": (0.46, -0.29, 0.03),
        "part_from_tcp": offset,
        "goal_from_part": (0.0, 0.5, 0.0),
        "gripper_width": width,
    }


def test_fingers_that_close_do_not_sink() -> None:
    """A finger that touches first and sinks wedges the part against the floor: 140 N from a grip of 40 N."""
    task = get_task("kit-pick")
    closing = answer(task, over((0.002, 0.0, -0.006)))
    assert closing["gripper"] == -1.0 and closing["vz"] == 0.0 and closing["vx"] > 0.0
    sinking = answer(task, over((0.002, 0.0, -0.03)))
    assert sinking["gripper"] == 1.0 and sinking["vz"] < 0.0


def test_fingers_that_close_go_on_closing() -> None:
    """At the edge of where closing begins a gripper would open and close for ever."""
    task = get_task("kit-pick")
    edge = (0.0, 0.0, -0.0105)
    assert answer(task, over(edge))["gripper"] == 1.0
    assert answer(task, over(edge, width=0.05))["gripper"] == -1.0


def test_between_a_placed_part_and_a_hand_the_tool_rests() -> None:
    task = get_task("kit-pick")
    placed: Row = {"tcp": (0.394, 0.2485, 0.03), "gripper_width": 0.08}
    assert answer(task, placed)["vz"] > 0.1
    near = answer(task, placed | {"hand_from_tcp": (0.0, -0.15, 0.1), "worker_distance": 0.05})
    assert [near[name] for name in ("vx", "vy", "vz")] == [0.0, 0.0, 0.0] and near["gripper"] == 1.0


def test_a_cup_lets_go_of_a_part_that_hangs_by_an_edge() -> None:
    task = get_task("conveyor-sort")
    touching: Row = {
        "tcp": (0.27, 0.0, 0.12),
        "part_from_cup": (0.002, 0.003, 0.004),
        "goal_from_part": (-0.3, 0.3, 0.0),
    }
    assert answer(task, touching | {"vacuum_force": 4.0})["vacuum"] == 1.0
    hanging = answer(task, touching | {"vacuum_force": 16.0})
    assert hanging["vacuum"] == -1.0 and hanging["vz"] > 0.05
    assert answer(task, touching | {"vacuum_force": 16.0, "vacuum_held": 1.0})["vacuum"] == 1.0


@pytest.mark.parametrize("task_id", ["kit-pick", "conveyor-sort"])
def test_gaps_are_what_is_left_in_plan_view(task_id: str) -> None:
    """The columns that the student decides by are the lengths of those that it has as components."""
    task = get_task(task_id)
    worlds = Worlds(task, 16, 1)
    worlds.reset(np.arange(16), np.arange(16))
    for _ in range(30):
        worlds.step(task.expert(worlds.observation()))
    seen = task.split(worlds.observation())
    tool = "part_from_tcp" if task_id == "kit-pick" else "part_from_cup"
    for gap, of in (("part_gap", tool), ("goal_gap", "goal_from_part")):
        length = np.hypot(seen[of][:, 0], seen[of][:, 1])
        for clip, suffix in ((0.03, "30mm"), (0.008, "8mm")):
            np.testing.assert_allclose(seen[f"{gap}_{suffix}"], np.minimum(length, clip), atol=1e-6)
    if task_id == "kit-pick":
        away = seen["hand_from_tcp"]
        towards = -(seen["hand_velocity"] * away).sum(1) / np.linalg.norm(away, axis=1)
        np.testing.assert_allclose(seen["hand_approach"], towards, atol=1e-5)
        np.testing.assert_allclose(seen["worker_distance_30cm"], np.minimum(seen["worker_distance"], 0.3))


def held_up(**seen: float | tuple[float, ...]) -> Row:
    """A casting held before the camera."""
    return {
        "tcp": (0.5, 0.0, 0.281),
        "grip_force": 20.0,
        "gripper_width": 0.036,
        "height_left": 0.22,
        "good_from_part": (-0.14, 0.34, -0.22),
        "reject_from_part": (0.07, 0.34, -0.22),
        **seen,
    }


def test_what_was_not_judged_is_not_good() -> None:
    """Without three judged faces a part goes nowhere, and to the rejects once the camera has given up."""
    task = get_task("inspect")
    waiting = answer(task, held_up(views_judged=2.0, next_turn=0.5))
    assert waiting["vy"] == 0.0 and waiting["yaw_rate"] > 0.5
    good = answer(task, held_up(views_judged=3.0, worst_score=0.4))
    assert good["vy"] > 0.3 and good["vx"] < 0.0
    for why in ({"worst_score": 1.3}, {"given_up": 1.0}):
        bad = answer(task, held_up(views_judged=3.0, **why))
        assert bad["vy"] > 0.3 and bad["vx"] > 0.0
