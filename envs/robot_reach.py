"""Where an arm can work with its tool pointing down: a start pose, and how large a cell may be around it."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from .errors import BadInput
from .robots import Robot

Array = NDArray[np.float64]
SCALES = (1.0, 0.85, 0.7, 0.55, 1.3, 1.6)  # of the scaffolded cell, tried in this order
START = np.array([0.46, 0.0, 0.32])  # m, above the middle of the bench
PLACES = np.array([[0.46, -0.25], [0.46, 0.25]])  # m, of part and mark
SPREAD, TURN = 0.06, 1.1  # m and rad that they lie off
LOW, HIGH = 0.008, 0.25  # m that the tool goes down and up to
TRIES, STEPS, BEST = 16, 120, 4
NEAR = 2e-3  # m and rad that a pose may miss its goal by
MARGIN = 0.05  # rad or m that joints keep from the ends of their range
CLEAR = 0.06  # m that the links keep above the bench
ASIDE = 0.05  # m: an elbow that hangs out sideways by this much counts as a third as easy
TURNED = 10.0  # rad: of two poses alike, the one whose joints are nearer to zero
STEP = 0.06  # m between poses on a way


@dataclass(frozen=True)
class Place:
    """How large the cell is, as a share of the house's own, and the joints `(J,)` with which the tool stands above its middle."""

    scale: float
    start: Array


def place_of(robot: Robot) -> Place:
    """The first size of cell whose every place the tool reaches, straight down, from one start pose.

    Raises BadInput where there is none.
    """
    reach = _Reach(robot)
    for scale in SCALES:
        for start in reach.starts(scale):
            if reach.serves(start, scale):
                return Place(scale, start)
    raise BadInput(
        "its tool does not reach parts on a bench around its foot, pointing down; is the tool site where the tool sits, z away from the arm?"
    )


class _Reach:
    """A compiled robot that is asked for poses."""

    def __init__(self, robot: Robot) -> None:
        self.model = robot.spec().compile()
        self.data = mujoco.MjData(self.model)
        self.joints = [self.model.joint(name).id for name in robot.joints]
        self.dofs, self.adr = self.model.jnt_dofadr[self.joints], self.model.jnt_qposadr[self.joints]
        self.low, self.high = robot.q_min + MARGIN, robot.q_max - MARGIN
        self.tip = self.model.site(robot.tcp_site).id
        self.links = self.model.jnt_bodyid[self.joints[2:]]
        self.random = np.random.default_rng(0)

    def starts(self, scale: float) -> list[Array]:
        """Poses `(J,)` above the middle of the bench, the one with most room to move first."""
        wide = np.maximum(self.low, -np.pi), np.minimum(self.high, np.pi)
        at, found = START * [scale, 1.0, 1.0], []
        for _ in range(TRIES):
            for yaw in (-np.pi / 2, np.pi / 2):
                q = self.solve(at, yaw, self.random.uniform(*wide), STEPS)
                if q is not None:
                    found.append((self._ease(q), q, yaw))
        best = sorted(found, key=lambda each: -each[0])[:BEST]
        return sorted((self._eased(q, at, yaw) for _, q, yaw in best), key=self._ease, reverse=True)

    def _eased(self, q: Array, at: Array, yaw: float) -> Array:
        """A pose near `q` with the tool in the same place and more room: what an arm of seven axes has over."""
        for step in range(TRIES * 2):
            near = self.random.normal(q, 0.4 * 0.9**step).clip(self.low, self.high)
            other = self.solve(at, yaw, near, STEPS // 4)
            if other is not None and self._ease(other) > self._ease(q):
                q = other
        return q

    def serves(self, start: Array, scale: float) -> bool:
        """Whether the tool gets from the start pose to the corners of both places, up and down, turned either way."""
        for place in PLACES * scale:
            for off in (
                (0.0, 0.0),
                (SPREAD, SPREAD),
                (SPREAD, -SPREAD),
                (-SPREAD, SPREAD),
                (-SPREAD, -SPREAD),
            ):
                for turn in (-TURN, TURN):
                    if not self._goes(
                        start, START * [scale, 1.0, 1.0], np.array([*(place + off), HIGH]), turn
                    ):
                        return False
        return True

    def _goes(self, start: Array, begin: Array, over: Array, turn: float) -> bool:
        """Along straight lines to a point above a place, then down onto it, while the tool turns."""
        q, down, yaw = start, np.array([*over[:2], LOW]), self._yaw(start)
        for a, b, from_yaw, to_yaw in ((begin, over, yaw, yaw + turn), (over, down, yaw + turn, yaw + turn)):
            n = int(np.ceil(np.linalg.norm(b - a) / STEP))
            for i in range(1, n + 1):
                found = self.solve(a + (b - a) * i / n, from_yaw + (to_yaw - from_yaw) * i / n, q, STEPS // 4)
                if found is None:
                    return False
                q = found
        return True

    def _yaw(self, q: Array) -> float:
        """The angle in rad of the tool's y in the horizontal plane."""
        self._set(q)
        y = self.data.site_xmat[self.tip].reshape(3, 3)[:, 1]
        return float(np.arctan2(y[1], y[0]))

    def _set(self, q: Array) -> None:
        self.data.qpos[self.adr] = q
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)

    def solve(self, goal: Array, yaw: float, q: Array, steps: int) -> Array | None:
        """Joints `(J,)` near `q` that bring the tool to `goal` `(3,)`, z down and its y at `yaw`; None where that fails."""
        y = np.array([np.cos(yaw), np.sin(yaw), 0.0])
        wanted = np.column_stack([np.cross(y, [0.0, 0.0, -1.0]), y, [0.0, 0.0, -1.0]])
        linear, angular = np.zeros((3, self.model.nv)), np.zeros((3, self.model.nv))
        for _ in range(steps):
            self._set(q)
            have = self.data.site_xmat[self.tip].reshape(3, 3)
            turn = 0.5 * sum(np.cross(have[:, i], wanted[:, i]) for i in range(3))
            if (have * wanted).sum() < 0.0:  # more than a third of a turn off: the sine alone would mislead
                turn = turn / max(float(np.linalg.norm(turn)), 1e-3)
            error = np.concatenate([goal - self.data.site_xpos[self.tip], turn])
            if np.abs(error).max() < NEAR and (have * wanted).sum() > 2.9:
                return q if self._clear() else None
            mujoco.mj_jacSite(self.model, self.data, linear, angular, self.tip)
            jacobian = np.vstack([linear, angular])[:, self.dofs]
            error = error * min(1.0, 0.3 / float(np.linalg.norm(error)))
            change = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + 1e-4 * np.eye(6), error)
            q = (q + change).clip(self.low, self.high)
        return None

    def _clear(self) -> bool:
        return bool((self.data.xpos[self.links, 2] > CLEAR).all())

    def _ease(self, q: Array) -> float:
        """How far from singular, how far the joints are from their ends, how upright and straight the arm."""
        self._set(q)
        linear, angular = np.zeros((3, self.model.nv)), np.zeros((3, self.model.nv))
        mujoco.mj_jacSite(self.model, self.data, linear, angular, self.tip)
        jacobian = np.vstack([linear, angular])[:, self.dofs]
        room = np.minimum(q - self.low, self.high - q).clip(0.0, 1.0)
        last = min(float(min(q[-1] - self.low[-1], self.high[-1] - q[-1])), 2.0)
        up = float(self.data.xpos[self.links, 2].min())
        aside = float(np.abs(self.data.xpos[self.links, 1]).mean())
        ease = float(np.sqrt(np.linalg.det(jacobian @ jacobian.T))) * float(room.min()) * last * min(up, 0.3)
        return ease * float(np.exp(-aside / ASIDE - np.abs(q).sum() / TURNED))
