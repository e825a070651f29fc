"""A sheet of numbers: what a computation consists of, each operation once, however often it is asked for.

`noted` fills a sheet from functions of arrays, `straight` writes one out. An operation here gives the bits that numpy's gives on an array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

BOOL, INT, FLOAT = "b", "i", "f"
COMMUTING = ("add", "multiply", "and", "or")
TRUTHS = (
    *("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"),
    *("and", "or", "not", "isnan", "isfinite"),
)


@dataclass(frozen=True, eq=False, slots=True)
class Number:
    """One number of a sheet: an operation on others, a constant, or a place among the inputs."""

    at: int
    form: str
    operands: tuple[Number, ...]
    kind: str
    value: Any = None

    @property
    def constant(self) -> bool:
        return self.form == "constant"


@dataclass
class Sheet:
    """The numbers that a computation consists of, in an order in which they can be computed."""

    numbers: list[Number] = field(default_factory=list)
    known: dict[Any, Number] = field(default_factory=dict)

    def _one(self, key: Any, form: str, operands: tuple[Number, ...], kind: str, value: Any = None) -> Number:
        if key not in self.known:
            self.known[key] = Number(len(self.numbers), form, operands, kind, value)
            self.numbers.append(self.known[key])
        return self.known[key]

    def input(self, array: int, place: int, kind: str) -> Number:
        """The number at a place of the first row of an input."""
        return self._one(("input", array, place), "input", (), kind, (array, place))

    def constant(self, value: Any) -> Number:
        """A bool, int or float that is always the same."""
        plain = value.item() if isinstance(value, np.generic) else value
        kind = BOOL if isinstance(plain, bool) else INT if isinstance(plain, int) else FLOAT
        return self._one((kind, repr(plain)), "constant", (), kind, plain)

    def of(self, form: str, *operands: Number) -> Number:
        """An operation of `FORMS`, simplified where that changes no bit."""
        if form == "where":
            return self._choice(*operands)
        if all(each.constant for each in operands):
            return self.constant(_computed(form, [each.value for each in operands]))
        kind = _kind(form, operands)
        form, operands = _simpler(form, operands)
        if form == "same":
            return operands[0]
        if form in COMMUTING:
            operands = tuple(sorted(operands, key=lambda each: each.at))
        return self._one((form, *(each.at for each in operands)), form, operands, kind)

    def _choice(self, truth: Number, one: Number, other: Number) -> Number:
        if truth.constant:
            return one if truth.value else other
        if one is other:
            return one
        kind = max(one.kind, other.kind, key=(BOOL, INT, FLOAT).index)
        if kind == FLOAT:
            one, other = (each if each.kind == FLOAT else self.of("float", each) for each in (one, other))
        return self._one(("where", truth.at, one.at, other.at), "where", (truth, one, other), kind)

    def least(self, numbers: Sequence[Number]) -> Number:
        """The index of the first of the least numbers, or of the first NaN, as numpy has it."""
        best, at = numbers[0], self.constant(0)
        for i, each in enumerate(numbers[1:], 1):
            first_nan = self.of("and", self.of("isnan", each), self.of("not", self.of("isnan", best)))
            better = self.of("or", self.of("less", each, best), first_nan)
            best, at = self.of("where", better, each, best), self.of("where", better, self.constant(i), at)
        return at

    def pick(self, index: Number, numbers: Sequence[Number]) -> Number:
        """The number at an index."""
        if index.constant:
            return numbers[int(index.value)]
        kind = FLOAT if any(each.kind == FLOAT for each in numbers) else numbers[0].kind
        operands = (index, *numbers)
        return self._one(("pick", *(each.at for each in operands)), "pick", operands, kind)


def _kind(form: str, operands: tuple[Number, ...]) -> str:
    """What an operation gives, as numpy has it."""
    if form in TRUTHS:
        return BOOL
    if form in ("absolute", "negative"):
        return operands[0].kind
    if form in ("add", "subtract", "multiply", "maximum", "minimum"):
        return FLOAT if FLOAT in (operands[0].kind, operands[1].kind) else INT
    return INT if form == "integer" else FLOAT


def _simpler(form: str, operands: tuple[Number, ...]) -> tuple[str, tuple[Number, ...]]:
    """The same number in a form that takes less time."""
    if form == "float" and operands[0].kind == FLOAT:
        return "same", operands
    if form == "divide" and _never_zero(operands[1]):
        return "quotient", operands
    if form == "sqrt" and _never_below(operands[0]):
        return "root", operands
    if form in ("maximum", "minimum") and operands[1].constant and operands[1].value == operands[1].value:
        return {"maximum": "at_least", "minimum": "at_most"}[form], operands
    if form in ("and", "or") and any(each.constant for each in operands):
        fixed, rest = sorted(operands, key=lambda each: not each.constant)
        return "same", (rest,) if fixed.value is (form == "and") else (fixed,)
    return form, operands


def _never_zero(number: Number) -> bool:
    if number.constant:
        return bool(number.value)
    return number.form == "at_least" and number.operands[1].value > 0.0


def _never_below(number: Number) -> bool:
    """Whether it is NaN or at least zero whatever it is computed from."""
    if number.constant:
        return bool(number.value >= 0.0)
    if number.form == "multiply":
        return number.operands[0] is number.operands[1]
    if number.form == "at_least":
        return bool(number.operands[1].value >= 0.0)
    if number.form in ("add", "maximum"):
        return all(map(_never_below, number.operands))
    return number.form in ("absolute", "root")


def _computed(form: str, values: Sequence[Any]) -> Any:
    """A constant of constants, by numpy."""
    named: dict[str, Callable[..., Any]] = {
        **{"and": np.logical_and, "or": np.logical_or, "not": np.logical_not},
        **{"float": float, "integer": int},
    }
    with np.errstate(all="ignore"):
        return named.get(form, getattr(np, form, float))(*values)
