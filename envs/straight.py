"""The numbers of a sheet, written out as straight-line Python.

Python's floats are IEEE doubles as numpy's are, so each form below gives numpy's bits, NaN and division by zero included; functions that are not
exactly defined (sines, say) are numpy's own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .sheet import Number

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
