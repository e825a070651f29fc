"""Worlds: N closed loops of one task, each with its own seed and disturbances, refilled one by one as they finish.

What happens in a world depends on its task version, seed, severities (with several at once, on the order in which the disturbances were
named, too: each acts on what the one before left) and the actions it receives; never on the number of worlds, their order or the
threads that step them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .chosen import Chosen, Draws
from .disturbances import Disturbance, disturbance_classes, make_disturbance
from .engine import Engine, Ids
from .errors import UnknownName
from .signals import Array, Lookup, Signals
from .streams import Streams
from .task import FAULT, NOT_KEPT, RUNNING, SUCCESS, SUCCESS_HOLD_S, TIMEOUT, Start, Task, observation

FAILURE_REWARD = (
    -20.0
)  # twice what waiting for ever costs at -0.1 a tick and a discount of 0.99: giving up must not pay


class Worlds:
    """N worlds of a task.

    Args:
        task: the job; its model is compiled once.
        n: number of worlds.
        threads: C++ threads of the engine, 0 for all processors.
        tail_s: how long an episode goes on, watched, after success (0 where it ends there, 1 s when it is judged).
        disturbances: names of those that `reset` may switch on.
        trace: keep a SHA-256 of every world's sensor data, substep by substep.
        costs: ask the task for the `cost` of every tick.

    After `step`: `done`, `success`, `reason`, `reward`, `rewards`, `signals` (the truth), and with a tail `in_path` (a person's
    hand was in the robot's way). Worlds that are done stand still until `reset`. Arrays hold `n` rows (two at least: one world is padded, so that it takes the same arithmetic as many).
    """

    def __init__(
        self,
        task: Task,
        n: int,
        threads: int = 0,
        tail_s: float = 0.0,
        disturbances: Sequence[str] = (),
        trace: bool = False,
        costs: bool = False,
    ) -> None:
        self.task, self.n, self.tail_s, self.costs = task, n, tail_s, costs
        known = disturbance_classes()
        needed = [field for name in disturbances if name in known for field in known[name].needs]
        self.engine = Engine(
            task.model, n, threads, task.substeps, tuple(dict.fromkeys((*task.expanded, *needed)))
        )
        rows = self.engine.worlds
        self.rows = rows
        self.controller = task.make_controller(self.engine)
        self.disturbances: dict[str, Disturbance] = {
            name: make_disturbance(name, task, self.engine) for name in disturbances
        }
        self.eye = task.make_eye(self.engine)
        if self.eye is not None:
            self.eye.watch_through(tuple(self.disturbances.values()))
        self.held = task.blank_held(rows)
        self.signals = Signals(task.table, self.engine.block, self.held)
        self.seeds = np.zeros(rows, np.int64)
        self.steps = np.zeros(rows, np.int64)
        self.done = np.ones(rows, bool)
        self.success = np.zeros(rows, bool)
        self.reason = np.zeros(rows, np.int64)
        self.cycle_s = np.full(rows, np.nan)
        self.in_path = np.zeros(rows, bool)
        self.returns = np.zeros(rows)
        self.reward = np.zeros(rows)
        self.cost = np.zeros(rows)
        self.rewards: dict[str, Array] = {name: np.zeros(rows) for name in task.rewards}
        self.steps_max = round(task.horizon_s * task.control_hz)
        self._hold_steps = round(SUCCESS_HOLD_S * task.control_hz)
        self._tail_steps = round(tail_s * task.control_hz)
        self._ticks = np.arange(1, task.substeps + 1) / task.physics_hz
        self._held_for = np.zeros(rows, np.int64)
        self._reached = np.zeros(rows, bool)
        self._tail = np.zeros(rows, np.int64)
        self._clamped = np.zeros(rows, np.int64)
        self._memory: dict[str, Array] = {}
        self._control = np.zeros((rows, task.substeps, task.model.nu))
        self._hashes = [hashlib.sha256() for _ in range(rows)] if trace else None

    @property
    def time_s(self) -> Array:
        """`(N,)` seconds since each episode began."""
        return np.asarray(self.steps * self.task.dt, np.float64)

    @property
    def limits_active(self) -> Array:
        """`(N,)` share of this episode's ticks in which a limit clamped the command."""
        return np.asarray(self._clamped / np.maximum(self.steps, 1), np.float64)

    def trace_sha256(self, world: int) -> str:
        """Hash of the world's sensor data since its episode began."""
        if self._hashes is None:
            raise ValueError("these worlds keep no trace: make them with trace=True")
        return self._hashes[world].hexdigest()

    def reset(
        self,
        ids: Ids,
        seeds: NDArray[np.int64],
        severities: Mapping[str, NDArray[Any]] | None = None,
        draws: Draws | None = None,
    ) -> None:
        """Start episodes with `seeds` `(m,)` in worlds `ids` `(m,)`, sorted; severities `(m,)` by disturbance, absent = 0.

        `draws` are start quantities that are given instead of drawn (see `Chosen`).
        """
        ids, seeds = np.asarray(ids, np.int64), np.asarray(seeds, np.int64)
        streams = Chosen(self.task.key, seeds, draws) if draws else Streams(self.task.key, seeds)
        start = self.task.place(streams)
        fields = dict(start.fields)
        levels = severities or {}
        if unknown := [name for name in levels if name not in self.disturbances]:
            raise UnknownName("disturbance of these worlds", unknown[0], self.disturbances)
        for name, disturbance in self.disturbances.items():
            severity = np.asarray(levels.get(name, np.zeros(len(ids))))
            disturbance.assign(ids, severity, streams)
            fields = disturbance.change_model(ids, fields)
        self.engine.restart(ids, start.qpos, start.ctrl, start.mocap_pos, start.mocap_quat, fields)
        self.seeds[ids] = seeds
        self._remember(ids, start)
        for array in (self.steps, self.reason, self._held_for, self._tail, self._clamped):
            array[ids] = 0
        self.done[ids] = self.success[ids] = self._reached[ids] = self.in_path[ids] = False
        self.cycle_s[ids] = np.nan
        self.returns[ids] = 0.0
        for value in self.held.values():
            value[ids] = 0.0
        for name, given in start.held.items():
            self.held[name][ids] = given
        if self.eye is not None:
            self.eye.restart(ids, self.seeds[ids])
        self._refresh()
        self.controller.restart(ids, self.signals.now[self.task.driven][ids])
        if self._hashes is not None:
            for world in ids:
                self._hashes[world] = hashlib.sha256()

    def _remember(self, ids: Ids, start: Start) -> None:
        for name, value in start.memory.items():
            if name not in self._memory:
                self._memory[name] = np.repeat(
                    value[:1], self.rows, axis=0
                )  # the padding world keeps sane values
            self._memory[name][ids] = value

    def _refresh(self) -> None:
        self.signals = Signals(self.task.table, self.engine.block, self.held)

    def sensed(self) -> Lookup:
        """What the policy's sensors report now: the truth with the sensing disturbances on it."""
        sensed = self.signals.now if self.eye is None else self.eye.sense(self.signals.now)
        for disturbance in self.disturbances.values():
            sensed = disturbance.sense(sensed, self.steps)
        return sensed

    def observation(self) -> NDArray[np.float32]:
        """`(N, d)` float32: what the policy sees now. Call it once a tick."""
        seen = observation(self.task, self.sensed())
        for disturbance in self.disturbances.values():
            seen = disturbance.observe(seen, self.steps)
        return seen

    def step(self, action: NDArray[np.floating]) -> None:
        """Advance every world that is not done by one control tick. `action` is `(N, A)`; it is clipped to [-1, 1]."""
        active = ~self.done
        wanted = np.array(action, np.float64, order="C")
        broken = active & ~np.isfinite(wanted).all(axis=1)
        wanted[broken] = 0.0
        wanted = wanted.clip(-1.0, 1.0)
        self.held["action.rate"][:] = np.where(
            self.steps > 0, np.abs(wanted - self.held["action"]).max(axis=1), 0.0
        )
        self.held["action"][:] = wanted
        for disturbance in self.disturbances.values():
            wanted = disturbance.act(wanted, self.steps)
        self._drive(wanted, active)
        for disturbance in self.disturbances.values():
            disturbance.push(self.steps)
        moved = self.task.move(self.held, self.signals.now)
        faults = (
            self.engine.step(self._control, None if active.all() else np.flatnonzero(active), moved) | broken
        )
        self.steps += active
        self.held["episode.time"][:] = self.steps * self.task.dt
        self.held["simulator.fault"][active & faults] = 1.0
        if self.eye is not None:
            self.eye.tell(self.held, self.steps, active)
        self._refresh()
        if self.eye is not None:
            self.eye.expose(self.held, self.signals.now, self.steps, active)
        if self._hashes is not None:
            for world in np.flatnonzero(active):
                self._hashes[world].update(self.engine.block[world].data)
        if self.costs:  # first: what it derives for the whole block need not be derived again for the instant
            self.cost = np.where(active, self.task.cost(self.signals), 0.0)
        self._judge(active, faults)
        self._reward(active)

    def _drive(self, wanted: Array, active: NDArray[np.bool_]) -> None:
        clamped = self.controller.targets(wanted, self.signals.now, self._control)
        times = self.steps[:, None] * self.task.dt + self._ticks
        for actuator, target in self.task.drive(times, self._memory).items():
            self._control[:, :, actuator] = target
        self.held["limits.active"][:] = clamped
        self._clamped += active & clamped

    def _judge(self, active: NDArray[np.bool_], faults: NDArray[np.bool_]) -> None:
        now, task = self.signals.now, self.task
        at_goal = task.success(now) & active
        self._held_for = np.where(at_goal, self._held_for + 1, 0)
        reached = active & ~self._reached & (self._held_for >= self._hold_steps)
        if reached.any():
            self.cycle_s[reached] = self.time_s[reached]
            self._reached |= reached
        self._tail += active & self._reached
        if self._tail_steps:
            self.in_path |= active & task.in_path(now)
        over = self._reached & (self._tail > self._tail_steps)
        late = ~self._reached & (self.steps >= self.steps_max)
        reason = np.where(over, np.where(at_goal, SUCCESS, NOT_KEPT), np.where(late, TIMEOUT, RUNNING))
        failures = task.failed(now)
        reason = np.where((failures > 0) & (reason != SUCCESS), failures, reason)
        reason = np.where(faults, FAULT, reason)
        self.reason = np.where(active, reason, self.reason)
        self.success = np.where(active, reason == SUCCESS, self.success)
        self.done |= active & (reason != RUNNING)

    def _reward(self, active: NDArray[np.bool_]) -> None:
        now = self.signals.now
        goal = np.where(self.done, np.where(self.success, 1.0, FAILURE_REWARD), 0.0)
        terms = np.array([*(term(now) for term in self.task.rewards.values()), goal])
        terms = np.where(active & np.isfinite(terms), terms, 0.0)
        self.rewards = dict(zip((*self.task.rewards, "goal"), terms, strict=True))
        self.reward = terms.sum(axis=0)
        self.returns += self.reward
