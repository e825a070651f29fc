"""`genba train`: the expert teaches, PPO improves, held-out episodes choose, and the result is exported.

A run folder holds the resolved configuration, the command line, versions, metrics, a TensorBoard log and checkpoints as
safetensors. The same recipe, seed, platform and thread count give the same weights.
"""

from __future__ import annotations

import copy
import json
import textwrap
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from ..envs.errors import BadInput
from ..envs.files import atomic_write_text, plain_json, sha256_file
from ..envs.task import SEED_RANGES, Task, get_task
from ..safety.progress import Progress, Say
from .checkpoints import load_student, save_tensors
from .evaluate import Act, Comparison, Held, evaluate, together
from .export import export
from .imitate import teach
from .improve import improve
from .network import Student, weights_sha256
from .recipes import Recipe, changed, recipe_for
from .runs import (
    CONFIG,
    POLICY,
    SUMMARY,
    WEIGHTS,
    describe_run,
    held_alone,
    latest_unfinished,
    new_run,
    read_config,
)

STUDENT = Path("checkpoints") / "student.safetensors"
LESSON = Path("checkpoints") / "lesson.safetensors"
LINE = 110  # characters of what is said of before and after
BEFORE = "student"  # what PPO started from, as a policy that can be checked and compared
LARGEST_SEED = 999  # a million training seeds each, below those that select
BAD_DAYS = 0.25  # share of the held-out episodes that are disturbed
# shares of the learned override that held-out episodes are offered, in this order
OVERRIDES = (1.0, 0.8, 0.6)


@dataclass(frozen=True)
class TrainResult:
    """What a training run came to. `success` is measured on the select seeds."""

    run: Path
    held: Held
    line: str
    taught_s: float
    improved_s: float
    train_s: float
    env_steps: int
    weights: str
    parity: float

    def as_json(self) -> Mapping[str, Any]:
        return {
            "run": str(self.run),
            "success": self.held.as_json(),
            "train_s": round(self.train_s, 1),
            "env_steps": self.env_steps,
            "weights_sha256": self.weights,
            "before_after": self.line,
        }

    def table(self) -> str:
        lower = self.held.as_json()["lower95"]
        return "\n".join(
            [
                f"learn    student of the expert {self.taught_s:.0f} s, PPO {self.improved_s:.0f} s, "
                f"{self.train_s:.0f} s in all, {self.env_steps:,} steps".ljust(72)
                + f" {self.run}",
                *(f"         {part}" for part in textwrap.wrap(self.line, LINE)),
                f"         success {self.held.count}/{self.held.n} on held-out seeds, at least {100 * lower:.1f} % (95 %)",
                f"export   policy.onnx, parity {self.parity:.1e}        next: genba check {self.run}",
            ]
        )


class Log:
    """Metrics of a run, as lines of JSON and for TensorBoard."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "metrics.jsonl"
        self.writer = SummaryWriter(str(folder / "tb"), flush_secs=5)

    def write(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": stage, "step": step, **values}) + "\n")
        for name, value in values.items():
            self.writer.add_scalar(f"{stage}/{name}", value, step)

    def close(self) -> None:
        """At the end of a run that nothing interrupted: an interruption may leave the writer's queue locked for ever."""
        self.writer.close()


def train(
    task: str,
    *,
    seed: int | None = None,
    steps: int | None = None,
    threads: int = 0,
    settings: list[str] | None = None,
    resume: bool = False,
    say: Say | None = None,
) -> TrainResult:
    """Train a policy for `task` in a new run folder, or go on with the latest unfinished one.

    Raises UnknownName, BadInput; KeyboardInterrupt says how to go on.
    """
    job = get_task(task)
    if job.foreign:
        raise BadInput(
            f"{job.id}: nobody here can teach it; `genba import` takes in what was learnt elsewhere, `genba check` judges it"
        )
    if resume:
        if settings or steps is not None or seed is not None:
            raise BadInput("--resume goes on with the run's own recipe: leave out --set, --steps and --seed")
        folder = latest_unfinished(job.id)
        seed, recipe = _read_recipe(folder)
        if say is not None:
            say(f"goes on with {folder}")
    else:
        recipe, seed = recipe_for(job.cell.task, settings or [], steps), seed or 0
        _check_seed(seed)
        folder = new_run(job.id)
        describe_run(folder, {"task": job.id, "seed": seed, "threads": threads, **_plain(recipe)})
    try:
        with held_alone(folder):
            return _train(job, folder, recipe, seed, threads, say)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{folder} is kept; go on with: genba train {job.id} --resume") from None


def _train(task: Task, folder: Path, recipe: Recipe, seed: int, threads: int, say: Say | None) -> TrainResult:
    began = time.perf_counter()
    torch.set_num_threads(1)
    log = Log(folder)
    student = _taught(task, folder, recipe, seed, threads, say, log)
    taught = time.perf_counter()
    with Progress("improve", recipe.ppo.iterations, say=say) as bar:

        def improved(done: int, success: float) -> None:
            log.write("ppo", done, {"success": success})
            bar.advance(1, f"success {100 * success:.0f} %")

        candidate, _ = improve(student, task, recipe.ppo, seed, threads, improved)
    better = time.perf_counter()
    chosen, comparison = choose(task, student, candidate, recipe.select, threads, recipe.confirm)
    save_tensors(folder / WEIGHTS, chosen.state_dict())
    parity = export(chosen, task, folder)
    if chosen is not student:
        (folder / BEFORE).mkdir(exist_ok=True)
        export(student, task, folder / BEFORE)
    held = comparison.after if chosen is not student else comparison.before
    asked = "PPO brought nothing that holds" if recipe.ppo.iterations else "PPO was not asked for"
    kept = "" if chosen is not student else f"{asked}; the student stays. "
    result = TrainResult(
        folder,
        held,
        kept + comparison.line(),
        taught - began,
        better - taught,
        time.perf_counter() - began,
        recipe.steps,
        weights_sha256(chosen.state_dict()),
        parity,
    )
    made = {
        str(path.relative_to(folder)): sha256_file(path)
        for path in (folder / POLICY, folder / BEFORE / POLICY)
        if path.is_file()
    }
    atomic_write_text(folder / SUMMARY, plain_json({**result.as_json(), "made": made}) + "\n")
    log.close()
    return result


def _taught(
    task: Task, folder: Path, recipe: Recipe, seed: int, threads: int, say: Say | None, log: Log
) -> Student:
    """The student: from its checkpoint where one stands already, else taught."""
    path = folder / STUDENT
    if path.is_file():
        return load_student(path)
    keep = folder / LESSON
    with Progress("teach", recipe.imitation.rounds + 1, say=say) as bar:

        def reported(done: int, loss: float, success: float) -> None:
            log.write("imitation", done, {"loss": loss, "success": success})
            bar.advance(1, f"success {100 * success:.0f} % with the expert's help")

        student = teach(task, recipe.imitation, seed, threads, reported, keep)
    save_tensors(path, student.state_dict())
    return student


def choose(
    task: Task, student: Student, candidate: Student, episodes: int, threads: int, confirm: int = 0
) -> tuple[Student, Comparison]:
    """The candidate with the largest share of its override that gains something and loses nothing; else the student.

    A loss of one in a hundred hardly shows in 256 episodes, nor does what rare ones look like: a candidate that is promising there
    plays `confirm` further episodes, as does the student, and all of them together decide.
    """

    def played(act: Act, start: int, count: int) -> Held:
        seeds = SEED_RANGES["select"] + start + np.arange(count)
        return evaluate(act, task, seeds, round(count * BAD_DAYS), threads)

    before = played(student.act, 0, episodes)
    further: Held | None = None
    best: Comparison | None = None  # of those not taken, the one that came furthest
    for share in OVERRIDES:
        scaled = copy.deepcopy(candidate)
        if scaled.override is not None:
            scaled.override.get_buffer("reach").mul_(share)
        comparison = Comparison(before, played(scaled.act, 0, episodes))
        promising = comparison.promising
        if promising and confirm:
            further = further or played(student.act, episodes, confirm)
            after = together(comparison.after, played(scaled.act, episodes, confirm))
            comparison = Comparison(together(before, further), after)
        if promising and comparison.accepted:
            return scaled, comparison
        if best is None or len(comparison.before.plain) > len(best.before.plain):
            best = comparison
    assert best is not None
    return student, best


def _plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain lists and numbers."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    return plain


def _check_seed(seed: int) -> None:
    if not 0 <= seed <= LARGEST_SEED:
        raise BadInput(f"--seed {seed}: expected 0 to {LARGEST_SEED}")


def _read_recipe(folder: Path) -> tuple[int, Recipe]:
    """Seed and recipe of a run that was begun. Raises BadInput."""
    config, recipe = read_config(folder), Recipe()
    try:
        for part in ("imitation", "ppo"):
            for name, value in config[part].items():
                recipe = changed(recipe, f"{part}.{name}", value)
        for name in ("select", "confirm"):
            recipe = changed(recipe, name, config[name])
        seed = int(config["seed"])
        _check_seed(seed)
        return seed, recipe
    except (KeyError, TypeError, ValueError, AttributeError, BadInput) as error:
        raise BadInput(f"{folder / CONFIG}: not the recipe of a run ({error}); start a new run") from None
