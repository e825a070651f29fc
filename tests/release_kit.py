"""What the tests of releases share: small ONNX policies and a run that passes a small suite."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from genba.envs.files import atomic_write_bytes
from genba.envs.task import get_task
from genba.policies.contract import Contract, contract_of
from genba.policies.onnx_policy import OnnxPolicy
from genba.safety.campaign import check
from genba.safety.result import CheckResult
from genba.safety.suite import Suite, load_suite

Rows = NDArray[np.float32]
TASK = "conveyor-sort"
STILL = (0.0, 0.0, 0.0, 0.0, -1.0)


def onnx_bytes(
    contract: Contract, action: tuple[float, ...] = STILL, scale: float = 1.0, command: bool = True
) -> bytes:
    """A policy that always does the same: `action`, and (`command`) `command` as the contract says, times `scale`."""
    columns, channels = len(contract.observation), len(contract.action)
    constants = {
        "weights": np.zeros((columns, channels), np.float32),
        "bias": np.array(action, np.float32),
        "scale": np.array([scale * each.scale for each in contract.action], np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["observation", "weights"], ["nothing"]),
        helper.make_node("Add", ["nothing", "bias"], ["action"]),
        helper.make_node("Mul", ["action", "scale"], ["command"]),
    ]
    outputs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", channels]) for n in ("action", "command")
    ][: 2 if command else 1]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["n", columns])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    data: bytes = model.SerializeToString()
    return data


@dataclass(frozen=True)
class FilePolicy:
    """An ONNX file that is judged in its own folder."""

    folder: Path
    task: str = TASK
    name: str = "constant"
    kind: str = "onnx"

    @property
    def sha256(self) -> str:
        return OnnxPolicy(self.folder / "policy.onnx").sha256

    def act(self, observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
        return OnnxPolicy(self.folder / "policy.onnx").act(observation, seeds, steps)


def easy_suite(episodes: int = 8) -> Suite:
    """What standing still passes: the constraints of `basic` with generous rates, no demand on success."""
    basic = load_suite("basic")
    constraints = tuple(each.model_copy(update={"max_rate": 0.5}) for each in basic.constraints)
    rules = basic.verdict.model_copy(update={"success": ()})
    changes = {"id": "easy", "constraints": constraints, "disturbances": {}, "verdict": rules}
    return basic.model_copy(update={**changes, "episodes_per_condition": episodes})


def make_run(folder: Path, action: tuple[float, ...] = STILL) -> Path:
    """A run folder with a policy and its contract."""
    contract = contract_of(get_task(TASK))
    atomic_write_bytes(folder / "policy.onnx", onnx_bytes(contract, action))
    atomic_write_bytes(folder / "contract.json", contract.to_bytes())
    return folder


def make_check(folder: Path, kind: str = "onnx") -> CheckResult:
    """Judge the run's policy by the easy suite."""
    return check(FilePolicy(folder, kind=kind), suite=easy_suite(), seed=5)
