"""bento-pack: a SCARA with a soft gripper takes food of four kinds out of trays and lays each piece into its compartment of a lunch box.

Each kind endures another force: too little drops it, too much crushes it. Nothing may dip into the open tray with the allergen. Nobody
works in this cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..cell import compose
from ..derived import arm, constant, part, per_episode, swept, zones
from ..engine import Engine
from ..experts import bento_pack as expert
from ..fingers import fingers, goal_from_part, grip_angle
from ..goods import BOX, CYLINDER, FIELDS, Good, Goods, lay
from ..robots import load_robot
from ..scara import ScaraTwist
from ..signals import Array, Derivation, Lookup, Signal, Signals, once
from ..streams import Streams
from ..task import COMMON_REASONS, Start, Task, Term
from ..terms import bearing, near, norm, norm_xy, ramp, up_of, wrap, yaw_of
from ..vocabulary import described

if TYPE_CHECKING:
    import mujoco

    from ..control import Controller

GOODS = Goods(
    (  # the fingers close along x
        Good("onigiri", (0.020, 0.024, 0.016), 0.060, BOX, (0.96, 0.95, 0.91)),
        Good("karaage", (0.016, 0.016, 0.014), 0.025, CYLINDER, (0.62, 0.36, 0.14)),
        Good("tamagoyaki", (0.013, 0.022, 0.012), 0.020, BOX, (0.97, 0.80, 0.28)),
        Good("broccoli", (0.015, 0.015, 0.017), 0.015, CYLINDER, (0.24, 0.55, 0.20)),
    )
)
STIFFNESS = np.array([900.0, 1500.0, 800.0, 700.0])  # N/m between the fingers
CRUSHED = 0.25  # share of its width by which a piece may be pressed together
FLOOR = 0.050  # m: of trays and box
TRAY_ANGLE, TRAY_RADIUS, TRAY_HALF = np.deg2rad([-88.0, -60.0, -32.0, -4.0]), 0.29, 0.062
TRAYS = TRAY_RADIUS * np.stack([np.cos(TRAY_ANGLE), np.sin(TRAY_ANGLE)], axis=1)
BOX_AT, BOX_HALF = np.array([0.046, 0.261]), np.array([0.118, 0.085])
PLACES = BOX_AT + np.array([[0.0575, 0.041], [0.0575, -0.041], [-0.0575, 0.041], [-0.0575, -0.041]])
GRASP_Z = FLOOR + 0.0175  # m: where the fingers' tips just clear the floor
WORKSPACE = (np.array([-0.22, -0.36, 0.055]), np.array([0.40, 0.40, 0.22]))
HYGIENE = (np.array([0.215, 0.105, 0.0]), np.array([0.325, 0.215, 0.09]))
TCP_SPEED_LIMIT, DESTROYED = 1.2, 2.0  # m/s; times the force that crushes
GRIP_FORCE = 8.0  # N


@once
def _grasp_from_tcp(s: Lookup) -> Array:
    """From the tool point to where the fingers close, `(..., 3)`: over the piece, at the height that clears the floor."""
    off = s["part.pos"] - s["tcp.pos"]
    lift = np.maximum(GRASP_Z - FLOOR - s["part.size"][..., 2], -0.002)
    return np.stack([off[..., 0], off[..., 1], off[..., 2] + lift], axis=-1)


@once
def _round(s: Lookup) -> Array:
    return s["part.class"][..., 1] + s["part.class"][..., 3]


@once
def _grip_yaw(s: Lookup) -> Array:
    return np.where(_round(s) > 0.5, 0.0, wrap(yaw_of(s["part.quat"]) - grip_angle(s), np.pi))


@once
def _place_yaw(s: Lookup) -> Array:
    """How far the piece must still turn to lie along the box; round ones lie as they come."""
    return np.where(_round(s) > 0.5, 0.0, wrap(np.pi / 2 - yaw_of(s["part.quat"]), np.pi))


def _ahead(s: Lookup, to: str) -> Array:
    """Bearing (rad) and radius (m) that a place is ahead of the tool, `(..., 2)`."""
    tcp, place = s["tcp.pos"], s[to]
    return np.stack([bearing(place) - bearing(tcp), norm_xy(place) - norm_xy(tcp)], axis=-1)


@once
def _goal_ahead(s: Lookup) -> Array:
    return _ahead(s, "target.pos")


@once
def _part_ahead(s: Lookup) -> Array:
    return _ahead(s, "part.pos")


class BentoPack(Task):
    """Packing food."""

    id, version = "bento-pack", "1"
    title = ("Pack food into a lunch box", "弁当箱に食品を詰める")
    robot_name = "yk400xec-soft"
    takt_s, horizon_s = 5.0, 9.0
    action_names = ("vx", "vy", "vz", "yaw_rate", "gripper")
    failures = ("dropped", "wrong-compartment", "crushed")
    damaging = ("crushed",)
    expanded = (*FIELDS, "geom_rgba", "body_pos")
    sensed = {"part.pos": 1.0, "tcp.pos": 0.2}
    tool_body = "tool"
    speed, lift, turn = 1.0, 0.8, 8.0
    commands = (("m/s", speed), ("m/s", speed), ("m/s", lift), ("rad/s", turn), ("N", GRIP_FORCE))

    def build(self) -> mujoco.MjSpec:
        return compose("bento-pack", load_robot(self.robot_name))

    def make_controller(self, engine: Engine) -> Controller:
        return ScaraTwist(engine, load_robot(self.robot_name), self.speed, self.lift, self.turn, GRIP_FORCE)

    def signals(self) -> tuple[list[tuple[Signal, Derivation]], list[Signal], list[tuple[float, Signal]]]:
        derived: list[tuple[Signal, Derivation]] = [
            *arm(load_robot(self.robot_name)),
            *fingers(),
            *part("grip.force"),
            *zones(WORKSPACE, HYGIENE),
            *swept(self, HYGIENE),
            (
                described("part.squeeze", "1"),
                lambda s: CRUSHED * s["grip.force.max"] / np.maximum(s["grip.force.limit"], 1e-3),
            ),
        ]
        held = [
            per_episode("part.class", "1", (4,)),
            per_episode("part.size", "m", (3,)),
            per_episode("grip.force.limit", "N"),
        ]
        return derived, held, [constant("tcp.speed.limit", "m/s", TCP_SPEED_LIMIT)]

    def place(self, streams: Streams) -> Start:
        n, cell, model, robot = len(streams), self.cell, self.model, load_robot(self.robot_name)
        kind = streams.choice("part.class", len(GOODS.kinds))
        half = GOODS.half[kind]
        spread = cell.within(streams, "part.xy", "part.spread", (2,))
        # towards the robot's side of the tray, so that what lies along its outer rim stays where it is
        spread[:, 0] -= 0.008
        cos, sin = np.cos(TRAY_ANGLE)[kind], np.sin(TRAY_ANGLE)[kind]
        xy = TRAYS[kind] + np.stack(
            [cos * spread[:, 0] - sin * spread[:, 1], sin * spread[:, 0] + cos * spread[:, 1]], axis=1
        )
        yaw = cell.within(streams, "part.yaw", "part.turn") + np.pi / 2
        shift = cell.within(streams, "box.shift", "box.shift", (2,))
        q = robot.home + streams.between("arm.q", -1.0, 1.0, (4,)) * np.array([0.15, 0.15, 0.015, 0.3])
        qpos = np.repeat(model.qpos0[None], n, axis=0)
        for i, joint in enumerate(robot.joints):
            qpos[:, model.joint(joint).qposadr[0]] = q[:, i]
        for joint in robot.gripper.joints:
            qpos[:, model.joint(joint).qposadr[0]] = 0.028
        lay(model, qpos, "part", np.column_stack([xy, FLOOR + half[:, 2] + 0.0003]), yaw)
        ctrl = np.zeros((n, model.nu))
        ctrl[:, :4] = q
        fields = {name: np.repeat(getattr(model, name)[None], n, axis=0) for name in self.expanded}
        GOODS.shape(model, fields, "part", kind)
        GOODS.weigh(model, fields, "part", streams.between("part.mass", *cell["part.mass.scale"]))
        fields["body_pos"][:, model.body("bento").id, :2] += shift
        goal = np.column_stack([PLACES[kind] + shift, FLOOR + half[:, 2]])[:, None]
        soft = streams.between("softness", *cell["softness"])
        crush = CRUSHED * STIFFNESS[kind] * 2.0 * half[:, 0] / soft
        held = {"part.class": np.eye(4)[kind], "part.size": half, "grip.force.limit": crush}
        return Start(qpos, ctrl, goal, np.tile([1.0, 0, 0, 0], (n, 1, 1)), fields, held, {})

    observe = {
        "tcp": Term(lambda s: s["tcp.pos"], "m", ("x", "y", "z")),
        "grasp_from_tcp": Term(_grasp_from_tcp, "m", ("x", "y", "z")),
        "grasp_from_tcp_30mm": Term(_grasp_from_tcp, "m", ("x", "y", "z"), 0.03),
        "grasp_from_tcp_8mm": Term(_grasp_from_tcp, "m", ("x", "y", "z"), 0.008),
        "goal_from_part": Term(goal_from_part, "m", ("x", "y", "z")),
        "goal_from_part_30mm": Term(goal_from_part, "m", ("x", "y", "z"), 0.03),
        "goal_from_part_8mm": Term(goal_from_part, "m", ("x", "y", "z"), 0.008),
        "part_gap_30mm": Term(lambda s: norm_xy(_grasp_from_tcp(s)), "m", limit=0.03),
        "part_gap_8mm": Term(lambda s: norm_xy(_grasp_from_tcp(s)), "m", limit=0.008),
        "goal_gap_30mm": Term(lambda s: norm_xy(goal_from_part(s)), "m", limit=0.03),
        "goal_gap_15mm": Term(lambda s: norm_xy(goal_from_part(s)), "m", limit=0.015),
        "goal_bearing": Term(lambda s: _goal_ahead(s)[..., 0], "rad"),
        "goal_radius": Term(lambda s: _goal_ahead(s)[..., 1], "m"),
        "part_bearing": Term(lambda s: _part_ahead(s)[..., 0], "rad"),
        "part_radius": Term(lambda s: _part_ahead(s)[..., 1], "m"),
        "grip_yaw": Term(_grip_yaw, "rad"),
        "grip_yaw_fine": Term(_grip_yaw, "rad", limit=0.15),
        "place_yaw": Term(_place_yaw, "rad"),
        "place_yaw_fine": Term(_place_yaw, "rad", limit=0.1),
        "gripper_width": Term(lambda s: s["gripper.width"], "m"),
        "open_width": Term(lambda s: 2.0 * s["part.size"][..., 0] + 0.014, "m"),
        "grip_force": Term(lambda s: s["grip.force"], "N", limit=12.0),
        "force_limit": Term(lambda s: s["grip.force.limit"], "N"),
        "grip_share": Term(
            lambda s: s["grip.force"] / np.maximum(s["grip.force.limit"], 1e-3), "1", limit=1.5
        ),
        "part_class": Term(lambda s: s["part.class"], "1", GOODS.names),
    }

    rewards = {
        "reach": lambda s: 0.02 * near(norm(_grasp_from_tcp(s)), 0.10),
        "carry": lambda s: 0.04 * near(norm(goal_from_part(s)), 0.20),
        "time": lambda s: np.full(s.lead, -0.10),
        "smooth": lambda s: -0.01 * s["action.rate"],
        "grip": lambda s: -0.5 * ramp(s["part.squeeze"], 0.7 * CRUSHED, CRUSHED),
    }

    def success(self, s: Lookup) -> NDArray[np.bool_]:
        off = goal_from_part(s)
        placed = (norm_xy(off) < 0.016) & (np.abs(off[:, 2]) < 0.004) & (np.abs(_place_yaw(s)) < 0.20)
        lies = (s["part.speed"] < 0.02) & (up_of(s["part.quat"]) > 0.982)
        return np.asarray(placed & lies & (s["grip.force.max"] <= 0.0))

    def failed(self, s: Lookup) -> NDArray[np.int64]:
        at, free = s["part.pos"], s["grip.force.max"] <= 0.0
        still = s["part.speed"] < 0.02
        own = (s["part.class"][:, :, None] * TRAYS).sum(axis=1)
        in_tray = norm_xy(at[:, :2] - own) < TRAY_HALF * 1.5
        low = at[:, 2] < FLOOR + 0.03
        box = s["target.pos"][:, :2] - (s["part.class"][:, :, None] * (PLACES - BOX_AT)).sum(axis=1)
        in_box = (np.abs(at[:, :2] - box) < BOX_HALF).all(axis=1)
        wrong = free & still & low & in_box & (norm_xy(goal_from_part(s)) > 0.03)
        dropped = free & still & low & ~in_tray & ~in_box
        code = np.where(wrong, len(COMMON_REASONS) + 1, np.where(dropped, len(COMMON_REASONS), 0))
        return np.where(s["part.squeeze"] > DESTROYED * CRUSHED, len(COMMON_REASONS) + 2, code)

    def cost(self, s: Signals) -> Array:
        outside = (s["workspace.margin"] < 0.0) | (s["keepout.margin"] < 0.0)
        crushed = s["grip.force.max"] > s["grip.force.limit"]
        return np.asarray((outside | crushed).any(axis=1).astype(float))

    def care(self, observation: NDArray[np.float32]) -> Array:
        gap = observation[:, self.columns["part_gap_30mm"]][:, 0]
        return np.where(gap < 0.01, 2.0, 1.0)  # m: where the fingers close

    def expert(self, observation: NDArray[np.float32]) -> Array:
        return self.commanded(expert.act(self.split(observation)))
