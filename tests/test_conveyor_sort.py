"""conveyor-sort against raw simulator state: what the expert achieves, what counts, what the cup and the controller do."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.robots import load_robot
from genba.envs.scara import ELBOW
from genba.envs.streams import Streams
from genba.envs.task import get_task
from genba.envs.tasks.conveyor_sort import BELT_TOP, BIN_ANGLE, BIN_FLOOR, BINS, GOODS, ConveyorSort
from genba.envs.worlds import Worlds

SEEDS = 2_000_000_000 + np.arange(1000)


@pytest.fixture(scope="module")
def task() -> ConveyorSort:
    made = get_task("conveyor-sort")
    assert isinstance(made, ConveyorSort)
    return made


def part_address(task: ConveyorSort) -> int:
    return int(task.model.joint("part_free").qposadr[0])


def still_action(n: int) -> NDArray[np.float64]:
    return np.tile([0.0, 0.0, 0.0, 0.0, -1.0], (n, 1))


def run(worlds: Worlds, seeds: NDArray[np.int64]) -> None:
    worlds.reset(np.arange(worlds.rows), seeds)
    while not worlds.done.all():
        worlds.step(worlds.task.expert(worlds.observation()))


def stands_in_its_nest(task: ConveyorSort, worlds: Worlds, world: int) -> bool:
    """The oracle: from the generalised positions and the contact list alone, without any signal of the task."""
    model, data = worlds.engine.snapshot(world)
    mujoco.mj_forward(model, data)
    geom, adr = model.geom("part_geom").id, part_address(task)
    kind = (
        2
        if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CYLINDER
        else int(model.geom_size[geom, 0] > 0.0175)
    )
    centre, (w, x, y, z) = data.qpos[adr : adr + 3], data.qpos[adr + 3 : adr + 7]
    axis = np.array([1 - 2 * (y * y + z * z), 2 * (x * y + w * z)])  # the part's x axis in the plane
    nest = np.array([np.cos(BIN_ANGLE[kind]), np.sin(BIN_ANGLE[kind])])
    misturned = abs(nest[0] * axis[1] - nest[1] * axis[0])
    flat = abs(centre[2] - BIN_FLOOR - GOODS.half[kind, 2]) < 0.003
    lips = {model.geom(f"lip_{i}").id for i in range(1, 5)}
    touched = any(
        geom in pair and lips & set(pair) for pair in data.contact.geom[data.contact.dist < 0.0].tolist()
    )
    return bool(np.hypot(*(centre[:2] - BINS[kind])) < 0.012 and flat and misturned < 0.1 and not touched)


def test_expert_sorts_and_the_oracle_agrees(task: ConveyorSort) -> None:
    worlds = Worlds(task, 64)
    run(worlds, SEEDS[:64])
    assert worlds.success.sum() >= 63
    assert np.nanmean(worlds.cycle_s) < task.takt_s
    for world in range(64):
        assert stands_in_its_nest(task, worlds, world) == worlds.success[world], world


@pytest.mark.long
def test_expert_succeeds_on_a_thousand_seeds(task: ConveyorSort) -> None:
    worlds, count = Worlds(task, 125, tail_s=1.0), 0
    for chunk in SEEDS.reshape(8, 125):
        run(worlds, chunk)
        count += int(worlds.success.sum())
    assert count >= 990


def test_what_nobody_takes_is_missed(task: ConveyorSort) -> None:
    worlds = Worlds(task, 8)
    worlds.reset(np.arange(8), SEEDS[:8])
    while not worlds.done.all():
        worlds.step(still_action(8))
    assert {task.reasons[code] for code in worlds.reason} == {"missed"}
    assert worlds.time_s.max() < 6.0 and not worlds.success.any()


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("own bin, turned", "running"),
        ("other bin", "wrong-bin"),
        ("bench", "dropped"),
        ("own bin", "success"),
    ],
)
def test_where_a_part_ends_up_decides(task: ConveyorSort, where: str, reason: str) -> None:
    worlds = Worlds(task, 6)
    worlds.reset(np.arange(6), SEEDS[:6])
    kind = worlds.signals.now["part.class"].argmax(axis=1)
    target = (kind + (where == "other bin")) % 3
    adr = part_address(task)
    spot = np.array([0.12, -0.25]) if where == "bench" else BINS[target]
    worlds.engine.qpos[:, adr : adr + 2] = spot
    worlds.engine.qpos[:, adr + 2] = (0.0 if where == "bench" else BIN_FLOOR) + GOODS.half[kind, 2]
    angle = BIN_ANGLE[target] / 2 + (0.3 if where == "own bin, turned" else 0.0)
    worlds.engine.qpos[:, adr + 3 : adr + 7] = np.column_stack(
        [np.cos(angle), 0 * angle, 0 * angle, np.sin(angle)]
    )
    for _ in range(20):
        worlds.step(still_action(6))
    assert {task.reasons[code] for code in worlds.reason} == {reason}


def test_goods_start_where_they_should(task: ConveyorSort) -> None:
    start = task.place(Streams(task.key, SEEDS))
    adr = [int(task.model.joint(f"{name}_free").qposadr[0]) for name in ("part", "other_1", "other_2")]
    part, *others = (start.qpos[:, a : a + 2] for a in adr)
    for other in others:
        distance = np.hypot(*(other - part).T)
        assert distance.min() >= 0.045 - 1e-9 and distance.max() <= 0.12 + 1e-9
    assert np.hypot(*(others[0] - others[1]).T).min() > 0.045
    for spots in (part, *others):
        assert np.abs(spots[:, 0] - 0.27).max() < 0.045 and spots[:, 1].min() > -0.44
    speed = start.fields["geom_surfacevel"][:, task.model.geom("belt").id, 1]
    assert 0.1 < speed.min() < 0.11 and 0.29 < speed.max() < 0.3
    assert start.held["part.class"].mean(axis=0) == pytest.approx(1 / 3, abs=0.05)


def test_nothing_overlaps_deeply_at_the_start(task: ConveyorSort) -> None:
    worlds = Worlds(task, 24)
    worlds.reset(np.arange(24), SEEDS[:24])
    for world in range(24):
        model, data = worlds.engine.snapshot(world)
        mujoco.mj_forward(model, data)
        assert data.contact.dist.min(initial=0.0) > -0.001


def test_the_belt_carries_its_goods_at_its_speed(task: ConveyorSort) -> None:
    worlds = Worlds(task, 8)
    worlds.reset(np.arange(8), SEEDS[:8])
    for _ in range(15):
        worlds.step(still_action(8))
    now = worlds.signals.now
    np.testing.assert_allclose(now["part.vel"][:, 1], now["belt.speed"], atol=0.01)
    np.testing.assert_allclose(now["part.pos"][:, 2], BELT_TOP + now["part.size"][:, 2], atol=0.001)


def test_a_cup_over_the_part_holds_only_with_vacuum(task: ConveyorSort) -> None:
    model = task.build().compile()
    data = mujoco.MjData(model)
    model.geom_surfacevel[:] = 0.0
    q = load_robot("yk400xec").home
    for name, value in zip(("j1", "j2", "jz", "jr"), q, strict=True):
        data.joint(name).qpos[0] = data.actuator(name).ctrl[0] = value
    mujoco.mj_forward(model, data)
    adr = part_address(task)
    data.qpos[adr : adr + 2] = data.site("tcp").xpos[:2]
    data.qpos[adr + 2] = BELT_TOP + 0.010
    down = q[2] - (data.site("tcp").xpos[2] - BELT_TOP - 0.020) + 0.001  # the lip ends 1 mm above the part
    data.joint("jz").qpos[0] = data.actuator("jz").ctrl[0] = down

    def settle(vacuum: float, z: float, steps: int) -> tuple[float, float]:
        data.actuator("vacuum").ctrl[0] = vacuum
        start = data.actuator("jz").ctrl[0]
        for step in range(steps):
            data.actuator("jz").ctrl[0] = start + (z - start) * (step + 1) / steps
            mujoco.mj_step(model, data)
        return float(data.sensor("vacuum.contacts").data[0]), float(data.sensor("vacuum.force").data[2])

    contacts, force = settle(0.0, down, 50)
    assert contacts == 4 and abs(force) < 0.1  # within the gap, yet nothing is held
    contacts, force = settle(1.0, down, 100)
    assert contacts == 4 and abs(force) > 15.0
    settle(1.0, down + 0.04, 250)
    assert data.qpos[adr + 2] > BELT_TOP + 0.04
    contacts, force = settle(0.0, down + 0.04, 100)
    assert contacts == 0 and data.qpos[adr + 2] < BELT_TOP + 0.03


def test_random_actions_never_flip_the_elbow() -> None:
    free, robot = ConveyorSort(), load_robot("yk400xec")
    free.model.opt.disableflags |= int(
        mujoco.mjtDisableBit.mjDSBL_CONTACT | mujoco.mjtDisableBit.mjDSBL_GRAVITY
    )
    worlds, random = Worlds(free, 16), np.random.default_rng(5)
    for seeds in (SEEDS[:16], SEEDS[16:32]):
        worlds.reset(np.arange(16), seeds)
        for tick in range(100):
            if tick % 10 == 0:
                action = random.choice([-1.0, 1.0], (16, 5))
            worlds.step(action)
            elbow = worlds.signals["arm.q"][..., 1]
            assert elbow.min() > ELBOW[0] - 0.02 and elbow.max() < ELBOW[1] + 0.02
            assert np.all(np.abs(worlds.signals["arm.qd"]) < 1.1 * robot.qd_max)
    assert (worlds.limits_active > 0.3).all()


def test_the_elbow_comes_back_after_a_blow(task: ConveyorSort) -> None:
    worlds = Worlds(task, 16)
    worlds.reset(np.arange(16), SEEDS[:16])
    aside = np.random.default_rng(5).choice([-1.0, 1.0], (16, 2))
    for tick in range(70):
        rammed = tick < 40
        up = np.full(16, -1.0 if rammed else 1.0)
        move = aside if rammed else 0.0 * aside
        worlds.step(np.column_stack([move, up, 0.0 * up, 0.0 * up - 1.0]))
    running = ~worlds.done
    elbow = worlds.signals.now["arm.q"][running, 1]
    assert running.sum() >= 8 and np.all((elbow > ELBOW[0]) & (elbow < ELBOW[1]))


def test_the_tool_follows_the_commanded_velocity(task: ConveyorSort) -> None:
    worlds = Worlds(task, 2)
    worlds.reset(np.arange(2), SEEDS[:2])
    for _ in range(12):
        worlds.step(np.array([[-0.1, 0.15, -0.05, 0.2, -1.0], [-0.1, -0.1, 0.02, -0.2, -1.0]]))
    now = worlds.signals.now
    scale = np.array([task.speed, task.speed, task.lift])
    wanted = np.array([[-0.1, 0.15, -0.05], [-0.1, -0.1, 0.02]]) * scale
    np.testing.assert_allclose(now["tcp.vel"], wanted, atol=0.01)
    np.testing.assert_allclose(now["tcp.angvel"][:, 2], np.array([0.2, -0.2]) * task.turn, atol=0.05)


def test_observation_names_its_columns(task: ConveyorSort) -> None:
    names = [name for name, _ in task.observation_names]
    assert len(names) == len(set(names)) == 36
    assert [f"part_class.{name}" for name in GOODS.names] == names[-3:]
    assert 10 <= len([s for s in task.table.values() if s.kind != "constant"]) <= 40
