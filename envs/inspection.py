"""The inspection station: what its camera sees of a casting in the gripper, golden pictures of it, and defects.

Everything that the camera sees is read from the simulation: the part's pose, the shapes of its features as the world has them, the hand,
the fingers, the lamps' sites. Golden pictures are taken of the part as the cell's file draws it, held still before the camera.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import mujoco
import numpy as np
from numpy.typing import NDArray

from .camera import (
    OPTICS,
    Lamps,
    Picture,
    applied,
    composed,
    developed,
    fixed_lens,
    matrix,
    photograph,
    spread,
)
from .eye import Eye
from .hand_look import finger_shapes
from .signals import Array, Lookup
from .solids import HOLLOW, KINDS, Shape
from .vision import Golden, blind_spots, judge, teach

if TYPE_CHECKING:
    from .engine import Engine, Ids
    from .task import Task

SIZE = (64, 48)  # px
PERIOD, LATENCY, EXPOSURE_S = 5, 3, 0.010  # ticks of 20 ms; a camera of 10 Hz that answers after 60 ms
STATION = np.array([0.50, 0.0, 0.281])  # m: where the tool holds a part before the camera
GRASP, HANGS = 0.018, 0.021  # m above its middle: where a part is to be gripped, and where it is in the mean
GRIP_ANGLE = -np.pi / 2  # rad: the fingers' axis where the second view is seen
VIEWS = (-np.pi / 2, 0.0, np.pi / 2)  # rad: turns of the hand that show the faces -x, +y, +x of the part
IN_PLACE, IN_TURN = 0.006, 0.06  # m, rad: how near the tool must be for the camera to be triggered
NEEDED, PATIENCE = (
    3.0,
    12.0,
)  # pictures that are believed before a view is judged; pictures after which it is given up
USABLE = 0.5  # quality below which a picture does not count
PART, DENT = "part_geom", "dent"
BOSSES = tuple(f"boss_{i}" for i in range(1, 7))
FEATURES = (DENT, *BOSSES, "scratch")
BEHIND = -0.0025  # m^2: what lies this far behind the part's middle, times the camera's distance, it hides


def geom_shape(
    name: str, kind: int, size: Array, pos: Array, quat: Array, rgba: Array, at: Array, axes: Array
) -> Shape:
    """A geom on a body at `at` with axes `axes` as the camera sees it; a dent is a hollow."""
    return Shape(
        HOLLOW if name == DENT else KINDS[kind],
        size,
        at + applied(axes, pos),
        composed(axes, matrix(quat)),
        np.asarray(rgba[:3], np.float64),
    )


class InspectionEye(Eye):
    """The camera of the station."""

    def __init__(self, task: Task, engine: Engine) -> None:
        model = engine.model
        lens = fixed_lens(model, task.camera, SIZE)
        super().__init__(task, engine.worlds, lens, PERIOD, LATENCY, EXPOSURE_S, 4)
        self.engine, self.model = engine, model
        self.geoms = {name: int(model.geom(name).id) for name in (PART, *FEATURES)}
        self.places = station_lamps(model)
        self.blind: list[Picture | None] = [None] * engine.worlds

    @cached_property
    def golden(self) -> tuple[Golden, ...]:
        """One golden picture of each view."""
        return golden_views(self.task.model, self.task.camera)

    def triggered(self, held: Mapping[str, Array], now: Lookup) -> NDArray[np.int64]:
        off = now["tcp.pos"] - STATION
        square = off * off
        there = np.sqrt(square[:, 0] + square[:, 1] + square[:, 2]) < IN_PLACE
        there &= now["grip.force"] > 1.0
        turns = np.abs(now["view.turns"])
        view = turns.argmin(axis=1)
        rows = np.arange(len(view))
        open_ = (held["vision.confidence"][rows, view] < 1.0) & (held["vision.tried"][rows, view] < PATIENCE)
        return np.where(there & (turns[rows, view] < IN_TURN) & open_, view, -1)

    def shapes(self, now: Lookup, world: int) -> list[Shape]:
        at, axes = now["part.pos"][world], matrix(now["part.quat"][world])
        fields, model = self.engine.fields, self.model
        to_camera = applied(axes.T, self.lens.pos - at)
        found = []
        for name, geom in self.geoms.items():
            size, place = fields["geom_size"][world, geom], fields["geom_pos"][world, geom]
            if size[0] < 1e-4 or float((place * to_camera).sum()) < BEHIND:
                continue
            found.append(
                geom_shape(
                    name,
                    int(model.geom_type[geom]),
                    size,
                    place,
                    fields["geom_quat"][world, geom],
                    fields["geom_rgba"][world, geom],
                    at,
                    axes,
                )
            )
        hand = matrix(now["tcp.quat"][world])
        return found + finger_shapes(now["tcp.pos"][world], hand, float(now["gripper.q"][world]))

    def lamps(self, now: Lookup, world: int) -> tuple[Lamps, float]:
        return self.places, float(now["light.level"][world])

    def motion(self, now: Lookup, world: int) -> tuple[Array, Array]:
        return now["part.pos"][world], now["part.vel"][world]

    def prepare(self, panel: Picture, world: int) -> None:
        self.blind[world] = blind_spots(panel)

    def examine(self, picture: Picture, view: int, world: int) -> Sequence[float]:
        found = judge(picture, self.golden[view], self.blind[world])
        return found.score, found.quality, found.blur, found.panel / 255.0

    def note(self, held: Mapping[str, Array], worlds: Ids, views: NDArray[np.int64], answers: Array) -> None:
        score, quality, blur, panel, travel = (answers[:, i] for i in range(5))
        counted = np.where(quality >= USABLE, quality, 0.0)
        before = NEEDED * held["vision.confidence"][worlds, views]
        weight = before + counted
        mean = (held["vision.score"][worlds, views] * before + score * counted) / np.maximum(weight, 1e-9)
        held["vision.score"][worlds, views] = np.where(
            counted > 0.0, mean, held["vision.score"][worlds, views]
        )
        held["vision.confidence"][worlds, views] = np.minimum(weight / NEEDED, 1.0)
        held["vision.tried"][worlds, views] += 1.0
        held["vision.blur"][worlds], held["vision.brightness"][worlds] = blur, panel
        held["shot.travel"][worlds] = travel


def station_lamps(model: mujoco.MjModel) -> Lamps:
    """The lamps where the cell's file puts them, set for a part at the station."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    ring, bar = (data.site(name).xpos.copy() for name in ("ring_lamp", "bar_lamp"))
    middle = STATION + np.array([0.02, 0.0, -HANGS])
    reach = [float(np.sqrt(((lamp - middle) ** 2).sum())) for lamp in (ring, bar)]
    return Lamps(ring, bar, *reach)


def golden_views(model: mujoco.MjModel, camera: str) -> tuple[Golden, ...]:
    """What the camera is taught: the part as the file draws it, from each side, in full light and without noise."""
    lens, lamps = fixed_lens(model, camera, SIZE), station_lamps(model)
    taught = []
    for turn in VIEWS:
        # hand down, fingers along the part's x
        yaw = GRIP_ANGLE + turn
        cos, sin = np.cos(yaw), np.sin(yaw)
        axes = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        hand = np.array([[-sin, cos, 0.0], [cos, sin, 0.0], [0.0, 0.0, -1.0]])
        at = STATION - np.array([0.0, 0.0, HANGS])
        shapes = [
            geom_shape(
                name,
                int(model.geom_type[i]),
                model.geom_size[i],
                model.geom_pos[i],
                model.geom_quat[i],
                model.geom_rgba[i],
                at,
                axes,
            )
            for name in (PART, *BOSSES)
            for i in [int(model.geom(name).id)]
        ]
        half = float(model.geom(PART).size[0])
        light = spread(photograph(lens, shapes + finger_shapes(STATION, hand, half), lamps), OPTICS)
        taught.append(teach(developed(light, np.zeros_like(light))))
    return tuple(taught)
