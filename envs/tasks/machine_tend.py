"""machine-tend: a UR5e opens the door of a machining centre, takes the finished part out of the chuck, puts a blank in, closes and starts.

The robot pushes the door by a fin, commands the jaws of the chuck, and presses the start button. What a machine must not let happen is
watched: jaws that let go of a part that nobody holds, a start with the door open, a reach into the box past a half-open door.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..cell import compose
from ..control import CartesianTwist
from ..derived import arm, constant, part, per_episode, zones
from ..engine import Engine
from ..experts import machine_tend as expert
from ..fingers import grip_angle
from ..goods import lay
from ..robots import load_robot
from ..signals import Array, Derivation, Lookup, Signal, Signals, once
from ..streams import Streams
from ..task import COMMON_REASONS, Start, Task, Term
from ..terms import near, norm, norm_xy, ramp, up_of, wrap
from ..vocabulary import described

if TYPE_CHECKING:
    import mujoco

    from ..control import Controller
    from ..engine import Moved

HALF_HEIGHT, RADIUS, GRASP = 0.040, 0.020, 0.017  # m; a part is gripped this far above its middle
BENCH_TOP, CHUCK_FLOOR = -0.10, -0.045  # m
BLANK, OUT = (
    np.array([0.33, -0.38]),
    np.array([0.19, -0.52]),
)  # where a blank waits, where what is finished goes
CHUCK = np.array([0.62, 0.0])
OUT_GOAL = np.array([*OUT, BENCH_TOP + HALF_HEIGHT])
TRAVEL, SHUT, OPEN = 0.47, 0.010, 0.455  # m: way of the door; less is shut, more is open
JAW_AT_ZERO = 0.017  # m from the chuck's middle
CLAMPED, AJAR = 60.0, 0.0005  # N from which the chuck holds; m from jaw to part from which it does not
PRESSED = 0.004  # m that the button is down
FRONT = 0.44  # m: beyond it the tool is in the machine
START_Q = np.array([-0.8, -1.9, 2.1, -1.7707963267948966, -1.5707963267948966, 0.7707963267948966])
GRIP_ANGLE = np.pi / 2
WORKSPACE = (np.array([0.10, -0.70, -0.098]), np.array([0.80, 0.55, 0.75]))
TCP_SPEED_LIMIT, GRIP_FORCE_LIMIT = 0.75, 90.0  # m/s, N
GRIP_FORCE, JAW_FORCE = 40.0, 100.0  # N
STEPS = (*expert.STAGES, *expert.MARKS)
WAITING, RUNNING, REFUSED = 0.0, 1.0, 2.0


def _less_grasp(off: Array) -> Array:
    return np.stack([off[..., 0], off[..., 1], off[..., 2] + GRASP], axis=-1)


@once
def blank_from_tcp(s: Lookup) -> Array:
    return _less_grasp(s["part.pos"] - s["tcp.pos"])


@once
def done_from_tcp(s: Lookup) -> Array:
    return _less_grasp(s["done.pos"] - s["tcp.pos"])


@once
def seat_from_blank(s: Lookup) -> Array:
    off = s["seat.pos"] - s["part.pos"]
    return np.stack([off[..., 0], off[..., 1], off[..., 2] + HALF_HEIGHT], axis=-1)


@once
def out_from_done(s: Lookup) -> Array:
    return np.asarray(OUT_GOAL - s["done.pos"])


@once
def _grip_blank(s: Lookup) -> Array:
    return np.minimum(norm(s["grip.left"]), norm(s["grip.right"]))


@once
def _grip_done(s: Lookup) -> Array:
    return np.minimum(norm(s["grip.done.left"]), norm(s["grip.done.right"]))


@once
def _grip_max(s: Lookup) -> Array:
    of = [norm(s[name]) for name in ("grip.left", "grip.right", "grip.done.left", "grip.done.right")]
    return np.maximum(np.maximum(of[0], of[1]), np.maximum(of[2], of[3]))


@once
def _clamp(s: Lookup) -> Array:
    return np.maximum(norm(s["clamp.part"]), norm(s["clamp.done"]))


@once
def _jaw_gap(s: Lookup) -> Array:
    """Between jaw and part, m, were the part in the middle."""
    return JAW_AT_ZERO + s["chuck.q"] - RADIUS


@once
def _seated(s: Lookup) -> Array:
    """1 where the blank stands in the chuck, else 0."""
    off = seat_from_blank(s)
    return np.where((norm_xy(off) < 0.006) & (np.abs(off[..., 2]) < 0.003), 1.0, 0.0)


@once
def _yaw(s: Lookup) -> Array:
    return wrap(GRIP_ANGLE - grip_angle(s), np.pi)


def _inside(s: Lookup) -> Array:
    """How far the tool is past the front of the machine, m."""
    return s["tcp.pos"][..., 0] - FRONT


def _loose(s: Lookup) -> Array:
    """Falling speed of the finished part while no finger holds it."""
    return np.where(_grip_done(s) > 0.0, 0.0, np.maximum(-s["done.vel"][..., 2], 0.0))


def _unheld(s: Lookup) -> Array:
    """1 where the jaws stand open around a part that no finger touches and that is not yet out, else 0."""
    gone = s["done.pos"][..., 0] < FRONT
    bare = np.where(gone, s["part.pos"][..., 0] > FRONT, True)
    blank, done = (
        (norm(s[f"{grip}.left"]) > 0.0) | (norm(s[f"{grip}.right"]) > 0.0) for grip in ("grip", "grip.done")
    )
    return np.where(bare & ~np.where(gone, blank, done) & (_jaw_gap(s) > AJAR), 1.0, 0.0)


def _touch(s: Lookup) -> Array:
    return norm(s["machine.touch"]) + norm(s["chuck.touch"])


@once
def _work(s: Lookup) -> Array:
    """`(n, 13 + 3)`: the stage of the work and its marks (0 or 1), and what it is about, from the tool, m."""
    seen = {
        "tcp": s["tcp.pos"],
        "done_from_tcp": done_from_tcp(s),
        "blank_from_tcp": blank_from_tcp(s),
        "out_from_done": out_from_done(s),
        "seat_from_blank": seat_from_blank(s),
        "fin_from_tcp": s["fin.pos"] - s["tcp.pos"],
        "button_from_tcp": s["button.pos"] - s["tcp.pos"],
        "height_60mm": s["tcp.pos"][..., 2] - 0.10,
        "door": s["door.q"],
        "door_open_30mm": s["door.q"] - OPEN,
        "jaw_gap_12mm": _jaw_gap(s),
        "clamp": _clamp(s),
        "grip_yaw": _yaw(s),
        "gripper_width": s["gripper.width"],
        "grip_done": _grip_done(s),
        "grip_blank": _grip_blank(s),
        "running": np.where(s["machine.state"] == RUNNING, 1.0, 0.0),
    }
    now = expert.stages(seen)
    flags = np.column_stack([now[name] for name in STEPS]).astype(np.float64)
    return np.concatenate([flags, expert.aim(seen, now)], axis=1)


def _aim(s: Lookup) -> Array:
    return np.ascontiguousarray(_work(s)[:, len(STEPS) :])


class Tending(CartesianTwist):
    """The arm's controller, and the command of the chuck's jaws: the sixth action opens them above zero."""

    def __init__(self, engine: Engine, speed: float, turn: float) -> None:
        robot = load_robot(MachineTend.robot_name)
        super().__init__(engine, robot, START_Q, speed, turn, robot.tool_body, GRIP_FORCE)
        self.chuck = engine.model.actuator("chuck").id

    def targets(self, action: Array, now: Lookup, out: Array) -> NDArray[np.bool_]:
        out[:, :, self.chuck] = np.where(action[:, 5] > 0.0, 0.5 * JAW_FORCE, -JAW_FORCE)[:, None]
        return super().targets(action, now, out)


class MachineTend(Task):
    """Tending a machine."""

    id, version = "machine-tend", "1"
    title = ("Unload, load and start a machine", "工作機械のワーク交換と起動")
    robot_name = "ur5e-2f85"
    takt_s, horizon_s = 22.0, 30.0
    action_names = ("vx", "vy", "vz", "yaw_rate", "gripper", "chuck")
    beside = ("chuck",)
    failures = ("dropped", "refused")
    damaging = ("dropped",)
    expanded = ("body_mass", "body_inertia", "geom_friction", "dof_frictionloss")
    sensed = {"part.pos": 0.5, "done.pos": 0.5, "tcp.pos": 0.2}
    tool_body = "2f85/palm"
    speed, turn = 0.65, 2.0
    commands = (
        ("m/s", speed),
        ("m/s", speed),
        ("m/s", speed),
        ("rad/s", turn),
        ("N", GRIP_FORCE),
        ("1", 1.0),
    )

    def build(self) -> mujoco.MjSpec:
        return compose("machine-tend", load_robot(self.robot_name))

    def make_controller(self, engine: Engine) -> Controller:
        return Tending(engine, self.speed, self.turn)

    def signals(self) -> tuple[list[tuple[Signal, Derivation]], list[Signal], list[tuple[float, Signal]]]:
        derived: list[tuple[Signal, Derivation]] = [
            *arm(load_robot(self.robot_name)),
            (described("gripper.width", "m"), lambda s: 2.0 * s["gripper.q"]),
            (described("grip.force", "N"), _grip_blank),
            (described("grip.done.force", "N"), _grip_done),
            (described("grip.force.max", "N"), _grip_max),
            *part("grip.force"),
            (described("done.fall_speed", "m/s"), _loose),
            *zones(WORKSPACE),
            (described("machine.inside", "m"), _inside),
            (described("machine.touch.force", "N"), _touch),
            (described("door.share", "1"), lambda s: s["door.q"] / TRAVEL),
            (described("door.speed", "m/s"), lambda s: np.abs(s["door.qd"])),
            (described("door.push.force", "N"), lambda s: norm(s["door.push"])),
            (described("chuck.clamp", "N"), _clamp),
            (described("chuck.unheld", "1"), _unheld),
        ]
        held = [per_episode("machine.state", "1"), per_episode("part.size", "m", (3,))]
        constants = [
            constant("tcp.speed.limit", "m/s", TCP_SPEED_LIMIT),
            constant("grip.force.limit", "N", GRIP_FORCE_LIMIT),
        ]
        return derived, held, constants

    def place(self, streams: Streams) -> Start:
        n, cell, model, robot = len(streams), self.cell, self.model, load_robot(self.robot_name)
        blank = BLANK + cell.within(streams, "part.xy", "part.spread", (2,))
        q = START_Q + streams.between("arm.q", -0.06, 0.06, (6,))
        qpos = np.repeat(model.qpos0[None], n, axis=0)
        for i, joint in enumerate(robot.joints):
            qpos[:, model.joint(joint).qposadr[0]] = q[:, i]
        for joint in robot.gripper.joints:
            qpos[:, model.joint(joint).qposadr[0]] = 0.040
        for joint in ("jaw1", "jaw2"):
            qpos[:, model.joint(joint).qposadr[0]] = RADIUS - JAW_AT_ZERO
        qpos[:, model.joint("door").qposadr[0]] = streams.between("door.ajar", *cell["door.ajar"])
        zero, rests = np.zeros(n), np.full(n, BENCH_TOP + HALF_HEIGHT + 0.0005)
        lay(model, qpos, "part", np.column_stack([blank, rests]), zero)
        seat = np.column_stack([np.repeat(CHUCK[None], n, axis=0), np.full(n, CHUCK_FLOOR + HALF_HEIGHT)])
        lay(model, qpos, "done", seat, zero)
        ctrl = np.zeros((n, model.nu))
        ctrl[:, :6] = q
        ctrl[:, model.actuator(robot.gripper.actuator).id] = GRIP_FORCE
        ctrl[:, model.actuator("chuck").id] = -JAW_FORCE
        fields = {name: np.repeat(getattr(model, name)[None], n, axis=0) for name in self.expanded}
        owner, scale = model.body("part").id, streams.between("part.mass", *cell["part.mass.scale"])
        fields["body_mass"][:, owner] *= scale
        fields["body_inertia"][:, owner] *= scale[:, None]
        door = int(model.joint("door").dofadr[0])
        fields["dof_frictionloss"][:, door] = streams.between("door.drag", *cell["door.drag"])
        held = {"part.size": np.tile([RADIUS, RADIUS, HALF_HEIGHT], (n, 1))}
        return Start(qpos, ctrl, None, None, fields, held, {})

    def move(self, held: Mapping[str, Array], now: Lookup) -> Moved | None:
        """The machine's own logic: the first press of the button starts it, or is refused where door or chuck are not as they must be."""
        ready = (now["door.q"] < SHUT) & (now["chuck.clamp"] > CLAMPED) & (_seated(now) > 0.5)
        answer = np.where(ready, RUNNING, REFUSED)
        asked = (now["button.q"] < -PRESSED) & (held["machine.state"] == WAITING)
        held["machine.state"][:] = np.where(asked, answer, held["machine.state"])
        return None

    observe = {
        "tcp": Term(lambda s: s["tcp.pos"], "m", ("x", "y", "z")),
        "done_from_tcp": Term(done_from_tcp, "m", ("x", "y", "z")),
        "done_from_tcp_30mm": Term(done_from_tcp, "m", ("x", "y", "z"), 0.03),
        "done_from_tcp_8mm": Term(done_from_tcp, "m", ("x", "y", "z"), 0.008),
        "blank_from_tcp": Term(blank_from_tcp, "m", ("x", "y", "z")),
        "blank_from_tcp_30mm": Term(blank_from_tcp, "m", ("x", "y", "z"), 0.03),
        "blank_from_tcp_8mm": Term(blank_from_tcp, "m", ("x", "y", "z"), 0.008),
        "out_from_done": Term(out_from_done, "m", ("x", "y", "z")),
        "out_from_done_30mm": Term(out_from_done, "m", ("x", "y", "z"), 0.03),
        "seat_from_blank": Term(seat_from_blank, "m", ("x", "y", "z")),
        "seat_from_blank_30mm": Term(seat_from_blank, "m", ("x", "y", "z"), 0.03),
        "seat_from_blank_8mm": Term(seat_from_blank, "m", ("x", "y", "z"), 0.008),
        "fin_from_tcp": Term(lambda s: s["fin.pos"] - s["tcp.pos"], "m", ("x", "y", "z")),
        "fin_from_tcp_60mm": Term(lambda s: s["fin.pos"] - s["tcp.pos"], "m", ("x", "y", "z"), 0.06),
        "button_from_tcp": Term(lambda s: s["button.pos"] - s["tcp.pos"], "m", ("x", "y", "z")),
        "button_from_tcp_30mm": Term(lambda s: s["button.pos"] - s["tcp.pos"], "m", ("x", "y", "z"), 0.03),
        "front_60mm": Term(_inside, "m", limit=0.06),
        "height_60mm": Term(lambda s: s["tcp.pos"][..., 2] - 0.10, "m", limit=0.06),
        "door": Term(lambda s: s["door.q"], "m"),
        "door_shut_30mm": Term(lambda s: s["door.q"], "m", limit=0.03),
        "door_open_30mm": Term(lambda s: s["door.q"] - OPEN, "m", limit=0.03),
        "door_speed": Term(lambda s: s["door.qd"], "m/s", limit=1.0),
        "jaw_gap_12mm": Term(_jaw_gap, "m", limit=0.012),
        "clamp": Term(_clamp, "N", limit=100.0),
        "grip_yaw": Term(_yaw, "rad"),
        "grip_yaw_fine": Term(_yaw, "rad", limit=0.1),
        "gripper_width": Term(lambda s: s["gripper.width"], "m"),
        "grip_done": Term(_grip_done, "N", limit=20.0),
        "grip_blank": Term(_grip_blank, "N", limit=20.0),
        "pressed_8mm": Term(lambda s: s["button.q"], "m", limit=0.008),
        "running": Term(lambda s: np.where(s["machine.state"] == RUNNING, 1.0, 0.0), "1"),
        "work": Term(lambda s: _work(s)[:, : len(STEPS)], "1", STEPS),
        "aim": Term(_aim, "m", ("x", "y", "z")),
        "aim_60mm": Term(_aim, "m", ("x", "y", "z"), 0.06),
        "aim_12mm": Term(_aim, "m", ("x", "y", "z"), 0.012),
        "aim_gap_60mm": Term(lambda s: norm_xy(_aim(s)), "m", limit=0.06),
        "aim_gap_12mm": Term(lambda s: norm_xy(_aim(s)), "m", limit=0.012),
    }

    rewards = {
        "unload": lambda s: 0.03 * near(norm(out_from_done(s)), 0.30),
        "load": lambda s: 0.03 * near(norm(seat_from_blank(s)), 0.30),
        "time": lambda s: np.full(s.lead, -0.10),
        "smooth": lambda s: -0.01 * s["action.rate"],
        "touch": lambda s: -0.5 * ramp(_touch(s), 0.0, 20.0),
    }

    def success(self, s: Lookup) -> NDArray[np.bool_]:
        out = (norm_xy(out_from_done(s)) < 0.03) & (np.abs(out_from_done(s)[:, 2]) < 0.004)
        upright = (up_of(s["done.quat"]) > 0.99) & (up_of(s["part.quat"]) > 0.99)
        loaded = (_seated(s) > 0.5) & (s["chuck.clamp"] > CLAMPED) & (s["door.q"] < SHUT)
        clear = (s["button.q"] > -0.001) & (s["grip.force.max"] <= 0.0)
        return np.asarray(out & upright & loaded & clear & (s["machine.state"] == RUNNING))

    def failed(self, s: Lookup) -> NDArray[np.int64]:
        lost = np.zeros(s.lead[0], bool)
        for name in ("part", "done"):
            at, up = s[f"{name}.pos"][:, 2], up_of(s[f"{name}.quat"])
            lost |= (at < BENCH_TOP) | (up < 0.7)
        code = np.where(s["machine.state"] == REFUSED, len(COMMON_REASONS) + 1, 0)
        return np.where(lost, len(COMMON_REASONS), code)

    def cost(self, s: Signals) -> Array:
        outside = s["workspace.margin"] < 0.0
        hit = s["machine.touch.force"] > 0.0
        return np.asarray((outside | hit | (s["chuck.unheld"] > 0.0)).any(axis=1).astype(float))

    def care(self, observation: NDArray[np.float32]) -> Array:
        seen = self.split(observation)
        in_chuck = (norm_xy(seen["seat_from_blank_30mm"]) < 0.02) & (seen["grip_blank"] > 0.0)
        at_done = norm(seen["done_from_tcp_30mm"]) < 0.03
        return np.where(in_chuck | at_done, 2.0, 1.0)

    def expert(self, observation: NDArray[np.float32]) -> Array:
        return self.commanded(expert.act(self.split(observation), GRIP_FORCE))
