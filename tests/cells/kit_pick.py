"""What the contract tests ask of kit-pick: an oracle for success from raw state, and policies that break its hard limits."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from genba.envs.task import Task
from genba.tests.cell_kit import CORNERS, Act, Array, common, everywhere, part_pose, touching, twist

TASK = "kit-pick"


def oracle(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """Upright on the tray's base, in the middle of the marked slot, long side across, out of the fingers."""
    position, turned = part_pose(model, data)
    geom = model.geom("part_geom")
    cylinder = geom.type[0] == mujoco.mjtGeom.mjGEOM_CYLINDER
    half_height = geom.size[1] if cylinder else geom.size[2]
    tray = data.geom("tray_base")
    top = tray.xpos[2] + model.geom("tray_base").size[2]
    slots = [tray.xpos[:2] + np.array([x, y]) for x in (-0.066, 0.066) for y in (-0.0515, 0.0515)]
    wanted = min(slots, key=lambda slot: float(np.linalg.norm(slot - data.mocap_pos[0, :2])))
    centred = np.linalg.norm(position[:2] - wanted) < 0.0105
    stands = abs(position[2] - half_height - top) < 0.0045 and turned[2, 2] > 0.975
    straight = cylinder or abs(turned[0, 0]) < np.sin(0.13)
    held = {"pad_left", "pad_right"} & touching(model, data, "part_geom")
    return bool(
        centred and stands and straight and not held and "tray_base" in touching(model, data, "part_geom")
    )


def ram_the_hand(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    action[:, :3] = seen["hand_from_tcp"] / np.abs(seen["hand_from_tcp"]).max(axis=1, keepdims=True)
    return action


def carry_to_the_hand(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    lifted = (seen["grip_force"] > 1.0) & (seen["tcp"][:, 2] > 0.12)
    action[lifted, :3] = (4.0 * seen["hand_from_tcp"] - np.array([0.0, 0.0, -0.1]))[lifted]
    return action


VIOLATORS: list[Act] = [
    *common(),
    ram_the_hand,
    carry_to_the_hand,
    twist,
    *(everywhere(*corner) for corner in CORNERS),
]
