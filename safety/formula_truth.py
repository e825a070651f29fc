"""What of a formula is true or false: guards and events, as trees over the values 1, -1 and NaN."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..envs.errors import BadInput
from .formula_time import Array
from .formula_tree import (
    FORMULAS,
    After,
    Comparison,
    Formula,
    Junction,
    Node,
    Not,
    Since,
    Temporal,
    children,
    looks_ahead,
    text,
)


@dataclass(frozen=True)
class Truth:
    """A comparison as part of a guard: 1 where it holds, -1 where not, NaN where a side is NaN."""

    comparison: Comparison


@dataclass(frozen=True)
class Onset:
    """Where an event begins: 1, elsewhere -1, NaN where that depends on a NaN."""

    event: Node | Truth


Step = Node | Truth | Onset


def as_truth(guard: Formula) -> Node | Truth:
    """A guard's tree with its comparisons as truth values (`not`, `and`, `or` then work on 1, -1 and NaN)."""
    match guard:
        case Comparison():
            return Truth(guard)
        case Not(operand=operand):
            return Not(as_truth(operand))  # type: ignore[arg-type]
        case Junction():
            return Junction(guard.operator, as_truth(guard.left), as_truth(guard.right))  # type: ignore[arg-type]
        case Temporal(operator="once" | "historically"):
            return Temporal(guard.operator, as_truth(guard.operand), guard.interval)  # type: ignore[arg-type]
        case Since():
            return Since(as_truth(guard.left), as_truth(guard.right), guard.interval)  # type: ignore[arg-type]
    raise BadInput(f"'{text(guard)}' cannot be a guard: it looks ahead")


def present_parts(formula: Formula) -> tuple[Step, ...]:
    """The largest parts that do not look ahead: what has to be recorded to evaluate the rest later."""
    if not looks_ahead(formula):
        return (formula,)
    if isinstance(formula, After):
        return tuple(dict.fromkeys([*present_parts(formula.left), Onset(as_truth(formula.right))]))
    below = [present_parts(child) for child in children(formula) if isinstance(child, FORMULAS)]
    return tuple(dict.fromkeys(part for parts in below for part in parts))


def gated(robustness: Array, guard: Array) -> Array:
    """The robustness where the guard holds, +inf where it does not, NaN where the guard is NaN."""
    return np.where(guard < 0, np.inf, np.where(np.isnan(guard), np.nan, robustness))
