"""What bounds need to know of each elementwise function: its values and slopes over an interval, and two lines that hold it.

`lines` gives `(a, b, c, d)`, arrays like `low`, with `a x + b <= f(x) <= c x + d` wherever `low <= x <= high`. Convex functions lie under
their chord and above each tangent, concave ones the other way round.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Lines = tuple[Array, Array, Array, Array]

POINT = 1e-12  # an interval shorter than this is a point


class Function(ABC):
    """An elementwise function that never falls, or (see `Abs`) gives its own range."""

    @abstractmethod
    def __call__(self, x: Array) -> Array:
        """f(x)."""

    @abstractmethod
    def slopes(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Least and largest slope between."""

    @abstractmethod
    def lines(self, low: Array, high: Array) -> Lines:
        """Two lines that hold it, see above."""

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """Least and largest value between."""
        return self(low), self(high)


def chord(function: Function, low: Array, high: Array) -> tuple[Array, Array]:
    """Slope and offset of the line through both ends."""
    left, right = function(low), function(high)
    slope = np.where(high - low > POINT, (right - left) / np.maximum(high - low, POINT), 0.0)
    offset = np.where(high - low > POINT, left - slope * low, np.maximum(left, right))
    return slope, offset


class Convex(Function):
    """Over a chord, under no tangent. `slope(x)` is a slope of a tangent at x."""

    @abstractmethod
    def slope(self, x: Array) -> Array: ...

    def slopes(self, low: Array, high: Array) -> tuple[Array, Array]:
        return self.slope(low), self.slope(high)

    def lines(self, low: Array, high: Array) -> Lines:
        middle = 0.5 * (low + high)
        a = self.slope(middle)
        return (a, self(middle) - a * middle, *chord(self, low, high))


@dataclass(frozen=True)
class Elu(Convex):
    """x above zero, alpha (e^x - 1) below; convex for alpha up to 1."""

    alpha: float = 1.0

    def __call__(self, x: Array) -> Array:
        return np.where(x > 0.0, x, self.alpha * np.expm1(np.minimum(x, 0.0)))

    def slope(self, x: Array) -> Array:
        return np.where(x > 0.0, 1.0, self.alpha * np.exp(np.minimum(x, 0.0)))


@dataclass(frozen=True)
class AtLeast(Convex):
    """max(x, floor): ReLU where the floor is 0."""

    floor: float = 0.0

    def __call__(self, x: Array) -> Array:
        return np.maximum(x, self.floor)

    def slope(self, x: Array) -> Array:
        return np.where(x > self.floor, 1.0, 0.0)

    def slopes(self, low: Array, high: Array) -> tuple[Array, Array]:
        return np.where(low >= self.floor, 1.0, 0.0), np.where(high > self.floor, 1.0, 0.0)


@dataclass(frozen=True)
class Abs(Convex):
    """|x|."""

    def __call__(self, x: Array) -> Array:
        return np.abs(x)

    def slope(self, x: Array) -> Array:
        return np.where(x >= 0.0, 1.0, -1.0)

    def slopes(self, low: Array, high: Array) -> tuple[Array, Array]:
        return np.where(low >= 0.0, 1.0, -1.0), np.where(high > 0.0, 1.0, -1.0)

    def range(self, low: Array, high: Array) -> tuple[Array, Array]:
        least = np.where((low < 0.0) & (high > 0.0), 0.0, np.minimum(np.abs(low), np.abs(high)))
        return least, np.maximum(np.abs(low), np.abs(high))


@dataclass(frozen=True)
class AtMost(Function):
    """min(x, ceiling): concave."""

    ceiling: float

    def __call__(self, x: Array) -> Array:
        return np.minimum(x, self.ceiling)

    def slopes(self, low: Array, high: Array) -> tuple[Array, Array]:
        return np.where(high <= self.ceiling, 1.0, 0.0), np.where(low < self.ceiling, 1.0, 0.0)

    def lines(self, low: Array, high: Array) -> Lines:
        middle = 0.5 * (low + high)
        c = np.where(middle < self.ceiling, 1.0, 0.0)
        a, b = chord(self, low, high)
        b = np.where(high - low > POINT, b, self(low))
        return a, b, c, self(middle) - c * middle


@dataclass(frozen=True)
class Tanh(Function):
    """Convex below zero, concave above. Across zero: the tangent from one end that touches on the other side, found by bisection from
    the side on which every tangent holds."""

    def __call__(self, x: Array) -> Array:
        return np.tanh(x)

    def slope(self, x: Array) -> Array:
        return np.asarray(1.0 - np.tanh(x) ** 2)

    def slopes(self, low: Array, high: Array) -> tuple[Array, Array]:
        ends = self.slope(low), self.slope(high)
        crosses = (low < 0.0) & (high > 0.0)
        return np.minimum(*ends), np.where(crosses, 1.0, np.maximum(*ends))

    def lines(self, low: Array, high: Array) -> Lines:
        c, d = self._above(low, high)
        a, b = self._above(-high, -low)  # an odd function: below is above, turned round
        return a, -b, c, d

    def _above(self, low: Array, high: Array) -> tuple[Array, Array]:
        middle = 0.5 * (low + high)
        slope, offset = chord(self, low, high)
        touch = np.where(low >= 0.0, middle, self._touching(low, high))
        tangent = self.slope(touch)
        use_tangent = (low >= 0.0) | ((high > 0.0) & (touch < high))
        return (
            np.where(use_tangent, tangent, slope),
            np.where(use_tangent, self(touch) - tangent * touch, offset),
        )

    def _touching(self, low: Array, high: Array) -> Array:
        """Where above zero a tangent passes over (low, tanh low); `high` where it would lie beyond."""
        near, far = np.zeros_like(low), np.maximum(high, 0.0)
        for _ in range(40):
            middle = 0.5 * (near + far)
            over = self(middle) + self.slope(middle) * (low - middle) >= self(low)
            near, far = np.where(over, near, middle), np.where(over, middle, far)
        return far


@dataclass(frozen=True)
class ShareAbove(Function):
    """max(s - fine, 0) / max(s, least) for s >= 0 and fine >= least > 0: how much of a speed lies above fine work. Zero up to `fine`, then the
    concave 1 - fine / s."""

    fine: float

    def __call__(self, x: Array) -> Array:
        return np.maximum(x - self.fine, 0.0) / np.maximum(x, self.fine)

    def slopes(self, low: Array, high: Array) -> tuple[Array, Array]:
        def slope(x: Array) -> Array:
            return np.asarray(self.fine / np.maximum(x, self.fine) ** 2)

        return np.where(low > self.fine, slope(high), 0.0), np.where(high > self.fine, slope(low), 0.0)

    def lines(self, low: Array, high: Array) -> Lines:
        fine = self.fine
        slope, offset = chord(self, low, high)
        bend = np.clip(fine + np.sqrt(np.maximum(fine * fine - fine * low, 0.0)), fine, None)
        touch = np.where(low >= fine, 0.5 * (low + high), bend)
        tangent = fine / np.maximum(touch, fine) ** 2
        by_tangent = (low >= fine) | (touch < high)
        c = np.where(by_tangent, tangent, slope)
        d = np.where(by_tangent, self(touch) - tangent * touch, offset)
        steep = np.where(high > fine, self(high) / np.maximum(high - fine, POINT), 0.0)
        steep = np.where(high - fine > fine - low, steep, 0.0)
        a = np.where(low >= fine, slope, steep)
        b = np.where(low >= fine, np.minimum(offset, self(low) - slope * low), -steep * fine)
        return a, b, c, d
