"""Bounds on rates and paired differences. Confidence is a fraction (0.95); counts are of independent episodes, fixed beforehand.

Nothing here is adjusted for looking more than once: each check draws new episodes, and their number is decided in the
plan. For a check that stops when it is decided there is `anytime`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtri, stdtrit

Array = NDArray[np.float64]
Bound = Callable[[int, int, float], float]

RESAMPLES, RESAMPLING_SEED = 1000, 20261121
FEWEST_BEYOND = 10  # pairs
OTHERS, ROUNDING = 0.05, 1e-9  # share of pairs with another difference; of a value


@dataclass(frozen=True)
class Interval:
    """An estimate and its two-sided interval."""

    estimate: float
    lower: float
    upper: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        return self.lower > 0.0 or self.upper < 0.0


def clopper_pearson_upper(count: int, n: int, confidence: float = 0.95) -> float:
    """One-sided upper bound on a rate of which `count` of `n` were seen (Clopper and Pearson 1934). 1 when n is 0.

    With no event: n = 59 gives 5 %, 299 gives 1 %, 2995 gives 0.1 %.
    """
    check_counts(count, n, confidence)
    if count == n:
        return 1.0
    if count == 0:
        return -math.expm1(math.log1p(-confidence) / n)
    return float(betaincinv(count + 1, n - count, confidence))


def clopper_pearson_lower(count: int, n: int, confidence: float = 0.95) -> float:
    """One-sided lower bound, the mirror image of the upper one. 0 when n is 0."""
    check_counts(count, n, confidence)
    if count == 0:
        return 0.0
    if count == n:
        return math.exp(math.log1p(-confidence) / n)
    return float(betaincinv(count, n - count + 1, 1.0 - confidence))


def bonferroni(confidence: float, claims: float) -> float:
    """The confidence that each of `claims` needs so that all hold together with `confidence`."""
    if claims < 1:
        raise ValueError(f"claims must be at least 1, found {claims}")
    return 1.0 - (1.0 - confidence) / claims


def episodes_needed(
    count: int, n: int, limit: float, confidence: float = 0.95, upper: Bound = clopper_pearson_upper
) -> int:
    """How many more episodes, all without the event, bring the upper bound down to `limit` (0: it is there already)."""
    check_counts(count, n, confidence)
    if not 0.0 < limit < 1.0:
        raise ValueError(f"limit must lie between 0 and 1, found {limit}")

    def enough(more: int) -> bool:
        return upper(count, n + more, confidence) <= limit

    if enough(0):
        return 0
    high = max(n, 1)
    while not enough(high):
        high *= 2
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def paired_rate_difference(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Interval:
    """Rate of `b` minus rate of `a`, two boolean outcomes of the same `(n,)` episodes.

    Newcombe 1998 (Statistics in Medicine 17:2635), method 10: Wilson intervals of both rates, squared and added, with the
    correlation of the pairs; it keeps its coverage where few or no pairs differ.
    """
    first, second = _paired(a, b)
    one, two = first.astype(bool), second.astype(bool)
    n = len(one)
    rates = one.mean(), two.mean()
    lows, highs = zip(
        _wilson(int(one.sum()), n, confidence), _wilson(int(two.sum()), n, confidence), strict=True
    )
    both, only_one = int((one & two).sum()), int((one & ~two).sum())
    only_two, neither = int((~one & two).sum()), int((~one & ~two).sum())
    phi = _newcombe_phi(both, only_one, only_two, neither)
    return _squared_and_added(rates, lows, highs, phi, n)


def paired_mean_difference(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean of `b - a` over the same `(n,)` episodes, with Student's t.

    Infinite below two pairs, and where all differences are one value (but for rounding) and fewer than it takes to show that at most
    5 % of pairs have another: few values that only look alike (cycle times are whole ticks) say nothing of how far others lie.
    """
    first, second = _paired(a, b)
    difference = second - first
    n = len(difference)
    mean = float(difference.mean())
    alike = float(np.ptp(difference)) <= ROUNDING * float(np.abs([first, second]).max())
    if n < 2 or (alike and n * math.log(1.0 - OTHERS) > math.log(1.0 - confidence)):
        return Interval(mean, -math.inf, math.inf, n)
    reach = float(stdtrit(n - 1, 0.5 + confidence / 2) * difference.std(ddof=1) / math.sqrt(n))
    return Interval(mean, mean - reach, mean + reach, n)


def paired_quantile_difference(
    a: ArrayLike, b: ArrayLike, share: float = 0.05, confidence: float = 0.95
) -> Interval:
    """The `share` quantile of `b` minus that of `a`, over the same `(n,)` episodes.

    Percentile bootstrap over pairs, with a fixed seed so that the same evidence gives the same interval. Chosen over combined
    order-statistic intervals by simulation: nominal coverage or more, ties and skew included, and up to a third narrower on
    strongly correlated pairs. Infinite with fewer than 10 pairs beyond the quantile, where no method has its coverage.
    """
    first, second = _paired(a, b)
    n = len(first)
    rank = max(math.ceil(share * n) - 1, 0)
    estimate = float(np.partition(second, rank)[rank] - np.partition(first, rank)[rank])
    if min(share, 1.0 - share) * n < FEWEST_BEYOND:
        return Interval(estimate, -math.inf, math.inf, n)
    rng = np.random.default_rng(RESAMPLING_SEED)
    found = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, 100):
        drawn = rng.integers(0, n, size=(100, n))
        quantiles = [np.partition(each[drawn], rank, axis=1)[:, rank] for each in (first, second)]
        found[start : start + 100] = quantiles[1] - quantiles[0]
    lower, upper = np.quantile(found, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(estimate, float(lower), float(upper), n)


def _squared_and_added(
    estimates: tuple[float, float],
    lows: tuple[float, ...],
    highs: tuple[float, ...],
    correlation: float,
    n: int,
) -> Interval:
    """Interval of the second minus the first: distances to their own bounds as the sides of a triangle."""
    difference = float(estimates[1] - estimates[0])
    down = _third_side(estimates[1] - lows[1], highs[0] - estimates[0], correlation)
    up = _third_side(highs[1] - estimates[1], estimates[0] - lows[0], correlation)
    return Interval(difference, difference - down, difference + up, n)


def _third_side(one: float, two: float, correlation: float) -> float:
    return math.sqrt(max(one * one + two * two - 2.0 * correlation * one * two, 0.0))


def _wilson(count: int, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's two-sided score interval of a rate."""
    z = float(ndtri(0.5 + confidence / 2))
    rate = count / n
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return (0.0 if count == 0 else middle - reach), (1.0 if count == n else middle + reach)


def _newcombe_phi(both: int, only_one: int, only_two: int, neither: int) -> float:
    """Phi coefficient of the fourfold table, with the continuity correction that method 10 prescribes."""
    margins = (both + only_one) * (only_two + neither) * (both + only_two) * (only_one + neither)
    if margins == 0:
        return 0.0
    determinant = both * neither - only_one * only_two
    corrected = (
        max(determinant - (both + only_one + only_two + neither) / 2, 0.0) if determinant > 0 else determinant
    )
    return corrected / math.sqrt(margins)


def _paired(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or len(first) == 0:
        raise ValueError(
            f"pairs must be two equally long lists, found shapes {first.shape} and {second.shape}"
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("pairs must be finite: leave out episodes in which a value was never taken")
    return first, second


def check_counts(count: int, n: int, confidence: float) -> None:
    """Raise ValueError unless `count` of `n` and a confidence are possible."""
    if not 0 <= count <= n:
        raise ValueError(f"count must lie between 0 and n = {n}, found {count}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, found {confidence}")
