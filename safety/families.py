"""Many claims at once: how the confidence is shared, so that all that a check asserts is true together.

PASS     asserts all its bounds at once and is wrong only if the worst of them is: no sharing (an
         intersection-union test)
FAIL     holds as soon as one claim does, so all claims of a check share the confidence (Bonferroni): half of what may
         go wrong is for the pooled claims, equally many parts; half for those about one constraint in one condition
printed  the intervals of the table constraints x conditions hold together
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .lanes import FIXED, Lane
from .verdict_values import Counts, Demand, Gate


@dataclass(frozen=True)
class Claims:
    """How many FAIL claims a check makes: `pooled` over its conditions, and `single`, about one condition (0: there is
    only one).
    """

    pooled: int
    single: int

    @property
    def halves(self) -> int:
        """Between how many families the confidence is divided."""
        return 2 if self.single else 1

    @property
    def each_pooled(self) -> int:
        return max(self.halves * self.pooled, 1)

    @property
    def each_single(self) -> int:
        return max(self.halves * self.single, 1)


def fail_claims(
    constraints: Sequence[Gate], demands: Sequence[Demand], conditions: Sequence[Counts]
) -> Claims:
    """The claims by which these rules could fail."""
    hard = sum(constraint.hard for constraint in constraints)
    return Claims(hard + len(demands), hard * len(conditions) if len(conditions) > 1 else 0)


@dataclass(frozen=True)
class Cell:
    """One constraint in one condition: violations of n, and bounds that hold together with all others of the table."""

    constraint: str
    condition: int
    violations: int
    n: int
    lower: float
    upper: float


def table(
    constraints: Sequence[str], conditions: Sequence[Counts], confidence: float, lane: Lane = FIXED
) -> tuple[Cell, ...]:
    """Constraints x conditions, in this order. All intervals are true together with `confidence`."""
    sides = 2 if lane.words == 1 else 1
    claims = max(sides * len(constraints) * len(conditions), 1)
    cells = []
    for name in constraints:
        for index, counts in enumerate(conditions):
            count = counts.violations[name]
            lower = lane.lower(count, counts.n, confidence, claims)
            upper = lane.upper(count, counts.n, confidence, claims)
            cells.append(Cell(name, index, count, counts.n, lower, upper))
    return tuple(cells)
