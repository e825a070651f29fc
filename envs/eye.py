"""An eye: the camera of N worlds at work. It is triggered, exposes, and some ticks later says what its pictures show.

Pictures are taken of one world at a time and only where a cell triggers its camera, so they cost little; light, lens, dirt and shake
are the business of the camera disturbances. What a picture says becomes held signals, which observations and constraints read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .camera import OPTICS, Lamps, Lens, Picture, developed, photograph, smeared, spread
from .camera_disturbances import CameraDisturbance
from .signals import Array, Lookup
from .solids import Shape
from .streams import Streams

if TYPE_CHECKING:
    from .disturbances import Disturbance
    from .engine import Ids
    from .task import Task

IDLE, EMPTY = -1, 0  # no view or tick; the tick that the picture of the empty station is known by
GRAIN = (160, 192)  # px: the sheet of noise that each picture's grain is cut from


@cache
def grain_sheet() -> Array:
    """`(160, 192, 3)` standard normal draws: pictures take a piece of it each, at a place of their own."""
    return np.asarray(Streams("camera", np.zeros(1, np.int64)).normal("grain", (*GRAIN, 3))[0])


class Eye(ABC):
    """The camera of a task's worlds.

    Args:
        task, worlds: the job, and how many worlds there are.
        lens: where the camera stands and what it sees.
        period, latency: ticks between two exposures, and from an exposure to its answer (no more than `period`).
        exposure_s: how long the shutter is open.
        answers: how many numbers an answer has; after them comes how far (m) what is looked at moved while the shutter was open.
    """

    def __init__(
        self,
        task: Task,
        worlds: int,
        lens: Lens,
        period: int,
        latency: int,
        exposure_s: float,
        answers: int,
    ) -> None:
        import cv2

        cv2.setNumThreads(1)  # the same sums in the same order on any machine
        if not 0 < latency <= period:
            raise ValueError(f"expected an answer within the period of {period} ticks, found {latency}")
        self.task, self.lens, self.period, self.latency, self.exposure_s = (
            task,
            lens,
            period,
            latency,
            exposure_s,
        )
        self.disturbances: Sequence[CameraDisturbance] = ()
        self.seeds = np.zeros(worlds, np.int64)
        self.due = np.full(worlds, IDLE)
        self.fresh = np.ones(worlds, bool)
        self.view = np.full(worlds, IDLE)
        self.answer = np.zeros((worlds, answers + 1))

    @abstractmethod
    def triggered(self, held: Mapping[str, Array], now: Lookup) -> NDArray[np.int64]:
        """`(N,)`: which view the camera is to take now, -1 for none."""

    @abstractmethod
    def shapes(self, now: Lookup, world: int) -> list[Shape]:
        """What can be seen in a world."""

    @abstractmethod
    def lamps(self, now: Lookup, world: int) -> tuple[Lamps, float]:
        """The lamps of a world, and the share of their light that they give."""

    @abstractmethod
    def motion(self, now: Lookup, world: int) -> tuple[Array, Array]:
        """A point (3,) m of what is looked at, and its velocity (3,) m/s."""

    @abstractmethod
    def prepare(self, panel: Picture, world: int) -> None:
        """Learn from a picture of the empty station, which is taken before the part comes."""

    @abstractmethod
    def examine(self, picture: Picture, view: int, world: int) -> Sequence[float]:
        """What a picture of a view says."""

    @abstractmethod
    def note(self, held: Mapping[str, Array], worlds: Ids, views: NDArray[np.int64], answers: Array) -> None:
        """Take answers `(m, answers + 1)` into the held signals."""

    def sense(self, now: Lookup) -> Lookup:
        """What the policy's other sensors say now, with what is known by pictures in its place."""
        return now

    def watch_through(self, disturbances: Sequence[Disturbance]) -> None:
        """Let those of the disturbances that are a camera's act on the pictures, in their order."""
        self.disturbances = [each for each in disturbances if isinstance(each, CameraDisturbance)]

    def restart(self, ids: Ids, seeds: NDArray[np.int64]) -> None:
        """New episodes in worlds `ids`."""
        self.seeds[ids] = seeds
        self.due[ids], self.fresh[ids] = IDLE, True

    def tell(self, held: Mapping[str, Array], steps: NDArray[np.int64], active: NDArray[np.bool_]) -> None:
        """Answers that are due at `steps` `(N,)` enter the held signals."""
        worlds = np.flatnonzero(active & (self.due == steps) & (self.due != IDLE))
        if len(worlds):
            self.note(held, worlds, self.view[worlds], self.answer[worlds])
            self.due[worlds] = IDLE

    def expose(
        self, held: Mapping[str, Array], now: Lookup, steps: NDArray[np.int64], active: NDArray[np.bool_]
    ) -> None:
        """Take the pictures of this tick."""
        free = active & (steps % self.period == 0)
        if not free.any():
            return
        views = np.where(free, self.triggered(held, now), IDLE)
        for world in np.flatnonzero(views != IDLE):
            self._take(now, int(world), int(views[world]), int(steps[world]))

    def _take(self, now: Lookup, world: int, view: int, step: int) -> None:
        if self.fresh[world]:
            self.prepare(self.picture(now, world, EMPTY, empty=True), world)
            self.fresh[world] = False
        _, velocity = self.motion(now, world)
        travel = self.exposure_s * float(np.sqrt((velocity * velocity).sum()))
        self.answer[world] = (*self.examine(self.picture(now, world, step), view, world), travel)
        self.view[world], self.due[world] = view, step + self.latency

    def picture(self, now: Lookup, world: int, step: int, empty: bool = False) -> Picture:
        """What the camera sees of a world now; `empty`: with nothing before it."""
        lens = self.lens
        for disturbance in self.disturbances:
            lens = disturbance.aim(lens, world)
        light = self.light(lens, now, world, empty)
        if not empty:
            light = smeared(light, self._shift(lens, *self.motion(now, world)))
        light = spread(light, OPTICS)
        for disturbance in self.disturbances:
            light = disturbance.expose(light, world)
        return developed(light, self._grain(world, step))

    def light(self, lens: Lens, now: Lookup, world: int, empty: bool) -> Array:
        """`(H, W, 3)`: the light that falls on the sensor while nothing moves, 1 at full scale."""
        lamps, level = self.lamps(now, world)
        return photograph(lens, [] if empty else self.shapes(now, world), lamps, level)

    def _shift(self, lens: Lens, point: Array, velocity: Array) -> tuple[float, float]:
        """How far in px (right, down) a moving point comes while the shutter is open."""
        column, row, _ = lens.pixel(point)
        later = lens.pixel(point + self.exposure_s * velocity)
        return later[0] - column, later[1] - row

    def _grain(self, world: int, step: int) -> Array:
        width, height = self.lens.size
        draws = Streams(self.task.key, self.seeds[world : world + 1]).uniform("camera/grain", (2,), step)[0]
        top, left = int(draws[0] * (GRAIN[0] - height)), int(draws[1] * (GRAIN[1] - width))
        return grain_sheet()[top : top + height, left : left + width]
