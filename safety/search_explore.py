"""The hunt: plain draws first, then several evolution strategies side by side, each after one target under one disturbance.

A target is a hard constraint (its margin, in its unit) or success (the seconds that were left when it was reached; below zero where it
was not). A strategy begins at the worst episode known of its target and disturbance, ends when it has found a violation or gets no further, and
makes room for the next. Every row is judged against every target, so each learns from all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..envs.streams import Streams
from .episodes import Row
from .search_cma import Strategy, population_for
from .search_space import Point, Space, first_seed

Array = NDArray[np.float64]
Play = Callable[[Sequence[Point]], list[Row]]

SUCCESS = "success"
STRATEGIES = 6  # side by side
FIRST, FEW = 96, 16  # plain draws at most before them; of seconds, at once and at least
FIRST_SHARE = 0.25  # of the budget at most
EXPLORED = 0.7  # of the budget, once something was found; the rest goes into making findings small
STEP = 0.15  # of a draw's whole range
STEP_MOST, STEP_LEAST = 0.5, 1e-3
PATIENCE, OLDEST = 6, 30  # generations without gain, and at all
DISTURBANCE, SEVERITY = "search/disturbance", "search/severity"


@dataclass
class Budget:
    """How long a search may take: seconds, or (so that it can be repeated) a number of episodes. `played` counts."""

    seconds: float | None = None
    episodes: int | None = None
    played: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def spent(self) -> float:
        """The share that is used up."""
        if self.episodes is not None:
            return self.played / self.episodes
        assert self.seconds is not None
        return (time.monotonic() - self.began) / self.seconds

    def left(self, most: int, share: float = 1.0) -> int:
        """How many of `most` episodes may still be played within a share of it (of seconds: all, until they have passed)."""
        if self.episodes is not None:
            return max(0, min(most, math.ceil(share * self.episodes) - self.played))
        return most if self.spent < share else 0


@dataclass(frozen=True, eq=False)
class Tried:
    """A point and what became of it."""

    point: Point
    row: Row


def value(row: Row, target: str, horizon_s: float) -> float:
    """What a search minimises: below zero is a violation, +inf says nothing (the constraint never applied)."""
    if target == SUCCESS:
        return horizon_s - row["cycle_s"] if row["success"] else -1.0
    margin = float(row[f"margin.{target}"])
    return -math.inf if math.isnan(margin) else margin


def explore(
    space: Space, targets: Sequence[str], horizon_s: float, play: Play, budget: Budget, seed: int
) -> list[Tried]:
    """Everything that was tried within the budget's share for exploring, in order."""
    tried = _plain(space, play, budget, seed)
    queue = _pairs(space, targets, horizon_s, tried)
    hunts: list[Hunt] = []
    begun = 0
    while budget.left(1, share := EXPLORED if _violates(tried, targets, horizon_s) else 1.0):
        hunts = [hunt for hunt in hunts if hunt.goes_on]
        while len(hunts) < STRATEGIES:
            hunts.append(Hunt(*next(queue), space, tried, horizon_s, (seed << 16) + begun))
            begun += 1
        asked = [hunt.ask() for hunt in hunts]
        answers = _played([point for points in asked for point in points], play, budget, share)
        tried += answers
        for hunt, points in zip(hunts, asked, strict=True):
            own, answers = answers[: len(points)], answers[len(points) :]
            if len(own) == len(points):
                hunt.tell([each.row for each in own])
    return tried


def _plain(space: Space, play: Play, budget: Budget, seed: int) -> list[Tried]:
    """The plain draws: of seconds, a few, and then as many more as their share has time for, should they take as long."""
    if budget.episodes is not None:
        first = min(FIRST, math.ceil(FIRST_SHARE * budget.episodes))
        return _played(plain_points(space, first, seed), play, budget)
    budget.began = time.monotonic()  # building worlds is no search
    points = plain_points(space, FIRST, seed)
    tried = _played(points[:FEW], play, budget)
    while len(tried) < FIRST:
        more = int(len(tried) * (FIRST_SHARE / max(budget.spent, 1e-9) - 1.0))
        if more < FEW:
            break
        tried += _played(points[len(tried) : len(tried) + more], play, budget)
    return tried


def _violates(tried: Sequence[Tried], targets: Sequence[str], horizon_s: float) -> bool:
    return any(value(each.row, target, horizon_s) < 0 for each in tried for target in targets)


def plain_points(space: Space, count: int, seed: int) -> list[Point]:
    """Points as the suite would draw them: each disturbance and severity in turn, everything else by chance."""
    conditions = [("none", 0)] + [
        (name, level) for name in space.disturbances[1:] for level in space.severities[name]
    ]
    points = []
    for i in range(count):
        name, level = conditions[i % len(conditions)]
        draws = Streams("search/plain", np.array([first_seed(seed)]))
        values = draws.uniform("values", (1, len(space.draws(name))), np.array([i]))[0]
        points.append(Point(name, level, space.settled(name, values)[0], first_seed(seed)))
    return points


def _played(points: list[Point], play: Play, budget: Budget, share: float = 1.0) -> list[Tried]:
    points = points[: budget.left(len(points), share)]
    budget.played += len(points)
    return [Tried(point, row) for point, row in zip(points, play(points), strict=True)] if points else []


def _pairs(
    space: Space, targets: Sequence[str], horizon_s: float, tried: Sequence[Tried]
) -> Iterator[tuple[str, str]]:
    """Targets and disturbances without end, the most promising first: each target in turn, and of it the disturbance under which it came
    nearest to a violation, then the next. What is violated already is passed over while anything is not. `tried` grows meanwhile."""
    begun = dict.fromkeys(((target, name) for target in targets for name in space.disturbances), 0)
    while True:
        for target in sorted(targets, key=lambda name: _spreads(tried, name, horizon_s)):
            lowest = dict.fromkeys(begun, math.inf)
            for each in tried:
                for aim in targets:
                    pair = (aim, each.point.disturbance)
                    lowest[pair] = min(lowest[pair], value(each.row, aim, horizon_s))
            still = [pair for pair in begun if lowest[pair] >= 0.0] or list(begun)
            own = [pair for pair in still if pair[0] == target]
            if own:
                chosen = min(own, key=lambda pair: (begun[pair], lowest[pair]))
                begun[chosen] += 1
                yield chosen


def _spreads(tried: Sequence[Tried], target: str, horizon_s: float) -> float:
    """How many of its standard deviations a target is from a violation, so that metres and newtons compare; +inf where it is violated, or
    where nothing changes it."""
    values = np.array([value(each.row, target, horizon_s) for each in tried])
    known = values[np.isfinite(values)]
    if not len(known) or values.min() < 0 or np.ptp(known) == 0.0:
        return math.inf
    return float(known.min() / known.std())


def folded(values: Array) -> Array:
    """Any numbers, mirrored at 0 and 1 into the range between."""
    return np.abs((values + 1.0) % 2.0 - 1.0)


class Hunt:
    """One evolution strategy after `target` under `disturbance`, begun at the worst episode known (the middle, if none is).

    Its last coordinate is the severity, where there is one.
    """

    def __init__(
        self, target: str, disturbance: str, space: Space, tried: Sequence[Tried], horizon_s: float, seed: int
    ) -> None:
        self.target, self.disturbance, self.space, self.horizon_s = target, disturbance, space, horizon_s
        known = [each for each in tried if each.point.disturbance == disturbance]
        known.sort(key=lambda each: value(each.row, target, horizon_s))
        level = 0.5
        mean, self.seed = space.nominal(disturbance), first_seed(seed >> 16)
        if known:
            worst = known[0].point
            mean, level, self.seed = worst.values, self._level(worst.severity), worst.seed
        start = np.append(mean, level) if space.most(disturbance) else mean
        self.strategy = Strategy(start, STEP, seed, max(8, population_for(len(start))))
        self.best, self.stale = math.inf, 0

    def _level(self, severity: int) -> float:
        return (severity - 0.5) / max(1, self.space.most(self.disturbance))

    @property
    def goes_on(self) -> bool:
        old = self.strategy.generation >= OLDEST or self.strategy.sigma < STEP_LEAST
        return not (self.best < 0 or old or self.stale >= PATIENCE)

    def ask(self) -> list[Point]:
        """The next generation."""
        values = folded(self.strategy.ask())
        most = self.space.most(self.disturbance)
        levels = np.zeros(len(values), np.int64)
        if most:
            levels = np.minimum(1 + (values[:, -1] * most).astype(np.int64), most)
            values = values[:, :-1]
        settled = self.space.settled(self.disturbance, values)
        return [
            Point(self.disturbance, int(level), row, self.seed)
            for level, row in zip(levels, settled, strict=True)
        ]

    def tell(self, rows: Sequence[Row]) -> None:
        """What became of it."""
        values = np.array([value(row, self.target, self.horizon_s) for row in rows])
        self.strategy.tell(values)
        self.strategy.sigma = min(self.strategy.sigma, STEP_MOST)
        self.stale = 0 if values.min() < self.best else self.stale + 1
        self.best = min(self.best, float(values.min()))
