"""handover: a UR5e takes a hand tool off its rack and gives it, handle first, into a worker's open hand, which is never quite still.

The hand holds what touches its palm; the robot lets go when it is held. This is contact that is meant: limits are on force, speed beside the
hand, and how long the robot holds on.
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
from ..derived import arm, constant, part, per_episode, zones
from ..engine import Engine
from ..experts import handover as expert
from ..fingers import fingers, grip_angle, part_from_tcp
from ..goods import lay
from ..robots import load_robot
from ..signals import Array, Derivation, Lookup, Signal, Signals, once
from ..streams import Streams
from ..task import COMMON_REASONS, Start, Task, Term
from ..terms import minimum_jerk, near, norm, norm_xy, ramp, rotated, wrap, yaw_of
from ..vocabulary import described

if TYPE_CHECKING:
    import mujoco

    from ..control import Controller

RACK, BENCH_TOP, HALF_HEIGHT, GRASP = np.array([0.42, -0.40]), -0.10, 0.016, 0.007  # m
HANDLE_END, PALM = (
    0.130,
    0.034,
)  # m: from the tool's collar to its handle's end; from the hand's middle to its palm
START_Q = np.array([0.0, -1.9, 2.1, -1.7707963267948966, -1.5707963267948966, 1.5707963267948966])
WORKSPACE = (np.array([0.10, -0.70, -0.098]), np.array([0.80, 0.55, 0.75]))
REST = np.array([1.12, 0.10, 0.02])
TCP_SPEED_LIMIT, GRIP_FORCE_LIMIT = 0.75, 90.0  # m/s, N
GRIP_FORCE = 30.0  # N


@once
def _grasp_from_tcp(s: Lookup) -> Array:
    off = part_from_tcp(s)
    return np.stack([off[..., 0], off[..., 1], off[..., 2] + GRASP], axis=-1)


@once
def _goal_from_part(s: Lookup) -> Array:
    """From the tool's collar to where it is when its handle meets the palm."""
    off = s["worker.hand.pos"] - s["part.pos"]
    return np.stack([off[..., 0] - (HANDLE_END + PALM), off[..., 1], off[..., 2]], axis=-1)


@once
def _grip_yaw(s: Lookup) -> Array:
    return wrap(yaw_of(s["part.quat"]) + np.pi / 2 - grip_angle(s), np.pi)


@once
def _place_yaw(s: Lookup) -> Array:
    return wrap(-yaw_of(s["part.quat"]))


@once
def _hand_from_tcp(s: Lookup) -> Array:
    return s["worker.hand.pos"] - s["tcp.pos"]


@once
def _handle_off(s: Lookup) -> Array:
    """From the palm to the end of the tool's handle, `(..., 3)` m."""
    handle = np.broadcast_to(np.array([HANDLE_END, 0.0, 0.0]), s["part.pos"].shape)
    end = s["part.pos"] + rotated(s["part.quat"], handle)
    return np.asarray(end - (s["worker.hand.pos"] - np.array([PALM, 0.0, 0.0])))


def _held_out(s: Lookup) -> Array:
    """1 once the hand is out and slow, 0 while it comes."""
    return 1.0 - ramp(norm(s["worker.hand.vel"]), 0.10, 0.20)


def _touched(s: Lookup) -> Array:
    return np.asarray(norm(s["worker.touched"].reshape(*s.lead, 3, 3)).max(axis=-1))


class Handover(Task):
    """Giving a tool."""

    id, version = "handover", "1"
    title = ("Give a tool into a worker's hand", "作業者の手に工具を渡す")
    robot_name = "ur5e-2f85"
    takt_s, horizon_s = 10.0, 15.0
    action_names = ("vx", "vy", "vz", "yaw_rate", "gripper")
    failures = ("dropped",)
    expanded = ("body_mass", "body_inertia", "geom_friction")
    sensed = {"part.pos": 1.0, "worker.hand.pos": 2.0, "tcp.pos": 0.2}
    tool_body = "2f85/palm"
    speed, turn = 0.65, 2.0
    commands = (("m/s", speed), ("m/s", speed), ("m/s", speed), ("rad/s", turn), ("N", GRIP_FORCE))

    def build(self) -> mujoco.MjSpec:
        return compose("handover", load_robot(self.robot_name))

    def make_controller(self, engine: Engine) -> Controller:
        robot = load_robot(self.robot_name)
        return CartesianTwist(engine, robot, START_Q, self.speed, self.turn, robot.tool_body, GRIP_FORCE)

    def signals(self) -> tuple[list[tuple[Signal, Derivation]], list[Signal], list[tuple[float, Signal]]]:
        derived: list[tuple[Signal, Derivation]] = [
            *arm(load_robot(self.robot_name)),
            *fingers(),
            *part("grip.force"),
            *zones(WORKSPACE),
            *separation.derived(described),
            (described("handed.force", "N"), lambda s: norm(s["handed.contact"])),
            (described("blade.force", "N"), lambda s: norm(s["blade.contact"])),
            (described("worker.touched.force", "N"), _touched),
        ]
        held = [per_episode("hand.sway", "m"), per_episode("part.size", "m", (3,))]
        constants = [
            constant("tcp.speed.limit", "m/s", TCP_SPEED_LIMIT),
            constant("grip.force.limit", "N", GRIP_FORCE_LIMIT),
        ]
        return derived, held, constants

    def place(self, streams: Streams) -> Start:
        n, cell, model, robot = len(streams), self.cell, self.model, load_robot(self.robot_name)
        xy = RACK + cell.within(streams, "part.xy", "part.spread", (2,))
        yaw = cell.within(streams, "part.yaw", "part.turn")
        q = START_Q + streams.between("arm.q", -0.06, 0.06, (6,))
        hand = self._hand(streams)
        qpos = np.repeat(model.qpos0[None], n, axis=0)
        for i, joint in enumerate(robot.joints):
            qpos[:, model.joint(joint).qposadr[0]] = q[:, i]
        for joint in robot.gripper.joints:
            qpos[:, model.joint(joint).qposadr[0]] = 0.040
        first = int(model.joint("worker_x").qposadr[0])
        qpos[:, first : first + 3] = hand["rest"]
        lay(model, qpos, "part", np.column_stack([xy, np.full(n, BENCH_TOP + HALF_HEIGHT + 0.0005)]), yaw)
        ctrl = np.zeros((n, model.nu))
        ctrl[:, :6] = q
        ctrl[:, model.actuator(robot.gripper.actuator).id] = GRIP_FORCE
        ctrl[:, self.worker_first : self.worker_first + 3] = hand["rest"]
        fields = {name: np.repeat(getattr(model, name)[None], n, axis=0) for name in self.expanded}
        scale = streams.between("part.mass", *cell["part.mass.scale"])
        owner = model.body("part").id
        fields["body_mass"][:, owner] *= scale
        fields["body_inertia"][:, owner] *= scale[:, None]
        return Start(
            qpos,
            ctrl,
            None,
            None,
            fields,
            {"hand.sway": hand["sway"], "part.size": np.tile([0.130, 0.015, HALF_HEIGHT], (n, 1))},
            hand,
        )

    def _hand(self, streams: Streams) -> dict[str, Array]:
        """When the hand is held out (s), where (m), and how it sways there (m, rad/s, rad)."""
        n, cell = len(streams), self.cell
        point = np.column_stack(
            [
                streams.between("hand.x", *cell["hand.x"]),
                streams.between("hand.y", *cell["hand.y"]),
                streams.between("hand.z", *cell["hand.z"]),
            ]
        )
        rest = np.repeat(REST[None], n, axis=0)
        rest[:, 1] = point[:, 1]
        return {
            "start": streams.between("hand.start", *cell["hand.start"]),
            "out": streams.between("hand.out", *cell["hand.out"]),
            "point": point,
            "rest": rest,
            "sway": streams.between("hand.sway", *cell["hand.sway"]),
            "pace": streams.between("hand.pace", 1.5, 3.0, (3,)),
            "phase": streams.between("hand.phase", 0.0, 2.0 * np.pi, (3,)),
        }

    def drive(self, times: Array, memory: Mapping[str, Array]) -> Mapping[int, Array]:
        share = minimum_jerk((times - memory["start"][:, None]) / memory["out"][:, None])
        rest, point = memory["rest"], memory["point"]
        sway = memory["sway"][:, None] * share
        targets = {
            self.worker_first + i: rest[:, i : i + 1]
            + share * (point[:, i : i + 1] - rest[:, i : i + 1])
            + sway * np.sin(memory["pace"][:, i : i + 1] * times + memory["phase"][:, i : i + 1])
            for i in range(3)
        }
        return {**targets, self.worker_first + 3: np.ones_like(times)}

    @cached_property
    def worker_first(self) -> int:
        """The first of the three actuators that move the worker's hand; the one after them closes it."""
        return int(self.model.actuator("worker_x").id)

    observe = {
        "tcp": Term(lambda s: s["tcp.pos"], "m", ("x", "y", "z")),
        "part_from_tcp": Term(_grasp_from_tcp, "m", ("x", "y", "z")),
        "part_from_tcp_30mm": Term(_grasp_from_tcp, "m", ("x", "y", "z"), 0.03),
        "part_from_tcp_8mm": Term(_grasp_from_tcp, "m", ("x", "y", "z"), 0.008),
        "goal_from_part": Term(_goal_from_part, "m", ("x", "y", "z")),
        "goal_from_part_60mm": Term(_goal_from_part, "m", ("x", "y", "z"), 0.06),
        "goal_from_part_20mm": Term(_goal_from_part, "m", ("x", "y", "z"), 0.02),
        "part_gap_30mm": Term(lambda s: norm_xy(_grasp_from_tcp(s)), "m", limit=0.03),
        "part_gap_8mm": Term(lambda s: norm_xy(_grasp_from_tcp(s)), "m", limit=0.008),
        "grip_yaw": Term(_grip_yaw, "rad"),
        "grip_yaw_fine": Term(_grip_yaw, "rad", limit=0.1),
        "place_yaw": Term(_place_yaw, "rad"),
        "place_yaw_fine": Term(_place_yaw, "rad", limit=0.1),
        "gripper_width": Term(lambda s: s["gripper.width"], "m"),
        "grip_force": Term(lambda s: s["grip.force"], "N", limit=20.0),
        "handed": Term(lambda s: s["handed.contacts"], "1"),
        "hand_from_tcp": Term(_hand_from_tcp, "m", ("x", "y", "z"), 0.8),
        "hand_velocity": Term(lambda s: s["worker.hand.vel"], "m/s", ("x", "y", "z"), 1.0),
        "hand_still": Term(_held_out, "1"),
        "worker_distance": Term(lambda s: np.maximum(s["worker.distance"], 0.0), "m", limit=0.6),
        "worker_distance_20cm": Term(lambda s: np.maximum(s["worker.distance"], 0.0), "m", limit=0.2),
    }

    rewards = {
        "reach": lambda s: 0.02 * near(norm(_grasp_from_tcp(s)), 0.10),
        "carry": lambda s: 0.04 * near(norm(_goal_from_part(s)), 0.20),
        "time": lambda s: np.full(s.lead, -0.10),
        "smooth": lambda s: -0.01 * s["action.rate"],
        "gentle": lambda s: -1.0 * ramp(s["handed.force"], 60.0, 140.0),
    }

    def success(self, s: Lookup) -> NDArray[np.bool_]:
        off = _handle_off(s)
        by_its_handle = (np.abs(off[:, 0]) < 0.028) & (np.hypot(off[:, 1], off[:, 2]) < 0.048)
        held = (s["handed.contacts"] >= 2.0) & (s["grip.force.max"] <= 0.0)
        return np.asarray(held & by_its_handle & (norm(_hand_from_tcp(s)) > 0.26))

    def failed(self, s: Lookup) -> NDArray[np.int64]:
        at = s["part.pos"]
        free = (s["grip.force.max"] <= 0.0) & (s["handed.contacts"] <= 0.0)
        on_bench = (np.abs(at[:, :2] - np.array([0.42, -0.46])) < np.array([0.27, 0.25])).all(axis=1)
        return np.where((at[:, 2] < -0.25) | (free & ~on_bench & (at[:, 2] < -0.05)), len(COMMON_REASONS), 0)

    def cost(self, s: Signals) -> Array:
        outside = s["workspace.margin"] < 0.0
        hurt = (s["worker.touched.force"] > 0.0) | (s["handed.force"] > 140.0) | (s["blade.force"] > 0.0)
        return np.asarray((outside | hurt).any(axis=1).astype(float))

    def in_path(self, s: Lookup) -> NDArray[np.bool_]:
        return np.asarray((s["worker.distance"] < 0.20) & (s["tcp.speed"] > 0.02))

    def care(self, observation: NDArray[np.float32]) -> Array:
        near_hand = observation[:, self.columns["worker_distance"]][:, 0] < 0.2  # m
        return np.where(near_hand, 3.0, 1.0)

    def expert(self, observation: NDArray[np.float32]) -> Array:
        return self.commanded(expert.act(self.split(observation), GRIP_FORCE))
