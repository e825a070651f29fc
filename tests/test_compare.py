"""Two checks side by side: what is compared, on made-up rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from genba.envs.errors import BadInput
from genba.policies.load import load_policy
from genba.safety.compare import Difference, compare, compared
from genba.safety.evidence import Evidence, read_evidence
from genba.tests.evidence_kit import make_plan, small_suite, write


def holding(folder: Path, margin: float, episodes: int = 52, cycle_s: float = 5.0) -> Evidence:
    """A check in which `joint-position` always has the same margin."""
    each = episodes // len(small_suite().conditions)
    suite = small_suite().model_copy(update={"episodes_per_condition": each})
    plan = make_plan(suite, episodes=episodes, episodes_per_condition=each)
    changes = {index: {"margin.joint-position": margin, "cycle_s": cycle_s} for index in range(episodes)}
    return read_evidence(write(folder, plan, changes))


def margins(a: Evidence, b: Evidence) -> list[Difference]:
    return [each for each in compared(a, b).differences if each.what == "joint-position, 5 % margin"]


def test_margins_that_never_vary_are_told_apart(tmp_path: Path) -> None:
    far, near = holding(tmp_path / "a", 0.5, 520), holding(tmp_path / "b", 0.01, 520)
    (found,) = margins(far, near)
    assert (found.a, found.b, found.word) == (0.5, 0.01, "worse")
    assert found.interval.estimate == pytest.approx(-0.49)


@pytest.mark.parametrize(("episodes", "word"), [(52, "no difference shown"), (520, "worse")])
def test_cycle_times_that_differ_by_one_tick_each_time_need_many_pairs(
    tmp_path: Path, episodes: int, word: str
) -> None:
    a, b = (holding(tmp_path / name, 0.5, episodes, cycle) for name, cycle in (("a", 2.0), ("b", 2.02)))
    (found,) = (each for each in compared(a, b).differences if each.unit == "s")
    assert found.interval.estimate == pytest.approx(0.02) and found.word == word


def test_margins_that_are_all_one_value_say_nothing(tmp_path: Path) -> None:
    assert not margins(holding(tmp_path / "a", 0.5), holding(tmp_path / "b", 0.5))


@pytest.mark.parametrize("seed", [-1, 1_000_000, 10**13])
def test_a_seed_that_nobody_may_choose_is_one_line(seed: int) -> None:
    policy = load_policy("scripted", "conveyor-sort")
    with pytest.raises(BadInput, match=f"--seed {seed}: expected 0 to 999,999"):
        compare(policy, policy, seed=seed)
