"""The SCARA's nut runner: its speed, its stall, and what its bit hands on at a given press."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from genba.envs.robots import Robot, load_robot

GAP = 0.02  # m from the bit at home to the head it is pressed on


@pytest.fixture(scope="module")
def robot() -> Robot:
    return load_robot("yk400xec-driver")


@pytest.fixture(scope="module")
def model(robot: Robot) -> mujoco.MjModel:
    """The robot and, under its bit, the head of a screw that does not turn."""
    spec = robot.spec()
    spec.option.timestep, spec.option.impratio = 0.002, 10
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    x, y, z = robot.forward(robot.home)[0]
    head = spec.worldbody.add_geom(name="head", type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[0.005, 0.005, 0])
    head.pos, head.solref = [x, y, z - GAP - 0.005], [0.005, 1]
    return spec.compile()


def pressed(robot: Robot, model: mujoco.MjModel, depth: float, torque: float) -> mujoco.MjData:
    """The state 0.6 s after `torque` in N*m was commanded, the quill told to go `depth` m beyond touching."""
    data = mujoco.MjData(model)
    for name, actuator, q in zip(robot.joints, robot.actuators, robot.home, strict=True):
        data.joint(name).qpos[0] = data.actuator(actuator).ctrl[0] = q
    for step in range(700):
        data.actuator("jz").ctrl[0] = robot.home[2] - min(GAP + depth, 0.0002 * step)
        data.actuator(robot.gripper.actuator).ctrl[0] = torque if step >= 400 else 0.0
        mujoco.mj_step(model, data)
    assert all(warning.number == 0 for warning in data.warning)
    return data


@pytest.mark.parametrize("share", [1.0, 0.5, -1.0])
def test_it_runs_free_at_the_speed_of_its_sheet(robot: Robot, model: mujoco.MjModel, share: float) -> None:
    data = pressed(robot, model, -0.010, share * robot.gripper.force_max)
    free = float(np.asarray(robot.limit("spindle.speed.max").value))
    assert data.sensor("spindle.qd").data[0] == pytest.approx(share * free, rel=1e-3)
    assert np.abs(data.sensor("spindle.torque").data).max() < 0.01  # nothing takes torque from it
    assert data.sensor("spindle.force").data == pytest.approx([0.0, 0.0, -0.981], abs=0.01)  # it hangs


@pytest.mark.parametrize("torque", [1.0, 2.0, -2.0])
def test_a_pressed_bit_hands_on_what_is_commanded(robot: Robot, model: mujoco.MjModel, torque: float) -> None:
    """It stalls; the torque that it hands on is the command, about the axis down the spindle, tightening positive."""
    data = pressed(robot, model, 0.006, torque)
    assert abs(data.sensor("spindle.qd").data[0]) < 0.1
    assert data.sensor("spindle.torque").data == pytest.approx([0.0, 0.0, torque], abs=0.02)
    held = data.sensor("arm.torque.4").data[0]
    assert held == pytest.approx(-torque, abs=0.02)  # the arm, whose axis points up, holds against it


def test_the_press_is_that_of_the_spring(robot: Robot, model: mujoco.MjModel) -> None:
    least, most = np.asarray(robot.limit("bit.press").value)
    for depth in (0.003, 0.006, 0.009):
        data = pressed(robot, model, depth, 0.0)
        pushed = data.sensor("bit.q").data[0]
        spring = least + (most - least) * pushed / float(np.asarray(robot.limit("bit.stroke").value))
        assert 0.0 < pushed < depth  # the quill's servo gives way, too
        assert data.sensor("spindle.force").data[2] == pytest.approx(spring, rel=0.05)


def test_a_bit_that_is_pressed_too_little_slips(robot: Robot, model: mujoco.MjModel) -> None:
    """2.5 N*m need 50 N: with less the bit turns in the head, with more it holds."""
    share = float(np.asarray(robot.limit("bit.torque.per.press").value))
    light, firm = pressed(robot, model, 0.002, 2.5), pressed(robot, model, 0.0095, 2.5)
    assert share * pressed(robot, model, 0.002, 0.0).sensor("spindle.force").data[2] < 2.0
    assert light.sensor("spindle.qd").data[0] > 2.0
    assert share * firm.sensor("spindle.force").data[2] > 2.5
    assert firm.sensor("spindle.qd").data[0] < 0.2


def test_the_arm_is_that_of_the_cup(robot: Robot) -> None:
    """The same joints, limits and links, less the cup."""
    arm = load_robot("yk400xec")
    assert robot.joints == arm.joints and robot.actuators == arm.actuators
    for field in ("q_min", "q_max", "qd_max", "qdd_max", "tau_max", "home"):
        np.testing.assert_array_equal(getattr(robot, field), getattr(arm, field))
    assert set(arm.links) - set(robot.links) == {"cup"}
    tool = sum(link.mass for name, link in robot.links.items() if name.startswith("driver/"))
    assert tool + robot.links["tool"].mass < float(np.asarray(robot.limit("payload").value))
