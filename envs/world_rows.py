"""Worlds as rows of numbers: what changes from tick to tick in one row a world. Putting a row back, anywhere, goes on from there.

What an episode's start fixes for good (model fields) is kept once a start, and a row names its start. The engine computes
what follows from the state anew when a row is put back, as it does after a reset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine import Ids
from .errors import BadInput
from .signals import Array
from .worlds import Worlds

SCRATCH = ("_control", "reward", "cost")  # written anew in every tick


@dataclass(frozen=True)
class _Place:
    """Where an array of worlds is kept: an attribute, or an entry of a dictionary."""

    owner: Any
    name: str
    key: str = ""

    @property
    def array(self) -> NDArray[Any]:
        found: Any = getattr(self.owner, self.name)
        return np.asarray(found[self.key] if self.key else found)


class WorldRows:
    """The rows of some worlds.

    Args:
        worlds: they must have made a tick, so that everything they remember is there.

    Raises BadInput for a cell that sees: its pictures are no rows.
    """

    def __init__(self, worlds: Worlds) -> None:
        if worlds.eye is not None:
            raise BadInput(f"{worlds.task.id}: a cell with a camera cannot be continued from a copied state")
        self.worlds = worlds
        pairs = zip(_owners(worlds), _owners(_of_another_size(worlds)), strict=True)
        steps = _Place(
            worlds.engine, "finer"
        )  # beside state, sensors and starts all that the engine remembers
        self.places = [steps, *(place for owner, other in pairs for place in _places(owner, other))]
        self.starts: list[dict[str, Array]] = []
        self._of = np.full(worlds.rows, -1)  # the start that each world has now

    def begin(self, ids: Ids) -> None:
        """Keep the starts of worlds `ids`, which were just reset."""
        for world in ids.tolist():
            self._of[world] = len(self.starts)
            fields = self.worlds.engine.fields
            self.starts.append({name: rows[world].copy() for name, rows in fields.items()})

    def take(self, ids: Ids) -> Array:
        """`(m, width)` rows of worlds `ids`."""
        engine = self.worlds.engine
        parts = [self._of[ids][:, None], engine.batch.state[ids], engine.block[ids, -1]]
        parts += [place.array[ids].reshape(len(ids), -1) for place in self.places]
        return np.concatenate([np.asarray(part, np.float64) for part in parts], axis=1)

    def put(self, ids: Ids, rows: Array) -> None:
        """Let worlds `ids` be what the rows `(m, width)` say."""
        worlds, engine = self.worlds, self.worlds.engine
        self._let_start(ids, rows[:, 0].astype(np.int64))
        at = 1
        state, sensors = engine.batch.state.shape[1], engine.block.shape[2]
        engine.batch.state[ids] = rows[:, at : at + state]
        at += state
        last = rows[:, at : at + sensors]
        at += sensors
        for place in self.places:
            array = place.array
            width = int(np.prod(array.shape[1:], dtype=np.int64))
            array[ids] = rows[:, at : at + width].reshape(len(ids), *array.shape[1:]).astype(array.dtype)
            at += width
        engine.forward(ids)
        engine.block[ids] = last[:, None]
        worlds._refresh()

    def _let_start(self, ids: Ids, starts: NDArray[np.int64]) -> None:
        """Give worlds the model fields of their starts, where they have others."""
        other = self._of[ids] != starts
        if not other.any():
            return
        for world, start in zip(ids[other].tolist(), starts[other].tolist(), strict=True):
            for name, rows in self.worlds.engine.fields.items():
                rows[world] = self.starts[start][name]
            self._of[world] = start
        self.worlds.engine.set_const(ids[other])


def _owners(worlds: Worlds) -> list[Any]:
    """What remembers something of worlds."""
    return [worlds, worlds.controller, *worlds.disturbances.values()]


def _of_another_size(worlds: Worlds) -> Worlds:
    """A few worlds like these, but not as many, that made a tick: what is as long in both is no row a world.

    Length alone does not tell: seven worlds are as many as an arm has joints.
    """
    rows = 3 if worlds.rows == 2 else 2
    task, names = worlds.task, list(worlds.disturbances)
    few = task.make_worlds(rows, 1, worlds.tail_s, names, trace=False)
    few.reset(np.arange(rows), np.arange(rows), {name: np.ones(rows, np.int64) for name in names})
    few.observation()
    few.step(np.zeros((rows, len(task.action_names))))
    return few


def _places(owner: Any, other: Any) -> list[_Place]:
    """The arrays of an object that are longer or shorter in `other`, which has another number of worlds, sorted by name."""
    found = []
    for name, value in sorted(vars(owner).items()):
        if name in SCRATCH:
            continue
        twin = getattr(other, name, None)
        if _grows(value, twin):
            found.append(_Place(owner, name))
        elif isinstance(value, Mapping) and isinstance(twin, Mapping):
            keys = sorted(value, key=str)
            found += [_Place(owner, name, key) for key in keys if _grows(value[key], twin.get(key))]
    return found


def _grows(one: Any, other: Any) -> bool:
    """Whether two values are arrays whose number of rows differs."""
    return isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.shape[:1] != other.shape[:1]
