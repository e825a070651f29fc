"""The whole of an arm and its tool as capsules, placed by the joints' angles alone: how near it comes to itself and to a zone.

The engine lets a robot pass through itself (`cell`), so that it is these distances that say when it would not. Shapes are the solid ones
of the robot's MJCF; a box counts as the capsule around it, fingers stand as they do in the MJCF, and the part in the tool is none
of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import mujoco
import numpy as np
from numpy.typing import NDArray

from . import capsules
from .robots import Robot
from .signals import Array
from .terms import components

POSTURES = 4096  # at which is asked which shapes can meet at all
APART = 2  # joints at least between two shapes that are held apart
BESIDE = (
    0.02  # m: shapes nearer than this where the robot rests are neighbours, and their capsules say nothing
)


@dataclass(frozen=True, eq=False)
class ArmShapes:
    """Capsules with all joints at zero, in the frame that the robot's MJCF stands in, sorted by the joint that carries them.

    Attributes:
        start, end: `(3, P)` m, the ends of their axes.
        radius: `(P,)` m.
        carried: `(P,)`, how many of the joints move each.
        axes, anchors: `(J, 3)`, each joint's axis and a point on it in m.
        slides: `(J,)`, whether it slides (m) instead of turning (rad).
        pairs: `(M, 2)`, the capsules that can meet.
    """

    start: Array
    end: Array
    radius: Array
    carried: NDArray[np.int64]
    axes: Array
    anchors: Array
    slides: NDArray[np.bool_]
    pairs: NDArray[np.int64]

    def placed(self, q: Array) -> tuple[Array, Array]:
        """Ends of the axes `(3, P, ...)` at joints `(..., J)`."""
        lead = (1,) * (q.ndim - 1)
        ends = np.stack([self.start, self.end]).reshape(2, 3, -1, *lead)
        ends = np.broadcast_to(ends, (*ends.shape[:3], *q.shape[:-1])).copy()
        for joint, moved in reversed(list(enumerate(components(q)))):
            first = int(np.searchsorted(self.carried, joint + 1))
            axis, points = self.axes[joint].reshape(3, 1, *lead), ends[:, :, first:]
            if self.slides[joint]:
                points += axis * moved
            else:
                _turn(points, axis, self.anchors[joint].reshape(3, 1, *lead), np.cos(moved), np.sin(moved))
        return ends[0], ends[1]

    def self_distance(self, q: Array) -> Array:
        """`(...)` m between the nearest two capsules that can meet, negative where they do; infinite where none can."""
        if not len(self.pairs):
            return np.full(q.shape[:-1], np.inf)
        return np.asarray(self._gaps(q).min(axis=0))

    def _gaps(self, q: Array) -> Array:
        start, end = self.placed(q)
        one, other = self.pairs.T
        thick = (self.radius[one] + self.radius[other]).reshape(-1, *(1,) * (q.ndim - 1))
        return np.asarray(
            capsules.between(start[:, one], end[:, one], start[:, other], end[:, other]) - thick
        )

    def standing(self, pos: Array, turn: Array) -> ArmShapes:
        """The same where the robot stands: at `pos` (3,) m, its axes the columns of `turn` (3, 3)."""
        return replace(
            self,
            start=turn @ self.start + pos[:, None],
            end=turn @ self.end + pos[:, None],
            axes=self.axes @ turn.T,
            anchors=self.anchors @ turn.T + pos,
        )

    def box_distance(self, q: Array, low: Array, high: Array) -> Array:
        """`(...)` m between what the joints move and a box in the same frame, negative where they meet."""
        start, end = (points[:, self.carried > 0] for points in self.placed(q))
        thick = self.radius[self.carried > 0].reshape(-1, *(1,) * (q.ndim - 1))
        return np.asarray((capsules.to_box(start, end, low, high) - thick).min(axis=0))


def _turn(points: Array, axis: Array, anchor: Array, cos: Array, sin: Array) -> None:
    """Turn points `(2, 3, P, ...)` about an axis, in place (Rodrigues)."""
    off = points.swapaxes(0, 1) - anchor[:, None]
    along = (axis[0] * off[0] + axis[1] * off[1] + axis[2] * off[2]) * (1.0 - cos)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        across = axis[j] * off[k] - axis[k] * off[j]
        points[:, i] = anchor[i] + off[i] * cos + across * sin + axis[i] * along


@cache
def shapes_of(robot: Robot) -> ArmShapes:
    """The shapes of a robot; they are worked out once."""
    model = robot.spec().compile()
    data = mujoco.MjData(model)
    for name in robot.joints:
        data.joint(name).qpos[0] = 0.0
    mujoco.mj_kinematics(model, data)
    joints = [int(model.joint(name).id) for name in robot.joints]
    owner = [int(model.jnt_bodyid[joint]) for joint in joints]
    solid = [
        geom
        for geom in range(model.ngeom)
        if (model.geom_contype[geom] or model.geom_conaffinity[geom]) and model.geom_bodyid[geom]
    ]
    carried = {geom: _carried(model, int(model.geom_bodyid[geom]), owner) for geom in solid}
    solid.sort(key=carried.__getitem__)
    middle, half, radius = (
        np.array(each) for each in zip(*(_axis(model, data, g) for g in solid), strict=True)
    )
    shapes = ArmShapes(
        (middle - half).T,
        (middle + half).T,
        radius,
        np.array([carried[geom] for geom in solid]),
        data.xaxis[joints].copy(),
        data.xanchor[joints].copy(),
        model.jnt_type[joints] == int(mujoco.mjtJoint.mjJNT_SLIDE),
        np.empty((0, 2), np.int64),
    )
    return _with_pairs(shapes, robot)


def _carried(model: mujoco.MjModel, body: int, owner: list[int]) -> int:
    """How many of the arm's joints lie between a body and the base."""
    while body and body not in owner:
        body = int(model.body_parentid[body])
    return owner.index(body) + 1 if body else 0


def _axis(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> tuple[Array, Array, float]:
    """Middle and half axis `(3,)` m and radius in m of the capsule around a shape."""
    size, turn = model.geom_size[geom], data.geom_xmat[geom].reshape(3, 3)
    middle = data.geom_xpos[geom]
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CAPSULE:
        return middle.copy(), turn[:, 2] * size[1], float(size[0])
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_SPHERE:
        return middle.copy(), np.zeros(3), float(size[0])
    middle, half = middle + turn @ model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
    longest = int(half.argmax())
    return middle, turn[:, longest] * half[longest], float(np.linalg.norm(np.delete(half, longest)))


def _with_pairs(shapes: ArmShapes, robot: Robot) -> ArmShapes:
    """With the pairs that can meet: those that do at some of `POSTURES` in the joints' ranges, and are no neighbours."""
    one, other = np.triu_indices(len(shapes.radius), 1)
    apart = np.abs(shapes.carried[one] - shapes.carried[other]) >= APART
    shapes = replace(shapes, pairs=np.column_stack([one, other])[apart])
    if not len(shapes.pairs):
        return shapes
    draws = np.random.default_rng(0).random((POSTURES, len(robot.joints)))
    gaps = shapes._gaps(robot.q_min + draws * (robot.q_max - robot.q_min))
    can = (gaps < 0.0).any(axis=1) & (shapes._gaps(robot.home[None])[:, 0] > BESIDE)
    return replace(shapes, pairs=shapes.pairs[can])


def shapes_in(model: mujoco.MjModel, robot: Robot) -> ArmShapes:
    """The shapes of a robot where it stands in a compiled cell, in the world's frame."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    root = data.body(robot.root)
    own = robot.spec().compile().body(robot.root)
    turn, was = root.xmat.reshape(3, 3), np.empty(9)
    mujoco.mju_quat2Mat(was, own.quat)
    turn = turn @ was.reshape(3, 3).T
    return shapes_of(robot).standing(root.xpos - turn @ own.pos, turn)
