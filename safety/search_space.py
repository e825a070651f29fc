"""What a search may choose: every draw that an episode starts from, in the cell as it is judged, and the severity of one disturbance.

A draw lies between 0 and 1 before the task scales it, and is even there, so the unit cube with its volume *is* the declared distribution
of starts: whatever a search proposes could have been drawn. The middle is nominal; of a choice (which part, which slot) the first.
Severities go from 1 to the largest that the suite has of a disturbance, and one disturbance acts at a time, as in the suite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..envs.chosen import Noted
from ..envs.conditions import parts_of
from ..envs.task import SEED_RANGES, Task
from ..envs.worlds import Worlds
from .plan import Episode
from .suite import NOMINAL, Condition

Array = NDArray[np.float64]

BACKGROUNDS = 16  # starts against which a draw is tried for an effect
EDGE = 2.0**-40  # how near a chosen draw comes to 0 and 1, both of which are never drawn
NOT_PLANNED = -1  # the condition of an episode that no plan has


@dataclass(frozen=True)
class Draw:
    """One number that an episode starts from: component `component` of `stream`; `count` where it chooses among so many, else 0."""

    stream: str
    component: int
    count: int = 0

    @property
    def name(self) -> str:
        return self.stream if self.count else f"{self.stream}[{self.component}]"

    @property
    def nominal(self) -> float:
        return 0.5 / self.count if self.count else 0.5

    def settled(self, values: Array) -> Array:
        """Of a choice the middle of the part that was chosen, else the value itself, off the edges."""
        values = np.clip(values, EDGE, 1.0 - EDGE)
        return (np.floor(values * self.count) + 0.5) / self.count if self.count else values

    def share(self, value: float) -> float:
        """The share of all draws that lie at least as far from nominal, on the same side; 1 at nominal."""
        if value == self.nominal:
            return 1.0
        return 1.0 / self.count if self.count else min(value, 1.0 - value)


@dataclass(frozen=True, eq=False)
class Point:
    """One proposal: a disturbance at a severity, a value in (0, 1) for every draw `(d,)`, and the seed of what is left to chance
    (noise)."""

    disturbance: str
    severity: int
    values: Array
    seed: int


@dataclass(frozen=True)
class Space:
    """The draws that have an effect: of the start, and of each disturbance; the suite's severities of each; and how many draws each
    stream has in all, with those that have no effect."""

    start: tuple[Draw, ...]
    of_disturbance: Mapping[str, tuple[Draw, ...]]
    severities: Mapping[str, tuple[int, ...]]
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def disturbances(self) -> tuple[str, ...]:
        """None first."""
        return (NOMINAL, *sorted(self.severities))

    def draws(self, disturbance: str) -> tuple[Draw, ...]:
        """What a point under this disturbance gives values for."""
        return self.start + self.of_disturbance.get(disturbance, ())

    def most(self, disturbance: str) -> int:
        """The largest severity the suite has of it; 0 of none."""
        return max(self.severities.get(disturbance, (0,)))

    def nominal(self, disturbance: str) -> Array:
        """`(d,)` the values in the middle of everything."""
        return np.array([draw.nominal for draw in self.draws(disturbance)])

    def settled(self, disturbance: str, values: Array) -> Array:
        """`(n, d)` proposals as they are played."""
        columns = [draw.settled(values[:, i]) for i, draw in enumerate(self.draws(disturbance))]
        return np.stack(columns, axis=1)

    def share(self, point: Point) -> float:
        """The share of declared episodes at least as far out: in every draw that is not nominal, on its side, and in a condition with this
        disturbance at this severity or more (of all the suite's conditions; without a disturbance, any condition)."""
        starts = [
            draw.share(value)
            for draw, value in zip(self.draws(point.disturbance), point.values.tolist(), strict=True)
        ]
        if not point.severity:
            return float(np.prod(starts))
        levels = self.severities[point.disturbance]
        conditions = 1 + sum(len(each) for each in self.severities.values())
        return float(np.prod(starts)) * sum(level >= point.severity for level in levels) / conditions

    def episode(self, index: int, point: Point) -> Episode:
        """The episode that a point stands for."""
        chosen: dict[str, list[float]] = {}
        for draw, value in zip(self.draws(point.disturbance), point.values.tolist(), strict=True):
            row = chosen.setdefault(draw.stream, [0.5] * self.sizes.get(draw.stream, 0))
            row += [0.5] * (draw.component + 1 - len(row))
            row[draw.component] = value
        draws = {stream: tuple(row) for stream, row in chosen.items()}
        return Episode(index, NOT_PLANNED, point.disturbance, point.severity, point.seed, draws)


def first_seed(base: int) -> int:
    """The first seed of a search; no check judges with these."""
    return SEED_RANGES["search"] + base


def space_of(worlds: Worlds, conditions: Sequence[Condition]) -> Space:
    """The space of a task under a suite's conditions; `worlds` hold its disturbances."""
    severities: dict[str, tuple[int, ...]] = {}
    for condition in conditions:
        if condition.disturbance != NOMINAL:
            severities[condition.disturbance] = (
                *severities.get(condition.disturbance, ()),
                condition.severity,
            )
    start = _noted_start(worlds.task)
    noted = {name: _noted_of(worlds, name) for name in severities}
    of_disturbance = {name: tuple(_draws(each)) for name, each in noted.items()}
    sizes = {stream: size for each in (start, *noted.values()) for stream, size in each.sizes.items()}
    return Space(tuple(_with_effect(worlds.task, start)), of_disturbance, severities, sizes)


def _noted_of(worlds: Worlds, disturbance: str) -> Noted:
    """What a disturbance, or those that act together, draws at the start of an episode."""
    ids = np.arange(2)
    noted = Noted(worlds.task.key, ids, {})
    for part in parts_of(disturbance):
        worlds.disturbances[part].assign(ids, np.zeros(2, np.int64), noted)
    return noted


def _noted_start(task: Task) -> Noted:
    """What the start draws."""
    noted = Noted(task.key, np.arange(BACKGROUNDS), {})
    task.place(noted)
    return noted


def _draws(noted: Noted) -> Iterable[Draw]:
    for stream, size in noted.sizes.items():
        for component in range(size):
            yield Draw(stream, component, noted.counts.get(stream, 0))


def _with_effect(task: Task, noted: Noted) -> Iterable[Draw]:
    """The draws of those noted that change the start, tried one by one against random starts."""
    seeds = np.arange(BACKGROUNDS)
    reference = _bytes(task, Noted(task.key, seeds, {}))
    for draw in _draws(noted):
        changed = False
        for value in (EDGE, 1.0 - EDGE):
            given = np.full((BACKGROUNDS, noted.sizes[draw.stream]), np.nan)
            given[:, draw.component] = value
            changed = changed or _bytes(task, Noted(task.key, seeds, {draw.stream: given})) != reference
        if changed:
            yield draw


def _bytes(task: Task, streams: Noted) -> bytes:
    start = task.place(streams)
    given = (start.qpos, start.ctrl, start.mocap_pos, start.mocap_quat)
    arrays = [each for each in given if each is not None]
    for group in (start.fields, start.held, start.memory):
        arrays += [group[name] for name in sorted(group)]
    return b"".join(np.ascontiguousarray(each).tobytes() for each in arrays)
