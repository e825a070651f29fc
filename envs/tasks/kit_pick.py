"""kit-pick: an FR3 takes one part, of three shapes, out of a tote and sets it into its slot of a kitting tray.

A worker stands across the bench and reaches in while the robot works. The tool must pass over a scanner whose zone it keeps out of.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import separation
from ..cell import compose
from ..control import CartesianTwist
from ..engine import Engine
from ..robots import load_robot
from ..signals import Array, Derivation, Lookup, Signal, Signals, once
from ..streams import Streams
from ..task import COMMON_REASONS, Start, Task, Term
from ..terms import (
    components,
    dot,
    minimum_jerk,
    near,
    norm,
    norm_xy,
    ramp,
    segment_distance,
    up_of,
    wrap,
    yaw_of,
)
from ..vocabulary import described

if TYPE_CHECKING:
    import mujoco

    from ..control import Controller

SHAPES = ("block", "post", "bar")
BOX, CYLINDER = 6, 5  # mjtGeom
HALF = np.array(
    [[0.016, 0.026, 0.022], [0.018, 0.018, 0.025], [0.013, 0.038, 0.018]]
)  # m; fingers close along x
GEOM_SIZE = np.array([[0.016, 0.026, 0.022], [0.018, 0.025, 0.0], [0.013, 0.038, 0.018]])
GEOM_TYPE = np.array([BOX, CYLINDER, BOX])
MASS = np.array([0.12, 0.10, 0.14])  # kg
TOTE, TOTE_FLOOR = np.array([0.46, -0.29]), 0.004
TRAY, TRAY_TOP, TRAY_HALF = np.array([0.46, 0.30]), 0.008, np.array([0.136, 0.106])
SLOTS = TRAY + np.array([[-0.066, -0.0515], [-0.066, 0.0515], [0.066, -0.0515], [0.066, 0.0515]])
START_Q = np.array([0.0, 0.0, 0.0, -2.2, 0.0, 2.2, 0.785])
GRIP_ANGLE = -np.pi / 2  # the fingers' axis at START_Q
WORKSPACE = (np.array([0.20, -0.52, 0.004]), np.array([0.78, 0.52, 0.70]))
KEEPOUT = (np.array([0.39, -0.05, 0.0]), np.array([0.53, 0.05, 0.12]))
WORKER_REST = np.array([1.02, 0.0, 0.20])
CARRY_Z = 0.19
TCP_SPEED_LIMIT, GRIP_FORCE_LIMIT = 1.0, 100.0  # m/s, N: what this cell allows
GRIP_FORCE = 40.0  # N that each finger presses with: 0.2 kg at 1 g of friction 0.7 needs 3 N


def _inertia(shape: NDArray[np.int64], mass: Array) -> Array:
    """`(n, 3)` principal moments of a solid box or an upright cylinder."""
    half = HALF[shape]
    box = (
        np.stack(
            [
                half[:, 1] ** 2 + half[:, 2] ** 2,
                half[:, 0] ** 2 + half[:, 2] ** 2,
                half[:, 0] ** 2 + half[:, 1] ** 2,
            ],
            axis=1,
        )
        / 3.0
    )
    radius, half_height = half[:, 0], half[:, 2]
    side = radius**2 / 4.0 + half_height**2 / 3.0
    cylinder = np.stack([side, side, radius**2 / 2.0], axis=1)
    return np.asarray(mass[:, None] * np.where((shape == 1)[:, None], cylinder, box))


def box_margin(points: Array, low: Array, high: Array) -> Array:
    """Signed distance in m of points `(..., 3)` to a box: positive outside, negative inside."""
    outside = np.maximum(np.maximum(low - points, points - high), 0.0)
    inside = np.minimum(np.minimum(points - low, high - points).min(axis=-1), np.inf)
    return np.where(inside > 0, -inside, norm(outside))


@once
def _left_force(s: Lookup) -> Array:
    return norm(s["grip.left"])


@once
def _right_force(s: Lookup) -> Array:
    return norm(s["grip.right"])


@once
def _grip_angle(s: Lookup) -> Array:
    """Angle in rad of the axis along which the fingers close, in the horizontal plane."""
    w, x, y, z = components(s["tcp.quat"])
    return np.asarray(np.arctan2(1.0 - 2.0 * (x * x + z * z), 2.0 * (x * y - w * z)))


@once
def _grip_yaw(s: Lookup) -> Array:
    return np.where(s["part.shape"][..., 1] > 0.5, 0.0, wrap(yaw_of(s["part.quat"]) - _grip_angle(s), np.pi))


@once
def _yaw_error(s: Lookup) -> Array:
    return np.where(s["part.shape"][..., 1] > 0.5, 0.0, wrap(np.pi / 2 - yaw_of(s["part.quat"]), np.pi))


@once
def _place_yaw(s: Lookup) -> Array:
    """The turn that sets the part straight and brings the wrist back to its middle (the part looks the same after half a turn)."""
    error, hand = _yaw_error(s), wrap(_grip_angle(s) - GRIP_ANGLE)
    return np.where(s["part.shape"][..., 1] > 0.5, 0.0, error - np.pi * np.rint((hand + error) / np.pi))


@once
def _part_from_tcp(s: Lookup) -> Array:
    return s["part.pos"] - s["tcp.pos"]


@once
def _goal_from_part(s: Lookup) -> Array:
    return s["target.pos"] - s["part.pos"]


@once
def _hand_from_tcp(s: Lookup) -> Array:
    return s["worker.hand.pos"] - s["tcp.pos"]


class KitPick(Task):
    """Kitting next to a person."""

    id, version = "kit-pick", "1"
    title = ("Pick a part from a tote into a kit", "トートから部品を取り、キットに置く")
    robot_name = "fr3"
    takt_s, horizon_s = 8.0, 12.0
    action_names = ("vx", "vy", "vz", "yaw_rate", "gripper")
    failures = ("dropped", "wrong-slot")
    expanded = (
        "geom_type",
        "geom_size",
        "geom_rbound",
        "geom_aabb",
        "body_mass",
        "body_inertia",
        "geom_friction",
    )
    sensed = {"part.pos": 1.0, "worker.hand.pos": 2.0, "tcp.pos": 0.2}
    tool_body = "hand"
    speed, turn = 0.8, 2.0
    commands = (("m/s", speed), ("m/s", speed), ("m/s", speed), ("rad/s", turn), ("N", GRIP_FORCE))

    def build(self) -> mujoco.MjSpec:
        return compose("kit-pick", "fr3_link0")

    def make_controller(self, engine: Engine) -> Controller:
        return CartesianTwist(
            engine, load_robot("fr3"), START_Q, self.speed, self.turn, "hand", "grip", GRIP_FORCE
        )

    def signals(self) -> tuple[list[tuple[Signal, Derivation]], list[Signal], list[tuple[float, Signal]]]:
        robot = load_robot("fr3")
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
            (described("gripper.width", "m"), lambda s: 2.0 * s["gripper.q"]),
            (described("grip.force", "N"), lambda s: np.minimum(_left_force(s), _right_force(s))),
            (described("grip.force.max", "N"), lambda s: np.maximum(_left_force(s), _right_force(s))),
            (described("part.speed", "m/s"), lambda s: norm(s["part.vel"])),
            (
                described("part.fall_speed", "m/s"),
                lambda s: np.where(s["grip.force"] > 0.0, 0.0, np.maximum(-s["part.vel"][..., 2], 0.0)),
            ),
            (described("workspace.margin", "m"), lambda s: -box_margin(s["tcp.pos"], *WORKSPACE)),
            (described("keepout.margin", "m"), lambda s: box_margin(s["tcp.pos"], *KEEPOUT)),
            *separation.derived(described),
        ]
        held = [
            described("part.shape", "1", (3,), "held", 50.0),
            described("part.size", "m", (3,), "held", 50.0),
        ]
        constants = [
            (TCP_SPEED_LIMIT, described("tcp.speed.limit", "m/s", (), "constant")),
            (GRIP_FORCE_LIMIT, described("grip.force.limit", "N", (), "constant")),
        ]
        return derived, held, constants

    def place(self, streams: Streams) -> Start:
        n = len(streams)
        shape, slot = streams.choice("part.shape", 3), streams.choice("slot", 4)
        xy = TOTE + streams.between("part.xy", -1.0, 1.0, (2,)) * np.array([0.10, 0.055])
        yaw = streams.between("part.yaw", -np.pi / 2, np.pi / 2)
        half = HALF[shape]
        q = START_Q + streams.between("arm.q", -0.08, 0.08, (7,)) * np.array([1.5, 1, 1, 1, 1, 1, 2])
        qpos = np.repeat(self.model.qpos0[None], n, axis=0)
        adr = {self.model.joint(i).name: int(self.model.jnt_qposadr[i]) for i in range(self.model.njnt)}
        qpos[:, adr["fr3_joint1"] : adr["fr3_joint1"] + 7] = q
        qpos[:, adr["finger_joint1"]] = qpos[:, adr["finger_joint2"]] = 0.038
        part = adr["part_free"]
        qpos[:, part : part + 2] = xy
        qpos[:, part + 2] = TOTE_FLOOR + half[:, 2] + 0.0005
        qpos[:, part + 3 : part + 7] = 0.0
        qpos[:, part + 3], qpos[:, part + 6] = np.cos(yaw / 2), np.sin(yaw / 2)
        reach = self._reach(streams)
        rest = np.repeat(WORKER_REST[None], n, axis=0)
        rest[:, 1] = reach["reach.point"][:, 1]
        qpos[:, adr["worker_x"] : adr["worker_x"] + 3] = rest
        ctrl = np.zeros((n, self.model.nu))
        ctrl[:, :7], ctrl[:, 7], ctrl[:, 8:11] = q, GRIP_FORCE, rest
        goal = np.column_stack([SLOTS[slot], TRAY_TOP + half[:, 2]])[:, None]
        goal[:, 0, 2] = TRAY_TOP + half[:, 2]
        size = np.eye(3)[shape]
        return Start(
            qpos,
            ctrl,
            goal,
            np.tile([1.0, 0, 0, 0], (n, 1, 1)),
            self._shaped(shape),
            {"part.shape": size, "part.size": half},
            {**reach, "rest": rest},
        )

    def _shaped(self, shape: NDArray[np.int64]) -> dict[str, Array]:
        """Model fields that make the one free part a block, a post or a bar in each world."""
        model, n = self.model, len(shape)
        geom, body = model.geom("part_geom").id, model.body("part").id
        fields = {name: np.repeat(getattr(model, name)[None], n, axis=0) for name in self.expanded}
        fields["geom_type"][:, geom] = GEOM_TYPE[shape]
        fields["geom_size"][:, geom] = GEOM_SIZE[shape]
        fields["geom_rbound"][:, geom] = np.where(
            shape == 1, np.hypot(HALF[shape, 0], HALF[shape, 2]), norm(HALF[shape])
        )
        fields["geom_aabb"][:, geom, 3:] = HALF[shape]
        fields["body_mass"][:, body] = MASS[shape]
        fields["body_inertia"][:, body] = _inertia(shape, MASS[shape])
        return fields

    def _reach(self, streams: Streams) -> dict[str, Array]:
        """When and where the worker reaches in: start, way in, stay, way out (s), and the point (m)."""
        return {
            "reach.start": streams.between("reach.start", 0.4, 1.9),
            "reach.in": streams.between("reach.in", 0.9, 1.3),
            "reach.stay": streams.between("reach.stay", 0.4, 0.9),
            "reach.out": streams.between("reach.out", 0.8, 1.1),
            "reach.point": np.column_stack(
                [
                    streams.between("reach.x", 0.45, 0.54),
                    streams.between("reach.y", -0.08, 0.10),
                    streams.between("reach.z", 0.14, 0.20),
                ]
            ),
        }

    def drive(self, times: Array, memory: Mapping[str, Array]) -> Mapping[int, Array]:
        start, way_in, stay, way_out = (
            memory[f"reach.{part}"][:, None] for part in ("start", "in", "stay", "out")
        )
        since = times - start
        share = minimum_jerk(since / way_in) - minimum_jerk((since - way_in - stay) / way_out)
        rest, point = memory["rest"], memory["reach.point"]
        way = rest[:, None] + share[..., None] * (point - rest)[:, None]
        return {self.worker_first + i: way[..., i] for i in range(3)}

    @cached_property
    def worker_first(self) -> int:
        """The first of the three actuators that move the worker's hand."""
        return int(self.model.actuator("worker_x").id)

    observe = {
        "tcp": Term(lambda s: s["tcp.pos"], "m", ("x", "y", "z")),
        "tcp_velocity": Term(lambda s: s["tcp.vel"], "m/s", ("x", "y", "z")),
        "part_from_tcp": Term(_part_from_tcp, "m", ("x", "y", "z")),
        "part_from_tcp_30mm": Term(_part_from_tcp, "m", ("x", "y", "z"), 0.03),
        "part_from_tcp_8mm": Term(_part_from_tcp, "m", ("x", "y", "z"), 0.008),
        "goal_from_part": Term(_goal_from_part, "m", ("x", "y", "z")),
        "goal_from_part_30mm": Term(_goal_from_part, "m", ("x", "y", "z"), 0.03),
        "goal_from_part_8mm": Term(_goal_from_part, "m", ("x", "y", "z"), 0.008),
        "grip_yaw": Term(_grip_yaw, "rad"),
        "grip_yaw_fine": Term(_grip_yaw, "rad", limit=0.1),
        "place_yaw": Term(_place_yaw, "rad"),
        "place_yaw_fine": Term(_place_yaw, "rad", limit=0.1),
        "gripper_width": Term(lambda s: s["gripper.width"], "m"),
        "grip_force": Term(lambda s: s["grip.force"], "N", limit=20.0),
        "part_shape": Term(lambda s: s["part.shape"], "1", SHAPES),
        "part_up": Term(lambda s: up_of(s["part.quat"]), "1"),
        "part_velocity": Term(lambda s: s["part.vel"], "m/s", ("x", "y", "z"), 1.0),
        "hand_from_tcp": Term(_hand_from_tcp, "m", ("x", "y", "z"), 0.6),
        "hand_velocity": Term(lambda s: s["worker.hand.vel"], "m/s", ("x", "y", "z")),
        "worker_distance": Term(lambda s: np.maximum(s["worker.distance"], 0.0), "m", limit=0.6),
    }

    rewards = {
        "reach": lambda s: 0.02 * near(norm(_part_from_tcp(s)), 0.10),
        "carry": lambda s: 0.04 * near(norm(_goal_from_part(s)), 0.20),
        "time": lambda s: np.full(s.lead, -0.10),
        "smooth": lambda s: -0.01 * s["action.rate"],
        "grip": lambda s: -0.2 * ramp(s["grip.force.max"], 75.0, 100.0),
        "person": lambda s: (
            -0.7 * ramp(0.06 - s["separation.margin"], 0.0, 0.06) * (s["separation.closing"] > 0.02)
        ),
    }

    def success(self, s: Lookup) -> NDArray[np.bool_]:
        off = _goal_from_part(s)
        placed = (norm_xy(off) < 0.010) & (np.abs(off[:, 2]) < 0.004) & (np.abs(_yaw_error(s)) < 0.12)
        still = (s["part.speed"] < 0.02) & (up_of(s["part.quat"]) > 0.98)
        return np.asarray(placed & still & (s["grip.force.max"] <= 0.0))

    def failed(self, s: Lookup) -> NDArray[np.int64]:
        part, free = s["part.pos"], s["grip.force.max"] <= 0.0
        still = s["part.speed"] < 0.02
        in_tote = (np.abs(part[:, :2] - TOTE) < np.array([0.18, 0.14])).all(axis=1)
        in_tray = (np.abs(part[:, :2] - TRAY) < TRAY_HALF + 0.01).all(axis=1)
        low = part[:, 2] < 0.05
        dropped = (part[:, 2] < -0.05) | (free & still & low & ~in_tote & ~in_tray)
        wrong = free & still & low & in_tray & (norm_xy(_goal_from_part(s)) > 0.035)
        code = np.where(wrong, len(COMMON_REASONS) + 1, 0)
        return np.where(dropped, len(COMMON_REASONS), code)

    def cost(self, s: Signals) -> Array:
        closing = s["separation.closing"] > 0.02
        risk = ((s["separation.margin"] < 0.0) & closing) | (s["worker.contact.force"] > 0.0)
        return np.asarray(risk.any(axis=1).astype(float))

    def in_path(self, s: Lookup) -> NDArray[np.bool_]:
        gripped = (s["grip.force"] > 1.0)[:, None]
        goal = np.where(gripped, s["target.pos"], s["part.pos"])
        flat = np.array([1.0, 1.0, 0.0])  # in plan view: the tool and the arm above it sweep the height
        gap = segment_distance(s["worker.hand.pos"] * flat, s["tcp.pos"] * flat, goal * flat)
        travelling = (s["tcp.speed"] > 0.05) & (norm_xy(goal - s["tcp.pos"]) > 0.05)
        return np.asarray((gap < 0.10) & travelling & (s["worker.hand.pos"][:, 0] < 0.75))

    cautious = True

    def expert(self, observation: NDArray[np.float32]) -> Array:
        o = self.split(observation)
        tcp, part, goal = o["tcp"], o["part_from_tcp"], o["goal_from_part"]
        gripped = ramp(o["grip_force"], 1.0, 4.0)
        width = o["gripper_width"]
        # to the part: over it first, down as the fingers line up, close when there
        off, yaw = norm_xy(part), o["grip_yaw"]
        above = 0.10 * ramp(off + 0.04 * np.abs(yaw), 0.010, 0.06)
        rise = np.maximum(
            above, np.where(off > 0.08, CARRY_Z - (tcp[:, 2] + part[:, 2]), 0.0).clip(0.0, None)
        )
        pick = np.column_stack([6.0 * part[:, 0], 6.0 * part[:, 1], 5.0 * (part[:, 2] + rise)])
        there = (
            (1 - ramp(off, 0.004, 0.008))
            * (1 - ramp(np.abs(part[:, 2]), 0.005, 0.010))
            * (1 - ramp(np.abs(yaw), 0.04, 0.1))
        )
        # to the slot: up, across at carrying height, down as the part lines up, open when it stands
        gap, turn = norm_xy(goal), o["place_yaw"]
        lift = np.where(gap > 0.03, CARRY_Z - tcp[:, 2], 0.0)
        height = tcp[:, 2]
        across = ramp(height, CARRY_Z - 0.07, CARRY_Z - 0.03)
        across = np.where(gap < 0.05, 1.0, across)
        # aim below the tray, so that the part arrives with speed and the fingers never hover at the threshold
        down = goal[:, 2] - 0.006 + 0.08 * ramp(gap + 0.04 * np.abs(turn), 0.006, 0.04)
        landing = 0.05 + 6.0 * np.maximum(-goal[:, 2] - 0.012, 0.0)
        place = np.column_stack(
            [
                5.0 * goal[:, 0] * across,
                5.0 * goal[:, 1] * across,
                np.where(gap > 0.05, 5.0 * lift, np.maximum(4.0 * down, -landing)),
            ]
        )
        stands = (gap < 0.008) & (np.abs(goal[:, 2]) < 0.005) & (np.abs(turn) < 0.10)
        # away: the part stands in its slot
        home = np.column_stack([np.zeros_like(gap), np.zeros_like(gap), 3.0 * (0.22 - height)])
        away = stands & (gripped < 0.5)
        holding = (gripped > 0.5) & ~stands
        closing_in = (there > 0.5) & ~stands
        move = np.where(holding[:, None], place, pick)
        move = np.where((closing_in & ~holding)[:, None], 0.5 * pick, move)
        release = stands & (gripped >= 0.5)
        move = np.where(release[:, None], 0.0, np.where(away[:, None], home, move))
        grip = np.where(holding | closing_in, -1.0, 1.0)
        grip = np.where(stands, 1.0, grip)
        move = np.where((away & (width < 0.06))[:, None], 0.0, move)
        rate = np.where(holding, 3.0 * turn, 4.0 * yaw)
        rate = np.where(stands, 0.0, rate)
        velocity = _capped(move, 0.60)
        if self.cautious:
            velocity = _give_way(velocity, o)
        return np.asarray(
            np.clip(np.column_stack([velocity / self.speed, rate / self.turn, grip]), -1.0, 1.0)
        )


def _capped(velocity: Array, speed: float | Array) -> Array:
    """Velocities `(n, 3)` shortened to at most `speed` m/s, direction kept."""
    return np.asarray(velocity * np.minimum(1.0, speed / np.maximum(norm(velocity), 1e-9))[:, None])


def _give_way(velocity: Array, o: Mapping[str, Array]) -> Array:
    """Slow down towards a near hand, stop before it, and yield along -x when it comes closer still."""
    hand, distance = o["hand_from_tcp"], o["worker_distance"]
    direction = hand / np.maximum(norm(hand), 1e-6)[:, None]
    approach = np.maximum(dot(o["hand_velocity"], -direction), 0.0)
    free = distance - 0.15 * approach
    towards = np.maximum(dot(velocity, direction), 0.0)
    allowed = 1.2 * np.clip(free - 0.21, 0.0, 1.0)
    slowed = velocity - (np.maximum(towards - allowed, 0.0))[:, None] * direction
    slowed = _capped(slowed, 0.12 + 0.48 * ramp(free, 0.11, 0.27))
    # back off above tote and tray; lower down only a little, so that what lifts past a hand does not creep towards it
    height = o["tcp"][:, 2]
    back = 0.5 * (1.0 - ramp(free, 0.15, 0.23)) * ramp(height, 0.12, 0.16)
    back = np.maximum(back, 0.06 * (1.0 - ramp(free, 0.15, 0.25)) * ramp(height, 0.04, 0.08))
    away = -direction[:, :2] / np.maximum(norm_xy(direction), 0.2)[:, None]
    slowed[:, :2] += back[:, None] * away
    inside = np.stack([ramp(o["tcp"][:, 0], 0.32, 0.38), ramp(0.75 - o["tcp"][:, 0], 0.0, 0.06)])
    slowed[:, 0] = np.where(slowed[:, 0] < 0, slowed[:, 0] * inside[0], slowed[:, 0] * inside[1])
    return _capped(slowed, 0.62)
