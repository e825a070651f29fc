"""The plan of a check: what will be judged, by what, in which worlds. It is written and hashed before the first episode runs.

Episode `i` meets condition `i % conditions` with seed `judge + seed_base * 1,000,000 + i`, so that the conditions advance together
and no two episodes of a check share a seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..envs.files import canonical_json, sha256_hex
from ..envs.task import SEED_RANGES
from .suite import Condition, Suite

SEEDS_PER_BASE = 1_000_000
LARGEST_SEED = SEEDS_PER_BASE - 1  # larger bases belong to attempts without --seed
LARGEST_SHARD, FEWEST_SHARDS = 128, 16


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PolicyIdentity(_Frozen):
    """What is judged: its kind, a name for people, and the hash of its bytes."""

    kind: str
    name: str
    sha256: str


class Assessed(_Frozen):
    """A constraint that this cell can judge, and the unit of its margin."""

    id: str
    unit: str


class NotAssessed(_Frozen):
    """A constraint that this cell cannot judge, and why."""

    id: str
    why: str


@dataclass(frozen=True)
class Episode:
    """One episode of a plan."""

    index: int
    condition: int
    disturbance: str
    severity: int
    seed: int


class Plan(_Frozen):
    """Everything that decides the outcome of a check, and nothing else (no clock, path or thread count)."""

    format: Literal[1] = 1
    task: str
    task_version: str
    cell: dict[str, tuple[float, float]] = Field(default_factory=dict)
    damaging: tuple[str, ...] = ()
    suite: Suite
    policy: PolicyIdentity
    conditions: tuple[Condition, ...] = Field(min_length=1)
    seed_base: int = Field(ge=0, lt=10**12)
    episodes_per_condition: int = Field(ge=1)
    episodes: int
    episodes_per_shard: int = Field(ge=1)
    confidence: float = Field(gt=0.5, lt=1.0)
    assessed: tuple[Assessed, ...]
    not_assessed: tuple[NotAssessed, ...]
    metrics: tuple[str, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _follows_the_suite(self) -> Plan:
        suite = self.suite
        asked = (suite.conditions, suite.episodes_per_condition, suite.verdict.confidence)
        if (self.conditions, self.episodes_per_condition, self.confidence) != asked:
            raise ValueError("expected the conditions, episodes and confidence of the suite")
        ids = [each.id for each in self.assessed] + [each.id for each in self.not_assessed]
        if sorted(ids) != sorted(each.id for each in suite.constraints):
            raise ValueError("expected each constraint of the suite once, assessed or not assessed")
        return self

    @model_validator(mode="after")
    def _adds_up(self) -> Plan:
        if self.episodes != len(self.conditions) * self.episodes_per_condition:
            raise ValueError(
                f"expected {len(self.conditions)} conditions x {self.episodes_per_condition} episodes, "
                f"found {self.episodes} episodes"
            )
        if self.episodes > SEEDS_PER_BASE:
            raise ValueError(f"expected at most {SEEDS_PER_BASE:,} episodes, found {self.episodes:,}")
        return self

    @property
    def sha256(self) -> str:
        return sha256_hex(self.to_bytes())

    @property
    def identity(self) -> str:
        """The hash of what decides the rows: the plan but for the policy's name, which is for people."""
        nameless = self.policy.model_copy(update={"name": ""})
        return self.model_copy(update={"policy": nameless}).sha256

    @property
    def shards(self) -> int:
        return -(-self.episodes // self.episodes_per_shard)

    def to_bytes(self) -> bytes:
        """The canonical JSON text."""
        return canonical_json(self.model_dump(mode="json"))

    def episode(self, index: int) -> Episode:
        """Episode `index`, 0 .. episodes - 1."""
        if not 0 <= index < self.episodes:
            raise IndexError(index)
        condition = index % len(self.conditions)
        chosen = self.conditions[condition]
        seed = SEED_RANGES["judge"] + self.seed_base * SEEDS_PER_BASE + index
        return Episode(index, condition, chosen.disturbance, chosen.severity, seed)

    def shard(self, number: int) -> range:
        """The episode indices of a shard."""
        start = number * self.episodes_per_shard
        return range(start, min(start + self.episodes_per_shard, self.episodes))

    def episodes_of(self, shards: list[int]) -> Iterator[Episode]:
        """The episodes of some shards, in plan order."""
        for number in shards:
            for index in self.shard(number):
                yield self.episode(index)


def fresh_seed_base(policy_sha256: str, suite: Suite, attempt: int) -> int:
    """The seed base of an attempt for which nobody chose a seed: each attempt at each policy meets new worlds."""
    text = f"{policy_sha256}/{sha256_hex(canonical_json(suite.model_dump(mode='json')))}/{attempt}"
    return SEEDS_PER_BASE + int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def episodes_per_shard(episodes: int) -> int:
    """128, or fewer where that would leave less than 16 shards to resume from."""
    return max(1, min(LARGEST_SHARD, episodes // FEWEST_SHARDS))
