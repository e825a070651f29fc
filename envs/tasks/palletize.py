"""palletize: a UR5e takes cases off an in-feed belt and stacks them on a pallet, four to a layer, three layers.

An episode is one case: the layers below stand, and so do the cases that come before it in its own layer. Nobody works in this cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..cell import compose
from ..control import CartesianTwist
from ..derived import arm, constant, part, per_episode, zones
from ..engine import Engine
from ..experts import palletize as expert
from ..fingers import goal_from_part
from ..goods import lay, yaw_quat
from ..robots import load_robot
from ..signals import Array, Derivation, Lookup, Signal, Signals, once
from ..streams import Streams
from ..task import COMMON_REASONS, Start, Task, Term
from ..terms import near, norm, norm_xy, ramp, wrap, yaw_of
from ..vocabulary import described

if TYPE_CHECKING:
    import mujoco

    from ..control import Controller

HALF = np.array([0.12, 0.08, 0.06])  # m
LAYERS, SLOTS = 3, np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])  # far ones first
PALLET, PALLET_TOP = np.array([0.42, 0.36]), -0.42
BELT_X, BELT_TOP, STOP_Y = 0.45, -0.25, -0.30
SPARE = np.array([[-0.85, 0.62, -0.74], [-0.55, 0.62, -0.74], [-0.25, 0.62, -0.74]])
CLEAR = 0.05  # m that a carried case passes above what stands
OVER_BELT = BELT_TOP + 2.0 * HALF[2] + 0.06  # m: above the rails and the stop with a case
WORKSPACE = (np.array([0.10, -0.80, -0.32]), np.array([0.85, 0.70, 0.60]))
TCP_SPEED_LIMIT, GRIP_FORCE_LIMIT, PUSH_LIMIT = 1.0, 450.0, 40.0  # m/s, N, N
FRICTION = 0.5  # of a case on a case, as the cell declares it
CUP_FULL, SPRING_MOST = 4.0, 45.0  # lip points; N, more than the sprung cups press


@once
def _part_from_cup(s: Lookup) -> Array:
    """From the tool point to the middle of the case's upper face, `(..., 3)`."""
    top = s["part.pos"] - s["tcp.pos"]
    return np.stack([top[..., 0], top[..., 1], top[..., 2] + HALF[2]], axis=-1)


@once
def _grip_yaw(s: Lookup) -> Array:
    """How far the tool must turn to lie along the case; its halves look the same."""
    return wrap(yaw_of(s["part.quat"]) - yaw_of(s["tcp.quat"]), np.pi)


@once
def _place_yaw(s: Lookup) -> Array:
    """How far the case must still turn, in [-pi/4, 3/4 pi): cases come a quarter turn off and always turn the same way."""
    return wrap(yaw_of(s["target.quat"]) - yaw_of(s["part.quat"]) - np.pi / 4, np.pi) + np.pi / 4


@once
def _way_left(s: Lookup) -> Array:
    """From the case's front to the stop, in m."""
    yaw = yaw_of(s["part.quat"])
    front = s["part.pos"][..., 1] + HALF[0] * np.abs(np.sin(yaw)) + HALF[1] * np.abs(np.cos(yaw))
    return np.asarray(STOP_Y - front)


@once
def _carry_from_tcp(s: Lookup) -> Array:
    return s["carry.height"] - s["tcp.pos"][..., 2]


def _held(s: Lookup) -> Array:
    held = (s["vacuum.contacts"] >= CUP_FULL) & (np.abs(s["vacuum.force"][..., 2]) > SPRING_MOST)
    return np.asarray(held.astype(float))


def _shifted(s: Lookup) -> Array:
    moved = (s["others.pos"] - s["others.start"]).reshape(*s.lead, 3, 3)
    return np.asarray(norm(moved).max(axis=-1))


def _pushed(s: Lookup) -> Array:
    """On the cases of its own layer the whole force; on pallet and layers, upon which the case is set down, what pushes sideways by more than its
    friction on top of them can."""
    beside, below = norm(s["stack.contact"].reshape(*s.lead, 3, 3)).max(axis=-1), s["stack.below"]
    return np.asarray(np.maximum(beside, norm_xy(below) - FRICTION * np.abs(below[..., 2])))


class Palletize(Task):
    """Stacking cases."""

    id, version = "palletize", "1"
    title = ("Stack cases from a belt onto a pallet", "ベルトの箱をパレットに積む")
    robot_name = "ur5e-vacuum"
    takt_s, horizon_s = 10.0, 16.0
    action_names = ("vx", "vy", "vz", "yaw_rate", "vacuum")
    failures = ("dropped", "misplaced", "stack-disturbed")
    damaging = ("dropped",)
    expanded = ("geom_pos", "geom_surfacevel", "geom_friction", "body_pos", "body_mass", "body_inertia")
    sensed = {"part.pos": 2.0, "tcp.pos": 0.2}
    tool_body = "pad"
    speed, turn = 0.9, 3.0
    commands = (("m/s", speed), ("m/s", speed), ("m/s", speed), ("rad/s", turn), ("1", 1.0))

    def build(self) -> mujoco.MjSpec:
        return compose("palletize", load_robot(self.robot_name))

    def make_controller(self, engine: Engine) -> Controller:
        robot = load_robot(self.robot_name)
        return CartesianTwist(engine, robot, robot.home, self.speed, self.turn, "pad")

    def signals(self) -> tuple[list[tuple[Signal, Derivation]], list[Signal], list[tuple[float, Signal]]]:
        derived: list[tuple[Signal, Derivation]] = [
            *arm(load_robot(self.robot_name)),
            (described("vacuum.held", "1"), _held),
            (described("grip.force.max", "N"), lambda s: norm(s["vacuum.force"])),
            *part("vacuum.held"),
            *zones(WORKSPACE),
            (described("stack.shift", "m"), _shifted),
            (described("stack.force", "N"), _pushed),
        ]
        held = [
            per_episode("belt.speed", "m/s"),
            per_episode("carry.height", "m"),
            per_episode("part.size", "m", (3,)),
            per_episode("others.start", "m", (9,)),
        ]
        constants = [
            constant("tcp.speed.limit", "m/s", TCP_SPEED_LIMIT),
            constant("grip.force.limit", "N", GRIP_FORCE_LIMIT),
        ]
        return derived, held, constants

    def place(self, streams: Streams) -> Start:
        n, cell, model, robot = len(streams), self.cell, self.model, load_robot(self.robot_name)
        layer, slot = streams.choice("layer", LAYERS), streams.choice("slot", len(SLOTS))
        speed = streams.between("belt.speed", *cell["belt.speed"])
        pallet = PALLET + cell.within(streams, "pallet.shift", "pallet.shift", (2,))
        error = cell.within(streams, "stack.error", "stack.error", (3, 2))
        slots = 0.5 * streams.between("pattern.gap", *cell["pattern.gap"])[:, None, None] + HALF[:2]
        slots = slots * SLOTS
        q = robot.home + streams.between("arm.q", -0.06, 0.06, (6,))
        turn = cell.within(streams, "case.turn", "case.turn")
        across = cell.within(streams, "case.x", "case.across")
        way = streams.between("case.way", *cell["case.way"])
        reach = HALF[0] * np.abs(np.cos(turn)) + HALF[1] * np.abs(
            np.sin(turn)
        )  # the long side lies along the belt
        at = np.column_stack(
            [BELT_X + across, STOP_Y - reach - 0.004 - way, np.full(n, BELT_TOP + HALF[2] + 0.0005)]
        )
        qpos = np.repeat(model.qpos0[None], n, axis=0)
        for i, joint in enumerate(robot.joints):
            qpos[:, model.joint(joint).qposadr[0]] = q[:, i]
        lay(model, qpos, "part", at, np.pi / 2 + turn)
        height = PALLET_TOP + 2.0 * HALF[2] * layer
        others = np.empty((n, 3, 3))
        for i in range(3):
            stood = np.column_stack([pallet + slots[:, i] + error[:, i], height + HALF[2] + 0.0002])
            others[:, i] = np.where((i < slot)[:, None], stood, SPARE[i])
            lay(model, qpos, f"other_{i + 1}", others[:, i], np.zeros(n))
        ctrl = np.zeros((n, model.nu))
        ctrl[:, :6] = q
        scale = streams.between("case.mass", *cell["case.mass"]) / 3.0  # the model's cases weigh 3 kg
        fields = self._fields(pallet, slots, layer, speed, scale)
        goal = np.column_stack([pallet + slots[np.arange(n), slot], height + HALF[2]])[:, None]
        carry = np.maximum(height + 4.0 * HALF[2] + CLEAR, OVER_BELT + 2.0 * HALF[2])
        held = {
            "belt.speed": speed,
            "carry.height": carry,
            "part.size": np.tile(HALF, (n, 1)),
            "others.start": others.reshape(n, 9),
        }
        return Start(qpos, ctrl, goal, yaw_quat(np.zeros(n))[:, None], fields, held, {})

    def _fields(
        self, pallet: Array, slots: Array, layer: NDArray[np.int64], speed: Array, scale: Array
    ) -> dict[str, Array]:
        """The belt's speed, the mass of the case, the pallet's place and the layers that stand on it (the others lie under the floor)."""
        model, n = self.model, len(speed)
        fields = {name: np.repeat(getattr(model, name)[None], n, axis=0) for name in self.expanded}
        fields["geom_surfacevel"][:, model.geom("belt").id, 1] = speed
        owner = model.body("part").id
        fields["body_mass"][:, owner] *= scale
        fields["body_inertia"][:, owner] *= scale[:, None]
        fields["body_pos"][:, model.body("pallet").id, :2] = pallet
        for i in range(LAYERS - 1):
            for j in range(len(SLOTS)):
                geom = model.geom(f"layer_{i + 1}_{j + 1}").id
                fields["geom_pos"][:, geom, :2] = slots[:, j]
                fields["geom_pos"][:, geom, 2] -= np.where(layer > i, 0.0, 3.0)
        return fields

    observe = {
        "tcp": Term(lambda s: s["tcp.pos"], "m", ("x", "y", "z")),
        "part_from_cup": Term(_part_from_cup, "m", ("x", "y", "z")),
        "part_from_cup_60mm": Term(_part_from_cup, "m", ("x", "y", "z"), 0.06),
        "part_from_cup_15mm": Term(_part_from_cup, "m", ("x", "y", "z"), 0.015),
        "goal_from_part": Term(goal_from_part, "m", ("x", "y", "z")),
        "goal_from_part_60mm": Term(goal_from_part, "m", ("x", "y", "z"), 0.06),
        "goal_from_part_15mm": Term(goal_from_part, "m", ("x", "y", "z"), 0.015),
        "part_gap_60mm": Term(lambda s: norm_xy(_part_from_cup(s)), "m", limit=0.06),
        "goal_gap_60mm": Term(lambda s: norm_xy(goal_from_part(s)), "m", limit=0.06),
        "goal_gap_15mm": Term(lambda s: norm_xy(goal_from_part(s)), "m", limit=0.015),
        "carry_from_tcp": Term(_carry_from_tcp, "m"),
        "carry_from_tcp_80mm": Term(_carry_from_tcp, "m", limit=0.08),
        "clear": Term(lambda s: 1.0 - ramp(_carry_from_tcp(s), 0.03, 0.10), "1"),
        "grip_yaw": Term(_grip_yaw, "rad"),
        "grip_yaw_fine": Term(_grip_yaw, "rad", limit=0.1),
        "place_yaw": Term(_place_yaw, "rad"),
        "place_yaw_fine": Term(_place_yaw, "rad", limit=0.1),
        "way_left": Term(_way_left, "m"),
        "way_left_60mm": Term(_way_left, "m", limit=0.06),
        "vacuum_held": Term(lambda s: s["vacuum.held"], "1"),
        "vacuum_force": Term(lambda s: s["grip.force.max"], "N", limit=60.0),
        "plunger": Term(lambda s: s["plunger.q"], "m"),
    }

    rewards = {
        "reach": lambda s: 0.02 * near(norm(_part_from_cup(s)), 0.10) * (1.0 - s["vacuum.held"]),
        "carry": lambda s: 0.04 * near(norm(goal_from_part(s)), 0.20),
        "time": lambda s: np.full(s.lead, -0.10),
        "smooth": lambda s: -0.01 * s["action.rate"],
        "stack": lambda s: -0.5 * ramp(s["stack.force"], 0.5 * PUSH_LIMIT, PUSH_LIMIT),
    }

    def success(self, s: Lookup) -> NDArray[np.bool_]:
        off = goal_from_part(s)
        placed = (norm_xy(off) < 0.012) & (np.abs(off[:, 2]) < 0.006) & (np.abs(_place_yaw(s)) < 0.05)
        free = s["vacuum.contacts"] <= 0.0
        return np.asarray(placed & free & (s["part.speed"] < 0.02) & (s["stack.shift"] < 0.010))

    def failed(self, s: Lookup) -> NDArray[np.int64]:
        at, free = s["part.pos"], s["vacuum.contacts"] <= 0.0
        still = s["part.speed"] < 0.02
        off = goal_from_part(s)
        on_belt = (np.abs(at[:, 0] - BELT_X) < 0.16) & (at[:, 1] < STOP_Y) & (at[:, 2] > BELT_TOP)
        on_stack = (norm_xy(off) < 0.30) & (at[:, 2] > PALLET_TOP)
        code = np.where(free & still & on_stack & (norm(off) > 0.03), len(COMMON_REASONS) + 1, 0)
        code = np.where(s["stack.shift"] > 0.020, len(COMMON_REASONS) + 2, code)
        return np.where(free & still & ~on_belt & ~on_stack, len(COMMON_REASONS), code)

    def cost(self, s: Signals) -> Array:
        outside = s["workspace.margin"] < 0.0
        pushed = s["stack.force"] > PUSH_LIMIT
        return np.asarray((outside | pushed).any(axis=1).astype(float))

    def care(self, observation: NDArray[np.float32]) -> Array:
        goal = observation[:, self.columns["goal_from_part"]]
        near = (np.abs(goal[:, :2]).max(axis=1) < 0.04) & (goal[:, 2] > -0.15)  # m
        return np.where(near, 3.0, 1.0)

    def expert(self, observation: NDArray[np.float32]) -> Array:
        return self.commanded(expert.act(self.split(observation)))
