"""Disturbances of any MuJoCo environment: its model's fields, its observation, its delays."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import mujoco
import numpy as np
from numpy.typing import NDArray

from .disturbances import (
    ActionDelay,
    Disturbance,
    Friction,
    Ladder,
    ObservationDelay,
    PartMass,
    disturbance_classes,
)
from .engine import Engine, Ids
from .errors import UnknownName
from .streams import Streams
from .task import Task


class _Scaled(Disturbance):
    """Something in the model times 1 + value or 1 - value, drawn once an episode."""

    foreign, port = True, "model"

    def draw(self, ids: Ids, streams: Streams) -> None:
        sign = np.where(streams.uniform(self.name) < 0.5, -1.0, 1.0)
        self.value[ids] = 1.0 + sign * self.value[ids]

    def alter(self, world: int, model: Any, data: Any) -> None:
        """Change one world's model before its episode begins."""
        if self.level[world]:
            self.scale(model, float(self.value[world]))
            mujoco.mj_setConst(model, data)

    def scale(self, model: Any, factor: float) -> None:
        raise TypeError(f"{self.name} scales nothing")


class BodyMass(_Scaled):
    """Every body heavier or lighter than nominal (mass and inertia together)."""

    name = "body-mass"
    says = ("Bodies are heavier or lighter than nominal", "物体質量の変動")
    ladder = Ladder(
        "relative change of mass, either sign", "1", PartMass.ladder.values, PartMass.ladder.source
    )

    def scale(self, model: Any, factor: float) -> None:
        model.body_mass[:] *= factor
        model.body_inertia[:] *= factor


class SurfaceFriction(_Scaled):
    """Sliding friction of every surface."""

    name = "surface-friction"
    says = ("Surfaces are more slippery or stickier than nominal", "表面摩擦の変動")
    ladder = Friction.ladder

    def scale(self, model: Any, factor: float) -> None:
        model.geom_friction[:, 0] *= factor
        model.pair_friction[:, :2] *= factor


class ObservationNoise(Disturbance):
    """White noise on every column of the observation, fresh each tick, in the column's own unit."""

    foreign = True
    name, port = "observation-noise", "sensing"
    says = ("White noise on the observation", "観測の白色雑音")
    ladder = Ladder(
        "standard deviation of a column",
        "1",
        (0.0, 0.005, 0.01, 0.02, 0.05, 0.1),
        "realworldrl 0.1 at its first level; columns differ in scale, so the smaller steps are an assumption",
    )

    def observe(self, observation: NDArray[np.float32], steps: NDArray[np.int64]) -> NDArray[np.float32]:
        if not self.level.any():
            return observation
        noise = Streams(self.task.key, self.seeds).normal(self.name, observation.shape[1:], steps)
        disturbed = observation + self.value[:, None] * noise
        return np.where((self.level > 0)[:, None], disturbed, observation).astype(np.float32)


IN_TICKS = Ladder(
    "delay",
    "ticks",
    (0.0, 1.0, 2.0, 3.0, 4.0, 6.0),
    "control ticks of the environment, whose rate is its own: in milliseconds a step could be no tick at all (assumption)",
)


class LateObservation(ObservationDelay):
    """The policy sees the environment as it was some control ticks ago."""

    foreign, ladder = True, IN_TICKS


class LateAction(ActionDelay):
    """The environment gets the policy's action some control ticks later."""

    foreign, ladder = True, IN_TICKS


FOREIGN: tuple[type[Disturbance], ...] = (
    BodyMass,
    LateAction,
    LateObservation,
    ObservationNoise,
    SurfaceFriction,
)


def foreign_disturbances() -> dict[str, type[Disturbance]]:
    """What an environment that is not ours can be disturbed by, by name."""
    return {cls.name: cls for cls in FOREIGN}


def make_foreign(name: str, task: Task, worlds: int) -> Disturbance:
    """The disturbance of that name over `worlds` worlds. Raises UnknownName."""
    known = foreign_disturbances()
    if name not in known:
        raise UnknownName(f"disturbance of {task.id}", name, known)
    return known[name](task, cast(Engine, SimpleNamespace(worlds=worlds)))


def every_disturbance() -> dict[str, type[Disturbance]]:
    """What a suite may name, for cells of ours or for others' environments."""
    return {**foreign_disturbances(), **disturbance_classes()}
