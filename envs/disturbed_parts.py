"""Parts that are not as drawn: their centre of mass and their size."""

from __future__ import annotations

import mujoco
import numpy as np

from .disturbances import Disturbance, Ladder, Levels
from .engine import Engine, Ids
from .signals import Array
from .streams import Streams
from .task import Task
from .terms import rotated

BOX, CYLINDER = int(mujoco.mjtGeom.mjGEOM_BOX), int(mujoco.mjtGeom.mjGEOM_CYLINDER)


def _free(task: Task) -> bool:
    body = mujoco.mj_name2id(task.model, mujoco.mjtObj.mjOBJ_BODY, task.part_body)
    if body < 0:
        return False
    joint = int(task.model.body_jntadr[body])
    return joint >= 0 and int(task.model.jnt_type[joint]) == int(mujoco.mjtJoint.mjJNT_FREE)


class PartCentre(Disturbance):
    """A part whose weight acts off its middle, sideways as it lies at the start.

    The weight's turning moment is given to the part at every tick; how it turns about its middle stays as it was, for a body that
    MuJoCo has compiled as symmetric cannot have its centre of mass moved world by world.
    """

    name, port = "part-centre", "world"
    says = ("The part's weight acts off its middle", "部品重心のずれ")
    where = "cells whose part is free"
    needs = ("body_mass", "body_inertia")
    ladder = Ladder(
        "distance of the centre of mass from the middle, of the smallest spread of its mass (of a box: half its side / sqrt 3)",
        "1",
        (0.0, 0.1, 0.2, 0.4, 0.6, 0.8),
        "cell_spec: up to nearly half-way from the middle to the nearest face, where nothing tips by itself",
    )

    @classmethod
    def applies(cls, task: Task) -> bool:
        return _free(task)

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine)
        model = engine.model
        self.body = model.body(task.part_body).id
        self.at = int(model.jnt_qposadr[model.body_jntadr[self.body]]) + 3
        axes = np.zeros(9)
        mujoco.mju_quat2Mat(axes, model.body_iquat[self.body])
        self.axes = np.square(axes.reshape(3, 3))
        self.along, self.arm = np.zeros((engine.worlds, 3)), np.zeros((engine.worlds, 3))

    def draw(self, ids: Ids, streams: Streams) -> None:
        angle = streams.between(self.name, 0.0, 2.0 * np.pi)
        self.along[ids] = np.stack([np.cos(angle), np.sin(angle), np.zeros(len(ids))], axis=1)

    def spread(self) -> Array:
        """`(N,)` m: the smallest standard deviation of the part's mass along an axis of its body."""
        mass, inertia = (self.engine.fields[name][:, self.body] for name in self.needs)
        half = 0.5 * (inertia[:, 0] + inertia[:, 1] + inertia[:, 2])
        about = [
            row[0] * inertia[:, 0] + row[1] * inertia[:, 1] + row[2] * inertia[:, 2] for row in self.axes
        ]
        return np.asarray(
            np.sqrt(np.minimum(np.minimum(half - about[0], half - about[1]), half - about[2]) / mass)
        )

    def push(self, steps: Levels) -> None:
        if not self.level.any():
            return
        quat = self.engine.qpos[:, self.at : self.at + 4]
        starts = ((steps == 0) & (self.level > 0))[:, None]
        if starts.any():
            back = rotated(quat * np.array([1.0, -1.0, -1.0, -1.0]), self.along)
            self.arm = np.where(starts, (self.value * self.spread())[:, None] * back, self.arm)
        arm = rotated(quat, self.arm)
        weight = -self.engine.model.opt.gravity[2] * self.engine.fields["body_mass"][:, self.body]
        moment = np.stack([-weight * arm[:, 1], weight * arm[:, 0]], axis=1)
        self.engine.wrench[:, self.body, 3:5] = np.where((self.level > 0)[:, None], moment, 0.0)


class PartSize(Disturbance):
    """A part wider or narrower than drawn (across, not in height); nobody tells the policy."""

    name, port = "part-size", "model"
    says = ("The part is wider or narrower than drawn", "部品寸法のばらつき")
    where = "cells whose part is one free box or cylinder"
    needs = ("geom_type", "geom_size", "geom_rbound", "geom_aabb")
    ladder = Ladder(
        "change of width, either sign",
        "m",
        (0.0, 0.0001, 0.0002, 0.0003, 0.0005, 0.001),
        "ISO 2768-1 for lengths of 6 to 30 mm: fine 0.1, medium 0.2, coarse 0.5, very coarse 1 mm; medium for 30 to 120 mm: 0.3 mm",
    )

    @classmethod
    def applies(cls, task: Task) -> bool:
        model = task.model
        body = model.body(task.part_body).id
        own = np.flatnonzero(
            (model.geom_bodyid == body) & ((model.geom_contype | model.geom_conaffinity) != 0)
        )
        return _free(task) and len(own) == 1 and int(model.geom_type[own[0]]) in (BOX, CYLINDER)

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine)
        self.geom = int(engine.model.body_geomadr[engine.model.body(task.part_body).id])

    def draw(self, ids: Ids, streams: Streams) -> None:
        sign = np.where(streams.uniform(self.name) < 0.5, -1.0, 1.0)
        self.value[ids] = sign * self.value[ids]

    def change_model(self, ids: Ids, fields: dict[str, Array]) -> dict[str, Array]:
        if not self.level[ids].any():
            return fields
        geom, on, more = self.geom, self.level[ids] > 0, 0.5 * self.value[ids]
        rows = {name: self.field(fields, name, len(ids)).copy() for name in self.needs}
        round_ = rows["geom_type"][:, geom] == CYLINDER
        size = rows["geom_size"][:, geom].copy()
        size[:, 0] += more
        size[:, 1] += np.where(round_, 0.0, more)
        deep = np.where(round_, 0.0, size[:, 2] * size[:, 2])
        bound = np.sqrt(size[:, 0] * size[:, 0] + size[:, 1] * size[:, 1] + deep)
        box = rows["geom_aabb"][:, geom].copy()
        box[:, 3:5] += more[:, None]
        for name, new in (("geom_size", size), ("geom_rbound", bound), ("geom_aabb", box)):
            old = rows[name][:, geom]
            rows[name][:, geom] = np.where(on.reshape(-1, *([1] * (old.ndim - 1))), new, old)
            fields[name] = rows[name]
        return fields
