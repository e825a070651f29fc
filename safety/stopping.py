"""How far and how long a robot goes on when it is told to stop: a controlled stop at a random moment of each episode.

Category 1 keeps the drives on: from the moment on, every velocity command is zero and what is not a velocity (grip, vacuum) stays
as it was. Category 0 takes their power and lets the brakes fall: the servos of the arm give nothing any more, nor what they carried the arm's weight with; dry friction of the drives' own
largest torque holds each joint (what real brakes hold is not published; the share is this project's assumption), the tool stays as it was. The
moment is drawn from a stream of its own, so the episode before it is the one that any check plays. What is watched is what the policy
steers: the tool of an arm, a vehicle's base.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from ..envs.drives import arm_actuators, arm_dofs, arm_joints
from ..envs.errors import BadInput
from ..envs.robots import load_robot
from ..envs.separation import BRAKING, REACTION_S
from ..envs.streams import Streams
from ..envs.task import FOREIGN, Task, get_task
from .episodes import Loop, Row
from .percent import at_least, at_most
from .plan import SEEDS_PER_BASE, Episode, first_test_seed
from .policy import Judged, OneAtATime, Policy
from .statistics import clopper_pearson_lower, clopper_pearson_upper

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

STILL = 0.01  # m/s: what is slower than this stands
TOOL = "tcp"  # of an arm
WATCHED_S = 1.0  # after the stop
VELOCITIES = ("m/s", "rad/s")
BRAKES = 1.0  # times a drive's largest torque: what a brake holds
# model fields that a stop of category 0 changes
POWER = ("actuator_gainprm", "actuator_biasprm", "body_gravcomp", "dof_frictionloss", "dof_solimp")
GRIPS = np.array([0.999, 0.9999, 0.001, 0.5, 2.0])  # solimp of a brake: it does not creep under its load
SHARE, CONFIDENCE = 0.95, 0.95
FEWEST = math.ceil(math.log(1.0 - CONFIDENCE) / math.log(SHARE))  # stops for a bound on the quantile: 59
WORLDS = 128
IN_ORDER = ("success", "timeout")  # ends of an episode that a stop did not bring about


def moments(task: Task, seeds: Indices) -> Indices:
    """`(n,)` control ticks at which the episodes of these seeds are stopped: uniform over the takt."""
    draws = Streams(task.key, seeds).uniform("stop.moment")
    return np.asarray(1 + np.floor(draws * (task.takt_s * task.control_hz - 1)), np.int64)


class Stopper:
    """A policy that stops at each episode's moment."""

    def __init__(self, policy: Policy, task: Task) -> None:
        self.kind, self.name, self.sha256 = policy.kind, policy.name, policy.sha256
        self._policy, self._task = policy, task
        self._zero = np.array([unit in VELOCITIES for unit, _ in task.commands])
        self._last: dict[int, NDArray[np.float32]] = {}

    def act(self, observation: NDArray[np.float32], seeds: Indices, steps: Indices) -> NDArray[np.float32]:
        """As the policy acts until the moment; then no motion and whatever it gripped with last."""
        action = np.array(self._policy.act(observation, seeds, steps), np.float32)
        stopped = steps >= moments(self._task, seeds)
        for row, (seed, over) in enumerate(zip(seeds.tolist(), stopped.tolist(), strict=True)):
            if over:
                action[row] = np.where(self._zero, np.float32(0.0), self._last[seed])
            else:
                self._last[seed] = action[row].copy()
        return action


class _PowerOff:
    """Takes the power of an arm's drives and lets its brakes fall, world by world.

    Raises BadInput for a robot that is no arm.
    """

    def __init__(self, task: Task) -> None:
        self.servos, self.dofs = np.array(arm_actuators(task)), np.array(arm_dofs(task))
        self.bodies = np.array(_carried(task))
        self.brakes = BRAKES * load_robot(task.robot_name).tau_max
        task.expanded = (*task.expanded, *(name for name in POWER if name not in task.expanded))  # type: ignore[misc]

    def __call__(self, loop: Loop, worlds: Indices) -> None:
        fields = loop.worlds.engine.fields
        for name in POWER[:2]:
            fields[name][np.ix_(worlds, self.servos)] = 0.0
        fields[POWER[2]][np.ix_(worlds, self.bodies)] = 0.0  # the tool's too: the arm's drives carried it
        for name, value in zip(POWER[3:], (self.brakes, GRIPS), strict=True):
            fields[name][np.ix_(worlds, self.dofs)] = value


def _carried(task: Task) -> list[int]:
    """Bodies that the arm's drives carry: the first that a joint moves and all that hang from it, the tool among them."""
    parents, found = task.model.body_parentid, [int(task.model.jnt_bodyid[arm_joints(task)[0]])]
    for body in range(found[0] + 1, task.model.nbody):  # parents come before their children
        if int(parents[body]) in found:
            found.append(body)
    return found


@dataclass(frozen=True)
class LeftOut:
    """Episodes without a stop that could be watched: `before` it they had ended, or `after` it, too soon; `failed`: those that
    ended after it with damage, no success or a simulator fault, by reason.
    """

    before: int = 0
    after: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Stops:
    """Stops of a policy, one an episode: speed of what it `steered` at the moment (m/s), seconds until it stands and its
    way (m), `(n,)`.

    What does not stand after `WATCHED_S` has time and way of infinity.
    """

    task: str
    policy: str
    speed: Array
    time_s: Array
    distance: Array
    category: int = 1
    steered: str = TOOL
    left_out: LeftOut = LeftOut()

    def most(self, values: Array) -> float:
        """An upper bound, at 95 %, on the 95 % quantile: an order statistic, whatever the distribution; inf below 59
        stops, or where it is one that did not stand.
        """
        n = len(values)
        rank = (
            int(binom.ppf(CONFIDENCE, n, SHARE)) + 1
        )  # fewest values of which at least one is beyond the quantile
        return float(np.sort(values)[rank - 1]) if rank <= n else float("inf")

    @property
    def stood(self) -> NDArray[np.bool_]:
        """`(n,)` whether the tool stood within `WATCHED_S`."""
        return np.isfinite(self.time_s)

    @property
    def beyond(self) -> Array:
        """`(n,)` way in excess of what separation reckons with for the robot: v t_reaction + v^2 / (2 braking), in
        m.
        """
        return np.asarray(self.distance - self.speed * REACTION_S - self.speed**2 / (2.0 * BRAKING))

    def _largest(self, values: Array) -> float:
        """Of the stops that ended; 0 where none did."""
        return float(values[self.stood].max(initial=0.0))

    def as_json(self) -> Mapping[str, Any]:
        bounds = {name: self.most(each) for name, each in (("time", self.time_s), ("way", self.distance))}
        known = {name: bound if np.isfinite(bound) else None for name, bound in bounds.items()}
        beyond = self.beyond[self.stood]
        assumed = self.steered == TOOL
        return {
            "task": self.task,
            "policy": self.policy,
            "steered": self.steered,
            "stops": len(self.speed),
            "stops_needed": FEWEST,
            "ended_before_stop": self.left_out.before,
            "ended_within_watched": self.left_out.after,
            "failed_within_watched": {**self.left_out.failed},
            "not_standing": int((~self.stood).sum()),
            "watched_s": WATCHED_S,
            "category": self.category,
            "time_s": {"largest": self._largest(self.time_s), "quantile95_upper95": known["time"]},
            "distance_m": {"largest": self._largest(self.distance), "quantile95_upper95": known["way"]},
            "beyond_assumed_m": {
                "largest": float(beyond.max()) if assumed and len(beyond) else None,
                "braking_assumed": BRAKING if assumed else None,
                "reaction_assumed_s": REACTION_S if assumed else None,
            },
        }

    def table(self) -> str:
        moving, beyond = int((~self.stood).sum()), self.beyond[self.stood]
        lines = [
            f"stops    {self.task}, {self.policy}: {len(self.speed):,} stops of category {self.category} at random moments, "
            + ("drives on" if self.category else "power off, brakes (assumed) on"),
            f"         {'':<12}{'largest':>12}{'95 % of stops, at 95 % confidence':>36}",
            f"         {'time':<12}{self._largest(self.time_s):>10.3f} s{self._shown(self.most(self.time_s), 3, 's'):>36}",
            f"         {'distance':<12}{1000 * self._largest(self.distance):>9.1f} mm"
            f"{self._shown(1000 * self.most(self.distance), 1, 'mm'):>36}",
            f"         {moving} did not stand within {WATCHED_S:g} s",
            *self._without(),
        ]
        if len(beyond) and self.steered == TOOL:
            lines.append(
                f"         separation reckons with v x {REACTION_S:g} s + v^2 / (2 x {BRAKING:g} m/s^2): "
                f"{1000 * beyond.max():+.1f} mm at worst beyond that"
            )
        return "\n".join(lines)

    def _shown(self, bound: float, digits: int, unit: str) -> str:
        """A bound in words, also where there is none."""
        if np.isfinite(bound):
            return f"{bound:.{digits}f} {unit}"
        return f"needs {FEWEST} stops" if len(self.speed) < FEWEST else "none: too many did not stand"

    def _without(self) -> list[str]:
        """The episodes that are not among the stops."""
        out, failed = self.left_out, sum(self.left_out.failed.values())
        lines = []
        if out.before or out.after:
            lines.append(
                f"         left out: {out.before} episodes that ended before their stop, {out.after} that ended within "
                f"{WATCHED_S:g} s after it"
            )
        if failed:
            n = len(self.speed) + out.after + failed
            low, high = (
                at_least(clopper_pearson_lower(failed, n, CONFIDENCE)),
                at_most(clopper_pearson_upper(failed, n, CONFIDENCE)),
            )
            which = ", ".join(f"{reason} {count}" for reason, count in out.failed.items())
            lines.append(
                f"         {failed} of {n} stopped episodes failed within {WATCHED_S:g} s after their stop ({low} to {high}): {which}"
            )
        return lines


class _Watch:
    """Follows every world of a loop and notes what happens after its stop."""

    def __init__(self, task: Task, rows: int, power_off: _PowerOff | None) -> None:
        self.task, self.found = task, dict[int, tuple[float, float, float]]()
        self.power_off = power_off
        self._speed, self._moved, self._way = np.zeros(rows), np.zeros(rows), np.zeros(rows)
        self._last = np.zeros((rows, 3))

    def __call__(self, loop: Loop) -> None:
        worlds = loop.worlds
        after = worlds.steps - moments(self.task, worlds.seeds)
        if self.power_off is not None and len(now := np.flatnonzero(loop.active & (after == 0))):
            self.power_off(loop, now)
        speed, pos = (worlds.signals[f"{self.task.steered}.{name}"] for name in ("speed", "pos"))
        before = loop.active & (after <= 0)
        self._speed[before] = speed[before, -1]
        self._moved[before] = self._way[before] = 0.0
        steps = np.diff(np.concatenate([self._last[:, None], pos], axis=1), axis=1)
        way = np.sqrt((steps * steps).sum(axis=-1))
        moving = speed >= STILL
        last = np.where(moving.any(axis=1), moving.shape[1] - moving[:, ::-1].argmax(axis=1), 0)
        elapsed = (after - 1) * self.task.substeps
        going = loop.active & (after > 0)
        self._moved = np.where(going & (last > 0), (elapsed + last) / self.task.physics_hz, self._moved)
        self._way = np.where(going, self._way + way.sum(axis=1), self._way)
        self._last = pos[:, -1].copy()
        for world in np.flatnonzero(going & (after * self.task.dt >= WATCHED_S)).tolist():
            stands = speed[world, -1] < STILL
            time_s, distance = (self._moved[world], self._way[world]) if stands else (np.inf, np.inf)
            self.found[int(worlds.seeds[world])] = (float(self._speed[world]), float(time_s), float(distance))

    def over(self, loop: Loop) -> NDArray[np.bool_]:
        """Worlds whose stop has been watched for long enough."""
        after = loop.worlds.steps - moments(self.task, loop.worlds.seeds)
        return np.asarray(after * self.task.dt >= WATCHED_S)


def stops(
    policy: Judged, *, episodes: int = 300, seed: int = 0, threads: int = 0, category: int = 1
) -> Stops:
    """Stop a policy once in each of `episodes` episodes, by stops of category 0 or 1. Episodes that ended before their stop or within
    a second after it are counted beside.

    Raises BadInput for numbers that cannot be, for an environment that is not ours, or where every episode ended too soon.
    """
    if policy.task.startswith(FOREIGN):
        raise BadInput(
            f"bench stops: {policy.task} is somebody else's environment; only what works in Genba's own cells can be stopped"
        )
    if not 1 <= episodes <= SEEDS_PER_BASE:
        raise BadInput(f"expected 1 to {SEEDS_PER_BASE:,} episodes, found {episodes}")
    first = first_test_seed(seed)
    if category not in (0, 1):
        raise BadInput(f"expected a stop of category 0 or 1, found {category}")
    task = get_task(policy.task)
    power_off = None if category else _PowerOff(task)
    loop = Loop(OneAtATime(Stopper(policy, task)), task, (), (), min(WORLDS, episodes), threads)
    watch = _Watch(task, loop.worlds.rows, power_off)
    played = (Episode(index, 0, "none", 0, first + index) for index in range(episodes))
    ended = list(loop.play(played, watch, watch.over))
    out = left_out(task, (row for row in ended if row["seed"] not in watch.found))
    if not watch.found:
        raise BadInput(
            f"{policy.name}: no stop could be watched: {out.before} episodes ended before theirs, {out.after} within "
            f"{WATCHED_S:g} s after it, {sum(out.failed.values())} failed after it"
        )
    rows = np.array([watch.found[each] for each in sorted(watch.found)])
    speed, time_s, distance = rows.T
    return Stops(task.id, policy.name, speed, time_s, distance, category, task.steered, out)


def left_out(task: Task, rows: Iterable[Row]) -> LeftOut:
    """What became of the episodes whose stop could not be watched."""
    before, after, failed = 0, 0, Counter[str]()
    for row in rows:
        if row["steps"] <= moments(task, np.array([row["seed"]]))[0]:
            before += 1
        elif row["reason"] in IN_ORDER:
            after += 1
        else:
            failed[row["reason"]] += 1
    return LeftOut(before, after, dict(sorted(failed.items())))
