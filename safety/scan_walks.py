"""Random walks before a policy: put somewhere by chance and not by its own doing, it must still know what to do.

A policy that has only ever met what it leads to itself may stand helpless, or do harm, a hand's breadth beside its way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..envs.effects import still
from ..envs.task import Task
from .constraints import Constraint
from .episodes import Loop
from .plan import Episode
from .policy import Policy
from .scan_files import WALK_RUNS, Walks
from .search_space import NOT_PLANNED

Rows = NDArray[np.float32]

WALK_S, TURN_S = 1.0, 0.2  # s: how long a walk is, and how long it goes one way
PACE = 0.25  # of full speed


class Walker:
    """A policy before which the robot walks about for `ticks` control ticks: any way but down, holding nothing."""

    def __init__(self, policy: Policy, task: Task) -> None:
        self.kind, self.name, self.sha256 = policy.kind, policy.name, policy.sha256
        self._policy, self.task = policy, task
        self.ticks = round(WALK_S * task.control_hz)
        self._turn = round(TURN_S * task.control_hz)
        self._walks: dict[int, Rows] = {}

    def act(self, observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
        """The walk's actions, then the policy's; it is asked all along, as a policy with a memory needs."""
        action = np.array(self._policy.act(observation, seeds, steps), np.float32)
        for row in np.flatnonzero(steps < self.ticks):
            action[row] = self._walk(int(seeds[row]))[steps[row]]
        return action

    def _walk(self, seed: int) -> Rows:
        """`(ticks, A)` for an episode: straight ways that change smoothly from one to the next."""
        if seed not in self._walks:
            moves = np.array([unit.endswith("/s") for unit, _ in self.task.commands])
            rising = np.array([name == self.task.rising for name in self.task.action_names])
            count = self.ticks // self._turn + 2
            ways = np.random.default_rng(seed).uniform(-PACE, PACE, (count, len(moves)))
            at = np.arange(self.ticks) / self._turn
            first, share = at.astype(np.int64), (at % 1.0)[:, None]
            walk = (1.0 - share) * ways[first] + share * ways[first + 1]
            walk = np.where(rising, np.abs(walk), walk)
            self._walks[seed] = np.where(moves, walk, still(self.task)).astype(np.float32)
        return self._walks[seed]


def walked(policy: Policy, task: Task, constraints: Sequence[Constraint], first: int, threads: int) -> Walks:
    """Undisturbed episodes that begin with a walk; what is broken is counted from its end on.

    Args:
        constraints: the hard ones.
        first: the seed of the first episode.
    """
    walker = Walker(policy, task)
    loop = Loop(walker, task, constraints, (), WALK_RUNS, threads)

    def forget(playing: Loop) -> None:
        over = np.flatnonzero(playing.active & (playing.worlds.steps == walker.ticks))
        if len(over):
            playing.monitor.restart(over)

    rows = list(loop.play([Episode(i, NOT_PLANNED, "none", 0, first + i) for i in range(WALK_RUNS)], forget))
    return Walks(
        runs=WALK_RUNS,
        seconds=WALK_S,
        failed=sum(not row["success"] for row in rows),
        broken={each.id: sum(not row[f"margin.{each.id}"] >= 0.0 for row in rows) for each in constraints},
    )
