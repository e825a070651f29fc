"""Which joints, degrees of freedom and actuators of a cell's model are the arm's."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from .robots import load_robot
from .signals import Array
from .task import Task


def arm_joints(task: Task) -> list[int]:
    """Joint ids, in the order of `arm.q`."""
    return [task.model.joint(name).id for name in load_robot(task.robot_name).joints]


def arm_dofs(task: Task) -> list[int]:
    """Degrees of freedom, in the order of `arm.q`."""
    return [int(task.model.jnt_dofadr[joint]) for joint in arm_joints(task)]


def arm_actuators(task: Task) -> list[int]:
    """The position servos, in the order of `arm.q`."""
    kind, target = task.model.actuator_trntype, task.model.actuator_trnid[:, 0]
    found = [
        np.flatnonzero((kind == mujoco.mjtTrn.mjTRN_JOINT) & (target == joint)) for joint in arm_joints(task)
    ]
    return [int(each[0]) for each in found]


def turning(task: Task) -> Array:
    """`(J,)`: 1 for a rotary joint, 0 for one that slides."""
    return np.asarray(task.model.jnt_type[arm_joints(task)] == mujoco.mjtJoint.mjJNT_HINGE, np.float64)


def motions(task: Task) -> NDArray[np.bool_]:
    """`(A,)`: the actions that move the arm, not its tool or the cell."""
    return np.array([unit in ("m/s", "rad/s") for unit, _ in task.commands])
