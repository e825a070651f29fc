"""Checkpoints as safetensors: numbers only, nothing that could run."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..envs.errors import BadInput
from ..envs.files import atomic_write_bytes
from ..envs.task import get_cell
from .export import export
from .network import Motion, Override, Student
from .runs import CONFIG, WEIGHTS, read_config


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
            f"{path}: not a whole checkpoint ({error}); delete it, then go on with: genba train TASK --resume"
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
        if "override.level" in tensors:
            width = tensors["override.layers.0.weight"].shape
            person = int(tensors["override.person_column"])
            motion = Motion(tensors["override.level"], tensors["override.rising"], person)
            student.override = Override(width[1], width[0], motion, 0.0, 0.0)
        student.load_state_dict(tensors)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(
            f"{path}: not a student's checkpoint ({reason}); delete it, then go on with: genba train TASK --resume"
        ) from None
    return student.eval()


def export_checkpoint(folder: Path) -> None:
    """Make `policy.onnx` of a run that has only its checkpoint."""
    task = get_cell(read_config(folder)["task"], folder / CONFIG)
    torch.set_num_threads(1)
    export(load_student(folder / WEIGHTS), task, folder)
