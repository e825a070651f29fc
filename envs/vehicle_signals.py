"""Signals that cells with a vehicle share: how it moves, the share of its drives' torque, the field before it, the load on its deck, the lane."""

from __future__ import annotations

import numpy as np

from .derived import Derived
from .scanner import Scanner
from .signals import Array, Lookup, once
from .terms import norm, turned_xy, yaw_of
from .vehicles import Vehicle
from .vocabulary import described

BESIDE = 0.08  # m that the field is wider than the vehicle on each side


@once
def heading(s: Lookup) -> Array:
    """`(...)`: the vehicle's yaw in rad."""
    return yaw_of(s["base.quat"])


@once
def own_velocity(s: Lookup) -> Array:
    """`(..., 2)`: the vehicle's velocity in its own frame, ahead and to its left, m/s."""
    return turned_xy(s["base.vel"], -heading(s))


def motion(vehicle: Vehicle) -> Derived:
    """Speed, speed ahead, torque of the worse drive as a share of its rated torque, power of the drives."""

    def torque(s: Lookup) -> Array:
        return np.asarray((np.abs(s["wheels.torque"]) / vehicle.tau_rated).max(axis=-1))

    def power(s: Lookup) -> Array:
        return np.asarray(np.maximum(s["wheels.torque"] * s["wheels.qd"], 0.0).sum(axis=-1))

    return [
        (described("base.speed", "m/s"), lambda s: norm(s["base.vel"])),
        (described("base.forward", "m/s"), lambda s: np.ascontiguousarray(own_velocity(s)[..., 0])),
        (described("wheels.torque.share", "1"), torque),
        (described("drive.power", "W"), power),
    ]


def field(vehicle: Vehicle, scanner: Scanner) -> Derived:
    """How far the field before the vehicle is free, less the way that it may have gone since the scan."""
    half = 0.5 * vehicle.width + BESIDE

    def free(s: Lookup) -> Array:
        return scanner.free(s, half) - vehicle.scanner_interval_s * s["base.speed"]

    return [(described("field.free", "m"), free)]


def load() -> Derived:
    """How far the load has moved on the deck since the episode began, and how far it leans."""

    def shift(s: Lookup) -> Array:
        return norm(s["tote.place"] - s["tote.place.start"])

    return [
        (described("tote.shift", "m"), shift),
        (
            described("tote.lean", "rad"),
            lambda s: np.arccos(np.ascontiguousarray(s["tote.up"][..., 2].clip(-1.0, 1.0))),
        ),
    ]


def lane(vehicle: Vehicle, half: float) -> Derived:
    """How far the nearest corner of the vehicle is inside the lane's markings at |y| = `half` m, negative outside."""
    xs, side = np.array([vehicle.front, -vehicle.rear]), 0.5 * vehicle.width

    def margin(s: Lookup) -> Array:
        yaw = heading(s)
        middles = np.abs(s["base.pos"][..., 1:2] + np.sin(yaw)[..., None] * xs)
        return np.asarray(half - middles.max(axis=-1) - side * np.abs(np.cos(yaw)))

    return [(described("lane.margin", "m"), margin)]
