"""A campaign: a suite run on a policy. The plan is hashed first; shards are written whole; what was killed can go on.

The same policy, suite and seed give the same evidence, byte for byte, whatever the number of worlds or threads and however
often the campaign was interrupted.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ..envs.errors import BadInput
from ..envs.files import atomic_write_bytes, atomic_write_text, plain_json
from ..envs.platform import differences, fingerprint
from ..envs.task import Task, get_task
from .constraints import Binding
from .episodes import Loop, Row, side_by_side, split
from .evidence import (
    checked_shard,
    expected_columns,
    missing_shards,
    platform_of,
    read_evidence,
    read_plan,
    rows_sha256,
    shard_path,
)
from .folders import CONCLUSION, new_check, unfinished_check
from .plan import (
    LARGEST_SEED,
    Assessed,
    NotAssessed,
    Plan,
    PolicyIdentity,
    episodes_per_shard,
    fresh_seed_base,
)
from .policy import Judged, OneAtATime, Policy
from .progress import Progress, Say
from .result import CheckResult, conclude
from .shards import write_shard
from .suite import Suite, load_suite, suite_for

WORLDS = 256
VERSIONS = ("mujoco", "numpy", "onnxruntime")


def check(
    policy: Judged,
    *,
    suite: str | Suite = "",
    seed: int | None = None,
    threads: int = 0,
    resume: bool = False,
    say: Say | None = None,
    worlds: int = WORLDS,
) -> CheckResult:
    """Judge a policy by a suite, leave the evidence in a numbered folder of the policy's run, and say the verdict.

    Args:
        suite: a suite, its id or its file; by default the cell's own.
        seed: 0 to 999,999 fixes the judged episodes; None draws new ones for each attempt.
        threads: engine threads, 0 for all processors; never changes a result.
        resume: go on with the latest unfinished check.
        say: where progress goes (None: nowhere; on a terminal a bar is drawn on stderr).
        worlds: worlds that run together; never changes a result.

    Raises:
        UnknownName, BadInput: a suite, seed or policy that cannot be used.
        KeyboardInterrupt: with what is kept and how to go on.
    """
    began = time.perf_counter()
    task = get_task(policy.task)
    chosen = suite if isinstance(suite, Suite) else load_suite(suite or suite_for(task.id))
    binding = chosen.bind(task)
    _probe(policy, task)
    folder = resumed(policy, task, chosen, seed) if resume else begin(policy, task, chosen, binding, seed)
    campaign = Campaign(folder, read_plan(folder), policy, task, binding)
    monitor_s = campaign.run(worlds, threads, say)
    seconds = time.perf_counter() - began
    result = conclude(read_evidence(folder), seconds, monitor_s / seconds)
    atomic_write_text(folder / CONCLUSION, plain_json(result.as_json()) + "\n")
    return result


def begin(policy: Judged, task: Task, suite: Suite, binding: Binding, seed: int | None) -> Path:
    """Make the next attempt's folder with its plan, hash and platform."""
    if seed is not None and not 0 <= seed <= LARGEST_SEED:
        raise BadInput(f"--seed {seed}: expected 0 to {LARGEST_SEED:,}")
    folder, attempt = new_check(policy.folder)
    base = fresh_seed_base(policy.sha256, suite, attempt) if seed is None else seed
    plan = make_plan(policy, task, suite, binding, base)
    atomic_write_text(folder / "platform.json", plain_json(fingerprint()) + "\n")
    atomic_write_text(folder / "plan.sha256", f"{plan.sha256}  plan.json\n")
    atomic_write_bytes(folder / "plan.json", plan.to_bytes())
    (folder / "shards").mkdir()
    return folder


def make_plan(policy: Policy, task: Task, suite: Suite, binding: Binding, seed_base: int) -> Plan:
    """The plan of one attempt."""
    conditions = suite.conditions
    episodes = suite.episodes_per_condition * len(conditions)
    return Plan(
        task=task.id,
        task_version=task.version,
        cell=dict(task.cell.values),
        damaging=task.damaging,
        suite=suite,
        policy=PolicyIdentity(kind=policy.kind, name=policy.name, sha256=policy.sha256),
        conditions=conditions,
        seed_base=seed_base,
        episodes_per_condition=suite.episodes_per_condition,
        episodes=episodes,
        episodes_per_shard=episodes_per_shard(episodes),
        confidence=suite.verdict.confidence,
        assessed=tuple(Assessed(id=each.constraint.id, unit=each.unit) for each in binding.assessed),
        not_assessed=tuple(NotAssessed(id=each.id, why=why) for each, why in binding.not_assessed),
        metrics=tuple(sorted(task.rewards)),
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """Versions of what computes the evidence."""
    here = fingerprint()
    return {"genba": version("genba"), **{name: here[name] for name in VERSIONS}}


def resumed(policy: Judged, task: Task, suite: Suite, seed: int | None) -> Path:
    """The unfinished check to go on with. Raises BadInput where going on would mix two checks."""
    folder = unfinished_check(policy.folder)
    plan = read_plan(folder)
    asked = make_plan(policy, task, suite, suite.bind(task), plan.seed_base if seed is None else seed)
    for name in Plan.model_fields:
        if getattr(plan, name) != getattr(asked, name):
            raise BadInput(
                f"{folder}: was begun with another {name.replace('_', ' ')}; start a new check without --resume"
            )
    other = differences(platform_of(folder), fingerprint())
    if other:
        raise BadInput(
            f"{folder}: was begun on another platform ({'; '.join(other)}); start a new check without --resume"
        )
    return folder


@dataclass(frozen=True)
class Campaign:
    """The episodes of a plan, run and kept."""

    folder: Path
    plan: Plan
    policy: Policy
    task: Task
    binding: Binding

    def run(self, worlds: int, threads: int, say: Say | None) -> float:
        """Run what is missing; returns the seconds of the whole that were spent in the monitor."""
        plan = self.plan
        missing = missing_shards(self.folder, plan)
        for number in set(range(plan.shards)) - set(missing):
            checked_shard(self.folder, plan, number)
        for draft in (self.folder / "shards").glob(".*.part"):  # left by a kill in the middle of a write
            draft.unlink()
        todo = sum(len(plan.shard(number)) for number in missing)
        if not todo:
            return 0.0
        constraints = [bound.constraint for bound in self.binding.assessed]
        names = [condition.disturbance for condition in plan.conditions]
        policy = OneAtATime(self.policy)
        loops = [
            Loop(policy, self.task, constraints, names, each, cores, plan.metrics)
            for each, cores in split(min(worlds, todo), threads)
        ]
        pending: dict[int, list[Row]] = {number: [] for number in missing}
        successes = ended = 0
        try:
            with (
                Progress("check", plan.episodes, plan.episodes - todo, say) as progress,
                closing(side_by_side(loops, list(plan.episodes_of(missing)))) as rows,
            ):
                for row in rows:
                    ended, successes = ended + 1, successes + row["success"]
                    progress.advance(1, f"success {successes / ended:.1%}")
                    self._keep(row, pending)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._how_to_go_on()) from None
        return sum(loop.monitor_s for loop in loops) / len(loops)

    def _keep(self, row: Row, pending: dict[int, list[Row]]) -> None:
        """Hold a row until its shard is full, then write the shard."""
        number = row["episode"] // self.plan.episodes_per_shard
        rows = pending[number]
        rows.append(row)
        if len(rows) < len(self.plan.shard(number)):
            return
        rows = sorted(pending.pop(number), key=lambda each: int(each["episode"]))
        names = expected_columns(self.plan)
        hashes = {"plan_sha256": self.plan.sha256, "rows_sha256": rows_sha256(rows)}
        write_shard(shard_path(self.folder, number), rows, names, hashes)

    def _how_to_go_on(self) -> str:
        left = sum(len(self.plan.shard(number)) for number in missing_shards(self.folder, self.plan))
        kept = self.plan.episodes - left
        return f"{kept:,} of {self.plan.episodes:,} episodes are kept in {self.folder}; go on with --resume"


def _probe(policy: Policy, task: Task) -> None:
    """Refuse a policy of the wrong shape before anything is written."""
    observation = np.zeros((2, len(task.observation_names)), np.float32)
    action = np.asarray(policy.act(observation, np.zeros(2, np.int64), np.zeros(2, np.int64)))
    wanted = (2, len(task.action_names))
    if action.shape != wanted:
        raise BadInput(
            f"policy {policy.name}: expected actions (n, {wanted[1]}) for observations (n, {observation.shape[1]}), "
            f"found {action.shape} for n = 2"
        )
