"""A shop floor that is not as planned: tilted, with a faster belt, a knocked fixture; and a simulator other than the one learnt in.

The last two ask whether a policy lives off a quirk of the simulator: softer contacts, finer steps in time.
"""

from __future__ import annotations

import numpy as np

from .disturbances import Disturbance, EitherSign, Ladder, Levels
from .engine import Engine, Ids
from .signals import Array, Lookup
from .streams import Streams
from .task import Task


class GravityTilt(Disturbance):
    """The whole cell stands a little tilted, in a random direction.

    Gravity turns. An arm's controller knows where it points, as from an inclinometer in the base, and carries the arm's own weight
    accordingly; what is loose or held feels the tilt, and a vehicle.
    """

    name, port = "gravity-tilt", "world"
    says = (
        "The cell stands tilted: an arm's controller knows how and bears the arm's weight; parts, held ones too, and vehicles feel it",
        "セルの傾き。アームの制御は重力の向きを知り自重を補償するので、影響は部品(把持中も)と移動台車に現れる",
    )
    needs = ("opt.gravity",)
    ladder = Ladder(
        "angle of gravity to the vertical",
        "rad",
        (0.0, 0.0025, 0.005, 0.01, 0.02, 0.04),
        "cell_spec: a machine is levelled to 0.2 mm/m, a bench by eye to 5 mm/m; 0.04 rad is 2.3 degrees",
    )

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine)
        self.towards = np.zeros(engine.worlds)

    def draw(self, ids: Ids, streams: Streams) -> None:
        self.towards[ids] = streams.between(self.name, 0.0, 2.0 * np.pi)

    def change_model(self, ids: Ids, fields: dict[str, Array]) -> dict[str, Array]:
        if not self.level[ids].any():
            return fields
        rows, angle = self.field(fields, "opt.gravity", len(ids)).copy(), self.value[ids]
        down, towards = -rows[:, 2], self.towards[ids]
        tilted = [np.sin(angle) * np.cos(towards), np.sin(angle) * np.sin(towards), -np.cos(angle)]
        new = down[:, None] * np.stack(tilted, axis=1)
        fields["opt.gravity"] = np.where((self.level[ids] > 0)[:, None], new, rows)
        return fields


class BeltSpeed(EitherSign):
    """Belts run faster or slower than their drive reports."""

    name, port = "belt-speed", "world"
    says = ("Belts run faster or slower than reported", "コンベヤ速度の変動")
    where = "cells with a belt"
    needs = ("geom_surfacevel",)
    ladder = Ladder(
        "relative change of belt speed, either sign",
        "1",
        (0.0, 0.02, 0.05, 0.1, 0.2, 0.4),
        "cell_spec: slip of an induction motor 2 to 5 %, a belt that slips on its drum more",
    )

    @classmethod
    def applies(cls, task: Task) -> bool:
        return bool(task.model.geom_surfacevel.any())

    def change_model(self, ids: Ids, fields: dict[str, Array]) -> dict[str, Array]:
        if not self.level[ids].any():
            return fields
        rows = self.field(fields, "geom_surfacevel", len(ids))
        on = (self.level[ids] > 0)[:, None, None]
        fields["geom_surfacevel"] = np.where(on, self.value[ids, None, None] * rows, rows)
        return fields


class FixtureBumped(Disturbance):
    """Where the part has to go was knocked aside, and the cell's data still say where it stood.

    What is true (and judged) is where it stands; the policy is told a place that is off, horizontally.
    """

    name, port = "fixture-bumped", "world"
    says = ("The place to put the part was knocked aside", "置き場所のずれ(治具の位置ずれ)")
    where = "cells that give the goal of a part as a position"
    ladder = Ladder(
        "distance between where the goal stands and where the cell says",
        "m",
        (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008),
        "FORGE: fixed part off by 1 mm; a fixture without dowels moves by some mm when hit (cell_spec)",
    )

    @classmethod
    def applies(cls, task: Task) -> bool:
        return "target.pos" in task.table and "part.pos" in task.sensed

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine)
        self.along = np.zeros((engine.worlds, 3))

    def draw(self, ids: Ids, streams: Streams) -> None:
        angle = streams.between(self.name, 0.0, 2.0 * np.pi)
        self.along[ids] = np.stack([np.cos(angle), np.sin(angle), np.zeros(len(ids))], axis=1)

    def sense(self, sensed: Lookup, steps: Levels) -> Lookup:
        if not self.level.any():
            return sensed
        truth = sensed["target.pos"]
        told = np.where((self.level > 0)[:, None], truth + self.value[:, None] * self.along, truth)
        return sensed.with_values({"target.pos": told})


class ContactSoftness(Disturbance):
    """Contacts between shapes yield more: their time constant is longer."""

    name, port = "contact-softness", "world"
    says = ("Contacts are softer than the model's", "接触のやわらかさ(シミュレータ依存性)")
    needs = ("geom_solref", "pair_solref")
    ladder = Ladder(
        "relative increase of the contacts' time constant",
        "1",
        (0.0, 0.2, 0.5, 1.0, 2.0, 3.0),
        "cell_spec: from the models' 5 ms to MuJoCo's own default of 20 ms",
    )
    where = "cells with an arm"  # a vehicle's wheels carry it on contacts of their own, which do not sink in proportion

    @classmethod
    def applies(cls, task: Task) -> bool:
        return task.steered == "tcp"

    def change_model(self, ids: Ids, fields: dict[str, Array]) -> dict[str, Array]:
        if not self.level[ids].any():
            return fields
        on, more = (self.level[ids] > 0)[:, None], 1.0 + self.value[ids, None]
        for name in self.needs:
            rows = self.field(fields, name, len(ids)).copy()
            rows[:, :, 0] = np.where(on, more * rows[:, :, 0], rows[:, :, 0])
            fields[name] = rows
        return fields


class TimeStep(Disturbance):
    """The simulator takes finer steps; what is commanded and recorded keeps its rate."""

    name, port = "timestep", "world"
    says = ("The simulator takes finer steps in time", "シミュレータの時間刻みの細分")
    needs = ("opt.timestep",)
    ladder = Ladder(
        "physics steps in place of one, more than one",
        "1",
        (0.0, 1.0, 2.0, 3.0, 5.0, 7.0),
        "cell_spec: from 2 ms to 0.25 ms, towards the limit that every honest policy must survive",
    )

    def assign(self, ids: Ids, severity: Levels, streams: Streams) -> None:
        super().assign(ids, severity, streams)
        self.engine.finer[ids] = 1 + np.rint(self.value[ids]).astype(np.int64)

    def change_model(self, ids: Ids, fields: dict[str, Array]) -> dict[str, Array]:
        if not self.level[ids].any():
            return fields
        rows = self.field(fields, "opt.timestep", len(ids))
        finer = self.engine.finer[ids].reshape(-1, *([1] * (rows.ndim - 1)))
        fields["opt.timestep"] = np.where(finer > 1, rows / finer, rows)
        return fields
