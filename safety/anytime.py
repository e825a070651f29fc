"""Bounds on a rate that hold at every look at once, so that a check may stop as soon as it is decided.

Robbins' mixture (1970): were the rate `p`, the likelihood ratio of any larger odds to those of `p` would be a
nonnegative martingale over independent episodes, and so would their mixture, which is a beta-binomial one in closed
form:

    M(k, n; p) = integral over t > 1 of t^-2 * t^k / (1 - p + t p)^n dt
               = p / (1 - p) * B(k - 1, n - k + 1) * I_{1-p}(n - k + 1, k - 1) / (p^k (1 - p)^(n - k))

for k events in n episodes, k >= 2, where t is the ratio of the odds and 1/t uniform on (0, 1).
By Ville's inequality (1939) it reaches 1 / alpha with probability at most alpha, ever. M falls in p, so the rates that
it has not refuted lie above a bound. Where conditions differ in their rates, the same holds of the mean rate after
every whole round of conditions: the factors of one round multiply to no more than the power of their mean. Confidence
is a fraction (0.975).
"""

from __future__ import annotations

import math
from functools import lru_cache

from scipy.special import betainc, betaln

from .statistics import check_counts

HALVINGS = 60


def log_evidence(count: int, n: int, rate: float) -> float:
    """Natural logarithm of M: how strongly `count` of `n` speak against a true rate of `rate` or less. -inf: not at
    all.

    Below two events it is not computed (it could refute no rate above 1e-8): -inf.
    """
    if count < 2:
        return -math.inf
    clean = n - count
    beyond = float(betainc(clean + 1, count - 1, 1.0 - rate))
    if beyond <= 0.0:
        return -math.inf
    likelihood = count * math.log(rate) + clean * math.log1p(-rate)
    odds = math.log(rate) - math.log1p(-rate)
    return odds + float(betaln(count - 1, clean + 1)) + math.log(beyond) - likelihood


@lru_cache(maxsize=4096)
def anytime_lower(count: int, n: int, confidence: float = 0.95) -> float:
    """One-sided lower bound on a rate that is true at all looks together with `confidence`. 0 below two events."""
    check_counts(count, n, confidence)
    enough = -math.log1p(-confidence)
    low, high = 0.0, count / max(n, 1)
    for _ in range(HALVINGS if count >= 2 else 0):
        middle = (low + high) / 2
        if log_evidence(count, n, middle) >= enough:
            low = middle
        else:
            high = middle
    return low


def anytime_upper(count: int, n: int, confidence: float = 0.95) -> float:
    """One-sided upper bound, the mirror image of the lower one. With no event: n = 536 gives 1 % at 0.975."""
    check_counts(count, n, confidence)
    return 1.0 - anytime_lower(n - count, n, confidence)
