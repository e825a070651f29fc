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

from .capture import Captured
from .chosen import Chosen, Draws
from .disturbances import Disturbance, disturbance_classes, make_disturbance
from .engine import Engine, Ids
from .errors import UnknownName
from .outcome import PROGRESS, Outcome, asked
from .signals import Array, Lookup, Signals
from .streams import Streams
from .task import Start, Task, observation


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
        captured: of one world, capture what a tick computes and replay it (see `capture`). Arrays are overwritten then.

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
        captured: bool = False,
    ) -> None:
        if captured and n != 1:
            raise ValueError("what is captured is one world's")
        self.task, self.n, self.tail_s = task, n, tail_s
        known = disturbance_classes()
        needed = [field for name in disturbances if name in known for field in known[name].needs]
        self.engine = Engine(
            task.model, n, threads, task.substeps, tuple(dict.fromkeys((*task.expanded, *needed))), captured
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
        self._ticks = np.arange(1, task.substeps + 1) / task.physics_hz
        self.held_for = np.zeros(rows, np.int64)
        self.reached = np.zeros(rows, bool)
        self.tail = np.zeros(rows, np.int64)
        self._clamped = np.zeros(rows, np.int64)
        self._memory: dict[str, Array] = {}
        self._scripted: tuple[int, ...] | None = None  # the actuators that the task drives itself
        self._seen: NDArray[np.float32] | None = None  # the observation, if it came with the outcome
        self._outcome = Outcome(task, tail_s, costs, captured and self.eye is None and not disturbances)
        self._asked = Captured(asked) if captured else asked
        self._script = Captured(self._scripts) if captured else self._scripts
        self._after: tuple[NDArray[Any], ...] = ()  # what a replay gave last, and is given next
        self._before = (*self._progress(), *self.held.values())
        self._judged = Captured(self._outcome.of_arrays) if captured else None
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
        for array in (self.steps, self.reason, self.held_for, self.tail, self._clamped):
            array[ids] = 0
        self.done[ids] = self.success[ids] = self.reached[ids] = self.in_path[ids] = False
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
        self._seen = None
        self.signals = Signals(self.task.table, self.engine.block, self.held)

    def sensed(self) -> Lookup:
        """What the policy's sensors report now: the truth with the sensing disturbances on it."""
        sensed = self.signals.now if self.eye is None else self.eye.sense(self.signals.now)
        for disturbance in self.disturbances.values():
            sensed = disturbance.sense(sensed, self.steps)
        return sensed

    def observation(self) -> NDArray[np.float32]:
        """`(N, d)` float32: what the policy sees now. Call it once a tick."""
        if self._seen is not None:
            return self._seen
        seen = observation(self.task, self.sensed())
        for disturbance in self.disturbances.values():
            seen = disturbance.observe(seen, self.steps)
        return seen

    def step(self, action: NDArray[np.floating]) -> None:
        """Advance every world that is not done by one control tick. `action` is `(N, A)`; it is clipped to [-1, 1]."""
        active = ~self.done
        wanted, broken, rate = self._asked(np.asarray(action, np.float64), self.held["action"], self.steps)
        broken = broken & active
        self.held["action.rate"][:], self.held["action"][:] = rate, wanted
        for disturbance in self.disturbances.values():
            wanted = disturbance.act(wanted, self.steps)
        self._drive(wanted, active)
        for disturbance in self.disturbances.values():
            disturbance.push(self.steps)
        moved = self.task.move(self.held, self.signals.now)
        chosen = np.flatnonzero(active)
        faults = self.engine.step(self._control, None if len(chosen) == self.rows else chosen, moved) | broken
        self.steps += active
        np.multiply(self.steps, self.task.dt, out=self.held["episode.time"])
        self.held["simulator.fault"][faults] = 1.0
        if self.eye is not None:
            self.eye.tell(self.held, self.steps, active)
        self._refresh()
        if self.eye is not None:
            self.eye.expose(self.held, self.signals.now, self.steps, active)
        if self._hashes is not None:
            for world in np.flatnonzero(active):
                self._hashes[world].update(self.engine.block[world].data)
        self._judge(active, faults)

    def _drive(self, wanted: Array, active: NDArray[np.bool_]) -> None:
        clamped = self.controller.targets(wanted, self.signals.now, self._control)
        if self._scripted is None:
            self._scripted = tuple(self.task.drive(self._times(self.steps), self._memory))
        if self._scripted:
            targets = self._script(self.steps, *self._memory.values())
            for actuator, target in zip(self._scripted, targets, strict=True):
                self._control[:, :, actuator] = target
        self.held["limits.active"][:] = clamped
        self._clamped += active & clamped

    def _times(self, steps: NDArray[np.int64]) -> Array:
        """`(N, K)` seconds since each episode began, at the end of each substep to come."""
        return np.asarray(steps[:, None] * self.task.dt + self._ticks)

    def _scripts(self, steps: NDArray[np.int64], *memory: Array) -> tuple[Array, ...]:
        driven = self.task.drive(self._times(steps), dict(zip(self._memory, memory, strict=True)))
        return tuple(driven.values())

    def _judge(self, active: NDArray[np.bool_], faults: NDArray[np.bool_]) -> None:
        if self._judged is None:
            self._take(self._outcome.of(self.signals, active, faults, self.steps, *self._progress()))
            return
        after = self._judged(self.engine.block, active, faults, self.steps, *self._before)
        if after is not self._after:  # a replay fills the same arrays again
            self._take(after)
            self._after, self._before = after, (*self._progress(), *self.held.values())
        self._seen = after[-1].astype(np.float32) if self._outcome.sees else None

    def _progress(self) -> list[NDArray[Any]]:
        return [getattr(self, name) for name in PROGRESS]

    def _take(self, after: tuple[NDArray[Any], ...]) -> None:
        """Be what the outcome of a tick says."""
        for name, value in zip(PROGRESS, after, strict=False):
            setattr(self, name, value)
        self.cost, terms, self.reward = after[len(PROGRESS) : len(PROGRESS) + 3]
        self.rewards = dict(zip((*self.task.rewards, "goal"), terms.T, strict=True))
