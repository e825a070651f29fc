"""The Cartesian controller on the UR5e, in a cell of nothing but the robot and a floor."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.cell import FIXTURE, PART, ROBOT
from genba.envs.control import CartesianTwist
from genba.envs.engine import Engine, sensor_table
from genba.envs.robots import Robot, load_robot
from genba.envs.signals import Signals

Array = NDArray[np.float64]

SPEED, TURN, SUBSTEPS, TICK_S = 0.3, 1.0, 10, 0.02
GROUND = 0.4  # m from the floor to the robot's foot, as on a pedestal


class Cell:
    """N worlds of the robot on a pedestal, turned so that it reaches along +x, and the signals of the last tick."""

    def __init__(self, robot: Robot, q: Array) -> None:
        n = len(q)
        spec = robot.spec()
        spec.option.timestep = TICK_S / SUBSTEPS
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        spec.option.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
        spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
        root = spec.body(robot.root)
        root.quat = [0, 0, 0, 1]
        for body in (root, *root.find_all("body")):
            for geom in body.geoms:
                if geom.contype or geom.conaffinity:
                    geom.contype, geom.conaffinity = ROBOT, FIXTURE | PART
        floor = spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[2, 2, 0.1])
        floor.pos, floor.contype, floor.conaffinity = [0, 0, -GROUND], FIXTURE, ROBOT | PART
        model = spec.compile()
        self.engine = Engine(model, n, 1, SUBSTEPS)
        self.table = sensor_table(model, {})
        self.controller = CartesianTwist(self.engine, robot, robot.home, SPEED, TURN, robot.tool_body)
        qpos = np.repeat(model.qpos0[None], n, axis=0)
        for i, name in enumerate(robot.joints):
            qpos[:, model.joint(name).qposadr[0]] = q[:, i]
        self.control = np.zeros((n, SUBSTEPS, model.nu))
        ids = np.arange(n)
        self.engine.restart(ids, qpos, self.control[:, 0])
        self.controller.restart(ids, q)
        self.signals = Signals(self.table, self.engine.block, {})

    def step(self, action: Array) -> None:
        """One tick of `(n, 5)` actions."""
        self.controller.targets(action, self.signals.now, self.control)
        assert not self.engine.step(self.control).any()
        self.signals = Signals(self.table, self.engine.block, {})


@pytest.fixture(params=["ur5e-vacuum", "ur5e-2f85"])
def robot(request: pytest.FixtureRequest) -> Robot:
    return load_robot(request.param)


def tilt(quat: Array) -> Array:
    """Angle in rad of tools `(..., 4)` from pointing straight down."""
    w, x, y, z = np.moveaxis(quat, -1, 0)
    down = 2.0 * (x * x + y * y) - 1.0
    return np.asarray(np.arctan2(np.hypot(2.0 * (x * z + w * y), 2.0 * (y * z - w * x)), down))


def test_a_commanded_twist_is_followed_upright_from_home(robot: Robot) -> None:
    """Each direction alone, at every physics substep from 0.2 to 0.6 s: 0.01 m/s, 0.02 rad/s; the tool never tilts by 0.05 rad."""
    wanted = np.concatenate([np.eye(4), -np.eye(4)])
    action = np.concatenate([wanted, np.zeros((8, 1))], axis=1)
    cell = Cell(robot, np.repeat(robot.home[None], 8, axis=0))
    for tick in range(30):
        cell.step(action)
        signals = cell.signals
        assert tilt(signals["tcp.quat"]).max() < 0.05
        if tick >= 10:
            assert np.abs(signals["tcp.vel"] - SPEED * wanted[:, None, :3]).max() < 0.01
            assert np.abs(signals["tcp.angvel"][..., 2] - TURN * wanted[:, None, 3]).max() < 0.02


def test_the_tool_crosses_its_working_area_upright(robot: Robot) -> None:
    """From x = 0.30 m to 0.70 m at 0.3 m/s, and back, without a joint at its limit. A rate is commanded and no height is held: it drifts
    by 9 mm over this way of 0.85 m, and 12 mm are allowed."""
    cell = Cell(robot, np.repeat(robot.home[None], 2, axis=0))
    start = cell.signals.now["tcp.pos"][0].copy()
    visited = []
    for towards, until in ((-1.0, 0.30), (1.0, 0.70), (-1.0, 0.30)):
        action = np.tile([towards, 0.0, 0.0, 0.0, 0.0], (2, 1))
        for _ in range(100):
            cell.step(action)
            signals = cell.signals
            visited.append(signals["tcp.pos"][0, -1].copy())
            assert tilt(signals["tcp.quat"]).max() < 0.05
            assert (np.abs(signals["arm.qd"]) < 0.5 * robot.qd_max).all()
            assert (np.abs(signals["arm.torque"]) < 0.8 * robot.tau_max).all()
            if towards * (visited[-1][0] - until) > 0.0:
                break
        else:
            pytest.fail(f"x = {until} m was not reached in 2 s")
    path = np.array(visited)
    assert path[:, 0].min() < 0.30 and path[:, 0].max() > 0.70
    assert np.abs(path[:, 1:] - start[1:]).max() < 0.012


def test_a_tilted_tool_is_put_upright(robot: Robot) -> None:
    """Begun 0.15 rad off, the tool that is told to stand still points down within a second and stays where it is."""
    q = np.repeat(robot.home[None], 2, axis=0)
    q[:, 3] += 0.15
    cell = Cell(robot, q)
    start = cell.signals.now["tcp.pos"].copy()
    assert (tilt(cell.signals.now["tcp.quat"]) > 0.14).all()
    for _ in range(50):
        cell.step(np.zeros((2, 5)))
    assert (tilt(cell.signals.now["tcp.quat"]) < 0.05).all()
    np.testing.assert_allclose(cell.signals.now["tcp.pos"], start, atol=0.01)
