"""Numbers that follow from what a signal did so far: how fast it changes, what it adds up to, how long something was
true.

    rate(x, 0.02)     (x now - x 0.02 s ago) / 0.02 s; before the first sample x was what it was there. Jerk:
    rate(rate(tcp.vel)) total(x, 10)      sum of x over the last 10 s, times the time of a sample; without a span since
    the beginning.
                      Energy: total(drive.power)
    duty(f, 10)       share of the last 10 s in which f was true. At its limit: duty(max(arm.torque.share) > 0.95, 10)

Sums run sample by sample from the beginning and spans are differences of them, so that a trace that was cut into blocks
gives the same bits. A NaN stays in a sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .formula_time import Array

MEASURES = ("rate", "total", "duty")


@dataclass(frozen=True)
class Measure:
    """One of them over values `(worlds, samples, *shape)` or `(samples, *shape)`, `rank` being the length of shape.

    `span` in samples; None: since the beginning. `duty` is measured of truth values (1, -1, NaN).
    """

    kind: Literal["rate", "total", "duty"]
    span: int | None
    dt: float
    rank: int = 0

    def __call__(self, values: Array) -> Array:
        axis = values.ndim - 1 - self.rank
        by_time = np.moveaxis(values, axis, 0)
        before = by_time[:1] if self.kind == "rate" else np.zeros_like(by_time[:1])
        found, _ = self.after(np.repeat(before, self.span or 1, axis=0), by_time)
        return np.moveaxis(found, 0, axis)

    def remembered(self, worlds: int) -> Measured:
        return Measured(self, worlds)

    def after(self, before: Array, values: Array) -> tuple[Array, Array]:
        """Values at the samples of a block, time first, and all that is known then: what was known `before` and the
        block's.
        """
        if self.kind == "duty":
            values = np.where(np.isnan(values), np.nan, (values > 0).astype(np.float64))
        if self.kind != "rate":
            values = np.add.accumulate(np.concatenate([before[-1:], values]), axis=0)[1:]
        known = np.concatenate([before, values])
        count = len(values)
        gained = values if self.span is None else values - known[:count]
        if self.kind == "total":
            return gained * self.dt, known
        assert self.span is not None, "the parser demands a span"
        return gained / (self.span * self.dt if self.kind == "rate" else self.span), known


class Measured:
    """What a measure remembers of `worlds` worlds, block by block: the last `span` samples of each, time first."""

    def __init__(self, measure: Measure, worlds: int) -> None:
        self.measure = measure
        self._fresh = np.ones(worlds, bool)
        self._before: Array | None = None

    def restart(self, worlds: NDArray[np.int64]) -> None:
        """Their next sample is their first."""
        self._fresh[worlds] = True

    def advance(self, operands: list[Array], alive: NDArray[np.bool_]) -> Array:
        """Values at the samples of a block, `(worlds, K, *shape)`; worlds that are not `alive` learn nothing."""
        values = np.moveaxis(operands[0], 1, 0)
        span = self.measure.span or 1
        if self._before is None:
            self._before = np.zeros((span, *values.shape[1:]))
        before = self._before
        before[:, self._fresh] = values[:1, self._fresh] if self.measure.kind == "rate" else 0.0
        found, known = self.measure.after(before, values)
        before[:, alive] = known[-span:, alive]
        self._fresh &= ~alive
        return np.moveaxis(found, 0, 1)
