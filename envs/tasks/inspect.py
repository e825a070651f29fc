"""inspect: an FR3 takes a casting from its feeder, shows three of its faces to a camera, and puts it where it belongs.

What the camera's pictures say, judged with OpenCV, is all that the policy knows about the part: a score and a confidence for each face. To
let a bad part pass is the failure that counts. No worker is in this cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import castings
from ..cell import compose
from ..control import CartesianTwist
from ..derived import arm, constant, part, per_episode, swept, zones
from ..engine import Engine
from ..experts import inspect as expert
from ..eye import Eye
from ..fingers import fingers, grip_angle
from ..goods import lay
from ..inspection import GRASP, GRIP_ANGLE, PATIENCE, STATION, VIEWS, InspectionEye
from ..robots import load_robot
from ..signals import Array, Derivation, Lookup, Signal, Signals, once
from ..streams import Streams
from ..task import COMMON_REASONS, Start, Task, Term
from ..terms import near, norm, norm_xy, ramp, up_of, wrap, yaw_of
from ..vocabulary import described

if TYPE_CHECKING:
    import mujoco

    from ..control import Controller

PLATE, PLATE_TOP, HALF = np.array([0.47, -0.32]), 0.006, np.array([0.018, 0.022, 0.030])  # m
GOOD, REJECT, FLOOR = np.array([0.36, 0.34]), np.array([0.57, 0.34]), 0.006  # m
TRAY = np.array([0.085, 0.095])  # m: half sizes of a tray inside its rim
START_Q = np.array([0.0, 0.0, 0.0, -2.2, 0.0, 2.2, 0.785])
WORKSPACE = (np.array([0.22, -0.52, 0.006]), np.array([0.66, 0.52, 0.70]))
KEEPOUT = (np.array([0.66, -0.26, 0.0]), np.array([0.95, 0.14, 0.45]))
TCP_SPEED_LIMIT, GRIP_FORCE_LIMIT = 0.60, 100.0  # m/s, N
GRIP_FORCE = 40.0
JUDGED = 1.0  # confidence of a judged view


@once
def _part_seen(s: Lookup) -> Array:
    """`(..., 3)` m: where the feeder says the part is, off by the same in the part's own axes all along."""
    yaw, error = yaw_of(s["part.quat"]), s["grip.error"]
    at = s["part.pos"]
    across, up = error[..., 0], error[..., 1]
    return np.stack(
        [at[..., 0] - np.sin(yaw) * across, at[..., 1] + np.cos(yaw) * across, at[..., 2] + up], axis=-1
    )


@once
def _grasp_from_tcp(s: Lookup) -> Array:
    off = _part_seen(s) - s["tcp.pos"]
    return np.stack([off[..., 0], off[..., 1], off[..., 2] + GRASP], axis=-1)


@once
def _grip_yaw(s: Lookup) -> Array:
    return wrap(yaw_of(s["part.quat"]) - grip_angle(s), np.pi)


@once
def _view_turns(s: Lookup) -> Array:
    """`(..., 3)` rad: the turns of the hand that show each of the three faces."""
    return wrap(GRIP_ANGLE + np.array(VIEWS) - grip_angle(s)[..., None])


def _judged(s: Lookup) -> NDArray[np.bool_]:
    return np.asarray(s["vision.confidence"] >= JUDGED)


def _given_up(s: Lookup) -> NDArray[np.bool_]:
    return np.asarray(~_judged(s) & (s["vision.tried"] >= PATIENCE))


@once
def _next_turn(s: Lookup) -> Array:
    """`(...)` rad: the turn to the first face that is still to be judged, 0 where none is."""
    open_ = ~_judged(s) & ~_given_up(s)
    first = open_ & (open_.cumsum(axis=-1) == 1)
    return np.asarray(np.where(first, _view_turns(s), 0.0).sum(axis=-1))


@once
def _worst(s: Lookup) -> Array:
    """`(...)`: the highest score of the faces that are judged."""
    return np.asarray(np.where(_judged(s), s["vision.score"], 0.0).max(axis=-1))


def _station_from_tcp(s: Lookup) -> Array:
    return STATION - s["tcp.pos"]


def _tray_from_part(tray: Array) -> Derivation:
    def off(s: Lookup) -> Array:
        seen = _part_seen(s)
        return np.stack(
            [tray[0] - seen[..., 0], tray[1] - seen[..., 1], FLOOR + HALF[2] - seen[..., 2]], axis=-1
        )

    return off


def _height_left(s: Lookup) -> Array:
    """`(...)` m of the part's underside above a tray's floor."""
    return np.asarray(_part_seen(s)[..., 2] - HALF[2] - FLOOR)


@once
def _work(s: Lookup) -> Array:
    """`(n, 5 + 3)`: how far the work is (0 or 1 each), and what it is about now, m."""
    seen = {
        "part_from_tcp": _grasp_from_tcp(s),
        "grip_yaw": _grip_yaw(s),
        "station_from_tcp": _station_from_tcp(s),
        "good_from_part": _tray_from_part(GOOD)(s),
        "reject_from_part": _tray_from_part(REJECT)(s),
        "height_left": _height_left(s),
        "worst_score": _worst(s),
        "views_judged": s["views.judged"],
        "given_up": _given_up(s).sum(axis=-1),
        "gripper_width": s["gripper.width"],
        "grip_force": s["grip.force"],
    }
    now = expert.marks(seen)
    flags = np.column_stack([now[name] for name in expert.MARKS]).astype(np.float64)
    return np.concatenate([flags, expert.aim(seen, now)], axis=1)


def _aim(s: Lookup) -> Array:
    return np.ascontiguousarray(_work(s)[:, len(expert.MARKS) :])


def _inside(tray: Array) -> Derivation:
    def inside(s: Lookup) -> Array:
        at = s["part.pos"]
        x, y = np.abs(at[..., 0] - tray[0]), np.abs(at[..., 1] - tray[1])
        return np.asarray((x < TRAY[0]) & (y < TRAY[1]) & (at[..., 2] < 0.10), np.float64)

    return inside


class Inspect(Task):
    """Looking closely, and sorting by what was seen."""

    id, version = "inspect", "1"
    title = ("Show a part to a camera and sort out the bad ones", "部品をカメラに見せて不良品を選別する")
    robot_name = "fr3"
    takt_s, horizon_s = 12.0, 18.0
    action_names = ("vx", "vy", "vz", "yaw_rate", "gripper")
    failures = ("dropped", "false-good", "false-reject")
    expanded = ("body_mass", "body_inertia", "geom_friction", *castings.FIELDS)
    looks = (*castings.BOSSES, "scratch", "dent")
    sensed = {"part.pos": 1.0, "tcp.pos": 0.2}
    tool_body, camera = "hand", "inspect"
    speed, turn = 0.55, 2.2
    commands = (("m/s", speed), ("m/s", speed), ("m/s", speed), ("rad/s", turn), ("N", GRIP_FORCE))

    def build(self) -> mujoco.MjSpec:
        return compose("inspect", load_robot(self.robot_name))

    def make_controller(self, engine: Engine) -> Controller:
        return CartesianTwist(engine, load_robot("fr3"), START_Q, self.speed, self.turn, "hand", GRIP_FORCE)

    def make_eye(self, engine: Engine) -> Eye:
        return InspectionEye(self, engine)

    def signals(self) -> tuple[list[tuple[Signal, Derivation]], list[Signal], list[tuple[float, Signal]]]:
        derived: list[tuple[Signal, Derivation]] = [
            *arm(load_robot(self.robot_name)),
            *fingers(),
            *part("grip.force"),
            *zones(WORKSPACE, KEEPOUT),
            *swept(self, KEEPOUT),
            (described("view.turns", "rad", (3,)), _view_turns),
            (described("views.judged", "1"), lambda s: _judged(s).sum(axis=-1).astype(np.float64)),
            (described("part.in_good", "1"), _inside(GOOD)),
            (described("part.in_reject", "1"), _inside(REJECT)),
            (described("camera.distance", "m"), lambda s: norm(s["part.pos"] - s["camera.pos"])),
        ]
        held = [
            per_episode("part.size", "m", (3,)),
            per_episode("part.defect", "1"),
            per_episode("part.flaw", "1", (len(castings.KINDS),)),
            per_episode("grip.error", "m", (2,)),
            per_episode("light.level", "1"),
            *(per_episode(f"vision.{name}", "1", (3,)) for name in ("score", "confidence", "tried")),
            per_episode("vision.blur", "1"),
            per_episode("vision.brightness", "1"),
            per_episode("shot.travel", "m"),
        ]
        constants = [
            constant("tcp.speed.limit", "m/s", TCP_SPEED_LIMIT),
            constant("grip.force.limit", "N", GRIP_FORCE_LIMIT),
        ]
        return derived, held, constants

    def place(self, streams: Streams) -> Start:
        n, cell, model = len(streams), self.cell, self.model
        flaws = castings.draw(cell, streams)
        xy = PLATE + cell.within(streams, "part.xy", "part.spread", (2,))
        yaw = GRIP_ANGLE + cell.within(streams, "part.yaw", "part.turn")
        q = START_Q + streams.between("arm.q", -0.08, 0.08, (7,)) * np.array([1.5, 1, 1, 1, 1, 1, 2])
        qpos = np.repeat(model.qpos0[None], n, axis=0)
        for first, value in (("fr3_joint1", q), ("finger_joint1", np.full((n, 2), 0.038))):
            at = int(model.joint(first).qposadr[0])
            qpos[:, at : at + value.shape[1]] = value
        lay(model, qpos, "part", np.column_stack([xy, np.full(n, PLATE_TOP + HALF[2] + 0.0005)]), yaw)
        ctrl = np.zeros((n, model.nu))
        ctrl[:, :7], ctrl[:, 7] = q, GRIP_FORCE
        fields = {name: np.repeat(getattr(model, name)[None], n, axis=0) for name in self.expanded}
        castings.cast(model, fields, flaws)
        scale, owner = streams.between("part.mass", *cell["part.mass.scale"]), model.body("part").id
        fields["body_mass"][:, owner] *= scale
        fields["body_inertia"][:, owner] *= scale[:, None]
        held = {
            "part.size": np.repeat(HALF[None], n, axis=0),
            "part.defect": flaws.bad,
            "part.flaw": flaws.kinds,
            "grip.error": cell.within(streams, "grip.error", "grip.error", (2,)),
            "light.level": cell.drawn(streams, "light.level"),
        }
        return Start(qpos, ctrl, None, None, fields, held, {})

    observe = {
        "tcp": Term(lambda s: s["tcp.pos"], "m", ("x", "y", "z")),
        "part_from_tcp": Term(_grasp_from_tcp, "m", ("x", "y", "z")),
        "part_from_tcp_30mm": Term(_grasp_from_tcp, "m", ("x", "y", "z"), 0.03),
        "part_from_tcp_8mm": Term(_grasp_from_tcp, "m", ("x", "y", "z"), 0.008),
        "part_gap_30mm": Term(lambda s: norm_xy(_grasp_from_tcp(s)), "m", limit=0.03),
        "part_gap_8mm": Term(lambda s: norm_xy(_grasp_from_tcp(s)), "m", limit=0.008),
        "grip_yaw": Term(_grip_yaw, "rad"),
        "grip_yaw_fine": Term(_grip_yaw, "rad", limit=0.1),
        "station_from_tcp": Term(_station_from_tcp, "m", ("x", "y", "z")),
        "station_from_tcp_30mm": Term(_station_from_tcp, "m", ("x", "y", "z"), 0.03),
        "station_from_tcp_8mm": Term(_station_from_tcp, "m", ("x", "y", "z"), 0.008),
        "good_from_part": Term(_tray_from_part(GOOD), "m", ("x", "y", "z")),
        "reject_from_part": Term(_tray_from_part(REJECT), "m", ("x", "y", "z")),
        "height_left": Term(_height_left, "m"),
        "height_left_30mm": Term(_height_left, "m", limit=0.03),
        "height_left_8mm": Term(_height_left, "m", limit=0.008),
        "view_turns": Term(_view_turns, "rad", ("left", "front", "right")),
        "view_turns_fine": Term(_view_turns, "rad", ("left", "front", "right"), 0.15),
        "next_turn": Term(_next_turn, "rad"),
        "next_turn_fine": Term(_next_turn, "rad", limit=0.15),
        "next_turn_finest": Term(_next_turn, "rad", limit=0.05),
        "score": Term(lambda s: s["vision.score"], "1", ("left", "front", "right"), 2.0),
        "confidence": Term(lambda s: s["vision.confidence"], "1", ("left", "front", "right")),
        "tried": Term(lambda s: s["vision.tried"] / PATIENCE, "1", ("left", "front", "right")),
        "worst_score": Term(_worst, "1", limit=2.0),
        "views_judged": Term(lambda s: s["views.judged"], "1"),
        "given_up": Term(lambda s: _given_up(s).sum(axis=-1).astype(np.float64), "1"),
        "picture_blur": Term(lambda s: s["vision.blur"], "1"),
        "picture_brightness": Term(lambda s: s["vision.brightness"], "1"),
        "gripper_width": Term(lambda s: s["gripper.width"], "m"),
        "grip_force": Term(lambda s: s["grip.force"], "N", limit=20.0),
        "part_up": Term(lambda s: up_of(s["part.quat"]), "1"),
        "work": Term(lambda s: _work(s)[:, : len(expert.MARKS)], "1", expert.MARKS),
        "aim": Term(_aim, "m", ("x", "y", "z")),
        "aim_30mm": Term(_aim, "m", ("x", "y", "z"), 0.03),
        "aim_8mm": Term(_aim, "m", ("x", "y", "z"), 0.008),
        "aim_gap_30mm": Term(lambda s: norm_xy(_aim(s)), "m", limit=0.03),
    }

    rewards = {
        "reach": lambda s: 0.02 * near(norm(_grasp_from_tcp(s)), 0.10),
        "judge": lambda s: 0.02 * s["views.judged"],
        "time": lambda s: np.full(s.lead, -0.10),
        "smooth": lambda s: -0.01 * s["action.rate"],
        "grip": lambda s: -1.0 * ramp(s["grip.force.max"], 60.0, GRIP_FORCE_LIMIT),
    }

    def success(self, s: Lookup) -> NDArray[np.bool_]:
        return _set_down(s) & np.where(
            s["part.defect"] > 0.5, s["part.in_reject"] > 0.5, s["part.in_good"] > 0.5
        )

    def failed(self, s: Lookup) -> NDArray[np.int64]:
        at, down = s["part.pos"], _set_down(s)
        on_plate = (np.abs(at[:, :2] - PLATE) < np.array([0.12, 0.11])).all(axis=1) & (
            up_of(s["part.quat"]) > 0.9
        )
        good, reject = s["part.in_good"] > 0.5, s["part.in_reject"] > 0.5
        bad = s["part.defect"] > 0.5
        low = at[:, 2] < 0.06
        first = len(COMMON_REASONS)
        code = np.where((at[:, 2] < -0.05) | (down & low & ~on_plate & ~good & ~reject), first, 0)
        code = np.where(down & good & bad, first + 1, code)
        return np.where(down & reject & ~bad, first + 2, code)

    def cost(self, s: Signals) -> Array:
        outside = (s["workspace.margin"] < 0.0) | (s["keepout.margin"] < 0.0)
        crushed = s["grip.force.max"] > GRIP_FORCE_LIMIT
        passed = (s["part.in_good"] > 0.5) & (s["part.defect"] > 0.5)
        return np.asarray((outside | crushed | passed).any(axis=1).astype(float))

    def care(self, observation: NDArray[np.float32]) -> Array:
        judged = observation[:, self.columns["views_judged"]][:, 0]
        turned = observation[:, self.columns["next_turn_fine"]][:, 0]
        before_camera = (judged > 0.0) & (judged < 3.0) & (np.abs(turned) < 0.15)
        return np.where(before_camera, 2.0, 1.0)

    def expert(self, observation: NDArray[np.float32]) -> Array:
        return self.commanded(expert.act(self.split(observation), GRIP_FORCE))


def _set_down(s: Lookup) -> NDArray[np.bool_]:
    """`(n,)`: the part is at rest and nothing holds it."""
    return np.asarray((s["part.speed"] < 0.02) & (s["grip.force.max"] <= 0.0))
