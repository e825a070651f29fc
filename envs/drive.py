"""The controller of a vehicle with two driven wheels: speed ahead and turning rate in [-1, 1] become wheel speeds, clamped to the data sheet here, once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
        self.dt = engine.substeps * model.opt.timestep
        self.v, self.w = np.zeros(engine.worlds), np.zeros(engine.worlds)
        self.wheels = np.zeros((engine.worlds, 2))

    def restart(self, ids: Ids, q: Array) -> None:
        self.wheels[ids] = q
        left, right = components(self.wheels)
        self.v[ids] = (0.5 * self.vehicle.wheel_radius * (left + right))[ids]
        self.w[ids] = (self.vehicle.wheel_radius * (right - left) / self.vehicle.track)[ids]

    def targets(self, action: Array, now: Lookup, out: Array) -> NDArray[np.bool_]:
        """Write actuator targets `(N, K, nu)`; returns where a limit clamped the command, `(N,)`."""
        car = self.vehicle
        wanted_v, wanted_w = self.speed * action[:, 0], self.turn * action[:, 1]
        stands = (np.abs(wanted_v) < car.still_v) & (np.abs(wanted_w) < car.still_w)
        wanted_v, wanted_w = np.where(stands, 0.0, wanted_v), np.where(stands, 0.0, wanted_w)
        left, right = components(now["wheels.qd"])
        rolls = 0.5 * car.wheel_radius * (left + right)
        start = self.v.clip(rolls - LEAD, rolls + LEAD)
        up, down = self.pick_up * self.dt, car.a_max * self.dt
        slower = np.where(start >= 0.0, down, up)  # what takes speed away, whichever way it goes
        faster = np.where(start > 0.0, up, np.where(start < 0.0, down, up))
        v = start + (wanted_v - start).clip(-slower, faster)
        most = car.alpha_max * self.dt
        w = self.w + (wanted_w - self.w).clip(-most, most)
        share = 1.0 / np.maximum((np.abs(v) + 0.5 * car.track * np.abs(w)) / car.v_max, 1.0)
        self.v, self.w = share * v, share * w
        half = 0.5 * car.track * self.w
        wheels = np.stack([self.v - half, self.v + half], axis=1) / car.wheel_radius
        out[:, :, self.actuators] = ramp_targets(self.wheels, wheels, out.shape[1])
        self.wheels = wheels
        return np.asarray((v != wanted_v) | (w != wanted_w) | (share < 1.0))
