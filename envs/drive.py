"""The controller of a vehicle with two driven wheels: speed ahead and turning rate in [-1, 1] become wheel speeds, clamped to the data sheet here, once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .capture import Captured
from .control import ramp_targets
from .engine import Engine, Ids
from .signals import Array, Lookup
from .terms import components
from .vehicles import Vehicle

LEAD = 0.30  # m/s that the command may be ahead of what the wheels do, so that a blocked vehicle does not wind up


class DifferentialDrive:
    """Speed ahead (times `speed` m/s) and turning rate (times `turn` rad/s, left positive).

    The speed goes up by at most `pick_up` m/s^2 and down by the data sheet's `a_max`, the turning rate changes by at most `alpha_max`; a wheel never
    gets more than its top speed, both give way alike, so that the curve stays the same. What is told next to nothing stands, so that who stays at
    a station does not creep away from it.
    """

    def __init__(self, engine: Engine, vehicle: Vehicle, speed: float, turn: float, pick_up: float) -> None:
        model = engine.model
        self.vehicle, self.speed, self.turn, self.pick_up = vehicle, speed, turn, pick_up
        self.actuators = [model.actuator(name).id for name in vehicle.actuators]
        self.substeps, self.dt = engine.substeps, engine.substeps * model.opt.timestep
        self.v, self.w = np.zeros(engine.worlds), np.zeros(engine.worlds)
        self.wheels = np.zeros((engine.worlds, 2))
        self._plan = Captured(self.plan) if engine.captured else self.plan

    def restart(self, ids: Ids, q: Array) -> None:
        self.wheels[ids] = q
        left, right = components(self.wheels)
        self.v[ids] = (0.5 * self.vehicle.wheel_radius * (left + right))[ids]
        self.w[ids] = (self.vehicle.wheel_radius * (right - left) / self.vehicle.track)[ids]

    def targets(self, action: Array, now: Lookup, out: Array) -> NDArray[np.bool_]:
        """Write actuator targets `(N, K, nu)`; returns where a limit clamped the command, `(N,)`."""
        ways, self.wheels, self.v, self.w, clamped = self._plan(
            action, now["wheels.qd"], self.wheels, self.v, self.w
        )
        out[:, :, self.actuators] = ways
        return np.asarray(clamped, bool)

    def plan(
        self, action: Array, turning: Array, before: Array, fast: Array, round_: Array
    ) -> tuple[NDArray[Any], ...]:
        """Targets of the wheels `(N, K, 2)`, then the wheels' speeds, the vehicle's speed and its turning rate as commanded next, and where a
        limit clamped, of the action, the wheels as measured, and what was commanded before.
        """
        car = self.vehicle
        wanted_v, wanted_w = self.speed * action[:, 0], self.turn * action[:, 1]
        stands = (np.abs(wanted_v) < car.still_v) & (np.abs(wanted_w) < car.still_w)
        wanted_v, wanted_w = np.where(stands, 0.0, wanted_v), np.where(stands, 0.0, wanted_w)
        left, right = components(turning)
        rolls = 0.5 * car.wheel_radius * (left + right)
        start = fast.clip(rolls - LEAD, rolls + LEAD)
        up, down = self.pick_up * self.dt, car.a_max * self.dt
        slower = np.where(start >= 0.0, down, up)  # what takes speed away, whichever way it goes
        faster = np.where(start > 0.0, up, np.where(start < 0.0, down, up))
        v = start + (wanted_v - start).clip(-slower, faster)
        most = car.alpha_max * self.dt
        w = round_ + (wanted_w - round_).clip(-most, most)
        share = 1.0 / np.maximum((np.abs(v) + 0.5 * car.track * np.abs(w)) / car.v_max, 1.0)
        given_v, given_w = share * v, share * w
        half = 0.5 * car.track * given_w
        wheels = np.stack([given_v - half, given_v + half], axis=1) / car.wheel_radius
        clamped = (v != wanted_v) | (w != wanted_w) | (share < 1.0)
        return ramp_targets(before, wheels, self.substeps), wheels, given_v, given_w, clamped
