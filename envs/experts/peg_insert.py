"""The expert of peg-insert: over the peg, down, close; up, across, down into the hole, yielding to what the wrist feels; let go."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..signals import Array
from ..terms import capped, norm_xy, ramp
from .grasp import between_fingers, to_the_part

CARRY_Z = 0.16  # m above the bench
SPEED = 0.45  # m/s
SEAT = 0.0035  # m above the floor where a peg is let go: it arrives there with speed, and never hovers at a threshold


def act(o: Mapping[str, Array], grip_force: float) -> Array:
    """`(n, 5)`: tool velocity in m/s, yaw rate in rad/s and grip force in N (negative closes) from the observation by term."""
    goal, turn, gripped = o["goal_from_part"], o["place_yaw"], ramp(o["grip_force"], 1.0, 4.0) > 0.5
    seated = (norm_xy(goal) < 0.004) & (goal[:, 2] > -SEAT)
    seated |= (
        ~gripped & (norm_xy(goal) < 0.006) & (goal[:, 2] > -0.012)
    )  # let go there, it is not taken up again
    holding = gripped & ~seated
    closing = between_fingers(o) & ~seated & ~holding
    velocity = np.where(holding[:, None], _into_the_hole(o), to_the_part(o, CARRY_Z))
    velocity = np.where(closing[:, None], velocity * np.array([0.5, 0.5, 0.0]), velocity)
    velocity = np.where(seated[:, None], _away(o, gripped), velocity)
    lifted = np.where(norm_xy(goal) < 0.05, 1.0, ramp(o["tcp"][:, 2], 0.08, 0.12))
    rate = np.where(seated, 0.0, np.where(holding, 3.0 * lifted * turn, 4.0 * o["grip_yaw"]))
    force = np.where(holding | closing, -grip_force, grip_force)
    return np.column_stack([capped(velocity, SPEED), rate, force])


def _into_the_hole(o: Mapping[str, Array]) -> Array:
    """Up, across at carrying height, down as peg and hole line up; in the hole as the forces allow."""
    height, goal, turn = o["tcp"][:, 2], o["goal_from_part"], o["place_yaw"]
    gap = norm_xy(goal)
    across = np.where(gap < 0.05, 1.0, ramp(height, CARRY_Z - 0.07, CARRY_Z - 0.03))
    depth = goal[:, 2] + 0.030  # m that the lower end is below the face of the block
    entered = ramp(depth, -0.003, 0.0)  # from here on the hole leads, not the map
    above = 0.04 * ramp(gap + 0.02 * np.abs(turn), 0.0015, 0.015)
    pull = (across * (7.0 - 4.0 * entered))[:, None] * goal[:, :2]
    led = ramp(depth, 0.004, 0.010)  # deeper, yielding leans the peg further: the map keeps it upright
    give = (entered * (0.02 - 0.015 * led))[:, None] * o["push"][:, :2]
    sink = np.maximum(6.0 * (goal[:, 2] + above - 0.004), -0.25)
    guided = ramp(depth, 0.004, 0.009) * ramp(-goal[:, 2], 0.001, 0.004)  # past the bevel, above the floor
    slow = 0.009 + 0.031 * guided + 2.0 * np.maximum(-depth - 0.008, 0.0)
    hard = o["push_size"]
    inside = -slow * (1.0 - ramp(hard, 0.1, 0.6)) + 0.01 * ramp(hard, 0.6, 1.0)
    rise = np.where(gap > 0.05, 5.0 * (CARRY_Z - height), np.maximum(sink, inside))
    rise = np.minimum(rise, 0.05 + SPEED * ramp(o["grip_force"], 5.0, 16.0))
    return np.column_stack([pull + give, rise])


def _away(o: Mapping[str, Array], gripped: NDArray[np.bool_]) -> Array:
    """Still until the fingers let go, straight up once they are wide open."""
    opened = o["gripper_width"] >= 0.05
    rise = np.where(~gripped & opened, 3.0 * (0.22 - o["tcp"][:, 2]), 0.0)
    return np.column_stack([np.zeros((len(rise), 2)), rise])
