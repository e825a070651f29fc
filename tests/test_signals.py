"""Signals: names to numbers without copies, derived ones once an instant, unknown names with the closest ones."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from genba.envs.errors import UnknownName
from genba.envs.signals import Lookup, Signal, Signals, SignalTable, once

calls: list[str] = []


def speed(s: Lookup) -> np.ndarray:
    calls.append("speed")
    return np.asarray(np.sqrt((s["tcp.vel"] ** 2).sum(axis=-1)))


@pytest.fixture
def table() -> SignalTable:
    signals = [
        Signal("tcp.vel", "m/s", (3,)),
        Signal("width", "m"),
        Signal("frame", "1", (2, 2)),
        Signal("tcp.speed", "m/s", (), kind="derived"),
        Signal("limit", "m/s", (), kind="constant"),
        Signal("action", "1", (2,), kind="held", rate_hz=50.0),
    ]
    columns = {"tcp.vel": slice(0, 3), "width": slice(3, 4), "frame": slice(4, 8)}
    return SignalTable({s.name: s for s in signals}, columns, {"tcp.speed": speed}, {"limit": 1.5})


@pytest.fixture
def signals(table: SignalTable) -> Signals:
    block = np.arange(2 * 5 * 8, dtype=float).reshape(2, 5, 8)  # 2 worlds, 5 substeps
    return Signals(table, block, {"action": np.array([[1.0, 2.0], [3.0, 4.0]])})


def test_sensors_are_views_of_the_block(signals: Signals) -> None:
    assert signals["tcp.vel"].shape == (2, 5, 3) and np.shares_memory(signals["tcp.vel"], signals.block)
    assert signals["width"].shape == (2, 5) and np.shares_memory(signals["width"], signals.block)
    assert signals["frame"].shape == (2, 5, 2, 2)
    assert signals["width"][1, 2] == signals.block[1, 2, 3]
    assert (signals.worlds, signals.substeps) == (2, 5)


def test_now_is_the_last_substep(signals: Signals) -> None:
    assert signals.now["tcp.vel"].tolist() == signals.block[:, -1, :3].tolist()
    assert signals.now["frame"].shape == (2, 2, 2)
    assert signals.now["tcp.speed"].tolist() == signals["tcp.speed"][:, -1].tolist()


def test_held_and_constant_signals_fill_every_substep(signals: Signals) -> None:
    assert signals["action"].shape == (2, 5, 2) and (signals["action"][1] == [3.0, 4.0]).all()
    assert signals["limit"].shape == (2, 5) and (signals["limit"] == 1.5).all()
    assert signals.now["limit"].tolist() == [1.5, 1.5]


def test_derived_signals_are_computed_once(signals: Signals) -> None:
    calls.clear()
    assert signals.now["tcp.speed"].shape == (2,) and signals.now["tcp.speed"] is signals.now["tcp.speed"]
    assert len(calls) == 1
    assert signals["tcp.speed"] is signals["tcp.speed"]
    assert len(calls) == 2


def test_an_instant_takes_over_what_its_block_derived(signals: Signals) -> None:
    calls.clear()
    whole = signals["tcp.speed"]
    assert signals.now["tcp.speed"].tobytes() == np.ascontiguousarray(whole[:, -1]).tobytes()
    assert len(calls) == 1
    sensed = signals.now.with_values({"tcp.vel": np.zeros((2, 3))})
    assert sensed["tcp.speed"].tolist() == [0.0, 0.0]


def test_once_remembers_within_an_instant_only(signals: Signals) -> None:
    counted: list[int] = []

    @once
    def doubled(s: Lookup) -> np.ndarray:
        """Twice the width."""
        counted.append(1)
        return 2.0 * s["width"]

    assert doubled(signals.now) is doubled(signals.now) and len(counted) == 1
    other = signals.now.with_values({"width": np.array([7.0, 8.0])})
    assert doubled(other).tolist() == [14.0, 16.0] and len(counted) == 2
    assert doubled.__doc__ == "Twice the width."


def test_replaced_values_reach_what_follows_and_leave_the_truth(signals: Signals) -> None:
    before = signals.now["tcp.speed"].copy()
    sensed = signals.now.with_values({"tcp.vel": np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 2.0]])})
    assert sensed["tcp.speed"].tolist() == [5.0, 2.0]
    assert sensed["width"].tolist() == signals.now["width"].tolist()
    assert signals.now["tcp.speed"].tolist() == before.tolist()


def test_unknown_names_list_the_closest(signals: Signals, table: SignalTable) -> None:
    with pytest.raises(UnknownName, match=r"unknown signal 'tcp.sped'. Did you mean tcp.speed"):
        signals["tcp.sped"]
    with pytest.raises(KeyError):
        table["nonsense"]
    assert "tcp.vel" in table and "nonsense" not in table


def test_a_table_can_be_extended(table: SignalTable) -> None:
    more = table.extended({"half": Signal("half", "m")}, {"half": lambda s: 0.5 * s["width"]})
    assert more["half"].kind == "derived" and "half" not in table and len(more) == len(table) + 1
    block = np.ones((2, 1, 8))
    assert Signals(more, block, {"action": np.zeros((2, 2))}).now["half"].tolist() == [0.5, 0.5]


def test_signals_need_no_simulator() -> None:
    code = "import sys, genba.envs.signals; print({'mujoco', 'gymnasium', 'torch', 'stable_baselines3'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "set()", run.stderr
