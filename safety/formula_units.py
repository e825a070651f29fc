"""Does a formula make sense over a signal table: do its names exist, do shapes and units fit together?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..envs.errors import BadInput, UnknownName
from .formula_measures import MEASURES
from .formula_nothing import Windowed, never_kept
from .formula_tree import (
    FUTURE,
    After,
    Arithmetic,
    Call,
    Comparison,
    Expression,
    Formula,
    Name,
    Node,
    Number,
    Since,
    Temporal,
    Until,
    asserted,
    events,
    names,
    text,
    walk,
)
from .units import ONE, Unit, parse_unit

LONGEST_S = 300.0  # what looks back remembers that long of each world


class Described(Protocol):
    """What a signal table says about one signal."""

    @property
    def unit(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class Kind:
    """Unit and shape of an expression. A bare number has no unit yet (None): it takes the one that its place needs."""

    unit: Unit | None
    shape: tuple[int, ...] = ()


def check_formula(formula: Formula, table: Mapping[str, Described]) -> str:
    """The one unit of a formula, as text.

    Raises:
        UnknownName: a signal that the table lacks, with the closest ones.
        BadInput: units that differ (both are named, with the column), or shapes that do not fit.
    """
    check_formula_form(formula)
    for event in events(formula):
        check_guard(event, table)
    first: tuple[Comparison, Unit] | None = None
    for comparison in asserted(formula):
        unit = _comparison(comparison, table)
        if first is None:
            first = comparison, unit
        elif unit != first[1]:
            raise BadInput(
                f"column {comparison.column}: {text(comparison)} is in {unit} but {text(first[0])} (column "
                f"{first[0].column}) in {first[1]}; a formula has one unit: move one to `when` or make two constraints"
            )
    assert first is not None, "the parser lets no formula through without a comparison"
    return str(first[1])


def check_guard(guard: Formula, table: Mapping[str, Described]) -> None:
    """The same for a guard: units may differ from comparison to comparison. Raises as `check_formula`."""
    check_guard_form(guard)
    for comparison in _comparisons(guard):
        _comparison(comparison, table)


def check_formula_form(formula: Formula) -> None:
    """Raise BadInput for what can be seen without a signal table: an equation has no margin."""
    for event in events(formula):
        check_guard_form(event, "an event")
    for comparison in asserted(formula):
        if comparison.operator in ("==", "!="):
            raise BadInput(
                f"column {comparison.column}: '{comparison.operator}' has no margin: use <= or >=, or move it to `when`"
            )


def check_windows(node: Formula, guarded: bool = False) -> None:
    """Raise BadInput for a window that no episode could fill, or (unless a guard decides when it is asked) that would be over nothing at
    the start or the end of each, so that none could keep the formula."""
    for part in walk(node):
        longest = max(_seconds(part), default=0.0)
        if longest > LONGEST_S:
            raise BadInput(
                f"column {part.column}: {longest:g} s is longer than an episode ({LONGEST_S:g} s at most): leave the interval out"
            )
        if isinstance(part, Temporal) and (part.operator, part.interval) == ("always", None) and not guarded:
            for late in walk(part):
                if isinstance(late, Until) or (isinstance(late, Temporal) and late.operator == "eventually"):
                    _check_begin(late)
    found = None if guarded else never_kept(node)
    if found is not None:
        raise BadInput(f"column {found.column}: {_over_nothing(found)}")


def _over_nothing(node: Windowed) -> str:
    """What is wrong with a window that is over nothing, and what to write instead."""
    if isinstance(node, After):
        return (
            "what is asked after an event holds wherever there was none, at the end of every episode too, so that its denial cannot be "
            "kept: deny the response instead"
        )
    begin = node.interval[0] if node.interval else 0.0
    ahead = isinstance(node, Until) or (isinstance(node, Temporal) and node.operator in FUTURE)
    where, place = ("ahead", "end") if ahead else ("back", "start")
    instead = ", or use `within ... after ...`" if ahead else ""
    return (
        f"a window that begins {begin:g} s {where} is over nothing at the {place} of every episode: begin it at 0, say when it is asked "
        f"(`always [0.5, 3] (...)`, `when`){instead}"
    )


def _check_begin(node: Temporal | Until) -> None:
    """Nothing is never true."""
    if node.interval is not None and node.interval[0] > 0:
        raise BadInput(f"column {node.column}: {_over_nothing(node)}")


def _seconds(node: Node) -> tuple[float, ...]:
    """The times in s that a node itself names."""
    if isinstance(node, Temporal | Until | Since | After):
        return node.interval or ()
    if isinstance(node, Call) and node.function in MEASURES:
        return tuple(each.value for each in node.arguments[1:] if isinstance(each, Number))
    return ()


def check_guard_form(guard: Formula, what: str = "`when`") -> None:
    """Raise BadInput when a guard, or an event, looks ahead."""
    for node in walk(guard):
        if isinstance(node, Until | After) or (isinstance(node, Temporal) and node.operator in FUTURE):
            raise BadInput(
                f"column {node.column}: {what} may look back, not ahead: no always, eventually, until or within"
            )


def _comparisons(formula: Formula) -> list[Comparison]:
    return [node for node in walk(formula) if isinstance(node, Comparison)]


def _comparison(comparison: Comparison, table: Mapping[str, Described]) -> Unit:
    left, right = kind(comparison.left, table), kind(comparison.right, table)
    for side, each in ((comparison.left, left), (comparison.right, right)):
        if each.shape:
            raise BadInput(
                f"column {comparison.column}: {text(side)} has shape {each.shape}; compare one number: index it "
                "([0]), or take norm(), min() or max()"
            )
    if not names(comparison):
        raise BadInput(f"column {comparison.column}: no signal in {text(comparison)}: nothing is compared")
    return _same(comparison, left, right).unit or ONE


def kind(node: Expression, table: Mapping[str, Described]) -> Kind:
    """Unit and shape of an expression. Raises as `check_formula`."""
    match node:
        case Number(unit=unit):
            return Kind(None if unit is None else parse_unit(unit))
        case Name():
            return _signal(node, table)
        case Call():
            if node.function in MEASURES:
                return _measured(node, table)
            return _call(node, [kind(each, table) for each in node.arguments])  # type: ignore[arg-type]
    left, right = kind(node.left, table), kind(node.right, table)
    if not names(node) and not np.isfinite(constant(node)):
        raise BadInput(f"column {node.column}: {text(node)} is no finite number: nothing could exceed it")
    if node.operator in "+-":
        return _same(node, left, right)
    shape = _shape(node, left.shape, right.shape)
    if left.unit is None and right.unit is None:
        return Kind(None, shape)
    above, below = left.unit or ONE, right.unit or ONE
    return Kind(above * below if node.operator == "*" else above / below, shape)


def constant(node: Node) -> float:
    """The value of an expression without signals; NaN where it has none."""
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Arithmetic):
        with np.errstate(all="ignore"):
            left, right = np.float64(constant(node.left)), np.float64(constant(node.right))
            made = {"+": left + right, "-": left - right, "*": left * right, "/": left / right}
        return float(made[node.operator])
    if isinstance(node, Call) and node.function in ("neg", "abs", "min", "max"):
        values = [constant(each) for each in node.arguments]
        return {"neg": -values[0], "abs": abs(values[0]), "min": min(values), "max": max(values)}[
            node.function
        ]
    return float("nan")


def _signal(node: Name, table: Mapping[str, Described]) -> Kind:
    if node.name not in table:
        raise UnknownName("signal", node.name, table)
    signal = table[node.name]
    for axis, index in enumerate(node.index):
        if axis >= len(signal.shape):
            raise BadInput(
                f"column {node.column}: {text(node)} has too many indices: '{node.name}' has shape {signal.shape}"
            )
        if index >= signal.shape[axis]:
            raise BadInput(
                f"column {node.column}: {text(node)} is out of range: '{node.name}' has shape {signal.shape}, "
                f"counted from 0 to {signal.shape[axis] - 1}"
            )
    return Kind(parse_unit(signal.unit), tuple(signal.shape[len(node.index) :]))


def _measured(node: Call, table: Mapping[str, Described]) -> Kind:
    if not names(node):
        raise BadInput(f"column {node.column}: no signal in {text(node)}: nothing is measured")
    if node.function == "duty":
        return Kind(ONE)
    first = kind(node.arguments[0], table)  # type: ignore[arg-type]
    assert first.unit is not None, "an expression with a signal has a unit"
    second = parse_unit("s")
    return Kind(first.unit / second if node.function == "rate" else first.unit * second, first.shape)


def _call(node: Call, arguments: list[Kind]) -> Kind:
    first = arguments[0]
    if node.function in ("neg", "abs"):
        return first
    if node.function == "norm" or len(arguments) == 1:
        if len(first.shape) != 1:
            raise BadInput(
                f"column {node.column}: {node.function}() of one argument takes a vector, but {text(node.arguments[0])} "
                f"has shape {first.shape}"
            )
        return Kind(first.unit)
    for each in arguments[1:]:
        first = _same(node, first, each)
    return first


def _same(node: Comparison | Arithmetic | Call, left: Kind, right: Kind) -> Kind:
    """The common kind of two sides that are added or compared; a number without unit takes the other's."""
    if left.unit is not None and right.unit is not None and left.unit != right.unit:
        sides = (
            [node.left, node.right] if not isinstance(node, Call) else [node.arguments[0], node.arguments[-1]]
        )
        raise BadInput(
            f"column {node.column}: {text(sides[0])} is in {left.unit} but {text(sides[1])} in {right.unit}: they "
            "cannot be added or compared"
        )
    return Kind(left.unit if left.unit is not None else right.unit, _shape(node, left.shape, right.shape))


def _shape(node: Expression | Comparison, left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    if left and right and left != right:
        raise BadInput(f"column {node.column}: shapes {left} and {right} do not fit together")
    return left or right
