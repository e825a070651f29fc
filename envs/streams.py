"""Random streams keyed by (task version, seed, stream name, step): counter based, so a world's draws never depend on others.

Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), vectorised over seeds. Policy and
condition never enter a key: two policies, or one with and without a disturbance, meet the same world.
"""

from __future__ import annotations

import hashlib
import math
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Word = TypeVar("Word", int, NDArray[Any])  # uint64

_LOW = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
FEW = 12  # blocks up to which plain integers are faster than arrays


def philox(counter: tuple[Word, Word, Word, Word], key: tuple[int, int]) -> tuple[Word, Word, Word, Word]:
    """Ten rounds of Philox4x32 on 32-bit words: integers, or arrays of uint64."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _LOW, (p0 >> 32) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return c0, c1, c2, c3


def fractions(words: tuple[Word, Word, Word, Word]) -> tuple[Word, Word]:
    """The two 52-bit integers of a block."""
    return (words[0] << 20) | (words[1] >> 12), (words[2] << 20) | (words[3] >> 12)


@cache
def stream_key(task_version: str, name: str) -> tuple[int, int]:
    """The key of a stream."""
    digest = hashlib.sha256(f"{task_version}\0{name}".encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


class Streams:
    """The draws of n worlds, one seed each.

    Args:
        task_version: for example "kit-pick/1"; part of every key.
        seeds: `(n,)` non-negative integers below 2**63.
    """

    def __init__(self, task_version: str, seeds: NDArray[np.int64]) -> None:
        self.task_version = task_version
        self.seeds = np.asarray(seeds, np.int64)

    def __len__(self) -> int:
        return len(self.seeds)

    def uniform(
        self, name: str, size: tuple[int, ...] = (), step: int | NDArray[np.int64] = 0
    ) -> NDArray[np.float64]:
        """`(n, *size)` float64 in the open interval (0, 1), 52 bits each, from stream `name` at `step`."""
        count = math.prod(size)
        key, blocks = stream_key(self.task_version, name), (count + 1) // 2
        steps = np.broadcast_to(np.asarray(step, np.uint64), self.seeds.shape)
        make = self._few if len(self.seeds) * blocks <= FEW else self._many
        bits = make(steps, blocks, key)[:, :count]
        return np.ascontiguousarray(((bits + 0.5) * 2.0**-52).reshape(len(self.seeds), *size))

    def _many(self, steps: NDArray[np.uint64], blocks: int, key: tuple[int, int]) -> NDArray[np.float64]:
        """`(n, 2 * blocks)` integers below 2**52."""
        seeds, index = self.seeds.astype(np.uint64)[:, None], np.arange(blocks, dtype=np.uint64)[None]
        low, high, block, tick = np.broadcast_arrays(seeds & _LOW, seeds >> 32, index, steps[:, None] & _LOW)
        pairs = fractions(philox((low, high, block, tick), key))
        return np.stack(pairs, axis=-1).reshape(len(self.seeds), -1).astype(np.float64)

    def _few(self, steps: NDArray[np.uint64], blocks: int, key: tuple[int, int]) -> NDArray[np.float64]:
        """The same, number by number."""
        rows = [
            [
                half
                for block in range(blocks)
                for half in fractions(philox((seed & _LOW, seed >> 32, block, tick & _LOW), key))
            ]
            for seed, tick in zip(self.seeds.tolist(), steps.tolist(), strict=True)
        ]
        return np.array(rows, np.float64).reshape(len(self.seeds), -1)

    def normal(
        self, name: str, size: tuple[int, ...] = (), step: int | NDArray[np.int64] = 0
    ) -> NDArray[np.float64]:
        """`(n, *size)` standard normal draws by inversion (a scalar routine: the same bits at any batch)."""
        draws: NDArray[np.float64] = ndtri(self.uniform(name, size, step))
        return draws

    def between(
        self,
        name: str,
        low: float | NDArray[np.float64],
        high: float | NDArray[np.float64],
        size: tuple[int, ...] = (),
    ) -> NDArray[np.float64]:
        """`(n, *size)` uniform draws in (low, high), drawn at step 0."""
        return np.asarray(low + (high - low) * self.uniform(name, size))

    def choice(self, name: str, count: int) -> NDArray[np.int64]:
        """`(n,)` integers in [0, count), drawn at step 0."""
        return np.minimum((self.uniform(name) * count).astype(np.int64), count - 1)
