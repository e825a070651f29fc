"""Rows counted: what was seen condition by condition, and how surely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .evidence import Evidence
from .families import Cell, table
from .lanes import FIXED
from .plan import Plan
from .verdict_values import Counts


def violated(margins: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where a margin is below zero or no number."""
    return ~(margins >= 0.0)


def counts(evidence: Evidence, end: int | None = None) -> list[Counts]:
    """What was seen in the first `end` episodes (None: all), condition by condition."""
    plan = evidence.plan
    columns = {name: values[:end] for name, values in evidence.columns.items()}
    margins = {each.id: evidence.margins(each.id)[:end] for each in plan.assessed}
    planned = len(columns["episode"]) // len(plan.conditions) if plan.looks else plan.episodes_per_condition
    broken = np.zeros(len(columns["episode"]), bool)
    for values in margins.values():
        broken |= np.isnan(values) | (values == -np.inf)
    found = []
    for index, condition in enumerate(plan.conditions):
        here = columns["condition"] == index
        found.append(
            Counts(
                disturbance=condition.disturbance,
                severity=condition.severity,
                planned=planned,
                n=int(here.sum()),
                successes=int(columns["success"][here].sum()),
                violations={name: int(violated(values[here]).sum()) for name, values in margins.items()},
                faults=int((columns["reason"][here] == "fault").sum()),
                nans=int(broken[here].sum()),
                applied={name: int((values[here] < np.inf).sum()) for name, values in margins.items()},
            )
        )
    return found


def cells(evidence: Evidence) -> tuple[Cell, ...]:
    """Violations constraint by constraint and condition by condition, with intervals that hold together."""
    plan = evidence.plan
    return table([each.id for each in plan.assessed], counts(evidence), plan.confidence, plan.lane)


def worst_condition(evidence: Evidence, constraint: str) -> dict[str, Any] | None:
    """The condition in which most episodes violate a constraint (the first of several); None where none does."""
    mine = [each for each in cells(evidence) if each.constraint == constraint]
    worst = max(mine, key=lambda each: (each.violations / max(each.n, 1), -each.condition))
    return evidence.plan.conditions[worst.condition].model_dump() if worst.violations else None


def condition_rows(evidence: Evidence) -> list[dict[str, Any]]:
    """Success, cycle time and how often a person was in the way, condition by condition; bounds as in `together`."""
    rows = []
    for index, condition in enumerate(evidence.plan.conditions):
        here = evidence.columns["condition"] == index
        done = here & evidence.columns["success"]
        cycles: Mapping[str, Any] = {
            "cycle_s": float(evidence.columns["cycle_s"][done].mean()) if done.any() else None,
            "in_path": float(evidence.columns["in_path"][here].mean()),
        }
        success, n = float(evidence.columns["success"][here].mean()), int(here.sum())
        lower, upper = together(evidence.plan, int(done.sum()), n)
        met_lower, met_upper = together(evidence.plan, int(evidence.columns["in_path"][here].sum()), n)
        bounds = {"lower95_together": lower, "upper95_together": upper,
                  "in_path_lower95_together": met_lower, "in_path_upper95_together": met_upper}  # fmt: skip
        rows.append({**condition.model_dump(), "success": success, "n": n, **cycles, **bounds})
    return rows


def together(plan: Plan, count: int, n: int) -> tuple[float, float]:
    """Bounds on a rate in one condition, which hold at once for this rate in all conditions of a plan."""
    claims = len(plan.conditions) * (2 if plan.lane is FIXED else 1)
    return (
        plan.lane.lower(count, n, plan.confidence, claims),
        plan.lane.upper(count, n, plan.confidence, claims),
    )
