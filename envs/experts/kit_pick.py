"""The expert of kit-pick: over the part, down, close; up, across, down, let go. It slows, waits and backs off before a hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..signals import Array
from ..terms import capped, dot, norm, norm_xy, ramp
from .grasp import between_fingers, to_the_part

CARRY_Z = 0.19  # m above the bench
SPEED, FASTEST = 0.60, 0.62  # m/s: of its own work, and with backing off
SINK = 0.012  # m below its slot that a part is aimed at, so that it arrives with speed and never hovers at a threshold


def act(o: Mapping[str, Array], grip_force: float, cautious: bool = True) -> Array:
    """`(n, 5)`: tool velocity in m/s, yaw rate in rad/s and grip force in N (negative closes) from the observation by term."""
    goal, turn, gripped = o["goal_from_part"], o["place_yaw"], ramp(o["grip_force"], 1.0, 4.0) > 0.5
    stands = (norm_xy(goal) < 0.0075) & (np.abs(goal[:, 2]) < 0.0085) & (np.abs(turn) < 0.10)
    holding = gripped & ~stands
    there = between_fingers(o) & ~stands
    velocity = np.where(holding[:, None], _to_the_slot(o), to_the_part(o, CARRY_Z))
    closing = there & ~holding
    # a finger that touches first and sinks wedges the part against the floor
    velocity = np.where(closing[:, None], velocity * np.array([0.5, 0.5, 0.0]), velocity)
    velocity = np.where(stands[:, None], _away(o, gripped), velocity)
    velocity = capped(velocity, SPEED)
    if cautious:
        stays = stands & (o["tcp"][:, 2] < 0.12)  # between hand and part is no place to begin to rise
        calm = np.where(stays, ramp(o["worker_distance"], 0.15, 0.25), 1.0)
        velocity = _give_way(velocity, o) * calm[:, None]
    lifted = np.where(norm_xy(goal) < 0.05, 1.0, ramp(o["tcp"][:, 2], 0.06, 0.11))  # no turning on the floor
    rate = np.where(stands, 0.0, np.where(holding, 3.0 * lifted * turn, 4.0 * o["grip_yaw"]))
    force = np.where((holding | there) & ~stands, -grip_force, grip_force)
    return np.column_stack([velocity, rate, force])


def _to_the_slot(o: Mapping[str, Array]) -> Array:
    """Up, across at carrying height, down as the part lines up."""
    height, goal, turn = o["tcp"][:, 2], o["goal_from_part"], o["place_yaw"]
    gap = norm_xy(goal)
    across = np.where(gap < 0.05, 1.0, ramp(height, CARRY_Z - 0.07, CARRY_Z - 0.03))
    height_left = np.maximum(-goal[:, 2], 0.0)
    down = goal[:, 2] - SINK + 0.08 * ramp(gap + 0.04 * np.abs(turn), 0.004, 0.03)
    landing = 0.02 + 0.06 * ramp(height_left, 0.0, 0.004) + 4.0 * np.maximum(height_left - 0.014, 0.0)
    rise = np.where(gap > 0.05, 5.0 * (CARRY_Z - height), np.maximum(6.0 * down, -landing))
    rise = np.minimum(rise, 0.05 + SPEED * ramp(o["grip_force"], 5.0, 16.0))
    return np.column_stack([7.0 * goal[:, 0] * across, 7.0 * goal[:, 1] * across, rise])


def _away(o: Mapping[str, Array], gripped: NDArray[np.bool_]) -> Array:
    """On into the slot until the fingers let go, straight up once they are wide open."""
    goal, opened = o["goal_from_part"], o["gripper_width"] >= 0.06
    rise = np.where(gripped, -0.02, np.where(opened, 3.0 * (0.22 - o["tcp"][:, 2]), 0.0))
    follow = 5.0 * gripped
    return np.column_stack([follow * goal[:, 0], follow * goal[:, 1], rise])


def _give_way(velocity: Array, o: Mapping[str, Array]) -> Array:
    """Slow down towards a near hand, stop before it, and back off when it comes closer still."""
    hand, distance = o["hand_from_tcp"], o["worker_distance"]
    direction = hand / np.maximum(norm(hand), 1e-6)[:, None]
    free = distance - 0.15 * np.maximum(o["hand_approach"], 0.0)
    towards = np.maximum(dot(velocity, direction), 0.0)
    allowed = 1.2 * np.clip(free - 0.21, 0.0, 1.0)
    slowed = velocity - (np.maximum(towards - allowed, 0.0))[:, None] * direction
    # what sinks leaves the hand above it, the sooner the better
    rising = np.maximum(slowed[:, 2], 0.0)
    sinking = np.minimum(slowed[:, 2], 0.0)
    slowed = capped(np.column_stack([slowed[:, :2], rising]), 0.06 + 0.54 * ramp(free, 0.11, 0.27))
    slowed[:, 2] += sinking
    # back off above tote and tray; lower down only a little, so that what lifts past a hand does not creep towards it
    height = o["tcp"][:, 2]
    back = 0.5 * (1.0 - ramp(free, 0.15, 0.23)) * ramp(height, 0.12, 0.16)
    back = np.maximum(
        back, 0.06 * (1.0 - ramp(free, 0.15, 0.25)) * ramp(height, 0.04, 0.08) * (sinking > -0.02)
    )
    away = -direction[:, :2] / np.maximum(norm_xy(direction), 0.2)[:, None]
    slowed[:, :2] += back[:, None] * away
    inside = np.stack([ramp(o["tcp"][:, 0], 0.32, 0.38), ramp(0.75 - o["tcp"][:, 0], 0.0, 0.06)])
    slowed[:, 0] = np.where(slowed[:, 0] < 0, slowed[:, 0] * inside[0], slowed[:, 0] * inside[1])
    return capped(slowed, FASTEST)
