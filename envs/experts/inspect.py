"""The expert of inspect: over the part, down, close; before the camera, hold each face still until it is judged; to the tray it belongs in.

What was not judged with confidence is not good: it goes to the rejects, as does what has a score of one or more.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..signals import Array
from ..terms import capped, norm, norm_xy, ramp
from .grasp import to_the_part

CARRY_Z = 0.20  # m above the bench
SPEED, APPROACH = 0.50, 0.22  # m/s: at most, and near the camera
LOW = 0.0045  # m above the tray's floor at which a part is let go: the feeder may be wrong about its height by 4 mm
WIDTH = 0.0385  # m: fingers farther apart than that do not hold a part of 36 mm
DEFECT = 1.0  # score


MARKS = ("holding", "closing", "stands", "bad", "done")


def marks(o: Mapping[str, Array]) -> dict[str, NDArray[np.bool_]]:
    """How far the work is, by name of `MARKS`, `(n,)`, and whether the fingers are around the part (`gripped`)."""
    gripped = (o["grip_force"] > 2.5) & (o["gripper_width"] < WIDTH)  # fingers that open go on opening
    over = _over(o["good_from_part"]) | _over(o["reject_from_part"])
    stands = over & (o["height_left"] < np.where(gripped, LOW, 0.016))
    holding = gripped & ~stands
    closing = _between_fingers(o) & ~stands & ~holding
    bad = (o["worst_score"] >= DEFECT) | (o["given_up"] > 0.5)
    done = bad | (o["views_judged"] > 2.5)
    return {
        "holding": holding, "closing": closing, "stands": stands, "bad": bad, "done": done, "gripped": gripped,
    }  # fmt: skip


def aim(o: Mapping[str, Array], now: Mapping[str, NDArray[np.bool_]]) -> Array:
    """`(n, 3)` m: the part from the tool, the station once it is held, and the tray where it belongs from the part once that is known."""
    tray = np.where(now["bad"][:, None], o["reject_from_part"], o["good_from_part"])
    carried = np.where(now["done"][:, None], tray, o["station_from_tcp"])
    return np.where(now["holding"][:, None], carried, o["part_from_tcp"])


def act(o: Mapping[str, Array], grip_force: float) -> Array:
    """`(n, 5)`: tool velocity in m/s, yaw rate in rad/s and grip force in N (negative closes) from the observation by term."""
    now = marks(o)
    holding, closing, stands, done = (now[name] for name in ("holding", "closing", "stands", "done"))
    to_tray = np.where(now["bad"][:, None], o["reject_from_part"], o["good_from_part"])
    carried = np.where(done[:, None], _to_the_tray(o, to_tray), _to_the_camera(o))
    velocity = np.where(holding[:, None], carried, to_the_part(o, CARRY_Z))
    velocity = np.where(closing[:, None], velocity * np.array([0.5, 0.5, 0.0]), velocity)
    velocity = np.where(stands[:, None], _away(o, now["gripped"]), velocity)
    lifted = ramp(o["tcp"][:, 2], 0.10, 0.14)
    turn = np.where(done, o["view_turns"][:, 1], o["next_turn"])
    rate = np.where(stands, 0.0, np.where(holding, 5.0 * lifted * turn, 4.0 * o["grip_yaw"]))
    force = np.where(holding | closing, -grip_force, grip_force)
    return np.column_stack([capped(velocity, SPEED), rate, force])


def _between_fingers(o: Mapping[str, Array]) -> NDArray[np.bool_]:
    """`(n,)`: the part lies where closing will grip it, at the height at which the camera wants it."""
    part = o["part_from_tcp"]
    more = np.where(o["gripper_width"] < 0.0793, 0.006, 0.0)  # m: what is being closed stays closed
    near = norm_xy(part) - more < 0.006
    low = np.abs(part[:, 2]) - more < 0.0035
    return np.asarray(near & low & (np.abs(o["grip_yaw"]) < 0.07))


def _over(tray: Array) -> NDArray[np.bool_]:
    """`(n,)`: the part is over the tray that lies `tray` `(n, 3)` m from it."""
    return np.asarray((np.abs(tray[:, 0]) < 0.05) & (np.abs(tray[:, 1]) < 0.06))


def _to_the_camera(o: Mapping[str, Array]) -> Array:
    """Up, across, and still before the camera."""
    off, height = o["station_from_tcp"], o["tcp"][:, 2]
    across = ramp(height, 0.09, 0.15)
    rise = np.minimum(4.5 * off[:, 2], 0.05 + SPEED * ramp(o["grip_force"], 5.0, 16.0))
    way = np.column_stack([4.5 * off[:, 0] * across, 4.5 * off[:, 1] * across, rise])
    return capped(way, APPROACH + 2.0 * np.maximum(norm(off) - 0.05, 0.0))


def _to_the_tray(o: Mapping[str, Array], tray: Array) -> Array:
    """Across at carrying height, down over the tray's middle, slowly at the end."""
    gap, left, height = norm_xy(tray), o["height_left"], o["tcp"][:, 2]
    landing = 0.025 + 4.0 * np.maximum(left - 0.010, 0.0)
    down = -np.minimum(landing, 0.30) * (1.0 - ramp(gap, 0.012, 0.05))
    rise = np.where(gap > 0.05, 5.0 * (CARRY_Z - height), down)
    return np.column_stack([5.0 * tray[:, 0], 5.0 * tray[:, 1], rise])


def _away(o: Mapping[str, Array], gripped: NDArray[np.bool_]) -> Array:
    """Still until the fingers let go, straight up once they are wide open."""
    opened = o["gripper_width"] >= 0.05
    rise = np.where(~gripped & opened, 3.0 * (0.24 - o["tcp"][:, 2]), 0.0)
    return np.column_stack([np.zeros((len(rise), 2)), rise])
