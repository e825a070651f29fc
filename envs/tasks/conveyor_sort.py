"""conveyor-sort: a SCARA takes the judged part off a moving belt with a vacuum cup and sets it into the bin of its class, turned as
the bin demands. Other parts lie close by; what has passed the robot is missed. Nobody works in this cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..cell import compose
from ..derived import arm, constant, part, per_episode, swept, zones
from ..engine import Engine
from ..experts import conveyor_sort as expert
from ..eyes import BeltEye
from ..goods import BOX, CYLINDER, FIELDS, Good, Goods, lay, yaw_quat
from ..robots import load_robot
from ..scara import ScaraTwist
from ..signals import Array, Derivation, Lookup, Signal, Signals, once
from ..streams import Streams
from ..task import COMMON_REASONS, Start, Task, Term
from ..terms import bearing, near, norm, norm_xy, ramp, turned_xy, up_of, wrap, yaw_of
from ..vocabulary import described

if TYPE_CHECKING:
    import mujoco

    from ..control import Controller
    from ..eye import Eye

GOODS = Goods(
    (  # 45 mm apart none overlap
        Good("block", (0.016, 0.013, 0.010), 0.10, BOX, (0.88, 0.44, 0.12)),
        Good("bar", (0.019, 0.012, 0.010), 0.12, BOX, (0.16, 0.58, 0.34)),
        Good("disc", (0.016, 0.016, 0.009), 0.08, CYLINDER, (0.18, 0.40, 0.74)),
    )
)
OTHERS = 2
BELT_X, BELT_TOP = 0.27, 0.09
BIN_ANGLE = np.deg2rad([90.0, 122.0, 154.0])
BINS = 0.27 * np.stack([np.cos(BIN_ANGLE), np.sin(BIN_ANGLE)], axis=1)
BIN_FLOOR, BIN_HALF = 0.07, 0.051
PASSED_Y = 0.24
WORKSPACE = (np.array([-0.36, -0.30, 0.064]), np.array([0.41, 0.41, 0.225]))
KEEPOUT = (np.array([0.16, -0.455, 0.0]), np.array([0.38, -0.315, 0.28]))
TCP_SPEED_LIMIT, GRIP_FORCE_LIMIT = 2.0, 40.0
CUP_FULL, SPRING_MOST = 4.0, 6.0  # lip points; N, more than plunger and bump press


@once
def _part_from_cup(s: Lookup) -> Array:
    """From the tool point to the middle of the part's upper face, `(..., 3)`."""
    top = s["part.pos"] - s["tcp.pos"]
    return np.stack([top[..., 0], top[..., 1], top[..., 2] + s["part.size"][..., 2]], axis=-1)


@once
def _goal_from_part(s: Lookup) -> Array:
    return s["target.pos"] - s["part.pos"]


@once
def _place_yaw(s: Lookup) -> Array:
    """How far the part must still turn; its halves look the same."""
    return wrap(yaw_of(s["target.quat"]) - yaw_of(s["part.quat"]), np.pi)


@once
def _polar(s: Lookup) -> Array:
    """Bearing (rad) and radius (m) that the bin is ahead of the tool, `(..., 2)`; the way never leads behind the robot."""
    tcp, goal = s["tcp.pos"], s["target.pos"]
    ahead = bearing(goal) - bearing(tcp)
    return np.stack([ahead, norm_xy(goal) - norm_xy(tcp)], axis=-1)


def _held(s: Lookup) -> Array:
    held = (s["vacuum.contacts"] >= CUP_FULL) & (np.abs(s["vacuum.force"][..., 2]) > SPRING_MOST)
    return np.asarray(held.astype(float))


class ConveyorSort(Task):
    """Sorting off a belt."""

    id, version = "conveyor-sort", "1"
    title = ("Sort parts off a moving belt into bins", "動くベルトから部品を取り、種別の箱に入れる")
    robot_name = "yk400xec"
    takt_s, horizon_s = 4.0, 8.0
    action_names = ("vx", "vy", "vz", "yaw_rate", "vacuum")
    failures = ("dropped", "wrong-bin", "missed")
    expanded = (*FIELDS, "geom_pos", "geom_rgba", "geom_surfacevel", "body_pos", "body_quat")
    looks = ("part_mark", "part_ring", "other_1_mark", "other_2_mark")
    sensed = {"part.pos": 1.0, "tcp.pos": 0.2}
    tool_body = "tool"
    speed, lift, turn = 1.4, 1.0, 8.0
    commands = (("m/s", speed), ("m/s", speed), ("m/s", lift), ("rad/s", turn), ("1", 1.0))

    def build(self) -> mujoco.MjSpec:
        return compose("conveyor-sort", load_robot(self.robot_name))

    @property
    def sees(self) -> bool:
        return self.cell["vision"][1] >= 0.5

    def make_eye(self, engine: Engine) -> Eye | None:
        return BeltEye(self, engine) if self.sees else None

    def make_controller(self, engine: Engine) -> Controller:
        return ScaraTwist(engine, load_robot(self.robot_name), self.speed, self.lift, self.turn)

    def signals(self) -> tuple[list[tuple[Signal, Derivation]], list[Signal], list[tuple[float, Signal]]]:
        derived: list[tuple[Signal, Derivation]] = [
            *arm(load_robot(self.robot_name)),
            (described("vacuum.held", "1"), _held),
            (described("grip.force.max", "N"), lambda s: norm(s["vacuum.force"])),
            *part("vacuum.held"),
            (described("belt.left", "m"), lambda s: PASSED_Y - s["part.pos"][..., 1]),
            *zones(WORKSPACE, KEEPOUT),
            *swept(self, KEEPOUT),
        ]
        held = [
            per_episode("part.class", "1", (3,)),
            per_episode("part.size", "m", (3,)),
            per_episode("belt.speed", "m/s"),
            per_episode("bin.pos", "m", (6,)),
        ]
        if self.sees:
            held.append(per_episode("vision.error", "m"))
        constants = [
            constant("tcp.speed.limit", "m/s", TCP_SPEED_LIMIT),
            constant("grip.force.limit", "N", GRIP_FORCE_LIMIT),
        ]
        return derived, held, constants

    def place(self, streams: Streams) -> Start:
        n, robot = len(streams), load_robot(self.robot_name)
        kinds = [streams.choice("part.class", 3)] + [
            streams.choice(f"other.{i}.class", 3) for i in range(OTHERS)
        ]
        speed = streams.between("belt.speed", *self.cell["belt.speed"])
        turn = self.cell.within(streams, "bin.shift", "bin.shift", (3,))
        bins = turned_xy(BINS, turn)
        q = robot.home + streams.between("arm.q", -1.0, 1.0, (4,)) * np.array([0.15, 0.15, 0.015, 0.5])
        qpos = np.repeat(self.model.qpos0[None], n, axis=0)
        for i, joint in enumerate(robot.joints):
            qpos[:, self.model.joint(joint).qposadr[0]] = q[:, i]
        scales = self._scales(streams)
        for body, kind, scale, xy, yaw in zip(
            self._goods(), kinds, scales, self._spots(streams), self._yaws(streams), strict=True
        ):
            lay(self.model, qpos, body, np.column_stack([xy, BELT_TOP + GOODS.half[kind, 2] * scale]), yaw)
        ctrl = np.zeros((n, self.model.nu))
        ctrl[:, :4] = q
        kind, rows = kinds[0], np.arange(n)
        half = GOODS.half[kind] * scales[0][:, None]
        goal = np.column_stack([bins[rows, kind], BIN_FLOOR + half[:, 2]])[:, None]
        quat = yaw_quat(BIN_ANGLE[kind] + turn[rows, kind])[:, None]
        held = {
            "part.class": np.eye(3)[kind],
            "part.size": half,
            "belt.speed": speed,
            "bin.pos": bins.reshape(n, 6),
        }
        fields = self._fields(kinds, scales, speed)
        for i in range(3):
            body = self.model.body(f"bin_{i + 1}").id
            fields["body_pos"][:, body, :2] = turned_xy(fields["body_pos"][:, body, :2], turn[:, i])
            fields["body_quat"][:, body, ::3] = turned_xy(fields["body_quat"][:, body, ::3], turn[:, i] / 2)
        scale = streams.between("part.mass", *self.cell["part.mass.scale"])
        for body_name in self._goods():
            GOODS.weigh(self.model, fields, body_name, scale)
        return Start(qpos, ctrl, goal, quat, fields, held, {})

    def _goods(self) -> tuple[str, ...]:
        return ("part", *(f"other_{i + 1}" for i in range(OTHERS)))

    def _spots(self, streams: Streams) -> list[Array]:
        """Where the goods lie on the belt, each `(n, 2)`: one neighbour ahead, one behind, 45 to 120 mm from the judged part."""
        n, across = len(streams), self.cell.drawn(streams, "part.across")
        part = np.column_stack(
            [streams.between("part.x", -across, across), streams.between("part.y", -0.28, -0.16)]
        )
        spots = [part]
        for i in range(OTHERS):
            distance = streams.between(f"other.{i}.distance", *self.cell["neighbour.distance"])
            aside = np.clip(
                streams.between(f"other.{i}.x", -0.04, 0.04) - part[:, 0], -0.8 * distance, 0.8 * distance
            )
            along = (1.0 if i % 2 == 0 else -1.0) * np.sqrt(distance * distance - aside * aside)
            spots.append(np.column_stack([part[:, 0] + aside, part[:, 1] + along]))
        return [spot + np.array([BELT_X, 0.0]) + np.zeros((n, 1)) for spot in spots]

    def _yaws(self, streams: Streams) -> list[Array]:
        return [streams.between(f"{body}.yaw", -np.pi / 2, np.pi / 2) for body in self._goods()]

    def _scales(self, streams: Streams) -> list[Array]:
        """How much larger than its data each of the goods is."""
        others = (streams.between(f"other.{i}.scale", *self.cell["part.scale"]) for i in range(OTHERS))
        return [self.cell.drawn(streams, "part.scale"), *others]

    def _fields(self, kinds: list[NDArray[np.int64]], scales: list[Array], speed: Array) -> dict[str, Array]:
        """Model fields that give each world's goods their shape, mass and colour, and its belt its speed."""
        model, n = self.model, len(speed)
        fields = {name: np.repeat(getattr(model, name)[None], n, axis=0) for name in self.expanded}
        fields["geom_surfacevel"][:, model.geom("belt").id, 1] = speed
        for name, kind, scale in zip(self._goods(), kinds, scales, strict=True):
            GOODS.shape(model, fields, name, kind, scale)
            fields["geom_pos"][:, model.geom(f"{name}_mark").id, 2] = GOODS.half[kind, 2] * scale
        fields["geom_pos"][:, model.geom("part_ring").id, 2] = GOODS.half[kinds[0], 2] * scales[0]
        return fields

    observe = {
        "tcp": Term(lambda s: s["tcp.pos"], "m", ("x", "y", "z")),
        "part_from_cup": Term(_part_from_cup, "m", ("x", "y", "z")),
        "part_from_cup_30mm": Term(_part_from_cup, "m", ("x", "y", "z"), 0.03),
        "part_from_cup_8mm": Term(_part_from_cup, "m", ("x", "y", "z"), 0.008),
        "goal_from_part": Term(_goal_from_part, "m", ("x", "y", "z")),
        "goal_from_part_30mm": Term(_goal_from_part, "m", ("x", "y", "z"), 0.03),
        "goal_from_part_8mm": Term(_goal_from_part, "m", ("x", "y", "z"), 0.008),
        "part_gap_30mm": Term(lambda s: norm_xy(_part_from_cup(s)), "m", limit=0.03),
        "part_gap_8mm": Term(lambda s: norm_xy(_part_from_cup(s)), "m", limit=0.008),
        "goal_gap_30mm": Term(lambda s: norm_xy(_goal_from_part(s)), "m", limit=0.03),
        "goal_gap_8mm": Term(lambda s: norm_xy(_goal_from_part(s)), "m", limit=0.008),
        "goal_bearing": Term(lambda s: _polar(s)[..., 0], "rad"),
        "goal_radius": Term(lambda s: _polar(s)[..., 1], "m"),
        "place_yaw": Term(_place_yaw, "rad"),
        "place_yaw_fine": Term(_place_yaw, "rad", limit=0.1),
        "belt_speed": Term(lambda s: s["belt.speed"], "m/s"),
        "vacuum_held": Term(lambda s: s["vacuum.held"], "1"),
        "vacuum_force": Term(lambda s: s["grip.force.max"], "N", limit=20.0),
        "plunger": Term(lambda s: s["plunger.q"], "m"),
        "part_class": Term(lambda s: s["part.class"], "1", GOODS.names),
    }

    rewards = {
        "reach": lambda s: 0.02 * near(norm(_part_from_cup(s)), 0.10) * (1.0 - s["vacuum.held"]),
        "carry": lambda s: 0.04 * near(norm(_goal_from_part(s)), 0.20),
        "time": lambda s: np.full(s.lead, -0.10),
        "smooth": lambda s: -0.01 * s["action.rate"],
        "grip": lambda s: -0.2 * ramp(s["grip.force.max"], 0.8 * GRIP_FORCE_LIMIT, GRIP_FORCE_LIMIT),
    }

    def success(self, s: Lookup) -> NDArray[np.bool_]:
        off = _goal_from_part(s)
        placed = (norm_xy(off) < 0.012) & (np.abs(off[:, 2]) < 0.003) & (np.abs(_place_yaw(s)) < 0.10)
        still = (s["part.speed"] < 0.02) & (up_of(s["part.quat"]) > 0.98)
        return np.asarray(placed & still & (s["vacuum.contacts"] <= 0.0))

    def failed(self, s: Lookup) -> NDArray[np.int64]:
        at, free = s["part.pos"], s["vacuum.contacts"] <= 0.0
        own = s["part.class"] > 0.5
        in_bin = norm_xy(at[:, None, :2] - s["bin.pos"].reshape(-1, 3, 2)) < BIN_HALF
        wrong = free & (at[:, 2] < BIN_FLOOR + 0.03) & (s["part.speed"] < 0.05) & (in_bin & ~own).any(axis=1)
        on_line = np.abs(at[:, 0] - BELT_X) < 0.10
        passed = free & on_line & (at[:, 1] > PASSED_Y)
        code = np.where(passed, len(COMMON_REASONS) + 2, 0)
        code = np.where(wrong, len(COMMON_REASONS) + 1, code)
        return np.where(free & (at[:, 2] < 0.06) & ~passed, len(COMMON_REASONS), code)

    def cost(self, s: Signals) -> Array:
        outside = (s["workspace.margin"] < 0.0) | (s["keepout.margin"] < 0.0)
        crushed = s["grip.force.max"] > GRIP_FORCE_LIMIT
        return np.asarray((outside | crushed).any(axis=1).astype(float))

    def expert(self, observation: NDArray[np.float32]) -> Array:
        return self.commanded(expert.act(self.split(observation)))
