"""Vehicles: the compiled model against its YAML, the drive against plain odometry, the scanner against single rays, a worker's manners."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.people import PARTS
from genba.envs.robots import vehicle_names
from genba.envs.scanner import RANGE, Scanner, on_floor, ray_angles
from genba.envs.task import Task, get_task
from genba.envs.tasks import aisle_amr
from genba.envs.tasks.aisle_amr import SCANNER, VEHICLE, AisleAmr
from genba.envs.vehicles import Vehicle, load_vehicle
from genba.envs.worlds import Worlds


@pytest.fixture(scope="module", params=vehicle_names())
def vehicle(request: pytest.FixtureRequest) -> Vehicle:
    return load_vehicle(request.param)


@pytest.fixture(scope="module")
def task() -> AisleAmr:
    task = get_task("aisle-amr")
    assert isinstance(task, AisleAmr)
    return task


def test_wheels_hull_and_scanner_are_where_the_yaml_says(vehicle: Vehicle) -> None:
    model = vehicle.spec().compile()
    for name, sign in zip(vehicle.joints, (1.0, -1.0), strict=True):
        assert model.body(name).pos == pytest.approx([0.0, 0.5 * sign * vehicle.track, vehicle.wheel_radius])
        assert model.joint(name).axis == pytest.approx([0.0, 1.0, 0.0])
        assert model.geom(f"{name}_roll").size[[0, 2]] == pytest.approx(vehicle.wheel_radius)
    for name, torque in zip(vehicle.actuators, vehicle.tau_max, strict=True):
        assert model.actuator(name).forcerange == pytest.approx((-torque, torque))
    hull = model.geom("mp500_hull")
    clearance = float(np.asarray(vehicle.limit("clearance").value))
    assert hull.pos[0] + hull.size[0] == pytest.approx(vehicle.front)
    assert hull.size[0] - hull.pos[0] == pytest.approx(vehicle.rear)
    assert hull.size[1] == pytest.approx(0.5 * vehicle.width)
    assert (hull.pos[2] + hull.size[2], hull.pos[2] - hull.size[2]) == pytest.approx(
        (vehicle.height, clearance)
    )
    height = float(np.asarray(vehicle.limit("scanner.z").value))
    for name in vehicle.cameras:
        assert model.camera(name).pos == pytest.approx([vehicle.scanner_x, 0.0, height])
    intervals = [
        model.sensor_interval[i, 0] for i in range(model.nsensor) if "scanner" in model.sensor(i).name
    ]
    assert intervals == pytest.approx([vehicle.scanner_interval_s] * len(vehicle.cameras))


def test_top_speeds_follow_from_each_other(vehicle: Vehicle) -> None:
    assert vehicle.qd_max * vehicle.wheel_radius == pytest.approx([vehicle.v_max] * 2)
    assert (vehicle.tau_rated < vehicle.tau_max).all()


def test_every_ray_reads_what_a_single_ray_finds_and_none_looks_back(task: AisleAmr) -> None:
    model, data = task.model, mujoco.MjData(task.model)
    mujoco.mj_forward(model, data)
    angles, own = ray_angles(VEHICLE, SCANNER.rays), model.body("mp500").id
    half = 0.5 * float(np.asarray(VEHICLE.limit("scanner.angle").value))
    assert np.abs(angles).max() < half < np.abs(angles).max() + np.deg2rad(1.0)
    assert (np.diff(angles) < 0.0).all() and np.abs(angles + angles[::-1]).max() < 1e-12
    read = np.concatenate([data.sensor(f"scanner.{i + 1}").data for i in range(len(VEHICLE.cameras))])
    start = data.xpos[own] + np.array([VEHICLE.scanner_x, 0.0, 0.11])
    hit = np.zeros(1, np.int32)
    for angle, distance in zip(angles, read, strict=True):
        along = np.array([np.cos(angle), np.sin(angle), 0.0])
        assert mujoco.mj_ray(model, data, start, along, None, 1, own, hit) == pytest.approx(distance)


def test_points_lie_on_what_the_rays_met(task: AisleAmr) -> None:
    """On the floor of the cell no return of the racks lies in the aisle, however the vehicle stands."""
    n = 16
    worlds = Worlds(task, n, 1)
    worlds.reset(np.arange(n), np.arange(n))
    now = worlds.signals.now
    x, y = on_floor(now, *SCANNER.points(now)[:2])
    met = SCANNER.points(now)[2]
    assert met.mean() > 0.8
    aisle = met & (np.abs(y) < 1.299) & (x > -1.99) & (x < 4.8)
    assert not aisle.any()
    assert (SCANNER.sectors(now, 5).min(axis=1) == SCANNER.ranges(now).min(axis=1)).all()
    narrow, wide = SCANNER.free(now, 0.1), SCANNER.free(now, 0.5)
    assert (wide <= narrow).all() and (wide < narrow).any() and (narrow < RANGE).any()


def test_a_scanner_of_one_camera_looks_ahead() -> None:
    assert np.abs(Scanner(VEHICLE, 135).sin).max() <= 1.0
    angles = ray_angles(VEHICLE, 9)
    assert angles[4] == pytest.approx(0.0, abs=1e-12) and angles[1] == pytest.approx(np.pi / 2)


@pytest.mark.parametrize(("v", "w"), [(0.5, 0.0), (0.4, 0.3), (-0.3, 0.0), (0.0, -0.5)])
def test_the_vehicle_goes_where_its_wheels_take_it(task: AisleAmr, v: float, w: float) -> None:
    n = 2
    worlds = Worlds(task, n, 1)
    worlds.reset(np.arange(n), np.arange(n))
    action = np.tile([v / task.speed, w / task.turn], (n, 1))
    for _ in range(70):
        worlds.step(action)
    now = worlds.signals.now
    assert now["base.forward"] == pytest.approx(v, abs=0.01)
    assert now["base.angvel"][:, 2] == pytest.approx(w, abs=0.02)
    assert np.abs(now["base.vel"][:, 2]).max() < 0.01 and (now["tote.shift"] < 0.002).all()


def test_commands_stay_within_the_data_sheet(task: AisleAmr) -> None:
    """Full speed, full turn and back: no wheel is told more than its top speed, no speed changes faster than it may."""
    n = 2
    worlds = Worlds(task, n, 1)
    worlds.reset(np.arange(n), np.arange(n))
    targets = []
    for tick in range(120):
        sign = 1.0 if tick < 60 else -1.0
        worlds.step(np.tile([sign, sign], (n, 1)))
        targets.append(worlds._control[:, :, :2].copy())
        if worlds.done.any():
            break
    wheels = np.concatenate(targets, axis=1)
    assert np.abs(wheels).max() <= VEHICLE.qd_max[0] * (1.0 + 1e-9)
    speed = 0.5 * VEHICLE.wheel_radius * (wheels[..., 0] + wheels[..., 1])
    assert np.abs(np.diff(speed, axis=1)).max() * task.physics_hz <= VEHICLE.a_max * (1.0 + 1e-9)
    assert (worlds.limits_active > 0.5).all()


@pytest.mark.wide
def test_a_worker_does_not_walk_against_a_standing_vehicle() -> None:
    """The vehicle stands across the crossing while the worker comes: nobody touches it, and nobody is stuck to it."""
    task, n = get_task("aisle-amr:hard"), 48
    worlds = Worlds(task, n, 2)
    worlds.reset(np.arange(n), np.arange(n))
    park = np.linspace(1.6, 3.4, n)
    inside = 0
    for tick in range(600):
        left = park - worlds.signals.now["base.pos"][:, 0]
        action = np.zeros((n, 2))
        if tick < 150:  # before most workers are there
            action[:, 0] = np.clip(1.5 * left, 0.0, 0.8)
        worlds.step(action)
        stands = worlds.signals.now["base.speed"] < 0.02
        inside += int((stands & (worlds.signals.now["worker.contact.force"] > 0.0)).sum())
    assert inside == 0
    standing = worlds.reason == 0
    assert standing.mean() > 0.7
    assert (worlds.signals.now["worker.distance"][standing] > 0.02).all()


@pytest.mark.wide
def test_most_workers_cross_before_the_vehicle_and_walk_as_people_do(task: AisleAmr) -> None:
    n = 64
    worlds = Worlds(task, n, 2)
    worlds.reset(np.arange(n), np.arange(n))
    met, fastest = np.zeros(n, bool), np.zeros(n)
    for _ in range(400):
        worlds.step(task.expert(worlds.observation()))
        now = worlds.signals.now
        near = np.abs(now["worker.pos"][:, 1]) < 1.3
        met |= near & (np.abs(now["worker.pos"][:, 0] - now["base.pos"][:, 0]) < 2.0)
        fastest = np.maximum(fastest, np.abs(now["worker.vel"][:, 1]))
    assert met.mean() > 0.5
    assert fastest.max() <= 1.6 + 1e-6 and (fastest > 0.5).mean() > 0.9


def test_the_walker_is_the_whole_body(task: AisleAmr) -> None:
    skins = [i for i in range(task.model.ngeom) if task.model.geom(i).name.endswith("_skin")]
    assert len(skins) == len(PARTS) > 12
    assert task.table["worker.distances"].shape == (len(PARTS),)


@pytest.mark.wide
@pytest.mark.parametrize("act", ["expert", "turn"])
def test_the_distance_to_a_walker_is_never_more_than_it_is(act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the same worlds with a sensor that measures at every substep; the vehicle drives, or turns on the spot beside its way."""
    told = get_task("aisle-amr")
    assert told.model.nsensor > 0 and told.table["worker.distance"].unit == "m"
    n = 12
    said: list[NDArray[np.float64]] = []
    true: list[NDArray[np.float64]] = []

    def played(task: Task, found: list[NDArray[np.float64]]) -> Worlds:
        worlds = Worlds(task, n, 1)
        worlds.reset(np.arange(n), 2_000_400_000 + np.arange(n))
        for tick in range(400):
            turn = np.tile([0.0, 1.0 if tick % 100 < 50 else -1.0], (n, 1))
            worlds.step(task.expert(worlds.observation()) if act == "expert" else turn)
            found.append(worlds.signals["worker.distance"].copy())
        return worlds

    first = played(told, said)
    with monkeypatch.context() as patch:
        patch.setattr(aisle_amr, "WALKER", replace(aisle_amr.WALKER, interval_s=0.0))
        exact = aisle_amr.AisleAmr()
        second = played(exact, true)
    np.testing.assert_array_equal(first.engine.qpos, second.engine.qpos)
    told_m, true_m = np.stack(said), np.stack(true)
    near = true_m < 2.5
    assert near.sum() > 1000 and (told_m[near] <= true_m[near] + 1e-4).all()  # its speed changes in between
    assert np.median(true_m[near] - told_m[near]) < 0.06


def test_a_vehicle_that_is_told_next_to_nothing_stands(task: AisleAmr) -> None:
    """A policy's answer is never quite zero; at a station it must not add up."""
    worlds = Worlds(task, 2, 1)
    worlds.reset(np.arange(2), np.arange(2))
    car = VEHICLE
    little = 0.9 * np.array(
        [[car.still_v / task.speed, car.still_w / task.turn], [0.0, -car.still_w / task.turn]]
    )
    for _ in range(50):
        worlds.step(np.zeros((2, 2)))
    at = worlds.engine.qpos[:, :7].copy()
    for _ in range(500):
        worlds.step(little)
    assert np.abs(worlds.engine.qpos[:, :7] - at).max() < 1e-4
    for _ in range(100):
        worlds.step(np.array([[2.0 * car.still_v / task.speed, 0.0], [0.0, 2.0 * car.still_w / task.turn]]))
    moved = np.abs(worlds.engine.qpos[:, :7] - at).max(axis=1)
    assert (moved > 0.005).all()
