"""A second worker in an arm's cell: a whole person of ten regions beside the hand that the task is about.

What an observation says of the worker is then said of whoever is nearer; the worker's own signals remain the worker's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .contact_model import robot_mass
from .parameters import Cell
from .people_cell import Person
from .people_motion import Place
from .people_signals import nearest
from .robots import Robot
from .signals import Array, Lookup, once
from .terms import dot, norm

BODIES = ("adult-5", "adult-50", "adult-95")  # by the number in a cell's file, from 1
MEASURED_S = 0.01  # seconds between two measurements of distance


def colleague(cell: Cell, place: Place, robot: Robot, links: tuple[str, ...], load: float) -> Person | None:
    """The second worker that a cell's parameter `colleague` asks for; `load` is what the tool carries at most, in kg."""
    number = round(cell["colleague"][1])
    if not number:
        return None
    return Person(BODIES[number - 1], place, links, robot_mass(robot, load), interval_s=MEASURED_S)


@once
def worker_distance(s: Lookup) -> Array:
    """Distance in m of the robot to a person, to whoever is nearer; not below zero."""
    distance = s["worker.distance"]
    return np.maximum(np.minimum(distance, s["body.distance"]) if _has_colleague(s) else distance, 0.0)


@once
def hand_from_tcp(s: Lookup) -> Array:
    """`(..., 3)` in m: the worker's hand seen from the tool, or what is nearest of a colleague who is nearer."""
    hand = s["worker.hand.pos"] - s["tcp.pos"]
    if not _has_colleague(s):
        return hand
    distance, _, normal = nearest(s)
    return np.where(_is_nearer(s)[..., None], distance[..., None] * normal, hand)


@once
def hand_approach(s: Lookup) -> Array:
    """Speed in m/s towards the tool of what `hand_from_tcp` points at, negative where it leaves."""
    away = hand_from_tcp(s)
    hand = np.asarray(-dot(s["worker.hand.vel"], away) / np.maximum(norm(away), 1e-6))
    if not _has_colleague(s):
        return hand
    _, closing, normal = nearest(s)
    return np.where(_is_nearer(s), closing - dot(s["tcp.vel"], normal), hand)


def _has_colleague(s: Lookup) -> bool:
    return "body.distance" in s.table


def _is_nearer(s: Lookup) -> NDArray[np.bool_]:
    return np.asarray(s["body.distance"] < s["worker.distance"])
