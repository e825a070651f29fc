"""From a formula to one margin per episode: which samples count, and the worst of them.

A constraint's formula is a conjunction of parts. A part `always [a, b] (inner)` counts every sample of its interval, and
with a guard those where the guard holds. Any other temporal part counts the first sample, and with a guard every sample
at which the guard holds ("whenever the guard holds, from there on"). The margin is the smallest robustness of the counted
samples over all parts: NaN there is -inf, no sample at all is +inf ("it never applied").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..envs.errors import BadInput
from .formula_eval import Array, holds, robustness
from .formula_tree import (
    PAST,
    After,
    Comparison,
    Formula,
    Junction,
    Node,
    Not,
    Since,
    Temporal,
    Until,
    children,
    looks_ahead,
    text,
)
from .formula_truth import gated
from .formula_windows import samples


@dataclass(frozen=True)
class Part:
    """`inner` at every sample of `interval` (seconds, None: all) when `every`; otherwise at the first sample."""

    inner: Formula
    every: bool
    interval: tuple[float, float] | None = None

    @property
    def immediate(self) -> bool:
        """Whether each sample counts by itself, so that a running minimum is the margin."""
        return self.every and not looks_ahead(self.inner)


def split(formula: Formula) -> tuple[Part, ...]:
    """The parts of a constraint's formula.

    Raises:
        BadInput: a comparison, or what looks back or waits for an event, outside `always`, `eventually` and `until`:
            only the first sample could break it.
    """
    match formula:
        case Junction(operator="and", left=left, right=right):
            return split(left) + split(right)
        case Temporal(operator="always", operand=operand, interval=interval):
            return (Part(operand, True, interval),)
        case Not(operand=Temporal(operator="eventually", operand=operand, interval=interval)):
            return (Part(Not(operand), True, interval),)
    loose = _loose(formula)
    if loose is not None:
        raise BadInput(
            f"column {loose.column}: {text(loose)} would be looked at in the first sample only: write always {text(loose)}"
        )
    return (Part(formula, False),)


def _loose(node: Node) -> Comparison | Temporal | Since | After | None:
    """The first part that stands under no operator that looks ahead."""
    if isinstance(node, Comparison | Since | After) or (isinstance(node, Temporal) and node.operator in PAST):
        return node
    if isinstance(node, Temporal | Until):
        return None
    return next((found for child in children(node) if (found := _loose(child)) is not None), None)


def margin(
    parts: tuple[Part, ...], guard: Formula | None, trace: Mapping[str, ArrayLike], dt: float
) -> tuple[Array, Array]:
    """Margin of whole traces, and the time (s) of the worst sample (NaN where the margin is +inf); `(worlds,)` each.

    `trace` maps names to `(worlds, samples, *shape)`. This is what the monitor computes sample by sample.
    """
    truth = None if guard is None else holds(guard, trace, dt, lead=2)
    results = [part_margin(part, robustness(part.inner, trace, dt, lead=2), truth, dt) for part in parts]
    margins, at_s = worst_of(
        np.stack([low for low, _ in results]), np.stack([at for _, at in results]), [0], dt
    )
    return margins[0], at_s[0]


def part_margin(
    part: Part, values: Array, guard: Array | None, dt: float, start: int = 0, end: int | None = None
) -> tuple[Array, Array]:
    """Smallest counted robustness of one part and its sample (-1: none), `(worlds,)`, from `(worlds, samples)`.

    `values` begin at sample `start` of the trace; samples from `end` on do not count yet.
    """
    if guard is not None:
        values = gated(values, guard)
    first, last = counted(part, guard is not None, dt)
    stop = min(start + values.shape[1], np.inf if last is None else last + 1, np.inf if end is None else end)
    skipped = max(first - start, 0)
    values = values[:, skipped : max(int(stop) - start, 0)]
    if values.shape[1] == 0:
        return np.full(len(values), np.inf), np.full(len(values), -1.0)
    values = np.where(np.isnan(values), -np.inf, values)
    worst = values.argmin(axis=1)
    low = values[np.arange(len(values)), worst]
    return low, np.where(low == np.inf, -1.0, worst + skipped + start)


def counted(part: Part, guarded: bool, dt: float) -> tuple[int, int | None]:
    """The first and last sample that count (None: to the end)."""
    if part.every:
        return samples(part.interval, dt) or (0, None)
    return 0, None if guarded else 0


def worst_of(low: Array, at: Array, starts: ArrayLike, dt: float) -> tuple[Array, Array]:
    """The worst part of each constraint, and when: margin and time (s) `(constraints, worlds)` from `(parts, worlds)`.

    `starts` are the first parts of the constraints, ascending. Of equally bad parts the earliest sample counts.
    """
    first = np.asarray(starts)
    margins = np.minimum.reduceat(low, first, axis=0)
    spread = np.repeat(margins, np.diff([*first, len(low)]), axis=0)
    earliest = np.minimum.reduceat(np.where(low == spread, at, np.inf), first, axis=0)
    return margins + 0.0, np.where(margins == np.inf, np.nan, earliest * dt)
