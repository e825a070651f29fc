"""What a bad day does to a camera: focus, light, reflections, dirt, colour of the light, a knock. Only cells with a camera meet them.

The port `camera`: a disturbance moves the lens before a picture is taken, or changes the light on the sensor. Numbers in px are
those of the picture that is judged.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .camera import Lens, spread
from .disturbances import Disturbance, Ladder
from .engine import Engine, Ids
from .signals import Array
from .streams import Streams
from .task import Task

GLARE = 1.6  # of full scale, in the middle of a reflection


class CameraDisturbance(Disturbance):
    """A disturbance of pictures; every hook leaves worlds of severity 0 as they are, bit for bit."""

    port = "camera"
    where = "cells with a camera"

    @classmethod
    def applies(cls, task: Task) -> bool:
        return task.sees

    def aim(self, lens: Lens, world: int) -> Lens:
        """The lens as it stands in a world."""
        return lens

    def expose(self, light: Array, world: int) -> Array:
        """The light `(H, W, 3)` on a world's sensor, 1 at full scale."""
        return light


class CameraBlur(CameraDisturbance):
    """The lens is out of focus."""

    name = "camera-blur"
    says = ("The picture is out of focus", "カメラのピントずれ")
    ladder = Ladder(
        "standard deviation of what a point is spread to",
        "px",
        (0.0, 0.45, 0.7, 1.0, 1.5, 2.2),
        "ImageNet-C defocus and Gaussian blur spread points by 0.4 to 3 % of the picture (here 64 px wide); steps are the project's",
    )

    def expose(self, light: Array, world: int) -> Array:
        return spread(light, float(self.value[world])) if self.level[world] else light


class CameraExposure(CameraDisturbance):
    """The shutter is open too long or too short."""

    name = "camera-exposure"
    says = ("The picture is too bright or too dark", "カメラの露出ずれ")
    ladder = Ladder(
        "change of exposure, either sign",
        "EV",
        (0.0, 0.15, 0.3, 0.6, 1.0, 1.5),
        "a third of a stop is the smallest step of most lenses' irises; 1 EV is twice the light; steps are the project's",
    )

    def draw(self, ids: Ids, streams: Streams) -> None:
        sign = np.where(streams.uniform(self.name) < 0.5, -1.0, 1.0)
        self.value[ids] *= sign

    def expose(self, light: Array, world: int) -> Array:
        return np.asarray(light * 2.0 ** float(self.value[world])) if self.level[world] else light


class CameraColour(CameraDisturbance):
    """The lamps' light is warmer or colder than when the camera was taught."""

    name = "camera-colour"
    says = ("The light is warmer or colder", "照明の色温度ずれ")
    ladder = Ladder(
        "relative change of red over blue, either sign",
        "1",
        (0.0, 0.05, 0.1, 0.2, 0.35, 0.5),
        "Planck's law: red over blue falls by about a third from 5000 K to 6500 K; steps are the project's",
    )

    def draw(self, ids: Ids, streams: Streams) -> None:
        sign = np.where(streams.uniform(self.name) < 0.5, -1.0, 1.0)
        self.value[ids] = np.where(sign > 0.0, 1.0 + self.value[ids], 1.0 / (1.0 + self.value[ids]))

    def expose(self, light: Array, world: int) -> Array:
        if not self.level[world]:
            return light
        tilt = float(np.sqrt(self.value[world]))
        return np.asarray(light * np.array([tilt, 1.0, 1.0 / tilt]))


class _Spot(CameraDisturbance):
    """Something round on the picture, somewhere in its inner part, that covers the share that the ladder says."""

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine)
        self.place = np.zeros((engine.worlds, 2))

    def draw(self, ids: Ids, streams: Streams) -> None:
        self.place[ids] = streams.between(self.name, 0.2, 0.8, (2,))

    def cover(self, light: Array, world: int) -> NDArray[np.float64]:
        """`(H, W, 1)`: 1 inside the spot, 0 outside."""
        height, width = light.shape[:2]
        row, column = self.place[world, 1] * height, self.place[world, 0] * width
        square = float(self.value[world]) * height * width / np.pi
        y, x = np.arange(height)[:, None] + 0.5 - row, np.arange(width)[None] + 0.5 - column
        return np.asarray(x * x + y * y < square, np.float64)[:, :, None]


class CameraGlare(_Spot):
    """A lamp or window is reflected into the lens."""

    name = "camera-glare"
    says = ("A reflection blinds part of the picture", "カメラへの映り込み(ハレーション)")
    ladder = Ladder(
        "share of the picture that is blinded",
        "1",
        (0.0, 0.002, 0.005, 0.015, 0.04, 0.08),
        "project assumption: from a spot of 1.4 px radius to a quarter of the part",
    )

    def expose(self, light: Array, world: int) -> Array:
        return light + GLARE * self.cover(light, world) if self.level[world] else light


class CameraOcclusion(_Spot):
    """Dirt on the lens, or a cable in the way."""

    name = "camera-occlusion"
    says = ("Something dark covers part of the picture", "カメラ視野の遮蔽・汚れ")
    ladder = Ladder(
        "share of the picture that is covered",
        "1",
        (0.0, 0.002, 0.005, 0.015, 0.04, 0.08),
        "project assumption: from a spot of 1.4 px radius to a quarter of the part",
    )

    def expose(self, light: Array, world: int) -> Array:
        return light * (1.0 - 0.96 * self.cover(light, world)) if self.level[world] else light


class CameraShift(CameraDisturbance):
    """Somebody knocked against the stand: the camera has moved sideways or up since it was taught."""

    name = "camera-shift"
    says = ("The camera was knocked out of place", "カメラ位置のずれ")
    ladder = Ladder(
        "distance that the camera has moved, across its view",
        "m",
        (0.0, 0.001, 0.002, 0.004, 0.008, 0.014),
        "project assumption: 1.3 mm are one px on the part; stands give some mm when knocked",
    )

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine)
        self.angle = np.zeros(engine.worlds)

    def draw(self, ids: Ids, streams: Streams) -> None:
        self.angle[ids] = streams.between(self.name, 0.0, 2.0 * np.pi)

    def aim(self, lens: Lens, world: int) -> Lens:
        if not self.level[world]:
            return lens
        right, up = np.cos(self.angle[world]), np.sin(self.angle[world])
        way = right * lens.axes[:, 0] + up * lens.axes[:, 1]
        return replace(lens, pos=lens.pos + self.value[world] * way)
