"""The expert teaches (DAgger, Ross et al. 2011): the student acts, the expert says what it would have done, the student learns it.

Collecting and fitting run side by side: round r gathers with the student of round r-1 while the next student is
fitted to everything gathered before. The order of all arithmetic is fixed, so the same recipe and seed give the same weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..envs.effects import still
from ..envs.errors import BadInput
from ..envs.streams import Streams
from ..envs.task import SEED_RANGES, Task, observation
from ..envs.worlds import Worlds
from ..safety.episodes import TAIL_S
from ..safety.suite import disturbances_of
from .checkpoints import load_tensors, save_tensors
from .network import Student, eased, motion_of, overridden

CHUNK = 8192  # rows that are looked at in one go
SLIP_TICKS, SLIP_BEFORE, NEVER = 10, 0.7, 1 << 30  # ticks, share of the takt


@dataclass(frozen=True)
class ImitationRecipe:
    """How the student is taught.

    Each round gathers `round_ticks` ticks in all worlds and makes `round_fits` gradient steps. Within an episode the driver changes
    every `stretch` ticks or so: `mixing` is the share of stretches that the expert drives, by round (the last one stands for all
    that follow), so that a student that is stuck is helped on. A share `paced` of the episodes is driven under a constant speed
    override from `paces` (with its `reach`, beyond what is `fine`), so that the student has been where PPO will take it; `disturbed` is
    the share with one disturbance of the cell's suite, of severity 1 to `severity`; in a share `slips` the tool lets go once, so that the student has seen
    how to begin again with a part that lies beside its place. A share `hard` of each batch is drawn where the student misses most and
    the task asks for `care`. `loss_knee` is where the loss turns from square to linear; `average` is the decay of the running
    average of the weights, which is the student that acts. Episodes go on for `linger` s after success, so that the student learns to rest.
    """

    worlds: int = 128
    expert_ticks: int = 260
    rounds: int = 12
    round_ticks: int = 150
    round_fits: int = 800
    batch: int = 512
    learning_rate: float = 1e-3
    mixing: tuple[float, ...] = (0.5, 0.5, 0.4, 0.4, 0.3, 0.3, 0.2, 0.2, 0.2, 0.1)
    stretch: int = 15
    loss_knee: float = 0.04
    paced: float = 0.75
    paces: tuple[float, ...] = (-0.25, 1.0)
    reach: float = 0.6
    fine: float = 0.3
    hard: float = 0.5
    average: float = 0.999
    disturbed: float = 0.65
    slips: float = 0.3
    severity: int = 3
    linger: float = TAIL_S

    @property
    def rows(self) -> int:
        """Observations that will have been seen at the end."""
        return (self.expert_ticks + self.rounds * self.round_ticks) * self.worlds

    def share_of_expert(self, index: int) -> float:
        """The share of stretches in round `index` that the expert drives."""
        return self.mixing[min(index, len(self.mixing) - 1)]

    def rates(self) -> list[list[float]]:
        """Learning rates by round: constant, then falling over the last 60 % to a hundredth."""
        share = np.linspace(0.0, 1.0, (self.rounds + 1) * self.round_fits, endpoint=False)
        falling = self.learning_rate * np.clip((1.0 - share) / 0.6, 0.01, 1.0)
        return falling.reshape(self.rounds + 1, self.round_fits).tolist()


class Classroom:
    """The worlds in which the student is taught, and everything seen there: observations and the expert's answers.

    Episodes are watched on after success, as when they are judged: what to do then is learnt too."""

    def __init__(self, task: Task, recipe: ImitationRecipe, seed: int, threads: int = 0) -> None:
        self.task, self.recipe = task, recipe
        self.kinds = disturbances_of(task)
        self.worlds = Worlds(task, recipe.worlds, threads, tail_s=recipe.linger, disturbances=self.kinds)
        self.drivers = np.random.default_rng(seed)
        self.override = torch.zeros(recipe.worlds, 1)
        self.slip_at = np.full(recipe.worlds, NEVER)
        self.let_go = still(task)
        self.motion = motion_of(task)
        moves = (self.motion.level + self.motion.rising).numpy() > 0
        self.tool = ~moves & ~np.isin(task.action_names, task.beside)
        self.next_seed = SEED_RANGES["train"] + seed * 1_000_000
        self.observations = torch.empty(recipe.rows, len(task.observation_names))
        self.answers = torch.empty(recipe.rows, len(task.action_names))
        self.care = torch.empty(recipe.rows)
        self.count = 0
        self.expert_drives = np.ones(recipe.worlds, bool)
        self.successes: list[bool] = []

    def start(self, ids: NDArray[np.int64]) -> None:
        """New episodes in worlds `ids`."""
        seeds = self.next_seed + np.arange(len(ids))
        self.next_seed += len(ids)
        draws = Streams(f"{self.task.key}/classroom", seeds)
        kind = draws.choice("kind", len(self.kinds))
        severity = 1 + draws.choice("severity", self.recipe.severity)
        severity[draws.uniform("disturbed") >= self.recipe.disturbed] = 0
        low, high = self.recipe.paces
        pace = np.where(draws.uniform("paced") < self.recipe.paced, draws.between("pace", low, high), 0.0)
        self.override[torch.from_numpy(ids)] = torch.from_numpy(pace.astype(np.float32))[:, None]
        slip = np.rint(draws.between("slip.at", 0.0, SLIP_BEFORE * self.task.takt_s) * self.task.control_hz)
        self.slip_at[ids] = np.where(draws.uniform("slip") < self.recipe.slips, slip, NEVER)
        levels = {name: np.where(kind == i, severity, 0) for i, name in enumerate(self.kinds)}
        self.worlds.reset(ids, seeds, levels)

    def gather(self, ticks: int, student: Student | None, mixing: float) -> None:
        """Run all worlds for `ticks`; the student drives but for the stretches (all, if None) that the expert drives."""
        worlds, n = self.worlds, self.recipe.worlds
        for _ in range(ticks):
            self._change_drivers(mixing)
            ended = np.flatnonzero(worlds.done[:n])
            if len(ended):
                self.successes += worlds.success[ended].tolist()
                self.start(ended)
            seen = worlds.observation()
            answer = self.task.expert(observation(self.task, worlds.signals.now)).astype(np.float32)
            rows = slice(self.count, self.count + n)
            self.observations[rows], self.answers[rows] = (
                torch.from_numpy(seen[:n]),
                torch.from_numpy(answer[:n]),
            )
            self.care[rows] = torch.from_numpy(self.task.care(seen[:n]))
            self.count += n
            action = (
                answer
                if student is None
                else np.where(self.expert_drives[:, None], answer, student.act(seen))
            )
            pace = eased(self.override, self.observations[rows], self.motion)
            driven = overridden(
                torch.from_numpy(action), pace, self.motion, self.recipe.reach, self.recipe.fine
            )
            worlds.step(self._slipping(driven.numpy()))

    def _slipping(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        """The actions, but for the tool's where it slips now."""
        since = self.worlds.steps[: len(action)] - self.slip_at
        slips = ((since >= 0) & (since < SLIP_TICKS))[:, None] & self.tool
        return np.where(slips, self.let_go, action).astype(np.float32)

    def _change_drivers(self, mixing: float) -> None:
        """Every `stretch` ticks or so a world gets another driver."""
        turn = self.drivers.random((2, self.recipe.worlds))
        changes = turn[0] * self.recipe.stretch < 1.0
        self.expert_drives = np.where(changes, turn[1] < mixing, self.expert_drives)


class Lesson:
    """A course of teaching that can be put down after any round and taken up again.

    What is kept: the data, the student, its running average, the optimiser and the place in the course. Taken up again, the
    worlds begin new episodes, so an interrupted course is as good as an uninterrupted one, not the same to the bit.
    """

    def __init__(self, task: Task, recipe: ImitationRecipe, seed: int, threads: int = 0) -> None:
        torch.manual_seed(seed)
        self.recipe, self.seed, self.round = recipe, seed, 0
        self.room = Classroom(task, recipe, seed, threads)
        self.student = Student(len(task.observation_names), len(task.action_names))
        self.average = copy.deepcopy(self.student)
        self.optimiser = torch.optim.Adam(self.student.parameters(), recipe.learning_rate, fused=True)

    def begin(self) -> None:
        """The first data, all driven by the expert; the input normalisation comes from it."""
        self.room.start(np.arange(self.recipe.worlds))
        self.room.gather(self.recipe.expert_ticks, None, 1.0)
        for network in (self.student, self.average):
            network.normalise_by(self.room.observations[: self.room.count])

    def advance(self, pool: ThreadPoolExecutor) -> float:
        """One round: gather and fit side by side; returns the mean loss."""
        recipe, room, index = self.recipe, self.room, self.round
        known = room.count
        actor = copy.deepcopy(self.average)
        job = pool.submit(self._fit, known, recipe.rates()[index])
        try:
            if index < recipe.rounds:
                room.gather(recipe.round_ticks, actor if index else None, recipe.share_of_expert(index))
            known = room.count
            loss = job.result()
        except KeyboardInterrupt:
            room.count = known  # half a round of data is none
            job.result()  # a course can be put down after a round, not in the middle of its fit
            self.round += 1
            raise
        self.round += 1
        return loss

    def _fit(self, known: int, rates: list[float]) -> float:
        """One gradient step per rate on batches of the first `known` rows; returns the mean loss."""
        observations, answers = self.room.observations[:known], self.room.answers[:known]
        total = 0.0
        for rate, rows in zip(rates, self._batches(known, len(rates)), strict=True):
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            loss = torch.nn.functional.smooth_l1_loss(
                self.student(observations[rows]), answers[rows], beta=self.recipe.loss_knee
            )
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            total += loss.item()
            with torch.no_grad():
                for kept, new in zip(self.average.parameters(), self.student.parameters(), strict=True):
                    kept.lerp_(new, 1.0 - self.recipe.average)
        return total / max(len(rates), 1)

    @torch.no_grad()
    def _batches(self, known: int, count: int) -> Tensor:
        """`(count, batch)` rows: a share `hard` of each batch in proportion to what the student misses there, the rest anywhere."""
        recipe = self.recipe
        generator = torch.Generator().manual_seed(self.seed * 10_000 + self.round)
        hard = round(recipe.batch * recipe.hard)
        missed = torch.empty(known)
        for first in range(0, known, CHUNK):
            rows = slice(first, min(first + CHUNK, known))
            gap = self.average(self.room.observations[rows]) - self.room.answers[rows]
            missed[rows] = gap.abs().mean(1) * self.room.care[rows] + 1e-6
        anywhere = torch.randint(known, (count, recipe.batch - hard), generator=generator)
        if not hard:
            return anywhere
        drawn = torch.multinomial(missed, count * hard, replacement=True, generator=generator)
        return torch.cat([anywhere, drawn.reshape(count, hard)], dim=1)

    def save(self, path: Path) -> None:
        """Put the course down in one file of tensors."""
        room = self.room
        tensors: dict[str, Tensor] = {
            "place": torch.tensor([self.round, room.next_seed, room.count]),
            "observations": room.observations[: room.count],
            "answers": room.answers[: room.count],
            "care": room.care[: room.count],
        }
        for name, network in (("student", self.student), ("average", self.average)):
            tensors |= {f"{name}/{key}": value for key, value in network.state_dict().items()}
        for i, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam/{i}/{key}": value for key, value in state.items()}
        save_tensors(path, tensors)

    def load(self, path: Path) -> None:
        """Take up the course where it was put down. Raises BadInput."""
        try:
            self._take_up(load_tensors(path))
        except (KeyError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise BadInput(
                f"{path}: not a course of this recipe ({reason}); delete it to teach anew"
            ) from None

    def _take_up(self, tensors: dict[str, Tensor]) -> None:
        room = self.room
        self.round, room.next_seed, room.count = (int(each) for each in tensors["place"])
        for name in ("observations", "answers", "care"):
            getattr(room, name)[: room.count] = tensors[name]
        for name, network in (("student", self.student), ("average", self.average)):
            network.load_state_dict({key: tensors[f"{name}/{key}"] for key in network.state_dict()})
        whole = self.optimiser.state_dict()
        steps: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("adam/"):
                _, number, part = key.split("/")
                steps.setdefault(int(number), {})[part] = value
        self.optimiser.load_state_dict({**whole, "state": steps})
        room.start(np.arange(self.recipe.worlds))


def teach(
    task: Task,
    recipe: ImitationRecipe,
    seed: int,
    threads: int = 0,
    report: Callable[[int, float, float], None] = lambda done, loss, success: None,
    keep: Path | None = None,
) -> Student:
    """Teach a student; returns its running average, which is the one that acts.

    `report(rounds done, loss, recent success with the expert's help)` is called after every round. Interrupted, the course is put
    down at `keep`; standing there, it is taken up again.
    """
    lesson = Lesson(task, recipe, seed, threads)
    if keep is not None and keep.is_file():
        lesson.load(keep)
    else:
        lesson.begin()
    try:
        with ThreadPoolExecutor(1) as pool:  # its end waits for a fit that is under way
            while lesson.round <= recipe.rounds:
                loss = lesson.advance(pool)
                report(lesson.round, loss, float(np.mean(lesson.room.successes[-200:] or [False])))
    except KeyboardInterrupt:
        if keep is not None:
            lesson.save(keep)
        raise
    if keep is not None:
        keep.unlink(missing_ok=True)
    return lesson.average
