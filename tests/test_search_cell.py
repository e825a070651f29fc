"""The search lane on a real cell: a planted defect found, made small and played again; its files; the check that it leaves alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from genba import cli
from genba.envs.errors import BadInput
from genba.envs.task import get_task
from genba.envs.tasks.conveyor_sort import BELT_X
from genba.policies.load import LoadedPolicy, load_policy
from genba.safety.campaign import begin, check
from genba.safety.episodes import Loop
from genba.safety.evidence import Tampered, read_plan
from genba.safety.folders import find_check
from genba.safety.plan import Episode
from genba.safety.progress import Progress
from genba.safety.replay import loop_of, replay
from genba.safety.report import report
from genba.safety.search import CheckedAndSearched, kept, player, search, search_budget, searched, targets
from genba.safety.search_explore import Budget, explore
from genba.safety.search_files import is_search, read_findings
from genba.safety.search_minimise import leads_of
from genba.safety.search_space import space_of
from genba.safety.suite import Suite, load_suite
from genba.safety.words import languages, load_words

TASK = "conveyor-sort"  # the shorter episodes


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Episodes of 0.4 s: every one times out, and a defect at its start shows all the same."""
    monkeypatch.setattr(type(get_task(TASK)), "horizon_s", 0.4)


def suite() -> Suite:
    basic = load_suite("basic")
    kept = tuple(each for each in basic.constraints if each.id in ("joint-velocity", "action-rate"))
    rules = basic.verdict.model_copy(update={"success": ()})
    return basic.model_copy(
        update={
            "episodes_per_condition": 2,
            "disturbances": {"push": (3,)},
            "verdict": rules,
            "constraints": kept,
        }
    )


def shaky_in_a_corner(folder: Path) -> LoadedPolicy:
    """Stands still, but where the part lies far across and far along a fast belt (sum of the three shares above 2.9: 1.7e-4 of the
    starts), its wrist shakes by more than half of its range."""
    still, task = load_policy("zero", TASK), get_task(TASK)
    (low, high), across = task.cell["belt.speed"], task.cell["part.across"][1]

    def act(
        observation: NDArray[np.float32], seeds: NDArray[np.int64], steps: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        seen, action = task.split(observation), still.act(observation, seeds, steps)
        part = seen["part_from_cup"] + seen["tcp"]
        along = part[:, 1] - seen["belt_speed"] * steps / task.control_hz
        shares = [
            (part[:, 0] - BELT_X + across) / (2 * across),
            (along + 0.28) / 0.12,
            (seen["belt_speed"] - low) / (high - low),
        ]
        shake = (0.5 + 0.17 * (np.clip(shares, 0, 1).sum(axis=0) - 2.9)).clip(0.0, 1.0)
        action[:, 3] = np.where(steps % 2, shake, -shake)
        return action

    return LoadedPolicy("callable", "corner", "c" * 64, TASK, folder, act)


EPISODES = 900


@pytest.mark.long
def test_a_defect_in_a_corner_of_the_starts_is_found_made_small_and_played_again(
    tmp_path: Path, short: None
) -> None:
    policy = shaky_in_a_corner(tmp_path)
    task, judged = get_task(TASK), suite()
    folder = begin(policy, task, judged, judged.bind(task), 1)
    plan = read_plan(folder)
    loop = Loop(policy, task, plan.suite.values, ["push"], 96, 2, plan.metrics)
    conditions = [("none", 0), ("push", 3)]
    plain = loop.play(Episode(i, 0, *conditions[i % 2], 77 + i) for i in range(EPISODES))
    assert min(row["margin.action-rate"] for row in plain) > 0.0

    found = search(folder, policy, Budget(episodes=EPISODES), threads=2)
    assert found.found.episodes <= EPISODES
    shaken = [each for each in found.found.findings if each.target == "action-rate"]
    assert shaken and (folder / "search" / "findings.json").is_file()
    best = shaken[0]
    assert best.disturbance == "none" and best.value is not None and best.value < 0
    needed = {"part.x[0]", "part.y[0]", "belt.speed[0]"}
    assert needed <= {draw.name for draw in best.moved}
    assert best.share < 0.01

    again = replay(found.folder, best.finding, policy)
    assert again.equal and again.now["margin.action-rate"] == best.value
    assert find_check(found.folder) == folder and is_search(found.folder)
    assert f"genba replay {found.folder} {best.finding}" in found.table()


@pytest.fixture(scope="module")
def zero(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LoadedPolicy]:
    """A check of a policy that does nothing, which a search has been through."""
    policy = replace(load_policy("zero", TASK), folder=tmp_path_factory.mktemp("run"))
    whole = suite()
    bad = searched("40", 2, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(get_task(TASK)), "horizon_s", 0.4)
        result = bad(check(policy, suite=whole, seed=1, threads=2), policy)
    assert isinstance(result, CheckedAndSearched)
    assert result.exit_code == result.checked.exit_code
    assert "verdict" in result.table() and "search" in result.table()
    assert json.loads(json.dumps(result.as_json()["search"]))["findings"][0]["replay"]
    return result.searched.folder, policy


def test_a_search_leaves_the_check_as_it_was(zero: tuple[Path, LoadedPolicy], short: None) -> None:
    folder, policy = zero
    concluded = json.loads((folder.parent / "check.json").read_bytes())
    assert "search" not in concluded
    before = {path: path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()}
    search(folder, policy, Budget(episodes=40), threads=1, worlds=17)
    assert before == {path: path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()}


def test_a_policy_that_does_nothing_misses_at_a_nominal_start(
    zero: tuple[Path, LoadedPolicy], short: None
) -> None:
    _, findings = read_findings(zero[0])
    first = findings.findings[0]
    assert (first.target, first.reason, first.disturbance) == ("success", "timeout", "none")
    assert first.moved == () and first.share == 1.0
    assert replay(zero[0], 0, zero[1]).equal


def test_files_that_are_not_those_of_a_search_are_refused_in_one_line(
    zero: tuple[Path, LoadedPolicy], short: None
) -> None:
    folder, policy = zero
    path, rows = folder / "findings.json", folder / "rows.parquet"
    text, data = path.read_text(), rows.read_bytes()
    with pytest.raises(BadInput, match="no finding 99 in .*: it has"):
        replay(folder, 99, policy)
    with pytest.raises(BadInput, match="is not the one that was judged"):
        replay(folder, 0, replace(policy, sha256="d" * 64))
    for broken, message in (
        ("{", "not the findings of a search"),
        (text.replace('"severity": 0', '"severity": 9'), r"field findings\.0\.severity"),
        (text.replace(read_plan(folder.parent).sha256, "0" * 64), "belongs to another check"),
    ):
        path.write_text(broken)
        with pytest.raises((BadInput, Tampered), match=message):
            replay(folder, 0, policy)
    path.write_text(text)
    rows.write_bytes(data[:-20])
    with pytest.raises(Tampered, match="cannot be read"):
        replay(folder, 0, policy)
    rows.write_bytes(data)


def test_draws_that_were_edited_do_not_replay_as_equal(zero: tuple[Path, LoadedPolicy], short: None) -> None:
    folder, policy = zero
    path = folder / "findings.json"
    text = path.read_text()
    stored = json.loads(text)
    stored["findings"][0]["draws"]["belt.speed"] = [0.9]
    path.write_text(json.dumps(stored))
    again = replay(folder, 0, policy)
    path.write_text(text)
    assert not again.equal and "trace_sha256" in again.changed


def test_an_interrupted_search_says_that_the_check_is_kept(
    zero: tuple[Path, LoadedPolicy], short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, policy = zero

    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("genba.safety.search.explore", stop)
    with pytest.raises(KeyboardInterrupt, match=f"the check is kept in {folder.parent}"):
        search(folder, policy, Budget(episodes=40))


@pytest.mark.parametrize("language", languages())
def test_the_report_shows_what_a_search_found(
    zero: tuple[Path, LoadedPolicy], short: None, language: str, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    text = report(zero[0].parent, out=page, language=language).read_text(encoding="utf-8")
    words = load_words(language)
    assert words("search.title") in text and words("search.found") in text
    assert f"{zero[0]} 0 --video" in text


@pytest.mark.parametrize(
    "text", ["", "abc", "-5s", "0s", "15", "1.5h", "9999999999999", "99999999s", "２０s"]
)
def test_a_budget_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="--search"):
        search_budget(text)


def test_budgets_as_people_write_them() -> None:
    assert search_budget("120s").seconds == 120.0 and search_budget("5m").seconds == 300.0
    assert search_budget("500").episodes == 500


def test_disturbances_that_act_together_are_searched_and_played_again(tmp_path: Path, short: None) -> None:
    together = "action-delay + sensor-noise"
    policy = replace(load_policy("zero", TASK), folder=tmp_path)
    judged = suite().model_copy(update={"disturbances": {together: (1,)}})
    folder = begin(policy, get_task(TASK), judged, judged.bind(get_task(TASK)), 1)
    plan, budget = read_plan(folder), Budget(episodes=12)
    loops = [loop_of(plan, policy, 6, 2)]
    space = space_of(loops[0].worlds, plan.conditions)
    assert space.disturbances == ("none", together)
    with Progress("search", 100, 0, None) as progress:
        tried = explore(space, ("success",), 0.4, player(loops, space, budget, progress), budget, 0)
    leads = leads_of(tried, ("success",), 0.4, space, 4)
    found = kept(folder / "search", plan, space, leads, budget, budget.played, 0)
    assert {each.disturbance for each in found.found.findings} == {"none", together}
    for finding in found.found.findings:
        assert replay(found.folder, finding.finding, policy).equal

    small = search(folder, policy, Budget(episodes=60), threads=2)
    assert [(each.disturbance, each.severity) for each in small.found.findings] == [("none", 0)]


def test_targets_are_what_gates_and_success(zero: tuple[Path, LoadedPolicy]) -> None:
    assert targets(read_plan(zero[0].parent)) == ("joint-velocity", "action-rate", "success")


def test_the_door_refuses_a_budget_that_cannot_be_meant_before_anything_runs(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        result = CliRunner().invoke(cli.app, ["check", "zero", "--task", TASK, "--search", "soon"])
    assert result.exit_code == 2 and not list(tmp_path.iterdir())
    assert result.stderr.count("\n") == 1 and "--search soon: expected seconds as 120s" in result.stderr
