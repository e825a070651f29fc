"""The expert of palletize: over the case as it comes to rest, down, suck; up, across above the stack, down into its place, let go."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..signals import Array
from ..terms import capped, norm_xy, ramp

SPEED = 0.8  # m/s
WAIT = 0.12  # m above a case that still moves


def act(o: Mapping[str, Array]) -> Array:
    """`(n, 5)`: tool velocity in m/s, yaw rate in rad/s and vacuum (above zero: on) from the observation by term."""
    goal, turn, held = o["goal_from_part"], o["place_yaw"], o["vacuum_held"] > 0.5
    stands = (norm_xy(goal) < 0.009) & (np.abs(goal[:, 2]) < 0.0035) & (np.abs(turn) < 0.03)
    stands |= (
        ~held & (norm_xy(goal) < 0.03) & (np.abs(goal[:, 2]) < 0.02)
    )  # what was let go there is not taken up again
    velocity = np.where(held[:, None], _to_the_stack(o), _to_the_case(o))
    velocity = np.where(stands[:, None], _away(o), velocity)
    near_case = (norm_xy(o["part_from_cup"]) < 0.03) & (o["part_from_cup"][:, 2] > -0.06)
    suck = np.where(stands, -1.0, np.where(held | near_case, 1.0, -1.0))
    rate = np.where(
        stands,
        0.0,
        np.where(held, 2.5 * turn * np.maximum(o["clear"], norm_xy(goal) < 0.04), 3.0 * o["grip_yaw"]),
    )
    return np.column_stack([capped(velocity, SPEED), rate, suck])


def _to_the_case(o: Mapping[str, Array]) -> Array:
    """Over it at the height of the way, down once it has come to the stop."""
    case, coming = o["part_from_cup"], o["way_left"]
    off = norm_xy(case)
    far = ramp(off, 0.10, 0.25)
    above = np.maximum(WAIT * np.maximum(ramp(off, 0.012, 0.06), ramp(coming, 0.015, 0.04)), 0.0)
    wanted = case[:, 2] + above
    over = np.where(far > 0.0, np.maximum(wanted, far * o["carry_from_tcp"]), wanted)
    sink = np.where(case[:, 2] > -0.03, -0.08, -0.6)
    return np.column_stack([5.0 * case[:, :2], np.maximum(4.0 * over - 0.03, sink)])


def _to_the_stack(o: Mapping[str, Array]) -> Array:
    """Up to the height of the way, across, down as the case lines up."""
    goal, turn, lift = o["goal_from_part"], o["place_yaw"], o["carry_from_tcp"]
    gap = norm_xy(goal)
    across = np.where(gap < 0.04, 1.0, 1.0 - ramp(lift, 0.03, 0.08))
    height_left = np.maximum(-goal[:, 2], 0.0)
    landing = 0.05 + 2.5 * np.maximum(height_left - 0.01, 0.0)
    over = goal[:, 2] + 0.10 * ramp(gap + 0.05 * np.abs(turn), 0.0025, 0.015) - 0.012
    down = np.maximum(4.0 * over, -landing)
    rise = np.where(gap > 0.04, 3.0 * lift, down)
    pull = 4.0 + 4.0 * (1.0 - ramp(gap, 0.01, 0.03))
    return np.column_stack([goal[:, :2] * (pull * across)[:, None], rise])


def _away(o: Mapping[str, Array]) -> Array:
    """Straight up once the cups have let go."""
    free: NDArray[np.bool_] = o["vacuum_force"] < 2.0
    rise = np.where(free, 3.0 * np.maximum(o["carry_from_tcp"] + 0.10, 0.0), 0.0)
    return np.column_stack([np.zeros((len(rise), 2)), rise])
