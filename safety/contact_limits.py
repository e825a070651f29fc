"""Contact judged both ways: as a short, free one by the two-body formula, as a lasting one by the simulated force held for longer than 0.5 s.

Neither replaces the other: a simulated peak depends on how stiff the simulator makes the contact, so the peak of a short contact is
calculated from the speeds at which the bodies met; a clamped region cannot recoil, so what lasts is judged by the force that stayed. Which
of the two comes nearer to its limit decides, and the result says so. Forces are simulated, uncalibrated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..envs.contact_model import (
    RegionLimit,
    largest_force,
    reduced_mass,
    region_limit,
    region_limits,
    transient_force,
)

Array = NDArray[np.float64]
MassKind = Literal["simple", "reflected"]
Decided = Literal["transient", "quasi-static", "not permitted", "no contact"]


@dataclass(frozen=True)
class RobotMass:
    """m_R in kg and how it was found: half of the moving mass and the load, or reflected at the point of contact in this pose."""

    value: float
    kind: MassKind = "simple"


@dataclass(frozen=True)
class Side:
    """One of the two judgements: N that came up, N that are allowed, and the first as a share of the second."""

    force: float
    limit: float

    @property
    def share(self) -> float:
        if self.limit > 0.0:
            return self.force / self.limit
        return np.inf if self.force > 0.0 else 0.0

    @property
    def passed(self) -> bool:
        return bool(self.force <= self.limit)


@dataclass(frozen=True)
class Contact:
    """What came of one region in one episode.

    Attributes:
        speed: largest m/s at which robot and region met. robot_mass, mass: m_R and mu in kg; mass_kind says which m_R.
        transient, lasting: both judgements. peak: largest simulated force in N, for information.
        decided: what decided, `margin` N what is left there (negative: exceeded).
    """

    region: str
    touched: bool
    speed: float
    robot_mass: float
    mass_kind: MassKind
    mass: float
    transient: Side
    lasting: Side
    peak: float
    decided: Decided
    source: str
    confidence: str

    @property
    def margin(self) -> float:
        if self.decided == "no contact":
            return np.inf
        side = self.lasting if self.decided == "quasi-static" else self.transient
        return side.limit - side.force

    @property
    def passed(self) -> bool:
        return self.margin >= 0.0

    def as_json(self) -> Mapping[str, Any]:
        return {**asdict(self), "margin": self.margin, "passed": self.passed}


def held_force(force: ArrayLike, dt: float, longer_than_s: float) -> Array:
    """Largest force in N that was held for longer than `longer_than_s`, of traces `(..., samples)`; 0 where none was.

    n samples last n dt, so what is held for exactly that long is still short.
    """
    trace = np.asarray(force, float)
    window = int(np.floor(longer_than_s / dt + 1e-9)) + 1
    if trace.shape[-1] < window:
        return np.zeros(trace.shape[:-1])
    views = np.lib.stride_tricks.sliding_window_view(trace, window, axis=-1)
    return np.asarray(views.min(axis=-1).max(axis=-1))


def judge_contact(
    region: str | RegionLimit,
    force: ArrayLike,
    closing: ArrayLike,
    robot_mass: RobotMass,
    dt: float,
    area: float | None = None,
) -> Contact:
    """Judge one region over one trace.

    Args:
        force: `(samples,)` simulated contact force, N.
        closing: `(samples,)` relative speed along the normal, m/s, positive where robot and region approach.
        dt: seconds between samples.
        area: m^2 of the contact, where it is known: then the limits of pressure apply too.

    Raises:
        UnknownName: no such region. ValueError: shapes differ, or a value is not finite.
    """
    limit = region_limit(region) if isinstance(region, str) else region
    pressed, speeds = np.asarray(force, float), np.asarray(closing, float)
    if pressed.shape != speeds.shape or pressed.ndim != 1:
        raise ValueError(f"expected two traces of one length, found {pressed.shape} and {speeds.shape}")
    if not (np.isfinite(pressed).all() and np.isfinite(speeds).all()):
        raise ValueError(f"{limit.id}: a force or speed is not a finite number: the simulation broke down")
    touching = pressed > 0.0
    speed = float(np.maximum(speeds[touching], 0.0).max(initial=0.0))
    by_pressure = np.inf if area is None else area * limit.pressure
    transient = Side(float(transient_force(limit, robot_mass.value, speed)), largest_force(limit, area))
    lasting = Side(
        float(held_force(pressed, dt, limit.lasting_s)),
        min(limit.force, by_pressure) if limit.permitted else 0.0,
    )
    return Contact(
        limit.id,
        bool(touching.any()),
        speed,
        robot_mass.value,
        robot_mass.kind,
        float(reduced_mass(limit, robot_mass.value)),
        transient if limit.permitted else Side(float(pressed.max(initial=0.0)), 0.0),
        lasting,
        float(pressed.max(initial=0.0)),
        _decided(limit, bool(touching.any()), transient, lasting),
        limit.source,
        limit.confidence,
    )  # fmt: skip


def judge_body(
    trace: Mapping[str, ArrayLike], robot_mass: RobotMass, dt: float, area: float | None = None
) -> tuple[Contact, ...]:
    """Judge every region of which `trace` has `body.<region>.force` and `.closing`, `(samples,)` each; the worst comes first."""
    present = [name for name in region_limits() if f"body.{name}.force" in trace]
    judged = [
        judge_contact(name, trace[f"body.{name}.force"], trace[f"body.{name}.closing"], robot_mass, dt, area)
        for name in present
    ]
    return tuple(sorted(judged, key=lambda each: -max(each.transient.share, each.lasting.share)))


def _decided(limit: RegionLimit, touched: bool, transient: Side, lasting: Side) -> Decided:
    if not touched:
        return "no contact"
    if not limit.permitted:
        return "not permitted"
    return "quasi-static" if lasting.share > transient.share else "transient"
