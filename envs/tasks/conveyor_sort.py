"""conveyor-sort: a SCARA takes the judged part off a moving belt with a vacuum cup and sets it into the bin of its class, turned as
the bin demands. Other parts lie close by; what has passed the robot is missed. Nobody works in this cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..cell import compose
from ..engine import Engine
from ..robots import load_robot
from ..scara import ScaraTwist
from ..signals import Array, Derivation, Lookup, Signal, Signals, once
from ..streams import Streams
from ..task import COMMON_REASONS, Start, Task, Term
from ..terms import box_margin, near, norm, norm_xy, ramp, wrap, yaw_of
from ..vocabulary import described

if TYPE_CHECKING:
    import mujoco

    from ..control import Controller

CLASSES = ("block", "bar", "disc")
BOX, CYLINDER = 6, 5  # mjtGeom
HALF = np.array(
    [[0.016, 0.013, 0.010], [0.019, 0.012, 0.010], [0.016, 0.016, 0.009]]
)  # m; 45 mm apart none overlap
GEOM_SIZE = np.array([[0.016, 0.013, 0.010], [0.019, 0.012, 0.010], [0.016, 0.009, 0.0]])
GEOM_TYPE = np.array([BOX, BOX, CYLINDER])
MASS = np.array([0.10, 0.12, 0.08])  # kg
COLOUR = np.array([[0.88, 0.44, 0.12, 1.0], [0.16, 0.58, 0.34, 1.0], [0.18, 0.40, 0.74, 1.0]])
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
CARRY_Z = 0.152
DOWN_GAIN, SET_GAIN = 7.0, 7.0
SINK = 0.006  # m below its nest that a part is aimed at, so that it arrives with speed and never hovers at a threshold
FIRST_Y = -0.185  # the arm waits here for what is still near the scanner


def _inertia(kind: NDArray[np.int64], mass: Array) -> Array:
    """`(n, 3)` principal moments of a solid box or an upright disc."""
    half = HALF[kind]
    x, y, z = half[:, 0] ** 2, half[:, 1] ** 2, half[:, 2] ** 2
    box = np.stack([y + z, x + z, x + y], axis=1) / 3.0
    disc = np.stack([x / 4 + z / 3, x / 4 + z / 3, x / 2], axis=1)
    return np.asarray(mass[:, None] * np.where((kind == 2)[:, None], disc, box))


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
    bearing = _bearing(goal) - _bearing(tcp)
    return np.stack([bearing, norm_xy(goal) - norm_xy(tcp)], axis=-1)


def _bearing(v: Array) -> Array:
    return np.asarray(np.arctan2(np.ascontiguousarray(v[..., 1]), np.ascontiguousarray(v[..., 0])))


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
    expanded = (
        "geom_type",
        "geom_size",
        "geom_rbound",
        "geom_aabb",
        "geom_pos",
        "geom_rgba",
        "geom_friction",
        "geom_surfacevel",
        "body_mass",
        "body_inertia",
    )
    looks = ("part_mark", "part_ring", "other_1_mark", "other_2_mark")
    sensed = {"part.pos": 1.0, "tcp.pos": 0.2}
    tool_body = "tool"
    speed, lift, turn = 1.4, 1.0, 8.0
    commands = (("m/s", speed), ("m/s", speed), ("m/s", lift), ("rad/s", turn), ("1", 1.0))

    def build(self) -> mujoco.MjSpec:
        return compose("conveyor-sort", "base")

    def make_controller(self, engine: Engine) -> Controller:
        return ScaraTwist(engine, load_robot(self.robot_name), self.speed, self.lift, self.turn)

    def signals(self) -> tuple[list[tuple[Signal, Derivation]], list[Signal], list[tuple[float, Signal]]]:
        robot = load_robot(self.robot_name)
        low, high = robot.q_min, robot.q_max
        derived: list[tuple[Signal, Derivation]] = [
            (described("tcp.speed", "m/s"), lambda s: norm(s["tcp.vel"])),
            (
                described("arm.position.share", "1"),
                lambda s: np.abs((s["arm.q"] - 0.5 * (low + high)) / (0.5 * (high - low))).max(axis=-1),
            ),
            (
                described("arm.velocity.share", "1"),
                lambda s: (np.abs(s["arm.qd"]) / robot.qd_max).max(axis=-1),
            ),
            (
                described("arm.torque.share", "1"),
                lambda s: (np.abs(s["arm.torque"]) / robot.tau_max).max(axis=-1),
            ),
            (described("vacuum.held", "1"), _held),
            (described("grip.force.max", "N"), lambda s: norm(s["vacuum.force"])),
            (described("part.speed", "m/s"), lambda s: norm(s["part.vel"])),
            (
                described("part.fall_speed", "m/s"),
                lambda s: np.where(s["vacuum.held"] > 0.0, 0.0, np.maximum(-s["part.vel"][..., 2], 0.0)),
            ),
            (described("belt.left", "m"), lambda s: PASSED_Y - s["part.pos"][..., 1]),
            (described("workspace.margin", "m"), lambda s: -box_margin(s["tcp.pos"], *WORKSPACE)),
            (described("keepout.margin", "m"), lambda s: box_margin(s["tcp.pos"], *KEEPOUT)),
        ]
        held = [
            described("part.class", "1", (3,), "held", 50.0),
            described("part.size", "m", (3,), "held", 50.0),
            described("belt.speed", "m/s", (), "held", 50.0),
        ]
        constants = [
            (TCP_SPEED_LIMIT, described("tcp.speed.limit", "m/s", (), "constant")),
            (GRIP_FORCE_LIMIT, described("grip.force.limit", "N", (), "constant")),
        ]
        return derived, held, constants

    def place(self, streams: Streams) -> Start:
        n, robot = len(streams), load_robot(self.robot_name)
        kinds = [streams.choice("part.class", 3)] + [
            streams.choice(f"other.{i}.class", 3) for i in range(OTHERS)
        ]
        speed = streams.between("belt.speed", 0.1, 0.3)
        q = robot.home + streams.between("arm.q", -1.0, 1.0, (4,)) * np.array([0.15, 0.15, 0.015, 0.5])
        qpos = np.repeat(self.model.qpos0[None], n, axis=0)
        for i, joint in enumerate(robot.joints):
            qpos[:, self.model.joint(joint).qposadr[0]] = q[:, i]
        for body, kind, xy, yaw in zip(
            self._goods(), kinds, self._spots(streams), self._yaws(streams), strict=True
        ):
            adr = int(self.model.joint(f"{body}_free").qposadr[0])
            qpos[:, adr : adr + 2] = xy
            qpos[:, adr + 2] = BELT_TOP + HALF[kind, 2]
            qpos[:, adr + 3 : adr + 7] = 0.0
            qpos[:, adr + 3], qpos[:, adr + 6] = np.cos(yaw / 2), np.sin(yaw / 2)
        ctrl = np.zeros((n, self.model.nu))
        ctrl[:, :4] = q
        kind = kinds[0]
        goal = np.column_stack([BINS[kind], BIN_FLOOR + HALF[kind, 2]])[:, None]
        turned = BIN_ANGLE[kind] / 2.0
        quat = np.column_stack([np.cos(turned), np.zeros(n), np.zeros(n), np.sin(turned)])[:, None]
        held = {"part.class": np.eye(3)[kind], "part.size": HALF[kind], "belt.speed": speed}
        return Start(qpos, ctrl, goal, quat, self._fields(kinds, speed), held, {})

    def _goods(self) -> tuple[str, ...]:
        return ("part", *(f"other_{i + 1}" for i in range(OTHERS)))

    def _spots(self, streams: Streams) -> list[Array]:
        """Where the goods lie on the belt, each `(n, 2)`: one neighbour ahead, one behind, 45 to 120 mm from the judged part."""
        n = len(streams)
        part = np.column_stack(
            [streams.between("part.x", -0.03, 0.03), streams.between("part.y", -0.28, -0.16)]
        )
        spots = [part]
        for i in range(OTHERS):
            distance = streams.between(f"other.{i}.distance", 0.045, 0.12)
            aside = np.clip(
                streams.between(f"other.{i}.x", -0.04, 0.04) - part[:, 0], -0.8 * distance, 0.8 * distance
            )
            along = (1.0 if i % 2 == 0 else -1.0) * np.sqrt(distance * distance - aside * aside)
            spots.append(np.column_stack([part[:, 0] + aside, part[:, 1] + along]))
        return [spot + np.array([BELT_X, 0.0]) + np.zeros((n, 1)) for spot in spots]

    def _yaws(self, streams: Streams) -> list[Array]:
        return [streams.between(f"{body}.yaw", -np.pi / 2, np.pi / 2) for body in self._goods()]

    def _fields(self, kinds: list[NDArray[np.int64]], speed: Array) -> dict[str, Array]:
        """Model fields that give each world's goods their shape, mass and colour, and its belt its speed."""
        model, n = self.model, len(speed)
        fields = {name: np.repeat(getattr(model, name)[None], n, axis=0) for name in self.expanded}
        fields["geom_surfacevel"][:, model.geom("belt").id, 1] = speed
        for name, kind in zip(self._goods(), kinds, strict=True):
            geom, body = model.geom(f"{name}_geom").id, model.body(name).id
            fields["geom_type"][:, geom] = GEOM_TYPE[kind]
            fields["geom_size"][:, geom] = GEOM_SIZE[kind]
            fields["geom_rbound"][:, geom] = np.where(
                kind == 2, np.hypot(HALF[kind, 0], HALF[kind, 2]), norm(HALF[kind])
            )
            fields["geom_aabb"][:, geom, 3:] = HALF[kind]
            fields["geom_rgba"][:, geom] = COLOUR[kind]
            fields["geom_pos"][:, model.geom(f"{name}_mark").id, 2] = HALF[kind, 2]
            fields["body_mass"][:, body] = MASS[kind]
            fields["body_inertia"][:, body] = _inertia(kind, MASS[kind])
        fields["geom_pos"][:, model.geom("part_ring").id, 2] = HALF[kinds[0], 2]
        return fields

    observe = {
        "tcp": Term(lambda s: s["tcp.pos"], "m", ("x", "y", "z")),
        "tcp_velocity": Term(lambda s: s["tcp.vel"], "m/s", ("x", "y", "z")),
        "part_from_cup": Term(_part_from_cup, "m", ("x", "y", "z")),
        "part_from_cup_30mm": Term(_part_from_cup, "m", ("x", "y", "z"), 0.03),
        "part_from_cup_8mm": Term(_part_from_cup, "m", ("x", "y", "z"), 0.008),
        "goal_from_part": Term(_goal_from_part, "m", ("x", "y", "z")),
        "goal_from_part_30mm": Term(_goal_from_part, "m", ("x", "y", "z"), 0.03),
        "goal_from_part_8mm": Term(_goal_from_part, "m", ("x", "y", "z"), 0.008),
        "goal_bearing": Term(lambda s: _polar(s)[..., 0], "rad"),
        "goal_radius": Term(lambda s: _polar(s)[..., 1], "m"),
        "place_yaw": Term(_place_yaw, "rad"),
        "place_yaw_fine": Term(_place_yaw, "rad", limit=0.1),
        "part_velocity": Term(lambda s: s["part.vel"], "m/s", ("x", "y", "z"), 1.0),
        "belt_speed": Term(lambda s: s["belt.speed"], "m/s"),
        "vacuum_held": Term(lambda s: s["vacuum.held"], "1"),
        "vacuum_force": Term(lambda s: s["grip.force.max"], "N", limit=20.0),
        "plunger": Term(lambda s: s["plunger.q"], "m"),
        "part_class": Term(lambda s: s["part.class"], "1", CLASSES),
    }

    rewards = {
        "reach": lambda s: 0.02 * near(norm(_part_from_cup(s)), 0.10) * (1.0 - s["vacuum.held"]),
        "carry": lambda s: 0.04 * near(norm(_goal_from_part(s)), 0.20),
        "time": lambda s: np.full(s.lead, -0.10),
        "smooth": lambda s: -0.01 * s["action.rate"],
    }

    def success(self, s: Lookup) -> NDArray[np.bool_]:
        off = _goal_from_part(s)
        placed = (norm_xy(off) < 0.012) & (np.abs(off[:, 2]) < 0.003) & (np.abs(_place_yaw(s)) < 0.10)
        return np.asarray(placed & (s["part.speed"] < 0.02) & (s["vacuum.contacts"] <= 0.0))

    def failed(self, s: Lookup) -> NDArray[np.int64]:
        part, free = s["part.pos"], s["vacuum.contacts"] <= 0.0
        own = s["part.class"] > 0.5
        in_bin = np.stack([norm_xy(part[:, :2] - centre) < BIN_HALF for centre in BINS], axis=1)
        wrong = (
            free & (part[:, 2] < BIN_FLOOR + 0.03) & (s["part.speed"] < 0.05) & (in_bin & ~own).any(axis=1)
        )
        on_line = np.abs(part[:, 0] - BELT_X) < 0.10
        passed = free & on_line & (part[:, 1] > PASSED_Y)
        code = np.where(passed, len(COMMON_REASONS) + 2, 0)
        code = np.where(wrong, len(COMMON_REASONS) + 1, code)
        return np.where(free & (part[:, 2] < 0.06) & ~passed, len(COMMON_REASONS), code)

    def cost(self, s: Signals) -> Array:
        outside = (s["workspace.margin"] < 0.0) | (s["keepout.margin"] < 0.0)
        return np.asarray(outside.any(axis=1).astype(float))

    def expert(self, observation: NDArray[np.float32]) -> Array:
        o = self.split(observation)
        goal, held = o["goal_from_part"], o["vacuum_held"] > 0.5
        gap, turn = norm_xy(goal), o["place_yaw"]
        stands = (gap < 0.010) & (np.abs(goal[:, 2]) < 0.004) & (np.abs(turn) < 0.08)
        pick, suck = _pick(o)
        velocity = np.where(held[:, None], _carry(o, gap, turn), pick)
        away = np.column_stack(
            [np.zeros_like(gap), np.zeros_like(gap), 8.0 * (CARRY_Z - o["tcp"][:, 2]).clip(0.0, 0.05)]
        )
        velocity = np.where(stands[:, None], away, velocity)
        rate = np.where(held & ~stands, 8.0 * turn, 0.0)
        vacuum = np.where(stands, -1.0, np.where(held | suck, 1.0, -1.0))
        scaled = velocity / np.array([self.speed, self.speed, self.lift])
        return np.asarray(np.clip(np.column_stack([scaled, rate / self.turn, vacuum]), -1.0, 1.0))


def _pick(o: dict[str, Array]) -> tuple[Array, NDArray[np.bool_]]:
    """Run with the belt over the part, come down as the cup lines up, suck just before it touches."""
    tcp, part, moving = o["tcp"], o["part_from_cup"], o["part_velocity"]
    early = ramp(FIRST_Y - (tcp[:, 1] + part[:, 1]), 0.0, 0.02)
    ahead = np.maximum(part[:, 1], FIRST_Y - tcp[:, 1])
    off = np.sqrt(part[:, 0] * part[:, 0] + ahead * ahead) + 0.03 * early
    vx = moving[:, 0] + 9.0 * part[:, 0]
    vy = moving[:, 1] * (1.0 - early) + 9.0 * ahead
    above = 0.03 * ramp(off, 0.004, 0.03)
    down = DOWN_GAIN * (part[:, 2] + above) - 0.03 * (off < 0.005)
    suck = (off < 0.008) & (part[:, 2] > -0.015)
    return _capped(vx, vy, down, 1.0, 0.6), suck


def _carry(o: dict[str, Array], gap: Array, turn: Array) -> Array:
    """Up and clear of the neighbours, around the robot at carrying height, down as the part lines up with its nest."""
    tcp, goal = o["tcp"], o["goal_from_part"]
    radius = np.maximum(norm_xy(tcp), 0.05)
    cos, sin = tcp[:, 0] / radius, tcp[:, 1] / radius
    around, out = 6.0 * radius * o["goal_bearing"], 6.0 * o["goal_radius"]
    far = ramp(gap, 0.03, 0.07)
    vx = far * (out * cos - around * sin) + (1.0 - far) * 8.0 * goal[:, 0]
    vy = far * (out * sin + around * cos) + (1.0 - far) * 8.0 * goal[:, 1]
    clear = np.maximum(ramp(tcp[:, 2], 0.126, 0.138), 1.0 - far)
    vx, vy = clear * vx, clear * vy + (1.0 - clear) * o["belt_speed"]
    above = 0.06 * ramp(gap + 0.05 * np.abs(turn), 0.006, 0.03)
    up = np.where(
        gap > 0.05, 10.0 * (CARRY_Z - tcp[:, 2]), SET_GAIN * (goal[:, 2] + above - SINK)
    )
    return _capped(vx, vy, up, 1.0, 0.8)


def _capped(vx: Array, vy: Array, vz: Array, speed: float, lift: float) -> Array:
    """`(n, 3)` velocities, the horizontal part shortened to `speed`, the vertical one to `lift`, in m/s."""
    share = np.minimum(1.0, speed / np.maximum(np.sqrt(vx * vx + vy * vy), 1e-9))
    return np.column_stack([vx * share, vy * share, np.clip(vz, -lift, lift)])
