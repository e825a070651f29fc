"""The result of a check: what the rows of the evidence say, counted, judged and written down. Always computed, never read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .evidence import Evidence, read_evidence
from .folders import attempt_of, find_check
from .percent import at_least, at_most, plain
from .production import line as made_line
from .production import production
from .verdict import ConstraintResult, Counts, Verdict, judge

LISTED = 10  # findings of one constraint or reason; the evidence has them all
SHOWN = 8  # reasons in the table
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

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict.word]

    @property
    def passed(self) -> bool:
        return self.verdict.word == "PASS"

    def as_json(self) -> dict[str, Any]:
        """The keys of `genba check --json`; bounds are one-sided, at the plan's confidence."""
        plan, evidence = self.evidence.plan, self.evidence
        units = {each.id: each.unit for each in plan.assessed}
        levels = [
            {"severity": s.severity, "demand": s.demand, "rate": s.successes / max(s.n, 1), "n": s.n,
             "lower95": s.lower, "upper95": s.upper}
            for s in self.verdict.success
        ]  # fmt: skip
        first = (
            levels[0] if levels else {"rate": float(evidence.columns["success"].mean()), "n": len(evidence)}
        )
        return {
            "run": str(self.folder.parent.parent if self.folder.parent.name == "checks" else self.folder),
            "check": str(self.folder),
            "attempt": attempt_of(self.folder),
            "task": plan.task,
            "suite": plan.suite.id,
            "policy": plan.policy.model_dump(),
            "verdict": self.verdict.word,
            "reasons": list(self.verdict.reasons),
            "warnings": list(self.verdict.warnings),
            "evidence_sha256": evidence.sha256,
            "plan_sha256": plan.sha256,
            "episodes": plan.episodes,
            "seconds": self.seconds,
            "monitor_share": self.monitor_share,
            "confidence": plan.confidence,
            "success": {**first, "by_severity": levels},
            "constraints": [
                {"id": c.id, "hard": c.hard, "violations": c.violations, "n": c.n, "upper95": c.upper,
                 "worst_margin": float(evidence.margins(c.id).min()), "unit": units[c.id], "max_rate": c.max_rate}
                for c in self.verdict.constraints
            ],
            "not_assessed": [each.model_dump() for each in plan.not_assessed],
            "conditions": condition_rows(evidence),
            "production": production(evidence),
            "findings": [finding.as_json() for finding in self.findings],
        }  # fmt: skip

    def table(self) -> str:
        """Constraints, success and verdict as `genba check` prints them."""
        plan = self.evidence.plan
        took = f", {self.seconds:.0f} s" if self.seconds is not None else ""
        head = f"{plan.confidence:.0%}".replace("%", " %")
        lines = [
            f"check    {plan.suite.id}: {len(plan.conditions)} conditions, {plan.episodes:,} episodes{took}    {self.folder}",
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
        made = production(self.evidence)
        lines.append(f"         made     {made_line(made)}")
        reasons = self.verdict.reasons
        more = [f"and {len(reasons) - SHOWN} more reasons (--json has them)"] if len(reasons) > SHOWN else []
        clean = self.verdict.more_episodes
        lines.append(
            f"verdict  {self.verdict.word}"
            + (f"    {clean:,} more clean episodes would decide" if clean else "")
        )
        lines += [f"         {line}" for line in (*reasons[:SHOWN], *more, *self.verdict.warnings)]
        return "\n".join(lines)

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


def conclude(
    evidence: Evidence, seconds: float | None = None, monitor_share: float | None = None
) -> CheckResult:
    """Count and judge evidence."""
    plan = evidence.plan
    assessed = {each.id for each in plan.assessed}
    gates = [constraint for constraint in plan.suite.values if constraint.id in assessed]
    verdict = judge(gates, plan.suite.verdict.success, counts(evidence), plan.confidence)
    return CheckResult(evidence.folder, evidence, verdict, findings(evidence), seconds, monitor_share)


def read_check(where: str | Path) -> CheckResult:
    """The result of a finished check, computed from its evidence. Raises as `find_check` and `read_evidence`."""
    return conclude(read_evidence(find_check(where)))


def violated(margins: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where a margin is below zero or no number."""
    return ~(margins >= 0.0)


def counts(evidence: Evidence) -> list[Counts]:
    """What was seen, condition by condition."""
    columns, plan = evidence.columns, evidence.plan
    margins = {each.id: evidence.margins(each.id) for each in plan.assessed}
    broken = np.zeros(len(evidence), bool)
    for values in margins.values():
        broken |= np.isnan(values) | (values == -np.inf)
    found = []
    for index, condition in enumerate(plan.conditions):
        here = columns["condition"] == index
        found.append(
            Counts(
                disturbance=condition.disturbance,
                severity=condition.severity,
                planned=plan.episodes_per_condition,
                n=int(here.sum()),
                successes=int(columns["success"][here].sum()),
                violations={name: int(violated(values[here]).sum()) for name, values in margins.items()},
                faults=int((columns["reason"][here] == "fault").sum()),
                nans=int(broken[here].sum()),
                applied={name: int((values[here] < np.inf).sum()) for name, values in margins.items()},
            )
        )
    return found


def condition_rows(evidence: Evidence) -> list[dict[str, Any]]:
    """Success, cycle time and how often a person was in the way, condition by condition."""
    rows = []
    for index, condition in enumerate(evidence.plan.conditions):
        here = evidence.columns["condition"] == index
        done = here & evidence.columns["success"]
        cycles: Mapping[str, Any] = {
            "cycle_s": float(evidence.columns["cycle_s"][done].mean()) if done.any() else None,
            "in_path": float(evidence.columns["in_path"][here].mean()),
        }
        success = float(evidence.columns["success"][here].mean())
        rows.append({**condition.model_dump(), "success": success, "n": int(here.sum()), **cycles})
    return rows


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
    return Finding(index, episode.seed, episode.disturbance, episode.severity, constraint, reason, margin)
