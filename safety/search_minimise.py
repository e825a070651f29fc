"""Making findings small: of each violation, the mildest disturbance and the fewest and smallest deviations from nominal that keep it.

All findings take each step together, so that a step is one batch of episodes:
1. lower severities, none included, each from a nominal start too; the first that still violates stays;
2. draws back to nominal, one at a time, then together in the order of how little each was missed; twice;
3. what is left, scaled towards nominal in sixteenths.
The result is small along this way, not the smallest there is. Findings that end with the same target, disturbance and moved draws (and the
same side of each) are one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .search_explore import Budget, Play, Tried, value
from .search_space import Point, Space
from .suite import NOMINAL

Array = NDArray[np.float64]
Step = Callable[["Lead"], list[Point]]

SIXTEENTHS = 16
ROUNDS = 2


@dataclass(frozen=True, eq=False)
class Lead:
    """A violation of `target` on its way to a finding."""

    target: str
    tried: Tried
    value: float
    members: int = 1


@dataclass(frozen=True)
class Minimiser:
    """What the steps share."""

    space: Space
    horizon_s: float
    play: Play
    budget: Budget

    def lead(self, target: str, tried: Tried, members: int = 1) -> Lead:
        return Lead(target, tried, value(tried.row, target, self.horizon_s), members)

    def run(self, leads: Sequence[Lead]) -> list[Lead]:
        """Small findings, one of each kind, the likeliest first."""
        small = self._first(leads, self._milder)
        for _ in range(ROUNDS):
            small = self._nominal(small)
        return self.merged(self._first(small, self._nearer))

    def moved(self, point: Point) -> NDArray[np.int64]:
        """Indices of the draws that are not nominal."""
        return np.flatnonzero(point.values != self.space.nominal(point.disturbance))

    def merged(self, leads: Sequence[Lead]) -> list[Lead]:
        """One of each kind, with the number of those that it stands for; the likeliest of a kind, and it first."""
        kinds: dict[tuple[object, ...], Lead] = {}
        for lead in leads:
            kind, other = self._kind(lead), kinds.get(self._kind(lead))
            members = lead.members + (other.members if other else 0)
            likelier = other is None or self._share(lead) > self._share(other)
            kinds[kind] = replace(lead if likelier or other is None else other, members=members)
        return sorted(kinds.values(), key=lambda lead: -self._share(lead))

    def _share(self, lead: Lead) -> float:
        return self.space.share(lead.tried.point)

    def _kind(self, lead: Lead) -> tuple[object, ...]:
        point, draws = lead.tried.point, self.space.draws(lead.tried.point.disturbance)
        sides = [
            (draws[i].name, float(point.values[i]) if draws[i].count else bool(point.values[i] > 0.5))
            for i in self.moved(point)
        ]
        return lead.target, point.disturbance, *sides

    def _rows(self, asked: Sequence[list[Point]]) -> list[list[Tried]]:
        """Play the points of all leads in one batch, as far as the budget goes; answers lead by lead."""
        points = [point for each in asked for point in each]
        points = points[: self.budget.left(len(points))]
        self.budget.played += len(points)
        rows = iter(self.play(points) if points else [])
        answered = iter([Tried(point, row) for point, row in zip(points, rows, strict=True)])
        return [[tried for _, tried in zip(each, answered, strict=False)] for each in asked]

    def _first(self, leads: Sequence[Lead], step: Step) -> list[Lead]:
        """Each lead's first proposal that still violates, or the lead itself."""
        found = []
        for lead, answers in zip(leads, self._rows([step(lead) for lead in leads]), strict=True):
            kept = (
                new for tried in answers if (new := self.lead(lead.target, tried, lead.members)).value < 0
            )
            found.append(next(kept, lead))
        return found

    def _milder(self, lead: Lead) -> list[Point]:
        """Step 1: from no disturbance up, each severity with a nominal start and then with this one."""
        point = lead.tried.point
        start = point.values[: len(self.space.start)]
        levels = [replace(point, disturbance=NOMINAL, severity=0, values=start)]
        levels += [replace(point, severity=level) for level in range(1, point.severity + 1)]
        nominal = [replace(each, values=self.space.nominal(each.disturbance)) for each in levels]
        return [each for pair in zip(nominal, levels, strict=True) for each in pair][:-1]

    def _nominal(self, leads: Sequence[Lead]) -> list[Lead]:
        """One round of step 2."""
        singles = self._rows(
            [[self._reset(lead, [i]) for i in self.moved(lead.tried.point)] for lead in leads]
        )
        orders = []
        for lead, answers in zip(leads, singles, strict=True):
            values = [value(tried.row, lead.target, self.horizon_s) for tried in answers]
            missed = [(cost, int(i)) for cost, i in zip(values, self.moved(lead.tried.point), strict=False)]
            orders.append([i for cost, i in sorted(missed) if cost < 0])
        given = iter(orders)

        def together(lead: Lead) -> list[Point]:
            order = next(given)
            return [self._reset(lead, order[:k]) for k in range(len(order), 0, -1)]

        return self._first(leads, together)

    def _reset(self, lead: Lead, draws: Sequence[int]) -> Point:
        point = lead.tried.point
        values, nominal = point.values.copy(), self.space.nominal(point.disturbance)
        values[list(draws)] = nominal[list(draws)]
        return replace(point, values=values)

    def _nearer(self, lead: Lead) -> list[Point]:
        point = lead.tried.point
        draws, nominal = self.space.draws(point.disturbance), self.space.nominal(point.disturbance)
        scaled = np.array([not draw.count for draw in draws])
        if not scaled[self.moved(point)].any():
            return []
        shares = np.arange(1, SIXTEENTHS) / SIXTEENTHS
        return [
            replace(point, values=np.where(scaled, nominal + share * (point.values - nominal), point.values))
            for share in shares
        ]


def leads_of(
    tried: Sequence[Tried], targets: Sequence[str], horizon_s: float, space: Space, most: int
) -> list[Lead]:
    """At most `most` violations that differ: of each target and disturbance in turn the worst, then the one farthest from those taken."""
    heaps: dict[tuple[str, str], list[Lead]] = {}
    for target in targets:
        for each in tried:
            lead = Lead(target, each, value(each.row, target, horizon_s))
            if lead.value < 0:
                heaps.setdefault((target, each.point.disturbance), []).append(lead)
    chosen: list[Lead] = []
    taken: dict[tuple[str, str], list[Array]] = {}
    while len(chosen) < most and any(heaps.values()):
        for pair, heap in heaps.items():
            if heap and len(chosen) < most:
                lead = _farthest(heap, taken.setdefault(pair, []))
                heap.remove(lead)
                taken[pair].append(lead.tried.point.values)
                chosen.append(lead)
    return chosen


def _farthest(heap: list[Lead], taken: Sequence[Array]) -> Lead:
    if not taken:
        return min(heap, key=lambda lead: lead.value)
    return max(heap, key=lambda lead: min(np.abs(lead.tried.point.values - each).sum() for each in taken))
