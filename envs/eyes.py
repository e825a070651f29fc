"""The overhead cameras of two cells: above the tote of `kit-pick`, and above the in-feed end of the belt of `conveyor-sort`.

The Franka Hand, the quill and the forearm of the SCARA come between camera and part as they do on a shop floor; the links behind them
are not drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .camera import matrix
from .clutter import COLOUR
from .fingers import grip_angle
from .goods import BOX as BOX_TYPE
from .hand_look import hand_shapes
from .overhead import Overhead, Sight, looking
from .robots import load_robot
from .signals import Array, Lookup
from .solids import BOX, CYLINDER, Shape
from .terms import yaw_of

if TYPE_CHECKING:
    from .engine import Engine
    from .task import Task

TOTE = Sight(
    looking((0.46, -0.29, 0.0), (0.46, -0.29, 1.10), (1.0, 0.0, 0.0), 0.38, (128, 96)),
    0.004,
    (0.13, 0.36, 0.62),
    (0.46, -0.29),
)
ORANGE = np.array([0.93, 0.44, 0.10])
BELT = Sight(
    looking((0.27, -0.18, 0.09), (0.62, -0.18, 0.80), (0.0, 1.0, 0.0), 0.32, (128, 64)),
    0.09,
    (0.12, 0.17, 0.16),
    (0.27, -0.22),
)
MARK, RING = (
    np.array([0.012, 0.0015, 0.0003]),
    np.array([0.005, 0.0003, 0.0]),
)  # half sizes; radius and half height, m
PAINT, SIGNAL_YELLOW = np.array([0.97, 0.97, 0.97]), np.array([1.0, 0.95, 0.2])
QUILL, FOREARM = np.array([0.011, 0.10, 0.0]), np.array([0.115, 0.040, 0.025])  # m
FOREARM_Z = 0.30  # m
IN_VIEW, BELT_HALF = 0.14, 0.07  # m along the belt, either way, and across it


def loose(engine: Engine, world: int, body: str, colour: Array) -> Shape:
    """A free body of one shape, `<body>_geom`, where it lies in a world."""
    geom = int(engine.model.geom(f"{body}_geom").id)
    first = int(engine.model.joint(f"{body}_free").qposadr[0])
    pose, fields = engine.qpos[world, first : first + 7], engine.fields
    kind = BOX if int(fields["geom_type"][world, geom]) == BOX_TYPE else CYLINDER
    return Shape(kind, fields["geom_size"][world, geom].copy(), pose[:3].copy(), matrix(pose[3:]), colour)


class ToteEye(Overhead):
    """A camera above the tote; fingers that close on a part straighten it and bring it to their middle."""

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine, TOTE)
        bodies = (task.model.body(i).name for i in range(task.model.nbody))
        self.others = tuple(name for name in bodies if name.startswith("other_"))

    def gripped(self, now: Lookup) -> NDArray[np.bool_]:
        return np.asarray(now["grip.force"] > 1.0)

    def tool_yaw(self, now: Lookup) -> Array:
        return grip_angle(now)

    def as_gripped(self, offset: Array, turn: Array, size: Array) -> tuple[Array, Array]:
        return offset * np.array([0.0, 1.0, 1.0]), np.asarray(np.pi * np.rint(turn / np.pi))

    def things(self, now: Lookup, world: int) -> list[Shape]:
        part = self._part(now, world, self._round(world), ORANGE)
        others = [loose(self.engine, world, body, np.array(COLOUR)) for body in self.others]
        opening = float(now["gripper.q"][world])
        return [part, *others, *hand_shapes(now["tcp.pos"][world], matrix(now["tcp.quat"][world]), opening)]

    def _round(self, world: int) -> bool:
        geom = self.model.geom("part_geom").id
        return int(self.engine.fields["geom_type"][world, geom]) != BOX_TYPE

    def sought(self, world: int) -> tuple[Array, Array | None, float]:
        return ORANGE, None, -np.pi / 2  # what is long about these parts is their y axis

    def area(self, world: int) -> float:
        x, y = self.size[world, :2].tolist()
        return float(np.pi * x * x if self._round(world) else 4.0 * x * y)


class BeltEye(Overhead):
    """A camera beside the belt where parts come out of the tunnel; the belt's encoder says how far they have come since, and a cup holds
    a part by its upper face."""

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine, BELT)
        self.geoms = {
            body: int(self.model.geom(f"{body}_geom").id) for body in ("part", "other_1", "other_2")
        }
        self.lengths = np.asarray(load_robot(task.robot_name).limit("arm.lengths").value, float)

    def gripped(self, now: Lookup) -> NDArray[np.bool_]:
        return np.asarray(now["vacuum.held"] > 0.5)

    def tool_yaw(self, now: Lookup) -> Array:
        return yaw_of(now["tcp.quat"])

    def as_gripped(self, offset: Array, turn: Array, size: Array) -> tuple[Array, Array]:
        return np.column_stack([offset[:, :2], -size[:, 2]]), turn

    def drift(self, now: Lookup) -> Array:
        speed = np.zeros_like(self.pos)
        speed[:, 1] = now["belt.speed"]
        return speed

    def back(self) -> NDArray[np.bool_]:
        return np.asarray(np.abs(self.pos[:, 0] - BELT.rest[0]) < BELT_HALF)

    def triggered(self, held: Mapping[str, Array], now: Lookup) -> NDArray[np.int64]:
        before = self.back() & (np.abs(self.pos[:, 1] - self.lens.pos[1]) < IN_VIEW)
        return np.where(~self.held & before, 0, -1)

    def things(self, now: Lookup, world: int) -> list[Shape]:
        found = []
        for body in self.geoms:
            found += self._good(now, world, body)
        at, q = now["tcp.pos"][world], now["arm.q"][world]
        found.append(Shape(CYLINDER, QUILL, at + np.array([0.0, 0.0, 0.11]), np.eye(3), np.full(3, 0.55)))
        shoulder, bend = float(q[0]), float(q[0] + q[1])
        elbow = self.lengths[0] * np.array([np.cos(shoulder), np.sin(shoulder)])
        middle = elbow + 0.5 * self.lengths[1] * np.array([np.cos(bend), np.sin(bend)])
        axes = np.array(
            [[np.cos(bend), -np.sin(bend), 0.0], [np.sin(bend), np.cos(bend), 0.0], [0.0, 0.0, 1.0]]
        )
        found.append(Shape(BOX, FOREARM, np.array([*middle, FOREARM_Z]), axes, np.full(3, 0.9)))
        return found

    def _good(self, now: Lookup, world: int, body: str) -> list[Shape]:
        """A part on the belt with the mark on its back; the judged one carries a ring as well."""
        colour = np.asarray(self.engine.fields["geom_rgba"][world, self.geoms[body], :3], np.float64)
        seen = loose(self.engine, world, body, colour)
        at, axes, size = seen.pos, seen.axes, seen.size
        if body == "part":
            at, axes = now["part.pos"][world], matrix(now["part.quat"][world])
        top = at + (size[2] if seen.kind == BOX else size[1]) * axes[:, 2]
        shapes = [replace(seen, pos=at, axes=axes), Shape(BOX, MARK, top, axes, PAINT)]
        return shapes + (
            [Shape(CYLINDER, RING, top + 0.0002 * axes[:, 2], axes, SIGNAL_YELLOW)] if body == "part" else []
        )

    def sought(self, world: int) -> tuple[Array, Array | None, float]:
        colour = self.engine.fields["geom_rgba"][world, self.geoms["part"], :3]
        return np.asarray(colour, np.float64), SIGNAL_YELLOW, 0.0

    def area(self, world: int) -> float:
        x, y = self.size[world, :2].tolist()
        flat = int(self.engine.fields["geom_type"][world, self.geoms["part"]]) == BOX_TYPE
        return float(4.0 * x * y if flat else np.pi * x * x)
