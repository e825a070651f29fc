"""Disturbances: what a bad day does to a cell, with severities 0 to 5 and a source for every ladder.

Each enters through one port: the model, sensing, actuation, the world or the camera. Severity 0 changes no bit; training and suites
use the same classes. The first six are here, the others in a module for each port. A disturbance draws from streams of its own name, so
that it meets the same world with and without.
"""

from __future__ import annotations

import importlib
from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .engine import Engine, Ids
from .errors import BadInput, UnknownName
from .signals import Array, Lookup
from .streams import Streams
from .task import Task

Levels = NDArray[np.int64]
LEVELS = 6
PORTS = (
    "disturbed_sensing", "disturbed_acting", "disturbed_drives", "disturbed_parts", "disturbed_world", "camera_disturbances",
)  # fmt: skip


@dataclass(frozen=True)
class Ladder:
    """Values by severity 0..5 of one quantity, in `unit`, and where they come from."""

    quantity: str
    unit: str
    values: tuple[float, float, float, float, float, float]
    source: str

    def at(self, severity: NDArray[Any]) -> Array:
        """Values `(m,)` at severities `(m,)`; between two steps, on the straight line between their values."""
        values, low = np.asarray(self.values, np.float64), np.floor(severity).astype(np.int64)
        share, high = severity - low, np.minimum(low + 1, LEVELS - 1)
        between = values[low] + share * (values[high] - values[low])
        return np.asarray(np.where(share > 0.0, between, values[low]))


class Disturbance(ABC):
    """One disturbance over N worlds; every hook leaves worlds of severity 0 as they are, bit for bit."""

    name: ClassVar[str]
    port: ClassVar[str]
    ladder: ClassVar[Ladder]
    says: ClassVar[tuple[str, str]]
    needs: ClassVar[tuple[str, ...]] = ()  # model fields that it changes and a task may not vary by itself
    where: ClassVar[str] = "every cell"
    foreign: ClassVar[bool] = False  # for others' environments only (`foreign_disturbances`)

    @classmethod
    def applies(cls, task: Task) -> bool:
        """Whether a task's cell has what this disturbs; `where` says in words which cells have it."""
        return True

    def __init__(self, task: Task, engine: Engine) -> None:
        self.task, self.engine = task, engine
        self.level = np.zeros(engine.worlds, np.int64)
        self.value = np.zeros(engine.worlds)
        self.seeds = np.zeros(engine.worlds, np.int64)

    def __repr__(self) -> str:
        return f"{self.name} ({self.ladder.quantity}: {', '.join(f'{v:g}' for v in self.ladder.values)} {self.ladder.unit})"

    def assign(self, ids: Ids, severity: NDArray[Any], streams: Streams) -> None:
        """Take on new episodes in worlds `ids`: their severities `(m,)`, perhaps between two steps, and their streams."""
        self.level[ids] = np.ceil(severity)
        self.value[ids] = self.ladder.at(severity)
        self.seeds[ids] = streams.seeds
        self.draw(ids, streams)

    def draw(self, ids: Ids, streams: Streams) -> None:
        """What is drawn once an episode (nothing, unless a disturbance says otherwise)."""
        return None

    def change_model(self, ids: Ids, fields: dict[str, Array]) -> dict[str, Array]:
        """Model port: fields `(m, ...)` of the worlds that start, changed where the level says so."""
        return fields

    def sense(self, sensed: Lookup, steps: NDArray[np.int64]) -> Lookup:
        """Sensing port: what the sensors report."""
        return sensed

    def observe(self, observation: NDArray[np.float32], steps: NDArray[np.int64]) -> NDArray[np.float32]:
        """Sensing port: the whole observation `(N, d)`."""
        return observation

    def act(self, action: Array, steps: NDArray[np.int64]) -> Array:
        """Actuation port: the action `(N, A)` on its way to the controller."""
        return action

    def push(self, steps: NDArray[np.int64]) -> None:
        """World port: forces of this tick, written to the engine."""
        return None

    def field(self, fields: dict[str, Array], name: str, count: int) -> Array:
        """A model field of the starting worlds, `(m, ...)`, made from the model where the task did not set it."""
        if name not in fields:
            fields[name] = np.repeat(self.engine.defaults[name][None], count, axis=0)
        return fields[name]


class EitherSign(Disturbance):
    """A quantity multiplied by 1 + v in half of the worlds, by 1 - v in the others."""

    def draw(self, ids: Ids, streams: Streams) -> None:
        sign = np.where(streams.uniform(self.name) < 0.5, -1.0, 1.0)
        self.value[ids] = 1.0 + sign * self.value[ids]


class SensorNoise(Disturbance):
    """White noise on every sensed position, fresh each tick."""

    name, port = "sensor-noise", "sensing"
    says = ("White noise on sensed positions", "計測位置の白色雑音")
    ladder = Ladder(
        "standard deviation of a position",
        "m",
        (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008),
        "FORGE fingertip 0.25 mm and fixed part 1 mm; ShadowHand N(0, 2 mm); DeXtreme 5 mm; Playground 15 mm",
    )

    def sense(self, sensed: Lookup, steps: NDArray[np.int64]) -> Lookup:
        if not self.level.any():
            return sensed
        on = self.level > 0
        streams = Streams(self.task.key, self.seeds)
        values = {}
        for name, scale in self.task.sensed.items():
            truth = sensed[name]
            noise = streams.normal(f"{self.name}/{name}", truth.shape[1:], steps)
            values[name] = np.where(on[:, None], truth + (scale * self.value)[:, None] * noise, truth)
        return sensed.with_values(values)


class Delay(Disturbance):
    """A ring of past rows; each world reads the one its delay says (the first row of the episode before that)."""

    ladder = Ladder(
        "delay",
        "ms",
        (0.0, 20.0, 40.0, 60.0, 80.0, 120.0),
        "realworldrl 30/60/90 ms; Playground action 5-15 ms, observation 30-60 ms; in ticks of the control rate",
    )

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine)
        self.ring: NDArray[np.floating] | None = None
        self.per_unit = 1.0 if self.ladder.unit == "ticks" else task.control_hz / 1000.0
        self.slots = 1 + round(max(self.ladder.values) * self.per_unit)

    def ticks(self) -> Levels:
        """`(N,)`: the value in whole ticks."""
        return np.rint(self.value * self.per_unit).astype(np.int64)

    def late(
        self, rows: NDArray[np.floating], steps: NDArray[np.int64], ticks: Levels | None = None
    ) -> NDArray[np.floating]:
        """`(N, d)` rows of now in, rows of `ticks` `(N,)` ago out (by default of `value` ms ago)."""
        if self.ring is None:
            self.ring = np.zeros((len(rows), self.slots, rows.shape[1]), rows.dtype)
        if not self.level.any():
            return rows
        worlds = np.arange(len(rows))
        self.ring[worlds, steps % self.slots] = rows
        back = self.ticks() if ticks is None else ticks
        then = self.ring[worlds, np.maximum(steps - back, 0) % self.slots]
        return np.where((self.level > 0)[:, None], then, rows)


class ObservationDelay(Delay):
    """The policy sees the cell as it was a while ago."""

    name, port = "observation-delay", "sensing"
    says = ("Observations arrive late", "観測の遅延")

    def observe(self, observation: NDArray[np.float32], steps: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.late(observation, steps).astype(np.float32, copy=False)


class ActionDelay(Delay):
    """The controller gets the policy's action a while later."""

    name, port = "action-delay", "actuation"
    says = ("Actions take effect late", "行動の遅延")

    def act(self, action: Array, steps: NDArray[np.int64]) -> Array:
        return self.late(action, steps).astype(np.float64, copy=False)


class PartMass(EitherSign):
    """A part heavier or lighter than nominal (mass and inertia together)."""

    name, port = "part-mass", "model"
    says = ("The part is heavier or lighter than nominal", "部品質量の変動")
    ladder = Ladder(
        "relative change of mass, either sign",
        "1",
        (0.0, 0.1, 0.2, 0.5, 0.6, 0.7),
        "10 % maker's tolerance (assumption); Playground x0.8-1.2; ShadowHand x0.5-1.5; DeXtreme x0.3-1.7",
    )

    def change_model(self, ids: Ids, fields: dict[str, Array]) -> dict[str, Array]:
        if not self.level[ids].any():
            return fields
        body = self.engine.model.body(self.task.part_body).id
        for name in ("body_mass", "body_inertia"):
            rows = self.field(fields, name, len(ids)).copy()
            scale = np.where(self.level[ids] > 0, self.value[ids], 1.0)
            rows[:, body] *= scale.reshape(-1, *([1] * (rows.ndim - 2)))
            fields[name] = rows
        return fields


class Friction(EitherSign):
    """Sliding friction of every surface that touches the part: both geoms of each contact, so that neither can mask the other, and of the
    pairs whose friction the cell gives itself, as under a screw's head."""

    name, port = "friction", "model"
    needs = ("pair_friction",)
    says = ("Surfaces are more slippery or stickier than nominal", "摩擦の変動")
    ladder = Ladder(
        "relative change of sliding friction, either sign",
        "1",
        (0.0, 0.1, 0.2, 0.3, 0.5, 0.7),
        "10 % (assumption); ShadowHand x0.7-1.3; Playground 0.4-1.0; DeXtreme 0.2-1.2",
    )

    def change_model(self, ids: Ids, fields: dict[str, Array]) -> dict[str, Array]:
        if not self.level[ids].any():
            return fields
        model = self.engine.model
        touching = np.flatnonzero((model.geom_contype != 0) | (model.geom_conaffinity != 0))
        rows = self.field(fields, "geom_friction", len(ids)).copy()
        scale = np.where(self.level[ids] > 0, self.value[ids], 1.0)
        rows[:, touching, 0] *= scale[:, None]
        pairs = self.field(fields, "pair_friction", len(ids)).copy()
        pairs[:, :, :2] *= scale[:, None, None]
        fields["geom_friction"], fields["pair_friction"] = rows, pairs
        return fields


class Push(Disturbance):
    """One horizontal shove on the tool, 60 ms long, at a random moment before the work can be done."""

    name, port = "push", "world"
    says = ("Something shoves the tool once", "ツールへの一回の外力")
    ladder = Ladder(
        "force on the tool for 60 ms",
        "N",
        (0.0, 5.0, 10.0, 15.0, 25.0, 40.0),
        "5, 15 and 40 N at severities 1, 3 and 5 (project); Isaac Lab kicks 0.1 m/s",
    )
    duration_s = 0.06
    window = (0.2, 0.375)  # from so many seconds to this share of the takt

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine)
        self.body = engine.model.body(task.tool_body).id
        self.force = np.zeros((engine.worlds, 2))
        self.start = np.zeros(engine.worlds, np.int64)

    def draw(self, ids: Ids, streams: Streams) -> None:
        angle = streams.between(f"{self.name}/angle", 0.0, 2.0 * np.pi)
        self.force[ids] = self.value[ids, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        last = self.window[1] * self.task.takt_s
        moment = streams.between(f"{self.name}/start", self.window[0], last)
        self.start[ids] = np.rint(moment * self.task.control_hz)

    def push(self, steps: NDArray[np.int64]) -> None:
        if not self.level.any():
            return
        ticks = round(self.duration_s * self.task.control_hz)
        on = (self.level > 0) & (steps >= self.start) & (steps < self.start + ticks)
        self.engine.wrench[:, self.body, :2] = np.where(on[:, None], self.force, 0.0)


def disturbance_classes() -> dict[str, type[Disturbance]]:
    """Every disturbance of our cells, by name: the subclasses of `Disturbance` here and in the modules of `PORTS`."""
    for module in PORTS:
        importlib.import_module(f"{__package__}.{module}")
    known: dict[str, type[Disturbance]] = {}
    queue = list(Disturbance.__subclasses__())
    while queue:
        cls = queue.pop()
        queue += cls.__subclasses__()
        if hasattr(cls, "name") and not cls.foreign:
            known[cls.name] = cls
    return dict(sorted(known.items()))


def disturbances_for(task: Task) -> dict[str, type[Disturbance]]:
    """Those that a task's cell can meet, by name."""
    return {name: cls for name, cls in disturbance_classes().items() if cls.applies(task)}


def make_disturbance(name: str, task: Task, engine: Engine) -> Disturbance:
    """The disturbance of that name over the engine's worlds. Raises UnknownName with the closest names, BadInput where it cannot be met."""
    known: Mapping[str, type[Disturbance]] = disturbance_classes()
    if name not in known:
        raise UnknownName("disturbance", name, known)
    check_applies(known[name], task)
    return known[name](task, engine)


def check_applies(cls: type[Disturbance], task: Task) -> None:
    """Raises BadInput where a task's cell lacks what a disturbance disturbs."""
    if not cls.applies(task):
        raise BadInput(
            f"disturbance {cls.name}: does not apply to {task.id}, only to {cls.where}; leave it out"
        )
