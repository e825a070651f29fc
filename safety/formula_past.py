"""Operators that look back: over a whole trace, and block by block with what has to be remembered of each world.

A window `(begin, end)` is in samples before the present one, both counted; None reaches back to the first sample. Whole
traces are the future operators (`formula_time`) read backwards. Streaming, an operator without a window remembers one
value per world, one with a window the last `end` samples or, while there were fewer, all; only minima and maxima of the same samples are taken, so both
ways give equal values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .formula_time import Array, Window, always, eventually, until

Kind = Literal["once", "historically", "since", "onset"]
FIRST_KEPT = 1024  # samples of a window that there is room for at first


@dataclass(frozen=True)
class Past:
    """One operator. Called with whole traces `(..., samples)` it gives its values at every sample."""

    kind: Kind
    window: Window = None

    def __call__(self, *operands: Array) -> Array:
        if self.kind == "onset":
            return _onset(operands[0], np.full_like(operands[0][..., :1], -1.0))
        backwards = [each[..., ::-1] for each in operands]
        if self.kind == "since":
            return until(backwards[0], backwards[1], self.window)[..., ::-1]
        extreme = eventually if self.kind == "once" else always
        return extreme(backwards[0], self.window)[..., ::-1]

    def remembered(self, worlds: int) -> Remembered:
        return Remembered(self, worlds)

    @property
    def empty(self) -> tuple[float, ...]:
        """What each operand is before the first sample, so that it has no part."""
        return {"once": (-np.inf,), "historically": (np.inf,), "since": (np.inf, -np.inf), "onset": (-1.0,)}[
            self.kind
        ]


class Remembered:
    """What a past operator remembers of `worlds` worlds, block by block; of a window no more than an episode has had samples so far."""

    def __init__(self, past: Past, worlds: int) -> None:
        self.past = past
        self._fresh = np.ones(worlds, bool)
        self._seen = np.zeros(worlds, np.int64)  # samples since the first
        self._unbounded = past.window is None and past.kind != "onset"
        self._longest = past.window[1] if past.window else 1
        before = past.empty[-1:] if self._unbounded else past.empty
        self._before = [np.full((worlds, min(self._longest, FIRST_KEPT)), each) for each in before]

    @property
    def kept(self) -> int:
        """Samples of each world that there is room for."""
        return self._before[0].shape[1]

    def restart(self, worlds: NDArray[np.int64]) -> None:
        """Their next sample is their first."""
        self._fresh[worlds] = True
        self._seen[worlds] = 0
        for each, empty in zip(self._before, self.past.empty[-len(self._before) :], strict=True):
            each[worlds] = empty

    def advance(self, operands: list[Array], alive: NDArray[np.bool_]) -> Array:
        """Values at the samples of a block, `(worlds, K)`; worlds that are not `alive` forget nothing and learn
        nothing.
        """
        count = operands[0].shape[1]
        if self._unbounded:
            found = self._carried(operands)
            self._before[0][alive] = found[alive, -1:]
            self._fresh &= ~alive
            return found
        if self.past.kind == "since":
            operands = [self._held(operands[0]), operands[1]]
        self._reserve(count)
        kept = self.kept
        whole = [
            np.concatenate([each, new], axis=1) for each, new in zip(self._before, operands, strict=True)
        ]
        for each, new in zip(self._before, whole, strict=True):
            np.copyto(each, new[:, new.shape[1] - kept :], where=alive[:, None])
        self._fresh &= ~alive
        self._seen[alive] += count
        return self._windowed(whole, count)

    def _held(self, left: Array) -> Array:
        """What has to hold since; at the first sample it has no part, not even as a NaN."""
        left = left.copy()
        left[self._fresh, :1] = np.inf
        return left

    def _reserve(self, count: int) -> None:
        """Make room for all samples that a window can reach when `count` more have come."""
        kept = self.kept
        if kept == self._longest or (needed := int(self._seen.max()) + count) <= kept:
            return
        more = min(self._longest, max(needed, 2 * kept)) - kept
        self._before = [
            np.concatenate([np.full((len(each), more), empty), each], axis=1)
            for each, empty in zip(self._before, self.past.empty, strict=True)
        ]

    def _carried(self, operands: list[Array]) -> Array:
        """Without a window: the block by itself, and the last value before it."""
        block, last = self.past(*operands), self._before[0]
        if self.past.kind != "since":
            joined: Array = (np.maximum if self.past.kind == "once" else np.minimum)(block, last)
            return joined
        held = np.minimum(np.minimum.accumulate(operands[0], axis=1), last)
        return np.where(self._fresh[:, None], block, np.maximum(block, held))

    def _windowed(self, whole: list[Array], count: int) -> Array:
        """The last `count` values of `whole`, which begins as many samples before the block as are kept: a window that reaches farther back
        is cut there, where no sample was."""
        if self.past.kind == "onset":
            return _onset(whole[0][:, 1:], whole[0][:, :1])
        assert self.past.window is not None, "an operator without a window carries one value"
        end = whole[0].shape[1] - count
        begin = min(self.past.window[0], end)
        width = end - begin + 1
        if self.past.kind == "since":
            if end < count:
                return Past("since", (begin, end))(*whole)[:, end:]
            return _since(whole[0], whole[1], begin, width, count)
        extreme: np.ufunc = np.maximum if self.past.kind == "once" else np.minimum
        return _slide(whole[0], width, count, extreme)


def _onset(now: Array, before: Array) -> Array:
    """1 where a truth value (1, -1, NaN) becomes true, -1 where not, NaN where that depends on a NaN; `before` `(...,
    1)`.
    """
    previous = np.concatenate([before, now[..., :-1]], axis=-1)
    unknown = np.isnan(now) | np.isnan(previous)
    begins = np.where((now > 0) & (previous < 0), 1.0, -1.0)
    return np.where(unknown & ~(now < 0) & ~(previous > 0), np.nan, begins)


def _slide(values: Array, width: int, count: int, extreme: np.ufunc) -> Array:
    """The extreme of `values[:, j : j + width]` for j below `count`: what all windows share is looked at once."""
    if width < count:
        parts = [values[:, j : j + width] for j in range(count)]
        return np.stack([extreme.reduce(part, axis=1) for part in parts], axis=1)
    found = np.repeat(extreme.reduce(values[:, count - 1 : width], axis=1)[:, None], count, axis=1)
    if count > 1:
        left = extreme.accumulate(values[:, count - 2 :: -1] if count > 1 else values[:, :0], axis=1)
        found[:, :-1] = extreme(found[:, :-1], left[:, ::-1])
        right = extreme.accumulate(values[:, width : width + count - 1], axis=1)
        found[:, 1:] = extreme(found[:, 1:], right)
    return found


def _since(left: Array, right: Array, begin: int, width: int, count: int) -> Array:
    """`left since right` in a block of `count` samples that is no longer than what goes before it, `(worlds, before +
    count)`.
    """
    before = left.shape[1] - count
    still = np.full(
        (len(left), before), np.inf
    )  # the minimum of left from the next sample to the end of what goes before
    still[:, :-1] = np.minimum.accumulate(left[:, before - 1 : 0 : -1], axis=1)[:, ::-1]
    reached = np.concatenate(
        [np.minimum(right[:, :before], still), np.full((len(left), count), -np.inf)], axis=1
    )
    held = np.minimum.accumulate(left[:, before:], axis=1)
    earlier = np.minimum(held, _slide(reached, width, count, np.maximum))
    inside = Past("since", (begin, max(begin, count - 1)))(left[:, before:], right[:, before:])
    return np.maximum(earlier, inside)
