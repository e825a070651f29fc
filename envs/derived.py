"""Signals that cells share: the robot's share of its limits, and how far the tool is from where it must stay or keep out."""

from __future__ import annotations

import numpy as np

from .robots import Robot
from .signals import Array, Derivation, Lookup, Signal
from .terms import box_margin, norm
from .vocabulary import described

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


def constant(name: str, unit: str, value: float) -> tuple[float, Signal]:
    """A limit of the cell as a signal that constraints can name."""
    return value, described(name, unit, (), "constant")


def per_episode(name: str, unit: str, shape: tuple[int, ...] = (), control_hz: int = 50) -> Signal:
    """A signal that is set when an episode begins."""
    return described(name, unit, shape, "held", float(control_hz))
