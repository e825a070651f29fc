"""The expert of aisle-amr: along the station's axis, as fast as the place, the free way and whoever is near allow, and gently up to the station."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..signals import Array
from ..terms import ramp

CRUISE, AT_CROSSING, CREEP = 1.05, 0.68, 0.25  # m/s, below the limits of the places
SLOW_FROM, SLOW_TO, CREEP_FROM = 1.10, 3.28, 1.06  # m along the aisle; before the station
GENTLE, FIRM = 0.6, 0.9  # m/s^2
STAND_OFF, GIVE_ROOM = 0.60, 0.75  # m to what is in the way, and to where somebody may step into it


def place_limit(along: Array, ahead: Array) -> Array:
    """`(...)` m/s at `along` m of the aisle and `ahead` m before the station: slowing evenly for what comes."""
    before = np.maximum(SLOW_FROM - along, 0.0)
    crossing = np.where(along < SLOW_TO, np.sqrt(AT_CROSSING**2 + 2.0 * GENTLE * before), CRUISE)
    left = np.maximum(ahead - CREEP_FROM, 0.0)
    return np.asarray(np.minimum(np.minimum(CRUISE, crossing), np.sqrt(CREEP**2 + 2.0 * GENTLE * left)))


def people_limit(path_free: Array, ahead: Array, aside: Array) -> Array:
    """`(...)` m/s from which the vehicle stops before what is in its way, and passes slowly who is beside it."""
    stop = np.sqrt(2.0 * FIRM * np.maximum(path_free - STAND_OFF, 0.0))
    yielding = np.sqrt(2.0 * FIRM * np.maximum(ahead - GIVE_ROOM, 0.0))
    passing = 0.10 + 0.5 * ramp(aside, 0.30, 1.6)
    return np.asarray(np.minimum(stop, np.maximum(yielding, passing)))


def act(o: Mapping[str, Array]) -> Array:
    """`(n, 2)`: speed ahead in m/s and turning rate in rad/s from the observation by term."""
    speed = np.minimum(o["limit_here"], o["limit_people"])
    speed = np.minimum(speed, np.maximum(1.3 * o["dock_ahead"] + 0.004, 0.0))
    return np.column_stack([speed, _steer(o, speed)])


def _steer(o: Mapping[str, Array], speed: Array) -> Array:
    """Towards the station's axis at an angle that falls with the distance to it; nothing while standing."""
    wanted = -(1.1 * o["dock_aside"]).clip(-0.35, 0.35)
    return np.asarray(2.2 * (wanted - o["dock_turn"]) * ramp(speed, 0.0, 0.12))
