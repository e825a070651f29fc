"""The student: a small MLP with its input normalisation inside, linear output, clipped to [-1, 1] where it acts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..envs.task import Task

HIDDEN = (256, 256)


def overridden(
    action: Tensor, override: Tensor, motion: Tensor, reach: Tensor | float, band: Tensor
) -> Tensor:
    """Actions `(n, A)` in [-1, 1] with their motion components times 1 + reach * override, override `(n, 1)` in [-1, 1].

    `band` holds two shares of full speed: motion below the first is fine work and stays as the student learned it (a factor would
    only change the gain of a loop that is tuned), motion above the second is under the whole override.
    """
    fine, gross = band.unbind()
    speed = (action.abs() * motion).amax(1, keepdim=True)
    share = ((speed - fine) / (gross - fine)).clamp(0.0, 1.0)
    return action * (1.0 + motion * (reach * share * override))


def motion_of(task: Task) -> Tensor:
    """`(A,)`: 1 for the action components that move the robot, 0 for its tool command."""
    return torch.tensor([float(unit.endswith("/s")) for unit, _ in task.commands])


class Override(nn.Module):
    """A speed override in [-1, 1] for the motion components of an action, from normalised observations."""

    def __init__(
        self, observations: int, hidden: int, motion: Tensor, reach: float, band: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(observations, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 1)]
        )
        self.register_buffer("motion", motion.float())
        self.register_buffer("reach", torch.tensor(reach))
        self.register_buffer("band", torch.tensor(band))

    def forward(self, normalised: Tensor) -> Tensor:
        """Normalised observations `(n, d)` -> overrides `(n, 1)`."""
        x = normalised.clamp(-5.0, 5.0)
        for layer in self.layers[:-1]:
            x = nn.functional.elu(layer(x))
        override: Tensor = self.layers[-1](x).clamp(-1.0, 1.0)
        return override


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
        motion, reach, band = (self.override.get_buffer(name) for name in ("motion", "reach", "band"))
        return overridden(action.clamp(-1.0, 1.0), self.override(normalised), motion, reach, band)

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
