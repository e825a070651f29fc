"""The SCARA's controller: x, y, z, yaw and vacuum in [-1, 1] become joint targets, clamped to the data sheet here, once.

The arm keeps one elbow: J2 stays on its positive side, away from the stretched and the folded singularity, so that the planar
inverse is a 2x2 damped least squares solved in closed form.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .capture import Captured
from .control import ramp_targets
from .engine import Engine, Ids
from .robots import Robot
from .signals import Array, Lookup

ELBOW = (np.deg2rad(12.0), np.deg2rad(145.0))
LEAD = np.array([0.02, 0.02, 0.003, 0.10])  # rad rad m rad
MARGIN = np.array([0.03, 0.03, 0.002, 0.03])


class ScaraTwist:
    """Tool velocity in the base frame, upright by construction.

    Action: vx, vy (times `speed` m/s), vz (times `lift` m/s), yaw rate (times `turn` rad/s), and the tool: a vacuum (on above zero),
    fingers (times their force; below zero closes) or a spindle (times its torque, given as `grip_force`; above zero tightens).
    The horizontal velocity command changes by at most the robot's `a_max`; joints obey velocity, acceleration and range, slowing
    early enough to stop at its end. The command starts each tick within `LEAD` of the measured joints, so that a blocked arm does not
    wind up; on the way down that bounds the force of a blow to 120 N.
    """

    damping = 1e-5

    def __init__(
        self, engine: Engine, robot: Robot, speed: float, lift: float, turn: float, grip_force: float = 0.0
    ) -> None:
        model = engine.model
        self.robot, self.speed, self.lift, self.turn = robot, speed, lift, turn
        self.actuators = [model.actuator(name).id for name in robot.actuators]
        self.tool = model.actuator(robot.gripper.actuator).id
        self.vacuum, self.grip_force = robot.gripper.kind == "vacuum", grip_force
        gain = model.actuator_gainprm[self.actuators, 0]
        self.feed_forward = -model.actuator_biasprm[self.actuators, 2] / gain
        self.lengths = np.asarray(robot.limit("arm.lengths").value, float)
        self.substeps, self.dt = engine.substeps, engine.substeps * model.opt.timestep
        self.low, self.high = robot.q_min + MARGIN, robot.q_max - MARGIN
        self.low[1], self.high[1] = ELBOW[0] + MARGIN[1], ELBOW[1] - MARGIN[1]
        self.q, self.qd = np.zeros((engine.worlds, 4)), np.zeros((engine.worlds, 4))
        self.velocity = np.zeros((engine.worlds, 2))
        self._plan = Captured(self.plan) if engine.captured else self.plan

    def restart(self, ids: Ids, q: Array) -> None:
        self.q[ids], self.qd[ids], self.velocity[ids] = q, 0.0, 0.0

    def targets(self, action: Array, now: Lookup, out: Array) -> NDArray[np.bool_]:
        """Write actuator targets `(N, K, nu)`; returns where a limit clamped the command, `(N,)`."""
        ways, tool, self.q, self.qd, self.velocity, clamped = self._plan(
            action, now["arm.q"], self.q, self.qd, self.velocity
        )
        out[:, :, self.actuators] = ways
        out[:, :, self.tool] = tool
        return np.asarray(clamped, bool)

    def plan(
        self, action: Array, measured: Array, q: Array, qd: Array, moving: Array
    ) -> tuple[NDArray[Any], ...]:
        """Targets of the joints `(N, K, 4)` and of the tool `(N, 1)`, the joints, their speeds and the tool's as commanded next, and where a
        limit clamped, of the action, the joints as measured, and what was commanded before.
        """
        jacobian = self._jacobian(measured)
        slowed = self._planar_velocity(action, moving)
        wanted = np.stack(
            [*self._inverse(jacobian, slowed), self.lift * action[:, 2], self.turn * action[:, 3]], axis=1
        )
        velocity, clamped = self._limited(wanted, q, qd)
        step = np.clip(q, measured - LEAD, measured + LEAD) + velocity * self.dt
        held = np.clip(step, self.low, self.high)
        stopped = held != step
        start, speed = q + self.feed_forward * qd, np.where(stopped, 0.0, velocity)
        a, b, c, d = jacobian
        moving = np.stack([a * speed[:, 0] + b * speed[:, 1], c * speed[:, 0] + d * speed[:, 1]], axis=1)
        ways = ramp_targets(start, held + self.feed_forward * speed, self.substeps)
        tool = action[:, 4] > 0.0 if self.vacuum else action[:, 4] * self.grip_force
        return ways, tool[:, None], held, speed, moving, clamped | stopped.any(axis=1)

    def _planar_velocity(self, action: Array, moving: Array) -> Array:
        """`(N, 2)` m/s: towards the commanded velocity by at most `a_max` in this tick."""
        change = self.speed * action[:, :2] - moving
        size = np.sqrt(change[:, 0] * change[:, 0] + change[:, 1] * change[:, 1])
        share = np.minimum(1.0, self.robot.a_max * self.dt / np.maximum(size, 1e-9))
        return np.asarray(moving + share[:, None] * change)

    def _jacobian(self, q: Array) -> tuple[Array, Array, Array, Array]:
        """The planar Jacobian's entries (x by q1, x by q2, y by q1, y by q2), each `(N,)`."""
        first, both = np.ascontiguousarray(q[:, 0]), q[:, 0] + q[:, 1]
        upper, fore = self.lengths
        bx, by = -fore * np.sin(both), fore * np.cos(both)
        return bx - upper * np.sin(first), bx, by + upper * np.cos(first), by

    def _inverse(self, jacobian: tuple[Array, Array, Array, Array], v: Array) -> tuple[Array, Array]:
        """Joint velocities J^T (J J^T + damping I)^-1 v, by the explicit inverse of the 2x2 matrix."""
        a, b, c, d = jacobian
        xx, yy, xy = a * a + b * b + self.damping, c * c + d * d + self.damping, a * c + b * d
        det = xx * yy - xy * xy
        x = (yy * v[:, 0] - xy * v[:, 1]) / det
        y = (xx * v[:, 1] - xy * v[:, 0]) / det
        return a * x + c * y, b * x + d * y

    def _limited(self, wanted: Array, q: Array, qd: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Joint velocities `(N, 4)` within their limits; the planar pair is scaled as one; yaw makes up for both.

        `wanted` holds q1, q2, z and the yaw rate of the tool.
        """
        top, most = (
            0.95 * self.robot.qd_max,
            0.75 * self.robot.qdd_max * self.dt,
        )  # both drives may brake at once
        scale = 1.0 / np.maximum((np.abs(wanted[:, :2]) / top[:2]).max(axis=1), 1.0)
        planar = wanted[:, :2] * scale[:, None]
        part = 1.0 / np.maximum((np.abs(planar - qd[:, :2]) / most[:2]).max(axis=1), 1.0)
        planar = qd[:, :2] + part[:, None] * (planar - qd[:, :2])
        asked = np.stack(
            [planar[:, 0], planar[:, 1], wanted[:, 2], wanted[:, 3] - planar[:, 0] - planar[:, 1]], axis=1
        )
        low, high = self._room(q - self.low, top), self._room(self.high - q, top)
        ended = np.clip(asked, -low, high)
        given = np.clip(ended, qd - most, qd + most)
        return given, (scale < 1.0) | (part < 1.0) | (given != asked).any(axis=1)

    def _room(self, way: Array, top: Array) -> Array:
        """The highest speed `(N, 4)` from which a joint stops within `way` at a quarter of its acceleration, in whole ticks."""
        left = np.maximum(way, 0.0)
        return np.asarray(
            np.minimum(np.minimum(np.sqrt(0.5 * self.robot.qdd_max * left), left / self.dt), top)
        )
