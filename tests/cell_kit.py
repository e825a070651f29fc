"""What the contract tests of cells share: looking at raw state, and policies that break limits."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType

import mujoco
import numpy as np
from numpy.typing import NDArray

from genba.envs.robots import vehicle_names
from genba.envs.streams import Streams
from genba.envs.task import Task, get_task
from genba.safety.episodes import Loop

Array = NDArray[np.float64]
Act = Callable[[Task, Array, NDArray[np.int64], NDArray[np.int64]], Array]
Oracle = Callable[[mujoco.MjModel, mujoco.MjData], bool]


def cells() -> dict[str, ModuleType]:
    """The modules of `tests/cells/` by task: each has a TASK, an `oracle` and VIOLATORS, GRIPS unless its tool holds nothing, and a
    `careless` policy where the expert misses nothing."""
    from genba.tests import cells as package

    found = [
        importlib.import_module(f"{package.__name__}.{each.name}")
        for each in pkgutil.iter_modules(package.__path__)
    ]
    return {module.TASK: module for module in found}


def rotation(quat: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, quat)
    return matrix.reshape(3, 3)


def part_pose(model: mujoco.MjModel, data: mujoco.MjData) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Position and rotation matrix of the judged part from the generalised positions."""
    adr = int(model.joint("part_free").qposadr[0])
    return data.qpos[adr : adr + 3].copy(), rotation(data.qpos[adr + 3 : adr + 7])


def touching(model: mujoco.MjModel, data: mujoco.MjData, geom: str, within: float = 0.0) -> set[str]:
    """Names of the geoms that press on `geom`, or are as near to it as `within` m."""
    me, found = model.geom(geom).id, set()
    for contact in data.contact:
        pair = [int(g) for g in contact.geom]
        if me in pair and contact.dist < within:
            found.add(model.geom(pair[1 - pair.index(me)]).name)
    return found


def everywhere(*action: float) -> Act:
    return lambda task, o, seeds, steps: np.tile(np.array(action), (len(o), 1))


def by_expert(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    return task.expert(o.astype(np.float32))


def width(task: Task) -> tuple[int]:
    return (len(task.action_names),)


def base_suite(task_id: str) -> str:
    """What the cell's own suite extends: `basic` asks things of arms, `amr` of vehicles."""
    return "amr" if get_task(task_id).robot_name in vehicle_names() else "basic"


def once_broken(wanted: NDArray[np.bool_]) -> Callable[[Loop], NDArray[np.bool_]]:
    """Stops all episodes of a live loop once each of its `wanted` constraints, `(C,)`, was broken in one: what follows is of no interest."""
    broken = ~wanted

    def stop(playing: Loop) -> NDArray[np.bool_]:
        decided = ~np.isin(playing.monitor.ids, playing.monitor.undecided)
        seen = ~(playing.monitor.worst[playing.active] >= 0.0) & decided
        broken[:] |= seen.any(axis=0)
        return np.full(len(playing.active), bool(broken.all()))

    return stop


def chatter(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    return np.sign(Streams("chatter", seeds).uniform("action", width(task), steps) - 0.5)


def lurch(ticks: int) -> Act:
    return lambda task, o, seeds, steps: (
        2.0 * Streams("x", seeds).uniform("a", width(task), steps // ticks) - 1.0
    )


def not_a_number(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    return np.where(steps[:, None] < 5, 0.0, np.full((len(o), *width(task)), np.nan))


def crush(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    if "grip_force" in seen:
        action[seen["grip_force"] > 1.0, :3] = [0.0, 0.0, -1.0]
    else:
        near = np.abs(seen["part_from_cup"]).max(axis=1) < 0.02
        action[near, 2], action[near, 4] = -1.0, 1.0
    return action


def let_go(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    height = {"palletize": 0.0, "bento-pack": 0.12}.get(task.id, 0.15)
    action[seen["tcp"][:, 2] > height, 4] = 1.0 if "grip_force" in seen else -1.0
    return action


def twist(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    action[seen["grip_force"] > 1.0, :4] = [1.0, 0.0, -0.1, 1.0]
    return action


def to_and_fro(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    action = np.tile([0.0, 1.0, 0.0, 0.0, 1.0], (len(o), 1))
    return action * np.where(steps // 60 % 2 == 0, 1.0, -1.0)[:, None]


def restless() -> list[Act]:
    """Policies that break limits of the robot itself."""
    return [chatter, *(lurch(ticks) for ticks in (10, 10, 25, 50, 50)), not_a_number]


def common() -> list[Act]:
    """Policies that most cells with a gripper break limits by."""
    return [*restless(), crush, let_go]


CORNERS = [
    (-1, -1, -1, -1, -1),
    (1, 0, 0, 0, 1),
    (0, 0, -1, 0, 1),
    (-1, -1, 1, 1, 1),
    (1, -1, -1, -1, 1),
    (0, 0, 0, 1, -1),
]
