"""Bounds: known values, defining properties, and coverage by simulation."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from genba.safety.percent import at_least, at_most, plain
from genba.safety.statistics import (
    bonferroni,
    clopper_pearson_lower,
    clopper_pearson_upper,
    episodes_needed,
    paired_mean_difference,
    paired_quantile_difference,
    paired_rate_difference,
)

counts = st.integers(1, 4000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
confidences = st.sampled_from([0.8, 0.9, 0.95, 0.99, 0.9995])


@pytest.mark.parametrize(("n", "rate"), [(59, 0.05), (299, 0.01), (2995, 0.001), (29956, 0.0001)])
def test_no_event_in_n_episodes_bounds_the_rate(n: int, rate: float) -> None:
    assert clopper_pearson_upper(0, n) <= rate < clopper_pearson_upper(0, n - 1)


@pytest.mark.parametrize(
    ("count", "n", "lower", "upper"),
    [(5, 100, 0.0199055637, 0.1022533776), (1, 10, 0.0051161969, 0.3941633106), (231, 231, 0.98711519, 1.0)],
)
def test_known_bounds(count: int, n: int, lower: float, upper: float) -> None:
    """The first two are the 90 % two-sided exact intervals of standard software."""
    assert clopper_pearson_lower(count, n) == pytest.approx(lower, abs=1e-7)
    assert clopper_pearson_upper(count, n) == pytest.approx(upper, abs=1e-7)


@settings(max_examples=200, deadline=None)
@given(counts, confidences)
def test_at_the_bound_what_was_seen_has_the_probability_that_defines_it(
    seen: tuple[int, int], confidence: float
) -> None:
    count, n = seen
    lower, upper = clopper_pearson_lower(count, n, confidence), clopper_pearson_upper(count, n, confidence)
    assert 0.0 <= lower <= count / n <= upper <= 1.0
    if count < n:
        assert binom.cdf(count, n, upper) == pytest.approx(1 - confidence, rel=1e-6)
    if count > 0:
        assert binom.sf(count - 1, n, lower) == pytest.approx(1 - confidence, rel=1e-6)


@settings(max_examples=100, deadline=None)
@given(counts, confidences)
def test_failures_and_successes_mirror_each_other(seen: tuple[int, int], confidence: float) -> None:
    count, n = seen
    mirrored = 1.0 - clopper_pearson_upper(n - count, n, confidence)
    assert clopper_pearson_lower(count, n, confidence) == pytest.approx(mirrored, abs=1e-9)


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.3])
def test_one_sided_coverage(rate: float) -> None:
    """The exact coverage over all outcomes of 300 episodes."""
    n = 300
    weight = binom.pmf(np.arange(n + 1), n, rate)
    covered = np.array([clopper_pearson_upper(k, n) >= rate for k in range(n + 1)])
    assert weight[covered].sum() >= 0.95
    covered = np.array([clopper_pearson_lower(k, n) <= rate for k in range(n + 1)])
    assert weight[covered].sum() >= 0.95


def test_nothing_seen_bounds_nothing() -> None:
    assert (clopper_pearson_lower(0, 0), clopper_pearson_upper(0, 0)) == (0.0, 1.0)


@pytest.mark.parametrize(("count", "n"), [(-1, 3), (4, 3), (1, -2)])
def test_impossible_counts_are_refused(count: int, n: int) -> None:
    with pytest.raises(ValueError, match="count must lie between"):
        clopper_pearson_upper(count, n)


def test_bonferroni_divides_what_is_left() -> None:
    assert bonferroni(0.95, 1) == pytest.approx(0.95)
    assert bonferroni(0.95, 13) == pytest.approx(1 - 0.05 / 13)
    with pytest.raises(ValueError, match="claims"):
        bonferroni(0.95, 0)


@settings(max_examples=100, deadline=None)
@given(counts.filter(lambda seen: seen[0] < 30), st.sampled_from([0.001, 0.01, 0.05]))
def test_episodes_needed_is_exactly_enough(seen: tuple[int, int], limit: float) -> None:
    count, n = seen
    more = episodes_needed(count, n, limit)
    assert clopper_pearson_upper(count, n + more) <= limit
    assert more == 0 or clopper_pearson_upper(count, n + more - 1) > limit


@pytest.mark.parametrize(("limit", "needed"), [(0.05, 59), (0.01, 299), (0.001, 2995)])
def test_episodes_needed_from_nothing(limit: float, needed: int) -> None:
    assert episodes_needed(0, 0, limit) == needed
    assert episodes_needed(0, needed, limit) == 0


# ---- pairs


def fourfold(both: int, only_first: int, only_second: int, neither: int) -> tuple[list[int], list[int]]:
    first = [1] * both + [1] * only_first + [0] * only_second + [0] * neither
    second = [1] * both + [0] * only_first + [1] * only_second + [0] * neither
    return first, second


def test_paired_rates_known_value() -> None:
    """Newcombe 1998, method 10, the table 36, 12, 2, 0: 0.0569 to 0.3404."""
    second, first = fourfold(36, 12, 2, 0)
    found = paired_rate_difference(first, second)
    assert found.estimate == pytest.approx(0.2)
    assert [found.lower, found.upper] == pytest.approx([0.0569, 0.3404], abs=5e-5)
    assert found.excludes_zero and found.n == 50


def test_equal_pairs_do_not_show_a_difference_nor_certainty() -> None:
    found = paired_rate_difference(*fourfold(300, 0, 0, 0))
    assert found.lower < 0.0 < found.upper and found.upper < 0.02


def test_swapping_the_pair_turns_the_interval_round() -> None:
    first, second = fourfold(200, 9, 31, 60)
    one, other = paired_rate_difference(first, second), paired_rate_difference(second, first)
    assert (one.estimate, one.lower, one.upper) == pytest.approx(
        (-other.estimate, -other.upper, -other.lower)
    )


def coverage(interval: Any, draw: Any, truth: float, rounds: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(rounds):
        found = interval(*draw(rng))
        hits += found.lower <= truth <= found.upper
    return hits / rounds


@pytest.mark.parametrize("cells", [(0.95, 0.02, 0.01, 0.02), (0.6, 0.2, 0.1, 0.1), (0.985, 0.01, 0.0, 0.005)])
def test_coverage_of_the_paired_rate_difference(cells: tuple[float, ...]) -> None:
    def draw(rng: np.random.Generator) -> Any:
        return fourfold(*rng.multinomial(300, cells))

    found = coverage(paired_rate_difference, draw, cells[2] - cells[1], rounds=1200, seed=1)
    assert 0.93 <= found <= 0.999


@pytest.mark.parametrize(
    ("n", "confidence", "known"), [(2, 0.998, False), (58, 0.95, False), (59, 0.95, True)]
)
def test_equal_differences_claim_nothing_while_they_are_few(n: int, confidence: float, known: bool) -> None:
    """Cycle times are whole ticks, so two differences of 0.02 s are equal by chance; their rounding does not make a variance."""
    a = np.linspace(2.0, 4.0, n)
    interval = paired_mean_difference(a, a + 0.02, confidence)
    assert interval.excludes_zero is known and interval.estimate == pytest.approx(0.02)
    assert (interval.upper - interval.lower < 1e-9) if known else interval.lower == -math.inf
    assert not paired_mean_difference(a, a, confidence).excludes_zero


def test_ticks_that_agree_by_chance_seldom_make_a_claim() -> None:
    """Whole ticks of no difference on average: two pairs agree in more than a third, and 5 % of intervals may miss zero."""
    rng = np.random.default_rng(9)
    for n in (2, 3, 5):
        drawn = 0.02 * rng.choice([-1, 0, 1], p=[0.3, 0.4, 0.3], size=(2000, n))
        wrong = [paired_mean_difference(np.full(n, 3.0), 3.0 + each).excludes_zero for each in drawn]
        assert np.mean(wrong) <= 0.05


def test_coverage_of_the_paired_mean_difference() -> None:
    def draw(rng: np.random.Generator) -> Any:
        world = rng.normal(size=60)
        return world + rng.normal(size=60), world + 0.3 + rng.exponential(size=60)

    assert coverage(paired_mean_difference, draw, 1.3, rounds=1500, seed=2) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("shared", "skewed"), [(0.0, False), (0.7, True), (0.95, False)])
def test_coverage_of_the_paired_quantile_difference(shared: float, skewed: bool) -> None:
    """From independent to strongly correlated pairs, of unequal spread; the 5 % quantile of 300."""
    rng = np.random.default_rng(3)
    shape = np.exp if skewed else np.array

    def draw(rng: np.random.Generator, n: int = 300) -> Any:
        world = rng.normal(size=n)
        one, two = (shared * world + math.sqrt(1 - shared**2) * rng.normal(size=n) for _ in range(2))
        return shape(one), 0.2 + 1.5 * shape(two)

    low = shape(np.array([-1.6448536]))[0]
    found = coverage(
        paired_quantile_difference, draw, 0.2 + 0.5 * low, rounds=200, seed=int(rng.integers(1 << 30))
    )
    assert 0.91 <= found  # 95 %, less what 200 rounds scatter


def test_pairing_sharpens_the_quantile_interval() -> None:
    rng = np.random.default_rng(4)
    world = rng.normal(size=1000)
    one, two = world + 0.05 * rng.normal(size=1000), world + 0.1 + 0.05 * rng.normal(size=1000)
    paired, broken = (
        paired_quantile_difference(one, two),
        paired_quantile_difference(one, rng.permutation(two)),
    )
    assert paired.excludes_zero
    assert paired.upper - paired.lower < 0.6 * (broken.upper - broken.lower)


def test_too_few_pairs_for_a_quantile_say_so() -> None:
    found = paired_quantile_difference(np.arange(20.0), np.arange(20.0) + 1)
    assert found.estimate == 1.0 and found.lower == -math.inf and not found.excludes_zero


def test_the_same_evidence_gives_the_same_quantile_interval() -> None:
    rng = np.random.default_rng(5)
    one, two = rng.normal(size=(2, 400))
    assert paired_quantile_difference(one, two) == paired_quantile_difference(one, two)


def test_one_pair_has_no_interval() -> None:
    assert paired_mean_difference([1.0], [2.0]).lower == -math.inf


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1.0], [1.0, 2.0], "equally long"),
        ([], [], "equally long"),
        ([1.0, math.nan], [1.0, 2.0], "must be finite"),
    ],
)
def test_pairs_that_are_none(a: list[float], b: list[float], message: str) -> None:
    for interval in (paired_mean_difference, paired_rate_difference, paired_quantile_difference):
        with pytest.raises(ValueError, match=message):
            interval(a, b)


# ---- percent


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-5, 1 - 1e-5))
def test_printed_bounds_are_never_better_than_the_true_ones(rate: float) -> None:
    low, high = (float(text.removesuffix(" %")) / 100 for text in (at_least(rate), at_most(rate)))
    assert low <= rate * (1 + 1e-12) and high >= rate * (1 - 1e-12)
    assert high - low <= 0.011 * rate + 1e-6


def test_percent_reads_well() -> None:
    assert [at_most(0.009968), at_least(0.98711), at_most(0.07), plain(0.001), plain(0.01)] == [
        "0.997 %", "98.7 %", "7.00 %", "0.1 %", "1 %"
    ]  # fmt: skip
    assert (at_most(1.0), at_least(0.0)) == ("100 %", "0 %")
