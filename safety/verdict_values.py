"""What the verdict reads and what it says, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Word = Literal["PASS", "FAIL", "INSUFFICIENT"]
State = Literal["holds", "broken", "open"]


class Gate(Protocol):
    """What the verdict reads of a constraint."""

    @property
    def id(self) -> str: ...

    @property
    def hard(self) -> bool: ...

    @property
    def max_rate(self) -> float: ...


class Demand(Protocol):
    """The success rate that is demanded over all conditions of one severity."""

    @property
    def severity(self) -> int: ...

    @property
    def at_least(self) -> float: ...


@dataclass(frozen=True)
class Counts:
    """What was seen in one condition.

    Attributes:
        planned, n: episodes that the plan holds, and that are there.
        violations: episodes whose margin is below zero, by constraint id, for every assessed constraint.
        faults: episodes that ended as simulator faults.
        nans: episodes with a NaN in what was recorded, a division by zero or a window over nothing (a margin of -inf or NaN).
        applied: episodes in which the constraint applied at all, by id, where known.
    """

    disturbance: str
    severity: int
    planned: int
    n: int
    successes: int
    violations: Mapping[str, int]
    faults: int = 0
    nans: int = 0
    applied: Mapping[str, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return "nominal" if self.disturbance == "none" else f"{self.disturbance} {self.severity}"


@dataclass(frozen=True)
class ConstraintResult:
    """One constraint over all conditions.

    `upper` is a bound on the rate of violation by itself, as PASS needs it; `lower` holds together with all other FAIL
    claims. `broken_in` names the conditions whose own lower bound, together with all others, is above `max_rate`.
    `more`: further episodes without a violation that would settle an open one.
    """

    id: str
    hard: bool
    max_rate: float
    violations: int
    n: int
    lower: float
    upper: float
    state: State
    more: int = 0
    broken_in: tuple[str, ...] = ()
    never_applied: bool = False


@dataclass(frozen=True)
class SuccessResult:
    """Success over the conditions of one severity: `lower` by itself, `upper` together with all other FAIL claims;
    `more` as above, all successful.
    """

    severity: int
    demand: float
    successes: int
    n: int
    lower: float
    upper: float
    state: State
    more: int = 0


@dataclass(frozen=True)
class Verdict:
    """The word, why (one line each), and every number it rests on.

    `more_episodes`: with INSUFFICIENT on complete evidence, the number of further episodes, equally many in each condition and
    without any failure or violation, that would give PASS; otherwise 0.
    """

    word: Word
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    constraints: tuple[ConstraintResult, ...]
    success: tuple[SuccessResult, ...]
    episodes: int
    more_episodes: int = 0
