"""The input and output contract of a policy: names, units, ranges and rates; no simulator in here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..envs.errors import BadInput
from ..envs.files import canonical_json


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Column(_Frozen):
    """One number of an observation, in [low, high]."""

    name: str
    unit: str
    low: float
    high: float


class Channel(_Frozen):
    """One number of an action in [low, high], and the command in SI units that it stands for: scale * action + offset."""

    name: str
    unit: str
    scale: float
    offset: float = 0.0
    low: float = -1.0
    high: float = 1.0


class Contract(_Frozen):
    """What a policy for `task` reads and writes. The ONNX file has one input, `observation` `(n, columns)` float32, and
    the outputs `action` `(n, channels)` and, where exported by Genba, `command` (the same in SI units)."""

    format: Literal[1] = 1
    task: str
    task_version: str
    robot: str
    control_hz: int | float = Field(gt=0)
    physics_hz: int | float = Field(gt=0)
    observation: tuple[Column, ...] = Field(min_length=1)
    action: tuple[Channel, ...] = Field(min_length=1)

    def to_bytes(self) -> bytes:
        """The canonical JSON text."""
        return canonical_json(self.model_dump(mode="json"))

    def commands(self, action: NDArray[np.floating]) -> NDArray[np.float64]:
        """`(n, A)` actions as commands in SI units."""
        scale = np.array([each.scale for each in self.action])
        offset = np.array([each.offset for each in self.action])
        return np.asarray(np.asarray(action, np.float64) * scale + offset)


class Job(Protocol):
    """What a contract says of a task (`envs.task.Task`, which needs the simulator)."""

    @property
    def id(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def robot_name(self) -> str: ...
    @property
    def control_hz(self) -> float: ...
    @property
    def physics_hz(self) -> float: ...
    @property
    def action_names(self) -> tuple[str, ...]: ...
    @property
    def commands(self) -> tuple[tuple[str, float], ...]: ...
    @property
    def action_limits(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
    @property
    def observation_names(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def observation_limits(self) -> NDArray[np.float32]: ...


def contract_of(task: Job) -> Contract:
    """The contract that a policy of this task keeps."""
    channels = tuple(
        Channel(name=name, unit=unit, scale=scale, low=float(low), high=float(high))
        for name, (unit, scale), low, high in zip(
            task.action_names, task.commands, *task.action_limits, strict=True
        )
    )
    columns = tuple(
        Column(name=name, unit=unit, low=-float(limit), high=float(limit))
        for (name, unit), limit in zip(task.observation_names, task.observation_limits, strict=True)
    )
    return Contract(
        task=task.id,
        task_version=task.version,
        robot=task.robot_name,
        control_hz=task.control_hz,
        physics_hz=task.physics_hz,
        observation=columns,
        action=channels,
    )


def read_contract(path: Path) -> Contract:
    """Read `contract.json`. Raises BadInput."""
    try:
        return Contract.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; export the policy again") from None
    except (OSError, ValidationError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        field = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{path}: not a contract: field {field or '(whole file)'}: {first['msg']}") from None


def differences(found: Contract, expected: Contract) -> list[str]:
    """What tells two contracts apart, as "control_hz: 20, expected 50"."""
    lines = []
    for name in Contract.model_fields:
        mine, theirs = getattr(found, name), getattr(expected, name)
        if mine == theirs:
            continue
        if isinstance(mine, tuple):
            lines.append(f"{name}: {_columns(mine, theirs)}")
        else:
            lines.append(f"{name}: {mine}, expected {theirs}")
    return lines


def _columns(mine: tuple[BaseModel, ...], theirs: tuple[BaseModel, ...]) -> str:
    if len(mine) != len(theirs):
        return f"{len(mine)} columns, expected {len(theirs)}"
    index = next(i for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b)
    return f"column {index} is {mine[index]!r}, expected {theirs[index]!r}"
