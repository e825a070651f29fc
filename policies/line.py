"""The whole line: learn, check and release, told on one screen."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..envs.errors import GenbaError
from ..safety.campaign import check
from ..safety.progress import Say
from ..safety.result import CheckResult
from .load import load_policy
from .release import ReleaseResult, release
from .train import TrainResult, train


@dataclass(frozen=True)
class LineResult:
    """What `genba go` came to; without PASS there is no release."""

    trained: TrainResult
    checked: CheckResult
    released: ReleaseResult | None
    refused: str
    seconds: float

    @property
    def exit_code(self) -> int:
        return 0 if self.released is not None else 1

    def as_json(self) -> Mapping[str, Any]:
        return {
            "train": self.trained.as_json(),
            "check": self.checked.as_json(),
            "release": self.released.as_json() if self.released else None,
            "seconds": round(self.seconds, 1),
        }

    def table(self) -> str:
        last = self.released.table() if self.released else f"release  refused: {self.refused}"
        return "\n".join([self.trained.table(), self.checked.table(), last, f"took     {self.seconds:.0f} s"])


def go(task: str, *, seed: int = 0, threads: int = 0, say: Say | None = None) -> LineResult:
    """Train a policy for `task`, judge it by its suite, and release it if it passes."""
    began = time.perf_counter()
    trained = train(task, seed=seed, threads=threads, say=say)
    checked = check(load_policy(str(trained.run)), threads=threads, say=say, scan=True)
    try:
        released, refused = release(str(trained.run), scanned=checked.scan), ""
    except GenbaError as refusal:
        released, refused = None, str(refusal)
    return LineResult(trained, checked, released, refused, time.perf_counter() - began)
