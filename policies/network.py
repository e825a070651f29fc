"""The student: a small MLP with its input normalisation inside, linear output, clipped to [-1, 1] where it acts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..envs.task import Task

HIDDEN = (256, 256)
NOBODY = -1  # the column of a person's distance where there is none
CLOSE, CLEAR = 0.2, 0.4  # m to a person: within, nothing hastens; from there on, everything may


@dataclass(frozen=True)
class Motion:
    """Which components of an action move the robot, `(A,)` masks: `level` to and fro, `rising` up where positive. The others are
    the tool's. `person` is the observation column that says how far (m) the nearest person is."""

    level: Tensor
    rising: Tensor
    person: int = NOBODY


def motion_of(task: Task) -> Motion:
    """The motion components of a task: those whose command is a speed, and among them the task's `rising` one."""
    moves = [unit.endswith("/s") for unit, _ in task.commands]
    rising = [name == task.rising for name in task.action_names]
    level = [move and not up for move, up in zip(moves, rising, strict=True)]
    person = task.columns[task.nearest_person].start if task.nearest_person else NOBODY
    return Motion(torch.tensor(level).float(), torch.tensor(rising).float(), person)


def eased(override: Tensor, observation: Tensor, motion: Motion) -> Tensor:
    """A speed override `(n, 1)` as people nearby allow it: what slows down stands, what hastens fades with the distance to them.

    `observation` is `(n, d)` in SI units.
    """
    if motion.person == NOBODY:
        return override
    away = observation[:, motion.person : motion.person + 1]
    return torch.minimum(override, override * ((away - CLOSE) / (CLEAR - CLOSE)).clamp(0.0, 1.0))


def overridden(
    action: Tensor, override: Tensor, motion: Motion, reach: Tensor | float, fine: Tensor | float
) -> Tensor:
    """Actions `(n, A)` in [-1, 1] under a speed override `(n, 1)` in [-1, 1].

    Of each motion that share of full speed which is above `fine` is multiplied by 1 + reach * override. So fine work stays as the
    student learned it, the gain of its loop never rises by more than 1 + reach, and what goes down is left alone.
    """
    hasten = reach * override
    speed = (action.abs() * motion.level).amax(1, keepdim=True)
    level = hasten * (speed - fine).clamp_min(0.0) / speed.clamp_min(1e-6)
    rise = hasten * (action - fine).clamp_min(0.0)
    return action * (1.0 + motion.level * level) + motion.rising * rise


class Override(nn.Module):
    """A speed override in [-1, 1] from normalised observations, with what it may do to an action (see `overridden`)."""

    def __init__(self, observations: int, hidden: int, motion: Motion, reach: float, fine: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(observations, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 1)]
        )
        self.person = motion.person
        self.register_buffer("person_column", torch.tensor(motion.person))
        self.register_buffer("level", motion.level)
        self.register_buffer("rising", motion.rising)
        self.register_buffer("reach", torch.tensor(reach))
        self.register_buffer("fine", torch.tensor(fine))

    def forward(self, observation: Tensor, normalised: Tensor, action: Tensor) -> Tensor:
        """Observations `(n, d)`, in SI units and normalised, and the student's actions `(n, A)` in [-1, 1] -> actions under the override."""
        x = normalised.clamp(-5.0, 5.0)
        for layer in self.layers[:-1]:
            x = nn.functional.elu(layer(x))
        override: Tensor = self.layers[-1](x).clamp(-1.0, 1.0)
        motion = Motion(self.get_buffer("level"), self.get_buffer("rising"), self.person)
        return overridden(
            action,
            eased(override, observation, motion),
            motion,
            self.get_buffer("reach"),
            self.get_buffer("fine"),
        )


class Student(nn.Module):
    """Observation `(n, d)` in SI units -> action `(n, A)`, not clipped unless an override drives it.

    Args:
        observations: number of columns d.
        actions: number of components A.
        hidden: widths of the hidden layers.
    """

    def __init__(self, observations: int, actions: int, hidden: tuple[int, ...] = HIDDEN) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(observations))
        self.register_buffer("scale", torch.ones(observations))
        widths = (observations, *hidden)
        layers: list[nn.Module] = []
        for i in range(len(hidden)):
            layers += [nn.Linear(widths[i], widths[i + 1]), nn.ELU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], actions)
        self.override: Override | None = None

    def forward(self, observation: Tensor) -> Tensor:
        mean, scale = self.get_buffer("mean"), self.get_buffer("scale")
        normalised = (observation - mean) * scale
        action: Tensor = self.head(self.body(normalised))
        if self.override is None:
            return action
        driven: Tensor = self.override(observation, normalised, action.clamp(-1.0, 1.0))
        return driven

    def normalise_by(self, observation: Tensor) -> None:
        """Fix the input normalisation from data `(n, d)`; columns that hardly vary keep a scale of at most 1e3."""
        self.get_buffer("mean").copy_(observation.mean(0))
        self.get_buffer("scale").copy_(1.0 / observation.std(0).clamp_min(1e-3))

    @torch.no_grad()
    def act(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """`(n, d)` -> `(n, A)` in [-1, 1]."""
        out: NDArray[np.float32] = self(torch.from_numpy(observation)).clamp(-1.0, 1.0).numpy()
        return out


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """One hash over all tensors, by name."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().contiguous().numpy().tobytes())
    return digest.hexdigest()
