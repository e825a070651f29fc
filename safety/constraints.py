"""Constraints: a sentence that a reviewer can argue with, its formula, and where its number comes from.

This module needs numpy only, so that a released policy's monitor can read `monitor.json`; `constraints_yaml` reads and
checks the files that people write.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from ..envs.errors import BadInput, UnknownName
from .formula import Formula, check_formula, check_guard, names, parse
from .formula_parts import Part, split
from .formula_units import Described
from .formula_windows import check_intervals

GATING = ("confirmed", "confirmed_secondary", "derived", "cell_spec")
WARNING = ("recalled", "project_assumption")
DEFAULT_MAX_RATE, LEAST_RATE = 0.01, 1e-6  # the least that any number of episodes could ever show


@dataclass(frozen=True)
class Source:
    """Where a limit comes from. `confidence` says how well that was read; `recalled` and `project_assumption` only warn."""

    document: str
    topic: str
    confidence: str


@dataclass(frozen=True)
class Constraint:
    """One rule about signals.

    Attributes:
        says: the rule in words, by language ("en", "ja").
        formula: signal temporal logic in one unit; its robustness is the margin.
        when: boolean guard; where it is false the constraint does not apply. None: it always applies.
        hard: gates the verdict; a soft one warns.
        max_rate: share of episodes that may violate it, as an upper confidence bound.
        cannot_show: what a simulated margin is no evidence for.
    """

    id: str
    says: Mapping[str, str]
    formula: str
    source: Source
    hard: bool
    when: str | None = None
    max_rate: float = DEFAULT_MAX_RATE
    cannot_show: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bound:
    """A constraint whose names, shapes and units fit a signal table; `unit` is that of its margin."""

    constraint: Constraint
    parts: tuple[Part, ...]
    guard: Formula | None
    unit: str


@dataclass(frozen=True)
class Binding:
    """What can be judged in a cell, and what cannot, with the reason."""

    assessed: tuple[Bound, ...]
    not_assessed: tuple[tuple[Constraint, str], ...] = ()


def bind(
    constraints: Sequence[Constraint],
    table: Mapping[str, Described],
    vocabulary: Collection[str] = (),
    dt: float | None = None,
) -> Binding:
    """Fit constraints to a cell's signal table.

    Args:
        vocabulary: every signal name that some cell has. A constraint with a name that only this cell lacks is listed as
            not assessed; a name that is nowhere is an error.
        dt: seconds between the cell's samples, on which times in formulas and guards have to fall; None: not known yet.

    Raises:
        UnknownName: a signal that exists nowhere (closest names listed).
        BadInput: a formula that does not parse, mixes units, would look at the first sample only or names a time between samples.
    """
    assessed: list[Bound] = []
    left_out: list[tuple[Constraint, str]] = []
    for constraint in constraints:
        absent = absent_signals(constraint, table)
        for name in absent:
            if name not in vocabulary:
                raise UnknownName("signal", name, {*table, *vocabulary})
        if absent:
            left_out.append((constraint, f"no such signal: {', '.join(absent)}"))
        else:
            assessed.append(bind_one(constraint, table, dt))
    return Binding(tuple(assessed), tuple(left_out))


def absent_signals(constraint: Constraint, table: Mapping[str, Described]) -> tuple[str, ...]:
    """The signals of formula and guard that the table lacks. Raises BadInput when one does not parse."""
    formula, guard = parse_both(constraint)
    used = names(formula) + (names(guard) if guard is not None else ())
    return tuple(dict.fromkeys(name for name in used if name not in table))


def bind_one(constraint: Constraint, table: Mapping[str, Described], dt: float | None = None) -> Bound:
    """Fit one constraint to a table that has its signals. Raises as `bind`."""
    formula, guard = parse_both(constraint)
    if guard is not None:
        with _blaming(constraint, "when"):
            check_guard(guard, table)
            _on_samples(guard, dt)
    with _blaming(constraint, "formula"):
        _on_samples(formula, dt)
        return Bound(constraint, split(formula), guard, check_formula(formula, table))


def _on_samples(formula: Formula, dt: float | None) -> None:
    if dt is not None:
        check_intervals(formula, dt)


def parse_both(constraint: Constraint) -> tuple[Formula, Formula | None]:
    """Formula and guard as trees. Raises BadInput, naming the constraint, when one does not parse."""
    with _blaming(constraint, "formula"):
        formula = parse(constraint.formula)
    if constraint.when is None:
        return formula, None
    with _blaming(constraint, "when"):
        return formula, parse(constraint.when)


def may_not_gate(confidence: str) -> str | None:
    """Why a source of this confidence may not stand behind a hard constraint, in one line; None when it may."""
    if confidence in GATING:
        return None
    return f"a source that is '{confidence}' may not gate: set hard: false, or cite one that is {' or '.join(GATING)}"


def to_dict(constraint: Constraint) -> dict[str, Any]:
    """Plain JSON data, as plans and `monitor.json` store it."""
    return {**asdict(constraint), "cannot_show": list(constraint.cannot_show), "says": dict(constraint.says)}


def from_dict(data: Mapping[str, Any]) -> Constraint:
    """The inverse of `to_dict`. Raises BadInput when a field is missing or unknown."""
    try:
        fields = {**data, "source": Source(**data["source"]), "cannot_show": tuple(data["cannot_show"])}
        return Constraint(**fields)
    except (KeyError, TypeError) as error:
        raise BadInput(
            f"stored constraint '{data.get('id', '?')}' cannot be read ({error}): export it again"
        ) from None


@contextmanager
def _blaming(constraint: Constraint, where: str) -> Iterator[None]:
    """Put the constraint and the field in front of what is wrong."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"constraint '{constraint.id}', {where}: {error}") from None
