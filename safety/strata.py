"""Strata: the range of one start quantity in equal parts, each with equally many episodes, so that none is left to
chance.

A start quantity is a draw of a random stream (`part.xy`, its component 0), uniform between 0 and 1 before the task
scales it. It is a function of the seed, so the plan can choose seeds: of those that count up from its base, the next
one whose draw lies in the stratum whose turn it is. The task knows nothing of it, and an episode with a given seed is
the same with and without strata. Pooled over whole rounds of strata the mean rate is that of plain draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ..envs.chosen import Noted
from ..envs.errors import BadInput, UnknownName
from ..envs.streams import Streams

if TYPE_CHECKING:
    from ..envs.task import Task

Indices = NDArray[np.int64]

CHUNK = 4096


class Strata(BaseModel):
    """Component `component` of stream `stream`, in `parts` equal parts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stream: str = Field(min_length=1, max_length=60)
    component: int = Field(default=0, ge=0, le=15)
    parts: int = Field(ge=2, le=64)

    @property
    def name(self) -> str:
        return f"{self.stream}[{self.component}]"

    def of(self, key: str, seeds: Indices) -> Indices:
        """`(n,)` the strata of seeds, 0 .. parts - 1; `key` is the task's id and version."""
        size = (self.component + 1,)
        drawn = Streams(key, seeds).uniform(self.stream, size)[:, self.component]
        return np.minimum((drawn * self.parts).astype(np.int64), self.parts - 1)

    def seeds(self, key: str, first: int, episodes: int, conditions: int, most: int) -> Indices:
        """`(episodes,)` seeds from `first` on, below `first + most`: episode i is of stratum `i // conditions % parts`.

        Raises:
            BadInput: when there are not enough.
        """
        turns = np.arange(episodes) // conditions % self.parts
        wanted = np.bincount(turns, minlength=self.parts)
        found: list[list[int]] = [[] for _ in range(self.parts)]
        for start in range(0, most, CHUNK):
            candidates = first + np.arange(start, min(start + CHUNK, most))
            strata = self.of(key, candidates)
            for part, kept in enumerate(found):
                kept += candidates[strata == part][: wanted[part] - len(kept)].tolist()
            if all(len(kept) == count for kept, count in zip(found, wanted.tolist(), strict=True)):
                break
        else:
            raise BadInput(f"strata of {self.name}: too many episodes for the seeds of one check")
        chosen = np.empty(episodes, np.int64)
        for part, kept in enumerate(found):
            chosen[turns == part] = kept
        return chosen


def check_strata(strata: Strata, task: Task) -> None:
    """Raise UnknownName for a stream that the task's start does not draw from, BadInput for a component it lacks."""
    streams = Noted(task.key, np.zeros(2, np.int64), {})
    task.place(streams)
    if strata.stream not in streams.sizes:
        raise UnknownName(f"start quantity of {task.id}", strata.stream, streams.sizes)
    size = streams.sizes[strata.stream]
    if strata.component >= size:
        raise BadInput(
            f"strata: {strata.stream} of {task.id} has components 0 to {size - 1}, asked for {strata.component}"
        )
