"""How often the statistics of the verdict err, and what they cost: exact, by carrying on the distribution of counts
from look to look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from .lanes import FIXED, UNTIL_DECIDED, Lane

Counts = NDArray[np.int64]

LIMIT, CONFIDENCE = 0.01, 0.95
RATES = (0.0, 0.001, 0.002, 0.005, 0.0101, 0.02, 0.03, 0.05, 0.1)
EVERY, MOST = 10, 12_000
TAIL = 1e-12  # probability of counts that is left out of the sums


@dataclass(frozen=True)
class Course:
    """A limit on one rate, looked at every so often: how likely each word is, and after how many episodes."""

    rate: float
    passes: float
    fails: float
    mean_episodes: float
    median_episodes: int


def release_line(lane: Lane, limit: float, every: int, most: int) -> Counts:
    """`(looks,)` the largest count that passes at each look; -1 where none does."""
    line, count = [], -1
    for n in range(every, most + 1, every):
        while count + 1 < n and lane.upper(count + 1, n, CONFIDENCE) <= limit:
            count += 1
        line.append(count)
    return np.array(line)


def failure_line(lane: Lane, limit: float, every: int, most: int) -> Counts:
    """`(looks,)` the smallest count that fails at each look; more than can be where none does."""
    line, count = [], 0
    for n in range(every, most + 1, every):
        while count <= n and lane.lower(count, n, CONFIDENCE) <= limit:
            count += 1
        line.append(count)
    return np.array(line)


def course(rate: float, passing: Counts, failing: Counts, every: int) -> Course:
    """What becomes of a policy whose true rate is `rate`."""
    step = binom.pmf(np.arange(every + 1), every, rate)
    alive, passed, failed = np.ones(1), 0.0, 0.0
    stopped = np.zeros(len(passing))
    for look, (most, least) in enumerate(zip(passing.tolist(), failing.tolist(), strict=True)):
        alive = np.convolve(alive, step)
        good, bad = alive[: most + 1].sum(), alive[least:].sum()
        passed, failed, stopped[look] = passed + good, failed + bad, good + bad
        alive = alive[:least].copy()
        alive[: most + 1] = 0.0
        alive = np.trim_zeros(np.where(alive < TAIL / len(passing), 0.0, alive), "b")
        if len(alive) == 0:
            break
    stopped[-1] += max(1.0 - stopped.sum(), 0.0)
    episodes = every * np.arange(1, len(passing) + 1)
    median = int(episodes[min(int((np.cumsum(stopped) < 0.5).sum()), len(episodes) - 1)])
    return Course(rate, float(passed), float(failed), float(stopped @ episodes), median)


@dataclass(frozen=True)
class Characteristics:
    """Courses of both lanes under the same looks, and clean episodes until PASS by limit."""

    peeking: Mapping[str, tuple[Course, ...]]
    clean: Mapping[float, tuple[int, int]]

    def as_json(self) -> Mapping[str, Any]:
        return {
            "limit": LIMIT,
            "confidence": CONFIDENCE,
            "look_every": EVERY,
            "at_most": MOST,
            "peeking": {name: [vars(each) for each in found] for name, found in self.peeking.items()},
            "clean_episodes": {
                f"{limit:g}": {"fixed": fixed, "until-decided": until}
                for limit, (fixed, until) in self.clean.items()
            },
        }

    def table(self) -> str:
        lines = [
            f"limit {LIMIT:.0%}, looked at every {EVERY} episodes up to {MOST:,}, {CONFIDENCE:.0%} confidence (exact)",
            f"{'true rate':>10}{'PASS':>10}{'FAIL':>10}{'episodes, mean':>17}{'median':>9}",
        ]
        for name, found in self.peeking.items():
            said = "fixed: Clopper-Pearson, NOT made for looking often" if name == "fixed" else name
            lines.append(said)
            lines += [
                f"{each.rate:>10.2%}{each.passes:>10.2%}{each.fails:>10.2%}{each.mean_episodes:>17,.0f}"
                f"{each.median_episodes:>9,}"
                for each in found
            ]
        lines.append("clean episodes until PASS: limit, fixed, until decided")
        lines += [f"{limit:>10.2%}{fixed:>10,}{until:>10,}" for limit, (fixed, until) in self.clean.items()]
        return "\n".join(lines)


def measure() -> Characteristics:
    """What `genba bench judge` prints."""
    peeking: dict[str, tuple[Course, ...]] = {}
    for lane in (UNTIL_DECIDED, FIXED):
        passing = release_line(lane, LIMIT, EVERY, MOST)
        failing = failure_line(lane, LIMIT, EVERY, MOST)
        peeking[lane.name] = tuple(course(rate, passing, failing, EVERY) for rate in RATES)
    clean = {
        limit: (FIXED.needed(0, 0, limit, CONFIDENCE), UNTIL_DECIDED.needed(0, 0, limit, CONFIDENCE))
        for limit in (0.1, 0.05, 0.01, 0.001)
    }
    return Characteristics(peeking, clean)
