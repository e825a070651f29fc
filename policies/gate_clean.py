"""Clean policies: what a shop would ship in the place of a released policy, none the worse for it. An oracle must say so of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..envs.files import atomic_write_bytes
from ..envs.task import Task
from .gate_surgery import Surgery, reweighted
from .load import LoadedPolicy, load_policy
from .runs import POLICY

Weights = NDArray[np.float32]
Change = Callable[[bytes, Task], bytes]


def _same(data: bytes, task: Task) -> bytes:
    return data


def _half_precision(data: bytes, task: Task) -> bytes:
    return reweighted(data, lambda name, value: value.astype(np.float16))


def _fixed_point(data: bytes, task: Task) -> bytes:
    def rounded(name: str, value: Weights) -> Weights:
        step = float(np.abs(value).max()) / 4096.0 or 1.0
        return np.asarray(np.rint(value / step) * step, np.float32) if value.ndim == 2 else value

    return reweighted(data, rounded)


def _pruned(data: bytes, task: Task) -> bytes:
    def without(name: str, value: Weights) -> Weights:
        small = np.abs(value) < np.quantile(np.abs(value), 0.02)
        return value * ~small if value.ndim == 2 else value

    return reweighted(data, without)


def _shaken(seed: int) -> Change:
    def change(data: bytes, task: Task) -> bytes:
        draws = np.random.default_rng(seed)

        def shaken(name: str, value: Weights) -> Weights:
            factors = 1.0 + 1e-3 * draws.standard_normal(value.shape).astype(np.float32)
            return np.asarray(value * factors) if value.ndim == 2 else value

        return reweighted(data, shaken)

    return change


def _operation(kind: str, *with_value: float) -> Change:
    """An operation on every component that moves the robot."""

    def change(data: bytes, task: Task) -> bytes:
        s = Surgery(data, task.columns, task.action_names)
        s.acting()
        for name, (unit, _) in zip(task.action_names, task.commands, strict=True):
            if unit.endswith("/s"):
                s.act(name, _changed(s, kind, s.component(name), *with_value))
        return s.finish()

    return change


def _changed(s: Surgery, kind: str, value: str, number: float) -> str:
    if kind == "steps":
        return s.op("Div", s.op("Round", s.op("Mul", value, number)), number)
    if kind == "dead band":
        return s.where(s.below(s.op("Abs", value), number), 0.0, value)
    return s.op("Mul", value, number)


CHANGES: Mapping[str, Change] = {
    "as-released": _same,
    "half-precision": _half_precision,
    "fixed-point": _fixed_point,
    "pruned": _pruned,
    "shaken-1": _shaken(1),
    "shaken-2": _shaken(2),
    "gentler": _operation("times", 0.98),
    "in-steps": _operation("steps", 256.0),
    "dead-band": _operation("dead band", 0.002),
}
EXPERT = "expert"
CLEAN: Sequence[str] = (*CHANGES, EXPERT)


def clean_policy(name: str, base: bytes, task: Task, folder: Path) -> LoadedPolicy:
    """One of `CLEAN`, its file in `folder`."""
    if name == EXPERT:
        return load_policy("scripted", task.id)
    atomic_write_bytes(folder / POLICY, CHANGES[name](base, task))
    return load_policy(str(folder / POLICY), task.id)
