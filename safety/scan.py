"""The scan: what a campaign of independent episodes cannot see in a policy, looked for beside it.

    again     some judged episodes once more, in other company and order: what comes out differently is no evidence
    long      undisturbed episodes watched on long after success: drift, and what waits for its time
    walks     episodes before which the robot is walked about at random: whether the policy knows what to do beside its own way
    inputs    columns of met observations swept, alone and in pairs, across what was met of them: where the answer is no number, and where a
              network jumps
    holes     failures followed up: regions of the declared starts in which the policy goes wrong as a rule

Each gates for a reason of its own and with confidence of its own; none enters the rates of the campaign. The same check gives
the same scan, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from ..envs.task import Task
from .constraints import Binding
from .episodes import Loop, Row, side_by_side, split
from .evidence import Evidence
from .plan import Episode, Plan
from .policy import OneAtATime, Policy
from .progress import Progress, Say
from .scan_files import LONG_RUNS, REPEATED, WALK_RUNS, Inputs, Long, Scan, Walks
from .scan_holes import Rules, holes, suspects_of
from .scan_inputs import swept
from .scan_walks import walked
from .search_space import NOT_PLANNED, first_seed

Rows = NDArray[np.float32]
Beyond = tuple[Long, Inputs, Walks | None]

LONGER = 2.0  # horizons that episodes are watched on for
MOVES = 0.02  # m/s: a tool that is told less than this stands, as the suite `basic` has it
MET_EVERY = 10  # ticks between two observations that are kept
OFFSET = 1 << 21  # the scan's seeds lie beyond those of a search


class Heard:
    """A policy, and some of the observations it was asked about in undisturbed episodes."""

    def __init__(self, policy: Policy) -> None:
        self.kind, self.name, self.sha256 = policy.kind, policy.name, policy.sha256
        self._policy, self.met = policy, list[Rows]()

    def act(self, observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
        """As the policy acts."""
        if steps[0] % MET_EVERY == 0:
            self.met.append(observation.copy())
        return self._policy.act(observation, seeds, steps)


def scan(
    evidence: Evidence,
    policy: Policy,
    task: Task,
    binding: Binding,
    threads: int = 0,
    say: Say | None = None,
    known: Beyond | None = None,
) -> Scan:
    """Look beside a finished campaign.

    Args:
        evidence: all of its rows.
        policy, task, binding: what it judged, where, by what.
        threads: engine threads, 0 for all processors; never changes a result.
        known: what was found beyond the plan already (see `beyond`).
    """
    plan = evidence.plan
    hard = tuple(each.constraint.id for each in binding.assessed if each.constraint.hard)
    with Progress("scan", 3, 0, say) as progress:
        repeated, changed = again(evidence, policy, task, binding, threads)
        progress.advance(1, "episodes again")
        long, inputs, walks = known or beyond(plan, policy, task, binding, threads)
        progress.advance(1, "long runs, inputs and walks")
        rules = Rules(hard, bool(plan.suite.verdict.success))
        suspects = suspects_of(evidence, task, rules)
        player = Player(plan, policy, task, binding, threads)
        found, played = holes(suspects, player, _base(plan) + LONG_RUNS + WALK_RUNS, rules, plan.confidence)
        progress.advance(1, "failures followed up")
    return Scan(
        plan_sha256=plan.sha256,
        repeated=repeated,
        changed=tuple(changed),
        inputs=inputs,
        long=long,
        walks=walks,
        suspects=len(suspects),
        holes=tuple(found),
        episodes=repeated + long.runs + (walks.runs if walks is not None else 0) + played,
    )


class Player:
    """Plays undisturbed episodes in their order; its worlds are made when the first are asked for."""

    def __init__(self, plan: Plan, policy: Policy, task: Task, binding: Binding, threads: int) -> None:
        self.policy, self.task, self.threads = OneAtATime(policy), task, threads
        self.constraints = [each.constraint for each in binding.assessed]
        self.loops: list[Loop] = []

    def __call__(self, episodes: Sequence[Episode]) -> list[Row]:
        if not self.loops:
            self.loops = [
                Loop(self.policy, self.task, self.constraints, (), each, cores)
                for each, cores in split(len(episodes), self.threads)
            ]
        with closing(side_by_side(self.loops, episodes)) as rows:
            found = {row["episode"]: row for row in rows}
        return [found[each.index] for each in episodes]


def beyond(plan: Plan, policy: Policy, task: Task, binding: Binding, threads: int = 0) -> Beyond:
    """What is found without the episodes of a plan: in its long runs, by sweeping what was met in them, and after random walks (of a robot
    that is steered by speeds)."""
    base = _base(plan)
    long, met = long_runs(plan, policy, task, binding, base, threads)
    names = [name for name, _ in task.observation_names]
    inputs = swept(policy, met, names, list(task.columns.values()))
    hard = [each.constraint for each in binding.assessed if each.constraint.hard]
    walks = walked(policy, task, hard, first_seed(base) + LONG_RUNS, threads) if task.commands else None
    return long, inputs, walks


def _base(plan: Plan) -> int:
    """Where the seeds of a plan's scan begin."""
    return OFFSET + 4 * (plan.seed_base % OFFSET) * OFFSET


def again(
    evidence: Evidence, policy: Policy, task: Task, binding: Binding, threads: int
) -> tuple[int, list[int]]:
    """Episodes of the plan played once more, the last first: how many, and which came out differently."""
    plan, count = evidence.plan, min(REPEATED, len(evidence))
    chosen = np.linspace(len(evidence) - 1, 0, count).astype(np.int64).tolist()
    names = [condition.disturbance for condition in plan.conditions]
    constraints = [each.constraint for each in binding.assessed]
    loop = Loop(policy, task, constraints, names, count, threads, plan.metrics)
    rows = {row["episode"]: row for row in loop.play([plan.episode(index) for index in chosen])}
    stored = {index: evidence.row(index) for index in chosen}
    changed = [index for index in chosen if rows[index]["trace_sha256"] != stored[index]["trace_sha256"]]
    return count, sorted(changed)


class _Told:
    """How fast the robot is told to move when an episode ends that succeeded."""

    def __init__(self, task: Task) -> None:
        self.scale = np.array([scale if unit == "m/s" else 0.0 for unit, scale in task.commands])
        self.restless, self.fastest = 0, 0.0

    def __call__(self, loop: Loop) -> None:
        worlds = loop.worlds
        for world in np.flatnonzero(loop.active & worlds.done & np.isfinite(worlds.cycle_s)):
            speed = float(np.sqrt(np.square(worlds.held["action"][world] * self.scale).sum()))
            self.fastest = max(self.fastest, speed)
            self.restless += speed > MOVES


def long_runs(
    plan: Plan, policy: Policy, task: Task, binding: Binding, base: int, threads: int
) -> tuple[Long, Rows]:
    """Episodes that are watched on after success, and observations `(n, d)` met in them."""
    hard = [each.constraint for each in binding.assessed if each.constraint.hard]
    heard, seconds = Heard(policy), LONGER * task.horizon_s
    loop = Loop(heard, task, hard, (), LONG_RUNS, threads, tail_s=seconds)
    first = first_seed(base)
    episodes = [Episode(i, NOT_PLANNED, "none", 0, first + i) for i in range(LONG_RUNS)]
    told = _Told(task)
    rows = list(loop.play(episodes, told))
    broken = {each.id: sum(not row[f"margin.{each.id}"] >= 0.0 for row in rows) for each in hard}
    not_kept = sum(not row["success"] and np.isfinite(row["cycle_s"]) for row in rows) if task.lasting else 0
    long = Long(
        runs=LONG_RUNS,
        seconds=seconds,
        broken=broken,
        not_kept=int(not_kept),
        restless=told.restless,
        fastest=told.fastest,
    )
    return long, np.concatenate(heard.met)
