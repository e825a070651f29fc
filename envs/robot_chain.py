"""The chain of an arm as modified (Craig) Denavit-Hartenberg rows, from where its joints' axes lie.

Each joint's axis is a line. A row goes along the common normal of two lines; the first row turns the base's frame towards the first
normal, the last reaches the tool. Six numbers place a frame; a row has four, and the two before it lend theta and d.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .robot_files import ChainRow

Array = NDArray[np.float64]
Kind = Literal["revolute", "prismatic"]
PARALLEL = 1e-7  # sine of the angle below which two axes count as parallel


def chain_of(anchors: Array, axes: Array, kinds: Sequence[Kind], tool: Array) -> list[ChainRow]:
    """Rows that lead from the base's frame to the tool's.

    Args:
        anchors: `(J, 3)` m, a point on each joint's axis with all joints at zero, in the base's frame.
        axes: `(J, 3)` unit vectors along which each joint turns or slides in the positive sense.
        kinds: what each joint does.
        tool: `(4, 4)` pose of the tool with all joints at zero.
    """
    points = [np.zeros(3), *anchors, tool[:3, 3]]
    lines = [np.array([0.0, 0.0, 1.0]), *axes, tool[:3, 2]]
    frame, rows = np.eye(4), []
    a = alpha = 0.0
    moves: list[Literal["revolute", "prismatic", "fixed"]] = ["fixed", *kinds]
    for index, move in enumerate(moves):
        z, onward = lines[index], lines[index + 1]
        x, foot, to = _normal(points[index], z, points[index + 1], onward, frame)
        reached = _moved(frame, a, alpha)  # its z is this line's
        d = float((foot - reached[:3, 3]) @ z)
        theta = float(np.arctan2(np.cross(reached[:3, 0], x) @ z, reached[:3, 0] @ x))
        rows.append(ChainRow(a=a, alpha=alpha, d=d, theta=theta, joint=move))
        frame = reached @ _screw(theta, d)
        a = float((to - foot) @ x)
        alpha = float(np.arctan2(np.cross(z, onward) @ x, z @ onward))
    reached = _moved(frame, a, alpha)
    d = float((tool[:3, 3] - reached[:3, 3]) @ tool[:3, 2])
    theta = float(
        np.arctan2(np.cross(reached[:3, 0], tool[:3, 0]) @ tool[:3, 2], reached[:3, 0] @ tool[:3, 0])
    )
    return [*rows, ChainRow(a=a, alpha=alpha, d=d, theta=theta, joint="fixed")]


def _normal(p: Array, z: Array, q: Array, w: Array, frame: Array) -> tuple[Array, Array, Array]:
    """Direction of the common normal of the lines `p + s z` and `q + t w`, its foot on the first, its end on the second."""
    across = np.cross(z, w)
    sine = float(np.linalg.norm(across))
    between = q - p
    if sine > PARALLEL:
        x = across / sine
        s = float(np.linalg.det(np.array([between, w, across]))) / sine**2
        foot = p + s * z
        to = foot + (between @ x) * x
        return x, foot, to
    foot = frame[:3, 3] + (
        (p - frame[:3, 3]) - ((p - frame[:3, 3]) @ z) * z
    )  # beside the frame: d stays zero
    gap = (q - foot) - ((q - foot) @ z) * z
    length = float(np.linalg.norm(gap))
    x = gap / length if length > PARALLEL else frame[:3, 0] - (frame[:3, 0] @ z) * z
    size = float(np.linalg.norm(x))
    x = x / size if size > PARALLEL else np.cross(z, np.eye(3)[int(np.abs(z).argmin())])
    return x / np.linalg.norm(x), foot, foot + gap


def _moved(frame: Array, a: float, alpha: float) -> Array:
    """Along and about the frame's x."""
    c, s = np.cos(alpha), np.sin(alpha)
    return np.asarray(frame @ np.array([[1, 0, 0, a], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1.0]]))


def _screw(theta: float, d: float) -> Array:
    """About and along z."""
    c, s = np.cos(theta), np.sin(theta)
    return np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, d], [0, 0, 0, 1.0]])
