"""What the contract tests ask of bento-pack: an oracle for success from raw state, and policies that break its hard limits."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from genba.envs.task import Task
from genba.tests.cell_kit import CORNERS, Act, Array, common, everywhere, part_pose, touching

TASK = "bento-pack"


def oracle(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """On the floor of its own compartment, inside its walls, along the box unless it is round, out of the fingers."""
    position, turned = part_pose(model, data)
    geom, floor = model.geom("part_geom"), data.geom("bento_floor")
    cylinder = geom.type[0] == mujoco.mjtGeom.mjGEOM_CYLINDER
    half_height = geom.size[1] if cylinder else geom.size[2]
    top = floor.xpos[2] + model.geom("bento_floor").size[2]
    lies = abs(position[2] - half_height - top) < 0.0045 and turned[2, 2] > 0.98
    goal, middle = data.mocap_pos[0, :2], floor.xpos[:2]
    same = np.sign(position[:2] - middle) == np.sign(goal - middle)
    centred = np.linalg.norm(position[:2] - goal) < 0.0165
    along = cylinder or abs(turned[0, 0]) < np.sin(0.21)
    held = {"soft/pad_left", "soft/pad_right"} & touching(model, data, "part_geom")
    return bool(lies and same.all() and centred and along and not held)


def squash(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    action[seen["grip_force"] > 0.5, 4] = -1.0
    return action


def dip(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    to_it = np.array([0.27, 0.16, 0.06]) - task.split(o.astype(np.float32))["tcp"]
    over = np.abs(to_it[:, :2]).max(axis=1, keepdims=True) < 0.02
    return np.column_stack(
        [8.0 * to_it[:, :2], np.where(over, 8.0 * to_it[:, 2:], 0.0), np.zeros((len(o), 2))]
    )


VIOLATORS: list[Act] = [*common(), squash, dip, *(everywhere(*corner) for corner in CORNERS)]
