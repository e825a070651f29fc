"""What the contract tests ask of screw-drive: an oracle for success from raw state, and policies that break its hard limits."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from genba.envs.streams import Streams
from genba.envs.task import Task
from genba.tests.cell_kit import CORNERS, Act, Array, everywhere, lurch, restless, rotation

TASK, GRIPS = "screw-drive", False
PITCH, FRICTION, ARM, ROLLING = 0.0007, 0.25, 0.0035, 0.03


def clamp(model: mujoco.MjModel, data: mujoco.MjData) -> float:
    """Vertical force in N between the screw's head and the casting, summed over their contacts."""
    screw, deck, total, force = model.body("screw").id, model.geom("deck").id, 0.0, np.zeros(6)
    for index, contact in enumerate(data.contact):
        first, second = (int(geom) for geom in contact.geom)
        if deck in (first, second) and screw in (model.geom_bodyid[first], model.geom_bodyid[second]):
            mujoco.mj_contactForce(model, data, index, force)
            total += force[0]
    return total


def oracle(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """The screw is upright and deep in its boss, still, and clamps with what the ordered torque gives; the bit is off and above it."""
    depth = data.qpos[model.joint("depth").qposadr[0]]
    turned = data.qpos[model.joint("turn").qposadr[0]]
    on_thread = abs(depth + PITCH * turned / (2.0 * np.pi)) < 1e-6
    upright = rotation(data.body("screw").xquat)[2, 2] > np.cos(0.031)
    order = 100.0 * model.site("ticket").pos[0]
    force = (order - ROLLING) / (FRICTION * ARM + PITCH / (2.0 * np.pi))
    clamps = 0.79 * force < clamp(model, data) < 1.21 * force
    bit, head = data.site("driver/tcp").xpos, data.body("screw").xpos
    above = bit[2] > head[2] + 0.010
    still = abs(data.qvel[model.joint("turn").dofadr[0]]) < 0.11
    return bool(on_thread and -0.0003 < depth < 0.0 and upright and clamps and above and still)


def overtighten(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    tight = seen["angle_share_fine"] > 0.0
    action[tight, 2], action[tight, 4] = -0.02, 1.0
    return action


def beside(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    """Puts the bit down 3 mm beside the middle and turns."""
    moved = o.astype(np.float32).copy()
    for name, limit in (("head_from_bit", 4.0), ("head_from_bit_30mm", 0.03), ("head_from_bit_4mm", 0.004)):
        at = task.columns[name].start
        moved[:, at] = np.clip(moved[:, task.columns["head_from_bit"].start] + 0.003, -limit, limit)
    return task.expert(moved)


def barely(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    """Turns with all its torque, the bit hardly pushed in."""
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    on = (seen["bit_in"] > 0.0) & (seen["head_gap_30mm"] < 0.004)
    action[on, 2] = np.clip(4.0 * (seen["bit_in"][on] - 0.0006), -0.05, 0.05)
    action[on, 4] = 1.0
    return action


def ram(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    over = seen["head_gap_30mm"] < 0.002
    action[over, 2:] = [-1.0, 0.0, 0.0]
    return action


def scrape(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    """Down on the casting 12 mm inwards of the screw."""
    to_it = task.split(o.astype(np.float32))["head_from_bit"] - np.array([0.0, 0.012, 0.006])
    over = np.abs(to_it[:, :2]).max(axis=1, keepdims=True) < 0.004
    down = np.where(over, np.minimum(8.0 * to_it[:, 2:], -0.05), 0.0)
    return np.column_stack([8.0 * to_it[:, :2], down, np.zeros((len(o), 2))])


def shove(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    """Presses on the screw and pulls away sideways."""
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    action[seen["bit_in"] > 0.003, :2] = [1.0, 1.0]
    return action


def grope(number: int) -> Act:
    """Sweeps about with the tool down until it bounces off something; `number` says which of many sweeps."""

    def act(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
        action = 6.0 * Streams("grope", np.full(len(o), number)).uniform("a", (5,), steps // 20) - 3.0
        action[:, 2] = -1.0
        return np.clip(action, -1.0, 1.0)

    return act


VIOLATORS: list[Act] = [
    *restless(), grope(468), grope(601), overtighten, beside, barely, ram, scrape, shove, lurch(20), *(everywhere(*corner) for corner in CORNERS)
]  # fmt: skip
