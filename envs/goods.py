"""Goods: what is picked and placed. One free body per piece carries any of several shapes, chosen world by world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import mujoco
import numpy as np
from numpy.typing import NDArray

from .signals import Array
from .terms import norm

BOX, CYLINDER = int(mujoco.mjtGeom.mjGEOM_BOX), int(mujoco.mjtGeom.mjGEOM_CYLINDER)
FIELDS = ("geom_type", "geom_size", "geom_rbound", "geom_aabb", "body_mass", "body_inertia", "geom_friction")


@dataclass(frozen=True)
class Good:
    """A solid shape with its half extents in m (an upright cylinder has its radius twice) and its mass in kg."""

    name: str
    half: tuple[float, float, float]
    mass: float
    type: int = BOX
    colour: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Goods:
    """The shapes that a task handles, by kind."""

    kinds: Sequence[Good]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(kind.name for kind in self.kinds)

    @cached_property
    def half(self) -> Array:
        """`(kinds, 3)` half extents in m."""
        return np.array([kind.half for kind in self.kinds])

    @cached_property
    def mass(self) -> Array:
        """`(kinds,)` kg."""
        return np.array([kind.mass for kind in self.kinds])

    @cached_property
    def round(self) -> NDArray[np.bool_]:
        """`(kinds,)`: cylinders."""
        return np.array([kind.type == CYLINDER for kind in self.kinds])

    @cached_property
    def _size(self) -> Array:
        """`(kinds, 3)`: MuJoCo's sizes (radius, half height, 0 for a cylinder)."""
        return np.where(self.round[:, None], self.half[:, [0, 2, 2]] * np.array([1.0, 1.0, 0.0]), self.half)

    @cached_property
    def _bound(self) -> Array:
        """`(kinds,)`: radius in m of the sphere around each shape."""
        return np.where(self.round, np.hypot(self.half[:, 0], self.half[:, 2]), norm(self.half))

    @cached_property
    def inertia(self) -> Array:
        """`(kinds, 3)` principal moments in kg*m2 of the solid box or upright cylinder."""
        x, y, z = (self.half[:, i] * self.half[:, i] for i in range(3))
        box = np.stack([y + z, x + z, x + y], axis=1) / 3.0
        cylinder = np.stack([x / 4 + z / 3, x / 4 + z / 3, x / 2], axis=1)
        return np.asarray(self.mass[:, None] * np.where(self.round[:, None], cylinder, box))

    def shape(
        self,
        model: mujoco.MjModel,
        fields: Mapping[str, Array],
        body: str,
        kind: NDArray[np.int64],
        scale: Array | float = 1.0,
    ) -> None:
        """Give the free body its kind `(n,)` in each world, in place in `fields` `(n, ...)`; its shape is the geom `<body>_geom`.

        `scale` `(n,)`: how much larger than its data it is, of the same stuff.
        """
        geom, owner = model.geom(f"{body}_geom").id, model.body(body).id
        larger = np.broadcast_to(np.asarray(scale, np.float64), kind.shape)
        volume = larger * larger * larger
        fields["geom_type"][:, geom] = np.where(self.round, CYLINDER, BOX)[kind]
        fields["geom_size"][:, geom] = self._size[kind] * larger[:, None]
        fields["geom_rbound"][:, geom] = self._bound[kind] * larger
        fields["geom_aabb"][:, geom, 3:] = self.half[kind] * larger[:, None]
        fields["body_mass"][:, owner] = self.mass[kind] * volume
        fields["body_inertia"][:, owner] = self.inertia[kind] * (volume * larger * larger)[:, None]
        if "geom_rgba" in fields:
            fields["geom_rgba"][:, geom, :3] = np.array([each.colour for each in self.kinds])[kind]

    def weigh(self, model: mujoco.MjModel, fields: Mapping[str, Array], body: str, scale: Array) -> None:
        """Multiply the free body's mass and inertia by `scale` `(n,)`, in place in `fields`."""
        owner = model.body(body).id
        fields["body_mass"][:, owner] *= scale
        fields["body_inertia"][:, owner] *= scale[:, None]


def lay(model: mujoco.MjModel, qpos: Array, body: str, pos: Array, yaw: Array) -> None:
    """Lay the free body at `pos` `(n, 3)` in m, turned by `yaw` `(n,)` in rad, in place in `qpos` `(n, nq)`; its joint is `<body>_free`."""
    at = int(model.joint(f"{body}_free").qposadr[0])
    qpos[:, at : at + 3] = pos
    qpos[:, at + 3 : at + 7] = yaw_quat(yaw)


def yaw_quat(yaw: Array) -> Array:
    """`(n, 4)` quaternions, w first, of turns about the vertical."""
    zero = np.zeros_like(yaw)
    return np.stack([np.cos(yaw / 2), zero, zero, np.sin(yaw / 2)], axis=-1)
