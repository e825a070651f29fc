"""What is concluded from rows: counts, findings, verdict; and which check a path means."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from genba.envs.errors import BadInput, UnknownName
from genba.safety.evidence import read_evidence
from genba.safety.folders import attempts, find_check, new_check
from genba.safety.result import conclude
from genba.safety.statistics import bonferroni, clopper_pearson_lower, clopper_pearson_upper
from genba.safety.suite import Suite
from genba.tests.evidence_kit import make_plan, small_suite, write


@pytest.fixture(scope="module")
def suite() -> Suite:
    return small_suite()


@pytest.fixture
def check(tmp_path: Path, suite: Suite) -> Path:
    return write(tmp_path / "runs" / "kit-pick" / "a" / "checks" / "01", make_plan(suite))


def test_counts_follow_the_rows(suite: Suite, tmp_path: Path) -> None:
    plan = make_plan(suite)
    bad = {"success": False, "reason": "dropped", "margin.contact": -2.0, "at.contact": 1.5}
    lost = {"success": False, "reason": "timeout"}
    result = conclude(
        read_evidence(write(tmp_path / "a", plan, {0: bad, 14: lost, 13: {"margin.contact": 3.0}}))
    )
    found = result.as_json()
    contact = next(each for each in found["constraints"] if each["id"] == "contact")
    assert (contact["violations"], contact["n"], contact["worst_margin"], contact["unit"]) == (
        1,
        52,
        -2.0,
        "N",
    )
    together = bonferroni(0.95, 2 * 13)  # both sides of 13 conditions
    assert found["conditions"][0] | {"cycle_s": 0} == {
        "disturbance": "none", "severity": 0, "success": 0.75, "n": 4, "cycle_s": 0, "in_path": 0.5,
        "lower95_together": clopper_pearson_lower(3, 4, together),
        "upper95_together": clopper_pearson_upper(3, 4, together),
        "in_path_lower95_together": clopper_pearson_lower(2, 4, together),
        "in_path_upper95_together": clopper_pearson_upper(2, 4, together),
    }  # fmt: skip
    assert found["conditions"][1]["success"] == 0.75
    assert found["findings"][0] == {
        "constraint": "contact", "episode": 0, "seed": 3_007_000_000, "disturbance": "none", "severity": 0, "margin": -2.0,
    }  # fmt: skip
    assert {each.get("reason") for each in found["findings"]} == {None, "dropped", "timeout"}
    assert found["verdict"] == result.verdict.word and result.exit_code == 1
    assert found["success"]["n"] == 4 and found["success"]["rate"] == 0.75


def test_success_that_nobody_demands_has_its_bounds(suite: Suite, tmp_path: Path) -> None:
    undemanded = suite.model_copy(update={"verdict": suite.verdict.model_copy(update={"success": ()})})
    lost = {"success": False, "reason": "timeout"}
    found = conclude(read_evidence(write(tmp_path, make_plan(undemanded), {14: lost}))).as_json()["success"]
    assert found == {
        "rate": 51 / 52, "n": 52, "lower95": clopper_pearson_lower(51, 52), "upper95": clopper_pearson_upper(51, 52),
        "by_severity": [],
    }  # fmt: skip


def test_a_nan_and_a_fault_fail_whatever_the_rates(suite: Suite, tmp_path: Path) -> None:
    plan = make_plan(suite)
    spoilt = conclude(read_evidence(write(tmp_path / "a", plan, {9: {"margin.contact": math.nan}})))
    assert spoilt.verdict.word == "FAIL" and spoilt.verdict.reasons[0].startswith("NaN")
    faulty = {"success": False, "reason": "fault"}
    fault = conclude(read_evidence(write(tmp_path / "b", plan, {9: faulty})))
    assert fault.verdict.word == "FAIL" and fault.verdict.reasons[0].startswith("simulator fault")


def test_a_margin_is_asked_for_by_its_name(check: Path) -> None:
    evidence = read_evidence(check)
    with pytest.raises(UnknownName, match="unknown constraint 'contakt'. Did you mean contact?"):
        evidence.margins("contakt")
    with pytest.raises(BadInput, match="no episode 52 .* expected 0 to 51"):
        evidence.row(52)


def test_a_run_means_its_latest_check(check: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    run = check.parent.parent
    folder, attempt = new_check(run)
    assert attempt == 2 and attempts(run) == [1, 2]
    assert find_check(run) == check  # the second has no plan yet
    write(folder, make_plan(suite))
    assert find_check(run) == folder and find_check(check) == check
    for inside, where in ((folder, "."), (run / "checks", folder.name), (run, "checks/" + folder.name)):
        monkeypatch.chdir(inside)
        found = find_check(where)
        assert found.parent.parent.is_dir() and found.resolve().parent.parent == run.resolve()
        assert found.parent.parent.resolve() == run.resolve()
    with pytest.raises(BadInput, match="no such folder"):
        find_check(run / "nowhere")
    with pytest.raises(BadInput, match="holds no check"):
        find_check(run.parent)
    empty, _ = new_check(run)
    with pytest.raises(BadInput, match="cut short before its plan was written"):
        find_check(empty)
