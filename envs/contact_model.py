"""Contact of a robot with a region of a person: limits from `assets/people/contact-limits.yaml`, and the two-body formula.

A short, free contact is a robot of mass m_R and a region of mass m_H that meet through the region's spring: the kinetic energy of their
relative motion goes into the spring, F = v_rel sqrt(mu k) with mu = 1 / (1/m_H + 1/m_R). It does not hold for clamping. Source: ISO/TS
15066:2016 Annex A, taken over by ISO 10218-2:2025 Annex M, read in secondary sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from .errors import BadInput, UnknownName
from .files import asset, load_yaml
from .robot_files import Confidence
from .robots import Robot
from .signals import Array

if TYPE_CHECKING:
    import mujoco

CM2_PER_M2 = 1e4


class RegionRow(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    group: str
    force: float
    pressure: float
    point: str
    factor: float
    stiffness: float
    mass: float
    source: str
    body: str
    confidence: Confidence
    note: str = ""


class LimitsFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    transient_limit_s: float
    sources: dict[str, str]
    regions: tuple[RegionRow, ...]


@dataclass(frozen=True)
class RegionLimit:
    """What one region endures, in SI.

    Attributes:
        force: N, held for longer than `lasting_s`; `pressure` Pa likewise, the lowest of the region's points.
        factor: how much more of both is permitted in a short, free contact; 0 where no contact is.
        stiffness: N/m of the region's spring. mass: kg that moves with it.
    """

    id: str
    group: str
    force: float
    pressure: float
    factor: float
    stiffness: float
    mass: float
    lasting_s: float
    source: str
    confidence: Confidence

    @property
    def permitted(self) -> bool:
        return self.factor > 0.0

    @property
    def transient_force(self) -> float:
        """N that a short contact may reach."""
        return self.factor * self.force

    @property
    def transient_pressure(self) -> float:
        """Pa that a short contact may reach."""
        return self.factor * self.pressure


@cache
def region_limits() -> Mapping[str, RegionLimit]:
    """The limits by region. Raises BadInput when the file does not fit together."""
    path = asset("people", "contact-limits.yaml")
    file = load_yaml(path, LimitsFile)
    for row in file.regions:
        for key in (row.source, row.body):
            if key not in file.sources:
                raise BadInput(
                    f"{path}: source '{key}' is not listed under sources; known: {', '.join(file.sources)}"
                )
    return {
        row.id: RegionLimit(
            row.id, row.group, row.force, row.pressure * CM2_PER_M2, row.factor, row.stiffness * 1e3, row.mass,
            file.transient_limit_s, file.sources[row.source], row.confidence,
        )
        for row in file.regions
    }  # fmt: skip


def region_limit(region: str) -> RegionLimit:
    """One region. Raises UnknownName with the closest that there are."""
    if region not in region_limits():
        raise UnknownName("region", region, region_limits())
    return region_limits()[region]


def reduced_mass(region: RegionLimit, robot_mass: float | Array) -> Array:
    """mu in kg of the region and a robot of `robot_mass` kg."""
    return np.asarray(1.0 / (1.0 / region.mass + 1.0 / np.asarray(robot_mass, float)))


def transient_force(region: RegionLimit, robot_mass: float | Array, speed: float | Array) -> Array:
    """Peak force in N of a free contact at `speed` m/s; parting bodies press with nothing."""
    return np.asarray(np.maximum(speed, 0.0) * np.sqrt(reduced_mass(region, robot_mass) * region.stiffness))


def largest_force(region: RegionLimit, area: float | None = None) -> float:
    """N that a short contact may reach: the force limit, or what the pressure limit allows on `area` m^2 where that is less."""
    by_pressure = np.inf if area is None else area * region.transient_pressure
    return float(min(region.transient_force, by_pressure))


def speed_limit(region: RegionLimit, robot_mass: float, area: float | None = None) -> float:
    """Relative speed in m/s at which a free contact just reaches its limit of force, or of pressure on `area` m^2."""
    return float(largest_force(region, area) / np.sqrt(reduced_mass(region, robot_mass) * region.stiffness))


def simple_mass(moving: float, load: float = 0.0) -> float:
    """m_R in kg: half of the mass of what moves of the robot, and all of the load: tool and workpiece."""
    return moving / 2.0 + load


def robot_mass(robot: Robot, workpiece: float = 0.0) -> float:
    """m_R in kg of a robot that carries at most `workpiece` kg in its tool."""
    return simple_mass(moving_mass(robot), tool_mass(robot) + workpiece)


def moving_mass(robot: Robot) -> float:
    """Mass in kg of the robot's links but for its base and its tool."""
    still = tool_bodies(robot) | {robot.root}
    return float(sum(link.mass for name, link in robot.links.items() if name not in still))


def tool_mass(robot: Robot) -> float:
    """Mass in kg of the robot's tool."""
    tool = tool_bodies(robot)
    return float(sum(link.mass for name, link in robot.links.items() if name in tool))


def tool_bodies(robot: Robot) -> frozenset[str]:
    """The body that carries the tool and all that hang from it: a hand and its fingers, a holder and its cup."""
    carrier = robot.spec().body(robot.tool_body)
    return frozenset((carrier.name, *(body.name for body in carrier.find_all("body"))))


def reflected_mass(
    model: mujoco.MjModel, data: mujoco.MjData, body: int, point: Array, direction: Array
) -> float:
    """Mass in kg that a push along the unit vector `direction` at `point` of a body meets: 1 / (u J M^-1 J^T u).

    `data` must be forward. Infinite where the body cannot move that way.
    """
    import mujoco

    jacobian = np.zeros((3, model.nv))
    mujoco.mj_jac(model, data, jacobian, None, np.asarray(point, float), body)
    along, eased = np.asarray(direction, float) @ jacobian, np.zeros((1, model.nv))
    mujoco.mj_solveM(model, data, eased, along[None])
    mobility = float(along @ eased[0])
    return 1.0 / mobility if mobility > 1e-12 else np.inf
