"""The two ways to spend a check's confidence: a number of episodes that is fixed beforehand, or looks until it is
decided.

fixed           Clopper-Pearson bounds, valid at the one planned number of episodes; each has the plan's confidence
until-decided   bounds that hold at every look at once (`anytime`); PASS and FAIL share the plan's confidence, because a
                check that stops at whichever comes first can err either way
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .anytime import anytime_lower, anytime_upper
from .statistics import Bound, bonferroni, clopper_pearson_lower, clopper_pearson_upper, episodes_needed

LaneName = Literal["fixed", "until-decided"]


@dataclass(frozen=True)
class Lane:
    """One-sided bounds on a rate. `words`: how many verdicts share the confidence.

    `claims` below is the number of bounds that are to hold together.
    """

    name: LaneName
    lower_bound: Bound
    upper_bound: Bound
    words: int

    def lower(self, count: int, n: int, confidence: float, claims: float = 1) -> float:
        return self.lower_bound(count, n, bonferroni(confidence, self.words * claims))

    def upper(self, count: int, n: int, confidence: float, claims: float = 1) -> float:
        return self.upper_bound(count, n, bonferroni(confidence, self.words * claims))

    def needed(self, count: int, n: int, limit: float, confidence: float) -> int:
        """How many more episodes, all without the event, bring the upper bound down to `limit`."""
        return episodes_needed(count, n, limit, bonferroni(confidence, self.words), self.upper_bound)


FIXED = Lane("fixed", clopper_pearson_lower, clopper_pearson_upper, words=1)
UNTIL_DECIDED = Lane("until-decided", anytime_lower, anytime_upper, words=2)
