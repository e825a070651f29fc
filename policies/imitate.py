"""The expert teaches (DAgger, Ross et al. 2011): the student acts, the expert says what it would have done, the student learns it.

Collecting and fitting run side by side, one core each: round r gathers with the student of round r-1 while the next student is
fitted to everything gathered before. The order of all arithmetic is fixed, so the same recipe and seed give the same weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..envs.disturbances import disturbance_classes
from ..envs.streams import Streams
from ..envs.task import SEED_RANGES, Task, observation
from ..envs.worlds import Worlds
from .network import Student


@dataclass(frozen=True)
class ImitationRecipe:
    """How the student is taught.

    Each round gathers `round_ticks` ticks in all worlds and makes `round_fits` gradient steps; `mixing` is the share of
    episodes that the expert itself drives in the first rounds; `disturbed` the share of episodes with one disturbance of severity
    1 to `severity`.
    """

    worlds: int = 128
    expert_ticks: int = 260
    rounds: int = 24
    round_ticks: int = 100
    round_fits: int = 400
    batch: int = 512
    learning_rate: float = 1e-3
    mixing: tuple[float, ...] = (0.5, 0.25)
    average: float = 0.998
    disturbed: float = 0.25
    severity: int = 3


class Classroom:
    """The worlds in which the student is taught, and everything seen there: observations and the expert's answers."""

    def __init__(self, task: Task, recipe: ImitationRecipe, seed: int) -> None:
        self.task, self.recipe = task, recipe
        self.kinds = list(disturbance_classes())
        self.worlds = Worlds(task, recipe.worlds, 1, disturbances=self.kinds)
        self.next_seed = SEED_RANGES["train"] + seed * 1_000_000
        ticks = recipe.expert_ticks + recipe.rounds * recipe.round_ticks
        columns, actions = len(task.observation_names), len(task.action_names)
        self.observations = torch.empty(ticks * recipe.worlds, columns)
        self.answers = torch.empty(ticks * recipe.worlds, actions)
        self.count = 0
        self.expert_drives = np.ones(recipe.worlds, bool)
        self.successes: list[bool] = []
        self._start(np.arange(recipe.worlds), 1.0)

    def _start(self, ids: NDArray[np.int64], mixing: float) -> None:
        seeds = self.next_seed + np.arange(len(ids))
        self.next_seed += len(ids)
        draws = Streams(f"{self.task.key}/classroom", seeds)
        kind = draws.choice("kind", len(self.kinds))
        severity = 1 + draws.choice("severity", self.recipe.severity)
        severity[draws.uniform("disturbed") >= self.recipe.disturbed] = 0
        self.expert_drives[ids] = draws.uniform("mixing") < mixing
        levels = {name: np.where(kind == i, severity, 0) for i, name in enumerate(self.kinds)}
        self.worlds.reset(ids, seeds, levels)

    def gather(self, ticks: int, student: Student | None, mixing: float) -> None:
        """Run all worlds for `ticks`; the student drives but for the episodes (all, if None) that the expert drives."""
        worlds, n = self.worlds, self.recipe.worlds
        for _ in range(ticks):
            ended = np.flatnonzero(worlds.done[:n])
            if len(ended):
                self.successes += worlds.success[ended].tolist()
                self._start(ended, mixing)
            seen = worlds.observation()
            answer = self.task.expert(observation(self.task, worlds.signals.now)).astype(np.float32)
            rows = slice(self.count, self.count + n)
            self.observations[rows], self.answers[rows] = (
                torch.from_numpy(seen[:n]),
                torch.from_numpy(answer[:n]),
            )
            self.count += n
            action = (
                answer
                if student is None
                else np.where(self.expert_drives[:, None], answer, student.act(seen))
            )
            worlds.step(action)


def fit(
    student: Student,
    average: Student,
    optimiser: torch.optim.Optimizer,
    data: tuple[Tensor, Tensor],
    recipe: ImitationRecipe,
    rates: list[float],
    generator: torch.Generator,
) -> float:
    """One gradient step per entry of `rates` on batches of `data`; keeps the running average; returns the mean loss."""
    observations, answers = data
    total = 0.0
    for rate in rates:
        for group in optimiser.param_groups:
            group["lr"] = rate
        rows = torch.randint(len(observations), (recipe.batch,), generator=generator)
        loss = torch.nn.functional.smooth_l1_loss(student(observations[rows]), answers[rows], beta=0.1)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total += loss.item()
        with torch.no_grad():
            for kept, new in zip(average.parameters(), student.parameters(), strict=True):
                kept.lerp_(new, 1.0 - recipe.average)
    return total / max(len(rates), 1)


def teach(
    task: Task,
    recipe: ImitationRecipe,
    seed: int,
    report: Callable[[int, float, float], None] = lambda done, loss, success: None,
) -> Student:
    """Teach a student from scratch; returns its running average, which is the one that acts.

    The engine has one thread here, since fitting has the other core. `report(rounds done, loss, recent success)` is called after
    every round.
    """
    torch.manual_seed(seed)
    room = Classroom(task, recipe, seed)
    room.gather(recipe.expert_ticks, None, 1.0)
    student = Student(len(task.observation_names), len(task.action_names))
    student.normalise_by(room.observations[: room.count])
    average = copy.deepcopy(student)
    optimiser = torch.optim.Adam(student.parameters(), recipe.learning_rate, fused=True)
    generator = torch.Generator().manual_seed(seed)
    rates = _schedule(recipe)
    with ThreadPoolExecutor(1) as pool:
        for index in range(recipe.rounds + 1):
            data = (room.observations[: room.count], room.answers[: room.count])
            actor = copy.deepcopy(average)
            job = pool.submit(fit, student, average, optimiser, data, recipe, rates[index], generator)
            if index < recipe.rounds:
                mixing = recipe.mixing[index] if index < len(recipe.mixing) else 0.0
                room.gather(recipe.round_ticks, actor if index else None, mixing)
            loss = job.result()
            report(index, loss, float(np.mean(room.successes[-200:] or [0.0])))
    return average


def _schedule(recipe: ImitationRecipe) -> list[list[float]]:
    """Learning rates by round: constant, then falling over the last 60 % to a hundredth."""
    total = (recipe.rounds + 1) * recipe.round_fits
    share = np.arange(total) / total
    rates = recipe.learning_rate * np.clip((1.0 - share) / 0.6, 0.01, 1.0)
    return [list(map(float, r)) for r in np.split(rates, recipe.rounds + 1)]
