"""What looks like success and is none: parts on their side, a tool that is given blade first, pushes that a stack's own sensors would miss."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.goods import yaw_quat
from genba.envs.task import get_task
from genba.envs.worlds import Worlds
from genba.tests.cell_kit import cells

Floats = NDArray[np.float64]
ACROSS = np.sqrt(0.5)


def put(worlds: Worlds, position: Floats, quat: Floats) -> None:
    """The part of every world, at rest."""
    model = worlds.task.model
    joint = model.joint("part_free")
    at, speed = int(joint.qposadr[0]), int(joint.dofadr[0])
    engine = worlds.engine
    engine.qpos[:, at : at + 3], engine.qpos[:, at + 3 : at + 7] = position, quat
    engine.qvel[:, speed : speed + 6] = 0.0
    engine.forward(np.arange(worlds.rows))
    worlds.done[:] = False


def wait(worlds: Worlds, ticks: int, tool: float) -> None:
    action = np.zeros((worlds.rows, len(worlds.task.action_names)))
    action[:, 4] = tool
    for _ in range(ticks):
        worlds.step(action)


def by_the_oracle(worlds: Worlds) -> NDArray[np.bool_]:
    oracle = cells()[worlds.task.id].oracle
    found = []
    for world in range(worlds.n):
        model, data = worlds.engine.snapshot(world)
        mujoco.mj_forward(model, data)
        found.append(oracle(model, data))
    return np.array(found)


@pytest.mark.parametrize(("task_id", "tool"), [("bento-pack", 1.0), ("conveyor-sort", -1.0)])
@pytest.mark.parametrize("axis", [-1, 1, 2])
def test_a_part_on_its_side_is_not_in_its_place(task_id: str, tool: float, axis: int) -> None:
    """Axis -1: as it should lie; else tipped over that axis of its own, 1 for x, 2 for y."""
    task = get_task(task_id)
    worlds = Worlds(task, 24, 2)
    worlds.reset(np.arange(24), np.arange(24))
    now, half = worlds.signals.now, worlds.held["part.size"]
    straight = yaw_quat(np.full(24, np.pi / 2)) if task_id == "bento-pack" else now["target.quat"]
    tip = np.array([1.0, 0.0, 0.0, 0.0])
    height = half[:, 2]
    if axis > 0:
        tip[0], tip[axis] = ACROSS, ACROSS
        height = half[:, 2 - axis]
    quat = np.zeros((24, 4))
    for world in range(24):
        mujoco.mju_mulQuat(quat[world], straight[world], tip)
    position = now["target.pos"] + np.column_stack([np.zeros((24, 2)), height - half[:, 2] + 0.0003])
    put(worlds, position, quat)
    wait(worlds, 40, tool)
    reached = task.success(worlds.signals.now)
    assert reached.any() == (axis < 0)
    assert not (reached & ~by_the_oracle(worlds)).any()


@pytest.mark.parametrize(
    ("yaw", "off", "given"),
    [
        (0.0, (-0.164, 0.0), True),  # handle first
        (np.pi / 2, (-0.039, 0.075), False),  # the blade across the palm
        (np.pi, (-0.159, 0.0), False),  # blade first
    ],
)
def test_a_tool_is_given_by_its_handle(yaw: float, off: tuple[float, float], given: bool) -> None:
    task = get_task("handover")
    worlds = Worlds(task, 8, 2)
    worlds.reset(np.arange(8), np.arange(8))
    wait(worlds, 230, 1.0)  # the hand is out
    put(worlds, worlds.signals.now["worker.hand.pos"] + np.array([*off, 0.0]), yaw_quat(np.full(8, yaw)))
    blade = np.zeros(8)
    for _ in range(25):
        wait(worlds, 1, 1.0)
        blade = np.maximum(blade, worlds.signals["blade.force"].max(axis=1))
    assert task.success(worlds.signals.now).all() == given
    assert not (task.success(worlds.signals.now) & ~by_the_oracle(worlds)).any()
    assert (blade > 0.0).all() == (not given)


def test_a_case_that_is_pushed_against_the_layer_below_is_felt() -> None:
    """The first case of a layer stands beside none of its own."""
    task = get_task("palletize")
    worlds = Worlds(task, 64, 2)
    worlds.reset(np.arange(64), np.arange(64))
    now = worlds.signals.now
    high = now["target.pos"][:, 2] > now["target.pos"][:, 2].min() + 0.1  # on a layer
    first = (now["others.start"].reshape(64, 3, 3)[:, :, 2] < -0.6).all(axis=1)
    asked = high & first
    assert asked.sum() >= 3
    beside = now["target.pos"] + np.array([0.30, 0.0, -0.10])  # as deep as the layer, just outside it
    put(worlds, beside, now["target.quat"])
    joint = int(task.model.joint("part_free").dofadr[0])
    worlds.engine.qvel[:, joint] = -2.0
    pushed = np.zeros(64)
    for _ in range(6):
        wait(worlds, 1, -1.0)
        pushed = np.maximum(pushed, worlds.signals["stack.force"].max(axis=1))
    assert (pushed[asked] > 40.0).all()
