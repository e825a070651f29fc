"""Rare violations by adaptive multilevel splitting: how likely is "the margin of a constraint falls below 0" when it
hardly ever does?

Many copies of a world run to the end. Those that came least near to a violation are given up; each of them becomes a
copy of one that came nearer, from the moment at which that one did, and goes on with draws of its own. What is left
after each such level is a known share, and the shares multiply. The estimate has the true probability as its mean for
any number of copies, also where several came equally near (Brehier, Gazeau, Goudenege, Lelievre, Rousset 2016, Annals
of Applied Probability 26:3559); method of Cerou and Guyader 2007. Everything random comes from streams by name, so the
same seed gives the same bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from ..envs.streams import Streams
from .statistics import clopper_pearson_upper

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

KEY = "splitting/1"
SEEDS_PER_REPLICA = 1_000_000_000


class Chain(Protocol):
    """Worlds whose whole state is one row each, so that copying a row copies a world."""

    @property
    def ticks(self) -> int:
        """Steps of an episode."""
        ...

    def start(self, seeds: Indices) -> Array:
        """`(n, state)` first states."""
        ...

    def step(self, states: Array, seeds: Indices, tick: int) -> Array:
        """`(n, state)` after one step; what is random follows from seed and tick."""
        ...

    def margin(self, states: Array) -> Array:
        """`(n,)` margins of the constraint."""
        ...


@dataclass(frozen=True)
class Rare:
    """A probability per episode with a two-sided interval (Student's t over replicas, at least 0), and what it took.

    Where no replica reached a violation they do not spread, and the interval is that of Clopper and Pearson for none in
    `starts` episodes: the first copies of all replicas are independent plain episodes, and one with a violation would
    never have been given up. That holds whichever levels were passed; no level makes it narrower.

    `steps` counts the steps of single worlds; `extinct` the replicas that ended with no copy left, whose estimate is 0.
    """

    estimate: float
    lower: float
    upper: float
    confidence: float
    replicas: int
    copies: int
    levels: float
    steps: int
    extinct: int

    @property
    def starts(self) -> int:
        """Copies that did not begin as one of another."""
        return self.replicas * self.copies

    @property
    def reached(self) -> bool:
        """Whether any replica came to a violation."""
        return self.extinct < self.replicas


@dataclass
class _Paths:
    """All copies of one replica: states `(ticks + 1, n, state)` and how near each came so far `(ticks + 1, n)`."""

    states: Array
    nearest: Array
    seeds: Indices
    steps: int = 0


def probability(
    chain: Chain,
    copies: int = 200,
    replicas: int = 10,
    seed: int = 0,
    drop: float = 0.1,
    confidence: float = 0.95,
) -> Rare:
    """How likely a margin below zero is within an episode.

    Args:
        chain: the worlds.
        copies: worlds of a replica that run together.
        replicas: independent estimates, 2 at least; their spread gives the interval.
        seed: 0 to 999,999.
        drop: share of the copies that a level gives up, at least one of them.

    Raises:
        ValueError: for numbers that cannot be.
    """
    if copies < 2 or replicas < 2 or not 0.0 < drop < 1.0 or not 0 <= seed < 1_000_000:
        raise ValueError(
            "expected 2 copies and 2 replicas at least, 0 < drop < 1, and a seed of 0 to 999,999"
        )
    each, levels, steps = np.empty(replicas), 0, 0
    for replica in range(replicas):
        first = (seed * 1000 + replica) * SEEDS_PER_REPLICA
        each[replica], more, walked = _replica(chain, copies, max(1, round(drop * copies)), first)
        levels, steps = levels + more, steps + walked
    mean, extinct = float(each.mean()), int((each == 0.0).sum())
    reach = float(stdtrit(replicas - 1, 0.5 + confidence / 2) * each.std(ddof=1) / math.sqrt(replicas))
    if extinct == replicas:
        reach = clopper_pearson_upper(0, replicas * copies, 0.5 + confidence / 2)
    return Rare(
        mean, max(mean - reach, 0.0), min(mean + reach, 1.0), confidence, replicas, copies, levels / replicas, steps,
        extinct,
    )  # fmt: skip


def _replica(chain: Chain, copies: int, drop: int, first: int) -> tuple[float, int, int]:
    """One estimate, its number of levels and of steps. Seeds count up from `first`."""
    seeds = first + np.arange(copies)
    states = chain.start(seeds)
    paths = _Paths(
        np.empty((chain.ticks + 1, *states.shape)),
        np.empty((chain.ticks + 1, copies)),
        seeds.astype(np.int64),
    )
    paths.states[0], paths.nearest[0] = states, -_finite(chain.margin(states))
    _walk(chain, paths, np.arange(copies), np.zeros(copies, np.int64))
    weight, level_number, given = 1.0, 0, copies
    while True:
        best = paths.nearest[-1]
        level = np.partition(best, drop - 1)[drop - 1]
        if level > 0.0:
            return weight * float((best > 0.0).mean()), level_number, paths.steps
        lost = np.flatnonzero(best <= level)
        kept = np.flatnonzero(best > level)
        if len(kept) == 0:
            return 0.0, level_number, paths.steps
        weight *= len(kept) / copies
        level_number += 1
        draws = Streams(KEY, first + given + np.arange(len(lost))).uniform("parent", step=level_number)
        parents = kept[np.minimum((draws * len(kept)).astype(np.int64), len(kept) - 1)]
        moments = (paths.nearest[:, parents] > level).argmax(axis=0)
        for child, parent, moment in zip(lost.tolist(), parents.tolist(), moments.tolist(), strict=True):
            paths.states[: moment + 1, child] = paths.states[: moment + 1, parent]
            paths.nearest[: moment + 1, child] = paths.nearest[: moment + 1, parent]
        paths.seeds[lost] = first + given + np.arange(len(lost))
        given += len(lost)
        _walk(chain, paths, lost, moments)


def _walk(chain: Chain, paths: _Paths, ids: Indices, moments: Indices) -> None:
    """Let copies `ids` go on from their `moments` to the end."""
    for tick in range(int(moments.min()), chain.ticks):
        going = ids[moments <= tick]
        states = chain.step(paths.states[tick, going], paths.seeds[going], tick)
        paths.states[tick + 1, going] = states
        paths.nearest[tick + 1, going] = np.maximum(
            paths.nearest[tick, going], -_finite(chain.margin(states))
        )
        paths.steps += len(going)


def _finite(margins: Array) -> Array:
    """A margin that is no number is a violation."""
    return np.where(np.isnan(margins), -np.inf, margins)
