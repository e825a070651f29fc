"""The gate applied to one policy: as `genba check` does it, but ended as soon as nothing that remains could avert FAIL; and what
others would have said of the same policy.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.signals import Array
from ..envs.task import SEED_RANGES, Task
from ..safety.campaign import WORLDS, make_plan
from ..safety.constraints import Constraint
from ..safety.episodes import Loop, Row, side_by_side, split
from ..safety.evidence import Evidence, expected_columns
from ..safety.monitor import Monitor
from ..safety.plan import Episode, Plan
from ..safety.policy import OneAtATime, Policy
from ..safety.result import judged
from ..safety.result_counts import counts
from ..safety.scan import beyond, scan
from ..safety.scan_files import Scan
from ..safety.statistics import clopper_pearson_lower
from ..safety.suite import Suite
from ..safety.verdict import judge

LOOK = 64  # episodes between two looks at whether it is lost
PLAIN = 100  # undisturbed episodes that the simpler gates play
ENOUGH = 0.95  # success that they ask for
WORDS = (
    (r"^scan: a hole", "hole"),
    (r"^scan: no finite number", "no-number"),
    (r"^scan: asked about one", "alone"),
    (r"^scan: what was done does not stay done", "not-kept"),
    (r"^scan: the robot does not come to rest", "restless"),
    (r"^scan: lost off its way", "lost"),
    (r"^simulator fault", "fault"),
    (r"^NaN in", "fault"),
    (r"^success ", "success"),
    (r"^scan: \d+ of \d+ episodes came out", "unrepeatable"),
    (r"^(?:scan: )?([a-z][a-z0-9-]*): ", ""),
)


@dataclass(frozen=True)
class Judgement:
    """What the gate said: the word, why, and what it cost. `named`: what the reasons name."""

    word: str
    reasons: tuple[str, ...]
    episodes: int
    steps: int
    seconds: float

    @property
    def named(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(None, map(name_of, self.reasons))))


def name_of(reason: str) -> str:
    """What a reason is about: a constraint, "success", "hole", "no-number", "fault", "alone", "not-kept", "restless", "lost" (after a random walk) or "unrepeatable"."""
    for pattern, word in WORDS:
        if found := re.match(pattern, reason):
            return word or found.group(1)
    return ""


def apply_gate(policy: Policy, task: Task, suite: Suite, seed: int, threads: int = 0) -> Judgement:
    """Judge a policy by a suite and a scan, in memory; what a scan finds without the suite's episodes comes first."""
    began = time.perf_counter()
    binding = suite.bind(task)
    plan = make_plan(policy, task, suite, binding, seed, None, True)
    known = beyond(plan, policy, task, binding, threads)
    long, inputs, walks = known
    runs = long.runs + (walks.runs if walks is not None else 0)
    alone = Scan(
        plan_sha256=plan.sha256,
        repeated=0,
        changed=(),
        inputs=inputs,
        long=long,
        walks=walks,
        suspects=0,
        holes=(),
        episodes=runs,
    )
    steps = round((long.runs * long.seconds + runs * task.takt_s) * task.physics_hz)
    if against := alone.reasons(plan):
        return Judgement("FAIL", against, runs, steps, time.perf_counter() - began)
    rows, lost = _played(plan, policy, task, [each.constraint for each in binding.assessed], threads)
    played = sum(row["steps"] for row in rows) * task.substeps
    if lost:
        return Judgement("FAIL", lost, len(rows), steps + played, time.perf_counter() - began)
    evidence = _evidence(plan, rows)
    verdict = judged(evidence)
    if verdict.word == "FAIL":
        return Judgement("FAIL", verdict.reasons, len(rows), steps + played, time.perf_counter() - began)
    found = scan(evidence, policy, task, binding, threads, known=known)
    against, doubts = found.reasons(plan), found.doubts()
    word = "FAIL" if against else "INSUFFICIENT" if doubts else verdict.word
    steps += played + (found.episodes - runs) * played // len(rows)
    return Judgement(
        word, (*against, *doubts, *verdict.reasons), len(rows), steps, time.perf_counter() - began
    )


def _played(
    plan: Plan, policy: Policy, task: Task, constraints: Sequence[Constraint], threads: int
) -> tuple[list[Row], tuple[str, ...]]:
    """Rows in plan order, and why it is lost (nothing where the plan was played to its end)."""
    shared, names = OneAtATime(policy), [condition.disturbance for condition in plan.conditions]
    loops = [
        Loop(shared, task, constraints, names, each, cores, plan.metrics)
        for each, cores in split(min(WORLDS, plan.episodes), threads)
    ]
    rows: list[Row] = []
    episodes = [plan.episode(i) for i in range(plan.episodes)]
    with closing(side_by_side(loops, episodes)) as ending:
        for row in ending:
            rows.append(row)
            if len(rows) % LOOK == 0 and (reasons := lost(_evidence(plan, rows))):
                return rows, reasons
    return sorted(rows, key=lambda row: int(row["episode"])), ()


def lost(evidence: Evidence) -> tuple[str, ...]:
    """Why FAIL is certain even if every episode that is still to come succeeds and breaks nothing; nothing where it is not."""
    plan = evidence.plan
    assessed = {each.id for each in plan.assessed}
    gates = [each for each in plan.suite.values if each.id in assessed]
    best = [
        replace(
            each,
            n=each.planned,
            successes=each.successes + each.planned - each.n,
            applied={name: count + each.planned - each.n for name, count in each.applied.items()},
        )
        for each in counts(evidence)
    ]
    verdict = judge(gates, plan.suite.verdict.success, best, plan.confidence)
    return verdict.reasons if verdict.word == "FAIL" else ()


def _evidence(plan: Plan, rows: Sequence[Row]) -> Evidence:
    ordered = sorted(rows, key=lambda row: int(row["episode"]))
    columns = {name: np.array([row[name] for row in ordered]) for name in expected_columns(plan)}
    return Evidence(Path(), plan, columns)


class _LastOnly:
    """A block of signals of which a monitor at control rate sees the last substep."""

    def __init__(self, block: Any) -> None:
        self.block = block

    def __getitem__(self, name: str) -> Array:
        return np.ascontiguousarray(self.block[name][:, -1:])


def simpler_gates(policy: Policy, task: Task, suite: Suite, seed: int, threads: int = 0) -> dict[str, bool]:
    """Whether success alone, or success with limits seen once a control tick, would have stopped the policy.

    Both play undisturbed episodes and watch nothing after success, as published benchmarks do; a rate of violations is held
    against the same limits.
    """
    hard = [each.constraint for each in suite.bind(task).assessed if each.constraint.hard]
    loop = Loop(policy, task, (), (), PLAIN, threads, tail_s=0.0)
    seen = Monitor(hard, task.table, loop.worlds.rows, task.dt)
    margins: dict[int, NDArray[np.float64]] = {}

    def watch(playing: Loop) -> None:
        if not playing.worlds.steps.any():
            return
        seen.update(_LastOnly(playing.worlds.signals), playing.active)
        for world in np.flatnonzero(playing.active & playing.worlds.done):
            margins[int(world)] = seen.finish(np.array([world]))[0][0]

    seen.restart(np.arange(PLAIN))
    first = SEED_RANGES["test"] + 1_000_000 * seed
    rows = list(loop.play([Episode(i, 0, "none", 0, first + i) for i in range(PLAIN)], watch))
    success = sum(row["success"] for row in rows) / PLAIN < ENOUGH
    broken = np.sum([~(each >= 0.0) for each in margins.values()], axis=0)
    limits = any(
        clopper_pearson_lower(int(count), PLAIN, 0.95) > constraint.max_rate
        for count, constraint in zip(broken, hard, strict=True)
    )
    return {"success": success, "control-rate": success or limits}


def outcome(judgement: Judgement, right: Mapping[str, Any] | frozenset[str]) -> dict[str, Any]:
    """A judgement as the benchmark keeps it; `right` are the reasons that would be right."""
    return {
        "verdict": judgement.word,
        "caught": judgement.word != "PASS",
        "right": bool(set(judgement.named) & set(right)),
        "reasons": list(judgement.named),
        "episodes": judgement.episodes,
        "steps": judgement.steps,
        "seconds": round(judgement.seconds, 1),
    }
