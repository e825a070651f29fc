"""The expert of handover: take the tool off the rack, bring its handle in front of the open hand, come slowly, let go once it is held, leave."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..signals import Array
from ..terms import capped, norm, ramp
from .grasp import between_fingers, to_the_part

CARRY_Z = 0.10  # m
SPEED, BESIDE_A_HAND, COMING = 0.6, 0.15, 0.07  # m/s
WAIT_X, HAND_OUT = (
    0.52,
    0.95,
)  # m: where the tool waits for a hand that is not yet out; nearer than this it is
BEFORE = 0.05  # m in front of the palm where the handle waits until it is in line
HELD = 1.5  # contacts


def act(o: Mapping[str, Array], grip_force: float) -> Array:
    """`(n, 5)`: tool velocity in m/s, yaw rate in rad/s and grip force in N (negative closes) from the observation by term."""
    gripped, held = ramp(o["grip_force"], 1.0, 4.0) > 0.5, o["handed"] > HELD
    giving = gripped & ~held
    closing = between_fingers(o) & ~gripped & ~held
    velocity = np.where(giving[:, None], _to_the_hand(o), to_the_part(o, CARRY_Z))
    velocity = np.where(closing[:, None], velocity * np.array([0.5, 0.5, 0.0]), velocity)
    velocity = np.where(held[:, None], _away(o, gripped), velocity)
    near = o["worker_distance"]
    limit = BESIDE_A_HAND + (SPEED - BESIDE_A_HAND) * ramp(near, 0.24, 0.50)
    rate = np.where(held, 0.0, np.where(gripped, 3.0 * o["place_yaw"], 4.0 * o["grip_yaw"]))
    force = np.where(giving | closing, -grip_force, grip_force)
    return np.column_stack([capped(velocity, limit), rate, force])


def _to_the_hand(o: Mapping[str, Array]) -> Array:
    """Up, before the hand, in line with it, then slowly on until it holds."""
    goal, turn, hand = o["goal_from_part"], o["place_yaw"], o["hand_velocity"]
    aside = np.sqrt(goal[:, 1] * goal[:, 1] + goal[:, 2] * goal[:, 2])
    off = ramp(aside + 0.05 * np.abs(turn), 0.008, 0.030)
    ready = ramp(o["hand_still"], 0.5, 0.9)
    out = ready * ramp(HAND_OUT - (o["tcp"][:, 0] + o["hand_from_tcp"][:, 0]), 0.0, 0.05)
    ahead = goal[:, 0] - BEFORE * np.maximum(off, 1.0 - out) + 0.010
    ahead = np.where(
        out > 0.5, ahead, np.minimum(ahead, WAIT_X - o["tcp"][:, 0])
    )  # a hand on its way needs room
    coming = np.where(goal[:, 0] < BEFORE + 0.02, COMING, SPEED)
    vx = np.clip(4.0 * ahead, -0.3, coming)
    low = 1.0 - ramp(o["tcp"][:, 2], CARRY_Z - 0.10, CARRY_Z - 0.04)  # still over the rack
    rise = np.where(low > 0.0, np.maximum(4.0 * goal[:, 2], 0.3 * low), 4.0 * goal[:, 2])
    level = np.column_stack([vx, 4.0 * goal[:, 1]]) * (1.0 - low)[:, None]
    rise = np.minimum(rise, 0.05 + SPEED * ramp(o["grip_force"], 5.0, 16.0))
    return (
        np.column_stack([level, rise])
        + 0.8 * hand * (1.0 - low)[:, None] * ramp(0.4 - goal[:, 0], 0.0, 0.2)[:, None]
    )


def _away(o: Mapping[str, Array], gripped: NDArray[np.bool_]) -> Array:
    """With the hand until the fingers are open, then back and up."""
    opened = ramp(o["gripper_width"], 0.045, 0.060) * ~gripped
    leave = np.array([-0.13, 0.0, 0.06]) * ramp(0.45 - norm(o["hand_from_tcp"]), 0.0, 0.1)[:, None]
    return np.where(opened[:, None] > 0.5, leave, 0.8 * o["hand_velocity"])
