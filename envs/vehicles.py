"""Vehicles: mobile robots of two driven wheels, from one YAML file each, and any robot by its name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from .errors import BadInput, UnknownName
from .files import asset, load_yaml
from .robot_files import VehicleFile
from .robots import Array, Machine, load_robot, per_joint, robot_file, rows_of, vehicle_names


@dataclass(frozen=True, eq=False)
class Vehicle(Machine):
    """A mobile robot of two driven wheels as its data sheet describes it: lengths in m from the middle of the wheels' axis.

    `tau_rated` (N*m) is what a drive gives for long, `tau_max` for a moment. `v_max` (m/s), `a_max` (m/s^2), `w_max` (rad/s), `alpha_max` (rad/s^2) bound its motion; told less than `still_v` and `still_w` it stands. Its scanner sits `scanner_x` ahead of that axis and
    reports as the signal `scanner`, camera by camera.
    """

    tau_rated: Array
    front: float
    rear: float
    width: float
    height: float
    wheel_radius: float
    track: float
    v_max: float
    a_max: float
    w_max: float
    alpha_max: float
    still_v: float
    still_w: float
    scanner: str
    cameras: tuple[str, ...]
    scanner_x: float
    scanner_interval_s: float


@cache
def load_vehicle(name: str) -> Vehicle:
    """Read one vehicle. Raises UnknownName, or BadInput when its file does not fit together."""
    if name not in vehicle_names():
        raise UnknownName("vehicle", name, vehicle_names())
    path = robot_file(name)
    file = load_yaml(path, VehicleFile)
    limits, links = rows_of(path, file)

    def one(limit_id: str) -> float:
        if limit_id not in limits:
            raise BadInput(f"{path}: limit {limit_id} is missing; known: {', '.join(limits)}")
        return float(np.asarray(limits[limit_id].value))

    return Vehicle(
        name=file.name,
        title=file.title,
        root=file.root,
        joints=file.joints,
        actuators=file.actuators,
        qd_max=per_joint(file, limits, "joint.velocity.max"),
        tau_max=per_joint(file, limits, "joint.torque.max"),
        tau_rated=per_joint(file, limits, "joint.torque.rated"),
        limits=limits,
        links=links,
        model_file=str(asset("robots", name, file.model)),
        front=one("front"),
        rear=one("rear"),
        width=one("width"),
        height=one("height"),
        wheel_radius=one("wheel.radius"),
        track=one("wheel.track"),
        v_max=one("speed.max"),
        a_max=one("acceleration.max"),
        w_max=one("turn.max"),
        alpha_max=one("turn.acceleration.max"),
        still_v=one("standstill.speed"),
        still_w=one("standstill.turn"),
        scanner=file.scanner.signal,
        cameras=file.scanner.cameras,
        scanner_x=one("scanner.x"),
        scanner_interval_s=one("scanner.interval"),
    )


def load_machine(name: str) -> Machine:
    """Read one robot, whatever it is. Raises UnknownName or BadInput."""
    return load_vehicle(name) if name in vehicle_names() else load_robot(name)
