"""Every reason that a verdict can give stands in the report, in its language."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from genba.safety.plan import Looks, Plan
from genba.safety.report_reasons import reasons
from genba.safety.result import CheckResult, read_check
from genba.safety.scan_files import LONG_RUNS, WALK_RUNS, Hole, Inputs, Long, Scan, Walks, write_scan
from genba.safety.suite import Suite
from genba.safety.words import languages, load_words
from genba.tests.evidence_kit import KEPT, Row, make_plan, small_suite, write

OFTEN = 0.9  # a max_rate that clean rows keep
FAULT = {"success": False, "reason": "fault"}
BREAKS = {"margin.joint-position": -0.5}


def suite_of(hard: bool = True, rates: Mapping[str, float] | None = None, success: bool = False) -> Suite:
    """Two limits that clean rows keep unless `rates` are stricter; success is demanded or not."""
    small = small_suite()
    limits = tuple(
        each.model_copy(update={"hard": hard, "max_rate": (rates or {}).get(each.id, OFTEN)})
        for each in small.constraints
    )
    rules = small.verdict if success else small.verdict.model_copy(update={"success": ()})
    return small.model_copy(update={"constraints": limits, "verdict": rules})


def judged(folder: Path, suite: Suite, rows: dict[int, Row] | None = None, **plan: Any) -> CheckResult:
    return read_check(write(folder, make_plan(suite, **plan), rows))


def lines(result: CheckResult, names: str, language: str = "en") -> list[str]:
    """The report's reasons, which are as many as the verdict's; one names `names`."""
    said = reasons(result, load_words(language))
    assert len(said) == len(result.verdict.reasons) == len(set(said)), (said, result.verdict.reasons)
    assert any(names in line for line in said), said
    return said


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize(
    ("suite", "rows", "word", "names"),
    [
        (suite_of(hard=False), {}, "INSUFFICIENT", {"en": "Nothing here decides", "ja": "判定に使えるものがありません"}),
        (suite_of(), {3: FAULT, 9: FAULT}, "FAIL", {"en": "fault or an action", "ja": "シミュレータ異常"}),
        (suite_of(), {3: {"margin.contact": math.nan}}, "FAIL", {"en": "(NaN): 1", "ja": "(NaN)"}),
        (suite_of(rates={"contact": 0.001}), {}, "INSUFFICIENT", {"en": "contact: violated in 0", "ja": "contact"}),
        (suite_of(rates={"joint-position": 0.5}), dict.fromkeys(range(52), BREAKS), "FAIL",
         {"en": "joint-position: violated in 52", "ja": "joint-position"}),
        (suite_of(rates={"joint-position": 0.1}), dict.fromkeys(range(4), BREAKS), "INSUFFICIENT",
         {"en": "joint-position: violated in 4", "ja": "joint-position"}),
        (suite_of(success=True), {}, "INSUFFICIENT", {"en": "Success (nominal)", "ja": "成功(外乱なし)"}),
        (suite_of(success=True), dict.fromkeys(range(52), {"success": False, "reason": "timeout"}), "FAIL",
         {"en": "Success (severity 1)", "ja": "成功(強さ 1)"}),
        (suite_of(rates={"contact": 0.001}, success=True), {3: FAULT}, "FAIL",
         {"en": "contact: violated", "ja": "contact"}),
    ],
)  # fmt: skip
def test_a_reason_of_the_rows_stands_in_the_report(
    tmp_path: Path, language: str, suite: Suite, rows: dict[int, Row], word: str, names: dict[str, str]
) -> None:
    result = judged(tmp_path, suite, rows)
    assert result.verdict.word == word
    said = lines(result, names[language], language)
    assert not set(said) & set(result.verdict.reasons), "each has words of the report's own"


def test_a_limit_broken_in_all_and_in_one_condition_is_said_of_both(tmp_path: Path) -> None:
    suite = suite_of(rates={"joint-position": 0.001}).model_copy(update={"episodes_per_condition": 40})
    rows = dict.fromkeys(range(1, 520, 13), BREAKS)
    result = judged(tmp_path, suite, rows, episodes_per_condition=40, episodes=520)
    condition = result.verdict.constraints[0].broken_in[0]
    assert result.verdict.word == "FAIL" and len(result.verdict.reasons) == 2
    assert f"too often in {condition}" in lines(result, "40 of 520 episodes")[1]


@pytest.mark.parametrize("language", languages())
def test_episodes_after_a_look_that_had_decided_are_said(tmp_path: Path, language: str) -> None:
    plan = {"looks": Looks(every=13), "episodes_per_shard": 13}
    result = judged(tmp_path, suite_of(), {}, **plan)
    assert result.verdict.word == "FAIL"
    lines(result, {"en": "39 episodes were added after it", "ja": "39 エピソードが追加"}[language], language)


@pytest.mark.parametrize("language", languages())
def test_a_reason_of_the_scan_stands_in_the_report(tmp_path: Path, language: str) -> None:
    plan = make_plan(suite_of(rates={"contact": 0.5}, success=True), scan=True)
    folder = write(tmp_path, plan)
    missing = read_check(folder)
    lines(missing, "genba check --resume", language)
    for changes, names in scans(plan):
        write_scan(folder, a_scan(plan).model_copy(update=changes))
        lines(read_check(folder), names, language)


def scans(plan: Plan) -> list[tuple[dict[str, Any], str]]:
    """Scans with one finding each, and what its sentence names."""
    fine = a_scan(plan)
    hole = Hole(episode=17, held={"part.x": (0.25,)}, half_width=0.01, wrong=23, n=24, reason="timeout")
    assert fine.walks is not None
    return [
        ({"changed": (3,)}, "8"),
        ({"holes": (hole,)}, "part.x"),
        ({"inputs": Inputs(asked=9, no_number={"tcp.x": 0.125})}, "0.125"),
        ({"inputs": Inputs(asked=9, no_number={}, alone=0.75)}, "0.75"),
        ({"long": fine.long.model_copy(update={"broken": {**dict.fromkeys(KEPT, 0), "contact": LONG_RUNS}})}, "contact"),
        ({"long": fine.long.model_copy(update={"not_kept": LONG_RUNS - 1})}, f"{LONG_RUNS - 1}"),
        ({"long": fine.long.model_copy(update={"restless": LONG_RUNS, "fastest": 0.084})}, "84"),
        ({"walks": fine.walks.model_copy(update={"failed": WALK_RUNS})}, f"{WALK_RUNS}"),
    ]  # fmt: skip


def a_scan(plan: Plan) -> Scan:
    """One that found nothing."""
    none = dict.fromkeys(KEPT, 0)
    return Scan(
        plan_sha256=plan.sha256,
        repeated=8,
        changed=(),
        inputs=Inputs(asked=9, no_number={}),
        long=Long(runs=LONG_RUNS, seconds=5.0, not_kept=0, broken=none),
        walks=Walks(runs=WALK_RUNS, seconds=1.0, failed=0, broken=none),
        suspects=0,
        holes=(),
        episodes=40,
    )


@pytest.mark.parametrize("language", languages())
def test_a_reason_without_words_stands_as_the_verdict_has_it(tmp_path: Path, language: str) -> None:
    result = judged(tmp_path, suite_of())
    odd = "push 1: 9 episodes where the plan has 4: evidence was added"
    altered = replace(result, verdict=replace(result.verdict, word="FAIL", reasons=(odd,)))
    assert lines(altered, odd, language) == [odd]


def test_limits_with_the_same_numbers_share_a_sentence_that_names_each(tmp_path: Path) -> None:
    result = judged(tmp_path, suite_of(rates=dict.fromkeys(KEPT, 0.001)))
    assert len(result.verdict.reasons) == 2
    (said,) = reasons(result, load_words("en"))
    assert all(name in said for name in KEPT)
