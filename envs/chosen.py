"""Start quantities that somebody chooses: streams in which named draws are given, and streams that note what is asked of them.

A start quantity is a draw between 0 and 1 of a named stream at step 0, before the task scales it. Given draws take the place of those
of the seed and of nothing else, so that an episode with chosen draws is the same, bit for bit, wherever it is played.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .errors import BadInput
from .streams import Streams

Draws = Mapping[str, NDArray[np.float64]]


class Chosen(Streams):
    """Streams whose draws at step 0 are given where `draws` has them: name -> `(n, k)` in (0, 1), NaN where the seed draws.

    Raises:
        BadInput: a given draw outside the open interval (0, 1), or, when it is drawn, fewer than are asked for.
    """

    def __init__(self, task_version: str, seeds: NDArray[np.int64], draws: Draws) -> None:
        super().__init__(task_version, seeds)
        for name, given in draws.items():
            if (np.isfinite(given) & ((given <= 0.0) | (given >= 1.0))).any() or np.isinf(given).any():
                raise BadInput(f"chosen draws of {name}: expected numbers between 0 and 1, both left out")
        self._draws = draws

    def uniform(
        self, name: str, size: tuple[int, ...] = (), step: int | NDArray[np.int64] = 0
    ) -> NDArray[np.float64]:
        drawn = super().uniform(name, size, step)
        given = self._draws.get(name)
        if given is None or not isinstance(step, int) or step:
            return drawn
        count = math.prod(size)
        if given.shape[1] < count:
            raise BadInput(f"chosen draws of {name}: expected {count}, found {given.shape[1]}")
        wanted = given[:, :count].reshape(drawn.shape)
        return np.where(np.isnan(wanted), drawn, wanted)


class Noted(Chosen):
    """Chosen streams that note what was asked: `sizes`, how many draws of each stream, and `counts`, among how many it chose."""

    def __init__(self, task_version: str, seeds: NDArray[np.int64], draws: Draws) -> None:
        super().__init__(task_version, seeds, draws)
        self.sizes: dict[str, int] = {}
        self.counts: dict[str, int] = {}

    def uniform(
        self, name: str, size: tuple[int, ...] = (), step: int | NDArray[np.int64] = 0
    ) -> NDArray[np.float64]:
        if isinstance(step, int) and step == 0:
            self.sizes[name] = max(self.sizes.get(name, 0), math.prod(size))
        return super().uniform(name, size, step)

    def choice(self, name: str, count: int) -> NDArray[np.int64]:
        self.counts[name] = count
        return super().choice(name, count)
