"""What the contract tests ask of inspect: an oracle for success from raw state, and policies that break its hard limits."""

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

TASK = "inspect"


def flawed(model: mujoco.MjModel) -> bool:
    """A boss is gone, there is a scratch or a dent, or green against red is off by more than good castings are."""
    gone = any(model.geom(f"boss_{i}").size[0] < 0.001 for i in range(1, 7))
    marked = any(model.geom(name).size[0] > 0.0005 for name in ("scratch", "dent"))
    red, green = model.geom("part_geom").rgba[:2]
    return bool(gone or marked or abs(green / red - 0.44 / 0.93) > 0.02)


def oracle(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """On the floor of the tray that it belongs in, out of the fingers."""
    position, _ = part_pose(model, data)
    tray = "reject_floor" if flawed(model) else "good_floor"
    touched = touching(model, data, "part_geom")
    over = np.abs(position[:2] - data.geom(tray).xpos[:2]) < model.geom(tray).size[:2]
    return bool(tray in touched and over.all() and not {"pad_left", "pad_right"} & touched)


def _gripped(task: Task, o: Array) -> tuple[dict[str, Array], Array, NDArray[np.bool_]]:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    return seen, action, (seen["grip_force"] > 1.0) & (seen["tcp"][:, 2] > 0.16)


def wave_through(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    """Whatever it is, it is good."""
    seen, action, carried = _gripped(task, o)
    action[carried, :3] = np.clip(8.0 * seen["good_from_part"], -1.0, 1.0)[carried] * np.array(
        [1.0, 1.0, 0.0]
    )
    over = (np.abs(seen["good_from_part"][:, :2]) < 0.04).all(axis=1) & (seen["grip_force"] > 1.0)
    action[over, :3] = [0.0, 0.0, -0.3]
    return action


def sweep_past(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    """To and fro through where the camera looks, the face turned to it, never still."""
    seen, action, carried = _gripped(task, o)
    high = carried & (np.abs(seen["station_from_tcp"][:, 2]) < 0.004) & (np.abs(seen["next_turn"]) < 0.03)
    action[high, 1] = np.where(steps // 20 % 2 == 0, 0.6, -0.6)[high]
    return action


def show_it_closely(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    """Right up to the lens."""
    _, action, carried = _gripped(task, o)
    action[carried, :4] = [0.7, 0.0, 0.0, 0.0]
    return action


VIOLATORS: list[Act] = [
    *common(),
    wave_through,
    wave_through,
    sweep_past,
    show_it_closely,
    twist,
    to_and_fro,
    *(everywhere(*corner) for corner in CORNERS),
]
