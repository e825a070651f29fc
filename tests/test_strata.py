"""Strata: equally many starts everywhere, the same worlds as ever, and the worst part named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from genba.envs.errors import BadInput, UnknownName
from genba.envs.streams import Streams
from genba.envs.task import get_task
from genba.safety.campaign import UntilDecided, check
from genba.safety.evidence import read_evidence
from genba.safety.replay import replay
from genba.safety.report import report
from genba.safety.result import conclude
from genba.safety.result_strata import FAILED, by_stratum
from genba.safety.strata import Strata, check_strata
from genba.safety.suite import Suite, load_suite
from genba.tests.evidence_kit import make_plan, small_suite, write
from genba.tests.test_campaign import Expert, small

FOUR = Strata(stream="part.xy", component=1, parts=4)


@settings(max_examples=60, deadline=None)
@given(
    parts=st.integers(2, 9),
    conditions=st.integers(1, 6),
    rounds=st.integers(1, 12),
    first=st.integers(0, 2**40),
)
def test_every_condition_meets_every_stratum_equally_often(
    parts: int, conditions: int, rounds: int, first: int
) -> None:
    strata = Strata(stream="a", component=2, parts=parts)
    episodes = parts * conditions * rounds
    seeds = strata.seeds("t/1", first, episodes, conditions, 1_000_000)
    assert len(set(seeds.tolist())) == episodes and seeds.min() >= first
    cell = strata.of("t/1", seeds) * conditions + np.arange(episodes) % conditions
    assert np.bincount(cell).tolist() == [rounds] * (parts * conditions)
    shorter = strata.seeds("t/1", first, parts * conditions, conditions, 1_000_000)
    assert shorter.tolist() == seeds[: parts * conditions].tolist(), (
        "a shorter check is the beginning of a longer one"
    )


def test_a_stratum_is_a_range_of_the_draw_that_the_task_makes() -> None:
    seeds = np.arange(500)
    drawn = Streams("kit-pick/1", seeds).between("part.xy", -1.0, 1.0, (2,))[:, 1]
    assert FOUR.of("kit-pick/1", seeds).tolist() == np.floor((drawn + 1.0) * 2.0).astype(int).tolist()


def test_strata_do_not_bend_other_draws_and_steady_the_mean() -> None:
    """A rate that depends on the draw: the same in the mean, with less scatter."""
    plain: list[NDArray[np.bool_]] = []
    even: list[NDArray[np.bool_]] = []
    for first in range(0, 400_000, 2000):
        for found, seeds in (
            (plain, first + np.arange(80)), (even, FOUR.seeds("t/1", first, 80, 1, 2000)),
        ):  # fmt: skip
            streams = Streams("t/1", seeds)
            found.append((streams.uniform("part.xy", (2,))[:, 1] > 0.75) | (streams.uniform("other") < 0.1))
    rates = [np.mean(found, axis=1) for found in (plain, even)]
    truth = 0.25 + 0.75 * 0.1
    assert [rate.mean() for rate in rates] == pytest.approx([truth, truth], abs=0.01)
    assert rates[1].std() < 0.7 * rates[0].std()


def test_a_start_quantity_that_the_task_does_not_draw_is_named() -> None:
    task = get_task("kit-pick")
    check_strata(FOUR, task)
    with pytest.raises(UnknownName, match=r"start quantity of kit-pick 'part.xz'. Did you mean part.xy"):
        check_strata(Strata(stream="part.xz", parts=2), task)
    with pytest.raises(BadInput, match="part.xy of kit-pick has components 0 to 1, asked for 2"):
        check_strata(Strata(stream="part.xy", component=2, parts=2), task)


def test_too_few_seeds_say_so() -> None:
    with pytest.raises(BadInput, match="too many episodes for the seeds of one check"):
        FOUR.seeds("t/1", 0, 100, 1, 90)


def test_a_suite_without_strata_is_written_as_before() -> None:
    assert "strata" not in load_suite("basic").model_dump(mode="json")
    basic = load_suite("basic").model_dump(mode="json")
    with pytest.raises(ValidationError, match="equally many episodes in each of 4 strata, found 231"):
        Suite.model_validate({**basic, "strata": FOUR.model_dump()})


@pytest.mark.parametrize("task", ["kit-pick", "conveyor-sort"])
def test_released_evidence_is_read_as_before(task: str) -> None:
    result = conclude(read_evidence(Path(__file__).parent.parent / "assets" / "policies" / task / "evidence"))
    assert result.verdict.word == "PASS" and result.as_json()["strata"] is None


def stratified(episodes: int) -> Suite:
    plain = small(episodes, "push")
    return Suite.model_validate({**plain.model_dump(mode="json"), "strata": {"stream": "part.x", "parts": 2}})


def test_a_check_with_strata_plays_them_and_replays(tmp_path: Path) -> None:
    policy = Expert(tmp_path)
    result = check(policy, suite=stratified(4), seed=7, worlds=5)
    plan, seeds = result.evidence.plan, result.evidence.columns["seed"]
    assert plan.round == 4 and plan.suite.strata is not None
    assert plan.suite.strata.of(plan.key, seeds).tolist() == [0, 0, 1, 1] * 2
    assert replay(result.folder, 3, policy).equal
    found = json.loads((result.folder / "check.json").read_text())["strata"]
    assert found["of"] == "part.x[0]" and {cell["n"] for cell in found["cells"]} == {4}
    assert "strata of part.x[0]: " in result.table()
    page = report(result.folder).read_text(encoding="utf-8")
    assert "equally often from each of 2 equal parts of the range of part.x[0]" in page
    looked = check(Expert(tmp_path / "b"), suite=stratified(4), seed=7, until=UntilDecided(11, 4))
    assert len(looked.evidence) == 8 and looked.evidence.plan.ends == (4, 8)
    assert looked.evidence.columns["seed"].tolist() == seeds.tolist()


def test_the_worst_stratum_is_named(tmp_path: Path) -> None:
    suite = small_suite()
    suite = Suite.model_validate({**suite.model_dump(mode="json"), "strata": FOUR.model_dump()})
    plan = make_plan(suite)
    strata = FOUR.of(plan.key, np.array([plan.episode(i).seed for i in range(52)]))
    bad = {int(i): {"success": False, "reason": "dropped"} for i in np.flatnonzero(strata == 2)[:9]}
    found = by_stratum(read_evidence(write(tmp_path / "checks" / "01", plan, bad)))
    assert found is not None
    worst = found.worst(FAILED)
    assert worst is not None and (worst.condition, worst.violations, worst.n) == (2, 9, 13)
    assert 0.2 < worst.lower < 9 / 13 < worst.upper < 1.0
    assert [cell.constraint for cell in found.happened] == [FAILED]
