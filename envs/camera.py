"""A fixed inspection camera: small pictures ray-cast from the state of one world, in float64, with nothing drawn in advance.

Rays meet boxes, upright cylinders, ellipsoids and hollows at the poses and sizes that the simulation has at that instant. Surfaces
are matt (Lambert) under two small lamps and some stray light; behind them stands a panel that shines evenly. Lamps throw no
shadows. Every array has one picture's shape, so the bits of a picture depend on nothing but what is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import mujoco
import numpy as np
from numpy.typing import NDArray

from .signals import Array
from .solids import CYLINDER, FAR, HOLLOW, MEET, Shape

Picture = NDArray[np.uint8]
# share of full scale that a white surface square to each lamp, at the distance it was set for, would give
STRAY, RING, BAR = 0.07, 0.25, 0.68
PANEL = 0.80  # of full scale
READ_NOISE, SHOT_NOISE = 0.004, 0.010  # of full scale: each reading's own, and that of a full well
OPTICS = 0.55  # px: standard deviation of what a good lens spreads a point to
SMALL = 0.025  # m: bodies of that reach are cut out of the picture as balls
CORNERS = np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])


@dataclass(frozen=True)
class Lamps:
    """Where ring and bar stand (m), and how far from what they light they were set."""

    ring: Array
    bar: Array
    ring_reach: float
    bar_reach: float


@dataclass(frozen=True)
class Lens:
    """A camera that stands still: its place (3,) m, axes (3, 3) right, up, back in the world, half field of view upwards, pixels."""

    pos: Array
    axes: Array
    fovy: float
    size: tuple[int, int]

    @cached_property
    def rays(self) -> tuple[Array, Array, Array]:
        """World components of the unit vectors through the pixels' middles, each `(H, W)`."""
        width, height = self.size
        right = (np.arange(width) + 0.5 - width / 2.0) / self.focal
        up = (height / 2.0 - np.arange(height) - 0.5) / self.focal
        r, u = np.meshgrid(right, up)
        length = np.sqrt(r * r + u * u + 1.0)
        a = self.axes
        x, y, z = (np.ascontiguousarray((r * a[i, 0] + u * a[i, 1] - a[i, 2]) / length) for i in range(3))
        return x, y, z

    def pixel(self, point: Array) -> tuple[float, float, float]:
        """Column, row and depth in m of a point in the world."""
        (x, y, z), a = (point - self.pos).tolist(), self.rows
        right, up = x * a[0][0] + y * a[1][0] + z * a[2][0], x * a[0][1] + y * a[1][1] + z * a[2][1]
        depth = max(-(x * a[0][2] + y * a[1][2] + z * a[2][2]), 1e-6)
        width, height = self.size
        return width / 2.0 + self.focal * right / depth, height / 2.0 - self.focal * up / depth, depth

    @cached_property
    def rows(self) -> list[list[float]]:
        """The axes as plain numbers."""
        rows: list[list[float]] = self.axes.tolist()
        return rows

    def window(self, shape: Shape) -> tuple[slice, slice]:
        """Rows and columns that a body can cover."""
        half = shape.size[[0, 0, 1]] if shape.kind == CYLINDER else shape.size
        x, y, z = half.tolist()
        reach = float(np.sqrt(x * x + y * y + z * z))
        if reach < SMALL:
            column, row, depth = self.pixel(shape.pos)
            wide = self.focal * reach / max(depth - reach, 1e-3) + 1.0
            return self._clipped(column - wide, column + wide, row - wide, row + wide)
        corners = shape.pos + (shape.axes[None] * (CORNERS * half)[:, None]).sum(axis=2)
        at = [self.pixel(corner)[:2] for corner in corners]
        columns, rows = [c for c, _ in at], [r for _, r in at]
        return self._clipped(min(columns), max(columns), min(rows), max(rows))

    def _clipped(self, left: float, right: float, top: float, bottom: float) -> tuple[slice, slice]:
        width, height = self.size
        rows = slice(min(max(int(top), 0), height), min(max(int(bottom) + 1, 0), height))
        return rows, slice(min(max(int(left), 0), width), min(max(int(right) + 1, 0), width))

    @cached_property
    def focal(self) -> float:
        """Pixels for a slope of one."""
        return float(self.size[1] / 2.0 / np.tan(np.radians(self.fovy) / 2.0))


def fixed_lens(model: mujoco.MjModel, camera: str, size: tuple[int, int]) -> Lens:
    """The lens of a camera that stands in the world, as the cell's file places it."""
    index = model.camera(camera).id
    axes = np.zeros(9)
    mujoco.mju_quat2Mat(axes, model.cam_quat[index])
    return Lens(model.cam_pos[index].copy(), axes.reshape(3, 3), float(model.cam_fovy[index]), size)


def matrix(quat: Array) -> Array:
    """`(3, 3)` of one quaternion `(4,)`, w first."""
    w, x, y, z = (float(each) for each in quat)
    return np.array(
        [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
            [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
            [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
        ]
    )


def composed(axes: Array, inner: Array) -> Array:
    """The product of two `(3, 3)` matrices, summed in a fixed order."""
    return np.asarray((axes[:, :, None] * inner[None]).sum(axis=1))


def applied(axes: Array, v: Array) -> Array:
    """A `(3, 3)` matrix times a vector `(3,)`, summed in a fixed order."""
    return np.asarray((axes * v[None]).sum(axis=1))


def depths(lens: Lens, shapes: Sequence[Shape]) -> Array:
    """`(H, W)` m along each ray to the first body, `FAR` where there is none."""
    return _drawn(lens, shapes).distance


def _drawn(lens: Lens, shapes: Sequence[Shape]) -> _Canvas:
    canvas = _Canvas(lens)
    for shape in shapes:
        canvas.add(shape)
    return canvas


class _Canvas:
    """What the rays have met so far: distance, normal and colour, each component `(H, W)`."""

    def __init__(self, lens: Lens) -> None:
        width, height = lens.size
        self.lens = lens
        self.distance = np.full((height, width), FAR)
        self.normal = np.zeros((3, height, width))
        self.colour = np.zeros((3, height, width))

    def add(self, shape: Shape) -> None:
        """Meet one more body; a hollow takes its material out of what lies in front of it so far."""
        rows, columns = self.lens.window(shape)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        x, y, z = (each[rows, columns] for each in self.lens.rays)
        axes = shape.axes
        start = applied(axes.T, self.lens.pos - shape.pos)
        way = tuple(axes[0, i] * x + axes[1, i] * y + axes[2, i] * z for i in range(3))
        before = self.distance[rows, columns]
        reach, local = MEET[shape.kind](shape.size, start, way, before)
        hit = reach < FAR if shape.kind == HOLLOW else reach < before
        if not hit.any():
            return
        np.copyto(before, reach, where=hit)
        for i in range(3):
            turned = axes[i, 0] * local[0] + axes[i, 1] * local[1] + axes[i, 2] * local[2]
            np.copyto(self.normal[i, rows, columns], turned, where=hit)
            np.copyto(self.colour[i, rows, columns], shape.colour[i], where=hit)


def photograph(lens: Lens, shapes: Sequence[Shape], lamps: Lamps, level: float = 1.0) -> Array:
    """`(H, W, 3)`: the light that falls on the sensor, 1 at full scale, with all lamps at `level`."""
    canvas = _drawn(lens, shapes)
    met = canvas.distance < FAR
    light = np.full((*met.shape, 3), level * PANEL)
    if not met.any():
        return light
    distance = canvas.distance[met]
    points = [lens.pos[i] + distance * lens.rays[i][met] for i in range(3)]
    normal, colour = canvas.normal[:, met], canvas.colour[:, met]
    bright = np.full(distance.shape, STRAY)
    for lamp, strength, reach in (
        (lamps.ring, RING, lamps.ring_reach),
        (lamps.bar, BAR, lamps.bar_reach),
    ):
        to = [lamp[i] - points[i] for i in range(3)]
        square = np.maximum(to[0] * to[0] + to[1] * to[1] + to[2] * to[2], 1e-6)
        facing = np.maximum(normal[0] * to[0] + normal[1] * to[1] + normal[2] * to[2], 0.0)
        bright += strength * reach * reach * facing / (square * np.sqrt(square))
    light[met] = (level * colour * bright).T
    return light


def smeared(light: Array, shift: tuple[float, float]) -> Array:
    """The picture of a scene that moved by (right, down) px while the shutter was open."""
    import cv2

    length = float(np.hypot(*shift))
    if length < 0.05:
        return light
    count = max(2, int(np.ceil(2.0 * length)) + 1)
    height, width = light.shape[:2]
    total = np.zeros_like(light)
    for share in np.linspace(-0.5, 0.5, count):
        move = np.array([[1.0, 0.0, share * shift[0]], [0.0, 1.0, share * shift[1]]])
        total += cv2.warpAffine(
            light, move, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return total / count


def spread(light: Array, sigma: float) -> Array:
    """The picture through a lens that spreads each point with a standard deviation of `sigma` px."""
    import cv2

    return np.asarray(cv2.GaussianBlur(light, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def developed(light: Array, grain: Array) -> Picture:
    """`(H, W, 3)` uint8: what the sensor makes of the light; `grain` `(H, W, 3)` is standard normal."""
    noise = np.sqrt(READ_NOISE * READ_NOISE + SHOT_NOISE * SHOT_NOISE * np.maximum(light, 0.0))
    return np.asarray(np.rint(255.0 * np.clip(light + noise * grain, 0.0, 1.0)), np.uint8)
