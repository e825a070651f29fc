"""What formulas that look ahead need of the past: recorded per world while it runs, evaluated when it ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput
from .formula_eval import Array, Program, as_truth
from .formula_parts import Part, part_margin
from .formula_tree import Formula, present_parts

FIRST_CAPACITY = 1024


class Recorder:
    """Traces of the present parts of some formulas, `(traces, worlds, samples)`, growing by doubling.

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

    def record(self, values: Sequence[Array], active: NDArray[np.bool_], samples: NDArray[np.int64]) -> int:
        """Append a block of the active worlds behind their `samples` `(worlds,)`; returns its length (0: none kept)."""
        if not self._sources:
            return 0
        block = np.stack([values[source] for source in self._sources])
        substeps: int = block.shape[2]
        worlds = np.flatnonzero(active)
        if len(worlds):
            self._reserve(int(samples[worlds].max()) + substeps)
            time = samples[worlds][:, None] + np.arange(substeps)
            self._traces[:, worlds[:, None], time] = block[:, worlds]
        return substeps

    def evaluate(self, worlds: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[Array, Array]:
        """Smallest counted robustness and its sample (-1: none) of each part, `(parts, len(worlds))` each."""
        low = np.full((len(self._parts), len(worlds)), np.inf)
        at = np.full(low.shape, -1.0)
        for length in np.unique(lengths[lengths > 0]):
            group = np.flatnonzero(lengths == length)
            values = self._later.run(_nothing, list(self._traces[:, worlds[group], :length]))
            for row, (part, (formula, guard)) in enumerate(zip(self._parts, self._slots, strict=True)):
                truth = None if guard is None else values[guard]
                low[row, group], at[row, group] = part_margin(part, values[formula], truth, self.dt)
        return low, at

    def _reserve(self, length: int) -> None:
        if length > self._traces.shape[2]:
            larger = np.empty((*self._traces.shape[:2], max(length, 2 * self._traces.shape[2])))
            larger[:, :, : self._traces.shape[2]] = self._traces
            self._traces = larger


def _nothing(name: str) -> Array:
    raise BadInput(f"signal '{name}' was not recorded")
