"""What a policy answers across its inputs: columns of met observations swept, one at a time and two of a kind together.

Two things are looked for. An answer that is no number gates: it lies within what was met. A jump of an action between neighbouring
float32 numbers is a lead: smooth networks have none, so there is a branch in the file, perhaps one that waits for a trigger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .policy import Policy
from .scan_files import Inputs

Rows = NDArray[np.float32]

SWEPT, STEPS = 8, 257  # observations that are swept, values of a column
PAIRED, GRID = 4, 33  # observations that pairs are swept at, values of each of the two
NAMED = 5  # columns that are listed
JUMP, BRANCH = 0.5, 0.25  # between two steps of a sweep; between neighbouring numbers
HALVINGS = 60


@dataclass(frozen=True)
class Line:
    """A sweep: observations `(steps, d)`, and the columns that change along it."""

    name: str
    rows: Rows


def swept(policy: Policy, met: Rows, names: Sequence[str], terms: Sequence[slice]) -> Inputs:
    """Sweep a policy.

    Args:
        met: observations `(n, d)`.
        names: of the columns.
        terms: the columns that belong together; pairs are taken within each.
    """
    bad: dict[str, float] = {}
    jumps: dict[str, float] = {}
    asked = 0
    for column, name in enumerate(names):
        for line in _lines(met, column, name):
            answer = act(policy, line.rows)
            asked += len(line.rows)
            broken = np.flatnonzero(~np.isfinite(answer).all(axis=1))
            if len(broken):
                bad.setdefault(name, float(line.rows[broken[0], column]))
            elif policy.kind == "onnx":
                _note(jumps, name, policy, line, answer)
    for name, line in _pairs(met, names, terms):
        answer = act(policy, line.rows)
        asked += len(line.rows)
        if not np.isfinite(answer).all():
            column = names.index(name.split(" with ")[0])
            bad.setdefault(name, float(line.rows[~np.isfinite(answer).all(axis=1)][0, column]))
        elif policy.kind == "onnx":
            _note(jumps, name, policy, line, answer)
    return Inputs(asked=asked, no_number=_first(bad), jumps=_first(jumps))


def act(policy: Policy, rows: Rows) -> Rows:
    """Actions `(n, A)` of observations `(n, d)`."""
    none = np.zeros(len(rows), np.int64)
    return np.asarray(policy.act(rows, none, none))


def _lines(met: Rows, column: int, name: str) -> Iterator[Line]:
    """One column across what was met of it, at several observations."""
    low, high = met[:, column].min(), met[:, column].max()
    for row in _spread(met, SWEPT):
        rows = np.repeat(row[None], STEPS, axis=0)
        rows[:, column] = np.linspace(low, high, STEPS, dtype=np.float32)
        yield Line(name, rows)


def _pairs(met: Rows, names: Sequence[str], terms: Sequence[slice]) -> Iterator[tuple[str, Line]]:
    """Two columns of a term together, as the lines of a grid."""
    low, high = met.min(axis=0), met.max(axis=0)
    for term in terms:
        columns = range(term.start, term.stop)
        for first in columns:
            for second in columns[first - term.start + 1 :]:
                name = f"{names[first]} with {names[second]}"
                for row in _spread(met, PAIRED):
                    for value in np.linspace(low[second], high[second], GRID, dtype=np.float32):
                        rows = np.repeat(row[None], GRID, axis=0)
                        rows[:, second] = value
                        rows[:, first] = np.linspace(low[first], high[first], GRID, dtype=np.float32)
                        yield name, Line(name, rows)


def _spread(met: Rows, count: int) -> Rows:
    return met[np.linspace(0, len(met) - 1, min(count, len(met))).astype(np.int64)]


def _note(jumps: dict[str, float], name: str, policy: Policy, line: Line, answer: Rows) -> None:
    """The largest jump between neighbouring numbers where the line has its largest step."""
    if name in jumps:
        return
    clipped = answer.clip(-1.0, 1.0)
    steps = np.abs(np.diff(clipped, axis=0)).max(axis=1)
    at = int(steps.argmax())
    if steps[at] > JUMP and (size := _narrowed(policy, line.rows[at], line.rows[at + 1])) > BRANCH:
        jumps[name] = round(size, 3)


def _narrowed(policy: Policy, low: Rows, high: Rows) -> float:
    """What is left of a step when the two observations are brought together until no number lies between them."""
    for _ in range(HALVINGS):
        middle = np.asarray((low.astype(np.float64) + high) / 2.0, np.float32)
        if (middle == low).all() or (middle == high).all():
            break
        answer = act(policy, np.stack([low, middle, high])).clip(-1.0, 1.0)
        left, right = np.abs(answer[1] - answer[0]).max(), np.abs(answer[2] - answer[1]).max()
        low, high = (low, middle) if left >= right else (middle, high)
        if max(left, right) <= BRANCH:
            return 0.0
    answer = act(policy, np.stack([low, high])).clip(-1.0, 1.0)
    return float(np.abs(answer[1] - answer[0]).max())


def _first(found: dict[str, float]) -> dict[str, float]:
    return dict(list(found.items())[:NAMED])
