"""Stops at random moments: the way is what the tool did, the moments do not depend on company, the bound is honest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from genba.cli import app
from genba.envs.errors import BadInput
from genba.envs.task import get_task
from genba.safety import stopping
from genba.safety.stopping import FEWEST, LeftOut, Stopper, Stops, left_out, moments, stops
from genba.tests.test_campaign import TASK, Expert


@pytest.fixture(scope="module")
def found() -> Stops:
    return stops(Expert(Path("unused")), episodes=60, threads=1)


def test_a_moving_tool_needs_time_and_way_to_stand(found: Stops) -> None:
    task = get_task(TASK)
    fast = found.speed > 0.3
    assert len(found.speed) > 20 and fast.sum() > 5
    assert np.isfinite(found.time_s).all() and found.speed.max() <= task.speed * 1.5  # type: ignore[attr-defined]
    assert (found.distance[fast] > 0.1 * found.speed[fast] ** 2 / (2 * 50.0)).all(), (
        "no drive brakes with 50 m/s2"
    )
    assert (found.distance[fast] < found.speed[fast] * found.time_s[fast] * 1.2).all()
    assert np.corrcoef(found.speed[fast], found.distance[fast])[0, 1] > 0.5


def test_the_same_stops_whatever_runs_beside(found: Stops) -> None:
    again = stops(Expert(Path("unused")), episodes=7, threads=2)
    for name in ("speed", "time_s", "distance"):
        assert getattr(again, name).tolist() == getattr(found, name)[: len(again.speed)].tolist()


def test_a_policy_that_does_not_move_needs_no_way() -> None:
    still = Expert(Path("unused"), change=lambda action: action * np.float32(0.0))
    found = stops(still, episodes=6)
    assert found.time_s.max() < 0.05 and found.distance.max() < 0.005


def test_moments_are_spread_over_the_takt_and_fixed_by_the_seed() -> None:
    task = get_task(TASK)
    drawn = moments(task, np.arange(4000))
    assert drawn.min() >= 1 and drawn.max() <= task.takt_s * task.control_hz
    assert np.histogram(drawn, 4)[0].min() > 900
    assert moments(task, np.array([17, 3])).tolist() == [drawn[17], drawn[3]]


def test_a_stop_keeps_its_grip() -> None:
    task = get_task(TASK)
    stopper = Stopper(Expert(Path("unused")), task)
    observation = np.zeros((1, len(task.observation_names)), np.float32)
    seeds = np.array([5])
    before = stopper.act(observation, seeds, np.array([0]))
    after = stopper.act(observation + np.float32(0.1), seeds, moments(task, seeds))
    assert after[0, :4].tolist() == [0.0] * 4 and after[0, 4] == before[0, 4]


def test_the_bound_on_the_quantile_is_an_order_statistic() -> None:
    """59 values are the fewest whose largest is a 95 % bound on the 95 % quantile."""
    values = np.arange(59.0)
    made = Stops("t", "p", values, values, values)
    assert made.most(values) == 58.0 and made.most(values[:58]) == np.inf
    rng = np.random.default_rng(0)
    covered = [made.most(rng.exponential(size=300)) >= -np.log(0.05) for _ in range(2000)]
    assert 0.95 - 0.015 <= np.mean(covered) <= 0.98


def test_a_tool_that_does_not_stand_is_counted_and_kept_in_the_bound() -> None:
    speed = np.full(100, 0.5)
    made = Stops(
        "t", "p", speed, np.where(np.arange(100) < 9, np.inf, 0.2), np.where(np.arange(100) < 9, np.inf, 0.05)
    )
    found = made.as_json()
    assert found["not_standing"] == 9 and found["time_s"] == {"largest": 0.2, "quantile95_upper95": None}
    assert "9 did not stand within 1 s" in made.table()
    assert found["beyond_assumed_m"]["largest"] == pytest.approx(0.05 - 0.5 * 0.04 - 0.25 / 8)


def test_a_bound_that_there_is_not_says_what_it_needs() -> None:
    few = Stops("t", "p", np.full(58, 0.5), np.full(58, 0.2), np.full(58, 0.05))
    assert FEWEST == 59 and few.table().count("needs 59 stops") == 2 and "inf" not in few.table()
    assert few.as_json()["time_s"]["quantile95_upper95"] is None and few.as_json()["stops_needed"] == 59
    still_going = Stops("t", "p", np.full(59, 0.5), np.full(59, np.inf), np.full(59, np.inf))
    assert still_going.table().count("none: too many did not stand") == 2 and "inf" not in still_going.table()
    enough = Stops("t", "p", np.full(59, 0.5), np.full(59, 0.2), np.full(59, 0.05))
    assert "0.200 s" in enough.table() and "50.0 mm" in enough.table() and "needs" not in enough.table()


def test_episodes_without_a_stop_are_counted_and_what_fails_after_it_is_named() -> None:
    task = get_task(TASK)
    at = [int(moments(task, np.array([seed]))[0]) for seed in range(6)]
    ends = (
        (at[0], "missed"), (at[1] + 1, "success"), (at[2] + 9, "timeout"), (at[3] + 1, "missed"),
        (at[4] + 4, "fault"), (at[5] + 5, "missed"),
    )  # fmt: skip
    rows = [{"seed": seed, "steps": steps, "reason": reason} for seed, (steps, reason) in enumerate(ends)]
    found = left_out(task, rows)
    assert found == LeftOut(before=1, after=2, failed={"fault": 1, "missed": 2})
    made = Stops("t", "p", np.full(60, 0.5), np.full(60, 0.2), np.full(60, 0.05), left_out=found)
    assert (
        "left out: 1 episodes that ended before their stop, 2 that ended within 1 s after it" in made.table()
    )
    assert "3 of 65 stopped episodes failed within 1 s after their stop (1.26 % to " in made.table()
    assert "fault 1, missed 2" in made.table()
    said = made.as_json()
    assert (said["ended_before_stop"], said["ended_within_watched"]) == (1, 2)
    assert said["failed_within_watched"] == {"fault": 1, "missed": 2}


def test_every_episode_is_a_stop_or_counted_beside(found: Stops) -> None:
    out = found.left_out
    assert len(found.speed) + out.before + out.after + sum(out.failed.values()) == 60


@pytest.mark.wide
def test_a_vehicle_is_stopped_by_its_base_and_held_against_no_arm() -> None:
    found = stops(Expert(Path("unused"), task="aisle-amr"), episodes=12, threads=1)
    fast = found.speed > 0.5
    assert found.steered == "base" and fast.any() and found.stood.all()
    assert (found.distance[fast] > 0.5 * found.speed[fast] ** 2 / (2 * 2.4)).all()
    assert found.as_json()["beyond_assumed_m"] == dict.fromkeys(
        ("largest", "braking_assumed", "reaction_assumed_s")
    )
    assert "separation reckons" not in found.table()


def test_an_environment_that_is_not_ours_is_refused_in_one_line() -> None:
    result = CliRunner().invoke(app, ["bench", "stops", "zero", "--task", "gym:Ant-v5"])
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
    assert "gym:Ant-v5 is somebody else's environment" in result.stderr


def test_numbers_that_cannot_be() -> None:
    with pytest.raises(BadInput, match="expected 1 to 1,000,000 episodes"):
        stops(Expert(Path("unused")), episodes=0)


@pytest.mark.wide
@pytest.mark.parametrize("task_id", [TASK, "palletize"])
def test_power_off_and_brakes_stop_sooner_than_the_drives_and_hold(task_id: str) -> None:
    """The same moments; a brake that holds a drive's largest torque beats a servo, also under a weight, and what follows is another episode."""
    by_drive, by_brake = (
        stops(Expert(Path("unused"), task=task_id), episodes=40, threads=1, category=category)
        for category in (1, 0)
    )
    assert by_brake.speed.tolist() == by_drive.speed.tolist()
    fast = by_brake.speed > 0.3
    assert fast.sum() > 5 and by_brake.stood.all()
    assert np.median(by_brake.distance[fast] / by_drive.distance[fast]) < 0.8
    assert (by_brake.distance[fast] > 0.002).all()
    assert by_brake.as_json()["category"] == 0 and "power off" in by_brake.table()


@pytest.mark.parametrize("task_id", [TASK, "kit-pick"])
def test_without_power_an_arm_sags_unless_brakes_hold_it(
    task_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one whose drives carry its weight beside their servos, from a stand: what moves it is its weight alone."""
    still = Expert(Path("unused"), change=lambda action: action * np.float32(0.0), task=task_id)
    held = stops(still, episodes=3, threads=1, category=0)
    assert held.stood.all() and held.distance.max() < 0.005
    monkeypatch.setattr(stopping, "BRAKES", 0.0)
    assert stops(still, episodes=3, threads=1, category=0).distance.min() > 0.05


def test_a_vehicle_has_no_brakes_to_let_fall() -> None:
    with pytest.raises(BadInput, match="an arm is asked for"):
        stops(Expert(Path("unused"), task="aisle-amr"), episodes=4, category=0)
    with pytest.raises(BadInput, match="category 0 or 1"):
        stops(Expert(Path("unused")), episodes=4, category=2)
