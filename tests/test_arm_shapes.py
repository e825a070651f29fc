"""The whole arm as capsules: against MuJoCo's kinematics and distances, against brute force, and in a cell that a policy folds up in."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from genba.envs import capsules
from genba.envs.arm_shapes import ArmShapes, shapes_in, shapes_of
from genba.envs.robots import Robot, arm_names, load_robot
from genba.envs.task import get_task
from genba.envs.tasks.kit_pick import KEEPOUT

Array = NDArray[np.float64]
POINTS = arrays(np.float64, (3, 4), elements=st.floats(-2.0, 2.0, width=16))


@pytest.fixture(scope="module", params=arm_names())
def robot(request: pytest.FixtureRequest) -> Robot:
    return load_robot(request.param)


def postures(robot: Robot, n: int) -> Array:
    share = np.random.default_rng(7).random((n, len(robot.joints)))
    return np.asarray(robot.q_min + share * (robot.q_max - robot.q_min))


def solid(model: mujoco.MjModel) -> list[int]:
    return [g for g in range(model.ngeom) if model.geom_contype[g] or model.geom_conaffinity[g]]


def set_joints(model: mujoco.MjModel, data: mujoco.MjData, robot: Robot, q: Array) -> None:
    for name, value in zip(robot.joints, q, strict=True):
        data.joint(name).qpos[0] = value
    mujoco.mj_kinematics(model, data)


@given(POINTS)
def test_segments_are_as_far_apart_as_mujoco_says_of_capsules(points: Array) -> None:
    got = float(capsules.between(*points.T.reshape(4, 3, 1))[0])
    spec = mujoco.MjSpec()
    for i in (0, 2):
        ends = np.concatenate([points[:, i], points[:, i + 1]])
        body = spec.worldbody.add_body()
        if np.linalg.norm(ends[:3] - ends[3:]) > 1e-6:
            kind, fromto = mujoco.mjtGeom.mjGEOM_CAPSULE, ends
            body.add_geom(type=kind, fromto=fromto, size=[1e-4, 0, 0])
        else:
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, pos=ends[:3], size=[1e-4, 0, 0])
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    oracle = mujoco.mj_geomDistance(model, data, 0, 1, 100.0, None) + 2e-4
    assert got == pytest.approx(max(oracle, 0.0), abs=2e-4)


@given(POINTS)
def test_segment_and_box_are_as_far_apart_as_the_nearest_of_many_points(points: Array) -> None:
    low, high = np.minimum(points[:, 2], points[:, 3]), np.maximum(points[:, 2], points[:, 3])
    start, end = points[:, :1], points[:, 1:2]
    got = float(capsules.to_box(start, end, low, high)[0])
    share = np.linspace(0.0, 1.0, 4001)
    on = start + share * (end - start)
    beyond = np.maximum(np.maximum(low[:, None] - on, on - high[:, None]), 0.0)
    nearest = float(np.sqrt((beyond**2).sum(axis=0)).min())
    half_step = float(np.linalg.norm(end - start)) / 8000.0
    assert nearest - half_step - 1e-9 <= got <= nearest + 1e-9


def test_capsules_stand_where_mujoco_puts_the_shapes(robot: Robot) -> None:
    shapes, model = shapes_of(robot), robot.spec().compile()
    data, qs = mujoco.MjData(model), postures(robot, 50)
    start, end = shapes.placed(qs)
    for i, q in enumerate(qs):
        set_joints(model, data, robot, q)
        middle = 0.5 * (start + end)[:, :, i].T
        for geom in solid(model):
            if model.geom_type[geom] in (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_SPHERE):
                assert np.linalg.norm(middle - data.geom_xpos[geom], axis=1).min() < 1e-9


def test_distance_to_itself_is_what_mujoco_measures(robot: Robot) -> None:
    """Of the pairs that count: equal between capsules, never farther than the shapes are where one is a box."""
    shapes, model = shapes_of(robot), robot.spec().compile()
    data, qs = mujoco.MjData(model), postures(robot, 60)
    geoms = _geoms(shapes, model, robot)
    round_ = {g for g in geoms if model.geom_type[g] != mujoco.mjtGeom.mjGEOM_BOX}
    told = shapes._gaps(qs)
    assert len(shapes.pairs) >= 4 and np.array_equal(told.min(axis=0), shapes.self_distance(qs))
    for i, q in enumerate(qs):
        set_joints(model, data, robot, q)
        for (a, b), gap in zip(shapes.pairs, told[:, i], strict=True):
            oracle = mujoco.mj_geomDistance(model, data, geoms[a], geoms[b], 5.0, None)
            if {geoms[a], geoms[b]} <= round_:
                assert max(gap, -0.01) == pytest.approx(max(oracle, -0.01), abs=1e-6)
            else:
                assert gap < oracle + 1e-6 or oracle < 0.0


def _geoms(shapes: ArmShapes, model: mujoco.MjModel, robot: Robot) -> list[int]:
    """The MuJoCo shape of each capsule, by where it is with all joints at zero."""
    data = mujoco.MjData(model)
    set_joints(model, data, robot, np.zeros(len(robot.joints)))
    found = []
    for i in range(len(shapes.radius)):
        middle = 0.5 * (shapes.start + shapes.end)[:, i]
        found.append(min(solid(model), key=lambda g: float(np.linalg.norm(data.geom_xpos[g] - middle))))
    return found


def test_some_postures_meet_and_home_does_not(robot: Robot) -> None:
    shapes = shapes_of(robot)
    assert shapes.self_distance(robot.home) > 0.02
    assert (shapes.self_distance(postures(robot, 1000)) < 0.0).any()


def test_a_posture_gets_the_same_bits_in_any_company(robot: Robot) -> None:
    shapes, qs = shapes_of(robot), postures(robot, 24)
    low, high = np.array([0.1, -0.1, 0.0]), np.array([0.3, 0.1, 0.2])
    whole, block = shapes.self_distance(qs), shapes.self_distance(qs.reshape(4, 6, -1))
    assert np.array_equal(whole, block.reshape(-1))
    assert np.array_equal(whole[3:5], shapes.self_distance(qs[3:5]))
    assert np.array_equal(shapes.box_distance(qs, low, high)[3:5], shapes.box_distance(qs[3:5], low, high))


def test_the_arm_in_its_cell_is_as_far_from_the_zone_as_mujoco_says() -> None:
    task, robot = get_task("kit-pick"), load_robot("fr3")
    spec = task.build()
    low, high = KEEPOUT
    spec.worldbody.add_geom(
        name="zone", type=mujoco.mjtGeom.mjGEOM_BOX, pos=0.5 * (low + high), size=0.5 * (high - low)
    )
    model = spec.compile()
    data, shapes = mujoco.MjData(model), shapes_in(task.model, robot)
    own = [g for g in solid(model) if model.body(model.geom_bodyid[g]).name.startswith(("fr3_link", "hand"))]
    moving = [g for g in own if model.body(model.geom_bodyid[g]).name != "fr3_link0"]
    zone = model.geom("zone").id
    for q in postures(robot, 60):
        set_joints(model, data, robot, q)
        oracle = min(mujoco.mj_geomDistance(model, data, g, zone, 5.0, None) for g in moving)
        told = float(shapes.box_distance(q, low, high))
        assert told < oracle + 1e-6 or oracle < 0.0
        assert told > oracle - 0.06 or oracle < 0.0  # the capsule around the hand is that much thicker
