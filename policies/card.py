"""The card of a release: what a person must know before using it, written from the evidence. It claims nothing that was not shown."""

from __future__ import annotations

import re
from pathlib import Path

from ..envs.errors import Refused
from ..envs.files import asset, read_json, sha256_file
from ..envs.task import Task
from ..safety.percent import at_least, at_most, plain
from ..safety.plan import attempt_of
from ..safety.result import CheckResult
from ..safety.suite import load_suite, suite_for
from .runs import POLICY, SUMMARY

LAWS = r"(iso|iec|ts|en|eu|eu ai act|oecd|nist|aisi)"
FORBIDDEN = (
    rf"\b{LAWS}\b[ /\w:.-]*\b(complian(t|ce)|complies|approved|conform)", rf"\b(complian(t|ce)|comply|complies|conforms?) (with|to) (the )?{LAWS}\b",
    r"\bcertified\b", r"(?-i:\bPL ?[a-e]\b)", r"(?-i:\bSIL ?[1-4]\b)", r"\bsafe for use near people\b", r"(準拠|適合|認証)",
)  # fmt: skip

LANES = {
    "fixed": "one-sided",
    "until-decided": "both sides together and true at every look at once: the check stopped when it was decided",
}
MADE_HERE = "Training data: the task's own simulation; learnt by `genba train`, on seeds that are disjoint from the judged ones."
BROUGHT = "The file was brought: how it was learnt, and on what, Genba does not know."
CARD = """# {name}

A policy for **{task}** ({title}) on the robot `{robot}`, released by Genba {genba} after the verdict **{verdict}**.
Everything below was computed in simulation. It is evidence about this file in this simulated cell, and about nothing else.

## What it is

| | |
|---|---|
| file | `policy.onnx`, SHA-256 `{policy_sha256}` |
| reads | {columns} numbers, {control_hz} times a second (`contract.json`) |
| writes | {channels} (`contract.json`) |
| judged as | {task} version {task_version}, suite `{suite}` ({suite_note}), {attempt} |
| evidence | SHA-256 `{evidence_sha256}` |
| plan | SHA-256 `{plan_sha256}`, written before the first episode |

## Intended use

Work in the cell described by the task, at the control rate above, with its monitor running, after an assessment of the real cell
by those who answer for it. Not intended for any other cell, part, robot or rate. Genba is not a safety function, and a simulated
check does not replace one.

## What was shown

In simulation, with {episodes:,} episodes over {conditions}, judged at every physics substep ({physics_hz} Hz); bounds at
{confidence:.0f} % confidence, {lane}.

{success}
- {scan}

| check | limit from | worst margin | violations | violated in at most | allowed |
|---|---|---|---|---|---|
{constraints}

| condition | success | at least, each for itself |
|---|---|---|
{by_condition}

## What was not shown

{not_shown}

## How it was made

{made} Evaluation data: `evidence/`, {episodes:,} rows from seeds drawn by the plan. Software: {versions}.

## Look again

    genba run {folder}              # 20 episodes with the monitor on
    genba replay {folder} 0         # one judged episode, bit for bit on the same platform
    sha256sum -c MANIFEST.sha256    # inside the folder
"""


def card(result: CheckResult, task: Task, name: str) -> str:
    """The text of `card.md`. Raises Refused if it would make a claim that nothing here can support."""
    plan = result.evidence.plan
    suite = plan.suite
    text = CARD.format(
        name=name,
        folder=f"releases/{name}",
        task=plan.task,
        title=task.title[0],
        robot=task.robot_name,
        genba=plan.versions.get("genba", "?"),
        verdict=result.verdict.word,
        policy_sha256=plan.policy.sha256,
        columns=len(task.observation_names),
        control_hz=task.control_hz,
        physics_hz=task.physics_hz,
        channels=", ".join(
            f"{n} ({unit})" for n, (unit, _) in zip(task.action_names, task.commands, strict=True)
        ),
        task_version=plan.task_version,
        suite=suite.id,
        suite_note="as shipped" if as_shipped(result) else "NOT the cell's own suite as shipped",
        attempt=f"attempt {number}" if (number := attempt_of(plan)) else "its seeds chosen by hand",
        evidence_sha256=result.evidence.sha256,
        plan_sha256=plan.sha256,
        episodes=len(result.evidence),
        conditions="1 condition" if len(plan.conditions) == 1 else f"{len(plan.conditions)} conditions",
        confidence=100 * plan.confidence,
        lane=LANES[plan.lane.name],
        success="\n".join(_success_lines(result)),
        scan=_scan_line(result),
        made=MADE_HERE if _learnt_here(result) else BROUGHT,
        constraints="\n".join(_constraint_rows(result)),
        by_condition="\n".join(_condition_rows(result)),
        not_shown="\n".join(_not_shown(result)),
        versions=", ".join(f"{key} {value}" for key, value in plan.versions.items()),
    )
    claimed = text
    for gap in _not_shown(result):  # what a suite says that it cannot show is no claim
        claimed = claimed.replace(gap, "")
    refuse_claims(claimed)
    return text


def refuse_claims(text: str) -> None:
    """Raise Refused on a phrase that claims conformity, certification or safety."""
    for pattern in FORBIDDEN:
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            raise Refused(
                f"the card of a release may not claim '{found[0]}': take it out of the suite's words"
            )


def as_shipped(result: CheckResult) -> bool:
    """Whether the check was made with the cell's own suite as it comes with Genba."""
    plan = result.evidence.plan
    return plan.suite.id == suite_for(plan.task) and load_suite(plan.suite.id) == plan.suite


def _learnt_here(result: CheckResult) -> bool:
    """Whether `genba train` wrote that it made this very file, or the policy is one that comes with Genba."""
    judged, home = result.evidence.plan.policy.sha256, result.folder.resolve().parent.parent
    made = [each for folder in (home, home.parent) for each in _made(folder / SUMMARY)]
    return judged in made or any(
        judged == sha256_file(path) for path in asset("policies").glob(f"*/{POLICY}")
    )


def _made(summary: Path) -> list[object]:
    """The hashes of the policies that a training run made."""
    told = read_json(summary)
    made = told.get("made") if isinstance(told, dict) else None
    return list(made.values()) if isinstance(made, dict) else []


def _scan_line(result: CheckResult) -> str:
    if result.scan is None:
        return "scan: left out (`--no-scan`); what it looks for beside the episodes was not looked for"
    return " ".join(result.scan.table()[0].split()).replace("scan ", "scan: ", 1)


def _success_lines(result: CheckResult) -> list[str]:
    lines = [] if result.verdict.success else ["- success: nothing was demanded"]
    for level in result.verdict.success:
        where = "undisturbed" if level.severity == 0 else f"at severity {level.severity}"
        lines.append(
            f"- success {where}: {level.successes:,} of {level.n:,} episodes, at least {at_least(level.lower)} "
            f"(demanded {plain(level.demand)})"
        )
    return lines


def _constraint_rows(result: CheckResult) -> list[str]:
    plan = result.evidence.plan
    units = {each.id: "" if each.unit == "1" else f" {each.unit}" for each in plan.assessed}
    constraints = {each.id: each for each in plan.suite.constraints}
    rows = []
    for each in result.verdict.constraints:
        source = constraints[each.id].source
        worst = f"{float(result.evidence.margins(each.id).min()):+.3g}{units[each.id]}"
        allowed = plain(each.max_rate) if each.hard else "warns only"
        rows.append(
            f"| {_cell(constraints[each.id].says.en)} | {_cell(source.document)} ({source.confidence}) | {worst} | "
            f"{each.violations:,} of {each.n:,} | {at_most(each.upper)} | {allowed} |"
        )
    return rows


def _cell(text: str) -> str:
    """Words for a cell of a table."""
    return " ".join(text.split()).replace("|", r"\|")


def _condition_rows(result: CheckResult) -> list[str]:
    plan = result.evidence.plan
    rows = []
    for index, condition in enumerate(plan.conditions):
        done = result.evidence.columns["success"][result.evidence.columns["condition"] == index]
        name = f"{condition.disturbance} {condition.severity}" if condition.severity else "undisturbed"
        lower = plan.lane.lower(int(done.sum()), len(done), plan.confidence)
        rows.append(f"| {name} | {int(done.sum()):,} of {len(done):,} | {at_least(lower)} |")
    return rows


def _not_shown(result: CheckResult) -> list[str]:
    plan = result.evidence.plan
    lines = [f"- {each.id}: not assessed, {each.why}" for each in plan.not_assessed]
    gaps = dict.fromkeys(
        gap
        for each in plan.suite.constraints
        for gap in each.cannot_show
        if each.id not in {n.id for n in plan.not_assessed}
    )
    return [
        *lines,
        *(f"- {gap}" for gap in gaps),
        "- anything outside the conditions above",
        "- the gap between simulation and hardware",
    ]
