"""What the contract tests ask of handover: an oracle for success from raw state, and policies that break its hard limits."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from genba.envs.task import Task
from genba.tests.cell_kit import CORNERS, Act, Array, common, everywhere, part_pose, touching

TASK = "handover"


def oracle(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """The handle's end lies at the worker's palm, nothing of the gripper touches the tool, and the gripper has left."""
    position, turned = part_pose(model, data)
    end = position + 0.130 * turned[:, 0]
    palm = data.body("worker_hand").xpos - np.array([0.034, 0.0, 0.0])
    met = abs(end[0] - palm[0]) < 0.03 and np.linalg.norm(end[1:] - palm[1:]) < 0.05
    lies = "worker_grip_face" in touching(model, data, "part_handle", 0.0025)
    fingers = {name for name in touching(model, data, "part_geom") if name.startswith("2f85/")}
    left = np.linalg.norm(data.body("worker_hand").xpos - data.site("2f85/tcp").xpos) > 0.255
    return bool(met and lies and not fingers and left)


def hold_on(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    action[seen["handed"] > 1.0, 4] = -1.0
    return action


def stab(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    action = hold_on(task, o, seeds, steps)
    action[task.split(o.astype(np.float32))["handed"] > 1.0, :3] = [1.0, 0.0, 0.0]
    return action


def grab_the_hand(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    way = 4.0 * task.split(o.astype(np.float32))["hand_from_tcp"]
    return np.column_stack([way, np.zeros(len(o)), np.ones(len(o))])


def rush(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    action[seen["worker_distance"] < 0.25, :3] *= 4.0
    return action


def crosswise(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    """Turns the tool across and lays its blade into the palm."""
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    carries = (seen["grip_force"] > 5.0) & (seen["tcp"][:, 2] > -0.03)
    turn = seen["place_yaw"] - np.pi / 2
    to = seen["hand_from_tcp"] - np.array([0.03, 0.085, 0.0])
    action[carries, :3] = np.where(np.abs(turn)[:, None] < 0.3, 4.0 * to, [0.0, 0.0, 0.3])[carries]
    action[carries, 3], action[carries, 4] = turn[carries], -1.0
    return action


VIOLATORS: list[Act] = [
    *common(),
    hold_on,
    stab,
    grab_the_hand,
    rush,
    crosswise,
    crosswise,
    *(everywhere(*corner) for corner in CORNERS),
]
