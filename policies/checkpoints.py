"""Checkpoints as safetensors: numbers only, nothing that could run."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..envs.errors import BadInput
from ..envs.files import atomic_write_bytes
from ..envs.task import get_task
from .export import export
from .network import Override, Student
from .runs import CONFIG, WEIGHTS


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors whole or not at all."""
    atomic_write_bytes(path, save({name: tensor.detach().contiguous() for name, tensor in tensors.items()}))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors. Raises BadInput on a file that is missing or cut short."""
    try:
        return load(path.read_bytes())
    except FileNotFoundError:
        raise BadInput(f"{path}: no such checkpoint") from None
    except (SafetensorError, OSError) as error:
        raise BadInput(
            f"{path}: not a whole checkpoint ({error}); the run goes on without it: genba train --resume"
        ) from None


def load_student(path: Path) -> Student:
    """The student of a checkpoint, its widths read from the tensors."""
    tensors = load_tensors(path)
    try:
        first, head = tensors["body.0.weight"], tensors["head.weight"]
        hidden = tuple(
            tensors[f"body.{i}.weight"].shape[0]
            for i in range(0, 2 * len(tensors), 2)
            if f"body.{i}.weight" in tensors
        )
        student = Student(first.shape[1], head.shape[0], hidden)
        if "override.motion" in tensors:
            width = tensors["override.layers.0.weight"].shape
            student.override = Override(width[1], width[0], tensors["override.motion"], 0.0)
        student.load_state_dict(tensors)
    except (KeyError, RuntimeError) as error:
        raise BadInput(f"{path}: not a student's checkpoint ({str(error).splitlines()[0]})") from None
    return student.eval()


def export_checkpoint(folder: Path) -> None:
    """Make `policy.onnx` of a run that has only its checkpoint."""
    config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    torch.set_num_threads(1)
    export(load_student(folder / WEIGHTS), get_task(str(config["task"])), folder)
