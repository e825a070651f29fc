"""Distances of capsules, as many at a time as there are: to each other, and to a box.

Points come by axis, `(3, P, ...)` in m, so that every number of worlds takes the same arithmetic.
"""

from __future__ import annotations

import numpy as np

from .signals import Array


def _dot(a: Array, b: Array) -> Array:
    return np.asarray(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


def between(start: Array, end: Array, other_start: Array, other_end: Array) -> Array:
    """`(P, ...)` m between segments, the closest points found as by Ericson (Real-Time Collision Detection, 2005, 5.1.9)."""
    along, other, off = end - start, other_end - other_start, start - other_start
    a, e, b = _dot(along, along), _dot(other, other), _dot(along, other)
    c, f = _dot(along, off), _dot(other, off)
    room = a * e - b * b
    free = np.where(room > 1e-12, (b * f - c * e) / np.maximum(room, 1e-12), 0.0).clip(0.0, 1.0)
    t = ((b * free + f) / np.maximum(e, 1e-12)).clip(0.0, 1.0)
    s = ((b * t - c) / np.maximum(a, 1e-12)).clip(0.0, 1.0)
    gap = off + s * along - t * other
    return np.asarray(np.sqrt(_dot(gap, gap)))


def to_box(start: Array, end: Array, low: Array, high: Array) -> Array:
    """`(P, ...)` m between segments and a box `low` to `high` `(3,)`, 0 where they meet.

    The square of the distance is a parabola between the places where the segment crosses the planes of the box's faces.
    """
    along = end - start
    faces = [(face[i], i) for face in (low, high) for i in range(3)]
    slope = np.where(np.abs(along) < 1e-12, 1e-12, along)
    cuts = np.stack([((face - start[i]) / slope[i]).clip(0.0, 1.0) for face, i in faces])
    ends = np.zeros((1, *cuts.shape[1:]))
    cuts = np.sort(np.concatenate([ends, cuts, ends + 1.0]), axis=0)
    first, last = cuts[:-1], cuts[1:]
    middle = 0.5 * (first + last)
    down, up = np.zeros_like(middle), np.zeros_like(middle)
    for i in range(3):
        at = start[i] + middle * along[i]
        face = np.where(at < low[i], low[i], high[i])
        outside = (at < low[i]) | (at > high[i])
        down += np.where(outside, along[i] * (face - start[i]), 0.0)
        up += np.where(outside, along[i] * along[i], 0.0)
    best = np.where(up > 0.0, down / np.maximum(up, 1e-300), middle).clip(first, last)
    square = np.zeros_like(best)
    for i in range(3):
        at = start[i] + best * along[i]
        beyond = np.maximum(np.maximum(low[i] - at, at - high[i]), 0.0)
        square += beyond * beyond
    return np.asarray(np.sqrt(square.min(axis=0)))
