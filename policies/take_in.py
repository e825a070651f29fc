"""`genba import`: a policy that Stable-Baselines3 learnt, as the ONNX file of a run; its archive is read, never unpickled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput, printable
from ..envs.files import atomic_write_bytes, sha256_file, sha256_hex, writing
from ..envs.parameters import folder_name
from ..envs.task import get_task
from .contract import Contract, contract_of
from .runs import CONTRACT, POLICY
from .sb3 import Actor, read_actor

OPSET, IR = 18, 10


@dataclass(frozen=True)
class TakenIn:
    """What was taken in, and where it lies."""

    run: Path
    source: Path
    source_sha256: str
    family: str
    widths: tuple[int, ...]
    activation: str

    def as_json(self) -> Mapping[str, Any]:
        return {
            "run": str(self.run),
            "policy": str(self.run / POLICY),
            "source": str(self.source),
            "source_sha256": self.source_sha256,
            "family": self.family,
            "widths": list(self.widths),
            "activation": self.activation,
        }

    def table(self) -> str:
        widths = "-".join(map(str, self.widths))
        return "\n".join(
            printable(line)
            for line in (
                f"import   {self.source} ({self.source_sha256[:12]}…): the actor of {self.family}, {widths}, {self.activation}; nothing of it was run",
                f"         {self.run / POLICY}",
                f"         next: genba check {self.run}",
            )
        )


def take_in(path: Path, task_id: str, activation: str = "") -> TakenIn:
    """Write the run that the archive's policy is for `task_id`.

    Raises BadInput where it cannot be read or does not fit the task.
    """
    if not task_id:
        raise BadInput(f"{path}: says not what it was learnt for: name the task with --task")
    task = get_task(task_id)
    contract, actor = contract_of(task), read_actor(path, activation)
    widths = (actor.layers[0][0].shape[1], *(weight.shape[0] for weight, _ in actor.layers))
    _refuse_unfitting(path, actor, widths, contract)
    data, digest = as_onnx(actor, contract), sha256_file(path)
    home = Path("runs") / folder_name(task.id) / f"import-{path.stem}-{sha256_hex(data)[:6]}"
    with writing(home):
        home.mkdir(parents=True, exist_ok=True)
    return TakenIn(_written(home, data, contract), path, digest, actor.family, widths, actor.activation)


def _written(home: Path, data: bytes, contract: Contract) -> Path:
    atomic_write_bytes(home / POLICY, data)
    atomic_write_bytes(home / CONTRACT, contract.to_bytes())
    return home


def _refuse_unfitting(path: Path, actor: Actor, widths: tuple[int, ...], contract: Contract) -> None:
    for (weight, bias), inputs in zip(actor.layers, widths[:-1], strict=True):
        if weight.shape[1] != inputs or bias.shape != weight.shape[:1]:
            raise BadInput(f"{path}: its layers do not fit each other: {weight.shape} after {inputs} values")
    if not all(np.isfinite(each).all() for layer in actor.layers for each in layer):
        raise BadInput(f"{path}: a weight is not finite")
    wanted = (len(contract.observation), len(contract.action))
    if (widths[0], widths[-1]) != wanted:
        raise BadInput(
            f"{path}: takes {widths[0]} values and gives {widths[-1]}, but {contract.task} shows {wanted[0]} and wants {wanted[1]}"
        )


def as_onnx(actor: Actor, contract: Contract) -> bytes:
    """The actor as an ONNX file: `observation` to `action` in [-1, 1] and `command` in SI units."""
    from onnx import TensorProto, checker, helper, numpy_helper

    values = _values(actor, contract)
    nodes = [helper.make_node(kind, given, [made], **more) for kind, given, made, more in _steps(actor)]
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["n", len(contract.observation)])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", len(contract.action)])
            for name in ("action", "command")
        ],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    model.producer_name = "genba"
    checker.check_model(model)
    return bytes(model.SerializeToString())


def _values(actor: Actor, contract: Contract) -> dict[str, NDArray[np.float32]]:
    """The numbers of the file by name."""
    values: dict[str, NDArray[np.float32]] = {}
    for i, (weight, bias) in enumerate(actor.layers):
        values |= {f"weight_{i}": weight, f"bias_{i}": bias}
    values["scale"] = np.array([channel.scale for channel in contract.action], np.float32)
    values["offset"] = np.array([channel.offset for channel in contract.action], np.float32)
    if not actor.squashed:
        values |= {"least": np.array(-1.0, np.float32), "most": np.array(1.0, np.float32)}
    return values


def _steps(actor: Actor) -> Iterator[tuple[str, list[str], str, dict[str, Any]]]:
    """Operator, inputs, output and attributes of each node: the layers, what ends them, the commands."""
    value, last = "observation", len(actor.layers) - 1
    for i in range(len(actor.layers)):
        yield "Gemm", [value, f"weight_{i}", f"bias_{i}"], f"sum_{i}", {"transB": 1}
        value = f"sum_{i}"
        if i < last:
            yield actor.activation, [value], f"value_{i}", {}
            value = f"value_{i}"
    yield (
        ("Tanh", [value], "action", {})
        if actor.squashed
        else ("Clip", [value, "least", "most"], "action", {})
    )
    yield "Mul", ["action", "scale"], "scaled", {}
    yield "Add", ["scaled", "offset"], "command", {}
