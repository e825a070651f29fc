"""Stable-Baselines3's face: a `VecEnv` over N worlds, refilled at once, with what its callbacks and loggers expect.

`infos[i]` carries `is_success`, `cost`, `reward/<term>`; at the end of an episode `terminal_observation`,
`TimeLimit.truncated` and `episode` (return `r`, length `l`, seconds `t`), which Stable-Baselines3 logs by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray
from stable_baselines3.common.vec_env.base_vec_env import VecEnv

from .faces import (
    Draws,
    Severities,
    action_space,
    as_task,
    beginning,
    check_count,
    check_render_mode,
    check_shape,
    endings,
    infos,
    observation_space,
)
from .task import Task
from .worlds import Worlds

if TYPE_CHECKING:
    import gymnasium

Indices = None | int | Iterable[int]


class WorldsVecEnv(VecEnv):
    """N worlds of a task for Stable-Baselines3: bit for bit what `DummyVecEnv` makes of N `CellEnv`.

    Args:
        task: a task or its id.
        n: number of worlds.
        threads: C++ threads of the engine, 0 for all processors.
        seed: world i plays episode `seed + i` first and draws the next ones from a generator of that seed.
        disturbances: disturbance -> its severity 0..5, or several to draw from at each reset.
        render_mode: None or "rgb_array".
    """

    def __init__(
        self,
        task: str | Task,
        n: int,
        threads: int = 0,
        seed: int | None = None,
        disturbances: Severities | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.task = as_task(task)
        check_render_mode(render_mode)
        check_count("n", n)
        self.render_mode = render_mode
        self.draws = Draws(disturbances or {})
        self.worlds = Worlds(self.task, n, threads, disturbances=tuple(self.draws.severities), costs=True)
        super().__init__(n, observation_space(self.task), action_space(self.task))
        self._generators = [seeding.np_random()[0] for _ in range(n)]
        self._action = np.zeros((self.worlds.rows, len(self.task.action_names)))
        self._began = time.monotonic()
        if seed is not None:
            self.seed(seed)

    def reset(self) -> NDArray[np.float32]:
        """Start episodes in all worlds; `(n, d)`."""
        for i, seed in enumerate(self._seeds):
            if seed is not None:
                self._generators[i] = seeding.np_random(seed)[0]
        self._restart(np.arange(self.num_envs), self._seeds)
        self._reset_seeds()
        self._reset_options()
        return self.worlds.observation()[: self.num_envs].copy()

    def _restart(self, ids: NDArray[np.int64], seeds: Sequence[int | None]) -> None:
        self.draws.start(self.worlds, ids, [self._generators[i] for i in ids], seeds)
        for i in ids:
            self.reset_infos[i] = beginning(self.worlds, int(i))

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Keep the actions `(n, A)` for `step_wait`."""
        check_shape("actions", actions, self._action[: self.num_envs].shape)
        self._action[: self.num_envs] = actions

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """One control tick: observations `(n, d)` (of the new episode where one ended), rewards, dones, infos."""
        worlds, n = self.worlds, self.num_envs
        worlds.step(self._action)
        terminated, truncated = endings(worlds)
        done = terminated | truncated
        seen = worlds.observation()[:n]
        rewards = worlds.reward[:n].astype(np.float32)
        said = infos(worlds, range(n))
        for info, late in zip(said, truncated.tolist(), strict=True):
            info["TimeLimit.truncated"] = late
        ids = np.flatnonzero(done)
        if not len(ids):
            return seen.copy(), rewards, done, said
        elapsed = round(time.monotonic() - self._began, 6)
        for i in ids:
            said[i]["terminal_observation"] = seen[i].copy()
            said[i]["episode"] = {"r": float(worlds.returns[i]), "l": int(worlds.steps[i]), "t": elapsed}
        self._restart(ids, [None] * len(ids))
        return worlds.observation()[:n].copy(), rewards, done, said

    def close(self) -> None:
        """Nothing is held open."""

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """A picture `(H, W, 3)` of each world; None without a render mode."""
        if self.render_mode is None:
            return [None] * self.num_envs
        from .render import picture

        return [picture(self.worlds, i) for i in range(self.num_envs)]

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """The attribute of this object, once for each world: worlds share them."""
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Set an attribute of this object: worlds share it."""
        setattr(self, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of this object once; every world gets its answer."""
        answer = getattr(self, method_name)(*method_args, **method_kwargs)
        return [answer] * len(list(self._get_indices(indices)))

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: Indices = None) -> list[bool]:
        """Nothing wraps a world here."""
        return [False] * len(list(self._get_indices(indices)))
