"""Other parts around the one that is asked for: bodies added to a scene, and where they lie in an episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from .cell import FIXTURE, PART, ROBOT
from .goods import Goods, lay
from .signals import Array
from .streams import Streams
from .terms import norm_xy

COLOUR = (0.30, 0.42, 0.52)
STRAY, TURN = 0.002, 0.35  # m and rad that one lies off its spot, so that none touch


@dataclass(frozen=True)
class Clutter:
    """Parts of `goods` on some of `spots` `(s, 2)`, m from the `middle` of their floor, which lies at `floor` m; none nearer than `apart` m
    to the part that is asked for, so that the open fingers have room."""

    goods: Goods
    middle: Array
    floor: float
    spots: Array
    apart: float

    def add(self, spec: mujoco.MjSpec, bodies: Sequence[str]) -> None:
        """Put free bodies into a scene, each with the shape `<body>_geom`, that collide as its part does and with parts."""
        like = spec.geom("part_geom")
        for body in bodies:
            loose = spec.worldbody.add_body(name=body, pos=[*self.middle, self.floor + 0.2])
            loose.add_freejoint(name=f"{body}_free")
            geom = loose.add_geom(
                name=f"{body}_geom", type=mujoco.mjtGeom.mjGEOM_BOX, size=self.goods.half[0], mass=self.goods.mass[0],
                contype=PART, conaffinity=FIXTURE | ROBOT | PART, condim=like.condim, rgba=[*COLOUR, 1.0],
            )  # fmt: skip
            geom.friction[:], geom.solref[:] = like.friction, like.solref

    def place(
        self,
        streams: Streams,
        model: mujoco.MjModel,
        bodies: Sequence[str],
        kinds: int,
        part: Array,
        qpos: Array,
        fields: Mapping[str, Array],
    ) -> None:
        """Choose shape, spot and turn of each body beside a part at `(n, 2)` m, in place in `qpos` and `fields` `(n, ...)`."""
        near = norm_xy(self.spots[None] - (part - self.middle)[:, None]) < self.apart
        order = np.argsort(streams.uniform("others.spots", (len(self.spots),)) + near, axis=1)
        for i, body in enumerate(bodies):
            kind = streams.choice(f"{body}.shape", kinds)
            xy = self.middle + self.spots[order[:, i]] + streams.between(f"{body}.xy", -STRAY, STRAY, (2,))
            height = self.floor + self.goods.half[kind, 2] + 0.0005
            self.goods.shape(model, fields, body, kind)
            turn = streams.between(f"{body}.yaw", -TURN, TURN)
            lay(model, qpos, body, np.column_stack([xy, height]), turn)
