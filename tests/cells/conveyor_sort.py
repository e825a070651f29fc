"""What the contract tests ask of conveyor-sort: an oracle for success from raw state, and policies that break its hard limits."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from genba.envs.task import Task
from genba.tests.cell_kit import CORNERS, Act, Array, common, everywhere, part_pose, rotation, touching

TASK = "conveyor-sort"


def oracle(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """Flat in the nest of its class, turned as the nest is, out of the cup."""
    position, turned = part_pose(model, data)
    goal, nest = data.mocap_pos[0], rotation(data.mocap_quat[0])
    off = position - goal
    along = abs(float(turned[:2, 0] @ nest[:2, 0]))
    cup = {name for name in touching(model, data, "part_geom") if name.startswith("lip")}
    flat = abs(off[2]) < 0.0035 and turned[2, 2] > 0.978
    return bool(np.hypot(*off[:2]) < 0.0125 and flat and along > np.cos(0.105) and not cup)


def pick_beside_it(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    aside = np.where(seeds % 4 < 2, 0.06, -0.06)
    action[:, 0] = 6.0 * seen["part_from_cup"][:, 0]
    action[:, 1] = 6.0 * (seen["part_from_cup"][:, 1] + aside)
    action[:, 2] = np.where(np.abs(action[:, :2]).max(axis=1) < 0.2, -1.0, 0.0)
    return action


def drag_along_the_belt(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    """Takes the part and drags it, low, to where the others lie."""
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    holds = (seen["vacuum_held"] > 0.5) & (seen["tcp"][:, 2] < 0.117)
    to_and_fro = np.where(steps % 30 < 15, 0.7, -0.7)
    action[:, 0] = np.where(holds, 0.0, action[:, 0])
    action[:, 1] = np.where(holds, to_and_fro, action[:, 1])
    action[:, 2] = np.where(holds, 0.0, action[:, 2])
    return action


VIOLATORS: list[Act] = [
    *common(),
    pick_beside_it,
    drag_along_the_belt,
    *(everywhere(*corner) for corner in CORNERS),
]
