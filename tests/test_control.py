"""Controllers: an exact solver, the data sheet obeyed whatever the action, clamps that are told."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from genba.envs.control import ramp_targets, solve_spd
from genba.envs.robots import arm_names, load_robot
from genba.envs.task import Task, get_task, task_ids
from genba.envs.worlds import Worlds

each_task = pytest.mark.parametrize(
    "task_id", [task_id for task_id in task_ids() if get_task(task_id).robot_name in arm_names()]
)  # of vehicles: test_vehicles


def systems(seed: int, m: int, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """n positive definite systems `(m, m, n)` and their right sides `(m, n)`."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, m, m + 1))
    gram = rows @ rows.transpose(0, 2, 1) + 1e-3 * np.eye(m)
    return np.ascontiguousarray(gram.transpose(1, 2, 0)), rng.normal(size=(m, n))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 9))
def test_solve_spd_equals_numpy(seed: int, m: int, n: int) -> None:
    a, b = systems(seed, m, n)
    kept = a.copy(), b.copy()
    expected = np.linalg.solve(a.transpose(2, 0, 1), b.T[..., None])[..., 0].T
    scale = np.linalg.cond(a.transpose(2, 0, 1)) * np.abs(expected).max(axis=0)
    assert (np.abs(solve_spd(a, b) - expected) <= 1e-12 * np.maximum(scale, 1.0)).all()
    assert (a == kept[0]).all() and (b == kept[1]).all()


def test_solve_spd_gives_the_same_bits_in_any_company() -> None:
    a, b = systems(3, 6, 200)
    together = solve_spd(a, b)
    for i in range(0, 200, 17):
        pair = np.array([i, (i + 5) % 200])
        alone = solve_spd(np.ascontiguousarray(a[:, :, pair]), np.ascontiguousarray(b[:, pair]))
        assert alone[:, 0].tobytes() == together[:, i].tobytes()


def test_ramp_targets_lead_from_start_to_end() -> None:
    start, end = np.array([[0.0, 1.0]]), np.array([[1.0, -1.0]])
    ramp = ramp_targets(start, end, 4)
    assert ramp[0, :, 0].tolist() == [0.25, 0.5, 0.75, 1.0]
    assert ramp[0, -1].tolist() == end[0].tolist()


def wild(task: Task, n: int, ticks: int) -> NDArray[np.float64]:
    """`(ticks, n, A)` actions at full scale, each held for a random while."""
    rng = np.random.default_rng(11)
    actions = np.empty((ticks, n, len(task.action_names)))
    now = np.zeros(actions.shape[1:])
    for tick in range(ticks):
        anew = rng.random(n) < 0.08
        now[anew] = rng.choice([-1.0, 0.3, 1.0], (anew.sum(), now.shape[1]))
        actions[tick] = now
    return actions


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_task
def test_commands_obey_the_data_sheet_under_wild_actions(tasks: dict[str, Task], task_id: str) -> None:
    """Velocity, acceleration (10 rad/s2 for the FR3) and range of every joint's command, contacts and all."""
    task, n, ticks = tasks[task_id], 24, 150
    robot = load_robot(task.robot_name)
    worlds = Worlds(task, n, 2)
    controller: Any = worlds.controller
    worlds.reset(np.arange(n), np.arange(n))
    last = controller.qd.copy()
    for action in wild(task, n, ticks):
        running = ~worlds.done
        worlds.step(action)
        q, qd = controller.q[running], controller.qd[running]
        stopped = (q <= controller.low) | (q >= controller.high)  # a joint at the end of its range stands
        change = np.abs(qd - last[running]) / task.dt
        assert (np.where(stopped, 0.0, change) <= robot.qdd_max * (1.0 + 1e-9)).all()
        assert (np.abs(qd) <= robot.qd_max).all()
        assert (q >= robot.q_min).all() and (q <= robot.q_max).all()
        last = controller.qd.copy()


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("way", [1.0, -1.0])
def test_a_joint_that_is_told_to_go_on_stops_before_its_end(
    tasks: dict[str, Task], joint: int, way: float
) -> None:
    """FR3: at full speed from one end towards the other, within the published envelope and acceleration, while the others turn about."""
    task, robot = tasks["kit-pick"], load_robot("fr3")
    controller: Any = Worlds(task, 2, 1).controller
    start = np.where(np.arange(7) == joint, -way, 0.0) * 0.45 * (robot.q_max - robot.q_min)
    controller.restart(np.arange(2), np.tile(0.5 * (robot.q_min + robot.q_max) + start, (2, 1)))
    for tick in range(400):
        wanted = np.tile(0.3 * robot.qd_max * (1.0 if tick // 5 % 2 else -1.0), (2, 1))
        wanted[:, joint] = way * robot.qd_max[joint]
        before = controller.qd
        controller.qd, _ = controller._limited(wanted, controller.q, controller.qd)
        assert (np.abs(controller.qd - before) <= robot.qdd_max * task.dt * (1.0 + 1e-9)).all()
        controller.q = controller.q + controller.qd * task.dt
        low, high = robot.velocity_limits(controller.q)
        assert (controller.qd <= high + 1e-9).all() and (controller.qd >= low - 1e-9).all(), tick
        assert (
            np.abs(controller.q - 0.5 * (robot.q_min + robot.q_max)) <= 0.5 * (robot.q_max - robot.q_min)
        ).all()


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_task
def test_joints_stay_within_the_data_sheet_in_free_motion(task_id: str) -> None:
    """Measured at every physics substep, with nothing to run into."""
    free = get_task(task_id)
    free.model.opt.disableflags |= int(
        mujoco.mjtDisableBit.mjDSBL_CONTACT | mujoco.mjtDisableBit.mjDSBL_GRAVITY
    )
    robot, n = load_robot(free.robot_name), 24
    worlds = Worlds(free, n, 2)
    worlds.reset(np.arange(n), np.arange(n))
    for action in wild(free, n, 150):
        running = ~worlds.done
        worlds.step(action)
        speed, angle = worlds.signals["arm.qd"][running], worlds.signals["arm.q"][running]
        assert (np.abs(speed) <= 1.05 * robot.qd_max).all()
        assert (
            worlds.signals["arm.velocity.share"][running] <= 1.08
        ).all()  # of what is allowed at that angle
        room = np.minimum(angle - robot.q_min, robot.q_max - angle)
        assert (
            room.min() > -0.003
        )  # rad, m: the give of the servos where a command rests at the end of its range


@each_task
def test_the_targets_are_smooth_across_ticks(tasks: dict[str, Task], task_id: str) -> None:
    """The substeps of a tick begin where those of the last one ended."""
    task, n = tasks[task_id], 4
    worlds = Worlds(task, n, 1)
    worlds.reset(np.arange(n), np.arange(n))
    robot, actuators = load_robot(task.robot_name), len(load_robot(task.robot_name).joints)
    last = None
    for action in wild(task, n, 30):
        worlds.step(action * 0.3)
        targets = worlds._control[:, :, :actuators]
        if last is not None:
            first_step = np.abs(targets[:, 0] - last)
            most = robot.qd_max / task.physics_hz + 0.1 * robot.qdd_max * task.dt / task.substeps
            assert (first_step <= most).all()
        last = targets[:, -1].copy()


ALMOST_UPRIGHT = ("kit-pick", "conveyor-sort")  # how these start: one tick sets the tool upright


@each_task
def test_a_clamp_is_told(tasks: dict[str, Task], task_id: str) -> None:
    task, n = tasks[task_id], 2
    calm, hard = Worlds(task, n, 1), Worlds(task, n, 1)
    for worlds in (calm, hard):
        worlds.reset(np.arange(n), np.arange(n))
    lift, righted = np.zeros((n, len(task.action_names))), []
    for tick in range(20):
        calm.step(lift * 0.0)
        righted.append(calm.held["limits.active"].copy())
        hard.step(lift + (1.0 if tick % 2 else -1.0))
        assert hard.held["limits.active"].tolist() == [1.0, 1.0]
    assert (hard.limits_active == 1.0).all()
    clamped = np.array(righted)
    assert (
        np.diff(clamped, axis=0) <= 0.0
    ).all()  # once it stands upright, what is told nothing is never clamped
    assert (clamped.sum(axis=0) <= (1 if task_id in ALMOST_UPRIGHT else 3)).all()


def test_the_arm_goes_where_it_is_told(tasks: dict[str, Task]) -> None:
    """FR3: a commanded tool velocity is reached, the tool stays upright, and no other direction moves."""
    task, n = tasks["kit-pick"], 4
    worlds = Worlds(task, n, 1)
    worlds.reset(np.arange(n), np.arange(n))
    action = np.array([[0.2, 0, 0, 0, 1], [0, 0.2, 0, 0, 1], [0, 0, 0.2, 0, 1], [0, 0, 0, 0, 1]], float)
    for _ in range(25):
        worlds.step(action)
    now = worlds.signals.now
    assert now["tcp.vel"] == pytest.approx(0.8 * action[:, :3], abs=0.01)
    w, x, y, z = now["tcp.quat"].T
    assert 1.0 - 2.0 * (x * x + y * y) == pytest.approx(-1.0, abs=2e-3)
