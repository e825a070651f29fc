"""What is seen of a worker in a cell, region by region: distance, normal, closing speed, contact force, two-body force.

Derived from the sensors of every pair of a part of the body and a link of the robot. The person's velocity is the script's own, for MuJoCo
gives mocap bodies none; along the normal the skin of a capsule moves as its axis does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import contact_model
from .people import PARTS, REGIONS, Body, region_of
from .people_motion import ends
from .signals import Array, Derivation, Lookup, once
from .terms import dot, norm

SCRIPT, CLOCK, RATE, CALM = "body.script", "body.clock", "body.rate", "body.calm"
TRAVEL = ("pos", "vel", "turn")
STEP_S = 0.001  # velocities are central differences of the script over twice this


@once
def forces(s: Lookup) -> Array:
    """`(..., parts)` N on each part."""
    return norm(s["body.contacts"].reshape(*s.lead, len(PARTS), 3))


READ: Sequence[tuple[str, str, tuple[int, ...]]] = (
    ("distance", "m", ()),
    ("normal", "1", (3,)),
    ("closing", "m/s", ()),
    ("force", "N", ()),
    ("transient", "N", ()),
)


@once
def nearest(s: Lookup) -> tuple[Array, Array, Array]:
    """Of the region that is nearest to the robot: distance in m, closing speed in m/s, both `(...)`, and normal `(..., 3)`."""
    distance, closing, normal = (
        np.stack([s[f"body.{region}.{name}"] for region in REGIONS], axis=len(s.lead))
        for name in ("distance", "closing", "normal")
    )
    least = distance.argmin(axis=-1)[..., None]
    nearest_normal = np.take_along_axis(normal, least[..., None], axis=-2)[..., 0, :]
    return (
        np.take_along_axis(distance, least, axis=-1)[..., 0],
        np.take_along_axis(closing, least, axis=-1)[..., 0],
        np.ascontiguousarray(nearest_normal),
    )


class Pairs:
    """What is derived from the pairs of parts and links; each array once a block.

    Args:
        body, floor: whose script it is, and the height of the floor in m.
        links: how many links of the robot are watched.
        robot_mass: m_R of the two-body formula in kg.
        interval_s: seconds between two measurements of distance, 0 for every substep.
    """

    def __init__(
        self, body: Body, floor: float, links: int, robot_mass: float, interval_s: float, physics_hz: int
    ) -> None:
        self.body, self.floor, self.links, self.robot_mass = body, floor, links, robot_mass
        self.interval_s, self.physics_hz = interval_s, physics_hz
        self.rows = {r: [i for i, part in enumerate(PARTS) if region_of(part) == r] for r in REGIONS}
        self.limits = contact_model.region_limits()
        self.travel = once(self._travel)
        self.nearest = {region: once(self._nearest_of(rows)) for region, rows in self.rows.items()}
        self.nearest_of_all = once(self._nearest_of(list(range(len(PARTS)))))

    def reader(self, region: str, name: str) -> Derivation:
        """The derivation of `body.<region>.<name>`."""
        nearest, limit = self.nearest[region], self.limits[region]
        if name == "force":
            return lambda s: forces(s)[..., self.rows[region]].max(axis=-1)
        if name == "transient":
            return lambda s: contact_model.transient_force(
                limit, self.robot_mass, s[f"body.{region}.closing"]
            )
        columns: dict[str, int | slice] = {"distance": 0, "closing": 1, "normal": slice(3, 6)}
        return lambda s: np.ascontiguousarray(nearest(s)[..., columns[name]])

    def distance(self, s: Lookup) -> Array:
        return np.ascontiguousarray(self.nearest_of_all(s)[..., 0])

    def approach(self, s: Lookup) -> Array:
        return np.ascontiguousarray(np.maximum(self.nearest_of_all(s)[..., 2], 0.0))

    def _nearest_of(self, rows: list[int]) -> Derivation:
        def nearest(s: Lookup) -> Array:
            """`(..., 6)`: distance, closing speed, robot's share of it and normal of the nearest of these pairs."""
            pairs = self.travel(s)[..., rows, :, :]
            pairs = pairs.reshape(*s.lead, -1, pairs.shape[-1])
            least = pairs[..., 0].argmin(axis=-1)[..., None, None]
            return np.ascontiguousarray(np.take_along_axis(pairs, least, axis=-2)[..., 0, :])

        return nearest

    def _travel(self, s: Lookup) -> Array:
        """`(..., parts, links, 6)` of every pair; the normal points from the robot to the person."""
        lead = (*s.lead, len(PARTS), self.links)
        distance = s["body.distances"].reshape(lead)
        normal, points = s["body.normals"].reshape(*lead, 3), s["body.points"].reshape(*lead, 6)
        normal = np.where(distance[..., None] < 0.0, -normal, normal)
        place, speed, turn = (s[f"links.{name}"].reshape(*s.lead, 1, self.links, 3) for name in TRAVEL)
        arm = points[..., :3] - place
        robot = speed + np.stack(
            [turn[..., i] * arm[..., j] - turn[..., j] * arm[..., i] for i, j in ((1, 2), (2, 0), (0, 1))],
            axis=-1,
        )
        meeting = robot - self._person_velocity(s, points[..., 3:])
        measured = distance - self.interval_s * norm(meeting)  # what may have been closed since
        towards, closing = dot(normal, robot), dot(normal, meeting)
        return np.concatenate([np.stack([measured, closing, towards], axis=-1), normal], axis=-1)

    def _person_velocity(self, s: Lookup, points: Array) -> Array:
        """`(..., parts, links, 3)` m/s of the axis below each point: along the normal the skin moves as the axis does."""
        scripts, rate = s[SCRIPT], s[RATE]
        times = np.ascontiguousarray(s[CLOCK] - rate * self._back(s))
        if scripts.ndim > 2:
            scripts = scripts[:, 0]

        def at(shift: float) -> tuple[Array, Array]:
            return ends(self.body, self.floor, scripts, times + shift)

        (first, last), before, after = at(0.0), at(-STEP_S), at(STEP_S)
        pace = (rate / (2.0 * STEP_S))[..., None, None]
        velocity = [(b - a) * pace for a, b in zip(before, after, strict=True)]
        axis = (last - first)[..., None, :]
        share = (dot(points - first[..., None, :], axis) / np.maximum(dot(axis, axis), 1e-12)).clip(0.0, 1.0)[
            ..., None
        ]
        return np.asarray(velocity[0][..., None, :] * (1.0 - share) + velocity[1][..., None, :] * share)

    def _back(self, s: Lookup) -> Array:
        """Seconds before the end of the tick that each sample describes: the state before the substep that recorded it."""
        tick = 1.0 / self.physics_hz
        return np.asarray(np.arange(s.lead[1], 0, -1) * tick if len(s.lead) > 1 else tick)
