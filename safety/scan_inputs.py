"""What a policy answers across its inputs: columns of met observations swept, one at a time and two of a kind together, across what was
met of them and a tenth of that to either side, where a bad day may lead.

Three things are looked for. An answer that is no number gates, also where readings are zero, as lost ones are. So does an answer that depends on
how many observations are asked about at once: a robot asks about one. A jump of an action between neighbouring float32 numbers is a lead:
smooth networks have none, so there is a branch in the file, perhaps one that waits for a trigger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput
from .policy import Policy
from .scan_files import Inputs

Rows = NDArray[np.float32]

SWEPT, STEPS = 8, 257  # observations that are swept, values of a column
FINE, FINER = 2, 4097  # likewise, for what is narrower than a step of that: 0.25 mm of a metre
PAIRED, GRID = 4, 33  # observations that pairs are swept at, values of each of the two
BEYOND = 0.1  # of what was met, to either side
AT_ONCE = 1024  # observations of a question: what a server with a large network can take
ALL_PAIRS = 4  # columns of a term of which every two are taken together
NAMED = 5  # columns that are listed
COMPANY, ASKED_APART = (
    (1, 2, 7, AT_ONCE),
    256,
)  # observations asked about at once, and of how many the answers are compared
MOST_APART = 2.0  # of two actions between -1 and 1
JUMP, BRANCH = 0.5, 0.25  # between two steps of a sweep; between neighbouring numbers
HALVINGS = 60


@dataclass(frozen=True)
class Sweep:
    """Lines of observations `(lines, steps, d)` along which column `column` changes."""

    name: str
    column: int
    lines: Rows


def swept(policy: Policy, met: Rows, names: Sequence[str], terms: Sequence[slice]) -> Inputs:
    """Sweep a policy.

    Args:
        met: observations `(n, d)`.
        names: of the columns.
        terms: the columns that belong together; pairs are taken within each.

    Raises BadInput where the policy answers nothing any more, not even what it has met.
    """
    bad: dict[str, float] = {}
    jumps: dict[str, float] = {}
    asked = 0
    for sweep in (*_columns(met, names), *_pairs(met, names, terms)):
        lines = sweep.lines
        asked += lines.shape[0] * lines.shape[1]
        answers = _answers(policy, lines, met)
        broken: NDArray[np.bool_] = np.asarray(~np.isfinite(answers).all(axis=2))
        if broken.any():
            bad.setdefault(sweep.name, float(lines[broken][0, sweep.column]))
        if policy.kind == "onnx":
            for line, answer in zip(lines[~broken.any(axis=1)], answers[~broken.any(axis=1)], strict=True):
                _note(jumps, sweep.name, policy, line, answer)
    for name, rows in _lost(met, names, terms):
        if not np.isfinite(_answers(policy, rows[None], met)).all():
            bad.setdefault(name, 0.0)
    alone = apart(policy, met) if policy.kind == "onnx" else 0.0
    return Inputs(asked=asked, no_number=_first(bad), jumps=_first(jumps), alone=alone)


def apart(policy: Policy, met: Rows) -> float:
    """The largest difference of an action between an observation that is asked about in other company, or alone, and among the others;
    an answer that is no number is as far from any other as actions can be."""
    rows = _spread(met, ASKED_APART)
    among = act(policy, rows)
    if not np.isfinite(among).all():
        return MOST_APART
    among = among.clip(-1.0, 1.0)
    worst = 0.0
    for size in COMPANY:
        asked = np.resize(rows, (max(len(rows) // size, 1) * size, rows.shape[1]))
        none = np.zeros(size, np.int64)
        try:
            answers = [policy.act(part, none, none) for part in asked.reshape(-1, size, rows.shape[1])]
        except BadInput:
            return MOST_APART  # it answers some numbers of observations only
        given = np.concatenate(answers)[: len(rows)]
        if not np.isfinite(given).all():
            return MOST_APART
        worst = max(worst, float(np.abs(given.clip(-1.0, 1.0) - among[: len(given)]).max()))
    return round(worst, 6)


def _answers(policy: Policy, lines: Rows, met: Rows) -> Rows:
    """`(lines, steps, A)`; NaN where the policy could not answer what it was never asked, though it answers what it has met."""
    flat = lines.reshape(-1, lines.shape[2])
    try:
        answers = act(policy, flat)
    except BadInput:
        known = act(policy, met[:2])
        answers = np.full((len(flat), known.shape[1]), np.nan, np.float32)
    return answers.reshape(*lines.shape[:2], -1)


def act(policy: Policy, rows: Rows) -> Rows:
    """Actions `(n, A)` of observations `(n, d)`."""
    none = np.zeros(AT_ONCE, np.int64)
    parts = [rows[first : first + AT_ONCE] for first in range(0, len(rows), AT_ONCE)]
    return np.concatenate([policy.act(part, none[: len(part)], none[: len(part)]) for part in parts])


def _columns(met: Rows, names: Sequence[str]) -> Iterator[Sweep]:
    """One column across what was met of it, at several observations, and finely at few."""
    bounds = _bounds(met)
    for column, name in enumerate(names):
        low, high = bounds[0][column], bounds[1][column]
        for count, steps in ((SWEPT, STEPS), (FINE, FINER)):
            rows = np.repeat(_spread(met, count)[:, None], steps, axis=1)
            rows[:, :, column] = np.linspace(low, high, steps, dtype=np.float32)
            yield Sweep(name, column, rows)


def _lost(met: Rows, names: Sequence[str], terms: Sequence[slice]) -> Iterator[tuple[str, Rows]]:
    """Observations `(n, d)` in which readings are zero, as lost ones are: all of them, and those of each term."""
    yield "every reading", np.zeros((1, met.shape[1]), np.float32)
    for term in terms:
        rows = _spread(met, SWEPT).copy()
        rows[:, term] = 0.0
        alone = term.stop - term.start == 1
        yield names[term.start] if alone else names[term.start].rpartition(".")[0], rows


def _pairs(met: Rows, names: Sequence[str], terms: Sequence[slice]) -> Iterator[Sweep]:
    """Two columns of a term together, as the lines of a grid; of a long term, neighbours only."""
    low, high = _bounds(met)
    for term in terms:
        for first, second in combinations(range(term.start, term.stop), 2):
            if term.stop - term.start > ALL_PAIRS and second > first + 1:
                continue
            rows = np.repeat(_spread(met, PAIRED)[:, None], GRID, axis=1).reshape(-1, 1, met.shape[1])
            rows = np.repeat(rows, GRID, axis=1)
            across = np.linspace(low[second], high[second], GRID, dtype=np.float32)
            rows[:, :, second] = np.tile(across, len(rows) // GRID)[:, None]
            rows[:, :, first] = np.linspace(low[first], high[first], GRID, dtype=np.float32)
            yield Sweep(f"{names[first]} with {names[second]}", first, rows)


def _bounds(met: Rows) -> tuple[Rows, Rows]:
    """`(d,)` each: between which columns are swept."""
    low, high = met.min(axis=0), met.max(axis=0)
    beyond = np.asarray(BEYOND * (high - low), np.float32)
    return low - beyond, high + beyond


def _spread(met: Rows, count: int) -> Rows:
    return met[np.linspace(0, len(met) - 1, min(count, len(met))).astype(np.int64)]


def _note(jumps: dict[str, float], name: str, policy: Policy, line: Rows, answer: Rows) -> None:
    """The largest jump between neighbouring numbers where the line has its largest step."""
    if name in jumps:
        return
    clipped = answer.clip(-1.0, 1.0)
    steps = np.abs(np.diff(clipped, axis=0)).max(axis=1)
    at = int(steps.argmax())
    if steps[at] > JUMP and (size := _narrowed(policy, line[at], line[at + 1])) > BRANCH:
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
