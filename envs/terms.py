"""Terms: small vectorised functions that observations, rewards and derived signals are made of."""

from __future__ import annotations

import numpy as np

from .signals import Array

ARCTANH_09 = float(np.arctanh(0.9))


def norm(v: Array) -> Array:
    """Length of vectors `(..., 3)` -> `(...)`, summed in a fixed order."""
    return np.asarray(np.sqrt(dot(v, v)))


def norm_xy(v: Array) -> Array:
    """Horizontal length of vectors `(..., >=2)`."""
    square = v * v
    return np.asarray(np.sqrt(square[..., 0] + square[..., 1]))


def dot(a: Array, b: Array) -> Array:
    """Dot product of vectors `(..., 3)`, summed in a fixed order."""
    product = a * b
    return np.asarray(product[..., 0] + product[..., 1] + product[..., 2])


def capped(velocity: Array, speed: float | Array) -> Array:
    """Velocities `(n, 3)` shortened to at most `speed` m/s, direction kept."""
    return np.asarray(velocity * np.minimum(1.0, speed / np.maximum(norm(velocity), 1e-9))[:, None])


def near(distance: Array, within: float) -> Array:
    """1 at distance 0, falling smoothly, 0.1 at `within` (same unit as the distance)."""
    return np.asarray(1.0 - np.tanh(ARCTANH_09 * distance / within))


def ramp(x: Array, low: float, high: float) -> Array:
    """0 below `low`, 1 above `high`, linear between."""
    return np.asarray((x - low) / (high - low)).clip(0.0, 1.0)


def components(v: Array) -> Array:
    """Vectors `(..., d)` as d contiguous arrays `(d, ...)`: some functions round strided numbers differently."""
    return np.ascontiguousarray(v.transpose(-1, *range(v.ndim - 1)))


def rotated(quat: Array, v: Array) -> Array:
    """Vectors `(..., 3)` of a body's frame in the world's, by its quaternions `(..., 4)`, w first."""
    w, x, y, z = components(quat)
    a, b, c = components(v)
    p, q, r = 2.0 * (y * c - z * b), 2.0 * (z * a - x * c), 2.0 * (x * b - y * a)
    return np.stack(
        [a + w * p + (y * r - z * q), b + w * q + (z * p - x * r), c + w * r + (x * q - y * p)], axis=-1
    )


def yaw_of(quat: Array) -> Array:
    """Yaw in rad of quaternions `(..., 4)`, w first."""
    w, x, y, z = components(quat)
    return np.asarray(np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)))


def bearing(v: Array) -> Array:
    """Angle in rad of horizontal vectors `(..., >=2)` from the x axis."""
    return np.asarray(np.arctan2(np.ascontiguousarray(v[..., 1]), np.ascontiguousarray(v[..., 0])))


def turned_xy(v: Array, angle: Array) -> Array:
    """Horizontal vectors `(..., 2)` turned by angles `(...)` in rad; by zero, they are the same to the bit."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * v[..., 0] - sin * v[..., 1], sin * v[..., 0] + cos * v[..., 1]], axis=-1)


def wrap(angle: Array, period: float = 2.0 * np.pi) -> Array:
    """The angle's representative in [-period/2, period/2)."""
    return np.asarray(angle - period * np.floor(angle / period + 0.5))


def up_of(quat: Array) -> Array:
    """The z component of a body's z axis: 1 upright, 0 lying, from quaternions `(..., 4)`."""
    return np.asarray(1.0 - 2.0 * (quat[..., 1] * quat[..., 1] + quat[..., 2] * quat[..., 2]))


def minimum_jerk(phase: Array) -> Array:
    """Smooth step 0 -> 1 for phase in [0, 1] (Flash and Hogan 1985), clipped outside."""
    p = phase.clip(0.0, 1.0)
    return np.asarray(p * p * p * (10.0 + p * (6.0 * p - 15.0)))


def segment_distance(point: Array, start: Array, end: Array) -> Array:
    """Distance in m of points to the segments start-end, all `(..., 3)`."""
    along, off = end - start, point - start
    share = np.clip(dot(off, along) / np.maximum(dot(along, along), 1e-12), 0.0, 1.0)
    return norm(off - share[..., None] * along)


def box_margin(points: Array, low: Array, high: Array) -> Array:
    """Signed distance in m of points `(..., 3)` to a box: positive outside, negative inside."""
    outside = np.maximum(np.maximum(low - points, points - high), 0.0)
    inside = np.minimum(points - low, high - points).min(axis=-1)
    return np.where(inside > 0, -inside, norm(outside))
