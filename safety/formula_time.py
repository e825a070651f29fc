"""Operators over time, on arrays `(..., samples)`: running minima and until, in time proportional to the samples.

A window `(begin, end)` is in samples from the present one, both counted; None reaches to the end of the trace. NaN inside
a window makes the result NaN; no sample outside has a part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Window = tuple[int, int] | None


def always(values: Array, window: Window) -> Array:
    """Minimum over the samples from i + begin to i + end, cut at the end of the trace; `(..., samples)`."""
    if window is None:
        return np.minimum.accumulate(values[..., ::-1], axis=-1)[..., ::-1]
    return _shifted(_running_minimum(values, window[1] - window[0] + 1), window[0], np.inf)


def eventually(values: Array, window: Window) -> Array:
    return -always(-values, window)


def _running_minimum(values: Array, width: int) -> Array:
    """Minimum over `width` samples from each one on (van Herk's blocks: two running minima, whatever the width)."""
    count = values.shape[-1]
    if width >= count:
        return always(values, None)
    blocks = -(-(count + width - 1) // width)
    padded = np.full((*values.shape[:-1], blocks * width), np.inf)
    padded[..., :count] = values
    by_block = padded.reshape(*values.shape[:-1], blocks, width)
    onward = np.minimum.accumulate(by_block, axis=-1).reshape(padded.shape)
    backward = np.minimum.accumulate(by_block[..., ::-1], axis=-1)[..., ::-1].reshape(padded.shape)
    return np.minimum(backward[..., :count], onward[..., width - 1 : width - 1 + count])


def until(left: Array, right: Array, window: Window) -> Array:
    """Until by `left U[a,b] right = always[0,a) left and (left U[0,b-a] right from i + a on)`.

    `left` holds before `right` comes, so that its last sample has no part, not even as a NaN.
    """
    count = left.shape[-1]
    left = left.copy()
    left[..., -1:] = np.inf
    if window is None:
        return _until_within(left, right, count)
    begin, end = window
    reached = _shifted(_until_within(left, right, min(end - begin + 1, count)), begin, -np.inf)
    return reached if begin == 0 else np.minimum(reached, always(left, (0, begin - 1)))


def _until_within(left: Array, right: Array, count: int) -> Array:
    """`right` within `count` samples and `left` until then, by spans of 1, 2, 4, ... samples: log2(count) steps.

    A span is a pair (through: `left` holds all along, reached: `right` comes while `left` holds); spans compose, and those
    in the binary digits of `count` make up the window. No sample beyond the window has a part, not even a NaN.
    """
    through, reached = np.full_like(left, np.inf), np.full_like(right, -np.inf)
    span, covered = (left, right), 0
    for digit in range(count.bit_length()):
        width = 1 << digit
        if count & width:
            through, reached = _joined((through, reached), span, covered)
            covered += width
        span = _joined(span, span, width)
    return reached


def _joined(first: tuple[Array, Array], second: tuple[Array, Array], width: int) -> tuple[Array, Array]:
    """The span of `first` (of `width` samples) followed by `second`."""
    through, reached = _shifted(second[0], width, np.inf), _shifted(second[1], width, -np.inf)
    return np.minimum(first[0], through), np.maximum(first[1], np.minimum(first[0], reached))


def _shifted(values: Array, by: int, beyond: float) -> Array:
    """`values` of `by` samples later; `beyond` where the trace has ended."""
    result = np.full_like(values, beyond)
    result[..., : max(values.shape[-1] - by, 0)] = values[..., by:]
    return result
