"""Reinforcement after imitation: PPO (Schulman et al. 2017, Stable-Baselines3) learns *when to be fast and when to be slow*.

The expert teaches how to do the work; PPO is given what imitation cannot learn: time, distance to the person, bad days. It drives
one number, a speed override as on any industrial robot: the student's motion is multiplied by 1 + reach * override, its tool
command is left alone. Beside a person nothing is hastened. An override of zero is the student itself, and fine work is beyond its reach, so that the skill cannot be
unlearned on the way.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnvWrapper
from torch import Tensor, nn

from ..envs.task import Task
from ..envs.vec import WorldsVecEnv
from ..safety.suite import disturbances_of
from .network import Motion, Override, Student, eased, motion_of, overridden


@dataclass(frozen=True)
class PpoRecipe:
    """How the override is learned.

    `reach` bounds it and `fine` says which share of full speed is beyond it (see `overridden`); it begins at `begin` everywhere. `hold`
    is for how many ticks an exploration (gSDE, Raffin et al. 2021) is held, so that it is felt as a pace and not as a tremble;
    `disturbed` is the share of episodes with one of each disturbance, about.
    """

    iterations: int = 8
    worlds: int = 128
    ticks: int = 80
    batch: int = 2048
    epochs: int = 6
    learning_rate: float = 3e-3
    clip: float = 0.2
    target_kl: float = 0.03
    discount: float = 0.99
    gae: float = 0.95
    log_std: float = -2.0
    hold: int = 16
    hidden: int = 64
    begin: float = 0.7
    reach: float = 0.6
    fine: float = 0.3
    disturbed: float = 0.6


class Normalised(BaseFeaturesExtractor):
    """The student's own input normalisation, fixed."""

    def __init__(self, observation_space: Any, mean: Tensor, scale: Tensor) -> None:
        super().__init__(observation_space, mean.numel())
        self.register_buffer("mean", mean.clone())
        self.register_buffer("scale", scale.clone())

    def forward(self, observations: Tensor) -> Tensor:
        return ((observations - self.get_buffer("mean")) * self.get_buffer("scale")).clamp(-5.0, 5.0)


class OverrideEnv(VecEnvWrapper):
    """The worlds with the student at the wheel: the action left to learn is the override `(n, 1)` in [-1, 1]."""

    def __init__(self, env: WorldsVecEnv, student: Student, motion: Motion, recipe: PpoRecipe) -> None:
        super().__init__(env, action_space=spaces.Box(-1.0, 1.0, (1,), np.float32))
        self.student, self.motion, self.recipe = student, motion, recipe
        self.seen: NDArray[np.float32] = np.zeros((0, 0), np.float32)

    def reset(self) -> Any:
        self.seen = np.asarray(self.venv.reset())
        return self.seen

    def step_async(self, actions: NDArray[np.float32]) -> None:
        student, override = torch.from_numpy(self.student.act(self.seen)), torch.from_numpy(actions)
        allowed = eased(override.clamp(-1.0, 1.0), torch.from_numpy(self.seen), self.motion)
        driven = overridden(student, allowed, self.motion, self.recipe.reach, self.recipe.fine)
        self.venv.step_async(driven.clamp(-1.0, 1.0).numpy())

    def step_wait(self) -> Any:
        self.seen, rewards, dones, infos = self.venv.step_wait()  # type: ignore[assignment]
        return self.seen, rewards, dones, infos


class _Progress(BaseCallback):
    def __init__(self, report: Callable[[int, float], None]) -> None:
        super().__init__()
        self.report, self.done = report, 0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.done += 1
        ended = list(self.model.ep_success_buffer or [])
        self.report(self.done, sum(ended) / max(len(ended), 1))


def improve(
    student: Student,
    task: Task,
    recipe: PpoRecipe,
    seed: int,
    threads: int = 0,
    report: Callable[[int, float], None] = lambda done, success: None,
) -> tuple[Student, int]:
    """A student with a learned override, and the environment steps spent. `report(iterations done, recent success)`."""
    kinds = disturbances_of(task)
    rare = max(1, round(2 * len(kinds) / max(recipe.disturbed, 1e-6))) if recipe.disturbed else 0
    levels = {name: (*[0] * (rare - 2), 2, 3) for name in kinds} if rare > 2 else None
    motion = motion_of(task)
    worlds = WorldsVecEnv(task, recipe.worlds, threads, seed=seed, disturbances=levels)
    model = _model(student, OverrideEnv(worlds, student, motion, recipe), recipe, seed)
    total = recipe.iterations * recipe.ticks * recipe.worlds
    model.learn(total, callback=_Progress(report))
    better = copy.deepcopy(student)
    better.override = _override(model, motion, recipe)
    return better, total


def _model(student: Student, env: OverrideEnv, recipe: PpoRecipe, seed: int) -> PPO:
    model = PPO(
        "MlpPolicy",
        env,
        seed=seed,
        device="cpu",
        verbose=0,
        n_steps=recipe.ticks,
        batch_size=recipe.batch,
        n_epochs=recipe.epochs,
        gamma=recipe.discount,
        gae_lambda=recipe.gae,
        clip_range=recipe.clip,
        target_kl=recipe.target_kl,
        learning_rate=recipe.learning_rate,
        ent_coef=0.0,
        use_sde=True,
        sde_sample_freq=recipe.hold,
        policy_kwargs={
            "net_arch": {"pi": [recipe.hidden] * 2, "vf": [128] * 2},
            "activation_fn": nn.ELU,
            "log_std_init": recipe.log_std,
            "features_extractor_class": Normalised,
            "features_extractor_kwargs": {
                "mean": student.get_buffer("mean"),
                "scale": student.get_buffer("scale"),
            },
        },
    )
    with torch.no_grad():
        for name, parameter in model.policy.action_net.named_parameters():
            parameter.fill_(recipe.begin if name == "bias" else 0.0)
    return model


def _override(model: PPO, motion: Motion, recipe: PpoRecipe) -> Override:
    layers = [layer for layer in model.policy.mlp_extractor.policy_net if isinstance(layer, nn.Linear)]
    override = Override(layers[0].in_features, recipe.hidden, motion, recipe.reach, recipe.fine)
    for mine, theirs in zip([*override.layers], [*layers, model.policy.action_net], strict=True):
        mine.load_state_dict(theirs.state_dict())
    return override
