"""kit-pick: an FR3 takes one part, of three shapes or five, out of a tote and sets it into its slot of a kitting tray.

A worker stands across the bench and reaches in while the robot works. The tool must pass over a scanner whose zone it keeps out of. Other
parts may lie in the tote.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import separation
from ..cell import compose
from ..clutter import Clutter
from ..colleague import colleague, hand_approach, hand_from_tcp, worker_distance
from ..control import CartesianTwist
from ..derived import arm, constant, part, per_episode, swept, zones
from ..engine import Engine
from ..experts import kit_pick as expert
from ..eyes import ToteEye
from ..fingers import fingers, goal_from_part, grip_angle, part_from_tcp
from ..goods import CYLINDER, FIELDS, Good, Goods, lay
from ..people_motion import Place
from ..robots import load_robot
from ..signals import Array, Derivation, Lookup, Signal, Signals, once
from ..streams import Streams
from ..task import COMMON_REASONS, Start, Task, Term
from ..terms import (
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
    from ..engine import Moved
    from ..eye import Eye
    from ..people_cell import Person

GOODS = Goods(
    (  # the fingers close along x
        Good("block", (0.016, 0.026, 0.022), 0.12),
        Good("post", (0.018, 0.018, 0.025), 0.10, CYLINDER),
        Good("bar", (0.013, 0.038, 0.018), 0.14),
    )
)
MORE = Goods(
    (
        *GOODS.kinds,
        Good("plate", (0.015, 0.032, 0.012), 0.09),
        Good("roll", (0.013, 0.013, 0.021), 0.06, CYLINDER),
    )
)
LIKE = np.array([0, 1, 2, 2, 1])  # the shape whose grasp each of them takes, which is what the policy is told
TOTE, TOTE_FLOOR = np.array([0.46, -0.29]), 0.004
OTHERS = Clutter(
    MORE,
    TOTE,
    TOTE_FLOOR,
    np.array([[x, y] for x in (-0.12, -0.04, 0.04, 0.12) for y in (-0.085, 0.0, 0.085)]),
    0.105,
)
TRAY, TRAY_TOP, TRAY_HALF = np.array([0.46, 0.30]), 0.008, np.array([0.136, 0.106])
SLOTS = TRAY + np.array([[-0.066, -0.0515], [-0.066, 0.0515], [0.066, -0.0515], [0.066, 0.0515]])
START_Q = np.array([0.0, 0.0, 0.0, -2.2, 0.0, 2.2, 0.785])
GRIP_ANGLE = -np.pi / 2  # the fingers' axis at START_Q
WORKSPACE = (np.array([0.20, -0.52, 0.004]), np.array([0.78, 0.52, 0.70]))
KEEPOUT = (np.array([0.39, -0.05, 0.0]), np.array([0.53, 0.05, 0.12]))
WORKER_REST = np.array([1.02, 0.0, 0.20])
COLLEAGUE = Place(floor=-0.9, stand=(0.46, -1.0), work=(0.46, -0.40, 0.15))  # at the tote's end of the bench
HEAVIEST = 0.14  # kg that the tool carries
LINKS = ("fr3_link4", "fr3_link5", "fr3_link6", "fr3_link7", "hand")
TCP_SPEED_LIMIT, GRIP_FORCE_LIMIT = 1.0, 100.0  # m/s, N: what this cell allows
GRIP_FORCE = 40.0  # N that each finger presses with: 0.2 kg at 1 g of friction 0.7 needs 3 N


@once
def _grip_yaw(s: Lookup) -> Array:
    return np.where(s["part.shape"][..., 1] > 0.5, 0.0, wrap(yaw_of(s["part.quat"]) - grip_angle(s), np.pi))


@once
def _yaw_error(s: Lookup) -> Array:
    return np.where(s["part.shape"][..., 1] > 0.5, 0.0, wrap(np.pi / 2 - yaw_of(s["part.quat"]), np.pi))


@once
def _place_yaw(s: Lookup) -> Array:
    """The turn that sets the part straight and brings the wrist back to its middle (the part looks the same after half a turn)."""
    error, hand = _yaw_error(s), wrap(grip_angle(s) - GRIP_ANGLE)
    return np.where(s["part.shape"][..., 1] > 0.5, 0.0, error - np.pi * np.rint((hand + error) / np.pi))


class KitPick(Task):
    """Kitting next to a person."""

    id, version = "kit-pick", "1"
    title = ("Pick a part from a tote into a kit", "トートから部品を取り、キットに置く")
    robot_name = "fr3"
    takt_s, horizon_s = 8.0, 12.0
    action_names = ("vx", "vy", "vz", "yaw_rate", "gripper")
    failures = ("dropped", "wrong-slot")
    expanded = (*FIELDS, "body_pos")
    sensed = {"part.pos": 1.0, "worker.hand.pos": 2.0, "tcp.pos": 0.2}
    tool_body, nearest_person = "hand", "worker_distance"
    speed, turn = 0.8, 2.0
    commands = (("m/s", speed), ("m/s", speed), ("m/s", speed), ("rad/s", turn), ("N", GRIP_FORCE))

    def build(self) -> mujoco.MjSpec:
        spec = compose("kit-pick", load_robot(self.robot_name))
        OTHERS.add(spec, self.others)
        if self.colleague:
            self.colleague.add(spec)
        return spec

    @property
    def others(self) -> tuple[str, ...]:
        """The bodies of the other parts that lie in the tote."""
        return tuple(f"other_{i + 1}" for i in range(round(self.cell["part.others"][1])))

    @cached_property
    def colleague(self) -> Person | None:
        """A second worker, of ten regions, where the cell has one."""
        return colleague(self.cell, COLLEAGUE, load_robot(self.robot_name), LINKS, HEAVIEST)

    @property
    def sees(self) -> bool:
        return self.cell["vision"][1] >= 0.5

    def make_eye(self, engine: Engine) -> Eye | None:
        return ToteEye(self, engine) if self.sees else None

    def make_controller(self, engine: Engine) -> Controller:
        return CartesianTwist(engine, load_robot("fr3"), START_Q, self.speed, self.turn, "hand", GRIP_FORCE)

    def signals(self) -> tuple[list[tuple[Signal, Derivation]], list[Signal], list[tuple[float, Signal]]]:
        derived: list[tuple[Signal, Derivation]] = [
            *arm(load_robot(self.robot_name)),
            *fingers(),
            *part("grip.force"),
            *zones(WORKSPACE, KEEPOUT),
            *swept(self, KEEPOUT),
            *separation.derived(described),
        ]
        held = [per_episode("part.shape", "1", (3,)), per_episode("part.size", "m", (3,))]
        if self.colleague:
            derived += self.colleague.signals()
            held += self.colleague.held(self.control_hz)
        if self.sees:
            held.append(per_episode("vision.error", "m"))
        constants = [
            constant("tcp.speed.limit", "m/s", TCP_SPEED_LIMIT),
            constant("grip.force.limit", "N", GRIP_FORCE_LIMIT),
        ]
        return derived, held, constants

    def place(self, streams: Streams) -> Start:
        n, cell = len(streams), self.cell
        kinds = round(cell["part.kinds"][1])
        kind = streams.choice("part.shape", kinds)
        slot, scale = streams.choice("slot", 4), cell.drawn(streams, "part.scale")
        half = MORE.half[kind] * scale[:, None]
        spread = np.stack([cell.drawn(streams, f"tote.spread.{axis}") for axis in "xy"], axis=1)
        xy = TOTE + streams.between("part.xy", -1.0, 1.0, (2,)) * spread
        shift = cell.within(streams, "tray.shift", "tray.shift", (2,))
        yaw = streams.between("part.yaw", -np.pi / 2, np.pi / 2)
        q = START_Q + streams.between("arm.q", -0.08, 0.08, (7,)) * np.array([1.5, 1, 1, 1, 1, 1, 2])
        reach = self._reach(streams)
        rest = np.repeat(WORKER_REST[None], n, axis=0)
        rest[:, 1] = reach["reach.point"][:, 1]
        qpos = np.repeat(self.model.qpos0[None], n, axis=0)
        for first, value in (
            ("fr3_joint1", q),
            ("finger_joint1", np.full((n, 2), 0.038)),
            ("worker_x", rest),
        ):
            at = int(self.model.joint(first).qposadr[0])
            qpos[:, at : at + value.shape[1]] = value
        lay(self.model, qpos, "part", np.column_stack([xy, TOTE_FLOOR + half[:, 2] + 0.0005]), yaw)
        ctrl = np.zeros((n, self.model.nu))
        ctrl[:, :7], ctrl[:, 7], ctrl[:, 8:11] = q, GRIP_FORCE, rest
        fields = {name: np.repeat(getattr(self.model, name)[None], n, axis=0) for name in self.expanded}
        MORE.shape(self.model, fields, "part", kind, scale)
        OTHERS.place(streams, self.model, self.others, kinds, xy, qpos, fields)
        MORE.weigh(self.model, fields, "part", streams.between("part.mass", *cell["part.mass.scale"]))
        fields["body_pos"][:, self.model.body("tray").id, :2] += shift
        goal = np.column_stack([SLOTS[slot] + shift, TRAY_TOP + half[:, 2]])[:, None]
        held = {"part.shape": np.eye(3)[LIKE[kind]], "part.size": half}
        start = Start(
            qpos, ctrl, goal, np.tile([1.0, 0, 0, 0], (n, 1, 1)), fields, held, {**reach, "rest": rest}
        )
        return self.colleague.join(start, streams) if self.colleague else start

    def _reach(self, streams: Streams) -> dict[str, Array]:
        """When and where the worker reaches in: start, way in, stay, way out (s), and the point (m)."""
        times = ("reach.start", "reach.in", "reach.stay", "reach.out")
        return {
            **{name: streams.between(name, *self.cell[name]) for name in times},
            "reach.point": np.column_stack(
                [
                    streams.between("reach.x", *self.cell["reach.x"]),
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

    def move(self, held: Mapping[str, Array], now: Lookup) -> Moved | None:
        return self.colleague.moved(self.model, self.substeps, held, now) if self.colleague else None

    @cached_property
    def worker_first(self) -> int:
        """The first of the three actuators that move the worker's hand."""
        return int(self.model.actuator("worker_x").id)

    observe = {
        "tcp": Term(lambda s: s["tcp.pos"], "m", ("x", "y", "z")),
        "part_from_tcp": Term(part_from_tcp, "m", ("x", "y", "z")),
        "part_from_tcp_30mm": Term(part_from_tcp, "m", ("x", "y", "z"), 0.03),
        "part_from_tcp_8mm": Term(part_from_tcp, "m", ("x", "y", "z"), 0.008),
        "goal_from_part": Term(goal_from_part, "m", ("x", "y", "z")),
        "goal_from_part_30mm": Term(goal_from_part, "m", ("x", "y", "z"), 0.03),
        "goal_from_part_8mm": Term(goal_from_part, "m", ("x", "y", "z"), 0.008),
        "part_gap_30mm": Term(lambda s: norm_xy(part_from_tcp(s)), "m", limit=0.03),
        "part_gap_8mm": Term(lambda s: norm_xy(part_from_tcp(s)), "m", limit=0.008),
        "goal_gap_30mm": Term(lambda s: norm_xy(goal_from_part(s)), "m", limit=0.03),
        "goal_gap_8mm": Term(lambda s: norm_xy(goal_from_part(s)), "m", limit=0.008),
        "grip_yaw": Term(_grip_yaw, "rad"),
        "grip_yaw_fine": Term(_grip_yaw, "rad", limit=0.1),
        "place_yaw": Term(_place_yaw, "rad"),
        "place_yaw_fine": Term(_place_yaw, "rad", limit=0.1),
        "gripper_width": Term(lambda s: s["gripper.width"], "m"),
        "grip_force": Term(lambda s: s["grip.force"], "N", limit=20.0),
        "part_shape": Term(lambda s: s["part.shape"], "1", GOODS.names),
        "part_up": Term(lambda s: up_of(s["part.quat"]), "1"),
        "hand_from_tcp": Term(hand_from_tcp, "m", ("x", "y", "z"), 0.6),
        "hand_velocity": Term(lambda s: s["worker.hand.vel"], "m/s", ("x", "y", "z")),
        "hand_approach": Term(hand_approach, "m/s"),
        "worker_distance": Term(worker_distance, "m", limit=0.6),
        "worker_distance_30cm": Term(worker_distance, "m", limit=0.3),
    }

    rewards = {
        "reach": lambda s: 0.02 * near(norm(part_from_tcp(s)), 0.10),
        "carry": lambda s: 0.04 * near(norm(goal_from_part(s)), 0.20),
        "time": lambda s: np.full(s.lead, -0.10),
        "smooth": lambda s: -0.01 * s["action.rate"],
        "grip": lambda s: -1.0 * ramp(s["grip.force.max"], 60.0, GRIP_FORCE_LIMIT),
        "person": lambda s: (
            -2.0 * ramp(0.12 - s["separation.margin"], 0.0, 0.12) * (s["separation.closing"] > 0.02)
        ),
    }

    def success(self, s: Lookup) -> NDArray[np.bool_]:
        off = goal_from_part(s)
        placed = (norm_xy(off) < 0.010) & (np.abs(off[:, 2]) < 0.004) & (np.abs(_yaw_error(s)) < 0.12)
        still = (s["part.speed"] < 0.02) & (up_of(s["part.quat"]) > 0.98)
        return np.asarray(placed & still & (s["grip.force.max"] <= 0.0))

    def failed(self, s: Lookup) -> NDArray[np.int64]:
        at, free = s["part.pos"], s["grip.force.max"] <= 0.0
        still = s["part.speed"] < 0.02
        in_tote = (np.abs(at[:, :2] - TOTE) < np.array([0.18, 0.14])).all(axis=1)
        in_tray = (np.abs(at[:, :2] - TRAY) < TRAY_HALF + 0.01).all(
            axis=1
        )  # a shifted tray's rim is taken in by the 10 mm
        low = at[:, 2] < 0.05
        dropped = (at[:, 2] < -0.05) | (free & still & low & ~in_tote & ~in_tray)
        wrong = free & still & low & in_tray & (norm_xy(goal_from_part(s)) > 0.035)
        code = np.where(wrong, len(COMMON_REASONS) + 1, 0)
        return np.where(dropped, len(COMMON_REASONS), code)

    def cost(self, s: Signals) -> Array:
        near = (s["separation.margin"] < 0.0) & (s["separation.closing"] > 0.02)
        outside = (s["workspace.margin"] < 0.0) | (s["keepout.margin"] < 0.0)
        crushed = s["grip.force.max"] > GRIP_FORCE_LIMIT
        risk = near | outside | crushed | (s["worker.contact.force"] > 0.0)
        if self.colleague:
            risk |= (s["body.contacts"] != 0.0).any(axis=-1)
        return np.asarray(risk.any(axis=1).astype(float))

    def in_path(self, s: Lookup) -> NDArray[np.bool_]:
        gripped = (s["grip.force"] > 1.0)[:, None]
        goal = np.where(gripped, s["target.pos"], s["part.pos"])
        flat = np.array([1.0, 1.0, 0.0])  # in plan view: the tool and the arm above it sweep the height
        gap = segment_distance(s["worker.hand.pos"] * flat, s["tcp.pos"] * flat, goal * flat)
        travelling = (s["tcp.speed"] > 0.05) & (norm_xy(goal - s["tcp.pos"]) > 0.05)
        return np.asarray((gap < 0.10) & travelling & (s["worker.hand.pos"][:, 0] < 0.75))

    def care(self, observation: NDArray[np.float32]) -> Array:
        near = observation[:, self.columns["worker_distance"]][:, 0] < 0.2  # m
        return np.where(near, 4.0, 1.0)

    cautious = True

    def expert(self, observation: NDArray[np.float32]) -> Array:
        return self.commanded(expert.act(self.split(observation), GRIP_FORCE, self.cautious))
