"""A released policy where it works: onnxruntime, numpy, its contract and its monitor. No torch, no simulator.

release = Runtime("releases/kit-pick-3f9c2a")
guard = release.guard(available=["tcp.speed", "grip.force.max"])  # those of monitor.json that the cell measures
tick = guard.tick({"tcp.speed": 0.2, "grip.force.max": 31.0})
command = release.hold(command) if tick.stop else release.command(observation)
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..envs.errors import BadInput
from .contract import Contract, read_contract
from .manifest import verify_manifest
from .onnx_policy import OnnxPolicy
from .watch import Guard, Watched, read_watched


class Runtime:
    """A release, verified against its manifest when it is opened.

    Args:
        folder: the release.

    Attributes:
        contract: names, units, ranges and rates of what goes in and out.
        watched: the constraints and signals of its monitor.

    Raises:
        BadInput: no release there, or one whose files do not fit together.
        Refused: a file is missing, added or changed.
    """

    kind = "onnx"

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        verify_manifest(self.folder)
        self.contract: Contract = read_contract(self.folder / "contract.json")
        self.watched: Watched = read_watched(self.folder / "monitor.json")
        columns, channels = len(self.contract.observation), len(self.contract.action)
        self._policy = OnnxPolicy(self.folder / "policy.onnx", self.folder.name, columns, channels)
        self.name, self.sha256 = self._policy.name, self._policy.sha256
        self._low = np.array([each.low for each in self.contract.observation], np.float32)
        self._high = np.array([each.high for each in self.contract.observation], np.float32)

    @property
    def task(self) -> str:
        """The id of the task that it was judged on."""
        return self.contract.task

    def act(
        self, observation: NDArray[np.float32], seeds: NDArray[np.int64], steps: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """`(n, d)` observations to `(n, A)` actions in [-1, 1]."""
        return self._policy.act(observation, seeds, steps)

    def command(self, observation: ArrayLike) -> NDArray[np.float32]:
        """`(n, d)` or `(d,)` observations to commands of the same rank, in the SI units of the contract.

        Raises BadInput on another width, on a number that is not finite, or one outside the contract's range.
        """
        rows = np.atleast_2d(np.asarray(observation, np.float32))
        if rows.ndim != 2 or rows.shape[1] != len(self._low):
            raise BadInput(
                f"observation: expected {len(self._low)} columns, found shape {np.shape(observation)}"
            )
        outside = ~((rows >= self._low) & (rows <= self._high))
        if outside.any():
            row, column = (int(each[0]) for each in np.nonzero(outside))
            what = self.contract.observation[column]
            raise BadInput(
                f"observation {what.name}: expected {what.low:g} to {what.high:g} {what.unit}, found {rows[row, column]:g}"
            )
        given = self._by_contract(rows)
        return given if np.ndim(observation) == 2 else given[0]

    def _by_contract(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the actions stand for, which are what was judged; held to their range, as they were then."""
        steps = np.zeros(len(rows), np.int64)
        low, high = (
            np.array(each) for each in zip(*((a.low, a.high) for a in self.contract.action), strict=True)
        )
        action = self._policy.act(rows, steps, steps).clip(low, high)
        return self.contract.commands(action).astype(np.float32)

    def hold(self, last: ArrayLike) -> NDArray[np.float32]:
        """The command to stand still with, `(A,)`: no velocity, and the rest (a grip, a vacuum) as it was in `last`."""
        still = np.array([each.unit.endswith("/s") for each in self.contract.action])
        return np.where(still, np.float32(0.0), np.asarray(last, np.float32))

    def guard(self, available: Collection[str] | None = None, dt: float | None = None) -> Guard:
        """A monitor for one robot that has these signals (None: all), sampled every `dt` seconds (None: one control tick)."""
        return Guard(self.watched, available, dt or 1.0 / self.contract.control_hz)
