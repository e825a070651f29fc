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
FIRST_KEPT = 1024  # samples of a span that there is room for at first


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
        found, _ = self.after(before, by_time)
        return np.moveaxis(found, 0, axis)

    def remembered(self, worlds: int) -> Measured:
        return Measured(self, worlds)

    def after(self, before: Array, values: Array) -> tuple[Array, Array]:
        """Values at the samples of a block, time first, and all that is known then: what was known `before` and the
        block's. Before a first row that is less than a span old it was as there.
        """
        if self.kind == "duty":
            values = np.where(np.isnan(values), np.nan, (values > 0).astype(np.float64))
        if self.kind != "rate":
            values = np.add.accumulate(np.concatenate([before[-1:], values]), axis=0)[1:]
        known = np.concatenate([before, values])
        count = len(values)
        gained = values if self.span is None else values - _earlier(known, count, self.span)
        if self.kind == "total":
            return gained * self.dt, known
        assert self.span is not None, "the parser demands a span"
        return gained / (self.span * self.dt if self.kind == "rate" else self.span), known


def _earlier(known: Array, count: int, span: int) -> Array:
    """The last `count` rows of `known` as they were `span` rows before."""
    first = len(known) - count - span
    if first >= 0:
        return known[first : first + count]
    return known[np.maximum(first + np.arange(count), 0)]


class Measured:
    """What a measure remembers of `worlds` worlds, block by block: the last `span` samples of each, time first; no more than an episode has
    had so far, and what was before."""

    def __init__(self, measure: Measure, worlds: int) -> None:
        self.measure = measure
        self._fresh = np.ones(worlds, bool)
        self._seen = np.zeros(worlds, np.int64)  # samples since the first
        self._before: Array | None = None

    @property
    def kept(self) -> int:
        """Samples of each world that there is room for."""
        return 0 if self._before is None else len(self._before)

    def restart(self, worlds: NDArray[np.int64]) -> None:
        """Their next sample is their first."""
        self._fresh[worlds] = True
        self._seen[worlds] = 0

    def advance(self, operands: list[Array], alive: NDArray[np.bool_]) -> Array:
        """Values at the samples of a block, `(worlds, K, *shape)`; worlds that are not `alive` learn nothing."""
        values = np.moveaxis(operands[0], 1, 0)
        before = self._before = self._roomy(values)
        before[:, self._fresh] = values[:1, self._fresh] if self.measure.kind == "rate" else 0.0
        found, known = self.measure.after(before, values)
        before[:, alive] = known[-len(before) :, alive]
        self._fresh &= ~alive
        self._seen[alive] += len(values)
        return np.moveaxis(found, 0, 1)

    def _roomy(self, values: Array) -> Array:
        """What is remembered, with room for these values; what it was before the first sample comes first until it is a span old."""
        span = self.measure.span or 1
        needed = int(self._seen.max()) + len(values) + 1
        if self._before is None:
            return np.zeros((min(span, max(needed, FIRST_KEPT)), *values.shape[1:]))
        kept = len(self._before)
        if kept == span or needed <= kept:
            return self._before
        more = min(span, max(needed, 2 * kept)) - kept
        return np.concatenate([np.repeat(self._before[:1], more, axis=0), self._before])
