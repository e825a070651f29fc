"""An ONNX policy as a `Graph`.

Known are the operators that multilayer perceptrons and the students of Genba are made of. Whatever else a file holds is refused: a bound
that leaves something out is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..envs.errors import BadInput
from .bounds_functions import Abs, Array, AtLeast, AtMost, Elu, Function, ShareAbove, Tanh
from .bounds_graph import Graph, Kind, Step


def read_graph(data: bytes, where: str | Path) -> Graph:
    """The policy in an ONNX file's bytes. Raises BadInput for a file or an operator that bounds do not cover."""
    import onnx

    try:
        model = onnx.load_model_from_string(data)
        return _Reader(model.graph, str(where)).read()
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes the reader raise
        reason = " ".join(str(error).split())[:120]
        raise BadInput(f"{where}: its network cannot be read ({reason})") from None


class _Reader:
    """Turns nodes into steps, one after the other."""

    def __init__(self, graph: Any, where: str) -> None:
        from onnx import numpy_helper

        self.graph, self.where = graph, where
        self.constants: dict[str, Array] = {
            each.name: np.asarray(numpy_helper.to_array(each), np.float64) for each in graph.initializer
        }
        self.steps: list[Step] = []
        self.at: dict[str, int] = {}
        self.nodes = {name: node for node in graph.node for name in node.output}
        self.raw: int | None = None

    def read(self) -> Graph:
        inputs = [each for each in self.graph.input if each.name not in self.constants]
        outputs = [each.name for each in self.graph.output]
        wanted = "action" if "action" in outputs else outputs[0]
        if len(inputs) != 1 or (len(outputs) > 1 and "action" not in outputs):
            raise BadInput(f"{self.where}: expected one input and an output 'action'")
        width = inputs[0].type.tensor_type.shape.dim[1].dim_value
        if not width:
            raise BadInput(f"{self.where}: the input says no number of columns")
        self.at[inputs[0].name] = self._add(Step("input", width))
        for node in self.graph.node:
            self._node(node, wanted)
            if wanted in self.at:
                break
        action = self.at[wanted]
        return Graph(tuple(self.steps), action, action if self.raw is None else self.raw)

    def _node(self, node: Any, wanted: str) -> None:
        given = [name for name in node.input if name]
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            from onnx import numpy_helper

            self.constants[node.output[0]] = np.asarray(
                numpy_helper.to_array(node.attribute[0].t), np.float64
            )
            return
        if not any(name in self.at for name in given):
            raise BadInput(f"{self.where}: operator {node.op_type} of nothing but constants is not covered")
        known = _OPERATORS.get(node.op_type)
        if known is None:
            raise BadInput(
                f"{self.where}: operator {node.op_type} is not covered by bounds; known: {', '.join(sorted(_OPERATORS))}"
            )
        if node.op_type == "Clip" and node.output[0] == wanted:
            self.raw = self.at[node.input[0]]
        settings = {each.name: each for each in node.attribute}
        self.at[node.output[0]] = known(self, node, settings)

    def _add(self, step: Step) -> int:
        self.steps.append(step)
        return len(self.steps) - 1

    def affine(self, of: int, weight: Array, bias: Array | float = 0.0) -> int:
        bias = np.broadcast_to(np.asarray(bias, np.float64), (len(weight),)).copy()
        return self._add(Step("affine", len(weight), (of,), weight, bias))

    def scaled(self, of: int, scale: Array | float, bias: Array | float = 0.0) -> int:
        """scale * x + bias, number by number; one number meets many where the constants are wider."""
        width = max(self.steps[of].width, np.size(scale), np.size(bias))
        of = self.widened(of, width)
        return self.affine(of, np.diag(np.broadcast_to(np.ravel(scale), (width,))), np.ravel(bias))

    def widened(self, of: int, width: int) -> int:
        mine = self.steps[of].width
        if mine == width:
            return of
        if mine != 1:
            raise BadInput(f"{self.where}: shapes {mine} and {width} do not go together")
        return self.affine(of, np.ones((width, 1)))

    def both(self, kind: Kind, x: int, y: int) -> int:
        width = max(self.steps[x].width, self.steps[y].width)
        return self._add(Step(kind, width, (self.widened(x, width), self.widened(y, width))))

    def apply(self, of: int, function: Function) -> int:
        return self._add(Step("function", self.steps[of].width, (of,), function=function))

    def clipped(self, of: int, low: Array | None, high: Array | None) -> int:
        for bound, kind in ((high, AtMost), (low, AtLeast)):
            if bound is not None:
                of = self.apply(of, kind(float(bound.reshape(()))))
        return of

    def constant(self, name: str) -> Array:
        if name not in self.constants:
            raise BadInput(
                f"{self.where}: expected a constant, found what depends on the input ({name[:40]})"
            )
        return self.constants[name]


Operator = Callable[[_Reader, Any, Mapping[str, Any]], int]


def _gemm(reader: _Reader, node: Any, settings: Mapping[str, Any]) -> int:
    weight = reader.constant(node.input[1])
    if settings.get("transA") is not None and settings["transA"].i:
        raise BadInput(f"{reader.where}: Gemm with a transposed input is not covered")
    weight = weight if settings.get("transB") is not None and settings["transB"].i else weight.T
    alpha = settings["alpha"].f if "alpha" in settings else 1.0
    beta = settings["beta"].f if "beta" in settings else 1.0
    bias = beta * reader.constant(node.input[2]) if len(node.input) > 2 else 0.0
    return reader.affine(
        reader.at[node.input[0]], alpha * weight, np.ravel(bias) if np.size(bias) > 1 else bias
    )


def _matmul(reader: _Reader, node: Any, settings: Mapping[str, Any]) -> int:
    return reader.affine(reader.at[node.input[0]], reader.constant(node.input[1]).T)


def _sum(sign: float) -> Operator:
    def make(reader: _Reader, node: Any, settings: Mapping[str, Any]) -> int:
        x, y = node.input
        if y in reader.constants:
            return reader.scaled(reader.at[x], 1.0, sign * reader.constants[y])
        if x in reader.constants:
            return reader.scaled(reader.at[y], sign, reader.constants[x])
        other = reader.scaled(reader.at[y], sign) if sign < 0 else reader.at[y]
        return reader.both("sum", reader.at[x], other)

    return make


def _product(reader: _Reader, node: Any, settings: Mapping[str, Any]) -> int:
    x, y = node.input
    for one, other in ((x, y), (y, x)):
        if other in reader.constants:
            return reader.scaled(reader.at[one], reader.constants[other])
    return reader.both("product", reader.at[x], reader.at[y])


def _quotient(reader: _Reader, node: Any, settings: Mapping[str, Any]) -> int:
    """By a constant, or h * max(s - fine, 0) / max(s, least), whose quotient has bounds though its divisor may be tiny."""
    above, below = node.input
    if below in reader.constants:
        return reader.scaled(reader.at[above], 1.0 / reader.constants[below])
    product, floor = reader.nodes.get(above), reader.nodes.get(below)
    refused = BadInput(f"{reader.where}: a division by what depends on the input is not covered")
    if product is None or floor is None or (product.op_type, floor.op_type) != ("Mul", "Clip"):
        raise refused
    for share, factor in (product.input, reversed(product.input)):
        clip = reader.nodes.get(share)
        shift = reader.nodes.get(clip.input[0]) if clip is not None and clip.op_type == "Clip" else None
        if clip is None or shift is None or shift.op_type != "Sub" or shift.input[0] != floor.input[0]:
            continue
        limits = [[name for name in each.input[1:]] for each in (clip, floor)]
        if any(len(each) != 1 for each in limits) or shift.input[1] not in reader.constants:
            continue
        zero, least = (float(reader.constant(each[0]).reshape(())) for each in limits)
        fine = float(reader.constants[shift.input[1]].reshape(()))
        if zero == 0.0 and 0.0 < least <= fine:
            speed = reader.at[floor.input[0]]
            return reader.both("product", reader.at[factor], reader.apply(speed, ShareAbove(fine)))
    raise refused


def _axes(reader: _Reader, node: Any, settings: Mapping[str, Any]) -> list[int]:
    """What a reduction goes over: an attribute before opset 18, an input since; none is all there are, rows too."""
    if "axes" in settings:
        return [int(axis) for axis in settings["axes"].ints]
    given = reader.constant(node.input[1]) if len(node.input) > 1 and node.input[1] else np.zeros(0)
    return [int(axis) for axis in np.ravel(given)]


def _largest(reader: _Reader, node: Any, settings: Mapping[str, Any]) -> int:
    """The largest of a row: max(a, b) = a + max(b - a, 0), one after the other."""
    if "keepdims" in settings and not settings["keepdims"].i:
        raise BadInput(f"{reader.where}: ReduceMax that drops its axis is not covered")
    if _axes(reader, node, settings) not in ([1], [-1]):
        raise BadInput(f"{reader.where}: ReduceMax is covered over columns only")
    of = reader.at[node.input[0]]
    columns = [reader.affine(of, row[None]) for row in np.eye(reader.steps[of].width)]
    largest = columns[0]
    for column in columns[1:]:
        gap = reader.both("sum", column, reader.scaled(largest, -1.0))
        largest = reader.both("sum", largest, reader.apply(gap, AtLeast()))
    return largest


def _smallest(reader: _Reader, node: Any, settings: Mapping[str, Any]) -> int:
    """min(a, b) = a - max(a - b, 0), one after the other."""
    if not all(name in reader.at for name in node.input):
        raise BadInput(f"{reader.where}: Min with a constant is not covered: write it as Clip")
    smallest, *others = (reader.at[name] for name in node.input)
    for other in others:
        gap = reader.both("sum", smallest, reader.scaled(other, -1.0))
        smallest = reader.both("sum", smallest, reader.scaled(reader.apply(gap, AtLeast()), -1.0))
    return smallest


def _slice(reader: _Reader, node: Any, settings: Mapping[str, Any]) -> int:
    """Some columns of a row."""
    of = reader.at[node.input[0]]
    given = [reader.constant(name) for name in node.input[1:]]
    first, end, *more = (np.ravel(each).astype(np.int64).tolist() for each in given)
    axes, steps = (more[0] if more else [0]), (more[1] if len(more) > 1 else [1])
    if axes not in ([1], [-1]) or steps != [1] or len(first) != 1:
        raise BadInput(f"{reader.where}: Slice is covered over neighbouring columns only")
    columns = np.eye(reader.steps[of].width)[first[0] : end[0]]
    if not len(columns):
        raise BadInput(f"{reader.where}: Slice takes no column")
    return reader.affine(of, columns)


def _clip(reader: _Reader, node: Any, settings: Mapping[str, Any]) -> int:
    """Its ends are attributes before opset 11 and inputs since."""
    bounds = [reader.constant(name) if name else None for name in node.input[1:]]
    if "min" in settings or "max" in settings:
        bounds = [
            np.asarray(settings[name].f, np.float64) if name in settings else None for name in ("min", "max")
        ]
    low, high = (*bounds, None, None)[:2]
    return reader.clipped(reader.at[node.input[0]], low, high)


def _elu(reader: _Reader, node: Any, settings: Mapping[str, Any]) -> int:
    alpha = settings["alpha"].f if "alpha" in settings else 1.0
    if not 0.0 < alpha <= 1.0:
        raise BadInput(f"{reader.where}: Elu with alpha {alpha:g} is not covered: expected at most 1")
    return reader.apply(reader.at[node.input[0]], Elu(alpha))


def _plain(function: Function) -> Operator:
    return lambda reader, node, settings: reader.apply(reader.at[node.input[0]], function)


_OPERATORS: dict[str, Operator] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Add": _sum(1.0),
    "Sub": _sum(-1.0),
    "Mul": _product,
    "Div": _quotient,
    "Clip": _clip,
    "Elu": _elu,
    "Relu": _plain(AtLeast()),
    "Tanh": _plain(Tanh()),
    "Abs": _plain(Abs()),
    "ReduceMax": _largest,
    "Min": _smallest,
    "Slice": _slice,
    "Identity": lambda reader, node, settings: reader.at[node.input[0]],
}
