"""What experts with a parallel gripper share: over a part, down as the fingers line up, and when to close."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..signals import Array
from ..terms import norm_xy, ramp


def to_the_part(o: Mapping[str, Array], carry_z: float) -> Array:
    """Tool velocity `(n, 3)` in m/s: over the part first, down as the fingers line up; between tasks the tool travels at `carry_z` m."""
    tcp, part, yaw = o["tcp"], o["part_from_tcp"], o["grip_yaw"]
    off = norm_xy(part)
    above = 0.10 * ramp(off + 0.04 * np.abs(yaw), 0.010, 0.06)
    clear = np.where(off > 0.08, np.maximum(carry_z - (tcp[:, 2] + part[:, 2]), 0.0), 0.0)
    return np.column_stack(
        [8.0 * part[:, 0], 8.0 * part[:, 1], 6.0 * (part[:, 2] - 0.002 + np.maximum(above, clear))]
    )


def between_fingers(o: Mapping[str, Array]) -> NDArray[np.bool_]:
    """`(n,)`: the part lies where closing will grip it."""
    part = o["part_from_tcp"]
    more = np.where(o["gripper_width"] < 0.07, 0.004, 0.0)  # m: what is being closed stays closed
    near = 1.0 - ramp(norm_xy(part) - more, 0.004, 0.008)
    low = 1.0 - ramp(np.abs(part[:, 2]) - more, 0.007, 0.012)
    turned = 1.0 - ramp(np.abs(o["grip_yaw"]), 0.04, 0.1)
    return np.asarray(near * low * turned > 0.5)
