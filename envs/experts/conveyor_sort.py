"""The expert of conveyor-sort: run with the belt over the part, down, suck; up, around the robot, down into the nest, let go."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..signals import Array
from ..terms import norm_xy, ramp

CARRY_Z = 0.152  # m
FIRST_Y = -0.185  # m: the arm waits here for what is still near the scanner
DOWN_GAIN, SET_GAIN = 7.0, 7.0  # 1/s
TORN = 8.0  # N on a cup that does not hold: the part hangs on it by an edge; let it go and begin again
SINK = 0.006  # m below its nest that a part is aimed at, so that it arrives with speed and never hovers at a threshold


def act(o: Mapping[str, Array]) -> Array:
    """`(n, 5)`: tool velocity in m/s, yaw rate in rad/s and vacuum (1 on, -1 off) from the observation by term."""
    goal, turn, held = o["goal_from_part"], o["place_yaw"], o["vacuum_held"] > 0.5
    gap = norm_xy(goal)
    stands = (gap < 0.010) & (np.abs(goal[:, 2]) < 0.004) & (np.abs(turn) < 0.08)
    pick, suck = _pick(o)
    velocity = np.where(held[:, None], _carry(o, gap, turn), pick)
    rise = 8.0 * (CARRY_Z - o["tcp"][:, 2]).clip(0.0, 0.05)
    velocity = np.where(
        stands[:, None], np.column_stack([np.zeros_like(rise), np.zeros_like(rise), rise]), velocity
    )
    rate = np.where(held & ~stands, 8.0 * turn, 0.0)
    torn = ~held & (o["vacuum_force"] > TORN)
    velocity[:, 2] = np.where(torn, 0.1, velocity[:, 2])
    vacuum = np.where(~stands & ~torn & (held | suck), 1.0, -1.0)
    return np.column_stack([velocity, rate, vacuum])


def _pick(o: Mapping[str, Array]) -> tuple[Array, NDArray[np.bool_]]:
    """Run with the belt over the part, come down as the cup lines up, suck just before it touches."""
    tcp, part = o["tcp"], o["part_from_cup"]
    early = ramp(FIRST_Y - (tcp[:, 1] + part[:, 1]), 0.0, 0.02)
    ahead = np.maximum(part[:, 1], FIRST_Y - tcp[:, 1])
    off = np.sqrt(part[:, 0] * part[:, 0] + ahead * ahead) + 0.03 * early
    vx = 9.0 * part[:, 0]
    vy = o["belt_speed"] * (1.0 - early) + 9.0 * ahead
    above = 0.03 * ramp(off, 0.004, 0.03)
    down = DOWN_GAIN * (part[:, 2] + above) - 0.03 * (off < 0.005)
    suck = (off < 0.008) & (part[:, 2] > -0.015)
    return _limited(vx, vy, down, 1.0, 0.6), suck


def _carry(o: Mapping[str, Array], gap: Array, turn: Array) -> Array:
    """Up and clear of the neighbours, around the robot at carrying height, down as the part lines up with its nest."""
    tcp, goal = o["tcp"], o["goal_from_part"]
    radius = np.maximum(norm_xy(tcp), 0.05)
    cos, sin = tcp[:, 0] / radius, tcp[:, 1] / radius
    around, out = 6.0 * radius * o["goal_bearing"], 6.0 * o["goal_radius"]
    far = ramp(gap, 0.03, 0.07)
    vx = far * (out * cos - around * sin) + (1.0 - far) * 8.0 * goal[:, 0]
    vy = far * (out * sin + around * cos) + (1.0 - far) * 8.0 * goal[:, 1]
    clear = np.maximum(ramp(tcp[:, 2], 0.126, 0.138), 1.0 - far)
    vx, vy = clear * vx, clear * vy + (1.0 - clear) * o["belt_speed"]
    above = 0.06 * ramp(gap + 0.05 * np.abs(turn), 0.006, 0.03)
    up = np.where(gap > 0.05, 10.0 * (CARRY_Z - tcp[:, 2]), SET_GAIN * (goal[:, 2] + above - SINK))
    return _limited(vx, vy, up, 1.0, 0.8)


def _limited(vx: Array, vy: Array, vz: Array, speed: float, lift: float) -> Array:
    """`(n, 3)` velocities, the horizontal part shortened to `speed`, the vertical one to `lift`, in m/s."""
    share = np.minimum(1.0, speed / np.maximum(np.sqrt(vx * vx + vy * vy), 1e-9))
    return np.column_stack([vx * share, vy * share, np.clip(vz, -lift, lift)])
