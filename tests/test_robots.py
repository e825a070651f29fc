"""Each robot's compiled model against its YAML, its data-sheet chain and plain mechanics."""

from __future__ import annotations

from typing import Any, cast

import mujoco
import numpy as np
import pytest

from genba.envs.derived import arm
from genba.envs.errors import BadInput, UnknownName
from genba.envs.robots import (
    Limit,
    Link,
    Machine,
    Robot,
    arm_names,
    load_robot,
    robot_names,
    vehicle_names,
)
from genba.envs.vehicles import load_machine, load_vehicle


@pytest.fixture(scope="module", params=robot_names())
def machine(request: pytest.FixtureRequest) -> Machine:
    """Every robot there is, arm or vehicle."""
    return load_machine(request.param)


@pytest.fixture(scope="module", params=arm_names())
def robot(request: pytest.FixtureRequest) -> Robot:
    return load_robot(request.param)


@pytest.fixture(scope="module")
def model(robot: Robot) -> mujoco.MjModel:
    return compiled(robot)


def compiled(machine: Machine) -> mujoco.MjModel:
    spec = machine.spec()
    spec.option.timestep = 0.002
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    return spec.compile()


@pytest.fixture
def data(robot: Robot, model: mujoco.MjModel) -> mujoco.MjData:
    """The robot at home, its servos too."""
    data = mujoco.MjData(model)
    for name, actuator, q in zip(robot.joints, robot.actuators, robot.home, strict=True):
        data.joint(name).qpos[0] = data.actuator(actuator).ctrl[0] = q
    mujoco.mj_forward(model, data)
    return data


def test_every_robot_is_an_arm_or_a_vehicle() -> None:
    assert sorted([*arm_names(), *vehicle_names()]) == robot_names() and arm_names() and vehicle_names()


def test_masses_and_inertias_equal_the_yaml(machine: Machine) -> None:
    model = compiled(machine)
    for name, link in machine.links.items():
        body = model.body(name)
        assert body.mass[0] == pytest.approx(link.mass, rel=1e-12)
        assert body.ipos == pytest.approx(link.com, abs=1e-12)
        xx, yy, zz, xy, xz, yz = link.inertia
        published = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        flat = np.empty(9)
        mujoco.mju_quat2Mat(flat, body.iquat)
        axes = flat.reshape(3, 3)
        np.testing.assert_allclose(axes @ np.diag(body.inertia) @ axes.T, published, atol=1e-9)
    total = sum(link.mass for link in machine.links.values())
    assert model.body_mass.sum() == pytest.approx(total, rel=1e-12)  # and no geom weighs anything


def test_principal_moments_obey_the_triangle_rule(machine: Machine) -> None:
    for name, link in machine.links.items():
        xx, yy, zz, xy, xz, yz = link.inertia
        a, b, c = np.linalg.eigvalsh(np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
        assert a > 0 and a + b >= c, name


def test_ranges_and_forces_equal_the_yaml(robot: Robot, model: mujoco.MjModel) -> None:
    for i, (joint, actuator) in enumerate(zip(robot.joints, robot.actuators, strict=True)):
        assert model.joint(joint).range == pytest.approx((robot.q_min[i], robot.q_max[i]), abs=1e-12)
        assert model.actuator(actuator).forcerange == pytest.approx((-robot.tau_max[i], robot.tau_max[i]))
    assert np.all(robot.q_min < robot.home) and np.all(robot.home < robot.q_max)


def test_tool_pose_follows_the_data_sheet_chain(robot: Robot, model: mujoco.MjModel) -> None:
    data = mujoco.MjData(model)
    random = np.random.default_rng(7)
    for q in (robot.home, *random.uniform(robot.q_min, robot.q_max, (3, len(robot.joints)))):
        for name, value in zip(robot.joints, q, strict=True):
            data.joint(name).qpos[0] = value
        mujoco.mj_kinematics(model, data)
        position, rotation = robot.forward(q)
        np.testing.assert_allclose(data.site(robot.tcp_site).xpos, position, atol=1e-6)
        np.testing.assert_allclose(data.site(robot.tcp_site).xmat.reshape(3, 3), rotation, atol=1e-6)


def test_forward_takes_many_joint_vectors_at_once(robot: Robot) -> None:
    q = np.random.default_rng(3).uniform(robot.q_min, robot.q_max, (5, len(robot.joints)))
    positions, rotations = robot.forward(q)
    assert positions.shape == (5, 3) and rotations.shape == (5, 3, 3)
    np.testing.assert_array_equal(positions[2], robot.forward(q[2])[0])


def test_nothing_overlaps_deeply_at_home(data: mujoco.MjData) -> None:
    assert all(contact.dist > -0.001 for contact in data.contact)


def test_servos_and_gravity_compensation_hold_home(
    robot: Robot, model: mujoco.MjModel, data: mujoco.MjData
) -> None:
    carries = not any(model.jnt_actgravcomp[model.joint(name).id] for name in robot.joints)
    for _ in range(500):
        for name, actuator, q in zip(robot.joints, robot.actuators, robot.home, strict=True):
            weight = (
                data.qfrc_bias[model.joint(name).dofadr[0]] if carries else 0.0
            )  # as the controller feeds forward
            data.actuator(actuator).ctrl[0] = q + weight / model.actuator(actuator).gainprm[0]
        mujoco.mj_step(model, data)
    held = np.array([data.joint(name).qpos[0] for name in robot.joints])
    np.testing.assert_allclose(held, robot.home, atol=1e-3)
    assert all(warning.number == 0 for warning in data.warning)


def test_sensors_name_every_joint_in_order(robot: Robot, model: mujoco.MjModel, data: mujoco.MjData) -> None:
    names = [model.sensor(i).name for i in range(model.nsensor)]
    for quantity in ("arm.q", "arm.qd", "arm.torque"):
        wanted = [f"{quantity}.{i + 1}" for i in range(len(robot.joints))]
        first = names.index(wanted[0])
        assert names[first : first + len(wanted)] == wanted
    home = [data.sensor(f"arm.q.{i + 1}").data[0] for i in range(len(robot.joints))]
    np.testing.assert_allclose(home, robot.home)
    np.testing.assert_allclose(data.sensor("tcp.pos").data, robot.forward(robot.home)[0], atol=1e-6)


def test_every_figure_says_where_it_comes_from(machine: Machine) -> None:
    rows: list[Limit | Link] = [*machine.limits.values(), *machine.links.values()]
    assert all(row.source for row in rows)
    assert {row.confidence for row in rows if row.source == "this project"} <= {
        "project_assumption",
        "recalled",
        "derived",
    }


def test_grip_opens_and_closes_symmetrically(
    robot: Robot, model: mujoco.MjModel, data: mujoco.MjData
) -> None:
    if robot.gripper.kind != "fingers":
        pytest.skip("no fingers")
    left, right = (data.joint(name) for name in robot.gripper.joints)
    for force, end in (
        (robot.gripper.force_max, robot.gripper.position_max),
        (-robot.gripper.force_max, 0.0),
    ):
        data.actuator(robot.gripper.actuator).ctrl[0] = force
        worst = 0.0
        for _ in range(300):
            mujoco.mj_step(model, data)
            worst = max(worst, abs(left.qpos[0] - right.qpos[0]))
        assert worst < 1e-4
        assert left.qpos[0] == pytest.approx(end, abs=1e-3)


def test_velocity_envelope_gives_the_published_values() -> None:
    robot = load_robot("fr3")
    near, far = (
        (0.8893, 0.7652, 0.9832, 0.9116, 2.0320, 0.9954, 2.1449),
        (2.62, 2.0221, 2.4458, 2.4751, 5.2553, 2.8288, 5.26),
    )
    for distance, published in ((0.2, near), (1.0, far)):
        np.testing.assert_allclose(robot.velocity_limits(robot.q_max - distance)[1], published, atol=1e-4)
        np.testing.assert_allclose(
            robot.velocity_limits(robot.q_min + distance)[0], -np.array(published), atol=1e-4
        )
    low, high = robot.velocity_limits(np.stack([robot.q_min, robot.q_max]))
    assert np.all(low[0] == 0) and np.all(high[1] == 0) and low.shape == (2, 7)


def test_share_of_the_speed_limit_is_of_what_the_envelope_allows_there() -> None:
    """FR3's joint 4: 0.9116 rad/s outwards 0.2 rad before its end, 2.62 in the middle (published), and none at its end."""
    robot = load_robot("fr3")
    share = {signal.name: derive for signal, derive in arm(robot)}["arm.velocity.share"]
    q, qd = np.tile(0.5 * (robot.q_min + robot.q_max), (4, 1)), np.zeros((4, 7))
    q[1:3, 3], q[3, 3] = robot.q_max[3] - 0.2, robot.q_max[3]
    qd[:, 3] = (0.9116, 0.9116, -0.9116, 0.04)
    found = share(cast(Any, {"arm.q": q, "arm.qd": qd}))
    assert found == pytest.approx([0.9116 / 2.62, 1.0, 0.9116 / 2.62, 2.0], rel=1e-3)


def test_unknown_robots_and_limits_list_what_there_is() -> None:
    with pytest.raises(UnknownName, match="Did you mean fr3"):
        load_robot("fr33")
    with pytest.raises(UnknownName, match=r"joint\.torque\.max"):
        load_robot("fr3").limit("joint.torque.maximum")
    with pytest.raises(UnknownName, match="Did you mean mp500"):
        load_vehicle("mp50")
    with pytest.raises(BadInput, match="mp500 is a vehicle, and an arm is asked for"):
        load_robot("mp500")
    with pytest.raises(UnknownName, match=r"wheel\.radius"):
        load_vehicle("mp500").limit("wheel.radios")
