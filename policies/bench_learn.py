"""`genba bench learn`: the recipe of a task on several training seeds, measured on test seeds that nothing was chosen by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput
from ..envs.task import SEED_RANGES, Task, get_task
from ..safety.progress import Say
from .evaluate import Act, Comparison, Held, evaluate
from .onnx_policy import OnnxPolicy
from .runs import POLICY
from .train import BAD_DAYS, BEFORE, TrainResult, train


@dataclass(frozen=True)
class Learnt:
    """One training seed: the run, and student and result on the test seeds (twice the student where it stayed)."""

    seed: int
    trained: TrainResult
    tested: Comparison

    @property
    def improved(self) -> bool:
        """PPO's candidate left, and not the student."""
        return self.tested.after is not self.tested.before

    def as_json(self) -> dict[str, Any]:
        cycle, held = self.tested.cycle_change(), self.tested.after
        return {
            "seed": self.seed,
            "run": str(self.trained.run),
            "train_s": round(self.trained.train_s, 1),
            "weights_sha256": self.trained.weights,
            "improved": self.improved,
            "success": held.as_json(),
            "success_of_student": self.tested.before.as_json(),
            "success_on_bad_days": int(held.success.sum()) - held.count,
            "bad_days": len(held.plain) - held.n,
            "cycle_change": [cycle.estimate, cycle.lower, cycle.upper],
            "before_after": self.tested.line(),
        }


@dataclass(frozen=True)
class Lessons:
    """All training seeds of one task."""

    task: str
    rows: tuple[Learnt, ...]

    def as_json(self) -> Mapping[str, Any]:
        return {"task": self.task, "seeds": [row.as_json() for row in self.rows]}

    def table(self) -> str:
        lines = [f"learn    {self.task}: {len(self.rows)} training seeds, judged on test seeds"]
        for row in self.rows:
            word = "PPO" if row.improved else "student stays"
            lines.append(
                f"         seed {row.seed}: {row.trained.train_s:.0f} s, {word}: {row.tested.line()}"
            )
        return "\n".join(lines)


def bench_learn(
    task: str, *, seeds: int = 5, episodes: int = 1000, threads: int = 0, say: Say | None = None
) -> Lessons:
    """Train `task` with seeds 0, 1, ... and test each on the same `episodes` plain test seeds and a quarter as many bad days.

    Raises UnknownName, BadInput.
    """
    if seeds < 1 or episodes < 2:
        raise BadInput("expected at least 1 training seed and 2 episodes")
    job = get_task(task)
    bad = round(episodes * BAD_DAYS)
    tests = SEED_RANGES["test"] + np.arange(episodes + bad)
    return Lessons(task, tuple(_learnt(job, seed, tests, bad, threads, say) for seed in range(seeds)))


def _learnt(
    task: Task, seed: int, tests: NDArray[np.int64], bad: int, threads: int, say: Say | None
) -> Learnt:
    trained = train(task.id, seed=seed, threads=threads, say=say)

    def tested(folder: str) -> Held:
        return evaluate(_acts(OnnxPolicy(trained.run / folder / POLICY)), task, tests, bad, threads)

    after = tested("")
    before = tested(BEFORE) if (trained.run / BEFORE / POLICY).is_file() else after
    learnt = Learnt(seed, trained, Comparison(before, after))
    if say is not None:
        say(f"seed {seed}: {learnt.tested.line()}")
    return learnt


def _acts(policy: OnnxPolicy) -> Act:
    def act(observation: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = np.zeros(len(observation), np.int64)
        return policy.act(observation, rows, rows)

    return act
