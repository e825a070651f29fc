"""Castings, good and bad: what a missing boss, a scratch, a dent or another colour is, written into the fields of each world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from .parameters import Cell
from .signals import Array
from .streams import Streams

KINDS = ("boss", "scratch", "dent", "colour")
BOSSES = tuple(f"boss_{i}" for i in range(1, 7))
FACES = ((0, -1.0), (1, 1.0), (0, 1.0))  # axis and sign of the inspected faces' normals
FIELDS = ("geom_size", "geom_pos", "geom_quat", "geom_rgba")
LENGTH, WIDTH, RADIUS, DEPTH = 0.0045, 0.0006, 0.0040, 0.0012  # m, half sizes at size 1
HUE = 0.10  # change of green over red at size 1
TINT, SHADE = 0.012, 0.05  # what good parts differ by: green over red, and brightness
LOW, HIGH, RIM = (
    -0.0200,
    -0.0140,
    0.0095,
)  # m: heights of scratches and dents on the part, and how far they keep from its edges
GONE = 1e-5  # m


@dataclass(frozen=True)
class Flaws:
    """What is wrong with each of n castings."""

    kind: NDArray[np.int64]  # (n,) index into KINDS, -1 for a good one
    face: NDArray[np.int64]  # (n,) index into FACES
    boss: NDArray[np.int64]  # (n,) which boss is missing
    size: Array  # (n,)
    across: Array  # (n,) in [-1, 1]
    height: Array  # (n,) m
    angle: Array  # (n,) rad
    tint: Array  # (n,) change of green over red
    shade: Array  # (n,) brightness

    @property
    def bad(self) -> Array:
        """`(n,)`: 1 where the casting has a defect."""
        return np.asarray(self.kind >= 0, np.float64)

    @property
    def kinds(self) -> Array:
        """`(n, 4)`: one-hot by kind, all zero for a good one."""
        return np.asarray(self.kind[:, None] == np.arange(len(KINDS)), np.float64)


def draw(cell: Cell, streams: Streams) -> Flaws:
    """The castings of n episodes. Where every kind has weight zero, all are good."""
    n = len(streams)
    weights = np.stack([cell.drawn(streams, f"defect.{kind}") for kind in KINDS], axis=1)
    upto = weights.cumsum(axis=1)
    total = upto[:, -1]
    at = streams.uniform("defect.kind") * total
    kind = np.minimum((upto <= at[:, None]).sum(axis=1), len(KINDS) - 1)
    bad = (streams.uniform("defect") < cell.drawn(streams, "defect.share")) & (total > 0.0)
    size = cell.drawn(streams, "defect.size")
    sign = np.where(streams.uniform("defect.sign") < 0.5, -1.0, 1.0)
    tint = streams.between("part.tint", -TINT, TINT)
    return Flaws(
        np.where(bad, kind, -1),
        streams.choice("defect.face", len(FACES)),
        streams.choice("defect.boss", len(BOSSES)),
        size,
        streams.between("defect.across", -1.0, 1.0),
        streams.between("defect.height", LOW, HIGH),
        streams.between("defect.angle", 0.0, np.pi),
        np.where(bad & (kind == KINDS.index("colour")), sign * HUE * size, tint),
        streams.between("part.shade", 1.0 - SHADE, 1.0, (1,))[:n, 0],
    )


def cast(model: mujoco.MjModel, fields: Mapping[str, Array], flaws: Flaws) -> None:
    """Give the castings of n worlds their flaws, in place in `fields` `(n, ...)`."""
    n = len(flaws.kind)
    ids = {name: int(model.geom(name).id) for name in ("part_geom", "scratch", "dent", *BOSSES)}
    nominal = np.array(model.geom_rgba[ids["part_geom"], :3], np.float64)
    colour = np.repeat(nominal[None], n, axis=0)
    colour[:, 1] = nominal[0] * (nominal[1] / nominal[0] + flaws.tint)
    for name in ("part_geom", "dent"):
        fields["geom_rgba"][:, ids[name], :3] = colour * flaws.shade[:, None]
    for i, name in enumerate(BOSSES):
        gone = (flaws.kind == KINDS.index("boss")) & (flaws.boss == i)
        fields["geom_size"][:, ids[name]] = np.where(gone[:, None], GONE, model.geom_size[ids[name]])
        fields["geom_pos"][:, ids[name]] = np.where(gone[:, None], 0.0, model.geom_pos[ids[name]])
    half = np.array(model.geom_size[ids["part_geom"]], np.float64)
    place = _on_the_face(flaws, half)
    width = flaws.size[:, None]
    for name, size, angle in (
        ("scratch", width * np.array([LENGTH, 0.0, WIDTH]) + np.array([0.0, 0.0002, 0.0]), flaws.angle),
        ("dent", width * np.array([RADIUS, DEPTH, RADIUS]), np.zeros(n)),
    ):
        there = (flaws.kind == KINDS.index(name))[:, None]
        fields["geom_size"][:, ids[name]] = np.where(there, size, GONE)
        fields["geom_pos"][:, ids[name]] = np.where(there, place, 0.0)
        fields["geom_quat"][:, ids[name]] = _lying(flaws, angle)


def _on_the_face(flaws: Flaws, half: Array) -> Array:
    """`(n, 3)` m: where on the part the flaw is."""
    axis, sign = np.array([a for a, _ in FACES])[flaws.face], np.array([s for _, s in FACES])[flaws.face]
    along_x = axis == 0
    out = sign * np.where(along_x, half[0], half[1])
    across = flaws.across * (np.where(along_x, half[1], half[0]) - RIM)
    return np.stack([np.where(along_x, out, across), np.where(along_x, across, out), flaws.height], axis=1)


def _lying(flaws: Flaws, angle: Array) -> Array:
    """`(n, 4)` quaternions that lay local x and z into the face, turned by `angle` (rad), with y along its normal."""
    along_x = np.array([a for a, _ in FACES])[flaws.face] == 0
    c, s, r = np.cos(angle / 2), np.sin(angle / 2), np.sqrt(0.5)
    zero = np.zeros_like(c)
    on_y = np.stack([c, zero, s, zero], axis=1)
    on_x = np.stack([r * c, r * s, r * s, -r * c], axis=1)
    return np.where(along_x[:, None], on_x, on_y)
