"""peg-insert: an FR3 takes a standing peg, round or square, and puts it into a bevelled hole that is not quite where the cell says.

What is felt at the wrist and the force that the job allows are part of the observation. No worker is in this cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..cell import compose
from ..control import CartesianTwist
from ..derived import arm, constant, part, per_episode, zones
from ..engine import Engine
from ..experts import peg_insert as expert
from ..fingers import fingers, goal_from_part, grip_angle, part_from_tcp
from ..goods import BOX, CYLINDER, FIELDS, Good, Goods, lay, yaw_quat
from ..robots import load_robot
from ..signals import Array, Derivation, Lookup, Signal, Signals, once
from ..streams import Streams
from ..task import COMMON_REASONS, Start, Task, Term
from ..terms import near, norm, norm_xy, ramp, rotated, up_of, wrap, yaw_of
from ..vocabulary import described

if TYPE_CHECKING:
    import mujoco

    from ..control import Controller

HAND_MASS, PEG_MASS, GRAVITY = 0.7126, 0.12, 9.81  # kg, kg, m/s^2
HALF_HEIGHT, GRASP = 0.040, 0.015  # m; a peg is gripped this far above its middle
GOODS = Goods(
    (
        Good("round", (0.012, 0.012, HALF_HEIGHT), PEG_MASS, CYLINDER),
        Good("square", (0.011, 0.011, HALF_HEIGHT), PEG_MASS, BOX),
    )
)
PLATE, PLATE_TOP = np.array([0.46, -0.25]), 0.006
BLOCK, FLOOR, FACE, REACH = np.array([0.46, 0.22]), 0.010, 0.040, 0.052  # m; REACH is half the block's width
WALLS, BEVEL = 8, 0.002
START_Q = np.array([0.0, 0.0, 0.0, -2.2, 0.0, 2.2, 0.785])
GRIP_ANGLE = -np.pi / 2
WORKSPACE = (np.array([0.20, -0.50, 0.006]), np.array([0.78, 0.50, 0.70]))
TCP_SPEED_LIMIT, GRIP_FORCE_LIMIT, OVERLOAD = 0.55, 100.0, 100.0  # m/s, N, N
GRIP_FORCE = 40.0


@once
def _grasp_from_tcp(s: Lookup) -> Array:
    off = part_from_tcp(s)
    return np.stack([off[..., 0], off[..., 1], off[..., 2] + GRASP], axis=-1)


@once
def _felt(s: Lookup) -> Array:
    """`(..., 3)` N: what pushes hand and peg, as the wrist feels it, their weight taken off."""
    carried = HAND_MASS + PEG_MASS * (s["grip.force"] > 1.0)
    held = -rotated(s["tcp.quat"], s["wrist.force"])
    return np.stack([held[..., 0], held[..., 1], held[..., 2] + GRAVITY * carried], axis=-1)


@once
def _push(s: Lookup) -> Array:
    """`(..., 3)`: what the wrist feels, as a share of what the job allows."""
    return np.asarray(_felt(s) / np.maximum(s["insert.force.limit"], 1.0)[..., None])


@once
def _grip_yaw(s: Lookup) -> Array:
    """Round pegs are gripped from any side, square ones from one of four."""
    return np.where(
        s["part.shape"][..., 0] > 0.5, 0.0, wrap(yaw_of(s["part.quat"]) - grip_angle(s), np.pi / 2)
    )


@once
def _yaw_error(s: Lookup) -> Array:
    turned = wrap(yaw_of(s["target.quat"]) - yaw_of(s["part.quat"]), np.pi / 2)
    return np.where(s["part.shape"][..., 0] > 0.5, 0.0, turned)


@once
def _place_yaw(s: Lookup) -> Array:
    """The turn that fits the peg to the hole and brings the wrist back to its middle."""
    error, hand = _yaw_error(s), wrap(grip_angle(s) - GRIP_ANGLE)
    quarter = np.pi / 2
    return np.where(s["part.shape"][..., 0] > 0.5, 0.0, error - quarter * np.rint((hand + error) / quarter))


@once
def _hole_from_part(s: Lookup) -> Array:
    """From the peg's middle to where it will be, were the hole where the cell says."""
    off = goal_from_part(s)
    return np.stack(
        [off[..., 0] - s["hole.error"][..., 0], off[..., 1] - s["hole.error"][..., 1], off[..., 2]], axis=-1
    )


class PegInsert(Task):
    """Assembly by feel."""

    id, version = "peg-insert", "1"
    title = ("Put a peg into a hole by feel", "力覚を使って穴にペグを挿入する")
    robot_name = "fr3"
    takt_s, horizon_s = 8.0, 12.0
    action_names = ("vx", "vy", "vz", "yaw_rate", "gripper")
    failures = ("dropped", "overloaded")
    damaging = ("overloaded",)
    expanded = (*FIELDS, "geom_pos", "geom_quat", "body_pos", "body_quat")
    sensed = {"part.pos": 1.0, "tcp.pos": 0.2}
    tool_body = "hand"
    speed, turn = 0.5, 2.0
    commands = (("m/s", speed), ("m/s", speed), ("m/s", speed), ("rad/s", turn), ("N", GRIP_FORCE))

    def build(self) -> mujoco.MjSpec:
        return compose("peg-insert", load_robot(self.robot_name))

    def make_controller(self, engine: Engine) -> Controller:
        return CartesianTwist(engine, load_robot("fr3"), START_Q, self.speed, self.turn, "hand", GRIP_FORCE)

    def signals(self) -> tuple[list[tuple[Signal, Derivation]], list[Signal], list[tuple[float, Signal]]]:
        derived: list[tuple[Signal, Derivation]] = [
            *arm(load_robot(self.robot_name)),
            *fingers(),
            *part("grip.force"),
            *zones(WORKSPACE),
            (described("insert.force", "N"), lambda s: norm(s["insert.contact"])),
            (described("insert.depth", "m"), lambda s: FACE + HALF_HEIGHT - s["part.pos"][..., 2]),
        ]
        held = [
            per_episode("part.shape", "1", (2,)),
            per_episode("part.size", "m", (3,)),
            per_episode("hole.error", "m", (2,)),
            per_episode("insert.force.limit", "N"),
        ]
        constants = [
            constant("tcp.speed.limit", "m/s", TCP_SPEED_LIMIT),
            constant("grip.force.limit", "N", GRIP_FORCE_LIMIT),
        ]
        return derived, held, constants

    def place(self, streams: Streams) -> Start:
        n, cell, model = len(streams), self.cell, self.model
        kind = streams.choice("part.shape", len(GOODS.kinds))
        half = GOODS.half[kind]
        xy = PLATE + cell.within(streams, "part.xy", "part.spread", (2,))
        yaw = streams.between("part.yaw", -np.pi / 4, np.pi / 4)
        q = START_Q + streams.between("arm.q", -0.08, 0.08, (7,)) * np.array([1.5, 1, 1, 1, 1, 1, 2])
        error = cell.within(streams, "hole.error", "hole.error", (2,))
        block = BLOCK + error + cell.within(streams, "block.shift", "block.shift", (2,))
        turn = cell.within(streams, "hole.turn", "hole.turn")
        qpos = np.repeat(model.qpos0[None], n, axis=0)
        for first, value in (("fr3_joint1", q), ("finger_joint1", np.full((n, 2), 0.038))):
            at = int(model.joint(first).qposadr[0])
            qpos[:, at : at + value.shape[1]] = value
        lay(model, qpos, "part", np.column_stack([xy, PLATE_TOP + half[:, 2] + 0.0005]), yaw)
        ctrl = np.zeros((n, model.nu))
        ctrl[:, :7], ctrl[:, 7] = q, GRIP_FORCE
        fields = {name: np.repeat(getattr(model, name)[None], n, axis=0) for name in self.expanded}
        GOODS.shape(model, fields, "part", kind)
        GOODS.weigh(model, fields, "part", streams.between("part.mass", *cell["part.mass.scale"]))
        gap = streams.between("clearance", *cell["clearance"])
        _bore(model, fields, half[:, 0] + gap, GOODS.round[kind])
        body = model.body("block").id
        fields["body_pos"][:, body, :2], fields["body_quat"][:, body] = block, yaw_quat(turn)
        goal = np.column_stack([block, np.full(n, FLOOR + HALF_HEIGHT)])[:, None]
        held = {
            "part.shape": np.eye(2)[kind],
            "part.size": half,
            "hole.error": error,
            "insert.force.limit": streams.between("force.limit", *cell["force.limit"]),
        }
        return Start(qpos, ctrl, goal, yaw_quat(turn)[:, None], fields, held, {})

    observe = {
        "tcp": Term(lambda s: s["tcp.pos"], "m", ("x", "y", "z")),
        "part_from_tcp": Term(_grasp_from_tcp, "m", ("x", "y", "z")),
        "part_from_tcp_30mm": Term(_grasp_from_tcp, "m", ("x", "y", "z"), 0.03),
        "part_from_tcp_8mm": Term(_grasp_from_tcp, "m", ("x", "y", "z"), 0.008),
        "goal_from_part": Term(_hole_from_part, "m", ("x", "y", "z")),
        "goal_from_part_30mm": Term(_hole_from_part, "m", ("x", "y", "z"), 0.03),
        "goal_from_part_8mm": Term(_hole_from_part, "m", ("x", "y", "z"), 0.008),
        "goal_from_part_4mm": Term(_hole_from_part, "m", ("x", "y", "z"), 0.004),
        "part_gap_30mm": Term(lambda s: norm_xy(part_from_tcp(s)), "m", limit=0.03),
        "part_gap_8mm": Term(lambda s: norm_xy(part_from_tcp(s)), "m", limit=0.008),
        "goal_gap_30mm": Term(lambda s: norm_xy(_hole_from_part(s)), "m", limit=0.03),
        "goal_gap_8mm": Term(lambda s: norm_xy(_hole_from_part(s)), "m", limit=0.008),
        "insert_depth_30mm": Term(lambda s: s["insert.depth"], "m", limit=0.03),
        "insert_depth_8mm": Term(lambda s: s["insert.depth"], "m", limit=0.008),
        "grip_yaw": Term(_grip_yaw, "rad"),
        "grip_yaw_fine": Term(_grip_yaw, "rad", limit=0.1),
        "place_yaw": Term(_place_yaw, "rad"),
        "place_yaw_fine": Term(_place_yaw, "rad", limit=0.1),
        "gripper_width": Term(lambda s: s["gripper.width"], "m"),
        "grip_force": Term(lambda s: s["grip.force"], "N", limit=20.0),
        "part_shape": Term(lambda s: s["part.shape"], "1", GOODS.names),
        "part_up": Term(lambda s: up_of(s["part.quat"]), "1"),
        "wrist_force": Term(_felt, "N", ("x", "y", "z"), 80.0),
        "push": Term(_push, "1", ("x", "y", "z")),
        "push_size": Term(lambda s: norm(_push(s)), "1"),
        "force_limit": Term(lambda s: s["insert.force.limit"], "N"),
    }

    rewards = {
        "reach": lambda s: 0.02 * near(norm(_grasp_from_tcp(s)), 0.10),
        "carry": lambda s: 0.04 * near(norm(_hole_from_part(s)), 0.20),
        "time": lambda s: np.full(s.lead, -0.10),
        "smooth": lambda s: -0.01 * s["action.rate"],
        "grip": lambda s: -1.0 * ramp(s["grip.force.max"], 60.0, GRIP_FORCE_LIMIT),
        "force": lambda s: (
            -1.0 * ramp(s["insert.force"] / np.maximum(s["insert.force.limit"], 1.0), 0.6, 1.0)
        ),
    }

    def success(self, s: Lookup) -> NDArray[np.bool_]:
        off = goal_from_part(s)
        seated = (norm_xy(off) < 0.004) & (np.abs(off[:, 2]) < 0.0025) & (up_of(s["part.quat"]) > 0.995)
        return np.asarray(seated & (s["part.speed"] < 0.02) & (s["grip.force.max"] <= 0.0))

    def failed(self, s: Lookup) -> NDArray[np.int64]:
        at, free = s["part.pos"], s["grip.force.max"] <= 0.0
        still = s["part.speed"] < 0.02
        on_plate = (np.abs(at[:, :2] - PLATE) < 0.12).all(axis=1) & (up_of(s["part.quat"]) > 0.9)
        in_hole = norm_xy(goal_from_part(s)) < 0.006
        dropped = (at[:, 2] < -0.05) | (free & still & ~on_plate & ~in_hole)
        code = np.where(s["insert.force"] > OVERLOAD, len(COMMON_REASONS) + 1, 0)
        return np.where(dropped, len(COMMON_REASONS), code)

    def cost(self, s: Signals) -> Array:
        outside = s["workspace.margin"] < 0.0
        forced = s["insert.force"] > s["insert.force.limit"]
        crushed = s["grip.force.max"] > GRIP_FORCE_LIMIT
        return np.asarray((outside | forced | crushed).any(axis=1).astype(float))

    def care(self, observation: NDArray[np.float32]) -> Array:
        felt = observation[:, self.columns["wrist_force"]]
        at_the_hole = observation[:, self.columns["insert_depth_30mm"]][:, 0] > -0.015  # m
        pushed = (np.abs(felt) > 4.0).any(axis=1)  # N
        return np.where(at_the_hole & pushed, 4.0, np.where(at_the_hole, 2.0, 1.0))

    def expert(self, observation: NDArray[np.float32]) -> Array:
        return self.commanded(expert.act(self.split(observation), GRIP_FORCE))


def _bore(model: mujoco.MjModel, fields: dict[str, Array], apothem: Array, round_: NDArray[np.bool_]) -> None:
    """Set walls and bevels around holes whose walls stand `apothem` `(n,)` m from the middle; every other wall of a square hole
    lies unused below the bench."""
    outer = np.where(round_, REACH - 0.002, REACH)
    across = np.where(round_, 0.022, 0.050)
    edge = BEVEL / np.sqrt(2.0)
    thick = np.full(len(apothem), 0.006)
    for i in range(WALLS):
        deep = 0.5 * (FACE - BEVEL - FLOOR) - 1e-4 * i  # m: faces at one height would flicker in pictures
        angle = 2.0 * np.pi * i / WALLS
        away = np.array([np.cos(angle), np.sin(angle)])
        sunk = np.where(round_ | (i % 2 == 0), 0.0, -0.3)
        turned = np.array([np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)])
        middle = 0.5 * (apothem + outer)
        size = np.column_stack([0.5 * (outer - apothem), across, np.full(len(apothem), deep)])
        _set(model, fields, f"hole_{i}", middle, FLOOR + deep + sunk, away, size, turned)
        lean = np.array([np.cos(np.pi / 8), 0.0, -np.sin(np.pi / 8), 0.0])
        c, s = turned[0], turned[3]
        tilted = np.array([c * lean[0], -s * lean[2], c * lean[2], s * lean[0]])
        middle = apothem + 0.5 * BEVEL + thick / np.sqrt(2.0)
        size = np.column_stack([np.full(len(apothem), edge), across, thick])
        _set(
            model,
            fields,
            f"bevel_{i}",
            middle,
            FACE - 0.5 * BEVEL - thick / np.sqrt(2.0) + sunk,
            away,
            size,
            tilted,
        )


def _set(
    model: mujoco.MjModel,
    fields: dict[str, Array],
    name: str,
    radius: Array,
    height: Array,
    away: Array,
    size: Array,
    quat: Array,
) -> None:
    geom = model.geom(name).id
    fields["geom_pos"][:, geom] = np.column_stack([radius * away[0], radius * away[1], height])
    fields["geom_quat"][:, geom] = quat
    fields["geom_size"][:, geom] = size
    fields["geom_rbound"][:, geom] = norm(size)
    fields["geom_aabb"][:, geom, 3:] = size
