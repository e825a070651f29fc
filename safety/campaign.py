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
from ..envs.files import atomic_write_bytes, atomic_write_text, plain_json, writing
from ..envs.platform import differences, fingerprint
from ..envs.task import SEED_RANGES, Task, get_task
from .constraints import Binding
from .episodes import TAIL_S, Loop, Row, side_by_side, split
from .evidence import (
    Evidence,
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
    SEEDS_PER_BASE,
    Assessed,
    Looks,
    NotAssessed,
    Plan,
    PolicyIdentity,
    chosen_seed,
    episodes_per_shard,
    fresh_seed_base,
    look_shards,
)
from .policy import Judged, OneAtATime, Policy
from .progress import Progress, Say
from .result import CheckResult, conclude, judged
from .scan import scan as look
from .scan_files import read_scan, write_scan
from .shards import write_shard
from .strata import check_strata
from .suite import Suite, check_conditions, load_suite, suite_for

WORLDS = 256
LOOK_EVERY = 256  # episodes at least, of a check that stops when it is decided
BUDGET = 4  # times the suite's episodes: what such a check may use up to
PROBED = (2, 3)  # observations at once: some policies answer one number of rows only
RESUME = "--resume"
VERSIONS = ("mujoco", "numpy", "onnxruntime")


def check(
    policy: Judged,
    *,
    suite: str | Suite = "",
    seed: int | None = None,
    threads: int = 0,
    resume: bool | Path = False,
    say: Say | None = None,
    worlds: int = WORLDS,
    until: UntilDecided | None = None,
    scan: bool = False,
    again: str = RESUME,
) -> CheckResult:
    """Judge a policy by a suite, leave the evidence in a numbered folder of the policy's run, and say the verdict.

    Args:
        suite: a suite, its id or its file; by default the cell's own.
        seed: 0 to 999,999 fixes the judged episodes; None draws new ones for each attempt.
        threads: engine threads, 0 for all processors; never changes a result.
        resume: go on with the latest unfinished check, or with the one in this folder.
        say: where progress goes (None: nowhere; on a terminal a bar is drawn on stderr).
        worlds: worlds that run together; never changes a result.
        until: stop as soon as it is decided, by bounds that hold at every look; None: the suite's number of episodes.
        scan: then look for what independent episodes cannot see (`scan.py`), unless FAIL is certain already.
        again: how whoever is interrupted goes on, for messages.

    Raises:
        UnknownName, BadInput: a suite, seed or policy that cannot be used.
        KeyboardInterrupt: with what is kept and how to go on.
    """
    began = time.perf_counter()
    task = get_task(policy.task)
    chosen = suite if isinstance(suite, Suite) else load_suite(suite or suite_for(task.id))
    check_conditions(chosen, task)
    binding = chosen.bind(task)
    _probe(policy, task)
    folder = (
        resumed(policy, task, chosen, seed, until, scan, resume if isinstance(resume, Path) else None)
        if resume
        else begin(policy, task, chosen, binding, seed, until, scan)
    )
    campaign = Campaign(folder, read_plan(folder), policy, task, binding, again)
    monitor_s = campaign.run(worlds, threads, say)
    ran = time.perf_counter() - began
    evidence = read_evidence(folder)
    scanned(evidence, policy, task, binding, threads, say)
    result = conclude(evidence, time.perf_counter() - began, monitor_s / ran)
    with writing(folder, f"all episodes are kept; free some space and conclude with {again}"):
        atomic_write_text(folder / CONCLUSION, plain_json(result.as_json()) + "\n")
    return result


def scanned(
    evidence: Evidence, policy: Policy, task: Task, binding: Binding, threads: int, say: Say | None
) -> None:
    """Scan where the plan asks for it, it has not been done and FAIL is not certain already."""
    plan, folder = evidence.plan, evidence.folder
    if not plan.scan or read_scan(folder, plan) is not None or judged(evidence).word == "FAIL":
        return
    try:
        found = look(evidence, policy, task, binding, threads, say)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"all episodes are kept in {folder}; go on with --resume") from None
    with writing(folder, "all episodes are kept; free some space and conclude with --resume"):
        write_scan(folder, found)


def begin(
    policy: Judged,
    task: Task,
    suite: Suite,
    binding: Binding,
    seed: int | None,
    until: UntilDecided | None = None,
    scan: bool = False,
) -> Path:
    """Make the next attempt's folder with its plan, hash and platform. Raises BadInput, and makes none, where no plan can be."""
    if seed is not None:
        chosen_seed(seed)
    least = len(suite.conditions) * (suite.strata.parts if suite.strata else 1)
    if until and until.at_most is not None and not least <= until.at_most <= SEEDS_PER_BASE:
        raise BadInput(
            f"--at-most {until.at_most}: expected {least} (one episode a condition and stratum) to {SEEDS_PER_BASE:,}"
        )
    if suite.strata:
        check_strata(suite.strata, task)
    make_plan(policy, task, suite, binding, seed or 0, until, scan)  # before a folder is there
    with writing(policy.folder):
        folder, attempt = new_check(policy.folder)
        base = fresh_seed_base(policy.sha256, suite, attempt) if seed is None else seed
        plan = make_plan(policy, task, suite, binding, base, until, scan)
        (folder / "shards").mkdir()
        atomic_write_text(folder / "platform.json", plain_json(fingerprint()) + "\n")
        atomic_write_text(folder / "plan.sha256", f"{plan.sha256}  plan.json\n")
        atomic_write_bytes(
            folder / "plan.json", plan.to_bytes()
        )  # last: a check with a plan can be gone on with
    return folder


def make_plan(
    policy: Policy,
    task: Task,
    suite: Suite,
    binding: Binding,
    seed_base: int,
    until: UntilDecided | None = None,
    scan: bool = False,
) -> Plan:
    """The plan of one attempt. Raises BadInput for a suite of more episodes than an attempt has seeds."""
    conditions = suite.conditions
    each, shard, looks = suite.episodes_per_condition, 0, None
    if until:
        most = BUDGET * each * len(conditions) if until.at_most is None else until.at_most
        parts = suite.strata.parts if suite.strata else 1
        each = min(most, SEEDS_PER_BASE) // (len(conditions) * parts) * parts
        shard, every = look_shards(len(conditions) * parts, until.look_every)
        looks = Looks(every=every)
    episodes = each * len(conditions)
    if episodes > SEEDS_PER_BASE:
        raise BadInput(
            f"suite {suite.id}: {len(conditions)} conditions x {each:,} episodes are {episodes:,}, expected at most "
            f"{SEEDS_PER_BASE:,}; lower episodes_per_condition to {SEEDS_PER_BASE // len(conditions):,} or less"
        )
    return Plan(
        task=task.id,
        task_version=task.version,
        cell=dict(task.cell.values),
        damaging=task.damaging,
        suite=suite,
        policy=PolicyIdentity(kind=policy.kind, name=policy.name, sha256=policy.sha256),
        conditions=conditions,
        seed_base=seed_base,
        episodes_per_condition=each,
        episodes=episodes,
        episodes_per_shard=shard or episodes_per_shard(episodes),
        confidence=suite.verdict.confidence,
        assessed=tuple(Assessed(id=each.constraint.id, unit=each.unit) for each in binding.assessed),
        not_assessed=tuple(NotAssessed(id=each.id, why=why) for each, why in binding.not_assessed),
        metrics=tuple(sorted(task.rewards)),
        versions=versions(task),
        looks=looks,
        scan=scan,
    )


def versions(task: Task) -> dict[str, str]:
    """Versions of what computes the evidence: Genba, what arithmetic depends on, and the cell by its hash."""
    here = fingerprint()
    known = {"genba": version("genba"), **{name: here[name] for name in VERSIONS}}
    return known if task.foreign else {**known, "cell": task.cell_sha256[:16]}


def resumed(
    policy: Judged,
    task: Task,
    suite: Suite,
    seed: int | None,
    until: UntilDecided | None = None,
    scan: bool = False,
    folder: Path | None = None,
) -> Path:
    """The unfinished check to go on with (None: the latest). Raises BadInput where going on would mix two checks."""
    folder = folder or unfinished_check(policy.folder)
    plan = read_plan(folder)
    base = plan.seed_base if seed is None else seed
    asked = make_plan(policy, task, suite, suite.bind(task), base, until, scan)
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
class UntilDecided:
    """Look at least every `look_every` episodes and stop when decided; `at_most` episodes (None: 4 times the
    suite's).
    """

    at_most: int | None = None
    look_every: int = LOOK_EVERY


def stopping(until_decided: bool, at_most: int | None) -> UntilDecided | None:
    """What --until-decided and --at-most ask for. Raises BadInput for a budget without the former."""
    if at_most is not None and not until_decided:
        raise BadInput("--at-most goes with --until-decided; a fixed number of episodes stands in the suite")
    return UntilDecided(at_most) if until_decided else None


@dataclass(frozen=True)
class Campaign:
    """The episodes of a plan, run and kept."""

    folder: Path
    plan: Plan
    policy: Policy
    task: Task
    binding: Binding
    again: str = RESUME

    def run(self, worlds: int, threads: int, say: Say | None) -> float:
        """Run what is missing; returns the seconds of the whole that were spent in the monitor."""
        plan = self.plan
        missing = missing_shards(self.folder, plan)
        for number in set(range(plan.shards)) - set(missing):
            checked_shard(self.folder, plan, number)
        with writing(self.folder):
            for draft in (self.folder / "shards").glob(".*.part"):  # left by a kill in the middle of a write
                draft.unlink()
        todo = sum(len(plan.shard(number)) for number in missing)
        if not todo:
            return 0.0
        loops = self._loops(min(worlds, todo), threads)
        with Progress("check", plan.episodes, plan.episodes - todo, say) as progress:
            for end in plan.ends:
                self._play(loops, missing_shards(self.folder, plan, end), progress)
                if plan.looks and judged(read_evidence(self.folder, end)).word != "INSUFFICIENT":
                    break
        return sum(loop.monitor_s for loop in loops) / len(loops)

    def _loops(self, worlds: int, threads: int) -> list[Loop]:
        """What plays the episodes."""
        plan = self.plan
        constraints = [bound.constraint for bound in self.binding.assessed]
        names = [condition.disturbance for condition in plan.conditions]
        policy = OneAtATime(self.policy)
        return [
            Loop(policy, self.task, constraints, names, each, cores, plan.metrics)
            for each, cores in split(worlds, threads)
        ]

    def _play(self, loops: list[Loop], shards: list[int], progress: Progress) -> None:
        """Play and keep the episodes of some shards."""
        pending: dict[int, list[Row]] = {number: [] for number in shards}
        successes = ended = 0
        try:
            with closing(side_by_side(loops, list(self.plan.episodes_of(shards)))) as rows:
                for row in rows:
                    ended, successes = ended + 1, successes + row["success"]
                    progress.advance(1, f"success {successes / ended:.1%}")
                    self._keep(row, pending)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._how_to_go_on()) from None

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
        with writing(self.folder, self._how_to_go_on):
            write_shard(shard_path(self.folder, number), rows, names, hashes)

    def _how_to_go_on(self) -> str:
        left = sum(len(self.plan.shard(number)) for number in missing_shards(self.folder, self.plan))
        kept = self.plan.episodes - left
        of = f"{'at most ' if self.plan.looks else ''}{self.plan.episodes:,}"
        return f"{kept:,} of {of} episodes are kept in {self.folder}; go on with {self.again}"


def _probe(policy: Policy, task: Task) -> None:
    """Refuse a policy of the wrong shape before anything is written, by what it will meet first: real starts, none that is judged."""
    width, channels = len(task.observation_names), len(task.action_names)
    most = max(PROBED)
    worlds = task.make_worlds(most, 1, TAIL_S, [], trace=False)
    worlds.reset(np.arange(most), SEED_RANGES["train"] + np.arange(most, dtype=np.int64))
    seen = worlds.observation()
    for n in PROBED:
        action = np.asarray(policy.act(seen[:n].copy(), worlds.seeds[:n].copy(), worlds.steps[:n].copy()))
        if action.shape != (n, channels):
            raise BadInput(
                f"policy {policy.name}: expected actions (n, {channels}) for observations (n, {width}), "
                f"found {action.shape} for n = {n}"
            )
