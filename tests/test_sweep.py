"""Sweeps: the severity at which a policy breaks is found where it is, and what is not shown is not claimed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from genba.cli import app
from genba.envs.errors import BadInput, UnknownName
from genba.policies.load import load_policy
from genba.safety.sweep import FINEST, TOP, Demands, Probe, Swept, bracket, search, sweep

DEMANDS = Demands(0.9, {"contact": 0.001}, 0.95)


def made(severity: float, breaks_at: float, n: int = 64) -> Probe:
    """A policy that always succeeds below a severity and never from there on."""
    return Probe(severity, n, n if severity < breaks_at else 0, {"contact": 0})


@given(st.floats(0.01, 6.0))
def test_the_breaking_point_lies_in_the_interval(breaks_at: float) -> None:
    probes = search(lambda severity: made(severity, breaks_at), made(0.0, breaks_at), DEMANDS)
    low, high, what = bracket(probes, DEMANDS)
    if breaks_at > TOP:
        assert (low, high, what) == (5.0, None, ()) and len(probes) == 2
    else:
        assert high is not None and low < breaks_at <= high and high - low <= FINEST and what == ("success",)
        assert len(probes) <= 8


def test_a_policy_that_breaks_undisturbed_breaks_at_zero() -> None:
    probes = search(lambda severity: made(severity, 0.0), made(0.0, 0.0), DEMANDS)
    assert bracket(probes, DEMANDS) == (0.0, 0.0, ("success",))


def test_what_is_neither_kept_nor_shown_to_be_broken_widens_the_interval() -> None:
    def ask(severity: float) -> Probe:
        successes = 64 if severity < 2.0 else 56 if severity < 4.0 else 30  # 56 of 64 may still be 90 %
        return Probe(severity, 64, successes, {"contact": 0})

    low, high, what = bracket(search(ask, ask(0.0), DEMANDS), DEMANDS)
    assert 1.7 <= low < 2.0 and high == 4.0 and what == ("success",)


@pytest.mark.parametrize("breaks_at", [0.6, 2.6, 4.9])
def test_a_chance_violation_undisturbed_does_not_keep_the_interval_from_being_halved(
    breaks_at: float,
) -> None:
    """One violation in 64 is not within 1 % and shows nothing; from `breaks_at` on nothing succeeds."""
    demands = Demands(0.9, {"contact": 0.01}, 0.95)

    def ask(severity: float) -> Probe:
        return Probe(severity, 64, 64 if severity < breaks_at else 0, {"contact": int(severity == 0.0)})

    nominal = ask(0.0)
    assert not nominal.within(demands) and not nominal.beyond(demands)
    probes = search(ask, nominal, demands)
    low, high, what = bracket(probes, demands)
    assert low == 0.0 and high is not None and what == ("success",)
    assert breaks_at <= high <= breaks_at + FINEST and len(probes) <= 8
    found = Swept("kit-pick", "a", "basic", 64, demands, nominal, ())
    assert "undisturbed it was not within the demands, though nothing is shown" in found.table()
    assert "contact violated in 1 of 64 episodes (0.0801 % to 7.2" in found.table()
    assert found.as_json()["nominal"]["within"] is False


def test_a_probe_that_is_open_up_to_the_top_is_not_halved() -> None:
    demands = Demands(None, {"contact": 0.01}, 0.95)
    probes = search(
        lambda severity: Probe(severity, 64, 64, {"contact": 1}), Probe(0.0, 64, 64, {"contact": 1}), demands
    )
    assert len(probes) == 2 and bracket(probes, demands) == (0.0, None, ())


def test_one_violation_of_a_rare_limit_is_not_within_but_shows_nothing_at_one_per_cent() -> None:
    demands = Demands(None, {"tcp-speed": 0.01}, 0.95)
    probe = Probe(3.0, 64, 0, {"tcp-speed": 1})
    assert not probe.within(demands) and probe.beyond(demands) == ()
    assert Probe(3.0, 64, 0, {"tcp-speed": 4}).beyond(demands) == ("tcp-speed",)
    assert Probe(3.0, 64, 0, {"tcp-speed": 0}, faults=1).beyond(demands) == ("fault",)


@pytest.mark.wide
def test_a_sweep_finds_where_the_expert_breaks_and_says_so_twice_alike() -> None:
    policy = load_policy("scripted", "conveyor-sort")
    found = sweep(policy, axes=("sensor-bias",), episodes=8, threads=1)
    assert sweep(policy, axes=("sensor-bias",), episodes=8, threads=2).as_json() == found.as_json()
    (axis,) = found.axes
    assert axis.high is not None and 0.0 < axis.low < axis.high and axis.unit == "m"
    assert axis.high_value == pytest.approx({4.0: 0.004, 5.0: 0.008}.get(axis.high, axis.high_value))
    assert "sensor-bias" in found.table() and "no verdict" in found.table()
    whole = {probe.severity for probe in axis.probes if probe.severity % 1.0}
    assert whole or axis.low % 1.0 == 0.0


def test_a_sweep_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    policy = load_policy("scripted", "kit-pick")
    with pytest.raises(UnknownName, match="Did you mean friction"):
        sweep(policy, axes=("fricton",))
    with pytest.raises(BadInput, match="belt-speed: does not apply to kit-pick"):
        sweep(policy, axes=("belt-speed",))
    with pytest.raises(BadInput, match="--episodes 1: expected 2"):
        sweep(policy, episodes=1)
    runner = CliRunner()
    for options, says in (
        (["--axis", "push"], "go with --sweep"),
        (["--episodes", "9"], "go with --sweep"),
        (["--sweep", "--resume"], "--resume does not go with --sweep"),
        (["--sweep", "--at-most", "9"], "--at-most does not go with --sweep"),
    ):
        result = runner.invoke(app, ["check", "scripted", "--task", "kit-pick", *options])
        assert result.exit_code == 2 and says in result.stderr and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "options", [["--task", "gym:Ant-v5"], ["--env", "Ant-v5"], ["--env", "Ant-v5", "--axis", "push"]]
)
def test_an_environment_that_is_not_ours_is_refused_in_one_line(options: list[str]) -> None:
    result = CliRunner().invoke(app, ["check", "zero", "--sweep", *options])
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
    assert "--sweep: gym:Ant-v5 is somebody else's environment" in result.stderr


@pytest.mark.wide
def test_the_door_prints_one_object() -> None:
    asked = [
        "check",
        "scripted",
        "--task",
        "conveyor-sort",
        "--sweep",
        "--axis",
        "belt-speed",
        "--episodes",
        "4",
        "--json",
    ]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[-1])
    assert [axis["disturbance"] for axis in found["axes"]] == ["belt-speed"]
    assert found["axes"][0]["probes"][0]["severity"] == 0.0
