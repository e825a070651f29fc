"""What the contract tests ask of aisle-amr: an oracle for success from raw state, and policies that break its hard limits."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from genba.envs.streams import Streams
from genba.envs.task import Task
from genba.tests.cell_kit import (
    Act,
    Array,
    chatter,
    everywhere,
    lurch,
    not_a_number,
    part_pose,
    rotation,
    touching,
)

TASK = "aisle-amr"


def oracle(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """The tote lies on the vehicle's deck, upright, where the station wants it; the vehicle and its wheels stand."""
    position, turned = part_pose(model, data)
    station = rotation(data.mocap_quat[0])
    wanted = data.mocap_pos[0] + station @ np.array([-0.1155, 0.0, 0.0])
    off = position - wanted
    lies = "mp500_hull" in touching(model, data, "part_geom", 0.001) and turned[2, 2] > 0.99
    straight = abs(float(turned[:2, 1] @ station[:2, 0])) < np.sin(0.061)
    at = int(model.joint("mp500_free").dofadr[0])
    wheels = [data.qvel[model.joint(name).dofadr[0]] for name in ("wheel_left", "wheel_right")]
    still = np.linalg.norm(data.qvel[at : at + 3]) < 0.021 and max(np.abs(wheels)) < 0.25
    return bool(np.hypot(*off[:2]) < 0.036 and lies and straight and still)


def aimed(name: str, by: float) -> Act:
    """The expert, who sees one column `by` more than there is."""

    def act(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
        seen = o.astype(np.float32).copy()
        seen[:, task.columns[name]] += by
        return task.expert(seen)

    return act


def careless(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    """The expert, who believes the station to be elsewhere, by up to 60 mm along and across."""
    seen = o.astype(np.float32).copy()
    off = Streams("careless", seeds).between("station", -0.06, 0.06, (2,))
    seen[:, task.columns["dock_ahead"]] += off[:, :1]
    seen[:, task.columns["dock_aside"]] += off[:, 1:]
    return task.expert(seen)


def hurry(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    """The expert in half the time."""
    action = task.expert(o.astype(np.float32)).copy()
    action[:, 0] *= 2.0
    return action


def blind(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    """Goes on whoever is in the way."""
    action = task.expert(o.astype(np.float32)).copy()
    action[:, 0] = 0.5
    return action


def chase(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    """To the nearest return in the crossing: follows people."""
    seen = task.split(o.astype(np.float32))
    near = seen["stranger_ahead"] < 3.9
    rays = seen["scanner"][:, 9:18]
    side = (4.0 - rays.argmin(axis=1)) / 4.0
    action = task.expert(o.astype(np.float32)).copy()
    action[near, 0], action[near, 1] = 0.5, side[near]
    return action


def twirl(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    """In a narrow circle as fast as can be, stopping hard again and again."""
    on = steps % 120 < 90
    return np.column_stack([np.where(on, 0.75, 0.0), np.where(on, 1.0, -1.0)])


def to_and_fro(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    ahead = steps < 75
    return np.column_stack([np.where(ahead, 1.0, -1.0), np.zeros(len(o))])


def skewed(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    """Turns away where it should be straight."""
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    action[seen["dock_ahead"] < 0.15, 1] = 0.25
    return action


VIOLATORS: list[Act] = [
    chatter,
    *(lurch(ticks) for ticks in (10, 25, 50)),
    not_a_number,
    hurry,
    *(blind,) * 4,
    *(chase,) * 6,
    *(twirl,) * 5,
    to_and_fro,
    skewed,
    aimed("dock_aside", 0.06),
    aimed("dock_ahead", 0.10),
    everywhere(1.0, 0.0),
    everywhere(-1.0, 0.0),
    everywhere(0.5, 0.5),
    everywhere(0.3, -0.2),
]
