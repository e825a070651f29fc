"""What a check found stratum by stratum, and the worst of them: recomputed from the seeds of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .evidence import Evidence
from .families import Cell, table
from .verdict_values import Counts

FAILED = "no-success"


@dataclass(frozen=True)
class ByStratum:
    """Of a plan with strata: for each constraint, and for episodes without success (`FAILED`), counts in every stratum.

    Each cell's `condition` is the number of its stratum, from 0; all intervals hold together.
    """

    name: str
    parts: int
    cells: tuple[Cell, ...]

    def worst(self, what: str) -> Cell | None:
        """The stratum in which `what` happened most often (the first of several); None where it never did."""
        mine = [cell for cell in self.cells if cell.constraint == what]
        found = max(mine, key=lambda cell: (cell.violations / max(cell.n, 1), -cell.condition))
        return found if found.violations else None

    @property
    def happened(self) -> tuple[Cell, ...]:
        """The worst stratum of everything that happened at all."""
        kinds = dict.fromkeys(cell.constraint for cell in self.cells)
        return tuple(cell for what in kinds if (cell := self.worst(what)) is not None)

    def as_json(self) -> Mapping[str, Any]:
        return {
            "of": self.name,
            "parts": self.parts,
            "cells": [self._cell(cell) for cell in self.cells],
            "worst": [self._cell(cell) for cell in self.happened],
        }

    def _cell(self, cell: Cell) -> dict[str, Any]:
        return {"what": cell.constraint, "stratum": cell.condition, "from": cell.condition / self.parts,
                "to": (cell.condition + 1) / self.parts, "count": cell.violations, "n": cell.n,
                "lower95_together": cell.lower, "upper95_together": cell.upper}  # fmt: skip


def by_stratum(evidence: Evidence) -> ByStratum | None:
    """The counts of each stratum; None where the plan has no strata."""
    plan = evidence.plan
    strata = plan.suite.strata
    if strata is None:
        return None
    of = strata.of(plan.key, np.asarray(evidence.columns["seed"], np.int64))
    happened = {FAILED: ~evidence.columns["success"]}
    for each in plan.assessed:
        happened[each.id] = ~(evidence.margins(each.id) >= 0.0)
    counts = []
    for part in range(strata.parts):
        here = of == part
        seen = {name: int(where[here].sum()) for name, where in happened.items()}
        n = int(here.sum())
        counts.append(Counts(strata.name, part, n, n, n - seen[FAILED], seen))
    cells = table(list(happened), counts, plan.confidence, plan.lane)
    return ByStratum(strata.name, strata.parts, cells)
