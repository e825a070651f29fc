"""Separation of robot and person: the distance needed now, and what is left of it.

S_p = S_h + S_r + S_s + Z (speed and separation monitoring, ISO 10218-2:2025 / ISO/TS 15066, read in secondary sources), with the
speeds of this instant along the line between tool and hand: the person's way while the robot reacts and stops, the robot's way
while it reacts, its way while it brakes evenly, and the uncertainty of both positions. The person's speed is measured, so it
stands in place of the 1.6 m/s that is assumed where nobody measures; the intrusion distance C is zero for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .signals import Array, Derivation, Lookup, Signal, once
from .terms import dot, norm

REACTION_S = 0.04  # two control ticks
BRAKING = 4.0  # m/s2 along the line; FR3 joints brake with 10 rad/s2 at 0.4 m or more from their axes
UNCERTAINTY_M = 0.03  # Z_d + Z_r
SENSOR_INTERVAL_S = 0.01  # distances are measured at 100 Hz


@once
def _direction(s: Lookup) -> Array:
    off = s["worker.hand.pos"] - s["tcp.pos"]
    return np.asarray(off / np.maximum(norm(off), 1e-6)[..., None])


def closing(s: Lookup) -> Array:
    """Speed of the tool towards the worker's hand, m/s, not below zero."""
    return np.maximum(dot(s["tcp.vel"], _direction(s)), 0.0)


def required(s: Lookup) -> Array:
    """S_p in m at the speeds of this instant."""
    person = np.maximum(-dot(s["worker.hand.vel"], _direction(s)), 0.0)
    robot = s["separation.closing"]
    stopping = robot / BRAKING
    return np.asarray(
        person * (REACTION_S + stopping) + robot * REACTION_S + robot * stopping / 2.0 + UNCERTAINTY_M
    )


def distance(s: Lookup) -> Array:
    """Smallest distance in m of tool, wrist and part to the worker, less what both may travel between two measurements."""
    nearest = s["worker.distances"].min(axis=-1)
    return np.asarray(nearest - SENSOR_INTERVAL_S * (s["tcp.speed"] + norm(s["worker.hand.vel"])))


def contact_force(s: Lookup) -> Array:
    """Largest force in N on any region of the worker."""
    hand, arm, torso = (s[f"worker.{region}.force"] for region in ("hand", "arm", "torso"))
    return np.asarray(np.sqrt(np.maximum(np.maximum(dot(hand, hand), dot(arm, arm)), dot(torso, torso))))


def derived(describe: Callable[[str, str], Signal]) -> list[tuple[Signal, Derivation]]:
    """The derived signals of a cell with a worker."""
    return [
        (describe("separation.closing", "m/s"), closing),
        (describe("worker.distance", "m"), distance),
        (describe("separation.required", "m"), required),
        (describe("separation.margin", "m"), lambda s: s["worker.distance"] - s["separation.required"]),
        (describe("worker.contact.force", "N"), contact_force),
    ]
