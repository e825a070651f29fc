"""What the contract tests ask of machine-tend: an oracle for success from raw state, and policies that break its hard limits."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from genba.envs.task import Task
from genba.tests.cell_kit import Act, Array, everywhere, restless, rotation, touching

TASK = "machine-tend"
Seeds = NDArray[np.int64]


def _stands(data: mujoco.MjData, body: str, where: NDArray[np.float64], within: float) -> bool:
    at, turned = data.body(body).xpos, rotation(data.body(body).xquat)
    level = abs(at[2] - where[2]) < 0.0045
    return bool(np.linalg.norm(at[:2] - where[:2]) < within and level and turned[2, 2] > 0.989)


def oracle(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """The finished part stands on the bench, the blank between both jaws, the door is shut, the fingers are free and the button is up."""
    done_is_out = _stands(data, "done", np.array([0.19, -0.52, -0.06]), 0.031)
    loaded = _stands(data, "part", np.array([0.62, 0.0, -0.005]), 0.0065)
    jaws = {"jaw_left_geom", "jaw_right_geom"} <= touching(model, data, "part_geom")
    held = {
        geom
        for part in ("part_geom", "done_geom")
        for geom in touching(model, data, part)
        if geom.startswith("2f85/")
    }
    shut = data.qpos[model.joint("door").qposadr[0]] < 0.0105
    up = data.qpos[model.joint("button").qposadr[0]] > -0.0012
    return bool(done_is_out and loaded and jaws and shut and up and not held)


def _expert(task: Task, o: Array, **seen: Array) -> Array:
    """What the expert does when it sees something else in these columns."""
    other = o.astype(np.float32).copy()
    for name, value in seen.items():
        other[:, task.columns[name]] = np.reshape(value, (len(o), -1))
    return np.array(task.expert(other))


def _held(task: Task, o: Array) -> Array:
    seen = task.split(o.astype(np.float32))
    return np.maximum(seen["grip_done"], seen["grip_blank"])


def squeeze(task: Task, o: Array, seeds: Seeds, steps: Seeds) -> Array:
    action = _expert(task, o)
    action[_held(task, o) > 1.0, :3] = [0.0, 0.0, -1.0]
    return action


def let_go(task: Task, o: Array, seeds: Seeds, steps: Seeds) -> Array:
    """Lets go of what it carries; of the blank in the even seeds, of the finished part in the odd ones."""
    action, seen = _expert(task, o), task.split(o.astype(np.float32))
    mine = np.where(seeds % 2 == 0, seen["grip_blank"], seen["grip_done"]) > 1.0
    action[mine & (seen["tcp"][:, 2] > 0.08), 4] = 1.0
    return action


def loose(task: Task, o: Array, seeds: Seeds, steps: Seeds) -> Array:
    action = _expert(task, o)
    action[:, 5] = 1.0
    return action


def impatient(task: Task, o: Array, seeds: Seeds, steps: Seeds) -> Array:
    """Goes in as soon as the door is half open."""
    door = o[:, task.columns["door"]]
    return _expert(task, o, door_open_30mm=np.where(door > 0.30, 0.01, -0.03))


def doubtful(task: Task, o: Array, seeds: Seeds, steps: Seeds) -> Array:
    """Never believes that the door is open, and pushes on."""
    return _expert(task, o, door_open_30mm=np.full(len(o), -0.03))


def reopen(task: Task, o: Array, seeds: Seeds, steps: Seeds) -> Array:
    """Sets the finished part down beside its place, so that the work is never done, and opens the door of the machine that it has started."""
    seen = task.split(o.astype(np.float32))
    runs = seen["running"] > 0.5
    out = np.where(runs[:, None], 0.5, seen["out_from_done"] + np.array([0.05, 0.0, 0.0]))
    return _expert(task, o, running=np.zeros(len(o)), out_from_done=out)


def slam(task: Task, o: Array, seeds: Seeds, steps: Seeds) -> Array:
    action, fin = _expert(task, o), task.split(o.astype(np.float32))["fin_from_tcp"]
    beside = (np.abs(fin[:, 0]) < 0.02) & (np.abs(fin[:, 2]) < 0.02) & (np.abs(fin[:, 1]) < 0.06)
    action[beside, 1] = np.sign(fin[beside, 1])
    return action


def swerve(task: Task, o: Array, seeds: Seeds, steps: Seeds) -> Array:
    """Turns aside inside the machine."""
    action = _expert(task, o)
    action[task.split(o.astype(np.float32))["tcp"][:, 0] > 0.55, :3] = [0.0, -1.0, 0.0]
    return action


def early(task: Task, o: Array, seeds: Seeds, steps: Seeds) -> Array:
    """Presses the button before anything else."""
    off = task.split(o.astype(np.float32))["button_from_tcp"]
    over = np.abs(off[:, :2]).max(axis=1) < 0.01
    down = np.where(over, -0.2, 6.0 * (off[:, 2] + 0.10))
    return np.column_stack([6.0 * off[:, :2], down, np.zeros(len(o)), np.full((len(o), 2), -1.0)])


CORNERS = [
    (-1, -1, -1, -1, -1, 0), (1, 0, 0, 0, 1, 0), (0, 0, -1, 0, 1, 0), (-1, -1, 1, 1, 1, 0), (1, -1, -1, -1, 1, 0), (0, 0, 0, 1, -1, 0),
]  # fmt: skip
wind_up = everywhere(1.0, 0.0, 0.0, -1.0, 0.0, -1.0)  # the wrist comes to its end
VIOLATORS: list[Act] = [
    *restless(), squeeze, let_go, let_go, loose, impatient, doubtful, reopen, slam, swerve, early, wind_up, *(everywhere(*corner) for corner in CORNERS),
]  # fmt: skip
