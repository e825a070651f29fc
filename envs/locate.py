"""Where a coloured part lies in a picture from above, with OpenCV on the pixels and nothing else.

A picture is brought to the light that its background was taught in. What then has the part's colour is outlined; the share of each pixel that
the part covers gives its middle to a fraction of a pixel, and its own shape, or the mark on its back, how it is turned.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .camera import Lens, Picture
from .signals import Array
from .terms import ramp

ALL, NONE = (
    0.12,
    0.34,
)  # difference in hue (sum over shares of red, green and blue) at which all, and none, of a pixel is the part
DARK = (16.0, 40.0)  # of 255: sum of the channels in which no colour can be told, and from which it can
LEAST = 0.02  # of the picture's brightest: a channel that is darker has no say in the balance
STRIDE = 4.0  # px to either side between which a direction is taken
WHITER = 1.5  # times what is common on a part: how bright its darkest channel is on the white of a mark
SIGN = 3.0  # px of a mark's colour from which it is there
SMALLEST = 0.35  # share of the area that is expected, from which something is the part


@dataclass(frozen=True)
class Spot:
    """A part in a picture: its middle in px (to the right, down), the angle in rad from right to up of what is long about it, and its
    area in px."""

    column: float
    row: float
    angle: float
    area: float


def balanced(picture: Picture, background: Array) -> Array:
    """`(H, W, 3)` of 255: the picture in the light in which its background `(3,)` was taught; most of it must show that."""
    seen = np.median(picture.reshape(-1, 3), axis=0)
    return np.asarray(picture * (background / np.maximum(seen, 255.0 * LEAST)))


def coverage(light: Array, colour: Array, background: Array) -> Array:
    """`(H, W)`: the share of each pixel that has a colour `(3,)` and not that of the background, whatever the light on it."""
    total = light.sum(axis=2)
    hue = colour / colour.sum()
    gap = np.abs(light / np.maximum(total, 1.0)[:, :, None] - hue).sum(axis=2)
    apart = float(np.abs(background / background.sum() - hue).sum())
    near, far = min(ALL, 0.3 * apart), min(NONE, 0.75 * apart)
    return np.asarray(ramp(-gap, -far, -near) * ramp(total, *DARK))


def spots(
    light: Array, colour: Array, background: Array, expected: float, marked: Array | None = None
) -> list[Spot]:
    """The parts of a colour, the likeliest first.

    Args:
        light: the balanced picture.
        colour, background: of the part, and of what it lies on, `(3,)`.
        expected: its area in px.
        marked: the colour of a spot on the part that is sought, where others are like it; a white line then says how it is turned.
    """
    covered = coverage(light, colour, background)
    mask = np.asarray(covered > 0.5, np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found: list[tuple[float, Spot]] = []
    for outline in outlines:
        inside = np.zeros_like(mask)
        cv2.drawContours(inside, [outline], -1, 1, cv2.FILLED)
        if inside.sum() < SMALLEST * expected:
            continue
        around = cv2.dilate(inside, np.ones((3, 3), np.uint8))
        filled = np.where(cv2.erode(inside, np.ones((3, 3), np.uint8)) > 0, 1.0, covered * around)
        column, row, angle, area = _moments(filled)
        if marked is None:
            found.append((abs(area - expected), Spot(column, row, angle, area)))
            continue
        white = light.min(axis=2) * cv2.erode(inside, np.ones((3, 3), np.uint8))
        white = np.maximum(white - WHITER * np.median(white[white > 0.0]), 0.0) if white.any() else white
        if white.sum() > 0.0:
            angle = _moments(white)[2]
        sign = float(((coverage(light, marked, background) > 0.5) * inside).sum())
        if sign > SIGN:
            found.append((-sign, Spot(column, row, angle, area)))
    return [spot for _, spot in sorted(found, key=lambda each: each[0])]


def _moments(weight: Array) -> tuple[float, float, float, float]:
    """Middle (column, row), angle of the long axis and sum of a picture of weights."""
    rows, columns = np.indices(weight.shape)
    total = float(weight.sum())
    column, row = float((weight * columns).sum()) / total, float((weight * rows).sum()) / total
    right, down = columns - column, rows - row
    xx, yy, xy = (float((weight * a * b).sum()) for a, b in ((right, right), (down, down), (right, down)))
    return column + 0.5, row + 0.5, -0.5 * float(np.arctan2(2.0 * xy, xx - yy)), total


def on_plane(lens: Lens, column: float, row: float, height: float) -> NDArray[np.float64]:
    """`(2,)` m: the point of the horizontal plane at `height` that lies behind a pixel."""
    width, rows = lens.size
    right, up = (column - width / 2.0) / lens.focal, (rows / 2.0 - row) / lens.focal
    way = right * lens.axes[:, 0] + up * lens.axes[:, 1] - lens.axes[:, 2]
    return np.asarray((lens.pos + way * ((height - lens.pos[2]) / way[2]))[:2])


def heading(lens: Lens, spot: Spot, height: float) -> float:
    """rad: how what is long about a spot is turned in the horizontal plane at `height`."""
    right, up = STRIDE * np.cos(spot.angle), STRIDE * np.sin(spot.angle)
    x, y = (
        on_plane(lens, spot.column + right, spot.row - up, height)
        - on_plane(lens, spot.column - right, spot.row + up, height)
    ).tolist()
    return float(np.arctan2(y, x))
