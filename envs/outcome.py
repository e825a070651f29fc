"""What a tick comes to, world by world: cost, outcome and reward, as a pure function of what was sensed and of what the episode had come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .signals import Array, Signals
from .task import FAULT, NOT_KEPT, RUNNING, SUCCESS, SUCCESS_HOLD_S, TIMEOUT, Task, observed

Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

FAILURE_REWARD = (
    -20.0
)  # twice what waiting for ever costs at -0.1 a tick and a discount of 0.99: giving up must not pay
PROGRESS = ("done", "success", "reason", "cycle_s", "in_path", "returns", "held_for", "reached", "tail")
"""What an episode has come to: arrays `(N,)`, attributes of `Worlds`, taken and given back by `Outcome` in this order."""


def asked(action: Array, last: Array, steps: Integers) -> tuple[Array, Bools, Array]:
    """Actions `(N, A)` as commands in [-1, 1], where one was no number, and by how much the commands changed, `(N,)` each."""
    broken = np.asarray(~np.isfinite(action).all(axis=1))
    wanted = np.where(broken[:, None], 0.0, action).clip(-1.0, 1.0)
    return wanted, broken, np.where(steps > 0, np.abs(wanted - last).max(axis=1), 0.0)


@dataclass(frozen=True)
class Outcome:
    """What the ticks of a task come to.

    Args:
        task: the job.
        tail_s: how long an episode goes on, watched, after success.
        costs: whether the `cost` is asked for; it is zero otherwise.
        sees: whether to give what is `observed`, too.
    """

    task: Task
    tail_s: float
    costs: bool
    sees: bool

    def of(
        self, s: Signals, active: Bools, faults: Bools, steps: Integers, *progress: NDArray[Any]
    ) -> tuple[NDArray[Any], ...]:
        """Progress, then cost `(N,)`, reward terms `(N, T + 1)`, of which the last is the goal's, their sum and, where it is wanted, what is observed, `(N, d)`."""
        task, now = self.task, s.now
        done, success, reason, cycle_s, in_path, returns, held_for, reached, tail = progress
        # cost first: what it derives for the whole block need not be derived again for the instant
        cost = np.where(active, task.cost(s), 0.0) if self.costs else np.zeros(len(active))
        at_goal = task.success(now) & active
        held_for = np.where(at_goal, held_for + 1, 0)
        just = active & ~reached & (held_for >= round(SUCCESS_HOLD_S * task.control_hz))
        cycle_s, reached = np.where(just, steps * task.dt, cycle_s), reached | just
        tail = tail + (active & reached)
        if self.tail_s:
            in_path = in_path | (active & task.in_path(now))
        over = reached & (tail > round(self.tail_s * task.control_hz))
        late = ~reached & (steps >= round(task.horizon_s * task.control_hz))
        found = np.where(over, np.where(at_goal, SUCCESS, NOT_KEPT), np.where(late, TIMEOUT, RUNNING))
        failures = task.failed(now)
        found = np.where((failures > 0) & (found != SUCCESS), failures, found)
        found = np.where(faults, FAULT, found)
        reason, success = np.where(active, found, reason), np.where(active, found == SUCCESS, success)
        done = done | (active & (found != RUNNING))
        goal = np.where(done, np.where(success, 1.0, FAILURE_REWARD), 0.0)
        terms = np.array([*(term(now) for term in task.rewards.values()), goal])
        terms = np.where(active & np.isfinite(terms), terms, 0.0)
        reward = terms.sum(axis=0)
        seen = (observed(task, now),) if self.sees else ()
        progress = (done, success, reason, cycle_s, in_path, returns + reward, held_for, reached, tail)
        return *progress, cost, terms.T, reward, *seen

    def of_arrays(
        self, block: Array, active: Bools, faults: Bools, steps: Integers, *rest: NDArray[Any]
    ) -> tuple[NDArray[Any], ...]:
        """As `of`, of arrays alone: the block, and after the progress the values of all held signals."""
        names = [signal.name for signal in self.task.table.values() if signal.kind == "held"]
        held = dict(zip(names, rest[len(PROGRESS) :], strict=True))
        return self.of(Signals(self.task.table, block, held), active, faults, steps, *rest[: len(PROGRESS)])
