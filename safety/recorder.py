"""What formulas that look ahead need of the past: recorded per world while it runs, evaluated when it ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput
from .formula_eval import Array, Program
from .formula_parts import Part, part_margin
from .formula_tree import Formula
from .formula_truth import as_truth, present_parts
from .formula_windows import horizon

Indices = NDArray[np.int64]

FIRST_CAPACITY = 1024


class Recorder:
    """Traces of the present parts of some formulas, `(traces, worlds, samples)`, growing by doubling.

    A formula that looks at most h samples ahead is decided h samples late: `decide` counts what has become certain, so that a
    robot that runs for days keeps a short record. `evaluate` counts the rest, with windows cut at the end of the trace.

    Args:
        parts: the formulas' parts, each with its guard.
        program: computes the traces' samples; this adds to it what it needs.
    """

    def __init__(
        self, parts: Sequence[tuple[Part, Formula | None]], program: Program, worlds: int, dt: float
    ) -> None:
        self.dt = dt
        self._parts = [part for part, _ in parts]
        guards = [None if guard is None else as_truth(guard) for _, guard in parts]
        leaves = dict.fromkeys(leaf for part in self._parts for leaf in present_parts(part.inner))
        traces = [*leaves, *dict.fromkeys(guard for guard in guards if guard is not None)]
        self._sources = [program.add(trace) for trace in traces]
        self._later = Program({}, dt, given=traces)
        self._slots = [
            (self._later.add(part.inner), None if guard is None else self._later.add(guard))
            for part, guard in zip(self._parts, guards, strict=True)
        ]
        self._traces = np.empty((len(traces), worlds, FIRST_CAPACITY if traces else 0))
        ahead = [horizon(part.inner, dt) for part in self._parts]
        self.bounded = np.array([each is not None for each in ahead], dtype=bool)
        self._ahead = np.array([each or 0 for each in ahead], dtype=np.int64)
        self._decided = np.zeros((len(self._parts), worlds), dtype=np.int64)  # samples already counted
        self._start = np.zeros(worlds, dtype=np.int64)  # the sample that the traces begin with

    def record(self, values: Sequence[Array], active: NDArray[np.bool_], samples: NDArray[np.int64]) -> int:
        """Append a block of the active worlds behind their `samples` `(worlds,)`; returns its length (0: none kept)."""
        if not self._sources:
            return 0
        block = np.stack([values[source] for source in self._sources])
        substeps: int = block.shape[2]
        worlds = np.flatnonzero(active)
        if len(worlds):
            self._reserve(worlds, samples, substeps)
            time = (samples - self._start)[worlds][:, None] + np.arange(substeps)
            self._traces[:, worlds[:, None], time] = block[:, worlds]
        return substeps

    def decide(self, worlds: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[Array, Array]:
        """As `evaluate`, of the bounded parts' samples whose whole window has passed since the last call."""
        low, at = self._count(worlds, lengths, self._ahead)
        low[~self.bounded], at[~self.bounded] = np.inf, -1.0
        reached = np.maximum(self._decided[:, worlds], lengths - self._ahead[:, None])
        self._decided[:, worlds] = np.where(self.bounded[:, None], reached, 0)
        return low, at

    def evaluate(self, worlds: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[Array, Array]:
        """Smallest counted robustness and its sample (-1: none) of each part, `(parts, len(worlds))` each.

        These are the samples that `decide` has not counted yet; the traces end at `lengths`.
        """
        return self._count(worlds, lengths, np.zeros_like(self._ahead))

    def restart(self, worlds: NDArray[np.int64]) -> None:
        """Forget these worlds."""
        self._decided[:, worlds] = 0
        self._start[worlds] = 0

    def _count(self, worlds: Indices, lengths: Indices, ahead: Indices) -> tuple[Array, Array]:
        low = np.full((len(self._parts), len(worlds)), np.inf)
        at = np.full(low.shape, -1.0)
        if not self._parts:
            return low, at
        spans = np.column_stack([self._start[worlds], lengths, self._decided[:, worlds].T])
        for span in np.unique(spans[lengths > 0], axis=0):
            group = np.flatnonzero((spans == span).all(axis=1))
            begin, length, decided = int(span[0]), int(span[1]), span[2:]
            first = int(decided.min())
            traces = self._traces[:, worlds[group], first - begin : length - begin]
            values = self._later.run(_nothing, list(traces))
            for row, (part, (formula, guard)) in enumerate(zip(self._parts, self._slots, strict=True)):
                skip, end = int(decided[row]) - first, length - int(ahead[row])
                truth = None if guard is None else values[guard][:, skip:]
                low[row, group], at[row, group] = part_margin(
                    part, values[formula][:, skip:], truth, self.dt, int(decided[row]), end
                )
        return low, at

    def _reserve(self, worlds: Indices, samples: Indices, substeps: int) -> None:
        """Make room for a block: drop what is decided, and double the room only where that is not enough."""
        room = self._traces.shape[2]
        if int((samples - self._start)[worlds].max()) + substeps <= room:
            return
        for world in worlds:
            begin, kept = int(self._start[world]), int(self._decided[:, world].min())
            if kept > begin:
                length = int(samples[world]) - kept
                self._traces[:, world, :length] = self._traces[
                    :, world, kept - begin : kept - begin + length
                ].copy()
                self._start[world] = kept
        needed = int((samples - self._start)[worlds].max()) + substeps
        if needed > room:
            larger = np.empty((*self._traces.shape[:2], max(needed, 2 * room)))
            larger[:, :, :room] = self._traces
            self._traces = larger


def _nothing(name: str) -> Array:
    raise BadInput(f"signal '{name}' was not recorded")
