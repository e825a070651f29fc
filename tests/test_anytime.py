"""Bounds that hold at every look: known values, what makes them valid, and how often peeking releases what it should
not.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import binom

from genba.safety.anytime import anytime_lower, anytime_upper, log_evidence
from genba.safety.characteristics import Counts, course, failure_line, measure, release_line
from genba.safety.lanes import FIXED, UNTIL_DECIDED
from genba.safety.statistics import bonferroni, clopper_pearson_lower, clopper_pearson_upper

LIMIT, TRUE = 0.01, 0.0101
EVERY, MOST, POLICIES = 10, 12_000, 4000
counts = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def released(rates: NDArray[np.float64], line: Counts, every: int, policies: int, seed: int) -> float:
    """The share of policies released at some look, whose conditions `rates` take turns."""
    rng = np.random.default_rng(seed)
    each = every // len(rates)
    seen = np.zeros(policies, np.int64)
    out = np.zeros(policies, bool)
    for most in line:
        seen += rng.binomial(each, np.broadcast_to(rates, (policies, len(rates)))).sum(axis=1)
        out |= seen <= most
    return float(out.mean())


def exactly_released(rate: float, line: Counts, every: int) -> float:
    never = np.full(len(line), every * len(line) + 1)
    return course(rate, line, never, every).passes


def test_peeking_every_ten_episodes_releases_at_most_two_percent() -> None:
    line = release_line(UNTIL_DECIDED, LIMIT, EVERY, MOST)
    found = released(np.array([TRUE]), line, EVERY, POLICIES, seed=1)
    assert 0.005 < found <= 0.02
    assert exactly_released(TRUE, line, EVERY) <= 0.02


def test_clopper_pearson_with_the_same_peeking_does_not() -> None:
    line = release_line(FIXED, LIMIT, EVERY, MOST)
    found = released(np.array([TRUE]), line, EVERY, POLICIES, seed=1)
    assert found >= 0.15
    assert exactly_released(TRUE, line, EVERY) == pytest.approx(found, abs=0.02)


def test_conditions_that_differ_are_no_worse_than_equal_ones() -> None:
    """One condition of three has all the violations; looks come after whole rounds."""
    line = release_line(UNTIL_DECIDED, LIMIT, 12, 6000)
    assert released(np.array([0.0, 0.0, 3 * TRUE]), line, 12, POLICIES, seed=2) <= 0.025


def test_a_good_policy_is_released_and_a_bad_one_is_found_out_early() -> None:
    line = release_line(UNTIL_DECIDED, LIMIT, EVERY, 3000)
    assert released(np.array([0.001]), line, EVERY, 1000, seed=3) > 0.99
    n = next(n for n in range(10, 1000, 10) if UNTIL_DECIDED.lower(round(0.1 * n), n, 0.95) > LIMIT)
    assert n <= 60


@pytest.mark.parametrize(
    ("count", "n", "rate"), [(2, 10, 0.2), (3, 50, 0.01), (40, 100, 0.3), (500, 3000, 0.15)]
)
def test_the_closed_form_is_the_mixture(count: int, n: int, rate: float) -> None:
    def ratio(inverse: float) -> float:
        odds = 1.0 / inverse
        return math.exp(count * math.log(odds) - n * math.log1p(rate * (odds - 1.0)))

    mixture, _ = quad(ratio, 0.0, 1.0, limit=200)
    assert log_evidence(count, n, rate) == pytest.approx(math.log(mixture), rel=1e-6)


@pytest.mark.parametrize("rate", [0.003, 0.05, 0.4])
def test_the_evidence_against_the_truth_has_mean_one(rate: float) -> None:
    """A martingale: what the closed form leaves out below two events only lowers the mean."""
    for n in (20, 200):
        k = np.arange(n + 1)
        evidence = np.array([log_evidence(int(each), n, rate) for each in k])
        mean = float(np.exp(binom.logpmf(k, n, rate) + evidence).sum())
        assert mean <= 1.0 + 1e-9
        if n * rate > 15:
            assert mean == pytest.approx(1.0, abs=1e-4)


@settings(max_examples=150, deadline=None)
@given(counts, st.sampled_from([0.9, 0.95, 0.975, 0.9995]))
def test_bounds_enclose_and_are_wider_than_those_of_one_look(
    seen: tuple[int, int], confidence: float
) -> None:
    count, n = seen
    lower, upper = anytime_lower(count, n, confidence), anytime_upper(count, n, confidence)
    assert 0.0 <= lower <= count / n <= upper <= 1.0
    assert lower <= clopper_pearson_lower(count, n, confidence) + 1e-12
    assert upper >= clopper_pearson_upper(count, n, confidence) - 1e-12
    assert anytime_upper(n - count, n, confidence) == pytest.approx(1.0 - lower, abs=1e-12)


@pytest.mark.parametrize(("limit", "needed"), [(0.1, 52), (0.01, 536), (0.001, 5374)])
def test_what_it_costs_to_be_allowed_to_peek(limit: float, needed: int) -> None:
    """Clean episodes until PASS; 29, 299 and 2,995 with a number that is fixed beforehand."""
    assert UNTIL_DECIDED.needed(0, 0, limit, 0.95) == needed
    assert UNTIL_DECIDED.upper(0, needed, 0.95) <= limit < UNTIL_DECIDED.upper(0, needed - 1, 0.95)


@pytest.mark.parametrize("bound", [anytime_lower, anytime_upper])
@pytest.mark.parametrize(("count", "n"), [(-1, 3), (4, 3), (1, -2)])
def test_impossible_counts_are_refused(bound: Callable[..., float], count: int, n: int) -> None:
    with pytest.raises(ValueError, match="count must lie between"):
        bound(count, n)


def test_nothing_seen_bounds_nothing() -> None:
    assert (anytime_lower(0, 0), anytime_upper(0, 0)) == (0.0, 1.0)


def test_both_words_share_the_confidence() -> None:
    assert UNTIL_DECIDED.upper(3, 900, 0.95) == anytime_upper(3, 900, bonferroni(0.95, 2))
    assert FIXED.lower(3, 900, 0.95, claims=4) == clopper_pearson_lower(3, 900, bonferroni(0.95, 4))


def test_exact_courses_are_those_of_simulation() -> None:
    passing = release_line(UNTIL_DECIDED, LIMIT, 50, 2000)
    failing = failure_line(UNTIL_DECIDED, LIMIT, 50, 2000)
    rng = np.random.default_rng(8)
    seen = rng.binomial(50, 0.02, size=(4000, len(passing))).cumsum(axis=1)
    good, bad = seen <= passing, seen >= failing
    first = np.where((good | bad).any(axis=1), (good | bad).argmax(axis=1), len(passing) - 1)
    found = course(0.02, passing, failing, 50)
    rows = np.arange(len(seen))
    assert found.passes == pytest.approx(good[rows, first].mean(), abs=0.01)
    assert found.fails == pytest.approx(bad[rows, first].mean(), abs=0.03)
    assert found.mean_episodes == pytest.approx(50 * (first + 1).mean(), rel=0.05)
    assert found.median_episodes == pytest.approx(50 * (np.median(first) + 1), abs=50)


def test_what_is_published_keeps_its_promise() -> None:
    found = measure()
    worst = max(each.passes for each in found.peeking["until-decided"] if each.rate > LIMIT)
    false_alarm = max(each.fails for each in found.peeking["until-decided"] if each.rate <= LIMIT)
    assert worst <= 0.02 and false_alarm <= 0.025
    assert found.clean[0.01] == (299, 536) and "1.01%" in found.table()
