"""What each camera disturbance really does, measured on pictures: pairs of the same scene, with and without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .camera import Picture, depths
from .signals import Array

if TYPE_CHECKING:
    from .effects import Pair
    from .task import Task
    from .worlds import Worlds

Shots = list[tuple[Picture, Picture, float]]  # with, without, metres for one px
STEP_PX = 0.02


def shots(task: Task, pair: Pair) -> Shots:
    """One pair of pictures of each world, taken as the expert first shows the part.

    The camera does not move anything, so worlds and twins are moved by the twins' expert. Raises ValueError where none is shown.
    """
    found: dict[int, tuple[Picture, Picture, float]] = {}
    for _ in range(round(task.horizon_s * task.control_hz)):
        action = task.expert(pair.twins.observation())
        for worlds in (pair.worlds, pair.twins):
            worlds.step(action)
        eye = pair.twins.eye
        if eye is None:
            break
        for world in np.flatnonzero(eye.due == pair.twins.steps + eye.latency):
            if int(world) not in found:
                nearest = depths(eye.lens, eye.shapes(pair.twins.signals.now, int(world))).min()
                scale = float(nearest) / eye.lens.focal  # on the face that is shown
                found[int(world)] = (_shot(pair.worlds, int(world)), _shot(pair.twins, int(world)), scale)
        if len(found) == pair.twins.n:
            return [found[world] for world in range(pair.twins.n)]
    raise ValueError(f"{task.id}: the expert showed the camera {len(found)} of {pair.twins.n} parts")


def _shot(worlds: Worlds, world: int) -> Picture:
    assert worlds.eye is not None
    return worlds.eye.picture(worlds.signals.now, world, int(worlds.steps[world]))


def _each(measure: Callable[[Picture, Picture, float], float]) -> Callable[[Task, Pair], list[float]]:
    def measured(task: Task, pair: Pair) -> list[float]:
        return pair.by_severity(np.array([measure(*shot) for shot in shots(task, pair)], np.float64))

    return measured


def _grey(picture: Picture) -> Array:
    return np.asarray(np.ascontiguousarray(picture, np.float64).mean(axis=2))


def _blur(picture: Picture, sharp: Picture, scale: float) -> float:
    """The Gaussian in px that makes the sharp picture most like the blurred one."""
    candidates = np.arange(0.1, 3.0, STEP_PX)
    blurred, clear = _grey(picture), _grey(sharp)
    gaps = [
        np.abs(cv2.GaussianBlur(clear, (0, 0), float(sigma), borderType=cv2.BORDER_REPLICATE) - blurred).sum()
        for sigma in candidates
    ]
    return float(candidates[int(np.argmin(gaps))])


def _exposure(picture: Picture, taught: Picture, scale: float) -> float:
    """Stops, of the pixels that are neither black nor full in either."""
    use = (picture > 20) & (picture < 250) & (taught > 20) & (taught < 250)
    return float(abs(np.median(np.log2(picture[use] / taught[use].astype(np.float64)))))


def _colour(picture: Picture, taught: Picture, scale: float) -> float:
    """Change of red over blue of what is bright."""
    bright = (taught.min(axis=2) > 60) & (picture.max(axis=2) < 252)
    pairs = [
        np.median(each[bright][:, 0] / each[bright][:, 2].astype(np.float64)) for each in (picture, taught)
    ]
    change = float(pairs[0] / pairs[1])
    return max(change, 1.0 / change) - 1.0


def _glare(picture: Picture, clear: Picture, scale: float) -> float:
    """Share of pixels that are full and were not."""
    return float(((picture.min(axis=2) >= 254) & (clear.min(axis=2) < 254)).mean())


def _occlusion(picture: Picture, clear: Picture, scale: float) -> float:
    """Share of what was bright that has become dark."""
    bright = clear.max(axis=2) > 50
    return float((picture.max(axis=2)[bright] < 0.2 * clear.max(axis=2)[bright]).mean())


def _shift(picture: Picture, straight: Picture, scale: float) -> float:
    """Metres on the part by which one picture is moved against the other."""
    window = cv2.createHanningWindow((straight.shape[1], straight.shape[0]), cv2.CV_64F)
    moved, still = (np.ascontiguousarray(each[:, :, 2], np.float64) for each in (picture, straight))
    (right, down), _ = cv2.phaseCorrelate(still - still.mean(), moved - moved.mean(), window)
    return float(np.hypot(right, down)) * scale


CAMERA_MEASURES: dict[str, Callable[[Task, Pair], list[float]]] = {
    "camera-blur": _each(_blur),
    "camera-exposure": _each(_exposure),
    "camera-colour": _each(_colour),
    "camera-glare": _each(_glare),
    "camera-occlusion": _each(_occlusion),
    "camera-shift": _each(_shift),
}
