"""Random streams keyed by (task version, seed, stream name, step): counter based, so a world's draws never depend on others.

Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), vectorised over seeds. Policy and
condition never enter a key: two policies, or one with and without a disturbance, meet the same world.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Words = NDArray[np.uint64]

_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Ten rounds of Philox4x32 on arrays of 32-bit words held in uint64."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (p1 >> _SHIFT) ^ c1 ^ np.uint64(k0),
            p1 & _LOW,
            (p0 >> _SHIFT) ^ c3 ^ np.uint64(k1),
            p0 & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


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
        digest = hashlib.sha256(f"{self.task_version}\0{name}".encode()).digest()
        key = (int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little"))
        seeds = self.seeds.astype(np.uint64)[:, None]
        steps = np.broadcast_to(np.asarray(step, np.uint64), self.seeds.shape)[:, None]
        index = np.arange((count + 1) // 2, dtype=np.uint64)[None]
        low, high, block, tick = np.broadcast_arrays(seeds & _LOW, seeds >> _SHIFT, index, steps & _LOW)
        words = philox((low, high, block, tick), key)
        pairs = [(words[0] << np.uint64(20)) | (words[1] >> np.uint64(12)),
                 (words[2] << np.uint64(20)) | (words[3] >> np.uint64(12))]
        bits = np.stack(pairs, axis=-1).reshape(len(self.seeds), -1)[:, :count]
        return np.ascontiguousarray(((bits.astype(np.float64) + 0.5) * 2.0**-52).reshape(len(self.seeds), *size))

    def normal(
        self, name: str, size: tuple[int, ...] = (), step: int | NDArray[np.int64] = 0
    ) -> NDArray[np.float64]:
        """`(n, *size)` standard normal draws by inversion (a scalar routine: the same bits at any batch)."""
        draws: NDArray[np.float64] = ndtri(self.uniform(name, size, step))
        return draws

    def between(self, name: str, low: float, high: float, size: tuple[int, ...] = ()) -> NDArray[np.float64]:
        """`(n, *size)` uniform draws in (low, high), drawn at step 0."""
        return low + (high - low) * self.uniform(name, size)

    def choice(self, name: str, count: int) -> NDArray[np.int64]:
        """`(n,)` integers in [0, count), drawn at step 0."""
        return np.minimum((self.uniform(name) * count).astype(np.int64), count - 1)
