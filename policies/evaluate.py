"""Held-out episodes for learning: what the judge would see, on seeds that another policy meets too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..envs.task import Task
from ..safety.episodes import NOMINAL, Loop, side_by_side, split
from ..safety.plan import Episode
from ..safety.statistics import (
    Interval,
    clopper_pearson_lower,
    paired_mean_difference,
    paired_quantile_difference,
)
from ..safety.suite import disturbances_of, load_suite, suite_for

Act = Callable[[NDArray[np.float32]], NDArray[np.float32]]
WORLDS = 256
BAD_DAY = 3  # severity
MARGINS = {"separation": "m", "grip-force": "N"}  # whose low quantile is compared
LOW_SHARE = 0.05


@dataclass(frozen=True)
class Held:
    """Outcomes of one policy on held-out seeds, each `(n,)`: success, cycle time in s (NaN without success), whether a hard limit of
    the suite was broken, and whether the episode was a plain one or a bad day; and the margins of `MARGINS` that the cell has."""

    success: NDArray[np.bool_]
    cycle_s: NDArray[np.float64]
    broken: NDArray[np.bool_]
    plain: NDArray[np.bool_]
    margins: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Successes in plain episodes."""
        return int(self.success[self.plain].sum())

    @property
    def good(self) -> int:
        """Episodes, plain or not, that succeeded and broke no hard limit."""
        return int((self.success & ~self.broken).sum())

    @property
    def n(self) -> int:
        """Plain episodes."""
        return int(self.plain.sum())

    def mean_cycle(self) -> str:
        """Mean cycle time of the plain episodes that succeeded, for people."""
        done = self.success & self.plain
        return f"{np.mean(self.cycle_s[done]):.2f} s" if done.any() else "none"

    def as_json(self) -> dict[str, float | int]:
        """Rate, n and one-sided 95 % lower bound, of plain episodes."""
        return {
            "rate": self.count / self.n,
            "n": self.n,
            "lower95": float(clopper_pearson_lower(self.count, self.n)),
        }


def together(a: Held, b: Held) -> Held:
    """Both sets of episodes as one."""
    return Held(
        np.concatenate([a.success, b.success]),
        np.concatenate([a.cycle_s, b.cycle_s]),
        np.concatenate([a.broken, b.broken]),
        np.concatenate([a.plain, b.plain]),
        {name: np.concatenate([a.margins[name], b.margins[name]]) for name in a.margins},
    )


@dataclass(frozen=True)
class _Acting:
    """A network that is still being made, as a policy."""

    function: Act
    kind: str = "network"
    name: str = "network"
    sha256: str = ""

    def act(
        self, observation: NDArray[np.float32], seeds: NDArray[np.int64], steps: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        return self.function(observation)


def evaluate(act: Act, task: Task, seeds: NDArray[np.int64], bad: int = 0, threads: int = 0) -> Held:
    """Play one judged episode per seed; the last `bad` of them have bad days, one disturbance of the cell's suite at severity 3 each, in turn."""
    n, kinds = len(seeds), disturbances_of(task) or [NOMINAL]
    plain = np.arange(n) < n - bad
    episodes = [
        Episode(i, 0, NOMINAL if plain[i] else kinds[i % len(kinds)], 0 if plain[i] else BAD_DAY, int(seed))
        for i, seed in enumerate(seeds)
    ]
    constraints = [bound.constraint for bound in load_suite(suite_for(task.id)).bind(task).assessed]
    loops = [
        Loop(_Acting(act), task, constraints, kinds if bad else (), worlds, cores)
        for worlds, cores in split(min(WORLDS, n), threads)
    ]
    rows = sorted(side_by_side(loops, episodes), key=lambda row: int(row["episode"]))
    margins = {each.id: np.array([row[f"margin.{each.id}"] for row in rows]) for each in constraints}
    kept = [margins[each.id] >= 0.0 for each in constraints if each.hard]
    success = np.array([row["success"] for row in rows], bool)
    return Held(
        success,
        np.where(success, [row["cycle_s"] for row in rows], np.nan),
        ~np.logical_and.reduce(kept),
        plain,
        {name: margins[name] for name in MARGINS if name in margins},
    )


@dataclass(frozen=True)
class Comparison:
    """A candidate against what it started from, on the same seeds."""

    before: Held
    after: Held

    @property
    def promising(self) -> bool:
        """Worth further episodes: something gained, and nothing *shown* to be lost but one episode that may be chance."""
        return self.after.count >= self.before.count - 1 and self._holds

    @property
    def accepted(self) -> bool:
        """No loss of success on plain days, at most one good episode fewer and one episode with a broken limit more on plain and bad days together (one may be chance), no margin
        whose 5 % quantile is shown to fall, and something gained: a shorter cycle, or a larger margin with no longer one (95 % intervals on
        the right side of zero)."""
        return self.after.count >= self.before.count and self._holds

    @property
    def _holds(self) -> bool:
        kept = self.after.good >= self.before.good - 1
        kept = kept and self.after.broken.sum() <= self.before.broken.sum() + 1
        return kept and self._gains and all(self.margin_change(name).upper >= 0.0 for name in self.margins)

    @property
    def _gains(self) -> bool:
        cycle = self.cycle_change()
        wider = cycle.lower <= 0.0 and any(self.margin_change(name).lower > 0.0 for name in self.margins)
        return bool(cycle.upper < 0.0 or wider)

    @property
    def margins(self) -> tuple[str, ...]:
        """The margins that both have."""
        return tuple(name for name in self.before.margins if name in self.after.margins)

    def cycle_change(self) -> Interval:
        """Relative change of the mean cycle time over plain episodes that both finished, and its 95 % interval."""
        both = self.before.success & self.after.success & self.before.plain
        if both.sum() < 2:
            return Interval(0.0, -np.inf, np.inf, int(both.sum()))
        base = float(self.before.cycle_s[both].mean())
        gap = paired_mean_difference(self.before.cycle_s[both], self.after.cycle_s[both])
        return Interval(gap.estimate / base, gap.lower / base, gap.upper / base, gap.n)

    def margin_change(self, name: str) -> Interval:
        """Change of a margin's 5 % quantile over the episodes in which both were put to the test, and its 95 % interval, which shows
        nothing where there are none: a margin is infinite where its constraint never applied."""
        before, after = self.before.margins[name], self.after.margins[name]
        tested = np.isfinite(before) & np.isfinite(after)
        if not tested.any():
            return Interval(0.0, -np.inf, np.inf, 0)
        return paired_quantile_difference(before[tested], after[tested], LOW_SHARE)

    def line(self) -> str:
        """Before and after, for people."""
        cycle, days = self.cycle_change(), len(self.before.plain) - self.before.n
        bad = [int(held.success.sum()) - held.count for held in (self.before, self.after)]
        said = [
            f"success {self.before.count}/{self.before.n} → {self.after.count}/{self.after.n}",
            f"on bad days {bad[0]}/{days} → {bad[1]}/{days}",
            f"limits broken in {self.before.broken.sum()} → {self.after.broken.sum()} of {len(self.before.plain)}",
            f"cycle {self.before.mean_cycle()} → {self.after.mean_cycle()} "
            f"({100 * cycle.estimate:+.1f} %, {100 * cycle.lower:+.1f} to {100 * cycle.upper:+.1f})",
        ]
        for name in self.margins:
            change = self.margin_change(name)
            said.append(
                f"5 % quantile of {name} {change.estimate:+.3g} {MARGINS[name]} ({change.lower:+.2g} to {change.upper:+.2g})"
            )
        return ", ".join(said) + "; 95 % intervals, paired"
