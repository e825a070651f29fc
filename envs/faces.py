"""What the faces share: spaces, the draw of training episodes, and what `info` says of a step.

Gymnasium's and Stable-Baselines3's faces show the same worlds: `gym.py` and `vec.py` add only their libraries' manners.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from .disturbances import LEVELS
from .errors import BadInput
from .task import RUNNING, SEED_RANGES, TIMEOUT, Task, get_task
from .worlds import Worlds

TRAIN_SEEDS = SEED_RANGES["select"] - SEED_RANGES["train"]
Severities = Mapping[str, int | Sequence[int]]


def as_task(task: str | Task) -> Task:
    """The task, or the one of that id. Raises UnknownName."""
    return get_task(task) if isinstance(task, str) else task


def check_render_mode(render_mode: str | None) -> None:
    """Raises BadInput for what is neither None nor "rgb_array"."""
    if render_mode not in (None, "rgb_array"):
        raise BadInput(f"render_mode is None or 'rgb_array', not {render_mode!r}")


def action_space(task: Task) -> spaces.Box[np.float32]:
    """Actions `(A,)` in [-1, 1]."""
    return spaces.Box(-1.0, 1.0, (len(task.action_names),), np.float32)


def observation_space(task: Task) -> spaces.Box[np.float32]:
    """Observations `(d,)` within their declared limits."""
    return spaces.Box(-task.observation_limits, task.observation_limits, dtype=np.float32)


def train_seed(seed: int) -> int:
    """The episode that a face's `seed` means: itself below a billion, wrapped into the training seeds above."""
    return SEED_RANGES["train"] + seed % TRAIN_SEEDS


def check_severities(severities: Severities) -> dict[str, tuple[int, ...]]:
    """Disturbance -> the severities that episodes draw from, evenly. Raises BadInput outside 0..5."""
    checked = {}
    for name, given in severities.items():
        listed = isinstance(given, Iterable) and not isinstance(given, str | bytes)
        levels: tuple[Any, ...] = tuple(given) if listed else (given,)  # type: ignore[arg-type]
        if not levels or not all(_whole(level) and 0 <= level < LEVELS for level in levels):
            raise BadInput(f"severities of {name} are integers from 0 to {LEVELS - 1}, not {given!r}")
        checked[name] = tuple(int(level) for level in levels)
    return checked


def check_shape(what: str, given: object, shape: tuple[int, ...]) -> None:
    """Raises BadInput for numbers of another shape than is meant: numpy would spread them over all."""
    found = np.asarray(given).shape
    if found != shape:
        raise BadInput(f"{what} has shape {found}, expected {shape}")


def check_count(name: str, count: int) -> None:
    """Raises BadInput for a number of worlds that is no integer of at least 1."""
    if not _whole(count) or count < 1:
        raise BadInput(f"{name} is an integer of at least 1, not {count!r}")


def _whole(value: object) -> bool:
    """Whether it is an integer, Python's or numpy's; a truth is none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


class Draws:
    """The next episodes of n worlds, each world from a generator of its own."""

    def __init__(self, severities: Severities) -> None:
        self.severities = check_severities(severities)

    def start(
        self,
        worlds: Worlds,
        ids: NDArray[np.int64],
        generators: Sequence[np.random.Generator],
        seeds: Sequence[int | None],
    ) -> None:
        """Start an episode in each of worlds `ids`: of its seed, or of one drawn from its generator."""
        chosen = np.array(
            [
                int(rng.integers(TRAIN_SEEDS)) if seed is None else train_seed(seed)
                for rng, seed in zip(generators, seeds, strict=True)
            ],
            np.int64,
        )
        levels = {
            name: np.array([int(rng.choice(choices)) for rng in generators], np.int64)
            for name, choices in self.severities.items()
        }
        worlds.reset(ids, chosen, levels)


def beginning(worlds: Worlds, world: int) -> dict[str, Any]:
    """What `info` says of a reset: the episode's `seed`, and `severity/<name>` of each disturbance."""
    drawn = {f"severity/{name}": int(each.level[world]) for name, each in worlds.disturbances.items()}
    return {"seed": int(worlds.seeds[world]), **drawn}


def endings(worlds: Worlds) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(terminated, truncated), `(n,)`: success, failure and fault terminate; running out of time truncates."""
    done, reason = worlds.done[: worlds.n], worlds.reason[: worlds.n]
    late = reason == TIMEOUT
    return done & ~late, done & late


def step_values(worlds: Worlds) -> dict[str, NDArray[np.generic]]:
    """What `info` says of the last step, `(n,)` each: `is_success`, `cost`, `reward/<term>`."""
    n = worlds.n
    values: dict[str, NDArray[np.generic]] = {
        "is_success": worlds.success[:n].copy(),
        "cost": worlds.cost[:n].copy(),
    }
    for name, value in worlds.rewards.items():
        values[f"reward/{name}"] = value[:n].copy()
    return values


def ending(worlds: Worlds, world: int) -> dict[str, Any]:
    """What `info` says more when an episode ends: `reason`, `steps`, `limits_active` and, after success, `cycle_s`."""
    said: dict[str, Any] = {
        "reason": worlds.task.reasons[int(worlds.reason[world])],
        "steps": int(worlds.steps[world]),
        "limits_active": float(worlds.limits_active[world]),
    }
    return said | ({"cycle_s": float(worlds.cycle_s[world])} if worlds.success[world] else {})


def info(worlds: Worlds, world: int) -> dict[str, Any]:
    """What `info` says of a world after a step, in plain numbers."""
    said: dict[str, Any] = {"is_success": bool(worlds.success[world]), "cost": float(worlds.cost[world])}
    for name, value in worlds.rewards.items():
        said[f"reward/{name}"] = float(value[world])
    return said if worlds.reason[world] == RUNNING else said | ending(worlds, world)


def infos(worlds: Worlds, ids: Iterable[int]) -> list[dict[str, Any]]:
    """One `info` for each of `ids`, in plain numbers."""
    columns = {name: value.tolist() for name, value in step_values(worlds).items()}
    chosen = list(ids)
    rows = [{name: values[i] for name, values in columns.items()} for i in chosen]
    for row, i in zip(rows, chosen, strict=True):
        if worlds.reason[i] != RUNNING:
            row.update(ending(worlds, i))
    return rows
