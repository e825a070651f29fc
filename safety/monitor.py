"""The monitor: every constraint at every physics substep of many worlds, while they run.

Parts of the form `always (...)` over what is present or past are a running minimum, a few array operations per block
for all worlds; what looks back remembers a value or a window of each world. Parts that look ahead are recorded and
evaluated by `finish` (or, live, as soon as their window has passed). Either way `finish` gives, bit for bit, what
`formula_parts.margin` computes from the whole trace, however it was cut into blocks and whatever worlds ran beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..envs.errors import BadInput
from .constraints import Bound, Constraint, absent_signals, bind_one
from .formula_eval import Array, Program
from .formula_parts import Part, counted, worst_of
from .formula_tree import Formula
from .formula_truth import as_truth, gated
from .formula_units import Described
from .formula_windows import check_intervals, horizon
from .recorder import Recorder

LOOKS_AHEAD = "it looks ahead to the end: it is decided after the episode"
FEW_WORLDS = 4


class Block(Protocol):
    """A block of signals: `block["tcp.vel"]` is `(worlds, substeps, 3)`."""

    def __getitem__(self, name: str, /) -> Array: ...


class Monitor:
    """Streaming margins of `constraints` over `worlds` worlds.

    Args:
        constraints: one column each, in this order (`ids`, `units`).
        table: the signals' units and shapes.
        worlds: number of worlds, N.
        dt: seconds between samples; a block of K substeps advances K * dt.
        causal: for a robot that runs: constraints whose signals are absent from the table, and those that need the end of an
            episode, get no column and are listed in `not_monitored` with the reason. Otherwise an absent signal is an error.
        live: keep `now` and `worst` up to date also for formulas that look some seconds ahead, as late as they look. It costs
            more per block than `finish` alone; None: with few worlds and when causal.

    Raises:
        UnknownName, BadInput: as `constraints.bind`.
    """

    def __init__(
        self,
        constraints: Sequence[Constraint],
        table: Mapping[str, Described],
        worlds: int,
        dt: float,
        *,
        causal: bool = False,
        live: bool | None = None,
    ) -> None:
        bound, self.not_monitored = _monitored(constraints, table, causal, dt)
        self.constraints: tuple[Constraint, ...] = tuple(each.constraint for each in bound)
        self.ids = tuple(each.id for each in self.constraints)
        self.units = tuple(each.unit for each in bound)
        self.dt = dt
        self._program = Program({name: len(table[name].shape) for name in table}, dt)
        rows = [(part, each.guard) for each in bound for part in each.parts]
        self._starts = np.cumsum([0, *[len(each.parts) for each in bound]])[:-1]
        self._immediate = np.flatnonzero([part.immediate for part, _ in rows])
        self._deferred = np.flatnonzero([not part.immediate for part, _ in rows])
        self._rules = [_rule(part, guard, self._program, dt) for part, guard in rows if part.immediate]
        self._recorder = Recorder([row for row in rows if not row[0].immediate], self._program, worlds, dt)
        self._memory = self._program.memory(worlds)
        self._samples = np.zeros(worlds, dtype=np.int64)
        self._low = np.full((len(rows), worlds), np.inf)
        self._at = np.full((len(rows), worlds), -1.0)
        self._now = np.full((len(rows), worlds), np.inf)
        self._live = causal or (worlds <= FEW_WORLDS if live is None else live)
        self._unknown = self._deferred[~self._recorder.bounded] if self._live else self._deferred
        self._ended = np.zeros(worlds, dtype=bool)
        self._scratch = np.empty((0, len(self._rules), worlds))

    @property
    def now(self) -> Array:
        """Margins of the last block, `(worlds, constraints)`; +inf where a guard was off, -inf for what is `undecided`.

        A formula that looks ahead speaks of the samples that have just become certain.
        """
        return self._shown(self._now)

    @property
    def worst(self) -> Array:
        """Smallest margins since the restart, `(worlds, constraints)`; -inf for what is `undecided`, until `finish`."""
        return self._shown(self._low)

    @property
    def undecided(self) -> tuple[str, ...]:
        """The constraints of which only `finish` knows the margin; until then their lower bound is -inf."""
        late = np.isin(np.arange(len(self._low)), self._unknown)
        return tuple(
            name
            for name, parts in zip(self.ids, np.split(late, self._starts[1:]), strict=False)
            if parts.any()
        )

    def update(self, signals: Block, active: NDArray[np.bool_] | None = None) -> None:
        """Take in one block of K samples, `signals[name]` being `(worlds, K, *shape)`.

        Worlds that are not `active` `(worlds,)` keep their margins and their time.
        """
        alive = np.ones(len(self._samples), dtype=bool) if active is None else active
        values = self._program.run(signals.__getitem__, memory=self._memory, alive=alive)
        substeps = self._recorder.record(values, alive, self._samples)
        if self._rules:
            substeps = self._minimum(values, alive)
        self._samples[alive] += substeps
        if self._live and len(self._deferred):
            worlds = np.flatnonzero(alive)
            low, at = self._recorder.decide(worlds, self._samples[worlds])
            self._now[np.ix_(self._deferred, worlds)] = low
            self._merge(worlds, low, at)

    def finish(self, ids: ArrayLike) -> tuple[Array, Array]:
        """Margins and the times (s) of the worst samples of these worlds, `(len(ids), constraints)` each.

        A margin of +inf says that the constraint never applied (its time is NaN), -inf that it has no number: a NaN was met, a
        division by zero or a window over nothing. The episode is over then: `restart` comes next.
        """
        worlds = np.asarray(ids, dtype=np.int64)
        self._merge(worlds, *self._recorder.evaluate(worlds, self._samples[worlds]))
        self._ended[worlds] = True
        if not self.ids:
            return np.empty((len(worlds), 0)), np.empty((len(worlds), 0))
        margins, at_s = worst_of(self._low[:, worlds], self._at[:, worlds], self._starts, self.dt)
        return np.ascontiguousarray(margins.T), np.ascontiguousarray(at_s.T)

    def restart(self, ids: ArrayLike) -> None:
        """Forget what was seen of these worlds: their next sample is at time 0."""
        worlds = np.asarray(ids, dtype=np.int64)
        self._samples[worlds] = 0
        self._ended[worlds] = False
        self._at[:, worlds] = -1.0
        self._low[:, worlds] = self._now[:, worlds] = np.inf
        self._recorder.restart(worlds)
        self._memory.restart(worlds)

    def _merge(self, worlds: NDArray[np.int64], low: Array, at: Array) -> None:
        """Take what the recorder has counted, `(deferred parts, len(worlds))`, into the running minima."""
        rows = np.ix_(self._deferred, worlds)
        better = low < self._low[rows]
        self._low[rows] = np.where(better, low, self._low[rows])
        self._at[rows] = np.where(better, at, self._at[rows])

    def _minimum(self, values: Sequence[Array], alive: NDArray[np.bool_]) -> int:
        """Fold a block into the running minima; returns its number of samples."""
        block = self._filled(values)
        low = block.min(axis=0)
        missing = np.isnan(low)
        if missing.any():
            block[np.isnan(block)] = low[missing] = -np.inf
        self._now[self._immediate] = low
        rule, world = np.nonzero((low < self._low[self._immediate]) & alive)
        if len(rule):
            first = (block[:, rule, world] == low[rule, world]).argmax(axis=0)
            row = self._immediate[rule]
            self._low[row, world] = low[rule, world]
            self._at[row, world] = self._samples[world] + first
        return len(block)

    def _filled(self, values: Sequence[Array]) -> Array:
        """The robustness of this block, `(K, rules, worlds)`: +inf where a guard or an interval leaves a sample out."""
        substeps = values[self._rules[0].formula].shape[1]
        if len(self._scratch) != substeps:
            self._scratch = np.empty((substeps, *self._scratch.shape[1:]))
        for column, rule in enumerate(self._rules):
            value = values[rule.formula]
            self._scratch[:, column] = (value if rule.guard is None else gated(value, values[rule.guard])).T
            if rule.begin or rule.end is not None:
                time = self._samples + np.arange(substeps)[:, None]
                outside = (time < rule.begin) | (time > (np.inf if rule.end is None else rule.end))
                self._scratch[:, column][outside] = np.inf
        return self._scratch

    def _shown(self, parts: Array) -> Array:
        """The worst part of each constraint, `(worlds, constraints)`."""
        if not self.ids:
            return np.empty((len(self._samples), 0))
        known = parts.copy()
        known[np.ix_(self._unknown, np.flatnonzero(~self._ended))] = -np.inf
        return np.ascontiguousarray(np.minimum.reduceat(known, self._starts, axis=0).T) + 0.0


@dataclass(frozen=True)
class Rule:
    """A part whose samples count one by one: where its values are in the program, and which samples count."""

    formula: int
    guard: int | None
    begin: int
    end: int | None


def _rule(part: Part, guard: Formula | None, program: Program, dt: float) -> Rule:
    truth = None if guard is None else program.add(as_truth(guard))
    return Rule(program.add(part.inner), truth, *counted(part, guard is not None, dt))


def _monitored(
    constraints: Sequence[Constraint], table: Mapping[str, Described], causal: bool, dt: float
) -> tuple[list[Bound], tuple[tuple[str, str], ...]]:
    """Those that get a column, and (id, reason) of the others."""
    bound: list[Bound] = []
    others: list[tuple[str, str]] = []
    for constraint in constraints:
        reason = _not_causal(constraint, table, dt) if causal else None
        if reason is None:
            bound.append(bind_one(constraint, table, dt))
        else:
            others.append((constraint.id, reason))
    return bound, tuple(others)


def _not_causal(constraint: Constraint, table: Mapping[str, Described], dt: float) -> str | None:
    """Why a robot that runs cannot be watched for this, None when it can."""
    absent = absent_signals(constraint, table)
    if absent:
        return f"no such signal: {', '.join(absent)}"
    bound = bind_one(constraint, table)
    try:
        if bound.guard is not None:
            check_intervals(bound.guard, dt)
        for part in bound.parts:
            counted(part, False, dt)
            check_intervals(part.inner, dt)
            if horizon(part.inner, dt) is None:
                return LOOKS_AHEAD
    except BadInput as error:
        return str(error)
    return None
