"""How fast a cell runs: the closed loop against bare stepping, in one run on one machine.

*Bare* is the loop's own recorded inputs (targets of actuators, poses of people) and resets, replayed through `mujoco.batch` without any of
our Python: the same physics, bit for bit (checked after each segment). Loop and replay take turns in short segments, and a ratio is the median over pairs of
neighbours, so that a busy machine disturbs both alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, cast

import numpy as np

from .engine import Engine, Ids, Moved, Replay
from .errors import EnvironmentProblem
from .graphics import RAYS, backend
from .gym import CellEnv, env_id
from .parameters import parameters_of
from .platform import cores
from .signals import Array
from .task import Task, get_task, task_ids
from .worlds import Worlds

SEGMENTS, SEGMENTS_SEEING = 7, 5
SEGMENT_S = 0.5  # seconds of wall time that a loop's segment is meant to take
WARM_UP = 30  # ticks
Say = Callable[[str], None]


@dataclass
class Tape:
    """An engine that notes what it is told to do, for a replay."""

    engine: Engine
    notes: list[tuple[Any, ...]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def restart(
        self,
        ids: Ids,
        qpos: Array,
        ctrl: Array,
        mocap_pos: Array | None,
        mocap_quat: Array | None,
        fields: Mapping[str, Array],
    ) -> None:
        """As `Engine.restart`, noted."""
        whole = {name: fields.get(name, default) for name, default in self.engine.defaults.items()}
        self.notes.append((ids, qpos, ctrl, mocap_pos, mocap_quat, whole))
        self.engine.restart(ids, qpos, ctrl, mocap_pos, mocap_quat, fields)

    def step(self, control: Array, ids: Ids | None = None, moved: Moved | None = None) -> Any:
        """As `Engine.step`, noted: the targets, and the poses of people who move at every substep."""
        given, inputs = self.engine.inputs_of(control, moved)
        kept = (
            given.copy() if given is control else given
        )  # a controller writes each tick's targets over the last one's
        self.notes.append((kept if ids is None else kept[ids], inputs))
        return self.engine.advance(given, inputs, ids)


@dataclass
class Pair:
    """A set of worlds and the bare simulation that replays what they did, segment by segment."""

    task: Task
    worlds: Worlds
    threads: int
    tape: Tape = field(init=False)
    bare: Replay = field(init=False)

    def __post_init__(self) -> None:
        self.tape = Tape(self.worlds.engine)
        self.worlds.engine = cast(Engine, self.tape)
        self.bare = Replay(self.task.model, self.worlds.n, self.threads, self.task.expanded)

    def replay_s(self) -> float:
        """Seconds that the bare simulation takes for what was noted since the last call."""
        notes, self.tape.notes = self.tape.notes, []
        began = time.perf_counter()
        for note in notes:
            if len(note) == 2:
                self.bare.step(*note)
            else:
                self.bare.restart(*note)
        seconds = time.perf_counter() - began
        if not np.array_equal(self.bare.qpos, self.tape.engine.qpos[: self.worlds.n]):
            raise EnvironmentProblem(
                "bare stepping did not repeat the loop bit for bit; genba doctor looks for the cause"
            )
        return seconds


class Loop:
    """The closed loop of a task: the expert acts, worlds that finish start anew at once."""

    def __init__(self, task: Task, worlds: int, threads: int) -> None:
        self.worlds = Worlds(task, worlds, threads)
        self.pair = Pair(task, self.worlds, threads)
        self.seed = 0
        self._start(np.arange(worlds))

    def _start(self, ids: Ids) -> None:
        self.worlds.reset(ids, np.arange(self.seed, self.seed + len(ids)))
        self.seed += len(ids)

    def run_s(self, ticks: int) -> float:
        """Seconds that `ticks` control ticks of all worlds take."""
        worlds, expert = self.worlds, self.worlds.task.expert
        began = time.perf_counter()
        for _ in range(ticks):
            worlds.step(expert(worlds.observation()))
            ended = np.flatnonzero(worlds.done[: worlds.n])
            if len(ended):
                self._start(ended)
        return time.perf_counter() - began


class Single:
    """One Gymnasium environment; the expert's own time is not counted."""

    def __init__(self, task: Task) -> None:
        self.env = CellEnv(task)
        self.pair = Pair(task, self.env.worlds, 1)
        self.observation, _ = self.env.reset(seed=0)

    def run_s(self, ticks: int) -> float:
        """Seconds that `ticks` steps, resets included, take."""
        env, expert = self.env, self.env.task.expert
        spent = 0.0
        for _ in range(ticks):
            action = expert(np.repeat(self.observation[None], 2, axis=0))[0].astype(np.float32)
            began = time.perf_counter()
            self.observation, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                self.observation, _ = env.reset()
            spent += time.perf_counter() - began
        return spent


def compare(run: Loop | Single, worlds: int) -> tuple[float, float, float]:
    """(steps per second, bare steps per second, ratio): medians over pairs of segments.

    A camera is busy in some parts of an episode only, and worlds that began together take their pictures together: where the task sees,
    a segment is as long as its takt.
    """
    task = run.pair.task
    whole = round(task.takt_s * task.control_hz) if task.sees else 0
    run.run_s(max(WARM_UP, whole))
    run.pair.replay_s()
    ticks = whole or max(5, round(SEGMENT_S * WARM_UP / run.run_s(WARM_UP)))
    run.pair.replay_s()
    pairs = [(run.run_s(ticks), run.pair.replay_s()) for _ in range(SEGMENTS_SEEING if whole else SEGMENTS)]
    steps = ticks * worlds
    return (
        median(steps / loop for loop, _ in pairs),
        median(steps / bare for _, bare in pairs),
        median(bare / loop for loop, bare in pairs),
    )


def async_steps_per_s(task: Task, processes: int, seconds: float = 2.0) -> float:
    """Steps per second of Gymnasium's `AsyncVectorEnv` over our single environment, one process each."""
    import gymnasium

    envs = gymnasium.make_vec(
        f"{__package__}.gym:{env_id(type(task).id)}", processes, "async", {"context": "spawn"}, task=task.id
    )
    try:
        observation, _ = envs.reset(seed=0)
        rates: list[float] = []
        while len(rates) < 1 + SEGMENTS:
            steps, began = 0, time.perf_counter()
            while time.perf_counter() - began < seconds / SEGMENTS:
                padded = np.concatenate([observation, observation[:1]])
                observation = envs.step(task.expert(padded)[:processes].astype(np.float32))[0]
                steps += processes
            rates.append(steps / (time.perf_counter() - began))
        return median(rates[1:])
    finally:
        envs.close()


def bench_task(task: Task, worlds: int, threads: int, processors: int) -> dict[str, Any]:
    """The numbers of one cell."""
    rate, bare, ratio = compare(Loop(task, worlds, threads), worlds)
    single, single_bare, single_ratio = compare(Single(task), 1)
    spread = async_steps_per_s(task, processors)
    return {
        "steps_per_s": round(rate, 1),
        "bare_steps_per_s": round(bare, 1),
        "ratio_to_bare": round(ratio, 3),
        "async_steps_per_s": round(spread, 1),
        "async_processes": processors,
        "ratio_to_async": round(rate / spread, 2),
        "single_steps_per_s": round(single, 1),
        "single_bare_steps_per_s": round(single_bare, 1),
        "single_ratio_to_bare": round(single_ratio, 3),
        "worlds": worlds,
        "threads": threads or processors,
    }


@dataclass(frozen=True)
class Speeds:
    """Numbers by task id."""

    cells: Mapping[str, Mapping[str, Any]]

    def as_json(self) -> dict[str, Any]:
        return {"cells": self.cells}

    def table(self) -> str:
        wide = 2 + max(map(len, self.cells))
        rows = [
            f"{'':<{wide}}{'loop':>10}{'bare':>10}{'ratio':>8}{'single':>10}{'bare':>10}{'ratio':>8}{'async':>10}{'ratio':>8}"
        ]
        for task, cell in self.cells.items():
            rows.append(
                f"{task:<{wide}}{cell['steps_per_s']:>10,.0f}{cell['bare_steps_per_s']:>10,.0f}{cell['ratio_to_bare']:>8.2f}"
                f"{cell['single_steps_per_s']:>10,.0f}{cell['single_bare_steps_per_s']:>10,.0f}"
                f"{cell['single_ratio_to_bare']:>8.2f}{cell['async_steps_per_s']:>10,.0f}{cell['ratio_to_async']:>8.1f}"
            )
        some = next(iter(self.cells.values()))
        rows.append(
            f"control steps per second; loop: {some['worlds']} worlds on {some['threads']} threads, expert and resets included; "
            f"async: {some['async_processes']} processes. Wanted: loop at least 0.80 of bare, single 0.40."
        )
        return "\n".join(rows)


def seeing(tasks: Sequence[str]) -> list[str]:
    """Those of the tasks in which a camera can say where a part lies, as they do: by rays, and drawn where OpenGL draws."""
    ways = (1,) if backend() == RAYS else (1, 2)
    return [f"{each},vision={way}" for each in tasks if "vision" in parameters_of(each) for way in ways]


def bench(worlds: int = 128, threads: int = 0, say: Say | None = None, tasks: Sequence[str] = ()) -> Speeds:
    """Measure some tasks, or every one; about twenty seconds each. Raises UnknownName."""
    processors = cores()
    cells = {}
    for task_id in tasks or task_ids():
        if say is not None:
            say(f"{task_id}: loop and replay in turns, {SEGMENTS} segments each ...")
        cells[task_id] = bench_task(get_task(task_id), worlds, threads, processors)
    return Speeds(cells)
