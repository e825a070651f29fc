"""Splitting against probabilities that are known: unbiased with few copies, near with many, and cheap where events are
rare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, norm

from genba.envs.streams import Streams
from genba.safety.splitting import Rare, probability

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Walk:
    """Steps of +1 and -1; the margin is what is left to a barrier: it falls below zero at `barrier`."""

    ticks: int
    barrier: int

    def start(self, seeds: Indices) -> Array:
        return np.zeros((len(seeds), 1))

    def step(self, states: Array, seeds: Indices, tick: int) -> Array:
        draws = Streams("walk/1", seeds).uniform("step", step=tick)
        return states + np.where(draws < 0.5, -1.0, 1.0)[:, None]

    def margin(self, states: Array) -> Array:
        return self.barrier - 0.5 - states[:, 0]

    @property
    def truth(self) -> float:
        """Reflection: P(max >= b) = P(S >= b) + P(S > b)."""
        rises = binom(self.ticks, 0.5)
        least = np.arange(self.ticks + 1)[2 * np.arange(self.ticks + 1) - self.ticks >= self.barrier].min()
        above = rises.sf(least - 1)
        return float(2 * above - (rises.pmf(least) if 2 * least - self.ticks == self.barrier else 0.0))


@dataclass(frozen=True)
class OrnsteinUhlenbeck:
    """x <- a x + sqrt(1 - a^2) noise, from 0: a signal that wanders about its target; the margin is to `barrier`."""

    ticks: int
    barrier: float
    a: float = 0.9

    def start(self, seeds: Indices) -> Array:
        return np.zeros((len(seeds), 1))

    def step(self, states: Array, seeds: Indices, tick: int) -> Array:
        noise = Streams("ou/1", seeds).normal("noise", step=tick)[:, None]
        return np.asarray(self.a * states + np.sqrt(1.0 - self.a**2) * noise)

    def margin(self, states: Array) -> Array:
        return self.barrier - states[:, 0]

    @property
    def truth(self) -> float:
        """The density that has stayed below, carried on from step to step by Gauss-Legendre quadrature."""
        nodes, weights = np.polynomial.legendre.leggauss(500)
        low = -8.0
        x = low + (nodes + 1.0) / 2.0 * (self.barrier - low)
        weights = weights * (self.barrier - low) / 2.0
        spread = np.sqrt(1.0 - self.a**2)
        density, crossed = norm.pdf(x, 0.0, spread), float(norm.sf(self.barrier, 0.0, spread))
        kernel = norm.pdf(x[:, None], self.a * x[None, :], spread)
        over = norm.sf(self.barrier, self.a * x, spread)
        for _ in range(self.ticks - 1):
            crossed += float((density * weights) @ over)
            density = kernel @ (density * weights)
        return crossed


def test_known_truths_are_those_of_plain_simulation() -> None:
    for chain in (Walk(20, 8), OrnsteinUhlenbeck(30, 1.5)):
        seeds = np.arange(20_000)
        states, crossed = chain.start(seeds), np.zeros(len(seeds), bool)
        for tick in range(chain.ticks):
            states = chain.step(states, seeds, tick)
            crossed |= chain.margin(states) < 0.0
        assert crossed.mean() == pytest.approx(chain.truth, abs=4 * np.sqrt(chain.truth / len(seeds)))


@pytest.mark.wide
@pytest.mark.parametrize("chain", [Walk(20, 12), OrnsteinUhlenbeck(15, 2.8)])
def test_the_mean_of_many_small_estimates_is_the_truth(chain: Walk | OrnsteinUhlenbeck) -> None:
    """12 copies are far too few for one estimate to be near: only an unbiased one has the right mean. The walk has
    ties.
    """
    found = probability(chain, copies=12, replicas=600, drop=0.25, confidence=0.999)
    assert 0.001 < chain.truth < 0.02
    assert found.lower <= chain.truth <= found.upper
    assert (found.upper - found.lower) / 2 < 0.35 * chain.truth


def test_one_in_a_hundred_thousand_at_a_fiftieth_of_the_steps() -> None:
    """Plain simulation would need 1 / (p e^2) episodes for the same relative standard error e."""
    chain = OrnsteinUhlenbeck(40, 5.0)
    found = probability(chain, copies=200, replicas=10, confidence=0.99)
    assert 2e-6 < chain.truth < 2e-5
    assert found.lower <= chain.truth <= found.upper and found.lower > 0.0
    error = (found.upper - found.lower) / 2 / 3.25 / found.estimate  # t at 99 %, 9 degrees of freedom
    assert error < 0.3
    naive = chain.ticks / (chain.truth * error**2)
    assert found.steps <= naive / 50


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    def run(seed: int) -> Rare:
        return probability(Walk(20, 10), copies=20, replicas=3, seed=seed)

    assert run(4) == run(4) and run(4).estimate != run(5).estimate


def test_what_is_common_needs_no_levels() -> None:
    found = probability(Walk(10, 0), copies=30, replicas=2)
    assert (found.estimate, found.levels, found.steps) == (1.0, 0.0, 2 * 30 * 10)


def test_what_cannot_happen_is_extinct_and_zero() -> None:
    found = probability(Walk(5, 9), copies=10, replicas=4)
    assert (found.estimate, found.extinct) == (0.0, 4)


def test_replicas_that_all_died_out_do_not_claim_that_it_cannot_happen() -> None:
    """The interval of the plain episodes that the first copies are: none in so many, at half of what confidence leaves."""
    chain = Walk(20, 12)
    found = [probability(chain, copies=4, replicas=2, seed=seed, drop=0.5) for seed in range(30)]
    nothing = [each for each in found if not each.reached]
    assert len(nothing) > 5 and len(nothing) < len(found)
    for each in nothing:
        assert (each.estimate, each.lower, each.starts) == (0.0, 0.0, 8)
        assert each.upper == pytest.approx(1.0 - 0.025 ** (1 / 8)) and each.upper > chain.truth > 0.0
    assert all(each.upper < 1.0 and each.estimate > 0.0 for each in found if each.reached)


def test_a_margin_that_is_no_number_is_a_violation() -> None:
    class Sick(Walk):
        def margin(self, states: Array) -> Array:
            return np.where(states[:, 0] >= 2, np.nan, 9.0)

    assert probability(Sick(4, 9), copies=400, replicas=4).estimate == pytest.approx(6 / 16, abs=0.08)


@pytest.mark.parametrize("wrong", [{"copies": 1}, {"replicas": 1}, {"drop": 0.0}, {"seed": -1}])
def test_numbers_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected 2 copies"):
        probability(Walk(5, 3), **wrong)
