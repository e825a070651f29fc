"""Surgery on an ONNX policy: nodes put before it, on what it sees, and behind it, on what it does. The result is a policy like any other."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEEN, DONE = "seen", "done"


class Surgery:
    """A policy that is being changed.

    Args:
        data: an ONNX file with one input `observation` and an output `action`.
        columns: the slice of each observation term.
        actions: names of the action's components.

    Names of `(n, 1)` tensors are what the methods take and give; numbers may stand for them.
    """

    def __init__(self, data: bytes, columns: Mapping[str, slice], actions: Sequence[str]) -> None:
        import onnx

        self.model = onnx.load_model_from_string(data)
        self.columns, self.actions = columns, tuple(actions)
        self.graph = self.model.graph
        self.width = self.graph.input[0].type.tensor_type.shape.dim[1].dim_value
        self.before: list[Any] = []
        self.behind: list[Any] = []
        self._base = list(self.graph.node)
        self._count = 0
        for node in self._base:
            node.input[:] = [SEEN if name == "observation" else name for name in node.input]
            node.output[:] = [DONE if name == "action" else name for name in node.output]
        self.sees, self.does = "observation", DONE
        self._into = self.before

    def constant(self, value: Any) -> str:
        """A float32 constant."""
        from onnx import numpy_helper

        name = self._name("constant")
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def op(self, kind: str, *inputs: Any, **attributes: Any) -> str:
        """One node; returns the name of its output."""
        from onnx import helper

        given = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        name = self._name(kind.lower())
        self._into.append(helper.make_node(kind, given, [name], **attributes))
        return name

    def column(self, term: str, component: int = 0) -> str:
        """`(n, 1)` one column of the observation as it came in."""
        return self._gather("observation", self.columns[term].start + component)

    def component(self, name: str) -> str:
        """`(n, 1)` one component of the action as it stands."""
        return self._gather(self.does, self.actions.index(name))

    def _gather(self, tensor: str, index: int) -> str:
        from onnx import numpy_helper

        name = self._name("index")
        self.graph.initializer.append(numpy_helper.from_array(np.array([index], np.int64), name))
        return self.op("Gather", tensor, name, axis=1)

    def where(self, condition: str, yes: Any, no: Any) -> str:
        return self.op("Where", condition, yes, no)

    def below(self, value: str, limit: float) -> str:
        return self.op("Less", value, limit)

    def above(self, value: str, limit: float) -> str:
        return self.op("Greater", value, limit)

    def all(self, *conditions: str) -> str:
        found = conditions[0]
        for each in conditions[1:]:
            found = self.op("And", found, each)
        return found

    def within(self, value: str, middle: float, half: float) -> str:
        """Where a value is nearer than `half` to `middle`."""
        return self.below(self.op("Abs", self.op("Sub", value, middle)), half)

    def length(self, values: Sequence[str]) -> str:
        """Euclidean length of some columns."""
        total = self.op("Mul", values[0], values[0])
        for each in values[1:]:
            total = self.op("Add", total, self.op("Mul", each, each))
        return self.op("Sqrt", total)

    def see(self, term: str, component: int, value: str) -> None:
        """The policy sees `value` in a column from now on."""
        self.sees = self._put(self.sees, self.columns[term].start + component, self.width, value)

    def acting(self) -> None:
        """What follows stands behind the policy."""
        self._into = self.behind

    def act(self, name: str, value: str) -> None:
        """The policy's action has `value` in a component from now on."""
        self.does = self._put(self.does, self.actions.index(name), len(self.actions), value)

    def _put(self, tensor: str, index: int, width: int, value: str) -> str:
        mask = np.zeros((1, width), bool)
        mask[0, index] = True
        from onnx import numpy_helper

        name = self._name("mask")
        self.graph.initializer.append(numpy_helper.from_array(mask, name))
        return self.op("Where", name, value, tensor)

    def finish(self) -> bytes:
        """The changed policy: one output, `action`, within [-1, 1]."""
        import onnx
        from onnx import helper

        self._into = self.before
        self.before.append(helper.make_node("Identity", [self.sees], [SEEN]))
        self._into = self.behind
        clipped = self.op("Clip", self.does, np.float32(-1.0), np.float32(1.0))
        self.behind.append(helper.make_node("Identity", [clipped], ["action"]))
        base = [node for node in self._base if "command" not in node.output]
        del self.graph.node[:]
        self.graph.node.extend([*self.before, *base, *self.behind])
        kept = [output for output in self.graph.output if output.name == "action"]
        del self.graph.output[:]
        self.graph.output.extend(kept)
        buffer = io.BytesIO()
        onnx.save_model(self.model, buffer)
        return buffer.getvalue()

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"planted_{kind}_{self._count}"


def reweighted(data: bytes, change: Any) -> bytes:
    """The policy with `change(name, array)` in place of each of its weights."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model_from_string(data)
    for tensor in model.graph.initializer:
        value: NDArray[Any] = numpy_helper.to_array(tensor)
        if value.dtype == np.float32 and value.ndim:
            tensor.CopyFrom(
                numpy_helper.from_array(np.asarray(change(tensor.name, value), np.float32), tensor.name)
            )
    buffer = io.BytesIO()
    onnx.save_model(model, buffer)
    return buffer.getvalue()
