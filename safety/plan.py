"""The plan of a check: what will be judged, by what, in which worlds. It is written and hashed before the first episode runs.

Episode `i` meets condition `i % conditions` with seed `judge + seed_base * 1,000,000 + i`, so that the conditions advance together
and no two episodes of a check share a seed. A check that stops when it is decided runs the same episodes in the same
order, looks after every so many whole rounds of conditions, and never past the end of its plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..envs.errors import BadInput
from ..envs.files import canonical_json, sha256_hex
from ..envs.task import SEED_RANGES
from .lanes import FIXED, UNTIL_DECIDED, Lane
from .suite import Condition, Suite

SEEDS_PER_BASE = 1_000_000
MOST_ATTEMPTS, TEST_BASES = 999, 500  # looked for; the upper half of the test seeds is for runs of releases
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


class Looks(_Frozen):
    """Of a check that stops when it is decided: it looks after `every` episodes, whole rounds of conditions and whole
    shards.
    """

    every: int = Field(ge=1)


class NotAssessed(_Frozen):
    """A constraint that this cell cannot judge, and why."""

    id: str
    why: str


@dataclass(frozen=True)
class Episode:
    """One episode: of a plan, or (with `draws`, the start quantities that are chosen by stream) of a search."""

    index: int
    condition: int
    disturbance: str
    severity: float  # whole in a plan; a sweep also asks between two steps
    seed: int
    draws: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


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
    looks: Looks | None = None
    scan: bool = False

    @model_validator(mode="after")
    def _follows_the_suite(self) -> Plan:
        suite = self.suite
        each = self.episodes_per_condition if self.looks else suite.episodes_per_condition
        asked = (suite.conditions, each, suite.verdict.confidence)
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
        if self.looks and (
            self.looks.every % self.episodes_per_shard or self.episodes_per_shard % self.round
        ):
            raise ValueError("expected looks after whole shards, and shards of whole rounds")
        if self.episodes % self.round:
            raise ValueError("expected whole rounds of conditions and strata")
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
        """The canonical JSON text; what a plan does not have (looks, a scan) it does not speak of."""
        absent = {name for name in ("looks", "scan") if not getattr(self, name)}
        return canonical_json(self.model_dump(mode="json", exclude=absent))

    @property
    def key(self) -> str:
        """The task's id and version, as random streams know it."""
        return f"{self.task}/{self.task_version}"

    @property
    def round(self) -> int:
        """Episodes that meet each condition in each stratum once."""
        return len(self.conditions) * (self.suite.strata.parts if self.suite.strata else 1)

    @cached_property
    def stratified_seeds(self) -> tuple[int, ...] | None:
        """The seeds of a plan with strata, in order; None where they just count up."""
        if self.suite.strata is None:
            return None
        first = SEED_RANGES["judge"] + self.seed_base * SEEDS_PER_BASE
        found = self.suite.strata.seeds(self.key, first, self.episodes, len(self.conditions), SEEDS_PER_BASE)
        return tuple(found.tolist())

    @property
    def lane(self) -> Lane:
        """Whose bounds judge this plan's evidence."""
        return UNTIL_DECIDED if self.looks else FIXED

    @property
    def ends(self) -> tuple[int, ...]:
        """After how many episodes the evidence may be judged, ascending; the last is the whole plan."""
        every = self.looks.every if self.looks else self.episodes
        return (*range(every, self.episodes, every), self.episodes)

    def episode(self, index: int) -> Episode:
        """Episode `index`, 0 .. episodes - 1."""
        if not 0 <= index < self.episodes:
            raise IndexError(index)
        condition = index % len(self.conditions)
        chosen = self.conditions[condition]
        chosen_seeds = self.stratified_seeds
        seed = SEED_RANGES["judge"] + self.seed_base * SEEDS_PER_BASE + index
        if chosen_seeds is not None:
            seed = chosen_seeds[index]
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


def chosen_seed(seed: int) -> int:
    """A seed that somebody chose (`--seed`). Raises BadInput unless it is one of theirs: larger ones belong to attempts without."""
    if not 0 <= seed <= LARGEST_SEED:
        raise BadInput(f"--seed {seed}: expected 0 to {LARGEST_SEED:,}")
    return seed


def fresh_seed_base(policy_sha256: str, suite: Suite, attempt: int) -> int:
    """The seed base of an attempt for which nobody chose a seed: each attempt at each policy meets new worlds."""
    text = f"{policy_sha256}/{sha256_hex(canonical_json(suite.model_dump(mode='json')))}/{attempt}"
    return SEEDS_PER_BASE + int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def attempt_of(plan: Plan) -> int:
    """The number of the attempt whose own seeds a plan has; 0 where somebody chose them (`--seed`)."""
    numbers = range(1, MOST_ATTEMPTS + 1) if plan.seed_base >= SEEDS_PER_BASE else ()
    bases = (fresh_seed_base(plan.policy.sha256, plan.suite, number) for number in numbers)
    return next((number for number, base in enumerate(bases, 1) if base == plan.seed_base), 0)


def first_test_seed(seed: int) -> int:
    """The first of the test seeds that `--seed` means, for what is measured and never judged. Raises BadInput."""
    if not 0 <= seed < TEST_BASES:
        raise BadInput(f"--seed {seed}: expected 0 to {TEST_BASES - 1}")
    return SEED_RANGES["test"] + seed * SEEDS_PER_BASE


def episodes_per_shard(episodes: int) -> int:
    """128, or fewer where that would leave less than 16 shards to resume from."""
    return max(1, min(LARGEST_SHARD, episodes // FEWEST_SHARDS))


def look_shards(round_length: int, look_every: int) -> tuple[int, int]:
    """Episodes per shard and per look: whole rounds, at most 128 a shard where a round allows, at least
    `look_every` a look.
    """
    shard = round_length * max(1, min(LARGEST_SHARD, look_every) // round_length)
    return shard, shard * -(-look_every // shard)
