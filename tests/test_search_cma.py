"""CMA-ES: constants against the tutorial's own numbers, known optima, invariances that the strategy must have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.safety.search_cma import Rates, Strategy, population_for

Array = NDArray[np.float64]


def run(function: Callable[[Array], Array], strategy: Strategy, generations: int) -> list[float]:
    best = []
    for _ in range(generations):
        values = function(strategy.ask())
        strategy.tell(values)
        best.append(float(values.min()))
    return best


def ellipsoid(points: Array) -> Array:
    scales = 10.0 ** (6 * np.arange(points.shape[1]) / (points.shape[1] - 1))
    return np.asarray((scales * points**2).sum(axis=1))


def rosenbrock(points: Array) -> Array:
    x, y = points[:, :-1], points[:, 1:]
    return np.asarray((100 * (y - x**2) ** 2 + (1 - x) ** 2).sum(axis=1))


def test_the_constants_are_those_of_the_tutorial() -> None:
    rates = Rates(10, population_for(10))
    assert rates.population == 10 and len(rates.weights) == 5
    assert rates.weights.sum() == pytest.approx(1.0, abs=1e-15)
    assert rates.mass == pytest.approx(3.167, abs=1e-3)
    assert rates.path == pytest.approx((3.167 + 2) / (10 + 3.167 + 5), abs=1e-4)
    assert rates.rank_one == pytest.approx(2 / (11.3**2 + 3.167), abs=1e-6)
    draws = np.random.default_rng(0).standard_normal((20_000, 10))
    assert rates.length == pytest.approx(np.linalg.norm(draws, axis=1).mean(), rel=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_optimum_of_an_ill_conditioned_ellipsoid_turned_at_will(seed: int) -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((6, 6)))
    best = run(lambda points: ellipsoid(points @ turn), Strategy(np.full(6, 3.0), 1.0, seed), 500)
    assert best[-1] < 1e-9 < best[10]


def test_it_follows_a_curved_valley_to_its_end() -> None:
    strategy = Strategy(np.zeros(5), 0.3, 1)
    assert run(rosenbrock, strategy, 500)[-1] < 1e-9
    np.testing.assert_allclose(strategy.mean, 1.0, atol=1e-4)


def test_only_the_order_of_values_counts() -> None:
    plain, warped = Strategy(np.ones(4), 0.5, 7), Strategy(np.ones(4), 0.5, 7)
    for _ in range(30):
        points = plain.ask()
        np.testing.assert_array_equal(points, warped.ask())
        values = ellipsoid(points)
        plain.tell(values)
        warped.tell(np.cbrt(values) - 5.0)


def test_the_seed_fixes_the_search_and_another_seed_is_another_search() -> None:
    first, again, other = (run(rosenbrock, Strategy(np.zeros(3), 0.3, seed), 20) for seed in (4, 4, 5))
    assert first == again != other


def test_without_selection_the_step_does_not_drift_away() -> None:
    """Under values of pure chance, ln sigma stays near where it was (it has no way to tell up from down)."""
    ends = []
    for seed in range(20):
        strategy = Strategy(np.zeros(5), 1.0, seed)
        chance = np.random.default_rng(seed)
        for _ in range(100):
            strategy.tell(chance.random(len(strategy.ask())))
        ends.append(np.log(strategy.sigma))
    assert abs(np.mean(ends)) < 1.0
