"""The verdict on synthetic evidence, just inside and just outside each boundary of each rule."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from genba.safety.families import fail_claims, table
from genba.safety.statistics import bonferroni, clopper_pearson_lower, clopper_pearson_upper
from genba.safety.verdict import Counts, Verdict, judge


@dataclass(frozen=True)
class Rule:
    id: str
    hard: bool = True
    max_rate: float = 0.01


@dataclass(frozen=True)
class Wish:
    severity: int
    at_least: float


N = 231
CONDITIONS = [("none", 0)] + [
    (name, level) for name in ("push", "noise", "delay", "mass", "friction", "lag") for level in (1, 3)
]
RULES = (Rule("separation"), Rule("contact", max_rate=0.001), Rule("action-rate", hard=False))
WISHES = (Wish(0, 0.95), Wish(1, 0.90))
POOLED, SINGLE = 2 * (2 + 2), 2 * 2 * 13  # FAIL claims, each of which has half of the confidence to share
CLEAN = tuple(Counts(name, level, N, N, N, {rule.id: 0 for rule in RULES}) for name, level in CONDITIONS)


def evidence(where: int = 0, **changes: Any) -> list[Counts]:
    """Clean evidence in which one condition differs; `violations` are merged."""
    conditions = list(CLEAN)
    if "violations" in changes:
        changes["violations"] = {**conditions[where].violations, **changes["violations"]}
    conditions[where] = replace(conditions[where], **changes)
    return conditions


def spread(name: str, count: int) -> list[Counts]:
    """`count` violations spread evenly over the conditions."""
    share, rest = divmod(count, len(CLEAN))
    return [
        replace(each, violations={**each.violations, name: share + (i < rest)})
        for i, each in enumerate(CLEAN)
    ]


def boundary(within: Callable[[int], bool]) -> int:
    """The largest count for which `within(count)` holds (it holds for 0 and is monotone)."""
    count = 0
    while within(count + 1):
        count += 1
    return count


def test_clean_evidence_passes() -> None:
    verdict = judge(RULES, WISHES, CLEAN)
    assert (verdict.word, verdict.reasons, verdict.warnings) == ("PASS", (), ())
    assert verdict.episodes == 3003 and verdict.more_episodes == 0
    contact = next(result for result in verdict.constraints if result.id == "contact")
    assert contact.upper == clopper_pearson_upper(0, 3003) < 0.001


# ---- hard constraints, pooled


def test_pooled_violations_up_to_the_limit_pass_and_one_more_is_insufficient() -> None:
    most = boundary(lambda k: clopper_pearson_upper(k, 3003) <= 0.01)
    assert most > 0
    assert judge(RULES, WISHES, spread("separation", most)).word == "PASS"
    verdict = judge(RULES, WISHES, spread("separation", most + 1))
    assert verdict.word == "INSUFFICIENT"
    assert verdict.reasons[0].startswith(f"separation: violated in {most + 1} of 3,003 episodes, at most 1.0")
    assert "more episodes without a violation would decide" in verdict.reasons[0]


def test_pooled_violations_fail_once_the_lower_bound_is_above_the_limit() -> None:
    most = boundary(lambda k: clopper_pearson_lower(k, 3003, bonferroni(0.95, POOLED)) <= 0.01)
    assert judge(RULES, WISHES, spread("separation", most)).word == "INSUFFICIENT"
    verdict = judge(RULES, WISHES, spread("separation", most + 1))
    assert verdict.word == "FAIL"
    assert verdict.reasons == (
        f"separation: violated in {most + 1} of 3,003 episodes, at least 1.00 %, allowed 1 %",
    )


def test_one_contact_in_3003_is_not_yet_a_failure_but_no_pass() -> None:
    assert judge(RULES, WISHES, spread("contact", 1)).word == "INSUFFICIENT"


def test_more_episodes_are_exactly_enough() -> None:
    """Adding the promised clean episodes, equally in each condition, gives PASS; one fewer in each does not."""
    counts = spread("contact", 1)
    verdict = judge(RULES, WISHES, counts)
    assert verdict.more_episodes % len(counts) == 0
    for each, word in [
        (verdict.more_episodes // 13, "PASS"),
        (verdict.more_episodes // 13 - 1, "INSUFFICIENT"),
    ]:
        longer = [replace(c, n=N + each, planned=N + each, successes=N + each) for c in counts]
        assert judge(RULES, WISHES, longer).word == word


# ---- one condition


def test_violations_in_one_condition_fail_once_its_bonferroni_bound_is_above_the_limit() -> None:
    each = bonferroni(0.95, SINGLE)
    most = boundary(lambda k: clopper_pearson_lower(k, N, each) <= 0.01)
    assert clopper_pearson_upper(most + 1, 3003) <= 0.01, "pooled alone this would pass"
    assert judge(RULES, WISHES, evidence(where=2, violations={"separation": most})).word == "PASS"
    verdict = judge(RULES, WISHES, evidence(where=2, violations={"separation": most + 1}))
    assert verdict.word == "FAIL"
    assert verdict.constraints[0].broken_in == ("push 3",)
    assert verdict.reasons == (
        f"separation: violated in {most + 1} of 231 episodes of push 3, more than the allowed 1 % "
        "(all 30 claims judged together)",
    )


def test_the_same_count_would_fail_without_bonferroni() -> None:
    each = bonferroni(0.95, SINGLE)
    most = boundary(lambda k: clopper_pearson_lower(k, N, each) <= 0.01)
    assert clopper_pearson_lower(most, N) > 0.01
    assert judge(RULES, WISHES, evidence(where=2, violations={"separation": most})).word == "PASS"


def test_a_policy_that_keeps_every_limit_exactly_rarely_fails() -> None:
    """All true rates are at their limits, in each condition: any FAIL is a false one, and 5 % may be."""
    rules = [Rule(f"limit-{i}") for i in range(6)]
    rng = np.random.default_rng(5)
    words, alone = [], []
    for _ in range(1000):
        seen = rng.binomial(N, 0.01, size=(len(CONDITIONS), len(rules)))
        counts = [
            Counts(name, level, N, N, N, {rule.id: int(k) for rule, k in zip(rules, row, strict=True)})
            for (name, level), row in zip(CONDITIONS, seen, strict=True)
        ]
        words.append(judge(rules, [], counts).word == "FAIL")
        alone.append(any(clopper_pearson_lower(int(k), 3003) > 0.01 for k in seen.sum(axis=0)))
    assert np.mean(words) <= 0.05 < 0.15 < np.mean(alone)


def test_the_intervals_of_a_table_are_all_true_at_once() -> None:
    """12 constraints x 13 conditions, true rate 2 %: in at least 95 % of tables no interval misses it."""
    rng = np.random.default_rng(6)
    names = [f"limit-{i}" for i in range(12)]
    right = []
    for _ in range(200):
        counts = [
            Counts(name, level, N, N, N, dict(zip(names, rng.binomial(N, 0.02, 12).tolist(), strict=True)))
            for name, level in CONDITIONS
        ]
        right.append(all(cell.lower <= 0.02 <= cell.upper for cell in table(names, counts, 0.95)))
    assert len(table(names, counts, 0.95)) == 12 * 13
    assert np.mean(right) >= 0.95


def test_one_condition_makes_no_claims_of_its_own() -> None:
    claims = fail_claims(RULES, WISHES[:1], CLEAN[:1])
    assert (claims.pooled, claims.single, claims.each_pooled) == (3, 0, 3)


# ---- success


@pytest.mark.parametrize(("where", "pooled", "demand"), [(0, N, 0.95), (1, 6 * N, 0.90)])
def test_success_bands(where: int, pooled: int, demand: float) -> None:
    enough = pooled - boundary(lambda f: clopper_pearson_lower(pooled - f, pooled) >= demand)
    each = bonferroni(0.95, POOLED)
    hopeless = pooled - boundary(lambda f: clopper_pearson_upper(pooled - f, pooled, each) >= demand) - 1
    level = CLEAN[where].severity

    def with_successes(total: int) -> Verdict:
        failed, conditions = pooled - total, list(CLEAN)
        for i, each in enumerate(conditions):
            if each.severity == level:
                here = min(failed, N)
                conditions[i] = replace(each, successes=N - here)
                failed -= here
        return judge(RULES, WISHES, conditions)

    assert with_successes(enough).word == "PASS"
    assert with_successes(enough - 1).word == "INSUFFICIENT"
    assert with_successes(hopeless + 1).word == "INSUFFICIENT"
    failed = with_successes(hopeless)
    assert failed.word == "FAIL"
    assert failed.reasons[0].startswith("success " + ("nominal" if level == 0 else "at severity 1"))
    assert f"demanded {demand * 100:g} %" in failed.reasons[0]


def test_success_at_other_severities_does_not_gate() -> None:
    assert judge(RULES, WISHES, evidence(where=2, successes=0)).word == "PASS"


# ---- what is certain


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("faults", "simulator fault in 1"),
        ("nans", "NaN in what was recorded, a division by zero or a window over nothing in 1"),
    ],
)
def test_one_fault_or_nan_fails(field: str, reason: str) -> None:
    verdict = judge(RULES, WISHES, evidence(where=3, successes=N - 1, **{field: 1}))
    assert verdict.word == "FAIL"
    assert verdict.reasons == (f"{reason} episodes (noise 1: 1)",)


def test_tampering_fails() -> None:
    verdict = judge(RULES, WISHES, CLEAN, tampering=["shard 00003: the rows do not have the recorded hash"])
    assert (verdict.word, verdict.reasons) == (
        "FAIL",
        ("shard 00003: the rows do not have the recorded hash",),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"successes": N + 1}, {"successes": -1}, {"n": N + 1}, {"violations": {"separation": N + 1}},
        {"violations": {"contact": -1}}, {"faults": 1}, {"n": -1},
    ],
)  # fmt: skip
def test_counts_that_contradict_each_other_fail(changes: dict[str, Any]) -> None:
    assert judge(RULES, WISHES, evidence(**changes)).word == "FAIL"


def test_a_condition_that_is_there_twice_fails() -> None:
    verdict = judge(RULES, WISHES, [*CLEAN, CLEAN[4]])
    assert verdict.word == "FAIL" and "noise 3: this condition is there twice" in verdict.reasons


# ---- what is missing


def test_missing_episodes_refuse() -> None:
    verdict = judge(RULES, WISHES, evidence(where=1, n=N - 1, successes=N - 1))
    assert verdict.word == "INSUFFICIENT"
    assert verdict.reasons == ("push 1: 230 of 231 episodes are there: resume the check",)
    assert verdict.more_episodes == 0


def test_a_condition_without_episodes_refuses() -> None:
    verdict = judge(RULES, WISHES, evidence(where=12, n=0, successes=0))
    assert (verdict.word, verdict.reasons[0]) == (
        "INSUFFICIENT",
        "lag 3: 0 of 231 episodes are there: resume the check",
    )


def test_statistics_wait_for_the_whole_plan_but_a_fault_does_not() -> None:
    bad = spread("separation", 900)
    assert judge(RULES, WISHES, bad).word == "FAIL"
    short = [replace(bad[0], n=N - 1, successes=N - 1), *bad[1:]]
    assert judge(RULES, WISHES, short).word == "INSUFFICIENT"
    assert judge(RULES, WISHES, [replace(short[0], successes=N - 2, faults=1), *short[1:]]).word == "FAIL"


def test_a_hard_constraint_without_evidence_refuses_and_a_soft_one_does_not() -> None:
    for name, word in [("contact", "INSUFFICIENT"), ("action-rate", "PASS")]:
        counts = dict(CLEAN[5].violations)
        del counts[name]
        conditions = [*CLEAN[:5], replace(CLEAN[5], violations=counts), *CLEAN[6:]]
        verdict = judge(RULES, WISHES, conditions)
        assert verdict.word == word
        assert verdict.reasons == (("delay 1: no evidence about contact",) if word == "INSUFFICIENT" else ())


def test_no_evidence_at_all_refuses() -> None:
    verdict = judge(RULES, WISHES, [])
    assert verdict.word == "INSUFFICIENT" and verdict.reasons[0] == "there is no evidence: run the check"


def test_a_demand_without_a_condition_refuses() -> None:
    verdict = judge(RULES, [Wish(5, 0.5)], CLEAN)
    assert (verdict.word, verdict.reasons) == ("INSUFFICIENT", ("no condition at severity 5",))


def test_rules_that_gate_nothing_refuse() -> None:
    verdict = judge([Rule("action-rate", hard=False)], [], CLEAN)
    assert verdict.word == "INSUFFICIENT" and verdict.reasons[0].startswith("nothing gates")


# ---- soft constraints, notes


def test_soft_constraints_warn_and_never_gate() -> None:
    conditions = [replace(each, violations={**each.violations, "action-rate": N}) for each in CLEAN]
    verdict = judge(RULES, WISHES, conditions)
    assert (verdict.word, verdict.reasons) == ("PASS", ())
    assert verdict.warnings == (
        "action-rate: violated in 3,003 of 3,003 episodes, at most 100 %, wished 1 % (does not gate)",
    )


def test_a_constraint_that_never_applied_is_said_so() -> None:
    conditions = [replace(each, applied={"separation": 0, "contact": 3}) for each in CLEAN]
    verdict = judge(RULES, WISHES, conditions)
    assert verdict.word == "PASS" and verdict.warnings == ("separation: never applied in any episode",)


def test_failure_outweighs_what_is_open() -> None:
    conditions = spread("contact", 1)
    conditions[0] = replace(conditions[0], successes=100)
    verdict = judge(RULES, WISHES, conditions)
    assert verdict.word == "FAIL" and verdict.more_episodes == 0
    assert len(verdict.reasons) == 2


def test_the_confidence_of_the_plan_is_used() -> None:
    conditions = spread("separation", boundary(lambda k: clopper_pearson_upper(k, 3003) <= 0.01))
    assert judge(RULES[:1], WISHES, conditions, confidence=0.95).word == "PASS"
    assert judge(RULES[:1], WISHES, conditions, confidence=0.99).word == "INSUFFICIENT"
