"""Gymnasium's faces of every task; importing this module registers them.

    import genba.envs.gym
    env = gymnasium.make("genba/KitPick-v0")
    env = gymnasium.make("genba.envs.gym:genba/KitPick-v0")                      # imports for itself
    envs = gymnasium.make_vec("genba/KitPick-v0", num_envs=128, vectorization_mode="vector_entry_point")

`info` carries `is_success`, `cost` and each reward term as `reward/<name>`; when an episode ends also `reason`, `steps`,
`limits_active` and, after success, `cycle_s`. A reset says its `seed` and, of each disturbance, `severity/<name>`: with those severities
`reset(seed=...)` plays that episode again.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from .faces import (
    Draws,
    Severities,
    action_space,
    as_task,
    beginning,
    check_render_mode,
    check_shape,
    info,
    observation_space,
)
from .task import TIMEOUT, Task, task_ids
from .worlds import Worlds

Float32s = NDArray[np.float32]
NAMESPACE = "genba"


def env_id(task_id: str) -> str:
    """`genba/KitPick-v0` for `kit-pick`."""
    return f"{NAMESPACE}/{''.join(word.capitalize() for word in task_id.split('-'))}-v0"


class CellEnv(gymnasium.Env[Float32s, Float32s]):
    """One world of a task.

    Args:
        task: a task or its id.
        render_mode: None or "rgb_array".
        disturbances: disturbance -> its severity 0..5, or several to draw from at each reset.
        threads: C++ threads of the engine; one world needs one.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 50}

    def __init__(
        self,
        task: str | Task = "kit-pick",
        render_mode: str | None = None,
        disturbances: Severities | None = None,
        threads: int = 1,
    ) -> None:
        check_render_mode(render_mode)
        self.render_mode = render_mode
        self.task = as_task(task)
        self.metadata = {**type(self).metadata, "render_fps": self.task.control_hz}
        self.draws = Draws(
            dict(sorted((disturbances or {}).items()))
        )  # one order, so that an episode can be played again
        self.worlds = Worlds(
            self.task, 1, threads, disturbances=tuple(self.draws.severities), costs=True, captured=True
        )
        self.action_space = action_space(self.task)
        self.observation_space = observation_space(self.task)
        self._action = np.zeros((self.worlds.rows, len(self.task.action_names)))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32s, dict[str, Any]]:
        """Start an episode: of `seed`, or of one drawn from `np_random`. `options` has none yet."""
        super().reset(seed=seed)
        self.draws.start(self.worlds, np.zeros(1, np.int64), [self.np_random], [seed])
        return self.worlds.observation()[0].copy(), beginning(self.worlds, 0)

    def step(self, action: Float32s) -> tuple[Float32s, float, bool, bool, dict[str, Any]]:
        """One control tick. `action` is `(A,)`, clipped to [-1, 1]; a NaN in it ends the episode as a fault."""
        check_shape("an action", action, self._action.shape[1:])
        self._action[0] = action
        worlds = self.worlds
        worlds.step(self._action)
        observation, reward = worlds.observation()[0].copy(), float(worlds.reward[0])
        done, late = bool(worlds.done[0]), bool(worlds.reason[0] == TIMEOUT)
        return observation, reward, done and not late, done and late, info(worlds, 0)

    def render(self) -> NDArray[np.uint8] | None:
        """A picture `(H, W, 3)` of the cell, or None without a render mode."""
        if self.render_mode is None:
            return None
        from .render import picture

        return picture(self.worlds)


def register() -> None:
    """Make every task known to Gymnasium."""
    for task_id in task_ids():
        if env_id(task_id) not in gymnasium.registry:
            gymnasium.register(
                env_id(task_id),
                entry_point=f"{__name__}:CellEnv",
                vector_entry_point="genba.envs.gym_vector:CellVectorEnv",
                kwargs={"task": task_id},
            )


register()
