"""The short parts of a report: figures at a glance, demands, remarks, identity, what was left out."""

from __future__ import annotations

import numpy as np

from ..envs.task import Task
from .evidence import Evidence, platform_of
from .percent import at_least, at_most, plain
from .plan import Plan, attempt_of
from .report_episodes import relative
from .report_facts import Fact, quantity, rate, severity_name, share
from .report_scan import scan_warnings
from .result import CheckResult
from .result_counts import violated
from .result_strata import FAILED, by_stratum
from .words import Words


def glance(result: CheckResult, words: Words) -> list[Fact]:
    """Four figures that tell most of it."""
    verdict = result.verdict
    hard = [each for each in verdict.constraints if each.hard]
    held, broken = (sum(each.state == state for each in hard) for state in ("holds", "broken"))
    figures = []
    for each in verdict.success[:1]:
        note = words(
            "glance.success_note",
            k=each.successes,
            n=each.n,
            low=at_least(each.lower),
            demand=plain(each.demand),
        )
        label = words("glance.success", where=severity_name(each.severity, words))
        figures.append({"label": label, "value": share(each.successes, each.n), "note": note})
    figures.append({
        "label": words("glance.limits"),
        "value": words("glance.limits_value", k=held, n=len(hard)),
        "note": words("glance.limits_note", broken=broken, open=len(hard) - held - broken),
    })  # fmt: skip
    figures.append(_violations(result, words))
    return figures + _nearest(result, words)


def _violations(result: CheckResult, words: Words) -> Fact:
    evidence = result.evidence
    hard = {each.id for each in result.verdict.constraints if each.hard}
    broken = np.zeros(len(evidence), bool)
    for name in hard:
        broken |= violated(evidence.margins(name))
    count = int(broken.sum())
    upper = at_most(evidence.plan.lane.upper(count, len(evidence), evidence.plan.confidence))
    note = words("glance.violations_note", n=len(evidence), high=upper)
    return {"label": words("glance.violations"), "value": f"{count:,}", "note": note}


def _nearest(result: CheckResult, words: Words) -> list[Fact]:
    evidence = result.evidence
    units = {each.id: each.unit for each in evidence.plan.assessed}
    hard = [each.id for each in result.verdict.constraints if each.hard]
    smallest = {name: float(relative(evidence.margins(name)).min()) for name in hard}
    smallest = {name: value for name, value in smallest.items() if value < np.inf}
    if not smallest:
        return []
    name = min(smallest, key=lambda each: smallest[each])
    worst = float(evidence.margins(name).min())
    label = words("glance.nearest" if worst >= 0.0 else "glance.farthest")
    margin = quantity(worst, units[name], words, sign=True)
    return [{"label": label, "value": margin, "note": words("glance.nearest_note", id=name)}]


def warnings(result: CheckResult, words: Words) -> list[str]:
    """What does not decide but should be known."""
    found = [
        words(
            "warning.soft",
            id=each.id,
            k=each.violations,
            n=each.n,
            high=at_most(each.upper),
            allowed=plain(each.max_rate),
        )
        for each in result.verdict.constraints
        if not each.hard and each.state != "holds"
    ]
    never = [words("warning.never", id=each.id) for each in result.verdict.constraints if each.never_applied]
    return found + never + scan_warnings(result, words)


def demands(result: CheckResult, words: Words) -> list[str]:
    """What the suite asks of success, and what was seen."""
    plan = result.evidence.plan
    return [
        words("heat.demand", where=severity_name(each.severity, words), demand=plain(each.demand),
              seen=rate(each.successes, each.n, words, plan.confidence, plan.lane))
        for each in result.verdict.success
    ]  # fmt: skip


def remarks(evidence: Evidence, words: Words) -> list[str]:
    """How hard the episodes were: people in the way, commands that had to be clamped."""
    plan, n = evidence.plan, len(evidence)
    found = []
    for key, count in (
        ("heat.person", int(evidence.columns["in_path"].sum())),
        ("heat.clamp", int((evidence.columns["limits_active"] > 0).sum())),
    ):
        if count:
            found.append(words(key, rate=rate(count, n, words, plan.confidence, plan.lane)))
    return found


def strata(result: CheckResult, words: Words) -> list[str]:
    """Where in the range of starts things went wrong most often; empty where the plan has no strata."""
    found = by_stratum(result.evidence)
    if found is None:
        return []
    said = [words("strata.intro", name=found.name, parts=found.parts)]
    for cell in found.happened:
        what = words("strata.failed") if cell.constraint == FAILED else cell.constraint
        said.append(
            words("strata.worst", what=what, stratum=cell.condition + 1, parts=found.parts, k=cell.violations, n=cell.n,
                  low=at_least(cell.lower), high=at_most(cell.upper))
        )  # fmt: skip
    return said if found.happened else [*said, words("strata.nothing")]


def not_assessed(result: CheckResult, words: Words) -> list[Fact]:
    """Constraints of the suite about which this check knows nothing."""
    found = [
        {"id": each.id, "why": words("limits.no_signal", why=each.why)}
        for each in result.evidence.plan.not_assessed
    ]
    return found + [
        {"id": each.id, "why": words("limits.never")}
        for each in result.verdict.constraints
        if each.never_applied
    ]


def _lane(plan: Plan, words: Words) -> str:
    """How the number of episodes was decided."""
    if plan.looks:
        return words("identity.lane_looks", every=plan.looks.every, most=plan.episodes)
    return words("identity.lane_fixed")


def identity(result: CheckResult, task: Task, words: Words) -> list[tuple[str, str, bool]]:
    """(label, value, whether it is a hash) of everything that decides the outcome; no clock, no person."""
    plan = result.evidence.plan
    number = attempt_of(plan)
    first, last = (int(found(result.evidence.columns["seed"])) for found in (np.min, np.max))
    attempt = (
        words("identity.attempt_value", number=number)
        if number
        else words("identity.attempt_chosen", seed=plan.seed_base)
    )
    n = len(result.evidence)
    episodes = words("identity.episodes_value", n=n, conditions=len(plan.conditions),
                     each=n // len(plan.conditions), first=str(first), last=str(last))  # fmt: skip
    rows = [
        ("task", f"{plan.task}, {task.robot_name.upper()} ({plan.task}/{plan.task_version})", False),
        ("suite", f"{plan.suite.id}: {words.pick(plan.suite.title.model_dump())}", False),
        ("policy", f"{plan.policy.name} ({plan.policy.kind})", False),
        ("policy_hash", plan.policy.sha256, True),
        ("plan", plan.sha256, True),
        ("evidence", result.evidence.sha256, True),
        ("attempt", attempt, False),
        ("episodes", episodes, False),
        ("confidence", words(f"identity.confidence_value.{plan.lane.name}"), False),
        ("lane", _lane(plan, words), False),
        (
            "versions",
            ", ".join(f"{name} {version}" for name, version in sorted(plan.versions.items())),
            False,
        ),
    ]
    platform = platform_of(result.folder)
    if platform:
        shown = ", ".join(f"{name} {value[:40]}" for name, value in sorted(platform.items()))
        rows.append(("platform", f"{shown} {words('identity.platform_note')}", False))
    return [(words(f"identity.{key}"), value, is_hash) for key, value, is_hash in rows]
