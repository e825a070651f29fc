"""Symmetries that a cell declares: changes of what is seen after which the same work is asked for, and what becomes of the answer.

A policy that knows its work, and not a place by heart, answers `done(action)` to `seen(observation)` where it answered `action` to the
observation. What is declared (`symmetries` of `assets/cells/<id>.yaml`) holds for the cell's expert; a test asks it.
Columns named `<vector>.x`, `.y` are horizontal vectors in the world's axes, `tcp.x`, `tcp.y` the tool's place in them; with `yaw` in
their name, angles that change their sign in a mirror; all others stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .parameters import symmetries_of
from .task import Task

Rows = NDArray[Any]  # observations or actions, of any kind of number
PLACE = "tcp"
X, Y = ".x", ".y"


@dataclass(frozen=True)
class Symmetry:
    """`seen`: observations `(n, d)` to observations; `done`: actions `(n, A)` to actions."""

    name: str
    seen: Callable[[Rows], Rows]
    done: Callable[[Rows], Rows]


def symmetries(task: Task) -> list[Symmetry]:
    """What the task's cell declares, both ways: everything moved along x or y, turned about the robot's base, mirrored in the x-z plane."""
    if task.foreign:
        return []
    given = symmetries_of(task.cell.task)
    columns, actions = [name for name, _ in task.observation_names], list(task.action_names)
    found = [
        Symmetry(f"moved {1000.0 * way:+g} mm along {axis}", partial(_shifted, columns, axis, way), _same)
        for axis, far in sorted(given.moved.items())
        for way in (far, -far)
    ]
    if given.turned:
        found += [
            Symmetry(
                f"turned {way:+g} rad",
                partial(_turned, _vectors(columns), way),
                partial(_turned, [(actions.index("vx"), actions.index("vy"))], way),
            )
            for way in (given.turned, -given.turned)
        ]
    if given.mirrored:
        found.append(Symmetry("mirrored", partial(_mirrored, columns), partial(_mirrored, actions)))
    return found


def _same(action: Rows) -> Rows:
    return action


def _shifted(columns: Sequence[str], axis: str, far: float, rows: Rows) -> Rows:
    changed = rows.copy()
    changed[:, columns.index(f"{PLACE}.{axis}")] += far
    return changed


def _vectors(columns: Sequence[str]) -> list[tuple[int, int]]:
    """Where the x and y of each horizontal vector stand."""
    return [
        (i, columns.index(name.removesuffix(X) + Y)) for i, name in enumerate(columns) if name.endswith(X)
    ]


def _turned(vectors: Sequence[tuple[int, int]], angle: float, rows: Rows) -> Rows:
    cos, sin = np.cos(angle), np.sin(angle)
    changed = rows.copy()
    for x, y in vectors:
        changed[:, x] = cos * rows[:, x] - sin * rows[:, y]
        changed[:, y] = sin * rows[:, x] + cos * rows[:, y]
    return changed


def _mirrored(names: Sequence[str], rows: Rows) -> Rows:
    turns = [name.endswith(Y) or name == "vy" or "yaw" in name for name in names]
    return np.where(turns, -rows, rows)
