"""The verdict: PASS, FAIL or INSUFFICIENT from counted evidence, by rules that fit on a page. Pure: counts in, value out.

    FAIL          a simulator fault, a NaN or tampering; or, on complete evidence: a hard constraint's pooled lower bound, or its
                  lower bound in one condition, is above its max_rate; or an upper bound of success is below what is
                  demanded at that severity. All such claims of a check share the confidence (`families`)
    INSUFFICIENT  evidence is missing; or some bound decides neither way
    PASS          every hard constraint's pooled upper bound is at most its max_rate, and every lower bound of success
                  reaches the demand

Bounds are those of the plan's lane: one-sided Clopper-Pearson where the number of episodes is fixed, when statistical
claims wait for the whole plan, because stopping at a good or bad moment would bend them; or bounds that hold at every
look at once, where a check may stop as soon as it is decided. Soft constraints never gate, they warn.
"""

from __future__ import annotations

from collections.abc import Sequence

from .families import Claims, fail_claims
from .lanes import FIXED, Lane
from .percent import at_least, at_most, plain
from .verdict_values import ConstraintResult, Counts, Demand, Gate, State, SuccessResult, Verdict, Word

__all__ = ["ConstraintResult", "Counts", "Demand", "Gate", "SuccessResult", "Verdict", "judge"]

NOTHING_GATES = "nothing gates: no hard constraint was assessed and no success is demanded"


def judge(
    constraints: Sequence[Gate],
    demands: Sequence[Demand],
    conditions: Sequence[Counts],
    confidence: float = 0.95,
    tampering: Sequence[str] = (),
    lane: Lane = FIXED,
) -> Verdict:
    """The verdict on counted evidence.

    Args:
        constraints: those that were assessed, hard and soft.
        demands: success demanded, by severity.
        conditions: one count for each condition of the plan.
        tampering: what the evidence's hashes or the plan contradict, one line each.
        lane: whose bounds count.
    """
    claims = fail_claims(constraints, demands, conditions)
    results = tuple(_constraint(each, conditions, confidence, lane, claims) for each in constraints)
    success = tuple(_success(demand, conditions, confidence, lane, claims) for demand in demands)
    certain = [*tampering, *_impossible(conditions), *_spoilt(conditions)]
    missing = _missing(constraints, demands, conditions)
    broken = [] if missing else _broken(results, success, conditions, claims)
    still_open = [] if missing else _open(results, success)
    word: Word = "FAIL" if certain or broken else "INSUFFICIENT" if missing or still_open else "PASS"
    return Verdict(
        word=word,
        reasons=tuple([*certain, *broken, *missing, *still_open]),
        warnings=_warnings(results),
        constraints=results,
        success=success,
        episodes=sum(each.n for each in conditions),
        more_episodes=_more(results, success, conditions) if word == "INSUFFICIENT" and still_open else 0,
    )


def _constraint(
    constraint: Gate, conditions: Sequence[Counts], confidence: float, lane: Lane, claims: Claims
) -> ConstraintResult:
    limit = constraint.max_rate
    seen = [_possible(counts.violations.get(constraint.id, 0), counts.n) for counts in conditions]
    broken_in = tuple(
        counts.label
        for counts, (count, n) in zip(conditions, seen, strict=True)
        if claims.single and lane.lower(count, n, confidence, claims.each_single) > limit
    )
    count, n = sum(count for count, _ in seen), sum(n for _, n in seen)
    lower, upper = lane.lower(count, n, confidence, claims.each_pooled), lane.upper(count, n, confidence)
    state: State = "broken" if lower > limit or broken_in else "holds" if upper <= limit else "open"
    more = lane.needed(count, n, limit, confidence) if state == "open" else 0
    applied = [counts.applied[constraint.id] for counts in conditions if constraint.id in counts.applied]
    never = bool(applied) and not any(applied)
    return ConstraintResult(
        constraint.id, constraint.hard, limit, count, n, lower, upper, state, more, broken_in, never
    )


def _success(
    demand: Demand, conditions: Sequence[Counts], confidence: float, lane: Lane, claims: Claims
) -> SuccessResult:
    seen = [
        _possible(counts.successes, counts.n) for counts in conditions if counts.severity == demand.severity
    ]
    count, n = sum(count for count, _ in seen), sum(n for _, n in seen)
    lower, upper = lane.lower(count, n, confidence), lane.upper(count, n, confidence, claims.each_pooled)
    state: State = "broken" if upper < demand.at_least else "holds" if lower >= demand.at_least else "open"
    more = lane.needed(n - count, n, 1.0 - demand.at_least, confidence) if state == "open" else 0
    return SuccessResult(demand.severity, demand.at_least, count, n, lower, upper, state, more)


def _possible(count: int, n: int) -> tuple[int, int]:
    """Impossible counts are reported as tampering; bounds are computed of the nearest possible ones."""
    n = max(n, 0)
    return min(max(count, 0), n), n


def _impossible(conditions: Sequence[Counts]) -> list[str]:
    """Counts that honest evidence cannot hold."""
    reasons = []
    for each in conditions:
        parts = [each.successes, each.faults, each.nans, *each.violations.values(), *each.applied.values()]
        if any(not 0 <= part <= each.n for part in parts) or each.successes + each.faults > each.n:
            reasons.append(f"{each.label}: the counts contradict each other: the evidence was altered")
        if each.n > each.planned:
            reasons.append(
                f"{each.label}: {each.n:,} episodes where the plan has {each.planned:,}: evidence was added"
            )
    labels = [each.label for each in conditions]
    return reasons + [
        f"{label}: this condition is there twice" for label in sorted(set(labels)) if labels.count(label) > 1
    ]


def _spoilt(conditions: Sequence[Counts]) -> list[str]:
    return list(spoilt(conditions).values())


def spoilt(conditions: Sequence[Counts]) -> dict[str, str]:
    """What spoils any evidence, by what it is ("faults", "nans"): a line with the conditions in which it happened."""
    reasons = {}
    for kind, what, found in (
        ("faults", "simulator fault", [(each.label, each.faults) for each in conditions if each.faults > 0]),
        (
            "nans",
            "NaN in what was recorded, a division by zero or a window over nothing",
            [(each.label, each.nans) for each in conditions if each.nans > 0],
        ),
    ):
        if found:
            where = ", ".join(f"{label}: {count}" for label, count in found)
            reasons[kind] = f"{what} in {sum(count for _, count in found):,} episodes ({where})"
    return reasons


def _missing(
    constraints: Sequence[Gate], demands: Sequence[Demand], conditions: Sequence[Counts]
) -> list[str]:
    """What the plan promises and the evidence lacks."""
    hard = [constraint.id for constraint in constraints if constraint.hard]
    reasons = [] if conditions else ["there is no evidence: run the check"]
    if not hard and not demands:
        reasons.append(NOTHING_GATES)
    for each in conditions:
        if each.n < each.planned or each.n == 0:
            reasons.append(
                f"{each.label}: {each.n:,} of {each.planned:,} episodes are there: resume the check"
            )
        reasons += [f"{each.label}: no evidence about {name}" for name in hard if name not in each.violations]
    severities = {each.severity for each in conditions}
    reasons += [
        f"no condition at severity {each.severity}" for each in demands if each.severity not in severities
    ]
    return reasons


def _broken(
    results: Sequence[ConstraintResult],
    success: Sequence[SuccessResult],
    conditions: Sequence[Counts],
    claims: Claims,
) -> list[str]:
    hard = [each for each in results if each.hard and each.state == "broken"]
    reasons = [
        line for each in hard for line in (*broken_in_all(each), *broken_in_one(each, conditions, claims))
    ]
    return reasons + [success_line(level) for level in success if level.state == "broken"]


def broken_in_all(each: ConstraintResult) -> list[str]:
    """The line about a constraint that is broken over all conditions; none where it is not."""
    if each.lower <= each.max_rate:
        return []
    return [f"{_violations(each)}, at least {at_least(each.lower)}, allowed {plain(each.max_rate)}"]


def broken_in_one(each: ConstraintResult, conditions: Sequence[Counts], claims: Claims) -> list[str]:
    """A line for each condition that breaks a constraint by itself."""
    return [
        f"{each.id}: violated in {counts.violations[each.id]:,} of {counts.n:,} episodes of {counts.label}, more than "
        f"the allowed {plain(each.max_rate)} (all {claims.pooled + claims.single} claims judged together)"
        for counts in conditions
        if counts.label in each.broken_in
    ]


def _open(results: Sequence[ConstraintResult], success: Sequence[SuccessResult]) -> list[str]:
    hard = [open_line(each) for each in results if each.hard and each.state == "open"]
    return hard + [success_line(level) for level in success if level.state == "open"]


def open_line(each: ConstraintResult) -> str:
    """The line about a constraint that is not decided."""
    return (
        f"{_violations(each)}, at most {at_most(each.upper)}, allowed {plain(each.max_rate)}: {each.more:,} more episodes "
        "without a violation would decide"
    )


def success_line(level: SuccessResult) -> str:
    """The line about success that is too rare, or not decided."""
    if level.state == "broken":
        return f"{_successes(level)}, at most {at_most(level.upper)}, demanded {plain(level.demand)}"
    return (
        f"{_successes(level)}, at least {at_least(level.lower)}, demanded {plain(level.demand)}: {level.more:,} more "
        "successful episodes would decide"
    )


def _warnings(results: Sequence[ConstraintResult]) -> tuple[str, ...]:
    """Soft constraints beyond their rate, and constraints that no episode put to the test."""
    beyond = [
        f"{_violations(each)}, at most {at_most(each.upper)}, wished {plain(each.max_rate)} (does not gate)"
        for each in results
        if not each.hard and each.state != "holds"
    ]
    return tuple(
        beyond + [f"{each.id}: never applied in any episode" for each in results if each.never_applied]
    )


def _more(
    results: Sequence[ConstraintResult], success: Sequence[SuccessResult], conditions: Sequence[Counts]
) -> int:
    """Further clean episodes, equally many in each condition, after which every open bound holds."""
    each_more = [-(-result.more // len(conditions)) for result in results if result.hard]
    for level in success:
        pooled = sum(counts.severity == level.severity for counts in conditions)
        each_more.append(-(-level.more // max(pooled, 1)))
    return max(each_more) * len(conditions)


def _violations(result: ConstraintResult) -> str:
    return f"{result.id}: violated in {result.violations:,} of {result.n:,} episodes"


def _successes(result: SuccessResult) -> str:
    where = "nominal" if result.severity == 0 else f"at severity {result.severity}"
    return f"success {where}: {result.successes:,} of {result.n:,} episodes"
