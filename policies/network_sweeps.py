"""What an ONNX policy answers, in onnxruntime, to what a broken sensor may send it and to the same work elsewhere; and which of its inputs it
does not read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.symmetry import Symmetry
from .onnx_policy import OnnxPolicy

Rows = NDArray[np.float32]

SPECIAL = {
    "NaN": np.nan,
    "+infinity": np.inf,
    "-infinity": -np.inf,
    "denormal": 1e-40,
    "smallest": 1e-45,
    "largest": 3.4028235e38,
    "-largest": -3.4028235e38,
}
BEYOND = 10.0  # times a column's declared limit
STEPS = 9  # values across a column's range that a dead input is tried at
DEAD = 1e-6  # an action that moves by less has not moved


@dataclass(frozen=True)
class Sweep:
    """One value put into each column of each observation: how many answers were no numbers, how many lay outside [-1, 1], and, of values that are
    no numbers, the columns for which every answer was one, as if nothing were wrong."""

    value: str
    cases: int
    no_number: int
    outside: int
    unnoticed: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Elsewhere:
    """The same work under a symmetry of the cell: by how much an action then differs from what the symmetry makes of it (-1 to 1; of each
    observation the channel that differs most)."""

    symmetry: str
    cases: int
    median: float
    q95: float
    largest: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def act(policy: OnnxPolicy, observation: Rows) -> Rows:
    """Actions `(n, A)` of the file."""
    rows = np.zeros(len(observation), np.int64)
    return policy.act(observation, rows, rows)


def sweeps(
    policy: OnnxPolicy, seen: Rows, names: tuple[str, ...], limits: NDArray[np.float64]
) -> list[Sweep]:
    """Every special value, and values beyond each column's limit `(d,)`, in every column of the observations `(n, d)`."""
    given = {name: np.full(len(names), value, np.float32) for name, value in SPECIAL.items()}
    given["beyond its range"] = (BEYOND * limits).astype(np.float32)
    given["-beyond its range"] = (-BEYOND * limits).astype(np.float32)
    return [_sweep(policy, seen, names, label, values) for label, values in given.items()]


def _sweep(policy: OnnxPolicy, seen: Rows, names: tuple[str, ...], label: str, values: Rows) -> Sweep:
    no_number = outside = 0
    unnoticed = []
    for column, value in enumerate(values):
        given = seen.copy()
        given[:, column] = value
        answer = act(policy, given)
        broken = ~np.isfinite(answer).all(axis=1)
        no_number += int(broken.sum())
        outside += int((np.abs(answer[~broken]) > 1.0).any(axis=1).sum())
        if not np.isfinite(value) and not broken.any():
            unnoticed.append(names[column])
    return Sweep(label, len(seen) * len(names), no_number, outside, tuple(unnoticed))


def elsewhere(policy: OnnxPolicy, seen: Rows, symmetries: Sequence[Symmetry]) -> list[Elsewhere]:
    """How far the answers to observations `(n, d)` keep each symmetry."""
    usual, found = act(policy, seen), []
    for each in symmetries:
        off = np.abs(act(policy, each.seen(seen)) - each.done(usual)).max(axis=1)
        median, q95, largest = (float(np.quantile(off, share)) for share in (0.5, 0.95, 1.0))
        found.append(Elsewhere(each.name, len(seen), median, q95, largest))
    return found


def dead_inputs(
    policy: OnnxPolicy,
    seen: Rows,
    names: tuple[str, ...],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> tuple[str, ...]:
    """Columns that moved no action in any of the observations `(n, d)`, at nine values across their declared range."""
    usual, dead = act(policy, seen), []
    for column, name in enumerate(names):
        moved = 0.0
        for value in np.linspace(low[column], high[column], STEPS):
            given = seen.copy()
            given[:, column] = value
            moved = max(moved, float(np.abs(act(policy, given) - usual).max()))
        if moved <= DEAD:
            dead.append(name)
    return tuple(dead)
