"""The expert of screw-drive: over the head, down, press, run down, slower before the head touches, tighten, stop, lift."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..signals import Array
from ..terms import norm_xy, ramp

CLEAR = 0.030  # m above the head at which the bit travels
PRESSED = 0.0065  # m that the bit is pushed in while it drives
DONE = 0.95  # share of the angle at which a screw is tight


def act(o: Mapping[str, Array]) -> Array:
    """`(n, 5)`: tool velocity in m/s, yaw rate in rad/s and spindle torque in N*m from the observation by term."""
    head, order = o["head_from_bit"], o["torque_order"]
    gap = norm_xy(head)
    done = o["angle_share_fine"] > np.where(
        o["bit_in"] > 0.001, DONE, DONE - 0.15
    )  # what was let go stays as it is
    on = (o["bit_in"] > 0.0005) & (gap < 0.004)
    down = _approach(head, gap, o["tcp"])
    pressing = np.clip(8.0 * (PRESSED * (0.4 + 0.6 * ramp(o["tilt"], 0.10, 0.05)) - o["bit_in"]), -0.05, 0.05)
    lifting = np.clip(4.0 * (head[:, 2] + CLEAR), 0.0, 0.3)
    ready = done & (o["spindle_speed"] < 3.0)
    vertical = np.where(done, np.where(ready, lifting, 0.0), np.where(on, -pressing, down))
    level = np.where((on | done)[:, None], 6.0, 8.0) * head[:, :2]
    level = np.where(done[:, None], 0.0, level)
    share = np.minimum(1.0, 0.65 / np.maximum(norm_xy(level), 1e-9))
    run = 0.20 + 0.40 * ramp(o["left"], 0.0006, 0.0020)
    tighten = np.minimum(0.35 + np.maximum(o["angle_share_fine"], 0.0), 1.0)
    wanted = np.where(o["angle_share_fine"] > 0.02, tighten, run) * order
    upright = ramp(o["tilt"], 0.09, 0.05)
    torque = wanted * ramp(o["bit_in"], 0.003, 0.0045) * ramp(gap, 0.004, 0.002) * upright
    torque = np.where(done | ~on, 0.0, torque)
    return np.column_stack([level * share[:, None], vertical, np.zeros_like(gap), torque])


def _approach(head: Array, gap: Array, tcp: Array) -> Array:
    """Vertical velocity in m/s `(n,)`: above the head until the bit lines up, then down, slowly at the end."""
    above = CLEAR * ramp(gap, 0.001, 0.012)
    off = head[:, 2] + above
    slow = 0.03 + 5.0 * np.maximum(-off - 0.003, 0.0)
    return np.clip(6.0 * off - 0.02, -slow, 0.5)
