"""What rays meet: boxes, upright cylinders, ellipsoids and hollows, each in axes of its own.

A ray starts at `start` (3,) m and goes along unit vectors `way`, three arrays of one shape; what it meets lies `reach` m along it, `FAR`
where that is nothing, with a normal of three such arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from .signals import Array

FAR = 1e9
BOX, CYLINDER, ELLIPSOID, HOLLOW = "box", "cylinder", "ellipsoid", "hollow"
KINDS = {
    int(mujoco.mjtGeom.mjGEOM_BOX): BOX,
    int(mujoco.mjtGeom.mjGEOM_CYLINDER): CYLINDER,
    int(mujoco.mjtGeom.mjGEOM_ELLIPSOID): ELLIPSOID,
}


@dataclass(frozen=True)
class Shape:
    """One body as a camera sees it: half sizes (3,) m, middle (3,) m and axes (3, 3) in the world, colour (3,) in [0, 1]."""

    kind: str
    size: Array
    pos: Array
    axes: Array
    colour: Array


Way = tuple[Array, ...]


def _meet_box(size: Array, start: Array, way: Way, before: Array) -> tuple[Array, Way]:
    entries, leaves = [], []
    for i in range(3):
        slope = np.where(np.abs(way[i]) < 1e-12, 1e-12, way[i])
        sign = np.where(slope > 0.0, size[i], -size[i])
        entries.append((-sign - start[i]) / slope)
        leaves.append((sign - start[i]) / slope)
    near = np.maximum(np.maximum(entries[0], entries[1]), entries[2])
    far = np.minimum(np.minimum(leaves[0], leaves[1]), leaves[2])
    reach = np.where((near < far) & (near > 0.0), near, FAR)
    return reach, tuple(
        np.where(entries[i] == near, np.where(way[i] > 0.0, -1.0, 1.0), 0.0) for i in range(3)
    )


def _meet_cylinder(size: Array, start: Array, way: Way, before: Array) -> tuple[Array, Way]:
    radius, half = size[0], size[1]
    a = np.maximum(way[0] * way[0] + way[1] * way[1], 1e-12)
    b = start[0] * way[0] + start[1] * way[1]
    c = start[0] * start[0] + start[1] * start[1] - radius * radius
    root = np.sqrt(np.maximum(b * b - a * c, 0.0))
    wall = (-b - root) / a
    on_wall = (b * b > a * c) & (wall > 0.0) & (np.abs(start[2] + wall * way[2]) < half)
    slope = np.where(np.abs(way[2]) < 1e-12, 1e-12, way[2])
    top = np.where(way[2] > 0.0, -1.0, 1.0)
    cap = (half * top - start[2]) / slope
    p, q = start[0] + cap * way[0], start[1] + cap * way[1]
    on_cap = (cap > 0.0) & (p * p + q * q < radius * radius)
    wall, cap = np.where(on_wall, wall, FAR), np.where(on_cap, cap, FAR)
    side = wall < cap
    reach = np.minimum(wall, cap)
    out = np.where(side, reach, 0.0)
    local = (
        np.where(side, (start[0] + out * way[0]) / radius, 0.0),
        np.where(side, (start[1] + out * way[1]) / radius, 0.0),
        np.where(side, 0.0, top),
    )
    return reach, local


def _roots(size: Array, start: Array, way: Way) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Where rays enter and leave an ellipsoid, and whether they meet it at all."""
    p = [way[i] / size[i] for i in range(3)]
    o = start / size
    a = p[0] * p[0] + p[1] * p[1] + p[2] * p[2]
    b = o[0] * p[0] + o[1] * p[1] + o[2] * p[2]
    c = float((o * o).sum()) - 1.0
    root = np.sqrt(np.maximum(b * b - a * c, 0.0))
    return (-b - root) / a, (-b + root) / a, np.asarray(b * b > a * c)


def _outward(size: Array, start: Array, way: Way, reach: Array) -> Way:
    g = [(start[i] + reach * way[i]) / (size[i] * size[i]) for i in range(3)]
    length = np.maximum(np.sqrt(g[0] * g[0] + g[1] * g[1] + g[2] * g[2]), 1e-12)
    return tuple(each / length for each in g)


def _meet_ellipsoid(size: Array, start: Array, way: Way, before: Array) -> tuple[Array, Way]:
    entry, _, meets = _roots(size, start, way)
    hit = meets & (entry > 0.0)
    at = np.where(hit, entry, 0.0)
    return np.where(hit, entry, FAR), _outward(size, start, way, at)


def _meet_hollow(size: Array, start: Array, way: Way, before: Array) -> tuple[Array, Way]:
    """A surface that lies inside the ellipsoid is gone: the ray goes on to where it leaves the hollow."""
    entry, leave, meets = _roots(size, start, way)
    hit = meets & (entry < before) & (before < leave)
    at = np.where(hit, leave, 0.0)
    outward = _outward(size, start, way, at)
    return np.where(hit, leave, FAR), tuple(-each for each in outward)


MEET = {BOX: _meet_box, CYLINDER: _meet_cylinder, ELLIPSOID: _meet_ellipsoid, HOLLOW: _meet_hollow}
