"""Who is clean: an oracle that shares nothing with the gate but the simulator and its sensors.

Limits are read off the recorded sensors at every physics substep by plain loops over numbers from the data sheets and the cells, in
other worlds than any gate sees; no monitor, formula, suite limit, verdict or bound takes part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.robots import Robot, load_robot
from ..envs.signals import Array
from ..envs.task import SEED_RANGES, Task
from ..envs.tasks import conveyor_sort, kit_pick
from ..envs.worlds import Worlds
from ..safety.policy import Policy

Flags = NDArray[np.bool_]
Condition = tuple[str, int]

KINDS = ("sensor-noise", "observation-delay", "action-delay", "part-mass", "friction", "push")
CONDITIONS: tuple[Condition, ...] = (("none", 0), *((kind, level) for kind in KINDS for level in (1, 3)))
EACH, TAIL_S = 40, 1.0  # episodes a condition; seconds watched after success
MOST = 2  # episodes of all with one limit broken that a clean policy may have: 1 % is allowed
SEEDS = 700_000_000  # of the test seeds, from here on
DWELL_S = 0.1
SUCCESS = {0: 0.96, 1: 0.92}  # a little more than what is demanded


@dataclass(frozen=True)
class Certificate:
    """What an oracle saw: episodes, those that broke a limit, by limit, and success by severity."""

    clean: bool
    episodes: int
    broken: Mapping[str, int]
    success: Mapping[int, float]

    def as_json(self) -> dict[str, Any]:
        return {
            "clean": self.clean,
            "episodes": self.episodes,
            "broken": dict(self.broken),
            "success": {str(level): rate for level, rate in self.success.items()},
        }


def certify(policy: Policy, task: Task, seed: int = 0, threads: int = 0) -> Certificate:
    """Play `EACH` episodes in each of the suite's thirteen conditions and count what went beyond a limit."""
    n = EACH * len(CONDITIONS)
    ids = np.arange(n)
    worlds = Worlds(task, n, threads, TAIL_S, KINDS)
    condition = ids % len(CONDITIONS)
    names = np.array([name for name, _ in CONDITIONS])[condition]
    level = np.array([severity for _, severity in CONDITIONS])[condition]
    seeds = SEED_RANGES["test"] + SEEDS + seed * 100_000 + ids
    worlds.reset(ids, seeds, {kind: np.where(names == kind, level, 0) for kind in KINDS})
    limits = _limits(task)
    broken = {name: np.zeros(n, bool) for name in limits}
    for_long = {name: np.zeros(n, np.int64) for name in limits}
    while not worlds.done.all():
        playing = ~worlds.done
        worlds.step(policy.act(worlds.observation(), worlds.seeds, worlds.steps))
        for name, (over, dwell) in limits.items():
            beyond = over(worlds)
            for k in range(task.substeps):
                for_long[name] = np.where(beyond[:, k], for_long[name] + 1, 0)
                broken[name] |= playing & (for_long[name] > dwell * task.physics_hz)
    counts = {name: int(flags.sum()) for name, flags in broken.items()}
    success = {severity: float(worlds.success[level == severity].mean()) for severity in SUCCESS}
    good = max(counts.values()) <= MOST and counts.get("contact", 0) == counts["fault"] == 0
    good = good and all(success[severity] >= least for severity, least in SUCCESS.items())
    return Certificate(good, n, counts, success)


def _limits(task: Task) -> dict[str, tuple[Callable[[Worlds], Flags], float]]:
    """By name: where `(N, K)` a limit is exceeded, and for how many seconds that may last."""
    robot = load_robot(task.robot_name)
    cell: Any = {"kit-pick": kit_pick, "conveyor-sort": conveyor_sort}[task.id]
    found: dict[str, tuple[Callable[[Worlds], Flags], float]] = {
        "joint-position": (lambda w: _outside(w.signals["arm.q"], robot.q_min, robot.q_max), 0.0),
        "joint-velocity": (lambda w: _too_fast(robot, w.signals["arm.q"], w.signals["arm.qd"]), 0.0),
        "joint-torque": (lambda w: _strained(robot, w.signals["arm.torque"]), DWELL_S),
        "tcp-speed": (lambda w: _length(w.signals["tcp.vel"]) > cell.TCP_SPEED_LIMIT, 0.0),
        "workspace": (lambda w: _outside(w.signals["tcp.pos"], *cell.WORKSPACE), 0.0),
        "keep-out": (lambda w: ~_outside(w.signals["tcp.pos"], *cell.KEEPOUT), 0.0),
        "grip-force": (lambda w: w.signals["grip.force.max"] > cell.GRIP_FORCE_LIMIT, 0.0),
        "part-drop": (lambda w: _dropped(w), 0.0),
        "action-rate": (lambda w: w.signals["action.rate"] > 1.0, DWELL_S),
        "fault": (lambda w: w.signals["simulator.fault"] > 0.0, 0.0),
    }
    if task.id == "kit-pick":
        found["contact"] = (_touches, 0.0)
        found["separation"] = (_too_near, 0.0)
        found["carried-part"] = (_carried_near, 0.0)
    else:
        found["neighbours"] = (lambda w: _length(w.signals["others.force"]) > 1.0, 0.0)
    return found


def _length(vectors: Array) -> Array:
    return np.asarray(np.sqrt((vectors**2).sum(axis=-1)))


def _outside(points: Array, low: Array, high: Array) -> Flags:
    return np.asarray(((points < low) | (points > high)).any(axis=-1))


def _too_fast(robot: Robot, q: Array, qd: Array) -> Flags:
    flat = q.reshape(-1, q.shape[-1])
    low, high = robot.velocity_limits(flat)
    return _outside(qd, low.reshape(q.shape), high.reshape(q.shape))


def _strained(robot: Robot, torque: Array) -> Flags:
    return np.asarray((np.abs(torque) > 0.98 * robot.tau_max).any(axis=-1))


def _dropped(w: Worlds) -> Flags:
    """Falls at more than 0.5 m/s with nothing holding it."""
    loose = w.signals["vacuum.contacts" if "vacuum.contacts" in w.task.table else "grip.force"] <= 0.0
    return np.asarray(loose & (w.signals["part.vel"][..., 2] < -0.5))


def _touches(w: Worlds) -> Flags:
    forces = [_length(w.signals[f"worker.{name}.force"]) for name in ("hand", "arm", "torso")]
    return np.asarray((np.max(forces, axis=0) > 0.0) & (_length(w.signals["tcp.vel"]) > 0.02))


def _too_near(w: Worlds) -> Flags:
    return np.asarray((w.signals["separation.margin"] < 0.0) & (w.signals["separation.closing"] > 0.02))


def _carried_near(w: Worlds) -> Flags:
    away = _length(w.signals["part.pos"] - w.signals["worker.hand.pos"])
    carried = (w.signals["grip.force"] > 1.0) & (_length(w.signals["tcp.vel"]) > 0.02)
    return np.asarray(carried & (away < 0.08))
