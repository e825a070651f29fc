"""Robustness of formulas over traces: how far, in the formula's unit, each sample is from breaking it.

Finite traces follow rtamt's discrete-time offline semantics: a window is cut at the end of the trace; `always` over no
sample is +inf, `eventually` and `until` over no sample are -inf. A value is at least 0 exactly where the formula is true: on the
boundary itself, where rtamt says 0 of `<`, `<=` and their negations alike, what is not true there is -TINY. Every operation is
elementwise or a running minimum, so a value has the same bits whatever else is evaluated beside it.
NaN spreads: a result that may depend on a NaN sample is NaN, and a NaN margin counts as a violation.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..envs.errors import UnknownName
from .formula_measures import Measure, Measured
from .formula_past import Past, Remembered
from .formula_time import Window, always, eventually, until
from .formula_tree import (
    After,
    Arithmetic,
    Call,
    Comparison,
    Formula,
    Junction,
    Name,
    Not,
    Number,
    Since,
    Temporal,
    Until,
    names,
    walk,
)
from .formula_truth import Onset, Step, Truth, as_truth, gated
from .formula_windows import samples, span

Array = NDArray[np.float64]
TINY = float(np.finfo(np.float64).tiny)  # the smallest number that no processor's mode takes for zero
Operation = Callable[..., Array]

COMPARE = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
}
ARITHMETIC: dict[str, Operation] = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}


@dataclass(frozen=True)
class Memory:
    """What a program's operators that look back remember, in the order of its steps."""

    parts: Sequence[Remembered | Measured]

    def restart(self, worlds: NDArray[np.int64]) -> None:
        """Forget these worlds."""
        for part in self.parts:
            part.restart(worlds)


class Program:
    """Formulas and guards as one list of steps, in which equal parts are computed once.

    Args:
        ranks: for each signal, the number of axes that follow (worlds, samples).
        dt: seconds between samples, for intervals.
        given: sub-formulas whose values are handed to `run` instead of being computed.
    """

    def __init__(self, ranks: Mapping[str, int], dt: float, given: Sequence[Step] = ()) -> None:
        self.ranks, self.dt = ranks, dt
        self._slots: dict[Step, int] = {node: slot for slot, node in enumerate(given)}
        self._rank: list[int] = [0] * len(given)
        self._steps: list[tuple[Operation | str | Array, tuple[int, ...]]] = []

    def add(self, node: Step) -> int:
        """Make sure that `node` is computed; returns its place in what `run` returns."""
        slot = self._slots.get(node)
        if slot is None:
            step, parts, rank = self._step(node)
            slot = self._slots[node] = len(self._rank)
            self._steps.append((step, parts))
            self._rank.append(rank)
        return slot

    def memory(self, worlds: int) -> Memory:
        """What has to be remembered of each world to run this block by block."""
        pasts = [step for step, _ in self._steps if isinstance(step, Past | Measure)]
        return Memory([past.remembered(worlds) for past in pasts])

    def run(
        self,
        read: Callable[[str], Array],
        given: Sequence[Array] = (),
        memory: Memory | None = None,
        alive: NDArray[np.bool_] | None = None,
    ) -> list[Array]:
        """All values; signals come from `read(name)` as `(worlds, samples, *shape)` or `(samples, *shape)`.

        With a `memory` the samples go on where the last ones of each world ended, and the `alive` worlds are
        remembered.
        """
        values = list(given)
        remembered = iter(memory.parts if memory else ())
        with np.errstate(all="ignore"):
            for step, parts in self._steps:
                if memory is not None and isinstance(step, Past | Measure):
                    assert alive is not None, "a memory needs to know whose samples these are"
                    values.append(next(remembered).advance([values[part] for part in parts], alive))
                    continue
                if isinstance(step, str):
                    values.append(np.asarray(read(step), dtype=np.float64))
                elif isinstance(step, np.ndarray):
                    values.append(step)
                else:
                    values.append(step(*[values[part] for part in parts]))
        return values

    def _measure(self, node: Call) -> tuple[Operation | str | Array, tuple[int, ...], int]:
        """A measure of its first argument; `duty` of whether that is true."""
        first: Step = node.arguments[0]
        if node.function == "duty":
            first = as_truth(node.arguments[0])  # type: ignore[arg-type]
        of = self.add(first)
        rank = self._rank[of]
        return Measure(node.function, span(node, self.dt), self.dt, rank), (of,), rank  # type: ignore[arg-type]

    def _step(self, node: Step) -> tuple[Operation | str | Array, tuple[int, ...], int]:
        match node:
            case Number(value=value):
                return np.asarray(value), (), 0
            case Name(name=name, index=()):
                return name, (), self.ranks[name]
            case Name(name=name, index=index):
                whole = self.add(Name(name))
                after = (slice(None),) * (self.ranks[name] - len(index))
                return operator.itemgetter((..., *index, *after)), (whole,), len(after)
            case Call(function="rate" | "total" | "duty"):
                return self._measure(node)
            case Call(function=function, arguments=arguments):
                parts = tuple(map(self.add, arguments))
                ranks = tuple(self._rank[part] for part in parts)
                elementwise = function in ("neg", "abs") or (function != "norm" and len(parts) > 1)
                return _function(function, ranks), parts, max(ranks) if elementwise else 0
            case Arithmetic(operator=sign):
                left, right = self.add(node.left), self.add(node.right)
                ranks = self._rank[left], self._rank[right]
                return _fitted(ARITHMETIC[sign], ranks), (left, right), max(ranks)
            case Truth(comparison=comparison):
                sides = self.add(comparison.left), self.add(comparison.right)
                return partial(_truth, COMPARE[comparison.operator]), sides, 0
            case Comparison():
                sides = self.add(node.left), self.add(node.right)
                step = np.subtract if node.operator in (">=", "<=") else _strictly
                return step, sides if node.operator in (">=", ">") else (sides[1], sides[0]), 0
            case Not(operand=operand):
                return _not, (self.add(operand),), 0
            case Junction():
                return JUNCTIONS[node.operator], (self.add(node.left), self.add(node.right)), 0
            case Onset(event=event):
                return Past("onset"), (self.add(event),), 0
            case Temporal(operator="once" | "historically" as kind):
                return Past(kind, samples(node.interval, self.dt)), (self.add(node.operand),), 0
            case Since():
                past = Past("since", samples(node.interval, self.dt))
                return past, (self.add(node.left), self.add(node.right)), 0
            case After():
                operands = self.add(node.left), self.add(Onset(as_truth(node.right)))
                return partial(_after, window=samples(node.interval, self.dt)), operands, 0
            case Temporal():
                extreme = always if node.operator == "always" else eventually
                return partial(extreme, window=samples(node.interval, self.dt)), (self.add(node.operand),), 0
            case Until():
                step = partial(until, window=samples(node.interval, self.dt))
                return step, (self.add(node.left), self.add(node.right)), 0


def _after(response: Array, onset: Array, window: Window) -> Array:
    """The best of the response in the window after each onset; +inf elsewhere, and where the trace ends within the
    window.
    """
    assert window is not None, "the parser demands an interval"
    found = gated(eventually(response, window), onset)
    found[..., max(found.shape[-1] - window[1], 0) :] = np.inf
    return found


def robustness(formula: Formula, trace: Mapping[str, ArrayLike], dt: float, lead: int | None = None) -> Array:
    """Robustness at every sample, `(worlds, samples)` or `(samples,)` as the trace is.

    Args:
        formula: from `parse`; units and shapes are not looked at here (`check_formula` does).
        trace: name -> `(worlds, samples, *shape)` or `(samples, *shape)`.
        dt: seconds between samples.
        lead: 2 or 1, whether the trace has a worlds axis; guessed from how the formula uses its signals when None.
    """
    return _value(formula, formula, trace, dt, lead)


def holds(guard: Formula, trace: Mapping[str, ArrayLike], dt: float = 1.0, lead: int | None = None) -> Array:
    """A guard at every sample: 1 where it holds, -1 where not, NaN where that depends on a NaN. Shapes as above."""
    return _value(as_truth(guard), guard, trace, dt, lead)


def _value(
    node: Step, formula: Formula, trace: Mapping[str, ArrayLike], dt: float, lead: int | None
) -> Array:
    arrays: dict[str, Array] = {}
    for name in names(formula):
        if name not in trace:
            raise UnknownName("signal", name, trace)
        arrays[name] = np.asarray(trace[name], dtype=np.float64)
    axes = lead if lead is not None else _lead(formula, arrays)
    program = Program({name: array.ndim - axes for name, array in arrays.items()}, dt)
    slot = program.add(node)
    return program.run(arrays.__getitem__)[slot]


def _lead(formula: Formula, arrays: Mapping[str, Array]) -> int:
    """The number of leading axes: what signals that are compared as numbers keep when their indices are gone."""
    reduced = [
        name
        for call in walk(formula)
        if isinstance(call, Call) and len(call.arguments) == 1 and call.function in ("min", "max", "norm")
        for name in walk(call)
    ]
    axes = {
        node: arrays[node.name].ndim - len(node.index) for node in walk(formula) if isinstance(node, Name)
    }
    compared = [count for node, count in axes.items() if node not in reduced]
    return min(compared) if compared else max(axes.values()) - 1


def _function(name: str, ranks: tuple[int, ...]) -> Operation:
    if name == "norm":
        return _norm
    if name in ("neg", "abs"):
        return np.negative if name == "neg" else np.abs
    extreme: Operation = np.minimum if name == "min" else np.maximum
    return partial(_over_components, extreme) if len(ranks) == 1 else _fitted(extreme, ranks)


def _fitted(operation: Operation, ranks: tuple[int, ...]) -> Operation:
    """The operation over all arguments, with numbers spread over vectors where both occur."""
    if len(set(ranks)) == 1:
        return operation if len(ranks) == 2 else lambda *each: reduce(operation, each)
    return lambda *each: reduce(
        operation, [a if rank else a[..., None] for a, rank in zip(each, ranks, strict=True)]
    )


def _over_components(extreme: Operation, vector: Array) -> Array:
    return reduce(extreme, [vector[..., i] for i in range(vector.shape[-1])])


def _norm(vector: Array) -> Array:
    """Euclidean length, component by component: a library sum may round differently in another memory layout."""
    return np.sqrt(reduce(np.add, [vector[..., i] * vector[..., i] for i in range(vector.shape[-1])]))


def _strictly(above: Array, below: Array) -> Array:
    """How far `above` is above `below`, which it is not where they are equal."""
    apart = above - below
    return np.where(apart == 0.0, -TINY, apart)


def _not(value: Array) -> Array:
    return np.where(value == 0.0, -TINY, -value)


def _implies(left: Array, right: Array) -> Array:
    return np.maximum(_not(left), right)


JUNCTIONS: dict[str, Operation] = {"and": np.minimum, "or": np.maximum, "implies": _implies}


def _truth(compare: Callable[[Array, Array], NDArray[np.bool_]], left: Array, right: Array) -> Array:
    return np.where(np.isnan(left) | np.isnan(right), np.nan, np.where(compare(left, right), 1.0, -1.0))
