"""The result of a check: what the rows of the evidence say, counted, judged and written down. Always computed, never read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..envs.errors import printable
from ..envs.task import FOREIGN
from .evidence import Evidence, read_evidence
from .folders import find_check
from .percent import at_least, at_most, plain
from .plan import Plan, attempt_of
from .production import line as made_line
from .production import production
from .result_counts import cells, condition_rows, counts, violated, worst_condition
from .result_strata import by_stratum
from .scan_files import Scan, read_scan
from .verdict import ConstraintResult, Verdict, judge
from .verdict_values import Word

LISTED = 10  # findings of one constraint or reason; the evidence has them all
SHOWN = 8  # reasons in the table
NO_SCAN = "the scan is missing: go on with: genba check --resume"
EXIT_CODES = {"PASS": 0, "FAIL": 1, "INSUFFICIENT": 1}


@dataclass(frozen=True)
class Finding:
    """An episode that went wrong: it broke `constraint` by `margin`, or ended for `reason`."""

    episode: int
    seed: int
    disturbance: str
    severity: int
    constraint: str = ""
    reason: str = ""
    margin: float | None = None

    def as_json(self) -> dict[str, Any]:
        what = {"constraint": self.constraint} if self.constraint else {"reason": self.reason}
        return {
            **what,
            "episode": self.episode,
            "seed": self.seed,
            "disturbance": self.disturbance,
            "severity": self.severity,
            "margin": self.margin,
        }


@dataclass(frozen=True)
class CheckResult:
    """One check. `seconds` and `monitor_share` (of the wall time) are of the session that ended it, None where unknown."""

    folder: Path
    evidence: Evidence
    verdict: Verdict
    findings: tuple[Finding, ...]
    seconds: float | None = None
    monitor_share: float | None = None
    scan: Scan | None = None

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict.word]

    @property
    def passed(self) -> bool:
        return self.verdict.word == "PASS"

    def as_json(self) -> dict[str, Any]:
        """The keys of `genba check --json`; bounds are one-sided, at the plan's confidence, which both sides share in
        the lane "until-decided". Those called together hold at once: of a success or a pooled limit with all other
        claims that would be FAIL, of conditions with all others of the table.
        """
        plan, evidence = self.evidence.plan, self.evidence
        apart = cells(evidence)
        units = {each.id: each.unit for each in plan.assessed}
        levels = [
            {"severity": s.severity, "demand": s.demand, "rate": s.successes / max(s.n, 1), "n": s.n,
             "lower95": s.lower, "upper95": plan.lane.upper(s.successes, s.n, plan.confidence),
             "upper95_together": s.upper}
            for s in self.verdict.success
        ]  # fmt: skip
        first = levels[0] if levels else self._success()
        return {
            "run": str(self.folder.parent.parent if self.folder.parent.name == "checks" else self.folder),
            "check": str(self.folder),
            "attempt": attempt_of(plan),
            "task": plan.task,
            "suite": plan.suite.id,
            "policy": plan.policy.model_dump(),
            "verdict": self.verdict.word,
            "reasons": list(self.verdict.reasons),
            "warnings": list(self.verdict.warnings),
            "evidence_sha256": evidence.sha256,
            "plan_sha256": plan.sha256,
            "episodes": len(evidence),
            "lane": plan.lane.name,
            "episodes_at_most": plan.episodes,
            "seconds": self.seconds,
            "monitor_share": self.monitor_share,
            "confidence": plan.confidence,
            "success": {**first, "by_severity": levels},
            "constraints": [
                {"id": c.id, "hard": c.hard, "violations": c.violations, "n": c.n, "upper95": c.upper,
                 "lower95_together": c.lower, "worst_condition": worst_condition(evidence, c.id),
                 "by_condition": [
                     {**plan.conditions[cell.condition].model_dump(), "violations": cell.violations, "n": cell.n,
                      "lower95_together": cell.lower, "upper95_together": cell.upper}
                     for cell in apart if cell.constraint == c.id
                 ],
                 "worst_margin": float(evidence.margins(c.id).min()), "unit": units[c.id], "max_rate": c.max_rate}
                for c in self.verdict.constraints
            ],
            "not_assessed": [each.model_dump() for each in plan.not_assessed],
            "conditions": condition_rows(evidence),
            "strata": strata.as_json() if (strata := by_stratum(evidence)) else None,
            "production": production(evidence),
            "scan": self.scan.as_json() if self.scan else None,
            "findings": [finding.as_json() for finding in self.findings],
        }  # fmt: skip

    def _success(self) -> dict[str, Any]:
        """Success over all conditions, where the suite demands none."""
        plan, won, n = self.evidence.plan, int(self.evidence.columns["success"].sum()), len(self.evidence)
        lower, upper = plan.lane.lower(won, n, plan.confidence), plan.lane.upper(won, n, plan.confidence)
        return {"rate": won / max(n, 1), "n": n, "lower95": lower, "upper95": upper}

    def table(self) -> str:
        """Constraints, success and verdict as `genba check` prints them."""
        plan = self.evidence.plan
        took = f", {self.seconds:.0f} s" if self.seconds is not None else ""
        head = f"{plan.confidence:.0%}".replace("%", " %")
        lines = [
            f"check    {plan.suite.id}: {len(plan.conditions)} conditions, {len(self.evidence):,} episodes{took}    "
            f"{self.folder}",
            *_looked(plan),
            f"         {'constraint':<22}{'worst margin':>15}{'violations':>16}{f'at most ({head})':>17}{'allowed':>10}",
        ]
        lines += [self._line(each) for each in self.verdict.constraints]
        lines += [f"         {each.id:<22}{'not assessed: ' + each.why:>15}" for each in plan.not_assessed]
        for level in self.verdict.success:
            where = "nominal" if level.severity == 0 else f"severity {level.severity}"
            count = f"{level.successes:,} / {level.n:,}"
            lines.append(
                f"         {'success ' + where:<22}{'at least ' + at_least(level.lower):>31} ({count}), demanded "
                f"{plain(level.demand)}"
            )
        lines += _worst_strata(self.evidence)
        if not self.evidence.plan.task.startswith(FOREIGN):
            lines.append(f"         made     {made_line(production(self.evidence))}")
        lines += self.scan.table() if self.scan else []
        reasons = self.verdict.reasons
        more = [f"and {len(reasons) - SHOWN} more reasons (--json has them)"] if len(reasons) > SHOWN else []
        clean = self.verdict.more_episodes
        lines.append(
            f"verdict  {self.verdict.word}"
            + (f"    {clean:,} more clean episodes would decide" if clean else "")
        )
        lines += [f"         {line}" for line in (*reasons[:SHOWN], *more, *self.verdict.warnings)]
        return "\n".join(printable(line) for line in lines)  # a folder is called as its policy's file

    def _line(self, each: ConstraintResult) -> str:
        unit = next(assessed.unit for assessed in self.evidence.plan.assessed if assessed.id == each.id)
        worst = float(self.evidence.margins(each.id).min())
        shown = (
            f"{worst:+.3f} {'' if unit == '1' else unit:<3}"
            if np.isfinite(worst)
            else "never applied"
            if worst > 0
            else "NaN"
        )
        allowed = plain(each.max_rate) if each.hard else "warns"
        violations = f"{each.violations:,} / {each.n:,}"
        return f"         {each.id:<22}{shown:>15}{violations:>16}{at_most(each.upper):>17}{allowed:>10}"


def _looked(plan: Plan) -> list[str]:
    """How a check stopped that did not have a fixed number of episodes."""
    if not plan.looks:
        return []
    return [
        f"         looked every {plan.looks.every:,} episodes until it was decided, {plan.episodes:,} at most; the "
        "bounds hold at every look at once"
    ]


def _worst_strata(evidence: Evidence) -> list[str]:
    """Where in the range of starts things went wrong most often."""
    found = by_stratum(evidence)
    if found is None:
        return []
    head = f"         strata of {found.name}: "
    rows = [
        f"{cell.constraint} most often in {cell.condition + 1} of {found.parts} ({cell.violations} / {cell.n}, "
        f"{at_least(cell.lower)} to {at_most(cell.upper)})"
        for cell in found.happened
    ]
    return [head + ("; ".join(rows) or "nothing went wrong in any")]


def conclude(
    evidence: Evidence, seconds: float | None = None, monitor_share: float | None = None
) -> CheckResult:
    """Count and judge evidence, and what the scan beside it found."""
    plan, scan = evidence.plan, read_scan(evidence.folder, evidence.plan)
    against = scan.reasons(plan) if scan else ()
    beyond = decided_before(evidence)
    verdict = judged(evidence, tampering=[*([beyond.line] if beyond else []), *against])
    verdict = _doubted(verdict, plan, scan)
    return CheckResult(evidence.folder, evidence, verdict, findings(evidence), seconds, monitor_share, scan)


def _doubted(verdict: Verdict, plan: Plan, scan: Scan | None) -> Verdict:
    """The verdict with what a scan doubts and warns of; without the scan that its plan asks for there is no PASS."""
    if scan is not None:
        doubts, warnings = scan.doubts(), (*verdict.warnings, *scan.warnings(plan))
        verdict = replace(verdict, warnings=warnings)
    else:
        doubts = (NO_SCAN,) if plan.scan else ()
    if not doubts or verdict.word == "FAIL":
        return verdict
    return replace(verdict, word="INSUFFICIENT", reasons=(*doubts, *verdict.reasons))


def judged(evidence: Evidence, end: int | None = None, tampering: Sequence[str] = ()) -> Verdict:
    """The verdict on the first `end` episodes (None: all that are there)."""
    plan = evidence.plan
    assessed = {each.id for each in plan.assessed}
    gates = [constraint for constraint in plan.suite.values if constraint.id in assessed]
    seen = counts(evidence, len(evidence) if end is None else end)
    return judge(gates, plan.suite.verdict.success, seen, plan.confidence, tampering, plan.lane)


@dataclass(frozen=True)
class DecidedBefore:
    """A look that had decided, and how many episodes came after it all the same."""

    look: int
    word: Word
    added: int

    @property
    def line(self) -> str:
        return f"{self.added:,} episodes were added after the look at {self.look:,} had decided: {self.word}"


def decided_before(evidence: Evidence) -> DecidedBefore | None:
    """What is wrong with where a check stopped: it ends at the first look that decides, or with its plan."""
    plan, n = evidence.plan, len(evidence)
    for end in plan.ends:
        if end >= n:
            break
        if (word := judged(evidence, end).word) != "INSUFFICIENT":
            return DecidedBefore(end, word, n - end)
    return None


def read_check(where: str | Path) -> CheckResult:
    """The result of a finished check, computed from its evidence. Raises as `find_check` and `read_evidence`."""
    return conclude(read_evidence(find_check(where)))


def findings(evidence: Evidence) -> tuple[Finding, ...]:
    """The worst episodes: hard constraints first, then soft ones, then episodes without success, by reason."""
    plan, found = evidence.plan, []
    hard = {constraint.id: constraint.hard for constraint in plan.suite.values}
    for each in sorted(plan.assessed, key=lambda item: not hard[item.id]):
        margins = np.nan_to_num(evidence.margins(each.id), nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        order = np.argsort(margins, kind="stable")[:LISTED]
        found += [
            _finding(evidence, int(i), constraint=each.id) for i in order if violated(margins[i : i + 1])[0]
        ]
    reasons = evidence.columns["reason"]
    for reason in sorted(
        set(reasons[~evidence.columns["success"]].tolist()), key=lambda text: (text != "fault", text)
    ):
        episodes = np.flatnonzero((reasons == reason) & ~evidence.columns["success"])[:LISTED]
        found += [_finding(evidence, int(i), reason=reason) for i in episodes]
    return tuple(found)


def _finding(evidence: Evidence, index: int, constraint: str = "", reason: str = "") -> Finding:
    episode = evidence.plan.episode(index)
    margin = float(evidence.margins(constraint)[index]) if constraint else None
    return Finding(
        index, episode.seed, episode.disturbance, int(episode.severity), constraint, reason, margin
    )
