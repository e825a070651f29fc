"""Bounds on networks: no sample ever leaves one, they tighten as boxes shrink, and the file in onnxruntime is what they bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from genba.envs.errors import BadInput
from genba.envs.files import asset
from genba.policies.bounds import SLACK, Box, crown_bounds, interval_bounds, jacobian_bounds, lipschitz
from genba.policies.bounds_functions import Abs, AtLeast, AtMost, Elu, Function, ShareAbove, Tanh
from genba.policies.bounds_graph import Graph
from genba.policies.bounds_reader import read_graph
from genba.policies.onnx_policy import OnnxPolicy

onnx = pytest.importorskip("onnx")

Array = NDArray[np.float64]
SHIPPED = sorted(path.parent.name for path in asset("policies").glob("*/policy.onnx"))
FUNCTIONS = [Elu(), Elu(0.5), AtLeast(), AtLeast(-0.3), AtMost(0.4), Abs(), Tanh()]


def model(nodes: list[Any], constants: dict[str, Any], columns: int, channels: int, opset: int = 20) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["n", columns])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, ["n", channels])],
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return bytes(made.SerializeToString())


def perceptron(activation: str, seed: int = 0, widths: tuple[int, ...] = (4, 16, 16, 2)) -> bytes:
    from onnx import helper

    draws = np.random.default_rng(seed)
    nodes, last = [], "observation"
    constants: dict[str, Any] = {}
    for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False)):
        constants[f"w{i}"], constants[f"b{i}"] = draws.normal(0, a**-0.5, (b, a)), draws.normal(0, 0.3, b)
        nodes.append(helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], [f"z{i}"], transB=1))
        last = f"z{i}"
        if i < len(widths) - 2:
            nodes.append(helper.make_node(activation, [last], [f"h{i}"]))
            last = f"h{i}"
    constants["low"], constants["high"] = -1.0, 1.0
    nodes.append(helper.make_node("Clip", [last, "low", "high"], ["action"]))
    return model(nodes, constants, widths[0], widths[-1])


def boxes(columns: int, count: int, radius: float, seed: int) -> Box:
    draws = np.random.default_rng(seed)
    middle = draws.normal(0, 1, (count, columns))
    around = radius * draws.random((count, columns))
    return Box(middle - around, middle + around)


def samples(box: Box, count: int, seed: int) -> Array:
    """`(B, count, d)`: a third of them corners, where extremes are."""
    draws = np.random.default_rng(seed)
    share = draws.random((len(box), count, box.low.shape[1]))
    share[:, ::3] = np.rint(share[:, ::3])
    return np.asarray(box.low[:, None] + share * (box.high - box.low)[:, None])


def inside(graph: Graph, box: Box, count: int, at_once: int = 20_000) -> None:
    """No sample leaves a bound, neither of the action nor of what is clipped, nor an interval bound."""
    steps = [graph.raw, graph.action]
    crown, interval = crown_bounds(graph, box, steps), interval_bounds(graph, box)
    for start in range(0, count, at_once):
        points = samples(box, min(at_once, count - start), start)
        flat = points.reshape(-1, points.shape[-1])
        for step, (low, high) in zip(steps, crown, strict=True):
            values = graph(flat, step).reshape(*points.shape[:2], -1)
            assert (values >= low[:, None] + SLACK - 1e-9).all() and (
                values <= high[:, None] - SLACK + 1e-9
            ).all()
            assert (values >= interval[step][0][:, None] - 1e-9).all()
            assert (values <= interval[step][1][:, None] + 1e-9).all()


@given(st.sampled_from(FUNCTIONS), st.floats(-6, 6), st.floats(0, 8))
@settings(max_examples=400, deadline=None)
def test_lines_slopes_and_ranges_hold_each_function(function: Function, low: float, length: float) -> None:
    holds(function, low, low + length)


@given(st.floats(0.01, 0.5), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=300, deadline=None)
def test_lines_hold_the_share_of_speed_above_fine_work(fine: float, low: float, length: float) -> None:
    holds(ShareAbove(fine), low, low + length)


def holds(function: Function, low: float, high: float) -> None:
    ends = np.array([low]), np.array([high])
    x = np.linspace(low, high, 201)
    y = function(x)
    a, b, c, d = (float(each[0]) for each in function.lines(*ends))
    assert (a * x + b <= y + 1e-9).all() and (y <= c * x + d + 1e-9).all()
    least, most = (float(each[0]) for each in function.range(*ends))
    assert (least - 1e-12 <= y).all() and (y <= most + 1e-12).all()
    flat, steep = (float(each[0]) for each in function.slopes(*ends))
    slopes = np.diff(y)[np.diff(x) > 1e-6] / np.diff(x)[np.diff(x) > 1e-6]
    assert (slopes >= flat - 1e-6).all() and (slopes <= steep + 1e-6).all()


@pytest.mark.parametrize("activation", ["Relu", "Tanh", "Elu"])
@pytest.mark.parametrize(
    ("radius", "count"),
    [(0.3, 1), pytest.param(0.01, 4, marks=pytest.mark.long), pytest.param(2.0, 4, marks=pytest.mark.long)],
)
def test_100_000_samples_of_each_box_stay_inside(activation: str, radius: float, count: int) -> None:
    graph = read_graph(perceptron(activation), "made up")
    inside(graph, boxes(4, count, radius, 5), 100_000)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("radius", [1e-3, 0.1])
def test_samples_stay_inside_the_bounds_of_policies_that_come_with_genba(name: str, radius: float) -> None:
    policy = OnnxPolicy(asset("policies", name, "policy.onnx"))
    graph = read_graph(policy.data, policy.path)
    box = boxes(graph.steps[0].width, 3, radius, 1)
    inside(graph, Box(0.3 * box.low, 0.3 * box.high), 300)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_bounded_is_what_onnxruntime_runs(name: str) -> None:
    policy = OnnxPolicy(asset("policies", name, "policy.onnx"))
    graph = read_graph(policy.data, policy.path)
    points = np.random.default_rng(0).normal(0, 0.1, (2000, graph.steps[0].width)).astype(np.float32)
    rows = np.zeros(len(points), np.int64)
    assert np.abs(policy.act(points, rows, rows) - graph(points.astype(np.float64))).max() < SLACK


@pytest.mark.parametrize("ends", [{"min": -0.5}, {"max": 0.25}, {"min": -0.5, "max": 0.25}, {}])
def test_an_older_file_says_its_settings_as_attributes(ends: dict[str, Any]) -> None:
    """Clip before opset 11, ReduceMax before 18: what onnxruntime answers, sample by sample, lies inside the bounds."""
    import onnxruntime
    from onnx import helper

    nodes = [
        helper.make_node("Clip", ["observation"], ["cut"], **ends),
        helper.make_node("ReduceMax", ["cut"], ["most"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["cut", "most"], ["apart"]),
        helper.make_node("Clip", ["apart"], ["action"], min=-1.0, max=-0.1),
    ]
    data = model(nodes, {}, 3, 3, opset=10)
    graph, box = read_graph(data, "old.onnx"), boxes(3, 6, 1.0, 4)
    inside(graph, box, 500)
    points = samples(box, 500, 2).astype(np.float32)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (answers,) = session.run(["action"], {"observation": points.reshape(-1, 3)})
    assert np.abs(answers - graph(points.reshape(-1, 3).astype(np.float64))).max() < SLACK
    ((low, high),) = crown_bounds(graph, box, [graph.action])
    answers = answers.reshape(points.shape)
    assert (answers >= low[:, None]).all() and (answers <= high[:, None]).all()
    assert low.min() >= -1.0 - 2 * SLACK and high.max() <= -0.1 + 2 * SLACK


def test_a_point_is_bounded_by_itself_and_bounds_tighten_as_boxes_shrink() -> None:
    graph = read_graph(perceptron("Tanh"), "made up")
    middle = boxes(4, 3, 0.0, 2).low
    widths = []
    for radius in (0.0, 0.01, 0.1, 0.5):
        ((low, high),) = crown_bounds(graph, Box(middle - radius, middle + radius), [graph.raw])
        widths.append(float((high - low).max()))
    assert widths[0] <= 2 * SLACK + 1e-12 and widths == sorted(widths)


@pytest.mark.parametrize("activation", ["Relu", "Tanh", "Elu"])
def test_crown_is_tighter_than_intervals(activation: str) -> None:
    graph = read_graph(perceptron(activation), "made up")
    box = boxes(4, 20, 0.2, 3)
    ((low, high),) = crown_bounds(graph, box, [graph.raw])
    rough = interval_bounds(graph, box)[graph.raw]
    assert (high - low).mean() < 0.6 * (rough[1] - rough[0]).mean()


def test_of_a_linear_network_the_bounds_are_exact() -> None:
    from onnx import helper

    nodes = [
        helper.make_node("Gemm", ["observation", "w", "b"], ["z"], transB=1),
        helper.make_node("Clip", ["z", "low", "high"], ["action"]),
    ]
    data = model(nodes, {"w": [[1.0, -2.0]], "b": [0.25], "low": -1.0, "high": 1.0}, 2, 1)
    graph = read_graph(data, "made up")
    ((low, high),) = crown_bounds(graph, Box(np.zeros((1, 2)), np.ones((1, 2))), [graph.raw])
    np.testing.assert_allclose([low[0, 0], high[0, 0]], [-1.75 - SLACK, 1.25 + SLACK], atol=1e-12)
    assert lipschitz(graph, Box(np.zeros((1, 2)), np.full((1, 2), 0.1)))[0] == pytest.approx(3.0)


@pytest.mark.parametrize("activation", ["Relu", "Tanh", "Elu"])
def test_no_two_samples_are_farther_apart_than_the_lipschitz_bound_allows(activation: str) -> None:
    graph = read_graph(perceptron(activation), "made up")
    box = boxes(4, 6, 0.3, 8)
    points = samples(box, 4000, 1)
    actions = graph(points.reshape(-1, 4)).reshape(6, 4000, -1)
    apart = np.abs(points[:, 1:] - points[:, :-1]).max(axis=2)
    changes = np.abs(actions[:, 1:] - actions[:, :-1]).max(axis=2)
    ratio = (changes / np.maximum(apart, 1e-12)).max(axis=1)
    bound = lipschitz(graph, box)
    assert (ratio <= bound + 1e-9).all() and (bound < 20 * ratio + 1e-9).all()


def test_each_partial_derivative_lies_between_its_bounds() -> None:
    name = next(each for each in SHIPPED if len(OnnxPolicy(asset("policies", each, "policy.onnx")).data))
    policy = OnnxPolicy(asset("policies", name, "policy.onnx"))
    graph = read_graph(policy.data, policy.path)
    box = boxes(graph.steps[0].width, 2, 0.02, 4)
    low, high = jacobian_bounds(graph, box)
    points, step = samples(box, 20, 2), 1e-6
    for column in range(graph.steps[0].width):
        other = points.copy()
        other[..., column] += step
        shape = (2, 20, -1)
        ahead, here = (graph(each.reshape(-1, points.shape[2])).reshape(shape) for each in (other, points))
        slope = (ahead - here) / step
        room = 1e-3 * (1 + np.abs(slope))
        assert (slope >= low[:, None, :, column] - room).all()
        assert (slope <= high[:, None, :, column] + room).all()


def test_a_network_that_bounds_do_not_cover_is_refused_by_name(tmp_path: Path) -> None:
    from onnx import helper

    def refused(*nodes: Any, **constants: Any) -> str:
        with pytest.raises(BadInput) as error:
            read_graph(model(list(nodes), constants, 2, 2), "x.onnx")
        assert "\n" not in str(error.value)
        return str(error.value)

    for node, why in (
        (helper.make_node("Min", ["observation", "w"], ["action"]), "Min with a constant"),
        (helper.make_node("ReduceMax", ["observation"], ["action"]), "over columns only"),
        (helper.make_node("ReduceMax", ["observation"], ["action"], axes=[0]), "over columns only"),
        (helper.make_node("Slice", ["observation", "w", "w"], ["action"]), "neighbouring columns only"),
    ):
        assert why in refused(node, w=[0.0])
    assert "operator Sin is not covered" in refused(helper.make_node("Sin", ["observation"], ["action"]))
    elu = helper.make_node("Elu", ["observation"], ["action"], alpha=2.0)
    assert "Elu with alpha 2" in refused(elu)
    assert "a division by what depends on the input" in refused(
        helper.make_node("Div", ["observation", "observation"], ["action"])
    )
    with pytest.raises(BadInput, match="cannot be read"):
        read_graph(b"not an onnx file", "x.onnx")
