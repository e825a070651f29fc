"""What the contract tests ask of peg-insert: an oracle for success from raw state, and policies that break its hard limits."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from genba.envs.task import Task
from genba.tests.cell_kit import (
    CORNERS,
    Act,
    Array,
    common,
    everywhere,
    part_pose,
    to_and_fro,
    touching,
    twist,
)

TASK = "peg-insert"


def oracle(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """Upright on the floor of the hole, its lower end deep below the face of the block, out of the fingers."""
    position, turned = part_pose(model, data)
    geom, floor = model.geom("part_geom"), data.geom("block_floor")
    half = geom.size[1] if geom.type[0] == mujoco.mjtGeom.mjGEOM_CYLINDER else geom.size[2]
    lower_end = position - half * turned[:, 2]
    top = floor.xpos[2] + model.geom("block_floor").size[2]
    on_floor = abs(lower_end[2] - top) < 0.0027
    in_hole = np.linalg.norm(lower_end[:2] - floor.xpos[:2]) < 0.0045 and turned[2, 2] > 0.994
    held = {"pad_left", "pad_right"} & touching(model, data, "part_geom")
    return bool(on_floor and in_hole and not held)


def force_it_in(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    at_the_hole = (seen["grip_force"] > 1.0) & (np.abs(seen["goal_from_part"][:, :2]).max(axis=1) < 0.01)
    action[at_the_hole, :3] = [0.3, 0.0, -1.0]
    return action


VIOLATORS: list[Act] = [
    *common(),
    force_it_in,
    twist,
    to_and_fro,
    *(everywhere(*corner) for corner in CORNERS),
]
