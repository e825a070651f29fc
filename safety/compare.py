"""Two policies on the same episodes: paired differences, what got worse first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput, GenbaError, printable
from ..envs.platform import differences, fingerprint
from ..envs.task import get_task
from .campaign import check, make_plan
from .evidence import Evidence, platform_of, read_evidence, read_plan
from .folders import CONCLUSION, attempts, unfinished
from .plan import chosen_seed
from .policy import Judged
from .progress import Say
from .result_counts import violated
from .statistics import (
    Interval,
    bonferroni,
    paired_mean_difference,
    paired_quantile_difference,
    paired_rate_difference,
)
from .suite import Suite, load_suite, suite_for

CONFIDENCE = 0.95
LOW_SHARE = 0.05  # the quantile of margins that is compared
ORDER = {"worse": 0, "better": 1, "no difference shown": 2}
ORDER_SHOWN, ALWAYS_SHOWN = ("worse", "better"), ("success", "cycle time")
LISTED = 20
AGAIN = "the same genba compare"


@dataclass(frozen=True)
class Difference:
    """One quantity of both policies: `interval` is that of B minus A; together all intervals hold with 95 %."""

    what: str
    unit: str
    a: float
    b: float
    interval: Interval
    higher_is_better: bool

    @property
    def word(self) -> str:
        if not self.interval.excludes_zero:
            return "no difference shown"
        return "better" if (self.interval.estimate > 0) == self.higher_is_better else "worse"

    def as_json(self) -> dict[str, Any]:
        return {"what": self.what, "unit": self.unit, "a": self.a, "b": self.b, "difference": self.interval.estimate,
                "lower": self.interval.lower, "upper": self.interval.upper, "n": self.interval.n, "word": self.word}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Differences, what got worse first, and the episodes that A kept and B did not."""

    a: Evidence
    b: Evidence
    differences: tuple[Difference, ...]
    regressions: tuple[Mapping[str, Any], ...]
    regressed: int

    def as_json(self) -> Mapping[str, Any]:
        return {
            "a": {
                **self.a.plan.policy.model_dump(),
                "check": str(self.a.folder),
                "evidence_sha256": self.a.sha256,
            },
            "b": {
                **self.b.plan.policy.model_dump(),
                "check": str(self.b.folder),
                "evidence_sha256": self.b.sha256,
            },
            "task": self.a.plan.task,
            "suite": self.a.plan.suite.id,
            "episodes": len(self.a),
            "confidence": CONFIDENCE,
            "differences": [each.as_json() for each in self.differences],
            "regressed_episodes": self.regressed,
            "regressions": list(self.regressions),
        }

    def table(self) -> str:
        lines = [
            f"compare  A {self.a.plan.policy.name}    B {self.b.plan.policy.name}    {len(self.a):,} episodes of "
            f"{self.a.plan.suite.id}, the same for both",
            f"         {'':<34}{'A':>10}{'B':>10}   B - A, together at 95 %",
        ]
        shown = [
            each
            for each in self.differences
            if each.word in ORDER_SHOWN or each.what.startswith(ALWAYS_SHOWN)
        ]
        for each in shown:
            i, unit = each.interval, "" if each.unit == "1" else f" {each.unit}"
            span = f"{i.estimate:+.4g} [{i.lower:+.4g}, {i.upper:+.4g}]{unit}"
            lines.append(f"         {each.what:<34}{each.a:>10.4g}{each.b:>10.4g}   {span:<42}{each.word}")
        if rest := len(self.differences) - len(shown):
            lines.append(f"         {rest} more quantities: no difference shown")
        lines.append(f"         {self.regressed:,} episodes that A kept and B did not")
        for row in self.regressions[:5]:
            where = f"{row['disturbance']} {row['severity']}" if row["severity"] else "nominal"
            lines.append(
                f"           episode {row['episode']} (seed {row['seed']}, {where}): {', '.join(row['what'])}"
            )
        return "\n".join(printable(line) for line in lines)


def compare(
    a: Judged,
    b: Judged,
    *,
    suite: str | Suite = "",
    seed: int = 0,
    threads: int = 0,
    say: Say | None = None,
) -> Comparison:
    """Check both policies on the same episodes (or take the finished check that has them) and compare them pair by pair."""
    if a.task != b.task:
        raise BadInput(
            f"{a.name} is for {a.task}, {b.name} for {b.task}: only policies of one task can be compared"
        )
    chosen_seed(seed)
    chosen = suite if isinstance(suite, Suite) else load_suite(suite or suite_for(a.task))
    return compared(*(_evidence(policy, chosen, seed, threads, say) for policy in (a, b)))


def _evidence(policy: Judged, suite: Suite, seed: int, threads: int, say: Say | None) -> Evidence:
    """A finished check of exactly this plan, or an unfinished one that is gone on with, or a new one."""
    task = get_task(policy.task)
    wanted = make_plan(policy, task, suite, suite.bind(task), seed).sha256
    left = [folder for folder in unfinished(policy.folder) if _is_of(folder, wanted)]
    for attempt in attempts(policy.folder):
        folder = policy.folder / "checks" / f"{attempt:02d}"
        if (folder / CONCLUSION).is_file() and folder not in left and _is_of(folder, wanted):
            return read_evidence(folder)
    here = fingerprint()
    resume = next((folder for folder in left if not differences(platform_of(folder), here)), False)
    return check(
        policy, suite=suite, seed=seed, threads=threads, say=say, resume=resume, again=AGAIN
    ).evidence


def _is_of(check: Path, plan_sha256: str) -> bool:
    """Whether a check has this plan; one whose plan cannot be read has another."""
    try:
        return read_plan(check).sha256 == plan_sha256
    except GenbaError:
        return False


def compared(a: Evidence, b: Evidence) -> Comparison:
    """Paired differences of two checks. Raises BadInput unless they judged the same episodes by the same suite."""
    for name in ("task", "task_version", "suite", "conditions", "seed_base", "episodes"):
        if getattr(a.plan, name) != getattr(b.plan, name):
            raise BadInput(
                f"{a.folder} and {b.folder} differ in {name.replace('_', ' ')}: compare checks of one suite and --seed"
            )
    raw = list(_quantities(a, b, CONFIDENCE))
    found = list(_quantities(a, b, bonferroni(CONFIDENCE, len(raw))))
    found.sort(key=lambda each: ORDER[each.word])
    rows = _regressions(a, b)
    return Comparison(a, b, tuple(found), tuple(rows[:LISTED]), len(rows))


def _quantities(a: Evidence, b: Evidence, confidence: float) -> Iterator[Difference]:
    for severity in sorted({condition.severity for condition in a.plan.conditions}):
        here = a.columns["severity"] == severity
        one, two = a.columns["success"][here], b.columns["success"][here]
        what = "success, nominal" if severity == 0 else f"success, severity {severity}"
        yield Difference(
            what, "1", one.mean(), two.mean(), paired_rate_difference(one, two, confidence), True
        )
    both = a.columns["success"] & b.columns["success"]
    if both.any():
        one, two = a.columns["cycle_s"][both], b.columns["cycle_s"][both]
        interval = paired_mean_difference(one, two, confidence)
        yield Difference("cycle time where both succeed", "s", one.mean(), two.mean(), interval, False)
    for each in a.plan.assessed:
        one, two = violated(a.margins(each.id)), violated(b.margins(each.id))
        interval = paired_rate_difference(one, two, confidence)
        yield Difference(f"{each.id}, violated", "1", one.mean(), two.mean(), interval, False)
        yield from _margin(each.id, each.unit, a.margins(each.id), b.margins(each.id), confidence)


def _margin(
    name: str, unit: str, a: NDArray[np.float64], b: NDArray[np.float64], confidence: float
) -> Iterator[Difference]:
    """The low quantile of the margin, over the episodes in which both were put to the test; none where all are one value."""
    tested = np.isfinite(a) & np.isfinite(b)
    if not tested.any() or np.ptp([a[tested], b[tested]]) == 0.0:
        return
    interval = paired_quantile_difference(a[tested], b[tested], LOW_SHARE, confidence)
    rank = max(int(np.ceil(LOW_SHARE * tested.sum())) - 1, 0)
    low, other = (float(np.sort(margins[tested])[rank]) for margins in (a, b))
    yield Difference(f"{name}, 5 % margin", unit, low, other, interval, True)


def _regressions(a: Evidence, b: Evidence) -> list[dict[str, Any]]:
    """Episodes in which B failed or broke a hard constraint and A did not, hard constraints first."""
    hard = [each.id for each in a.plan.suite.constraints if each.hard and f"margin.{each.id}" in a.columns]
    worse = {name: violated(b.margins(name)) & ~violated(a.margins(name)) for name in hard}
    lost = a.columns["success"] & ~b.columns["success"]
    rows = []
    for index in np.flatnonzero(lost | np.logical_or.reduce([*worse.values(), np.zeros(len(a), bool)])):
        what = [name for name in hard if worse[name][index]]
        if lost[index]:
            what.append(str(b.columns["reason"][index]))
        episode = a.plan.episode(int(index))
        rows.append({"episode": episode.index, "seed": episode.seed, "disturbance": episode.disturbance,
                     "severity": episode.severity, "what": what, "hard": bool(what and what[0] in worse)})  # fmt: skip
    return sorted(rows, key=lambda row: (not row["hard"], row["severity"], row["episode"]))
