"""Signals that cells share: the robot's share of its limits, and how far the tool is from where it must stay or keep out."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from .arm_shapes import shapes_in, shapes_of
from .robots import Robot, load_robot
from .signals import Array, Derivation, Lookup, Signal
from .terms import box_margin, norm
from .vocabulary import described

if TYPE_CHECKING:
    from .task import Task

Box = tuple[Array, Array]  # lower and upper corner, m
Derived = list[tuple[Signal, Derivation]]

AT_REST = 0.02
"""Joint speed (rad/s or m/s) that counts as none where the published envelope allows none, near a joint's end; an assumption."""


def arm(robot: Robot) -> Derived:
    """Tool speed, power of the drives, and position, velocity and torque of the worst joint as a share of its limit."""
    middle, reach = 0.5 * (robot.q_min + robot.q_max), 0.5 * (robot.q_max - robot.q_min)

    def position(s: Lookup) -> Array:
        return np.asarray(np.abs((s["arm.q"] - middle) / reach).max(axis=-1))

    def velocity(s: Lookup) -> Array:
        low, high = robot.velocity_limits(s["arm.q"])
        qd = s["arm.qd"]
        return np.asarray(
            np.maximum(qd / np.maximum(high, AT_REST), -qd / np.maximum(-low, AT_REST)).max(axis=-1)
        )

    def torque(s: Lookup) -> Array:
        return np.asarray((np.abs(s["arm.torque"]) / robot.tau_max).max(axis=-1))

    def power(s: Lookup) -> Array:
        return np.asarray(np.maximum(s["arm.torque"] * s["arm.qd"], 0.0).sum(axis=-1))

    return [
        (described("tcp.speed", "m/s"), lambda s: norm(s["tcp.vel"])),
        (described("arm.self.distance", "m"), lambda s: shapes_of(robot).self_distance(s["arm.q"])),
        (described("drive.power", "W"), power),
        (described("arm.position.share", "1"), position),
        (described("arm.velocity.share", "1"), velocity),
        (described("arm.torque.share", "1"), torque),
    ]


def part(holding: str) -> Derived:
    """Speed of the part, and how fast it falls while the signal `holding` is zero."""
    return [
        (described("part.speed", "m/s"), lambda s: norm(s["part.vel"])),
        (
            described("part.fall_speed", "m/s"),
            lambda s: np.where(s[holding] > 0.0, 0.0, np.maximum(-s["part.vel"][..., 2], 0.0)),
        ),
    ]


def zones(workspace: Box, keepout: Box | None = None) -> Derived:
    """Distance of the tool to the faces of its workspace (positive inside) and to a box it keeps out of (positive outside)."""
    inside: Derived = [(described("workspace.margin", "m"), lambda s: -box_margin(s["tcp.pos"], *workspace))]
    if keepout is None:
        return inside
    return [*inside, (described("keepout.margin", "m"), lambda s: box_margin(s["tcp.pos"], *keepout))]


def swept(task: Task, keepout: Box) -> Derived:
    """Distance of everything that the arm moves, tool and links, to a box that it keeps out of (positive outside)."""
    shapes = cache(lambda: shapes_in(task.model, load_robot(task.robot_name)))
    return [
        (described("keepout.arm.margin", "m"), lambda s: shapes().box_distance(s["arm.q"], *keepout)),
    ]


def constant(name: str, unit: str, value: float) -> tuple[float, Signal]:
    """A limit of the cell as a signal that constraints can name."""
    return value, described(name, unit, (), "constant")


def per_episode(name: str, unit: str, shape: tuple[int, ...] = (), control_hz: int = 50) -> Signal:
    """A signal that is set when an episode begins."""
    return described(name, unit, shape, "held", float(control_hz))
