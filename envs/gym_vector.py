"""Gymnasium's vector face: N worlds of a task behind one `VectorEnv`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from .errors import BadInput, one_line
from .faces import (
    Draws,
    Severities,
    action_space,
    as_task,
    beginning,
    check_count,
    check_render_mode,
    check_shape,
    ending,
    endings,
    observation_space,
    step_values,
)
from .task import Task
from .worlds import Worlds

Float32s = NDArray[np.float32]


class CellVectorEnv(VectorEnv[Float32s, Float32s, NDArray[Any]]):
    """N worlds of a task that step together; one that ends starts anew in the same step (`final_obs`, `final_info`).

    Bit for bit what `SyncVectorEnv` makes of N `CellEnv` in its same-step mode, and many times faster.
    """

    metadata: dict[str, Any] = {
        "render_modes": ["rgb_array"],
        "render_fps": 50,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        task: str | Task = "kit-pick",
        num_envs: int = 1,
        render_mode: str | None = None,
        disturbances: Severities | None = None,
        threads: int = 0,
    ) -> None:
        check_render_mode(render_mode)
        check_count("num_envs", num_envs)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.task = as_task(task)
        self.metadata = {**type(self).metadata, "render_fps": self.task.control_hz}
        self.draws = Draws(
            dict(sorted((disturbances or {}).items()))
        )  # one order, so that an episode can be played again
        self.worlds = Worlds(
            self.task, num_envs, threads, disturbances=tuple(self.draws.severities), costs=True
        )
        self.single_action_space = action_space(self.task)
        self.single_observation_space = observation_space(self.task)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._generators: list[np.random.Generator] = [seeding.np_random()[0] for _ in range(num_envs)]
        self._action = np.zeros((self.worlds.rows, len(self.task.action_names)))

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32s, dict[str, Any]]:
        """Start episodes in all worlds, or in those of `options["reset_mask"]` `(n,)`; `seed` gives world i `seed + i`."""
        seeds = (
            list(seed)
            if isinstance(seed, Sequence)
            else [None if seed is None else seed + i for i in range(self.num_envs)]
        )
        if len(seeds) != self.num_envs:
            raise BadInput(
                f"{len(seeds)} seeds for {self.num_envs} environments: give one for each, or one number"
            )
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
            raise BadInput(
                f"reset_mask: expected {self.num_envs} truths, one of them true at least, found {one_line(mask, 60)}"
            )
        ids = np.flatnonzero(mask)
        for i in ids:
            if (chosen := seeds[i]) is not None:
                self._generators[i] = seeding.np_random(chosen)[0]
        said: dict[str, Any] = {}
        self._restart(ids, [seeds[i] for i in ids], said)
        return self.worlds.observation()[: self.num_envs].copy(), said

    def _restart(self, ids: NDArray[np.int64], seeds: Sequence[int | None], said: dict[str, Any]) -> None:
        """Start episodes and say their seeds."""
        self.draws.start(self.worlds, ids, [self._generators[i] for i in ids], seeds)
        begun = np.zeros(self.num_envs, bool)
        begun[ids] = True
        for i in ids:
            for name, value in beginning(self.worlds, int(i)).items():
                said.setdefault(name, np.zeros(self.num_envs, np.int64))[i] = value
                said[f"_{name}"] = begun

    def step(
        self, actions: Float32s
    ) -> tuple[Float32s, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """One control tick of every world. `actions` is `(n, A)`."""
        worlds, n = self.worlds, self.num_envs
        check_shape("actions", actions, self._action[:n].shape)
        self._action[:n] = actions
        worlds.step(self._action)
        terminated, truncated = endings(worlds)
        seen = worlds.observation()[:n]
        rewards = worlds.reward[:n].copy()
        values = step_values(worlds)
        ids = np.flatnonzero(terminated | truncated)
        if not len(ids):
            return seen.copy(), rewards, terminated, truncated, _masked(values, np.ones(n, bool))
        said = self._final(values, seen, ids)
        self._restart(ids, [None] * len(ids), said)
        return worlds.observation()[:n].copy(), rewards, terminated, truncated, said

    def _final(
        self, values: dict[str, NDArray[Any]], seen: Float32s, ids: NDArray[np.int64]
    ) -> dict[str, Any]:
        """`info` of a step in which worlds `ids` end: theirs under `final_info`, the others' beside it."""
        ended = np.zeros(self.num_envs, bool)
        ended[ids] = True
        said = _masked(values, ~ended)
        final_obs = np.full(self.num_envs, None, object)
        final: dict[str, Any] = _masked(values, ended)
        for i in ids:
            final_obs[i] = seen[i].copy()
            final = self._add_info(final, ending(self.worlds, int(i)), int(i))
        said |= {
            "final_obs": final_obs,
            "_final_obs": ended.copy(),
            "final_info": final,
            "_final_info": ended.copy(),
        }
        return said

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """A picture `(H, W, 3)` of each world, or None without a render mode."""
        if self.render_mode is None:
            return None
        from .render import picture

        return tuple(picture(self.worlds, i) for i in range(self.num_envs))


def _masked(values: dict[str, NDArray[Any]], mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Gymnasium's vector `info`: each value `(n,)` (0 where it is not said) beside `_name`, where it is."""
    said: dict[str, Any] = {}
    if mask.any():
        for name, value in values.items():
            said[name] = np.where(mask, value, np.zeros((), value.dtype))
            said[f"_{name}"] = mask.copy()
    return said
