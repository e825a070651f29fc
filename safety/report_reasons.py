"""Why a verdict is what it is, in the report's language: each of its reasons, in its own words where the report has none for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .families import fail_claims
from .percent import at_least, at_most, plain
from .report_facts import severity_name
from .report_scan import scan_reasons
from .result import NO_SCAN, CheckResult, decided_before
from .result_counts import counts
from .verdict import NOTHING_GATES, broken_in_all, broken_in_one, open_line, spoilt, success_line
from .verdict_values import ConstraintResult, SuccessResult
from .words import Words

Said = dict[str, str]  # a line of the verdict: the report's sentence for it


def reasons(result: CheckResult, words: Words) -> list[str]:
    """Why the verdict is what it is, one sentence each: first what the report has no words for, then in the order of the page.

    Lines that say the same of several limits, or of one limit in several conditions, share a sentence.
    """
    given = _given(result)
    said = {
        **_evidence(result, words),
        **_scan(result, words),
        **_broken(result, words),
        **{success_line(each): _short(each, words) for each in _at(result, "broken")},
        **_undecided(result.verdict.constraints, words),
        **{success_line(each): _short(each, words) for each in _at(result, "open")},
    }
    own = [line for line in given if line not in said]
    return list(dict.fromkeys([*own, *(said[line] for line in said if line in given)]))


def _given(result: CheckResult) -> tuple[str, ...]:
    """The verdict's reasons; with FAIL it leaves out what the scan doubts, which a reader should know."""
    return (*result.verdict.reasons, *(result.scan.doubts() if result.scan else ()))


def _evidence(result: CheckResult, words: Words) -> Said:
    """What is wrong with the evidence itself, or lacking in it."""
    seen, beyond = counts(result.evidence), decided_before(result.evidence)
    found = spoilt(seen)
    said = {NOTHING_GATES: words("reason.nothing_gates")}
    if "faults" in found:
        said[found["faults"]] = words("reason.faults", n=sum(each.faults for each in seen))
    if "nans" in found:
        said[found["nans"]] = words("reason.nans", n=sum(each.nans for each in seen))
    if beyond:
        word = words(f"verdict.{beyond.word}")
        said[beyond.line] = words("reason.beyond", n=beyond.added, look=beyond.look, verdict=word)
    return said


def _scan(result: CheckResult, words: Words) -> Said:
    """What the scan has against the policy or its evidence: it names the same, in the same order, to both readers."""
    scan, plan = result.scan, result.evidence.plan
    lines = [*scan.doubts(), *scan.reasons(plan)] if scan else [NO_SCAN]
    return dict(zip(lines, scan_reasons(result, words), strict=bool(scan)))


def _broken(result: CheckResult, words: Words) -> Said:
    verdict, seen = result.verdict, counts(result.evidence)
    claims = fail_claims(verdict.constraints, result.evidence.plan.suite.verdict.success, seen)
    said: Said = {}
    for each in (each for each in verdict.constraints if each.hard and each.state == "broken"):
        fields: Mapping[str, Any] = {
            "id": each.id, "k": each.violations, "n": each.n, "low": at_least(each.lower), "allowed": plain(each.max_rate),
        }  # fmt: skip
        said |= dict.fromkeys(broken_in_all(each), words("reason.broken", **fields))
        there = words("reason.broken_in", where=", ".join(each.broken_in), **fields)
        said |= dict.fromkeys(broken_in_one(each, seen, claims), there)
    return said


def _undecided(results: Sequence[ConstraintResult], words: Words) -> Said:
    """Undecided limits with the same numbers share a sentence; those that were violated come first."""
    alike: dict[tuple[int, float], list[ConstraintResult]] = {}
    for each in results:
        if each.hard and each.state == "open":
            alike.setdefault((-each.violations, each.max_rate), []).append(each)
    said: Said = {}
    for _, group in sorted(alike.items(), key=lambda item: item[0]):
        ids, first = ", ".join(each.id for each in group), group[0]
        sentence = words("reason.open", id=ids, k=first.violations, n=first.n, high=at_most(first.upper),
                         allowed=plain(first.max_rate), more=first.more)  # fmt: skip
        said |= {open_line(each): sentence for each in group}
    return said


def _at(result: CheckResult, state: str) -> list[SuccessResult]:
    return [each for each in result.verdict.success if each.state == state]


def _short(each: SuccessResult, words: Words) -> str:
    return words(f"reason.success_{each.state}", where=severity_name(each.severity, words), k=each.successes, n=each.n,
                 low=at_least(each.lower), high=at_most(each.upper), demand=plain(each.demand), more=each.more)  # fmt: skip
