"""The judged closed loop: worlds take episodes from a queue, a policy acts, the monitor watches every physics substep.

A world that finishes gets the next episode at once, so that all worlds stay busy. A row depends on its episode only: not on
the number of worlds, their order or the threads. Two loops side by side keep the cores busy: while one of them observes and judges,
the worlds of the other step.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.conditions import parts_of
from ..envs.platform import cores
from ..envs.task import Task
from .constraints import Constraint
from .monitor import Monitor
from .plan import Episode
from .policy import Policy

TAIL_S = 1.0
NOMINAL = "none"
Row = dict[str, Any]
Watch = Callable[["Loop"], None]
Stop = Callable[["Loop"], NDArray[np.bool_]]


class Loop:
    """N worlds, a policy and a monitor.

    Args:
        policy: what acts.
        task: the job.
        constraints: those that the task's signals allow to judge.
        disturbances: names of all that the episodes may ask for.
        worlds: number of worlds; changes the time it takes, never a row.
        threads: engine threads, 0 for all processors; changes the time it takes, never a row.
        metrics: reward terms whose sums become `metric.<name>`.
        live: know margins while episodes run, as `stop` needs (None: only where there are few worlds).
        tail_s: how long an episode is watched on after success.

    `monitor_s` is the time spent in the monitor.
    """

    def __init__(
        self,
        policy: Policy,
        task: Task,
        constraints: Iterable[Constraint],
        disturbances: Iterable[str],
        worlds: int,
        threads: int = 0,
        metrics: Iterable[str] = (),
        live: bool | None = None,
        tail_s: float = TAIL_S,
    ) -> None:
        self.policy, self.task, self.n = policy, task, worlds
        names = sorted({part for each in disturbances for part in parts_of(each)} - {NOMINAL})
        self.worlds = task.make_worlds(worlds, threads, tail_s, names, trace=True)
        self.disturbances = names
        self.monitor = Monitor(
            tuple(constraints), task.table, self.worlds.rows, 1.0 / task.physics_hz, live=live
        )
        self.playing: list[Episode | None] = [None] * self.worlds.rows
        self.active = np.zeros(self.worlds.rows, bool)
        self.monitor_s = 0.0
        self._energy = np.zeros(self.worlds.rows)
        self._metrics = {name: np.zeros(self.worlds.rows) for name in metrics}

    def play(
        self, episodes: Iterable[Episode], watch: Watch | None = None, stop: Stop | None = None
    ) -> Iterator[Row]:
        """Rows as episodes end (not in their order).

        `watch` is called at the start and after every control tick. `stop` says in which worlds, `(N,)`, the episode ends early; such
        a row's reason is "running".
        """
        queue = iter(episodes)
        self._start(np.arange(self.n), queue)
        if watch is not None:
            watch(self)
        while self.active.any():
            self._tick()
            if watch is not None:
                watch(self)
            if stop is not None:
                self.worlds.done |= self.active & stop(self)
            ended = np.flatnonzero(self.active & self.worlds.done)
            if len(ended):
                yield from self._finish(ended)
                self._start(ended, queue)

    def _start(self, free: NDArray[np.int64], queue: Iterator[Episode]) -> None:
        """Put the next episodes into free worlds; worlds for which none is left stand still."""
        batch = list(islice(queue, len(free)))
        self.active[free] = False
        if not batch:
            return
        ids = free[: len(batch)]
        severities = {
            name: np.array([each.severity if name in parts_of(each.disturbance) else 0 for each in batch])
            for name in self.disturbances
        }
        seeds = np.array([each.seed for each in batch], np.int64)
        self.worlds.reset(ids, seeds, severities, _chosen(batch))
        self.active[ids] = True
        for world, episode in zip(ids, batch, strict=True):
            self.playing[world] = episode
        for total in (self._energy, *self._metrics.values()):
            total[ids] = 0.0
        self.monitor.restart(ids)

    def _tick(self) -> None:
        worlds = self.worlds
        worlds.step(self._act(worlds.observation()))
        began = time.perf_counter()
        self.monitor.update(worlds.signals, self.active)
        self.monitor_s += time.perf_counter() - began
        worked = worlds.signals["drive.power"].sum(axis=1) / self.task.physics_hz
        self._energy += np.where(self.active, worked, 0.0)
        for name, total in self._metrics.items():
            total += worlds.rewards[name]

    def _act(self, observation: NDArray[np.float32]) -> NDArray[np.floating]:
        """Actions of all worlds; the policy is asked for those that play only."""
        worlds = self.worlds
        if self.active.all():
            return self.policy.act(observation, worlds.seeds, worlds.steps)
        ids = np.flatnonzero(self.active)
        asked = ids if len(ids) > 1 else np.repeat(ids, 2)
        given = self.policy.act(observation[asked], worlds.seeds[asked], worlds.steps[asked])
        action = np.zeros((len(observation), given.shape[1]), given.dtype)
        action[ids] = given[: len(ids)]
        return action

    def _finish(self, ended: NDArray[np.int64]) -> list[Row]:
        began = time.perf_counter()
        margins, times = self.monitor.finish(ended)
        self.monitor_s += time.perf_counter() - began
        return [self._row(int(world), margins[i], times[i]) for i, world in enumerate(ended)]

    def _row(self, world: int, margins: NDArray[np.float64], times: NDArray[np.float64]) -> Row:
        worlds, episode = self.worlds, self.playing[world]
        assert episode is not None
        ids = self.monitor.ids
        return {
            "episode": episode.index,
            "condition": episode.condition,
            "disturbance": episode.disturbance,
            "severity": episode.severity,
            "seed": episode.seed,
            "success": bool(worlds.success[world]),
            "reason": self.task.reasons[int(worlds.reason[world])],
            "steps": int(worlds.steps[world]),
            "time_s": float(worlds.time_s[world]),
            "cycle_s": float(worlds.cycle_s[world]),
            "return": float(worlds.returns[world]),
            "energy_j": float(self._energy[world]),
            "limits_active": float(worlds.limits_active[world]),
            "in_path": bool(worlds.in_path[world]),
            "trace_sha256": worlds.trace_sha256(world),
            **{f"margin.{name}": float(value) for name, value in zip(ids, margins, strict=True)},
            **{f"at.{name}": float(value) for name, value in zip(ids, times, strict=True)},
            **{f"metric.{name}": float(total[world]) for name, total in self._metrics.items()},
        }


def _chosen(batch: Sequence[Episode]) -> dict[str, NDArray[np.float64]]:
    """The draws that these episodes choose, `(m, k)` by stream; NaN where one of them leaves them to its seed."""
    widths: dict[str, int] = {}
    for each in batch:
        for name, values in each.draws.items():
            widths[name] = max(widths.get(name, 0), len(values))
    found = {name: np.full((len(batch), width), np.nan) for name, width in widths.items()}
    for row, each in enumerate(batch):
        for name, values in each.draws.items():
            found[name][row, : len(values)] = values
    return found


class _LeftError(Exception):
    """A loop side by side with others was told to end early."""


def split(worlds: int, threads: int) -> list[tuple[int, int]]:
    """(worlds, threads) of each of the loops that share `worlds` and `threads` (0: all processors): two where both can be shared."""
    available = threads or cores()
    if available < 2 or worlds < 4:
        return [(worlds, threads)]
    return [(worlds - worlds // 2, available - available // 2), (worlds // 2, available // 2)]


def side_by_side(loops: Sequence[Loop], episodes: Sequence[Episode]) -> Generator[Row, None, None]:
    """Rows as episodes end, from loops that run on a thread each and take the episodes in turns.

    Which loop plays an episode is fixed, so that also a policy whose bits depend on its company gives the same rows each time.
    """
    rows: SimpleQueue[Row | BaseException | None] = SimpleQueue()
    leave = threading.Event()

    def watch(loop: Loop) -> None:
        if leave.is_set():
            raise _LeftError

    def run(loop: Loop, share: Sequence[Episode]) -> None:
        try:
            for row in loop.play(share, watch):
                rows.put(row)
        except _LeftError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again where the rows are taken
            rows.put(error)
        finally:
            rows.put(None)

    with ThreadPoolExecutor(len(loops)) as pool:
        try:
            for i, loop in enumerate(loops):
                pool.submit(run, loop, episodes[i :: len(loops)])
            running = len(loops)
            while running:
                row = rows.get()
                if isinstance(row, BaseException):
                    raise row
                running -= row is None
                if row is not None:
                    yield row
        finally:
            leave.set()
