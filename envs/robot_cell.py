"""What a scaffolded cell must know of a robot that was taken in, as the words of its templates."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

import mujoco
import numpy as np

from .robot_hand import opening
from .robot_reach import PLACES, Place
from .robots import Robot
from .signals import Array

WORKSPACE = np.array([[0.20, -0.52, 0.004], [0.78, 0.52, 0.70]])  # m, of a cell of scale 1
BRISK, SLOWEST = (
    2.6,
    0.5,
)  # rad/s or m/s of the slowest joint that the house's own cell asks for; the least share of its speed
HALF_WIDTH, FORCE, TURN = 0.016, 40.0, 2.0  # m of the part across the fingers, N, rad/s


def words_of(robot: Robot, place: Place) -> dict[str, str]:
    """Template word -> text, for a robot with two sliding fingers."""
    model = robot.spec().compile()
    data = mujoco.MjData(model)
    for name, value in zip(robot.joints, place.start, strict=True):
        data.joint(name).qpos[0] = value
    mujoco.mj_kinematics(model, data)
    y = data.site(robot.tcp_site).xmat.reshape(3, 3)[:, 1]
    left, right = (model.body(int(model.joint(name).bodyid[0])).name for name in robot.gripper.joints)
    _, opened = opening(model, robot.gripper.joints)
    pace = float(np.clip(robot.qd_max.min() / BRISK, SLOWEST, 1.0))
    x, near = place.scale * PLACES[1]
    low, high = WORKSPACE[0].copy(), WORKSPACE[1].copy()
    low[:2], high[:2] = place.scale * low[:2], place.scale * high[:2]
    return {
        "robot": robot.name,
        "include": "",
        "tool_body": repr(robot.tool_body),
        "start_q": _numbers(place.start),
        "grip_angle": "np.pi / 2" if y[1] > 0.0 else "-np.pi / 2",
        "x": f"{x:.4g}",
        "y": f"{near:.4g}",
        "low": _numbers(low),
        "high": _numbers(high),
        "half": f"{min(HALF_WIDTH, 0.2 * opened):.4f}",
        "force": f"{min(FORCE, robot.gripper.force_max):.1f}",
        "force_limit": f"{2.5 * min(FORCE, robot.gripper.force_max):.1f}",
        "speed": f"{0.8 * pace:.3g}",
        "expert_speed": f"{0.6 * pace:.3g}",
        "speed_limit": f"{0.85 * pace:.3g}",
        "expert_turn": f"{min(TURN, 0.25 * float(robot.qd_max[-1])):.4g}",
        "turn": f"{min(TURN, 0.6 * float(robot.qd_max[-1])):.4g}",
        "open": f"{1.5 * robot.gripper.position_max:.4g}",
        "left": f"subtree1={quoteattr(left)}",
        "right": f"subtree1={quoteattr(right)}",
    }


def _numbers(values: Array) -> str:
    return ", ".join(f"{round(float(each), 4)}" for each in values)
