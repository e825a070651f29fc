"""What can be shown of a network over boxes: verified, violated or unknown, splitting boxes where a bound is too loose to say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bounds import AT_ONCE, SLACK, Array, Box, leaning
from .bounds_graph import Graph

UNKNOWN, VERIFIED, VIOLATED = 0, 1, 2
WORDS = ("unknown", "verified", "violated")
SPLITS = 8  # parts that one box may become


@dataclass(frozen=True)
class Decided:
    """`outcome` `(B,)` of each box, and of those that are violated a `witness` `(B, d)` (NaN elsewhere)."""

    outcome: NDArray[np.int64]
    witness: Array

    def share(self, word: str) -> float:
        return float((self.outcome == WORDS.index(word)).mean())


def decide(graph: Graph, box: Box, step: int, low: Array, high: Array, splits: int = SPLITS) -> Decided:
    """Whether a step stays within `[low, high]`, `(B, width)`, in each box.

    Verified: bounds over all parts lie within. Violated: a point was computed that lies outside by more than `SLACK`. Unknown: neither,
    within `splits` parts.
    """
    outcome = np.full(len(box), VERIFIED)
    witness = np.full(box.low.shape, np.nan)
    owner, parts, used = np.arange(len(box)), box, np.ones(len(box), np.int64)
    while len(owner):
        open_, cut = _look(graph, parts, step, (low[owner], high[owner]), witness, owner)
        outcome[~np.isnan(witness[:, 0])] = VIOLATED
        open_ &= outcome[owner] == VERIFIED
        pieces = np.bincount(owner[open_], minlength=len(box))
        over = used + pieces > splits
        outcome[over & (outcome == VERIFIED) & (pieces > 0)] = UNKNOWN
        used += pieces
        open_ &= outcome[owner] == VERIFIED
        owner, parts = np.repeat(owner[open_], 2), _halves(parts[open_], cut[open_])
    return Decided(outcome, witness)


def _look(
    graph: Graph, parts: Box, step: int, limits: tuple[Array, Array], witness: Array, owner: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which parts their bounds do not settle, and the column to cut each along; witnesses that were met are noted."""
    open_, cut = np.zeros(len(parts), bool), np.zeros(len(parts), np.int64)
    for start in range(0, len(parts), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        here, wide = parts[rows], parts.high[rows] - parts.low[rows]
        least, most = limits[0][rows], limits[1][rows]
        (low, high), slopes = leaning(graph, here, step)
        excess = np.maximum(high - most, least - low)
        open_[rows] = ~(excess <= 0.0).all(axis=1)
        channel = excess.argmax(axis=1)
        toward = slopes[np.arange(len(here)), channel]
        cut[rows] = (np.abs(toward) * wide).argmax(axis=1)
        middle = 0.5 * (here.low + here.high)
        for point in (middle, _corner(here, toward), _corner(here, -toward)):
            values = graph(point, step)
            out = ((values > most + SLACK) | (values < least - SLACK)).any(axis=1)
            witness[owner[rows][out]] = point[out]
    return open_, cut


def _corner(box: Box, toward: Array) -> Array:
    return np.where(toward > 0.0, box.high, box.low)


def _halves(box: Box, cut: NDArray[np.int64]) -> Box:
    """Each box as its two halves along a column, one after the other."""
    low, high = np.repeat(box.low, 2, axis=0), np.repeat(box.high, 2, axis=0)
    rows = np.arange(len(box))
    middle = 0.5 * (box.low[rows, cut] + box.high[rows, cut])
    high[2 * rows, cut] = middle
    low[2 * rows + 1, cut] = middle
    return Box(low, high)
