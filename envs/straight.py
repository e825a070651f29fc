"""Arithmetic on single numbers, written out as straight-line Python: what `capture` notes, and how it is run.

A `Sheet` holds operations on numbers, each once, however often it is asked for. `written` gives the source of a function that computes some of
them from inputs. Python's floats are IEEE doubles as numpy's are, and each operation here gives the bits that numpy's gives on an array,
NaN and division by zero included; functions that are not exactly defined (sines, say) are numpy's own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

BOOL, INT, FLOAT = "b", "i", "f"
CHUNK = 32  # inputs that are named at a time
DEPTH = 12  # how deep expressions are nested before a part of them gets a name
NUMPYS = ("sin", "cos", "tan", "arctan2", "arctan", "arccos", "arcsin", "tanh", "exp", "log", "hypot")
FORMS = {
    "add": "({0} + {1})",
    "subtract": "({0} - {1})",
    "multiply": "({0} * {1})",
    "quotient": "({0} / {1})",  # of what is never divided by zero
    "divide": "({0} / {1} if {1} else divide({0}, {1}))",
    "negative": "(-{0})",
    "absolute": "abs({0})",
    "root": "sqrt({0})",  # of what is never below zero
    "sqrt": "(sqrt({0}) if {0} >= 0.0 else nan)",
    "maximum": "({0} if {0} >= {1} or {0} != {0} else {1})",
    "at_least": "({1} if {0} < {1} else {0})",  # of a number and a constant, as the next one
    "minimum": "({0} if {0} <= {1} or {0} != {0} else {1})",
    "at_most": "({1} if {0} > {1} else {0})",
    "less": "({0} < {1})",
    "less_equal": "({0} <= {1})",
    "greater": "({0} > {1})",
    "greater_equal": "({0} >= {1})",
    "equal": "({0} == {1})",
    "not_equal": "({0} != {1})",
    "and": "({0} and {1})",
    "or": "({0} or {1})",
    "not": "(not {0})",
    "where": "({1} if {0} else {2})",
    "isnan": "({0} != {0})",
    "isfinite": "isfinite({0})",
    "floor": "floor({0})",
    "rint": "rint({0})",
    "float": "({0} + 0.0)",  # of a truth or an integer
    "integer": "integer({0})",
    **{name: f"float({name}({', '.join(['{0}', '{1}'][: getattr(np, name).nin])}))" for name in NUMPYS},
}
TWICE = ("divide", "sqrt", "maximum", "at_least", "minimum", "at_most", "isnan")  # name their operands again
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


def written(wanted: Sequence[Number]) -> tuple[str, list[Number]]:
    """(source of a function `compute`, the inputs that it takes as one list); it returns a list of the wanted numbers.

    What is computed is used soon, and its name again for the next: Python is quickest with fewer than 256 names.
    """
    order = _depth_first(wanted)
    uses: Counter[int] = Counter(each.at for each in wanted)
    for number in order:
        for each in number.operands:
            uses[each.at] += 1
    first = {each.at: i for i, each in enumerate(order)}
    inputs = [each for each in order if each.form == "input"]
    inputs.sort(key=lambda each: (each.value[0], first[each.at]))  # by array, and as they are needed
    named = {each.at for each in wanted}
    named |= {each.at for number in order if number.form in TWICE for each in number.operands}
    page = _Page(uses, named)
    place = {each.at: i for i, each in enumerate(inputs)}
    for number in order:
        if number.form == "input":
            start = place[number.at] // CHUNK * CHUNK
            if number.at not in page.text:
                page.take(inputs[start : start + CHUNK], start)
        else:
            page.write(number)
    page.lines.append(f"    return [{', '.join(page.text[each.at] for each in wanted)}]")
    return "\n".join(page.lines), inputs


def _depth_first(wanted: Sequence[Number]) -> list[Number]:
    """All that is needed, each after its operands and as late as may be."""
    order: list[Number] = []
    done: set[int] = set()
    stack = [(each, False) for each in reversed(wanted)]
    while stack:
        number, ready = stack.pop()
        if number.at in done:
            continue
        if ready:
            done.add(number.at)
            order.append(number)
        else:
            stack.append((number, True))
            stack += [(each, False) for each in reversed(number.operands)]
    return order


class _Page:
    """Lines of source, with the names that are in use.

    Args:
        uses: how often each number is an operand or wanted.
        named: those that must have a name.
    """

    def __init__(self, uses: Mapping[int, int], named: set[int]) -> None:
        self.left = dict(uses)
        self.named = named | {at for at, times in uses.items() if times > 1}
        self.lines = ["def compute(given):"]
        self.text: dict[int, str] = {}  # how each number is said now: a name, a literal, an expression
        self._depth: dict[int, int] = {}
        self._said: dict[int, list[int]] = {}  # the numbers whose names stand in an expression
        self._free: list[str] = []
        self._names = 0

    def take(self, inputs: Sequence[Number], start: int) -> None:
        """Name some inputs."""
        names = []
        for each in inputs:
            self._name(each.at)
            names.append(self.text[each.at])
        self.lines.append(f"    {', '.join(names)}, = given[{start}:{start + len(inputs)}]")

    def write(self, number: Number) -> None:
        """Say a number: at once on a line of its own where it is needed again, else in the line of who needs it."""
        at, operands = number.at, number.operands
        if number.constant:
            self.text[at], self._depth[at], self._said[at] = _literal(number.value), 0, []
            return
        expression = _expression(number.form, [self.text[each.at] for each in operands])
        said = [name for each in operands for name in self._said[each.at]]
        deep = 1 + max(self._depth[each.at] for each in operands)
        if at in self.named or deep >= DEPTH:
            for name in said:
                self.left[name] -= 1
                if not self.left[name]:
                    self._free.append(self.text[name])
            self._name(at)
            self.lines.append(f"    {self.text[at]} = {expression}")
        else:
            self.text[at], self._depth[at], self._said[at] = expression, deep, said

    def _name(self, at: int) -> None:
        if not self._free:
            self._free.append(f"x{self._names}")
            self._names += 1
        self.text[at], self._depth[at], self._said[at] = self._free.pop(), 0, [at]


def _expression(form: str, operands: Sequence[str]) -> str:
    if form == "pick":
        return f"({', '.join(operands[1:])},)[{operands[0]}]"
    return FORMS[form].format(*operands)


def _literal(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "(-inf)"
    return f"({value!r})" if not isinstance(value, bool) and value < 0 else repr(value)


def _divide(a: float, b: float) -> float:
    return float(np.divide(np.float64(a), np.float64(b)))


def _integer(a: float) -> int:
    return int(a) if abs(a) < 2.0**62 else int(np.asarray(a).astype(np.int64))


def made(source: str, name: str) -> Callable[[Sequence[Any]], list[Any]]:
    """The function that `written` wrote, under the name that a traceback shows."""
    known: dict[str, Any] = {each: getattr(np, each) for each in NUMPYS}
    known |= {"sqrt": math.sqrt, "isfinite": math.isfinite, "nan": math.nan, "inf": math.inf}
    known |= {"divide": _divide, "integer": _integer}
    known |= {"floor": lambda a: float(np.floor(a)), "rint": lambda a: float(np.rint(a))}
    exec(compile(source, f"<{name}>", "exec"), known)
    return known["compute"]  # type: ignore[no-any-return]
