"""Controllers: actions in [-1, 1] become actuator targets, and the robot's data-sheet limits clamp commands here, once.

The clamps act on *commands*; constraints judge what was *measured*. Whether a clamp was active in a tick is returned, so that a
check cannot hide behind it.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .capture import Captured
from .engine import Engine, Ids
from .robots import Robot
from .signals import Array, Lookup
from .terms import norm


class Controller(Protocol):
    """What a task needs of a controller."""

    def restart(self, ids: Ids, q: Array) -> None:
        """Forget worlds `ids`; the signal that the task calls `driven` is `q` there, of an arm its joints, `(m, joints)`."""

    def targets(self, action: Array, now: Lookup, out: Array) -> NDArray[np.bool_]:
        """Write actuator targets of the next tick into `out`, `(N, K, nu)`; returns where a limit clamped, `(N,)`."""


def solve_spd(a: Array, b: Array) -> Array:
    """Solve `(m, m, N)` symmetric positive definite systems for right sides `(m, N)` by Gauss-Jordan elimination.

    The same operations in the same order for every world, so the same bits at any N and on any processor.
    """
    m = len(b)
    both = np.concatenate([a, b[:, None]], axis=1)  # (m, m + 1, N)
    for i in range(m):
        row = both[i, i + 1 :] / both[i, i]
        both[:, i + 1 :] -= both[:, i, None] * row
        both[i, i + 1 :] = row
    return both[:, m]


def _span(indices: list[int]) -> slice:
    """Consecutive indices as a slice, which copies faster than a list."""
    if indices != list(range(indices[0], indices[0] + len(indices))):
        raise ValueError(f"{indices} must follow each other in the model")
    return slice(indices[0], indices[0] + len(indices))


def ramp_targets(start: Array, end: Array, substeps: int) -> Array:
    """Straight lines `(N, K, J)` from `start` (excluded) to `end` (included), both `(N, J)`."""
    share = (np.arange(1, substeps + 1) / substeps)[None, :, None]
    return np.asarray(start[:, None] + share * (end - start)[:, None])


class CartesianTwist:
    """Tool velocity in the world frame with the tool kept pointing down, by damped least squares with a posture in the null space.

    Action: vx, vy, vz (times `speed` m/s, which the tool is never told to exceed), yaw rate (times `turn` rad/s), and the tool: a gripper
    (times its force; below zero closes) or a vacuum (on above zero).
    Joint commands obey acceleration, velocity (position dependent where published) and range; the command leads the measured
    joints by no more than makes the servos pull with `push_share` of their torque limit, so that a blocked arm stays gentle.
    """

    damping = 1e-3
    push_share = 0.3
    upright_gain = 4.0
    posture_gain = 0.5

    def __init__(
        self,
        engine: Engine,
        robot: Robot,
        posture: Array,
        speed: float,
        turn: float,
        tool_body: str,
        grip_force: float = 0.0,
    ) -> None:
        model = engine.model
        self.engine, self.robot, self.posture, self.speed, self.turn = engine, robot, posture, speed, turn
        self.body = model.body(tool_body).id
        self.dofs = _span([int(model.joint(name).dofadr[0]) for name in robot.joints])
        self.actuators = _span([model.actuator(f"arm{i + 1}").id for i in range(len(robot.joints))])
        self.tool = model.actuator(robot.gripper.actuator).id
        self.vacuum = robot.gripper.kind == "vacuum"
        self.grip_force = min(grip_force, float(model.actuator_forcerange[self.tool, 1]))
        gain = model.actuator_gainprm[self.actuators, 0]
        self.lead = self.push_share * robot.tau_max / gain
        self.feed_forward = -model.actuator_biasprm[self.actuators, 2] / gain
        own = [model.joint(name).id for name in robot.joints]
        self.weighs = not model.jnt_actgravcomp[
            own
        ].any()  # the servos carry the arm: its weight is fed forward
        self.gain = gain
        self.dt = engine.substeps * model.opt.timestep
        margin = 0.01
        self.low, self.high = robot.q_min + margin, robot.q_max - margin
        self.enveloped = "envelope.offset" in robot.limits
        joints = len(robot.joints)
        self.q, self.qd = np.zeros((engine.worlds, joints)), np.zeros((engine.worlds, joints))
        self._plan = Captured(self.plan) if engine.captured else self.plan

    def restart(self, ids: Ids, q: Array) -> None:
        self.q[ids], self.qd[ids] = q, 0.0

    def targets(self, action: Array, now: Lookup, out: Array) -> NDArray[np.bool_]:
        linear, angular = self.engine.jacobian(self.body, now["tcp.pos"])
        measured, quat, bias = now["arm.q"], now["tcp.quat"], self.engine.bias
        ways, tool, self.q, self.qd, clamped = self._plan(
            action, linear, angular, measured, quat, bias, self.q, self.qd
        )
        out[:, :, self.actuators] = ways
        out[:, :, self.tool] = tool
        return np.asarray(clamped, bool)

    def plan(
        self,
        action: Array,
        linear: Array,
        angular: Array,
        measured: Array,
        quat: Array,
        bias: Array,
        q: Array,
        qd: Array,
    ) -> tuple[NDArray[Any], ...]:
        """Targets of the joints `(N, K, J)` and of the tool `(N, 1)`, the joints and their speeds as commanded next, and where a limit clamped.

        Of the action, the Jacobians `(N, 3, nv)` of the tool, its pose, the joints as measured and commanded, and the bias `(N, nv)`.
        """
        slower = 1.0 / np.maximum(norm(action[:, :3]), 1.0)
        wanted = self._joint_velocity(action, slower, linear, angular, measured, quat)
        velocity, clamped = self._limited(wanted, q, qd)
        start = q + self.feed_forward * qd
        step = q.clip(measured - self.lead, measured + self.lead) + velocity * self.dt
        held = step.clip(self.low, self.high)
        stopped = held != step
        clamped = clamped | (slower < 1.0) | stopped.any(axis=1)
        speed = np.where(stopped, 0.0, velocity)
        end = held + self.feed_forward * speed
        if self.weighs:
            carried = bias[:, self.dofs] / self.gain
            start, end = start + carried, end + carried
        tool = action[:, 4] > 0.0 if self.vacuum else action[:, 4] * self.grip_force
        return ramp_targets(start, end, self.engine.substeps), tool[:, None], held, speed, clamped

    def _joint_velocity(
        self, action: Array, slower: Array, linear: Array, angular: Array, measured: Array, quat: Array
    ) -> Array:
        """`(N, J)` rad/s that gives the commanded twist, solved on component arrays."""
        jacobian = np.ascontiguousarray(
            np.concatenate([linear, angular], axis=1)[:, :, self.dofs].transpose(1, 2, 0)
        )  # (6, J, N)
        posture = self.posture_gain * (self.posture[:, None] - np.ascontiguousarray(measured.T))
        w, x, y, z = np.ascontiguousarray(quat.T)
        axis_x, axis_y = 2.0 * (x * z + w * y), 2.0 * (y * z - w * x)
        pushed = self.speed * slower * action[:, :3].T
        twist = np.stack(
            [*pushed, -self.upright_gain * axis_y, self.upright_gain * axis_x, self.turn * action[:, 3]]
        )
        rest = twist - (jacobian * posture[None]).sum(axis=1)
        gram = (jacobian[:, None] * jacobian[None]).sum(axis=2)  # (6, 6, N)
        gram.reshape(36, -1)[::7] += self.damping
        solution = solve_spd(gram, rest)
        return np.ascontiguousarray((posture + (jacobian * solution[:, None]).sum(axis=0)).T)

    def _limited(self, wanted: Array, q: Array, qd: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Joint velocities within their limits: scaled as a whole to keep the direction, then each joint by its room to the end.

        The room is what the joint will have two ticks on, because the servos follow late: what the maker allows there, and what it can
        brake from with half of its acceleration. A joint that must slow down does so on its own, however little acceleration the
        others leave it.
        """
        scale = 1.0 / np.maximum((np.abs(wanted) / (0.95 * self.robot.qd_max)).max(axis=1), 1.0)
        ahead = q + 2.0 * qd * self.dt
        low, high = (0.95 * limit for limit in self.robot.velocity_limits(ahead))
        if self.enveloped:
            high = np.minimum(high, np.sqrt(self.robot.qdd_max * np.maximum(self.high - ahead, 0.0)))
            low = np.maximum(low, -np.sqrt(self.robot.qdd_max * np.maximum(ahead - self.low, 0.0)))
        target = (wanted * scale[:, None]).clip(low, high)
        change, most = target - qd, self.robot.qdd_max * self.dt
        part = 1.0 / np.maximum((np.abs(change) / most).max(axis=1), 1.0)
        together = qd + part[:, None] * change
        slowed = together.clip(low, high).clip(qd - most, qd + most)
        velocity = np.where((together < low) | (together > high), slowed, together)
        return velocity, (target != wanted).any(axis=1) | (part < 1.0)
