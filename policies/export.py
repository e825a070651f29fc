"""Export: the student as one ONNX file with everything inside, compared with the network it came from.

Outputs are `action` in [-1, 1] and `command`, the same in the SI units of the contract. The file is written without metadata,
so that it holds no path of the machine it was made on.
"""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..envs.errors import GenbaError
from ..envs.files import atomic_write_bytes
from ..envs.task import Task
from .contract import contract_of
from .network import Student
from .onnx_policy import OnnxPolicy
from .runs import CONTRACT, POLICY

PARITY = 1e-5


class Exported(nn.Module):
    """What leaves: observation -> (action, command)."""

    def __init__(self, student: Student, scale: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.student = student
        self.register_buffer("command_scale", scale)
        self.register_buffer("command_offset", offset)

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        action = self.student(observation).clamp(-1.0, 1.0)
        return action, action * self.get_buffer("command_scale") + self.get_buffer("command_offset")


def export(student: Student, task: Task, folder: Path) -> float:
    """Write `policy.onnx` and `contract.json` to `folder`; returns the largest difference to the network on random input.

    Raises GenbaError if the file and the network differ by more than `PARITY`.
    """
    contract = contract_of(task)
    scale = torch.tensor([channel.scale for channel in contract.action])
    offset = torch.tensor([channel.offset for channel in contract.action])
    atomic_write_bytes(
        folder / POLICY, _onnx(Exported(student, scale, offset).eval(), len(contract.observation))
    )
    atomic_write_bytes(folder / CONTRACT, contract.to_bytes())
    parity = _parity(student, folder / POLICY)
    if not parity <= PARITY:
        raise GenbaError(
            f"{folder / POLICY}: differs from the network by {parity:.1e}, more than {PARITY:.0e}"
        )
    return parity


def _onnx(model: Exported, columns: int) -> bytes:
    import onnx

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (torch.zeros(2, columns),),
            dynamo=True,
            external_data=False,
            input_names=["observation"],
            output_names=["action", "command"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    del proto.metadata_props[:]
    for graph in (proto.graph, *proto.functions):
        del graph.metadata_props[:]
        for node in graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]
    onnx.checker.check_model(proto)
    buffer = io.BytesIO()
    onnx.save_model(proto, buffer)
    return buffer.getvalue()


def _parity(student: Student, path: Path) -> float:
    """Largest difference between file and network over 512 inputs spread like the data it was normalised by."""
    columns = student.get_buffer("mean").numel()
    draws = np.random.default_rng(0).standard_normal((512, columns)).astype(np.float32)
    mean, scale = student.get_buffer("mean").numpy(), student.get_buffer("scale").numpy()
    observation = (mean + 1.5 * draws / scale).astype(np.float32)
    rows = np.zeros(len(observation), np.int64)
    return float(np.abs(OnnxPolicy(path).act(observation, rows, rows) - student.act(observation)).max())
