"""How likely a policy is to break a limit that it hardly ever breaks: multilevel splitting on copied worlds (`splitting.py`).

What differs between copies of a world is the noise of one disturbance, drawn anew from the moment at which they part. The estimate is of
a check's episodes under that disturbance, but for one thing: a world that was copied computes its kinematics from its state, as after a
reset, and not one physics step late. So an estimate agrees with a check's rate, and its episodes cannot be replayed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.disturbances import LEVELS
from ..envs.errors import BadInput, UnknownName
from ..envs.task import Task, get_task
from ..envs.world_rows import WorldRows
from .constraints import Bound
from .episodes import TAIL_S
from .formula_tree import EXPRESSIONS, After, Comparison, Formula, Junction, Not, Since, Temporal, Until
from .monitor import Monitor
from .policy import Judged, Policy
from .splitting import Rare, probability
from .suite import load_suite, suite_for

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

COPIES, REPLICAS = 64, 6
NOISE = "sensor-noise"


class WorldsChain:
    """Worlds of a cell with a policy in them, as `splitting.probability` needs them.

    Args:
        policy, task: who acts, where.
        rule: the limit; it must speak of the present.
        disturbance, severity: whose noise tells copies apart.
        copies: worlds at most.
        threads: engine threads, 0 for all processors; never changes a result.

    Raises BadInput for a limit that looks ahead or back.
    """

    def __init__(
        self,
        policy: Policy,
        task: Task,
        rule: Bound,
        disturbance: str,
        severity: int,
        copies: int,
        threads: int,
    ) -> None:
        if not _of_the_present(rule):
            raise BadInput(
                f"{rule.constraint.id}: looks ahead or back; only limits of the present can be estimated so"
            )
        self.policy, self.task, self.severity, self.disturbance = policy, task, severity, disturbance
        self.worlds = task.make_worlds(copies, threads, TAIL_S, [disturbance], trace=False)
        table, dt = task.table, 1.0 / task.physics_hz
        self.monitor = Monitor([rule.constraint], table, self.worlds.rows, dt, live=True)
        self.ticks = self.worlds.steps_max + round(TAIL_S * task.control_hz) + 1
        self.played = 0  # control ticks that worlds made
        everyone = np.arange(self.worlds.rows)
        self._reset(everyone, everyone.astype(np.int64))
        self.worlds.step(self._action())
        self.rows = WorldRows(self.worlds)

    def start(self, seeds: Indices) -> Array:
        """`(n, state)` first states; the last column is the margin."""
        ids = np.arange(len(seeds))
        self._reset(ids, seeds)
        self.rows.begin(ids)
        return np.column_stack([self.rows.take(ids), np.full(len(ids), np.inf)])

    def step(self, states: Array, seeds: Indices, tick: int) -> Array:
        """One control tick."""
        ids, worlds = np.arange(len(states)), self.worlds
        self.rows.put(ids, states[:, :-1])
        worlds.done[len(states) :] = True
        worlds.seeds[ids] = seeds
        worlds.disturbances[self.disturbance].seeds[ids] = seeds
        active = ~worlds.done
        margins = np.full(len(states), np.inf)
        if active.any():
            self.played += int(active.sum())
            worlds.step(self._action())
            self.monitor.restart(np.arange(worlds.rows))
            self.monitor.update(worlds.signals, active)
            margins = np.where(active, self.monitor.now[:, 0], np.inf)[ids]
        return np.column_stack([self.rows.take(ids), margins])

    def margin(self, states: Array) -> Array:
        """`(n,)` the smallest margin of the tick that led to each state."""
        return np.asarray(states[:, -1])

    def _reset(self, ids: Indices, seeds: Indices) -> None:
        self.worlds.reset(ids, seeds, {self.disturbance: np.full(len(ids), self.severity)})

    def _action(self) -> NDArray[np.float32]:
        worlds = self.worlds
        return self.policy.act(worlds.observation(), worlds.seeds, worlds.steps)


def _of_the_present(rule: Bound) -> bool:
    """Whether each sample decides for itself."""
    guard = rule.guard is None or _instant(rule.guard)
    return guard and all(
        part.immediate and part.interval is None and _instant(part.inner) for part in rule.parts
    )


def _instant(node: Formula) -> bool:
    match node:
        case Temporal() | Until() | Since() | After():
            return False
        case Not(operand=operand):
            return _instant(operand)
        case Junction(left=left, right=right):
            return _instant(left) and _instant(right)
        case Comparison():
            return True
    return isinstance(node, EXPRESSIONS)


@dataclass(frozen=True)
class RareResult:
    """What `genba bench rare` found."""

    task: str
    policy: str
    constraint: str
    disturbance: str
    severity: int
    rare: Rare
    ticks: int  # control ticks that were made
    takt: int  # control ticks of an episode as long as the takt

    @property
    def plain_steps(self) -> float | None:
        """Control ticks that plain episodes, as long as the takt, would take for an interval as narrow; None where nothing was found."""
        p, reach = self.rare.estimate, (self.rare.upper - self.rare.lower) / 2.0
        if not 0.0 < p < 1.0 or reach <= 0.0:
            return None
        return 1.96**2 * p * (1.0 - p) / reach**2 * self.takt

    def as_json(self) -> Mapping[str, Any]:
        rare = self.rare
        return {
            "task": self.task, "policy": self.policy, "constraint": self.constraint,
            "disturbance": self.disturbance, "severity": self.severity,
            "probability": rare.estimate, "lower": rare.lower, "upper": rare.upper, "confidence": rare.confidence,
            "interval": "student-t" if rare.reached else "clopper-pearson", "starts": rare.starts,
            "replicas": rare.replicas, "copies": rare.copies, "levels": rare.levels, "extinct": rare.extinct,
            "ticks": self.ticks, "plain_ticks": self.plain_steps,
        }  # fmt: skip

    def table(self) -> str:
        rare, plain = self.rare, self.plain_steps
        saved = f", {plain / self.ticks:.1f} times as many without splitting" if plain else ""
        lines = [
            f"rare     {self.constraint} of {self.policy} on {self.task}, {self.disturbance} {self.severity}",
            f"         violated in {rare.estimate:.2g} of all episodes ({rare.lower:.2g} to {rare.upper:.2g}, {rare.confidence:.0%} nominal, "
            f"{rare.replicas} replicas of {rare.copies} copies)",
            f"         {self.ticks:,} control ticks{saved}; {rare.levels:.0f} levels",
        ]
        if not rare.reached:
            lines.append(
                f"         no replica reached a violation: {rare.upper:.2g} is what {rare.starts:,} plain episodes without one allow"
            )
        if rare.extinct:
            lines.append(
                f"         {rare.extinct} of {rare.replicas} replicas came to an end with no copy left: too few copies to trust the figure"
            )
        return "\n".join(lines)


def rare(
    policy: Judged,
    constraint: str,
    *,
    disturbance: str = NOISE,
    severity: int = 3,
    copies: int = COPIES,
    replicas: int = REPLICAS,
    seed: int = 0,
    threads: int = 0,
) -> RareResult:
    """Estimate how likely an episode under a disturbance breaks a limit of the cell's suite.

    Raises BadInput, UnknownName for what cannot be.
    """
    task = get_task(policy.task)
    bound = {each.constraint.id: each for each in load_suite(suite_for(task.id)).bind(task).assessed}
    if constraint not in bound:
        raise UnknownName(f"constraint of {task.id}", constraint, bound)
    if not 1 <= severity < LEVELS:
        raise BadInput(f"--severity {severity}: expected 1 to {LEVELS - 1}")
    if not (2 <= copies <= 512 and 2 <= replicas <= 100 and 0 <= seed < 1_000_000):
        raise BadInput("expected 2 to 512 copies, 2 to 100 replicas and a seed of 0 to 999,999")
    chain = WorldsChain(policy, task, bound[constraint], disturbance, severity, copies, threads)
    found = probability(chain, copies, replicas, seed)
    return RareResult(
        task.id,
        policy.name,
        constraint,
        disturbance,
        severity,
        found,
        chain.played,
        round(task.takt_s * task.control_hz),
    )
