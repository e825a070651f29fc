"""What a report says of the scan beside a check's episodes."""

from __future__ import annotations

import json

from ..envs.files import asset
from .percent import at_least, plain
from .result import CheckResult
from .scan_files import ALONE, Hole
from .statistics import clopper_pearson_lower
from .words import Words


def scan_reasons(result: CheckResult, words: Words) -> list[str]:
    """What the scan has against the policy or its evidence, one sentence each."""
    plan, scan = result.evidence.plan, result.scan
    if scan is None:
        missing = plan.scan and result.verdict.word != "FAIL"
        return [words("reason.scan.missing")] if missing else []
    found = [words("reason.scan.changed", k=len(scan.changed), n=scan.repeated)] if scan.changed else []
    found += [
        words("reason.scan.number", name=name, value=f"{value:.6g}")
        for name, value in sorted(scan.inputs.no_number.items())
    ]
    if scan.inputs.alone > ALONE:
        found.append(words("reason.scan.alone", size=f"{scan.inputs.alone:.2g}"))
    found += [_hole(each, words) for each in scan.holes]
    found += [
        words("reason.scan.long", id=each.id, k=each.count, n=scan.long.runs, seconds=f"{scan.long.seconds:g}",
              low=at_least(each.lower), allowed=plain(each.allowed))
        for each in scan.broken(plan)
    ]  # fmt: skip
    if scan.undone(plan):
        found.append(
            words(
                "reason.scan.not_kept",
                k=scan.long.not_kept,
                n=scan.long.runs,
                seconds=f"{scan.long.seconds:g}",
            )
        )
    if scan.never_rests(plan):
        found.append(
            words("reason.scan.restless", k=scan.long.restless, n=scan.long.runs, seconds=f"{scan.long.seconds:g}",
                  speed=f"{1000.0 * scan.long.fastest:.0f}")
        )  # fmt: skip
    if scan.walks is not None and scan.lost(plan):
        walks = scan.walks
        found.append(words("reason.scan.walks", k=walks.failed, n=walks.runs, seconds=f"{walks.seconds:g}"))
    return found


def _hole(hole: Hole, words: Words) -> str:
    where = "; ".join(
        words("scan.chosen", name=name, k=hole.chosen(name), n=hole.choices[name])
        if name in hole.choices
        else words("scan.near", name=name, values=", ".join(f"{value:.3f}" for value in values))
        for name, values in sorted(hole.held.items())
    )
    outcome = words.name("outcome", hole.reason)
    return words(
        "reason.scan.hole", k=hole.wrong, n=hole.n, where=where, outcome=outcome, episode=hole.episode
    )


def scan_warnings(result: CheckResult, words: Words) -> list[str]:
    """What the scan found that does not decide."""
    scan = result.scan
    if scan is None:
        return []
    found = []
    plan = result.evidence.plan
    if scan.long.not_kept and not scan.undone(plan):
        found.append(
            words(
                "warning.scan.not_kept",
                k=scan.long.not_kept,
                n=scan.long.runs,
                seconds=f"{scan.long.seconds:g}",
            )
        )
    if scan.long.restless and not scan.never_rests(plan):
        found.append(
            words("warning.scan.restless", k=scan.long.restless, n=scan.long.runs, seconds=f"{scan.long.seconds:g}",
                  speed=f"{1000.0 * scan.long.fastest:.0f}")
        )  # fmt: skip
    walks = scan.walks
    if walks is not None and scan.doubtful(plan):
        limits = "".join(
            words("warning.scan.walks.limit", id=name, k=count) for name, count in walks.often.items()
        )
        found.append(
            words(
                "warning.scan.walks",
                k=walks.failed,
                n=walks.runs,
                seconds=f"{walks.seconds:g}",
                limits=limits,
            )
        )
    if scan.inputs.jumps:
        found.append(words("warning.scan.jumps", names=", ".join(sorted(scan.inputs.jumps))))
    return found


def own_rate(words: Words) -> str:
    """How many planted defects the gate found when it was measured (`genba bench gate`), and how many of them by the scan."""
    measured = json.loads(asset("gate.json").read_bytes())
    middle = measured["defects"]["middle"]
    lower = clopper_pearson_lower(middle["caught"], middle["n"])
    return words("scan.rate", n=middle["n"], k=middle["caught"], low=at_least(lower), scan=middle["by_scan"],
                 cells=", ".join(measured["cells"]))  # fmt: skip


def scan_lines(result: CheckResult, words: Words) -> list[str]:
    """What was looked at, item by item; one line where nothing was."""
    scan = result.scan
    if scan is None:
        return [words("scan.none")]
    walks = scan.walks
    return [
        words("scan.again", n=scan.repeated),
        words("scan.long", n=scan.long.runs, seconds=f"{scan.long.seconds:g}"),
        *([words("scan.walks", n=walks.runs, seconds=f"{walks.seconds:g}")] if walks is not None else []),
        words("scan.inputs", n=scan.inputs.asked),
        words("scan.holes", n=scan.suspects),
        own_rate(words),
    ]
