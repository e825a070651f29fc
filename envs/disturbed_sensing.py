"""Sensing that goes wrong: offsets, slow noise, drift, encoders, and readings that are lost, held, repeated or late by varying times.

Truth stays true: these act between the signals and the observation. Where a disturbance speaks of a sensed position, it moves every
one that the task lists in `sensed`, times the scale given there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .disturbances import Delay, Disturbance, Ladder, Levels, Push
from .drives import arm_dofs, turning
from .engine import Engine, Ids
from .signals import Array, Lookup
from .streams import Streams
from .task import Task
from .terms import norm

Rows = NDArray[np.float32]


def direction(streams: Streams, name: str) -> Array:
    """`(n, 3)` unit vectors, every direction as likely."""
    drawn = streams.normal(name, (3,))
    return np.asarray(drawn / norm(drawn)[:, None])


def positions(task: Task) -> dict[str, float]:
    """The sensed signals of a task that are positions, with their scales; a scanner's ranges are none."""
    return {name: scale for name, scale in task.sensed.items() if task.table[name].shape == (3,)}


class _Positions(Disturbance):
    """Adds an error to every sensed position."""

    def error(self, name: str, steps: Levels) -> Array:
        """`(N, 3)` m: the error of one sensed position, before its scale."""
        raise NotImplementedError

    def sense(self, sensed: Lookup, steps: Levels) -> Lookup:
        if not self.level.any():
            return sensed
        on, values = (self.level > 0)[:, None], {}
        for name, scale in positions(self.task).items():
            values[name] = np.where(on, sensed[name] + scale * self.error(name, steps), sensed[name])
        return sensed.with_values(values)


class _Directed(_Positions):
    """An error along a direction that each sensed position draws once an episode."""

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine)
        self.along = {name: np.zeros((engine.worlds, 3)) for name in positions(task)}

    def draw(self, ids: Ids, streams: Streams) -> None:
        for name, along in self.along.items():
            along[ids] = direction(streams, f"{self.name}/{name}")


class SensorNoiseSlow(_Positions):
    """Noise that changes over half a second: new values every 0.5 s, the way between them straight, the spread the same throughout."""

    name, port = "sensor-noise-slow", "sensing"
    says = (
        "Slow noise on sensed positions, the same for about half a second",
        "計測位置のゆっくり変わる雑音(約0.5 秒の相関)",
    )
    ladder = Ladder(
        "standard deviation of a position",
        "m",
        (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008),
        "as sensor-noise, of which it is the part that no filter takes away (cell_spec); DeXtreme has correlated noise of 5 mm",
    )
    lasts_s = 0.5

    def error(self, name: str, steps: Levels) -> Array:
        every = round(self.lasts_s * self.task.control_hz)
        late = (steps % every / every)[:, None]
        streams = Streams(self.task.key, self.seeds)
        before, after = (
            streams.normal(f"{self.name}/{name}", (3,), knot) for knot in (steps // every, steps // every + 1)
        )
        mixed = ((1.0 - late) * before + late * after) / np.sqrt((1.0 - late) * (1.0 - late) + late * late)
        return np.asarray(self.value[:, None] * mixed)


class SensorBias(_Directed):
    """Every sensed position is off by the same vector throughout an episode."""

    name, port = "sensor-bias", "sensing"
    says = ("Sensed positions are off by a constant", "計測位置の一定のずれ")
    ladder = Ladder(
        "offset of a position",
        "m",
        (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008),
        "FORGE: fixed part off by 1 mm; hand-eye calibration left at 0.5 to 8 mm (cell_spec)",
    )

    def error(self, name: str, steps: Levels) -> Array:
        return np.asarray(self.value[:, None] * self.along[name])


class SensorDrift(_Directed):
    """Sensed positions wander off at a constant speed."""

    name, port = "sensor-drift", "sensing"
    says = ("Sensed positions wander off", "計測位置の時間とともに進むずれ")
    ladder = Ladder(
        "speed at which a position wanders off",
        "m/s",
        (0.0, 0.0001, 0.0002, 0.0005, 0.001, 0.002),
        "cell_spec: 0.5 to 10 mm after 5 s, the offsets of sensor-bias within one episode",
    )

    def error(self, name: str, steps: Levels) -> Array:
        return np.asarray((self.value * (steps * self.task.dt))[:, None] * self.along[name])


class SensorStuck(Disturbance):
    """All sensed positions stay at what they were at a random moment before the work can be done, for a while."""

    name, port = "sensor-stuck", "sensing"
    says = ("Sensed positions are stuck for a while", "計測位置がしばらく固まる")
    ladder = Ladder(
        "how long the positions are stuck",
        "ms",
        (0.0, 100.0, 200.0, 400.0, 800.0, 1600.0),
        "cell_spec: from a few lost frames to a restart of the sensor",
    )

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine)
        self.start = np.zeros(engine.worlds, np.int64)
        self.kept = {name: np.zeros((engine.worlds, 3)) for name in positions(task)}

    def draw(self, ids: Ids, streams: Streams) -> None:
        moment = streams.between(f"{self.name}/start", Push.window[0], Push.window[1] * self.task.takt_s)
        self.start[ids] = np.rint(moment * self.task.control_hz)

    def sense(self, sensed: Lookup, steps: Levels) -> Lookup:
        if not self.level.any():
            return sensed
        ticks = np.rint(self.value / 1000.0 * self.task.control_hz)
        stuck = ((self.level > 0) & (steps >= self.start) & (steps < self.start + ticks))[:, None]
        fresh, values = (steps <= self.start)[:, None], {}
        for name, kept in self.kept.items():
            kept[:] = np.where(fresh, sensed[name], kept)
            values[name] = np.where(stuck, kept, sensed[name])
        return sensed.with_values(values)


class EncoderOffset(Disturbance):
    """Every rotary joint's encoder was zeroed a little off, so the arm's reckoning puts the tool where it is not.

    A servo holds what its encoder reads, so the offset cancels in the joints; what is wrong is the tool's pose, by the Jacobian.
    """

    name, port = "encoder-offset", "sensing"
    says = ("Encoders were zeroed a little off", "エンコーダの原点ずれ")
    where = "cells with an arm whose tool position is observed"
    ladder = Ladder(
        "offset of each rotary joint, either sign",
        "rad",
        (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008),
        "cell_spec: 1 mrad of the first joint is 0.5 mm at a reach of 0.5 m; mastering by hand leaves a few mrad",
    )

    @classmethod
    def applies(cls, task: Task) -> bool:
        return {"arm.q", "tcp.pos", "tcp.quat"} <= set(task.table) and "tcp.pos" in task.sensed

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine)
        self.body, self.dofs = engine.model.body(task.tool_body).id, arm_dofs(task)
        self.turns = turning(task)
        self.offset = np.zeros((engine.worlds, len(self.dofs)))

    def draw(self, ids: Ids, streams: Streams) -> None:
        sign = np.where(streams.uniform(self.name, self.offset.shape[1:]) < 0.5, -1.0, 1.0)
        self.offset[ids] = self.value[ids, None] * sign * self.turns

    def sense(self, sensed: Lookup, steps: Levels) -> Lookup:
        if not self.level.any():
            return sensed
        on, truth = (
            (self.level > 0)[:, None],
            {name: sensed[name] for name in ("arm.q", "tcp.pos", "tcp.quat")},
        )
        linear, angular = self.engine.jacobian(self.body, truth["tcp.pos"])
        shift, turn = np.zeros((len(on), 3)), np.zeros((len(on), 3))
        for joint, dof in enumerate(self.dofs):  # summed in a fixed order
            shift += self.offset[:, joint, None] * linear[:, :, dof]
            turn += self.offset[:, joint, None] * angular[:, :, dof]
        found = {
            "arm.q": truth["arm.q"] + self.offset,
            "tcp.pos": truth["tcp.pos"] + shift,
            "tcp.quat": turned(truth["tcp.quat"], turn),
        }
        return sensed.with_values({name: np.where(on, found[name], truth[name]) for name in found})


def turned(quat: Array, turn: Array) -> Array:
    """Quaternions `(N, 4)`, w first, turned by small rotation vectors `(N, 3)` in rad of the world's frame."""
    w, x, y, z = (quat[:, i] for i in range(4))
    a, b, c = (0.5 * turn[:, i] for i in range(3))
    rows = [
        w - a * x - b * y - c * z,
        x + a * w + b * z - c * y,
        y + b * w + c * x - a * z,
        z + c * w + a * y - b * x,
    ]
    size = np.sqrt(rows[0] * rows[0] + rows[1] * rows[1] + rows[2] * rows[2] + rows[3] * rows[3])
    return np.stack([row / np.maximum(size, 1e-9) for row in rows], axis=1)


class ObservationLost(Disturbance):
    """Now and then an observation does not arrive, and the receiver fills in zeros."""

    name, port = "observation-lost", "sensing"
    says = ("Observations are lost: zeros take their place", "観測の欠落(ゼロで埋める)")
    ladder = Ladder(
        "share of ticks",
        "1",
        (0.0, 0.02, 0.05, 0.1, 0.2, 0.4),
        "realworldrl drops sensor readings with a chance of 1, 5 and 10 %",
    )

    def missing(self, steps: Levels) -> NDArray[np.bool_]:
        """`(N, 1)`: the observation of this tick is lost."""
        drawn = Streams(self.task.key, self.seeds).uniform(self.name, (), steps)
        return ((self.level > 0) & (drawn < self.value))[:, None]

    def observe(self, observation: Rows, steps: Levels) -> Rows:
        if not self.level.any():
            return observation
        return np.where(self.missing(steps), np.float32(0.0), observation)


class ObservationHeld(ObservationLost):
    """Now and then an observation does not arrive, and the receiver shows the last one again."""

    name = "observation-held"
    says = ("Observations are lost: the last one is shown again", "観測の欠落(直前の値を保持)")

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine)
        self.shown: Rows | None = None

    def observe(self, observation: Rows, steps: Levels) -> Rows:
        if not self.level.any():
            return observation
        missing = self.missing(steps) & (steps > 0)[:, None]
        last = observation if self.shown is None else self.shown
        self.shown = np.where(missing, last, observation)
        return self.shown.copy()


class ObservationRepeated(Delay):
    """A sensor slower than the controller: each observation is shown again for a while before the next one comes."""

    name, port = "observation-repeated", "sensing"
    says = ("Sensors are slower: each observation is repeated", "計測が遅く同じ観測が繰り返される")
    ladder = Ladder(
        "how long an observation is repeated",
        "ms",
        (0.0, 20.0, 40.0, 60.0, 80.0, 120.0),
        "realworldrl repeats observations; 50 Hz to 7 Hz (cell_spec)",
    )

    def observe(self, observation: Rows, steps: Levels) -> Rows:
        every = 1 + self.ticks()
        return self.late(observation, steps, steps % every).astype(np.float32, copy=False)


class ObservationJitter(Delay):
    """Each tick the observation is late by another time, so that an old one may follow a newer one."""

    name, port = "observation-jitter", "sensing"
    says = ("Observations are late by varying times", "観測遅れのばらつき")
    ladder = Ladder(
        "largest delay, any whole tick from 0 as likely",
        "ms",
        (0.0, 20.0, 40.0, 60.0, 80.0, 120.0),
        "as observation-delay: Playground observation 30-60 ms",
    )

    def observe(self, observation: Rows, steps: Levels) -> Rows:
        drawn = Streams(self.task.key, self.seeds).uniform(self.name, (), steps)
        late = (drawn * (1 + self.ticks())).astype(np.int64)
        return self.late(observation, steps, late).astype(np.float32, copy=False)
