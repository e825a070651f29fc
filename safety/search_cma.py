"""CMA-ES: the (mu/mu_w, lambda) evolution strategy with covariance matrix adaptation, minimising by ranks alone.

Source of the update and of every default: N. Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772v2, figure 6 and
table 1 (positive weights, without the active part). Random numbers come from a stream of ours, so that a seed fixes the whole search.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..envs.streams import Streams

Array = NDArray[np.float64]
KEY = "cma/1"


@dataclass(frozen=True)
class Rates:
    """The constants of a strategy in `d` dimensions with `population` offspring, half of which are parents."""

    d: int
    population: int

    @cached_property
    def weights(self) -> Array:
        """`(mu,)` recombination weights, falling, with sum 1."""
        raw = math.log((self.population + 1) / 2) - np.log(np.arange(1, self.population // 2 + 1))
        return np.asarray(raw / raw.sum())

    @property
    def mass(self) -> float:
        """mu_eff: how many equal parents the weights amount to."""
        return float(1.0 / (self.weights**2).sum())

    @property
    def path(self) -> float:
        """c_sigma."""
        return (self.mass + 2) / (self.d + self.mass + 5)

    @property
    def damping(self) -> float:
        """d_sigma."""
        return 1 + 2 * max(0.0, math.sqrt((self.mass - 1) / (self.d + 1)) - 1) + self.path

    @property
    def path_covariance(self) -> float:
        """c_c."""
        return (4 + self.mass / self.d) / (self.d + 4 + 2 * self.mass / self.d)

    @property
    def rank_one(self) -> float:
        """c_1."""
        return 2 / ((self.d + 1.3) ** 2 + self.mass)

    @property
    def rank_mu(self) -> float:
        """c_mu."""
        mass = self.mass
        return min(1 - self.rank_one, 2 * (mass - 2 + 1 / mass) / ((self.d + 2) ** 2 + mass))

    @property
    def length(self) -> float:
        """The expected length of a standard normal vector."""
        return math.sqrt(self.d) * (1 - 1 / (4 * self.d) + 1 / (21 * self.d**2))


def population_for(d: int) -> int:
    """The default number of offspring in `d` dimensions."""
    return 4 + int(3 * math.log(d))


class Strategy:
    """One search from `mean` `(d,)` with steps of `sigma`; `ask` and `tell` in turns.

    Args:
        seed: fixes every random number.
        population: offspring of a generation, at least 4; None: `population_for(d)`.
    """

    def __init__(self, mean: Array, sigma: float, seed: int, population: int | None = None) -> None:
        d = len(mean)
        self.mean, self.sigma, self.generation = np.array(mean, np.float64), sigma, 0
        self.rates = Rates(d, population or population_for(d))
        self.covariance = np.eye(d)
        self._axes, self._lengths = np.eye(d), np.ones(d)
        self._path, self._path_covariance = np.zeros(d), np.zeros(d)
        self._streams = Streams(KEY, np.array([seed], np.int64))
        self._steps = np.zeros((self.rates.population, d))

    def ask(self) -> Array:
        """`(population, d)` points to try."""
        size = (self.rates.population, len(self.mean))
        normal = self._streams.normal("steps", size, np.array([self.generation]))[0]
        self._steps = (normal * self._lengths) @ self._axes.T
        return np.asarray(self.mean + self.sigma * self._steps)

    def tell(self, values: Array) -> None:
        """Values `(population,)` of the points last asked for: the smaller the better; only their order counts."""
        rates, d = self.rates, len(self.mean)
        order = np.argsort(values, kind="stable")[: len(rates.weights)]
        parents = self._steps[order]
        step = rates.weights @ parents
        self.mean = self.mean + self.sigma * step
        self.generation += 1
        white = self._axes @ ((self._axes.T @ step) / self._lengths)
        self._path = (1 - rates.path) * self._path + math.sqrt(
            rates.path * (2 - rates.path) * rates.mass
        ) * white
        length = float(np.linalg.norm(self._path))
        settled = length / math.sqrt(1 - (1 - rates.path) ** (2 * self.generation))
        calm = settled < (1.4 + 2 / (d + 1)) * rates.length
        grow = math.sqrt(rates.path_covariance * (2 - rates.path_covariance) * rates.mass)
        self._path_covariance = (1 - rates.path_covariance) * self._path_covariance + calm * grow * step
        self._adapt(parents, calm)
        self.sigma *= math.exp(rates.path / rates.damping * (length / rates.length - 1))

    def _adapt(self, parents: Array, calm: bool) -> None:
        rates, path = self.rates, self._path_covariance
        one, many = rates.rank_one, rates.rank_mu
        lost = 0.0 if calm else rates.path_covariance * (2 - rates.path_covariance)
        kept = 1 - one - many + one * lost
        spread = parents.T @ (rates.weights[:, None] * parents)
        covariance = kept * self.covariance + one * np.outer(path, path) + many * spread
        self.covariance = (covariance + covariance.T) / 2
        squares, self._axes = np.linalg.eigh(self.covariance)
        self._lengths = np.sqrt(np.maximum(squares, 1e-20))
