"""What `genba bench network` says: outcomes that samples confirm, witnesses that violate, sweeps and dead inputs of networks made for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.errors import BadInput
from genba.envs.files import asset
from genba.envs.symmetry import Symmetry
from genba.envs.task import get_task
from genba.policies.bench_network import bench_network
from genba.policies.bounds_reader import read_graph
from genba.policies.bounds_split import UNKNOWN, VERIFIED, VIOLATED, decide
from genba.policies.contract import contract_of
from genba.policies.network_sweeps import act, dead_inputs, elsewhere, sweeps
from genba.policies.onnx_policy import OnnxPolicy
from genba.tests.test_bounds import boxes, model, perceptron, samples

onnx = pytest.importorskip("onnx")

Array = NDArray[np.float64]
TASK = "conveyor-sort"


@pytest.mark.parametrize("activation", ["Relu", "Tanh", "Elu"])
def test_verified_boxes_hold_no_violation_and_violated_boxes_show_one(activation: str) -> None:
    graph = read_graph(perceptron(activation), "made up")
    box = boxes(4, 60, 0.25, 11)
    high = np.full((60, 2), 0.55)
    found = decide(graph, box, graph.raw, -high, high, splits=64)
    values = graph(samples(box, 3000, 3).reshape(-1, 4), graph.raw).reshape(60, 3000, 2)
    beyond = np.asarray((np.abs(values) > 0.55).any(axis=(1, 2)))
    assert not beyond[found.outcome == VERIFIED].any()
    witness = graph(found.witness[found.outcome == VIOLATED], graph.raw)
    assert (np.abs(witness) > 0.55).any(axis=1).all()
    met = set(found.outcome.tolist())
    assert {VERIFIED, VIOLATED} <= met
    inside = found.outcome == VIOLATED
    points = found.witness[inside]
    assert ((points >= box.low[inside]) & (points <= box.high[inside])).all()


def test_splitting_settles_boxes_that_one_bound_cannot() -> None:
    graph = read_graph(perceptron("Tanh"), "made up")
    box = boxes(4, 60, 0.6, 12)
    limit = np.full((60, 2), 0.9)
    unknown = [
        int((decide(graph, box, graph.raw, -limit, limit, splits=n).outcome == UNKNOWN).sum())
        for n in (1, 64)
    ]
    assert unknown[0] > 0 and unknown[1] < unknown[0]


def made(tmp_path: Path, weight: Array, bias: Array) -> OnnxPolicy:
    from onnx import helper

    nodes = [
        helper.make_node("Gemm", ["observation", "w", "b"], ["z"], transB=1),
        helper.make_node("Clip", ["z", "low", "high"], ["action"]),
    ]
    path = tmp_path / "policy.onnx"
    constants = {"w": weight, "b": bias, "low": -1.0, "high": 1.0}
    path.write_bytes(model(nodes, constants, weight.shape[1], len(weight)))
    return OnnxPolicy(path)


def test_an_input_that_is_not_read_is_dead_and_one_that_is_read_is_not(tmp_path: Path) -> None:
    policy = made(tmp_path, np.array([[0.5, 0.0, 1e-3]]), np.zeros(1))
    seen = np.zeros((5, 3), np.float32)
    assert dead_inputs(policy, seen, ("a", "b", "c"), -np.ones(3), np.ones(3)) == ("b",)


def test_sweeps_count_answers_that_are_no_numbers_and_columns_that_hide_a_broken_sensor(
    tmp_path: Path,
) -> None:
    from onnx import helper

    nodes = [
        helper.make_node("Relu", ["observation"], ["r"]),
        helper.make_node("Gemm", ["r", "w", "b"], ["z"], transB=1),
        helper.make_node("Clip", ["z", "low", "high"], ["action"]),
    ]
    constants = {"w": [[1.0, 0.5]], "b": [0.0], "low": -1.0, "high": 1.0}
    path = tmp_path / "policy.onnx"
    path.write_bytes(model(nodes, constants, 2, 1))
    policy = OnnxPolicy(path)
    found = {each.value: each for each in sweeps(policy, np.ones((4, 2), np.float32), ("a", "b"), np.ones(2))}
    assert all(each.cases == 8 and each.outside == 0 for each in found.values())
    assert found["-infinity"].no_number == 0 and found["-infinity"].unnoticed == ("a", "b")
    assert found["denormal"].no_number == 0 and found["denormal"].unnoticed == ()
    for value in (
        "NaN",
        "+infinity",
    ):  # what Clip makes of a NaN is onnxruntime's to say: counted, never assumed
        alone = act(policy, np.array([[np.nan if value == "NaN" else np.inf, 1.0]], np.float32))
        assert (found[value].unnoticed == ()) == (not np.isfinite(alone).all())


def test_a_policy_that_knows_its_place_by_heart_is_off_elsewhere(tmp_path: Path) -> None:
    seen = np.random.default_rng(0).uniform(-0.2, 0.2, (50, 3)).astype(np.float32)
    shifted = Symmetry(
        "moved", lambda rows: rows + np.array([0.4, 0.0, 0.0], np.float32), lambda action: action
    )
    mirrored = Symmetry("mirrored", lambda rows: -rows, lambda action: -action)
    knows = made(tmp_path, np.array([[0.0, 0.5, 1.0]]), np.zeros(1))
    assert [each.largest for each in elsewhere(knows, seen, [shifted, mirrored])] == [0.0, 0.0]
    heart = made(tmp_path, np.array([[0.5, 0.5, 1.0]]), np.full(1, 0.1))
    found = elsewhere(heart, seen, [shifted, mirrored])
    assert [each.symmetry for each in found] == ["moved", "mirrored"] and found[0].cases == 50
    assert found[0].median == pytest.approx(0.2, abs=1e-6) and found[0].q95 == pytest.approx(0.2, abs=1e-6)
    assert found[1].largest == pytest.approx(0.2, abs=1e-6)


def test_a_policy_that_comes_with_genba_is_measured_whole() -> None:
    result = bench_network(str(asset("policies", TASK)), boxes=4, noise=1e-4, change=1.0, threads=2)
    assert [each.boxes for each in result.properties] == [4, 4, 1]
    for each in result.properties:
        assert each.verified + each.violated + each.unknown == pytest.approx(1.0)
    for tight, rough in zip(result.domain_crown, result.domain_interval, strict=True):
        assert rough[0] - 1e-3 <= tight[0] < tight[1] <= rough[1] + 1e-3
    assert {each.value for each in result.sweeps} >= {"NaN", "+infinity", "denormal", "beyond its range"}
    assert result.lipschitz[0] > 0 and result.rounding < 1e-4
    whole = json.loads(json.dumps(result.as_json()))
    assert whole["properties"][0]["name"].startswith("action in [-1, 1] before clipping")
    assert "Lipschitz" in result.table() and "this cell declares no symmetry" in result.table()
    again = bench_network(str(asset("policies", TASK)), boxes=4, noise=1e-4, change=1.0, threads=1)
    assert again == result


def test_nothing_is_verified_of_a_file_that_answers_no_number(tmp_path: Path) -> None:
    """In float32 it overflows to infinity times 0, in float64 it is 0."""
    from onnx import helper

    contract = contract_of(get_task(TASK))
    inputs, outputs = len(contract.observation), len(contract.action)
    nodes = [
        helper.make_node("Gemm", ["observation", "w", "b"], ["z"], transB=1),
        helper.make_node("Mul", ["z", "huge"], ["x"]),
        helper.make_node("Mul", ["x", "huge"], ["y"]),
        helper.make_node("Mul", ["y", "none"], ["n"]),
        helper.make_node("Tanh", ["n"], ["action"]),
    ]
    constants = {"w": np.ones((outputs, inputs)), "b": np.ones(outputs), "huge": 1e30, "none": 0.0}
    path = tmp_path / "policy.onnx"
    path.write_bytes(model(nodes, constants, inputs, outputs))
    result = bench_network(str(path), TASK, boxes=2, threads=1)
    assert np.isnan(result.rounding) and all(each.verified == 0.0 for each in result.properties)


def test_what_has_no_network_and_numbers_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(BadInput, match="bounds are of a network"):
        bench_network("scripted", TASK)
    for wrong in ({"boxes": 0}, {"noise": 0.0}, {"noise": np.nan}, {"change": np.inf}):
        with pytest.raises(BadInput, match="expected at least 1 box"):
            bench_network("scripted", TASK, **wrong)
