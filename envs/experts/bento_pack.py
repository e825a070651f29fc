"""The expert of bento-pack: over the piece, down, close gently; up, around the robot, down into its compartment, let go."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..signals import Array
from ..terms import norm_xy, ramp

CARRY_Z = 0.135  # m above the bench
SINK = 0.006  # m below its compartment's floor that a piece is aimed at, so that it arrives with speed
HOLD, OPEN = 0.45, 3.0  # share of the force that crushes; N that opens


def act(o: Mapping[str, Array]) -> Array:
    """`(n, 5)`: tool velocity in m/s, yaw rate in rad/s and grip force in N (negative closes) from the observation by term."""
    goal, turn = o["goal_from_part"], o["place_yaw"]
    gap = norm_xy(goal)
    gripped = o["grip_force"] > 0.25 * o["force_limit"]
    stands = (gap < 0.012) & (np.abs(goal[:, 2]) < 0.0045)
    holding = gripped & ~stands
    closing = _between_fingers(o) & ~stands & ~holding
    velocity = np.where(holding[:, None], _carry(o, gap, turn), _to_the_piece(o))
    velocity = np.where(closing[:, None], velocity * np.array([0.3, 0.3, 0.0]), velocity)
    opened = o["gripper_width"] > o["open_width"]
    away = np.where(~gripped & opened, 4.0 * (CARRY_Z + 0.02 - o["tcp"][:, 2]), 0.0)
    zero = np.zeros_like(away)
    velocity = np.where(stands[:, None], np.column_stack([zero, zero, away]), velocity)
    rate = np.where(stands, 0.0, np.where(holding, 6.0 * turn, 6.0 * o["grip_yaw"]))
    wider = OPEN * np.clip((o["open_width"] + 0.004 - o["gripper_width"]) / 0.004, 0.0, 1.0)
    force = np.where(holding | closing, -HOLD * o["force_limit"], wider)
    return np.column_stack([_limited(velocity, 0.7, 0.5), rate, force])


def _to_the_piece(o: Mapping[str, Array]) -> Array:
    """Over it at carrying height, down as the fingers line up."""
    piece, yaw = o["grasp_from_tcp"], o["grip_yaw"]
    off = norm_xy(piece)
    above = 0.05 * ramp(off + 0.02 * np.abs(yaw), 0.004, 0.03)
    far = ramp(off, 0.05, 0.10)
    over = piece[:, 2] + above
    height = np.where(far > 0.0, np.maximum(over, far * (CARRY_Z - o["tcp"][:, 2])), over)
    around = _around(o["tcp"], o["part_bearing"], o["part_radius"])
    level = far[:, None] * around + (1.0 - far)[:, None] * 8.0 * piece[:, :2]
    return np.column_stack([level, 7.0 * height - 0.02 * (off < 0.004)])


def _between_fingers(o: Mapping[str, Array]) -> NDArray[np.bool_]:
    piece = o["grasp_from_tcp"]
    more = np.where(
        o["gripper_width"] < o["open_width"] - 0.004, 0.003, 0.0
    )  # what is being closed stays closed
    near = (norm_xy(piece) - more < 0.005) & (np.abs(piece[:, 2]) - more < 0.005)
    return np.asarray(near & (np.abs(o["grip_yaw"]) < 0.12))


def _carry(o: Mapping[str, Array], gap: Array, turn: Array) -> Array:
    """Up out of the tray, around the robot at carrying height, down as the piece lines up with its compartment."""
    tcp, goal = o["tcp"], o["goal_from_part"]
    far = ramp(gap, 0.03, 0.07)
    around = _around(tcp, o["goal_bearing"], o["goal_radius"])
    level = far[:, None] * around + (1.0 - far)[:, None] * 8.0 * goal[:, :2]
    clear = np.maximum(ramp(tcp[:, 2], 0.100, 0.120), 1.0 - far)
    above = 0.05 * ramp(gap + 0.05 * np.abs(turn), 0.006, 0.03)
    landing = 0.03 + 5.0 * np.maximum(-goal[:, 2] - 0.006, 0.0)
    up = np.where(
        gap > 0.05, 8.0 * (CARRY_Z - tcp[:, 2]), np.maximum(7.0 * (goal[:, 2] + above - SINK), -landing)
    )
    return np.column_stack([level * clear[:, None], up])


def _around(tcp: Array, bearing: Array, radius_left: Array) -> Array:
    """`(n, 2)` m/s: along the circle around the robot and out or in along its radius."""
    radius = np.maximum(norm_xy(tcp), 0.05)
    cos, sin = tcp[:, 0] / radius, tcp[:, 1] / radius
    along, out = 5.0 * radius * bearing, 5.0 * radius_left
    return np.column_stack([out * cos - along * sin, out * sin + along * cos])


def _limited(velocity: Array, speed: float, lift: float) -> Array:
    """Velocities `(n, 3)`, the horizontal part shortened to `speed`, the vertical one to `lift`, in m/s."""
    share = np.minimum(1.0, speed / np.maximum(norm_xy(velocity), 1e-9))
    return np.column_stack([velocity[:, :2] * share[:, None], np.clip(velocity[:, 2], -lift, lift)])
