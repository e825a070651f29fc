"""What a report says of a check, as plain values: every number from the rows of the evidence, none from a stored conclusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.task import Task
from .evidence import Evidence
from .families import Cell
from .lanes import FIXED, Lane
from .percent import at_least, at_most, plain
from .result import CheckResult
from .result_counts import cells, together, worst_condition
from .words import Words

FORCES = ("N", "N*m")
MARKS = {"holds": "✓", "broken": "✗", "open": "◌", "warns": "!"}
Fact = dict[str, Any]


def quantity(value: float, unit: str, words: Words, sign: bool = False) -> str:
    """A number with its unit and about three digits: "+0.041 m"."""
    if not np.isfinite(value):
        return words("margin.never") if value > 0 else words("margin.nan")
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    number = f"{value:{'+' if sign and value else ''}.{digits}f}".replace("-", "−")
    return number if unit == "1" else f"{number}\u00a0{unit.replace('*', '·')}"


def rate(count: int, n: int, words: Words, confidence: float, lane: Lane = FIXED) -> str:
    """A rate as it is always printed: count of n, percent and both bounds."""
    low, high = lane.lower(count, n, confidence), lane.upper(count, n, confidence)
    return words(
        f"rate.{lane.name}", k=count, n=n, rate=share(count, n), low=at_least(low), high=at_most(high)
    )


def share(count: int, n: int) -> str:
    """`count` of `n` in percent, with as many digits as it takes not to look like all or none when it is neither."""
    for digits in (1, 2, 3, 4):
        text = f"{100 * count / max(n, 1):.{digits}f}"
        if float(text) not in (0.0, 100.0) or count in (0, n):
            break
    return f"{text} %"


def severity_name(severity: int, words: Words) -> str:
    """ "nominal" or "severity 3"."""
    return words("nominal") if severity == 0 else words("severity", level=severity)


def condition_name(disturbance: str, severity: int, words: Words) -> str:
    """A condition in words."""
    if severity == 0:
        return words("nominal")
    return words("condition", disturbance=words.name("disturbance", disturbance), level=severity)


def constraint_rows(result: CheckResult, words: Words) -> list[Fact]:
    """The table of constraints, those that decide first."""
    evidence = result.evidence
    models = {each.id: each for each in evidence.plan.suite.values}
    units = {each.id: each.unit for each in evidence.plan.assessed}
    rows = []
    for each in result.verdict.constraints:
        model, margins, unit = models[each.id], evidence.margins(each.id), units[each.id]
        state = each.state if each.hard else "holds" if each.state == "holds" else "warns"
        rows.append({
            "id": each.id,
            "says": words.pick(model.says),
            "hard": each.hard,
            "state": state,
            "mark": MARKS[state],
            "word": words(f"state.{state}"),
            "worst": quantity(float(margins.min()), unit, words, sign=True),
            "strip": strip(margins),
            "k": f"{each.violations:,}",
            "n": f"{each.n:,}",
            "upper": at_most(each.upper),
            "allowed": plain(each.max_rate) if each.hard else words("constraints.soft"),
            "force": unit in FORCES,
            "never": each.never_applied,
            "source": f"{model.source.document}: {model.source.topic}",
            "confidence": words.name("confidence", model.source.confidence),
            "cannot_show": list(model.cannot_show),
            "when": model.when,
            "formula": " ".join(model.formula.split()),
        })  # fmt: skip
    return rows


def strip(margins: NDArray[np.float64]) -> Fact | None:
    """Where the episodes' worst margins lie, in percent of a small bar: the limit, the worst, 5 % and the middle one."""
    finite = margins[np.isfinite(margins)]
    if len(finite) == 0 or finite.max() == finite.min():
        return None
    worst, low, middle = (float(value) for value in np.quantile(finite, [0.0, 0.05, 0.5], method="lower"))
    start, end = min(0.0, worst), max(middle, 0.0)
    end += 0.05 * (end - start or 1.0)
    span = end - start
    return {
        name: round(100.0 * (value - start) / span, 1)
        for name, value in (("limit", 0.0), ("worst", worst), ("low", low), ("middle", middle))
    }


@dataclass(frozen=True)
class Heat:
    """Conditions × success: a row for each disturbance, a column for each severity."""

    severities: list[int]
    rows: list[Fact]


def heat_map(evidence: Evidence, words: Words) -> Heat:
    """Success, its bounds (all of them hold together) and what went wrong, condition by condition."""
    plan, columns = evidence.plan, evidence.columns
    severities = sorted({condition.severity for condition in plan.conditions})
    rows: dict[str, Fact] = {}
    for index, condition in enumerate(plan.conditions):
        here = columns["condition"] == index
        n, won = int(here.sum()), int(columns["success"][here].sum())
        ended = columns["reason"][here & ~columns["success"]].tolist()
        cycles = columns["cycle_s"][here & columns["success"]]
        row = rows.setdefault(
            condition.disturbance,
            {"name": words.name("disturbance", condition.disturbance), "cells": dict.fromkeys(severities)},
        )
        low, high = together(plan, won, n)
        row["cells"][condition.severity] = {
            "k": f"{won:,}",
            "n": f"{n:,}",
            "rate": share(won, n),
            "low": at_least(low),
            "high": at_most(high),
            "shade": shade(won / max(n, 1)),
            "cycle": f"{cycles.mean():.1f} s" if len(cycles) else "",
            "ended": ", ".join(
                f"{words.name('outcome', name)} {ended.count(name)}" for name in sorted(set(ended))
            ),
        }
    return Heat(severities, list(rows.values()))


def shade(success: float) -> int:
    """0 (all succeeded) to 6 (60 % or fewer): the depth of a cell's tint."""
    return int(np.clip(np.ceil((1.0 - success) * 15.0 - 1e-9), 0, 6))


def broken_where(result: CheckResult, words: Words) -> Fact | None:
    """A table of violations: a row for each condition, a column for each constraint that was violated at all.

    Each cell has its count and an interval that holds together with those of all constraints in all conditions.
    """
    evidence = result.evidence
    bad = [each.id for each in result.verdict.constraints if each.violations]
    if not bad:
        return None
    conditions = evidence.plan.conditions
    found = {(each.constraint, each.condition): each for each in cells(evidence)}
    rows = [
        {
            "name": condition_name(condition.disturbance, condition.severity, words),
            "counts": [_violations(found[name, index]) for name in bad],
        }
        for index, condition in enumerate(conditions)
    ]
    return {
        "ids": bad,
        "rows": rows,
        "n": f"{len(evidence) // len(conditions):,}",
        "all": f"{len(found):,}",
        "worst": [_worst(result, name, words) for name in bad],
    }


def _violations(cell: Cell) -> Fact:
    return {"k": cell.violations, "low": at_least(cell.lower), "high": at_most(cell.upper)}


def _worst(result: CheckResult, name: str, words: Words) -> str:
    """Where a constraint is violated most often, in a sentence."""
    condition = worst_condition(result.evidence, name)
    assert condition is not None, "only constraints that were violated are asked for"
    where = condition_name(condition["disturbance"], condition["severity"], words)
    return words("constraints.worst_in", id=name, where=where)


def cycle_facts(evidence: Evidence, task: Task, words: Words) -> Fact | None:
    """Cycle time of the successful episodes against takt."""
    won = evidence.columns["success"]
    cycles = np.asarray(evidence.columns["cycle_s"][won], np.float64)
    if len(cycles) == 0:
        return None
    middle, slow = (float(value) for value in np.quantile(cycles, [0.5, 0.95]))
    in_time = int((cycles <= task.takt_s).sum())
    return {
        "cycles": cycles,
        "takt": task.takt_s,
        "median": f"{middle:.2f} s",
        "slow": f"{slow:.2f} s",
        "slowest": f"{cycles.max():.2f} s",
        "n": f"{len(cycles):,}",
        "in_time": rate(in_time, len(evidence), words, evidence.plan.confidence, evidence.plan.lane),
    }
