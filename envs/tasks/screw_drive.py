"""screw-drive: a SCARA puts its nut runner on a screw that stands in a casting, drives it down and tightens it to the torque of its order.

What counts in the end is the clamp force that stays. Too much torque strips the thread; a bit put down beside the middle tilts the screw
across its thread; a bit pressed too little slips in the head. Nobody works in this cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..cell import compose
from ..derived import arm, constant, per_episode, zones
from ..engine import Engine
from ..experts import screw_drive as expert
from ..goods import lay
from ..robots import load_robot
from ..scara import ScaraTwist
from ..signals import Array, Derivation, Lookup, Signal, Signals, once
from ..streams import Streams
from ..task import COMMON_REASONS, Start, Task, Term
from ..terms import near, norm, norm_xy, ramp, up_of
from ..vocabulary import described

if TYPE_CHECKING:
    import mujoco

    from ..control import Controller

HOLES = np.array([[0.046, 0.031], [-0.046, 0.031], [-0.046, -0.031], [0.046, -0.031]])  # on the casting, m
HEAD = 0.003  # m: height of the head
PITCH = 0.0007  # m a turn, ISO 261 M4
TORQUES = np.array([0.9, 1.4, 1.9])  # N*m: of the orders
LOST = 0.03  # N*m that the thread takes
LEVER = 0.25 * 0.0035 + PITCH / (
    2.0 * np.pi
)  # m: torque for each N of clamp force, by friction under the head and by the pitch
GIVE = 0.000349  # rad that a screw turns for each N of clamp force; measured in this cell
CASTING, LIES = np.array([0.235, 0.10]), 0.034  # m: its place, how high its middle lies
WORKSPACE = (np.array([-0.22, -0.36, 0.050]), np.array([0.40, 0.40, 0.22]))
TCP_SPEED_LIMIT, SPINDLE_TORQUE = 1.2, 3.0  # m/s; N*m
CROSSED, STRIPPED = 0.16, 1.7  # rad of tilt; times the ordered clamp force
TURNING = 1.0  # rad/s from which a screw is being driven
TICKET = 0.01  # m for each N*m: how far the mark on the casting's job ticket stands from the middle


@once
def head_from_bit(s: Lookup) -> Array:
    """From the bit's tip, sprung out, to the middle of the screw's head, `(..., 3)` m."""
    off = s["screw.pos"] - s["tcp.pos"]
    return np.stack([off[..., 0], off[..., 1], off[..., 2] + HEAD], axis=-1)


@once
def _left(s: Lookup) -> Array:
    """How far the head still is above its boss, m."""
    return s["screw.pos"][..., 2] - s["target.pos"][..., 2]


@once
def _press(s: Lookup) -> Array:
    return norm(s["bit.press"])


@once
def _torque_share(s: Lookup) -> Array:
    """Torque that tightens, as a share of the order."""
    return s["spindle.torque"][..., 2] / np.maximum(s["torque.order"], 1e-3)


@once
def _ordered_clamp(s: Lookup) -> Array:
    """Clamp force in N that the ordered torque gives."""
    return np.maximum(s["torque.order"] - LOST, 0.1) / LEVER


@once
def _clamp_share(s: Lookup) -> Array:
    return norm(s["screw.clamp"]) / _ordered_clamp(s)


@once
def _angle_share(s: Lookup) -> Array:
    """Angle that the screw has turned since its head touched, as a share of what the order needs; negative before."""
    return s["screw.q"] / (GIVE * _ordered_clamp(s))


@once
def _tilt(s: Lookup) -> Array:
    """Angle in rad of the screw from upright."""
    return np.asarray(np.arccos(np.clip(up_of(s["screw.quat"]), -1.0, 1.0)))


def _driven_tilt(s: Lookup) -> Array:
    return np.where(np.abs(s["screw.qd"]) > TURNING, _tilt(s), 0.0)


def _slip(s: Lookup) -> Array:
    """Speed of the bit in the head, rad/s, 0 while it is off."""
    return np.where(_press(s) > 2.0, np.abs(s["spindle.qd"] - s["screw.qd"]), 0.0)


class ScrewDrive(Task):
    """Driving screws."""

    id, version = "screw-drive", "1"
    title = ("Drive a screw to its torque", "ねじを規定トルクで締める")
    robot_name = "yk400xec-driver"
    takt_s, horizon_s = 6.0, 10.0
    action_names = ("vx", "vy", "vz", "yaw_rate", "spindle")
    failures = ("cross-threaded", "stripped")
    damaging = ("cross-threaded", "stripped")
    lasting = False  # the simulated thread gives: 1 % of the clamp a second
    expanded = ("body_pos", "body_mass", "body_inertia", "geom_friction", "site_pos")
    sensed = {"screw.pos": 0.3, "tcp.pos": 0.1}
    tool_body = "tool"
    speed, lift, turn = 0.7, 0.5, 8.0
    commands = (("m/s", speed), ("m/s", speed), ("m/s", lift), ("rad/s", turn), ("N*m", SPINDLE_TORQUE))

    def build(self) -> mujoco.MjSpec:
        return compose("screw-drive", load_robot(self.robot_name))

    def make_controller(self, engine: Engine) -> Controller:
        return ScaraTwist(
            engine, load_robot(self.robot_name), self.speed, self.lift, self.turn, SPINDLE_TORQUE
        )

    def signals(self) -> tuple[list[tuple[Signal, Derivation]], list[Signal], list[tuple[float, Signal]]]:
        derived: list[tuple[Signal, Derivation]] = [
            *arm(load_robot(self.robot_name)),
            *zones(WORKSPACE),
            (described("part.speed", "m/s"), lambda s: norm(s["part.vel"])),
            (described("spindle.torque.share", "1"), _torque_share),
            (described("screw.clamp.share", "1"), _clamp_share),
            (described("screw.tilt", "rad"), _tilt),
            (described("screw.driven_tilt", "rad"), _driven_tilt),
            (described("bit.press.force", "N"), _press),
            (described("bit.stray.force", "N"), lambda s: norm(s["bit.stray"])),
            (described("bit.slip", "rad/s"), _slip),
        ]
        held = [per_episode("torque.order", "N*m"), per_episode("part.size", "m", (3,))]
        return derived, held, [constant("tcp.speed.limit", "m/s", TCP_SPEED_LIMIT)]

    def place(self, streams: Streams) -> Start:
        n, cell, model, robot = len(streams), self.cell, self.model, load_robot(self.robot_name)
        hole, kind = streams.choice("hole", len(HOLES)), streams.choice("torque.order", len(TORQUES))
        shift = cell.within(streams, "part.xy", "part.shift", (2,))
        yaw = cell.within(streams, "part.yaw", "part.turn")
        turns = streams.between("screw.turns", *cell["screw.turns"])
        q = robot.home + streams.between("arm.q", -1.0, 1.0, (4,)) * np.array([0.15, 0.15, 0.015, 0.3])
        qpos = np.repeat(model.qpos0[None], n, axis=0)
        for i, joint in enumerate(robot.joints):
            qpos[:, model.joint(joint).qposadr[0]] = q[:, i]
        lay(model, qpos, "part", np.column_stack([CASTING + shift, np.full(n, LIES)]), yaw)
        qpos[:, model.joint("depth").qposadr[0]] = PITCH * turns
        qpos[:, model.joint("turn").qposadr[0]] = -2.0 * np.pi * turns
        ctrl = np.zeros((n, model.nu))
        ctrl[:, :4] = q
        fields = {name: np.repeat(getattr(model, name)[None], n, axis=0) for name in self.expanded}
        fields["body_pos"][:, model.body("screw").id, :2] = HOLES[hole]
        fields["site_pos"][:, model.site("seat").id, :2] = HOLES[hole]
        order = TORQUES[kind] * streams.between("torque.scale", *cell["torque.scale"])
        fields["site_pos"][:, model.site("ticket").id, 0] = TICKET * order
        held = {
            "torque.order": order,
            "part.size": np.tile([0.070, 0.055, 0.026], (n, 1)),
        }
        return Start(qpos, ctrl, None, None, fields, held, {})

    observe = {
        "tcp": Term(lambda s: s["tcp.pos"], "m", ("x", "y", "z")),
        "head_from_bit": Term(head_from_bit, "m", ("x", "y", "z")),
        "head_from_bit_30mm": Term(head_from_bit, "m", ("x", "y", "z"), 0.03),
        "head_from_bit_4mm": Term(head_from_bit, "m", ("x", "y", "z"), 0.004),
        "head_gap_30mm": Term(lambda s: norm_xy(head_from_bit(s)), "m", limit=0.03),
        "head_gap_4mm": Term(lambda s: norm_xy(head_from_bit(s)), "m", limit=0.004),
        "left": Term(_left, "m", limit=0.02),
        "left_500um": Term(_left, "m", limit=0.0005),
        "bit_in": Term(lambda s: s["bit.q"], "m", limit=0.02),
        "press": Term(_press, "N", limit=200.0),
        "spindle_speed": Term(lambda s: s["spindle.qd"], "rad/s", limit=100.0),
        "torque_order": Term(lambda s: s["torque.order"], "N*m"),
        "torque_share": Term(_torque_share, "1", limit=4.0),
        "angle_share_fine": Term(_angle_share, "1", limit=2.0),
        "tilt": Term(_tilt, "rad", limit=1.0),
    }

    rewards = {
        "reach": lambda s: 0.02 * near(norm(head_from_bit(s)), 0.10),
        "drive": lambda s: 0.05 * near(np.maximum(_left(s), 0.0), 0.003),
        "tighten": lambda s: 0.05 * np.minimum(_clamp_share(s), 1.0),
        "time": lambda s: np.full(s.lead, -0.10),
        "smooth": lambda s: -0.01 * s["action.rate"],
        "torque": lambda s: -0.5 * ramp(_torque_share(s), 1.1, 1.3),
    }

    def success(self, s: Lookup) -> NDArray[np.bool_]:
        clear = (_press(s) <= 0.0) & (head_from_bit(s)[:, 2] < -0.008)
        clamped = np.abs(_clamp_share(s) - 1.0) < 0.2
        return np.asarray(clear & clamped & (_tilt(s) < 0.03) & (np.abs(s["screw.qd"]) < 0.1))

    def failed(self, s: Lookup) -> NDArray[np.int64]:
        crossed = _driven_tilt(s) > CROSSED
        stripped = _clamp_share(s) > STRIPPED
        code = np.where(crossed, len(COMMON_REASONS), 0)
        return np.where(stripped, len(COMMON_REASONS) + 1, code)

    def cost(self, s: Signals) -> Array:
        outside = s["workspace.margin"] < 0.0
        torn = s["spindle.torque.share"] > 1.25
        return np.asarray((outside | torn).any(axis=1).astype(float))

    def care(self, observation: NDArray[np.float32]) -> Array:
        seen = self.split(observation)
        close = (seen["head_gap_30mm"] < 0.006) & (np.abs(seen["head_from_bit"][:, 2]) < 0.015)
        return np.where(close, 2.0, 1.0)  # m: where the bit meets the head

    def expert(self, observation: NDArray[np.float32]) -> Array:
        return self.commanded(expert.act(self.split(observation)))
