"""A parallel gripper as signals: width, force of both pads, where its fingers point, and where part and goal lie."""

from __future__ import annotations

import numpy as np

from .signals import Array, Derivation, Lookup, Signal, once
from .terms import components, norm
from .vocabulary import described


@once
def left_force(s: Lookup) -> Array:
    """`(...)` N."""
    return norm(s["grip.left"])


@once
def right_force(s: Lookup) -> Array:
    """`(...)` N."""
    return norm(s["grip.right"])


@once
def grip_angle(s: Lookup) -> Array:
    """Angle in rad of the axis along which the fingers close, in the horizontal plane."""
    w, x, y, z = components(s["tcp.quat"])
    return np.asarray(np.arctan2(1.0 - 2.0 * (x * x + z * z), 2.0 * (x * y - w * z)))


@once
def part_from_tcp(s: Lookup) -> Array:
    """`(..., 3)` m."""
    return s["part.pos"] - s["tcp.pos"]


@once
def goal_from_part(s: Lookup) -> Array:
    """`(..., 3)` m."""
    return s["target.pos"] - s["part.pos"]


def fingers() -> list[tuple[Signal, Derivation]]:
    """Derived signals of the gripper."""
    return [
        (described("gripper.width", "m"), lambda s: 2.0 * s["gripper.q"]),
        (described("grip.force", "N"), lambda s: np.minimum(left_force(s), right_force(s))),
        (described("grip.force.max", "N"), lambda s: np.maximum(left_force(s), right_force(s))),
    ]
