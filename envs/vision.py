"""Judging a picture of a part against a golden one, with OpenCV on the pixels and nothing else.

A picture of the empty panel, taken before the part comes, shows dirt and reflections; the panel behind the part gives the white
balance, the part's saturated colour its outline, and that its place to a fraction of a pixel. Then what differs from the golden picture in
shape and in colour makes the score. How far that can be believed is judged too: sharpness of the outline, exposure, size and place. A
picture that cannot be believed has quality zero and says nothing, neither good nor bad.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .camera import Picture
from .signals import Array
from .terms import ramp

SATURATED, UNCOLOURED = 0.62, 0.30  # saturation of the part's colour and above that of anything grey
BACKGROUND = (slice(28, 44), 5)  # rows, and columns from either side, in which the panel shows
DARK, BRIGHT = 30.0, 246.0  # of 255: where a picture is too dark, and where the sensor is full
BLUR_OF = 0.6  # px: what the difference is smoothed with before it is judged
BASE, EDGE = 0.060, 0.60  # what is nothing: share of the face's brightness, and of the golden picture's slope
ENOUGH = 2.2  # px * (times what is nothing): how much of a difference is a defect
HUE = 0.050  # change of green against red that is another colour
SHARP = (0.90, 1.15)  # px: blur of the outline at which a picture is believed, and from which it is not
LEAST = (12, 14)  # px: width and height from which something coloured is the part
REACH = 4  # px to either side of an edge over which its blur is measured
FAR_OUT = 9.0  # px: blur where nothing can be measured
SHIFT = (9.0, 12.0)  # px from its golden place, likewise
UNEVEN = 0.25  # share of the panel's brightness by which a spot of it differs where the camera is blind
HIDES = (2.9, 3.9)  # px: half width of a blind spot on the face that hides no defect, and that may hide one
SIZE = (0.07, 0.14)  # relative difference in width, likewise


@dataclass(frozen=True)
class Found:
    """Where the part lies in a picture and how sharp and bright that is."""

    balanced: Array  # (H, W, 3) shares of the panel's light
    soft: Array  # (H, W) 1 on the part, 0 elsewhere
    left: float  # px
    right: float
    bottom: float
    blur: float  # px: standard deviation of the outline
    panel: float  # of 255
    full: float  # share of the part's pixels in which the sensor is full


@dataclass(frozen=True)
class Golden:
    """A picture of a good part from one side, and what may differ from it."""

    found: Found
    grey: Array  # (H, W) brightness, 1 at the face's middle value
    tolerance: Array  # (H, W)
    face: Array  # (H, W) 1 where the face is judged
    hue: float


@dataclass(frozen=True)
class Judged:
    """What one picture says: a score of 1 and more is a defect; quality 0 says that the score is worth nothing."""

    score: float
    quality: float
    blur: float
    panel: float
    shape: float = 0.0
    hue: float = 0.0


def find(picture: Picture) -> Found | None:
    """The part in a picture; None where none is to be seen."""
    rows, edge = BACKGROUND
    sides = np.concatenate([picture[rows, :edge], picture[rows, -edge:]], axis=1).reshape(-1, 3)
    panel = np.maximum(np.median(sides, axis=0), 1.0)
    balanced = np.ascontiguousarray(picture / panel)
    soft = _coloured(balanced)
    _, mask = cv2.threshold((255.0 * soft).astype(np.uint8), 127, 255, cv2.THRESH_BINARY)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    outline = max(contours, key=cv2.contourArea)
    _, top, width, height = cv2.boundingRect(outline)
    if width < LEAST[0] or height < LEAST[1]:
        return None
    only = np.zeros_like(mask)
    cv2.drawContours(only, [outline], -1, 255, cv2.FILLED)
    square = np.ones((3, 3), np.uint8)
    filled = np.where(cv2.dilate(only, square) > 0, soft, 0.0)
    filled = np.maximum(filled, np.where(cv2.erode(only, square) > 0, 1.0, 0.0))
    left, right, bottom = _edges(filled, top + height)
    full = float((picture.max(axis=2)[only > 0] >= 254).mean())
    blur = _outline_blur(balanced, left, right, bottom)
    return Found(balanced, filled, left, right, bottom, blur, float(panel.mean()), full)


def _coloured(balanced: Array) -> Array:
    """`(H, W)`: 1 where there is colour, 0 where there is grey."""
    most, least = balanced.max(axis=2), balanced.min(axis=2)
    return ramp(cv2.GaussianBlur((most - least) / np.maximum(most, 0.06), (0, 0), 0.5), UNCOLOURED, SATURATED)


def _edges(filled: Array, end: int) -> tuple[float, float, float]:
    """Left, right and lower edge in px of a part that ends above row `end`: from how much of each line is covered."""
    lines = filled[_lower_rows(end)]
    inside = lines.sum(axis=1)
    columns = np.arange(lines.shape[1]) + 0.5
    middle = float(np.median((lines * columns).sum(axis=1) / np.maximum(inside, 1.0)))
    across = float(np.median(inside))
    core = slice(max(round(middle - 0.3 * across), 0), max(round(middle + 0.3 * across), 1))
    first = max(end - 8, 0)
    bottom = first + float(np.median(filled[first:, core].sum(axis=0)))
    return middle - 0.5 * across, middle + 0.5 * across, bottom


def _lower_rows(bottom: float) -> slice:
    """Rows above the part's lower edge in which its sides are straight and nothing sticks out."""
    return slice(max(round(bottom) - 13, 0), max(round(bottom) - 4, 1))


def _outline_blur(balanced: Array, left: float, right: float, bottom: float) -> float:
    """Standard deviation in px of the step from panel to part, the worse of sides and lower edge, in blue, where it is largest."""
    blue = np.ascontiguousarray(balanced[:, :, 2])
    width = blue.shape[1]
    sides = [_step_width(blue[_lower_rows(bottom)], edge) for edge in (left, right)]
    core = slice(max(round(left + 6), 0), max(min(round(right - 6), width), 1))
    lower = _step_width(np.ascontiguousarray(blue[:, core].T), bottom)
    return max(*sides, lower)


def _step_width(lines: Array, edge: float) -> float:
    """Middle value over lines `(n, w)` of the second moment of the slope about its own middle near `edge` px."""
    first, last = round(edge) - REACH, round(edge) + REACH
    if len(lines) == 0 or first < 0 or last > lines.shape[1]:
        return FAR_OUT
    slope = np.abs(np.diff(lines[:, first:last], axis=1))
    slope = np.maximum(slope - 0.06 * slope.max(axis=1, keepdims=True), 0.0)
    at = np.arange(slope.shape[1]) + 0.5
    total = np.maximum(slope.sum(axis=1), 1e-6)
    middle = (slope * at).sum(axis=1) / total
    spread = (slope * (at - middle[:, None]) ** 2).sum(axis=1) / total
    return float(np.sqrt(np.median(spread)))


def teach(picture: Picture) -> Golden:
    """A golden picture becomes what parts are compared with. Raises ValueError where it shows no part."""
    found = find(picture)
    if found is None:
        raise ValueError("no part in the golden picture")
    face = _face(found)
    grey = _grey(found.balanced)
    grey = grey / np.median(grey[face > 0.0])
    slope = np.hypot(
        cv2.Sobel(grey, cv2.CV_64F, 1, 0, scale=0.125), cv2.Sobel(grey, cv2.CV_64F, 0, 1, scale=0.125)
    )
    slope = cv2.dilate(slope, np.ones((5, 5), np.uint8))
    tolerance = np.asarray(BASE + EDGE * slope, np.float64)
    return Golden(found, grey, tolerance, face, _hue(found.balanced, face > 0.0))


def _face(found: Found) -> Array:
    """1 on the part's face, away from its outline and from what grips it."""
    height, width = found.soft.shape
    inside = cv2.erode((found.soft > 0.5).astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=1)
    face = np.zeros((height, width))
    top = round(found.bottom) - 27
    left, right = round(found.left) + 3, round(found.right) - 3
    face[max(top, 0) : round(found.bottom) - 2, left:right] = 1.0
    return face * inside


def _grey(balanced: Array) -> Array:
    return np.ascontiguousarray(0.3 * balanced[:, :, 0] + 0.4 * balanced[:, :, 1] + 0.3 * balanced[:, :, 2])


def _hue(balanced: Array, on: NDArray[np.bool_]) -> float:
    """Green against red of the face."""
    return float(np.median(balanced[:, :, 1][on]) / max(float(np.median(balanced[:, :, 0][on])), 1e-6))


def blind_spots(panel: Picture) -> Picture | None:
    """`(H, W)` 255 where a picture of the empty panel shows that the camera sees nothing: dirt, reflections. None where it sees all."""
    middle = np.maximum(np.median(panel.reshape(-1, 3), axis=0), 1.0)
    off = np.abs(panel / middle - 1.0).max(axis=2)
    blind = ((off > UNEVEN) | (panel.max(axis=2) >= 254)).astype(np.uint8)
    blind = cv2.morphologyEx(blind, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    if not blind.any():
        return None
    return np.asarray(255 * cv2.dilate(blind, np.ones((3, 3), np.uint8)), np.uint8)


def judge(picture: Picture, golden: Golden, blind: Picture | None = None) -> Judged:
    """Compare a picture with the golden one, but for where the camera is `blind`."""
    if blind is not None:
        if (blind > 0).mean() > 0.5:
            return Judged(0.0, 0.0, FAR_OUT, 255.0)
        picture = np.asarray(cv2.inpaint(picture, blind, 3, cv2.INPAINT_TELEA), np.uint8)
    found = find(picture)
    if found is None:
        return Judged(0.0, 0.0, FAR_OUT, 0.0)
    right = 0.5 * (found.left + found.right) - 0.5 * (golden.found.left + golden.found.right)
    down = found.bottom - golden.found.bottom
    quality = _quality(found, golden, right, down)
    aligned = np.asarray(_moved(found.balanced, right, down, cv2.BORDER_REPLICATE), np.float64)
    on = golden.face > 0.0
    if blind is not None:
        hidden = _moved(blind, right, down, cv2.BORDER_CONSTANT) > 0
        widest = float(cv2.distanceTransform((hidden & on).astype(np.uint8), cv2.DIST_L2, 5).max())
        quality *= float(1.0 - ramp(np.array(widest), *HIDES))
        on = on & ~hidden
        if on.mean() < 0.5 * (golden.face > 0.0).mean():
            return Judged(0.0, 0.0, found.blur, found.panel)
    shape = _marks(aligned, golden, on)
    hue = abs(_hue(aligned, on) - golden.hue) / HUE
    return Judged(max(shape, hue), quality, found.blur, found.panel, shape, hue)


def _moved(picture: NDArray[Any], right: float, down: float, border: int) -> NDArray[Any]:
    """A picture brought back from where its part lies, (right, down) px off."""
    height, width = picture.shape[:2]
    move = np.array([[1.0, 0.0, right], [0.0, 1.0, down]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, move, (width, height), flags=flags, borderMode=border))


def _marks(aligned: Array, golden: Golden, on: NDArray[np.bool_]) -> float:
    """How much of a defect the largest connected difference in brightness is; only where `on` is looked at."""
    grey = _grey(aligned)
    grey = grey / max(float(np.median(grey[on])), 1e-6)
    off = np.abs(cv2.GaussianBlur(grey - golden.grey, (0, 0), BLUR_OF)) / golden.tolerance
    excess = np.where(on, np.maximum(off - 1.0, 0.0), 0.0)
    count, labels = cv2.connectedComponents((excess > 0.0).astype(np.uint8), connectivity=8)
    if count < 2:
        return 0.0
    return float(np.bincount(labels.ravel(), excess.ravel(), count)[1:].max()) / ENOUGH


def _quality(found: Found, golden: Golden, right: float, down: float) -> float:
    """Product of what may be wrong with a picture, each 1 where it is well and 0 where the picture is worth nothing."""
    across = (found.right - found.left) / (golden.found.right - golden.found.left)
    doubts = np.array(
        [
            1.0 - ramp(np.array(found.blur), *SHARP),
            1.0 - ramp(np.array(max(abs(right), abs(down))), *SHIFT),
            1.0 - ramp(np.array(abs(across - 1.0)), *SIZE),
            ramp(np.array(found.panel), DARK, DARK + 20.0),
            1.0 - ramp(np.array(found.panel), BRIGHT, BRIGHT + 6.0),
            1.0 - ramp(np.array(found.full), 0.01, 0.05),
        ]
    )
    return float(doubts.prod())
