"""Held-out episodes for learning: how often a policy succeeds, and how fast, on seeds that another policy meets too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..envs.disturbances import disturbance_classes
from ..envs.task import Task
from ..envs.worlds import Worlds
from ..safety.statistics import clopper_pearson_lower, paired_mean_difference

Act = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Held:
    """Outcomes of one policy on held-out seeds, each `(n,)`: success, cycle time in s (NaN without success), whether a person or a
    limit was put at risk (the task's `cost`), and whether the episode was a plain one or a bad day."""

    success: NDArray[np.bool_]
    cycle_s: NDArray[np.float64]
    risky: NDArray[np.bool_]
    plain: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """Successes in plain episodes."""
        return int(self.success[self.plain].sum())

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


def evaluate(act: Act, task: Task, seeds: NDArray[np.int64], bad: int = 0, threads: int = 0) -> Held:
    """Play one judged episode per seed, all at once; the last `bad` of them have bad days, one disturbance of severity 3 each, in turn."""
    n, kinds = len(seeds), list(disturbance_classes())
    plain = np.arange(n) < n - bad
    day = np.where(plain, -1, np.arange(n) % len(kinds))
    worlds = Worlds(task, n, threads, tail_s=1.0, costs=True, disturbances=kinds if bad else ())
    worlds.reset(np.arange(n), seeds, {name: np.where(day == i, 3, 0) for i, name in enumerate(kinds)})
    risky = np.zeros(n, bool)
    while not worlds.done[:n].all():
        worlds.step(act(worlds.observation()))
        risky |= worlds.cost[:n] > 0.0
    success = worlds.success[:n].copy()
    cycle = np.where(success, worlds.cycle_s[:n], np.nan)
    return Held(success, cycle, risky, plain)


@dataclass(frozen=True)
class Comparison:
    """A candidate against what it started from, on the same seeds."""

    before: Held
    after: Held

    @property
    def accepted(self) -> bool:
        """No loss of success, on plain or on bad days, no more episodes at risk, and a shorter cycle (95 % interval below zero)."""
        kept = self.after.count >= self.before.count and self.after.success.sum() >= self.before.success.sum()
        safe = self.after.risky.sum() <= self.before.risky.sum()
        return bool(kept and safe and self.cycle_change()[2] < 0.0)

    def cycle_change(self) -> tuple[float, float, float]:
        """Relative change of the mean cycle time over plain episodes that both finished, and its 95 % interval."""
        both = self.before.success & self.after.success & self.before.plain
        if both.sum() < 2:
            return 0.0, -np.inf, np.inf
        base = float(self.before.cycle_s[both].mean())
        gap = paired_mean_difference(self.before.cycle_s[both], self.after.cycle_s[both])
        return gap.estimate / base, gap.lower / base, gap.upper / base

    def line(self) -> str:
        """One line for people."""
        change, low, high = self.cycle_change()
        days = len(self.before.plain) - self.before.n
        bad = [int(held.success.sum()) - held.count for held in (self.before, self.after)]
        return (
            f"success {self.before.count}/{self.before.n} → {self.after.count}/{self.after.n}, "
            f"on bad days {bad[0]}/{days} → {bad[1]}/{days}, "
            f"at risk {self.before.risky.sum()} → {self.after.risky.sum()}, "
            f"cycle {self.before.mean_cycle()} → {self.after.mean_cycle()} "
            f"({100 * change:+.1f} %, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}, paired)"
        )
