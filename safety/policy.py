"""What a judged policy looks like from here: something that acts, with a name and a hash. Who it is stays outside."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Policy(Protocol):
    """A policy as `genba.policies.load` hands it over.

    Attributes:
        kind: "onnx", "scripted", "random", "zero" or "callable".
        name: what people call it.
        sha256: the hash of what decides its actions.
    """

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    def act(
        self, observation: NDArray[np.float32], seeds: NDArray[np.int64], steps: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Actions `(n, A)` in [-1, 1] for observations `(n, d)`. Each row depends on its own observation, seed and step only."""
        ...


class Judged(Policy, Protocol):
    """A policy with the task that it is for and the folder in which its checks are kept."""

    @property
    def task(self) -> str: ...

    @property
    def folder(self) -> Path: ...


class OneAtATime:
    """A policy that several threads may ask: foreign code is never called twice at once."""

    def __init__(self, policy: Policy) -> None:
        self.kind, self.name, self.sha256 = policy.kind, policy.name, policy.sha256
        self._policy, self._lock = policy, Lock()

    def act(
        self, observation: NDArray[np.float32], seeds: NDArray[np.int64], steps: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """As the policy acts."""
        with self._lock:
            return self._policy.act(observation, seeds, steps)
