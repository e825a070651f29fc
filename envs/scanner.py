"""A laser scanner in a plane: its rays, the points they end on, and what lies in a field before the vehicle.

The rays are those of row cameras of 90 degrees side by side, from left to right, so they are evenly spaced in the tangent and not in the angle.
A ray that meets nothing reads -1; here it is as long as `RANGE`, beyond which nothing is asked. Everything is in the vehicle's own plane: x ahead, y to
its left, from the middle of the wheels' axis.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .signals import Array, Lookup
from .terms import yaw_of
from .vehicles import Vehicle

RANGE = 6.0  # m
QUARTER = np.pi / 2.0


def ray_angles(vehicle: Vehicle, rays: int) -> Array:
    """`(rays,)`: the angle of each ray from straight ahead, left positive, in rad."""
    cameras, each = len(vehicle.cameras), rays // len(vehicle.cameras)
    across = (np.arange(each) + 0.5) / each * 2.0 - 1.0  # -1 the left edge of a camera's picture, 1 the right
    middles = QUARTER * (0.5 * (cameras - 1) - np.arange(cameras))
    return np.concatenate([middle - np.arctan(across) for middle in middles])


class Scanner:
    """What is derived from the readings of one scanner.

    Args:
        vehicle: whose scanner it is.
        rays: how many readings the signal holds.
    """

    def __init__(self, vehicle: Vehicle, rays: int) -> None:
        self.vehicle, self.rays = vehicle, rays
        angles = ray_angles(vehicle, rays)
        self.cos, self.sin = np.cos(angles), np.sin(angles)

    def ranges(self, s: Lookup) -> Array:
        """`(..., rays)` m, in [0, `RANGE`]. Not to be changed."""
        return s.once(self._ranges)

    def _ranges(self, s: Lookup) -> Array:
        read = s[self.vehicle.scanner]
        return np.where(read < -0.5, RANGE, read.clip(0.0, RANGE))

    def sectors(self, s: Lookup, each: int) -> Array:
        """`(..., rays / each)` m: the nearest of every `each` rays side by side."""
        ranges = self.ranges(s)
        return np.asarray(ranges.reshape(*ranges.shape[:-1], -1, each).min(axis=-1))

    def points(self, s: Lookup) -> tuple[Array, Array, NDArray[np.bool_]]:
        """x and y of where each ray ends, `(..., rays)` m, and whether it met anything."""
        x, y = s.once(self._points)
        return x, y, self.ranges(s) < RANGE

    def _points(self, s: Lookup) -> Array:
        ranges = self.ranges(s)
        return np.stack([self.vehicle.scanner_x + ranges * self.cos, ranges * self.sin])

    def free(self, s: Lookup, half: float, wanted: NDArray[np.bool_] | None = None) -> Array:
        """`(...)` m: how far before the front the nearest return within `half` m of the middle lies, `RANGE` where there is none.

        `wanted` `(..., rays)` are the returns that count, where not all do.
        """
        x, y, met = self.points(s)
        ahead = x - self.vehicle.front
        counts = met & (np.abs(y) <= half) & (ahead > 0.0)
        if wanted is not None:
            counts &= wanted
        return np.asarray(np.where(counts, ahead, RANGE).min(axis=-1))


def on_floor(s: Lookup, x: Array, y: Array) -> tuple[Array, Array]:
    """Points of the vehicle's plane `(..., rays)` on the floor of the cell."""
    yaw, at = yaw_of(s["base.quat"]), s["base.pos"]
    cos, sin = np.cos(yaw)[..., None], np.sin(yaw)[..., None]
    return at[..., 0:1] + cos * x - sin * y, at[..., 1:2] + sin * x + cos * y
