"""What the contract tests ask of palletize: an oracle for success from raw state, and policies that break its hard limits."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from genba.envs.task import Task
from genba.tests.cell_kit import CORNERS, Act, Array, common, everywhere, part_pose, touching

TASK = "palletize"


def oracle(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """Flat and straight in the free place of the layer, on the pallet or on cases, out of the cups; nothing else was moved."""
    position, turned = part_pose(model, data)
    pallet = data.body("pallet").xpos
    gap = np.abs(data.mocap_pos[0, :2] - pallet[:2]) - np.array([0.12, 0.08])
    assert (gap > 0.002).all()
    places = [pallet[:2] + (np.array([0.12, 0.08]) + gap) * [x, y] for x in (1, -1) for y in (1, -1)]
    wanted = min(places, key=lambda place: float(np.linalg.norm(place - data.mocap_pos[0, :2])))
    centred = np.linalg.norm(position[:2] - wanted) < 0.0125
    level = (position[2] - 0.06 - pallet[2]) / 0.12
    flat = abs(level - round(level)) * 0.12 < 0.0065 and turned[2, 2] > 0.999 and abs(turned[1, 0]) < 0.051
    below = {name for name in touching(model, data, "part_geom") if name.startswith(("pallet", "layer"))}
    held = {name for name in touching(model, data, "part_geom") if name.startswith("lip")}
    others = [data.body(f"other_{i}").xpos for i in (1, 2, 3)]
    stand = all(
        min(float(np.linalg.norm(other[:2] - place)) for place in places) < 0.0125
        for other in others
        if other[1] < 0.6 and other[2] > -0.5
    )
    return bool(centred and flat and below and not held and stand)


def shove_the_stack(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    low = (seen["vacuum_held"] > 0.5) & (seen["goal_from_part"][:, 2] > -0.06)
    action[low, :3] = [0.5, 1.0, 0.0]
    return action


VIOLATORS: list[Act] = [*common(), shove_the_stack, *(everywhere(*corner) for corner in CORNERS)]
