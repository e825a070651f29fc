"""A worker in a running cell: the same bits in any company, distances and speeds that another calculation agrees with, giving way."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.contact_model import region_limit, transient_force
from genba.envs.people import PARTS, REGIONS, region_of
from genba.envs.people_cell import CUTOFF_M, PREFIX, WAIT_S, YIELD_N
from genba.envs.people_signals import CALM, CLOCK, RATE, SCRIPT
from genba.envs.tasks.kit_pick import COLLEAGUE, LINKS
from genba.envs.worlds import Worlds
from genba.safety.contact_limits import RobotMass, judge_body
from genba.tests.people_kit import WithWorker

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def cell() -> WithWorker:
    return WithWorker()


def trace(task: WithWorker, n: int, threads: int, ticks: int = 25) -> list[str]:
    worlds = Worlds(task, n, threads=threads, trace=True)
    worlds.reset(np.arange(n), np.arange(n, dtype=np.int64) + 5)
    for _ in range(ticks):
        worlds.step(np.zeros((worlds.rows, 5)))
    return [worlds.trace_sha256(i) for i in range(n)]


def test_worlds_with_a_worker_are_the_same_bits_in_any_company(cell: WithWorker) -> None:
    whole = trace(cell, 9, 2)
    assert trace(cell, 9, 1) == whole and trace(cell, 1, 1) == whole[:1] and trace(cell, 4, 2) == whole[:4]
    assert len(set(whole)) == 9


def played(task: WithWorker, ticks: int, n: int = 3) -> tuple[Worlds, dict[str, Array]]:
    """Signals of all substeps of worlds that follow the expert: no world ends within `ticks`."""
    worlds = Worlds(task, n, threads=1)
    worlds.reset(np.arange(n), np.arange(n, dtype=np.int64) + 7)
    names = [
        "body.distances",
        "body.distance",
        "body.approach",
        *(f"body.{r}.{k}" for r in REGIONS for k in ("distance", "closing", "normal")),
    ]
    blocks: dict[str, list[Array]] = {name: [] for name in names}
    for _ in range(ticks):
        worlds.step(task.expert(worlds.observation()))
        assert not worlds.done.any()
        for name in names:
            blocks[name].append(worlds.signals[name].copy())
    return worlds, {name: np.concatenate(each, axis=1) for name, each in blocks.items()}


def test_distances_are_those_of_mj_geomdistance(cell: WithWorker) -> None:
    worlds, seen = played(cell, 40)
    for world in range(3):
        model, data = worlds.engine.snapshot(world)
        mujoco.mj_forward(model, data)
        worlds.engine.batch.forward(np.arange(worlds.rows))
        now = worlds.engine.batch.bind("sensordata")[world]
        first = int(model.sensor("body.distances.1").adr[0])
        for i, part in enumerate(PARTS):
            skin = model.geom(f"{PREFIX}{part}_skin").id
            for j, link in enumerate(LINKS):
                body = model.body(link)
                geoms = range(int(body.geomadr[0]), int(body.geomadr[0] + body.geomnum[0]))
                found = min(mujoco.mj_geomDistance(model, data, g, skin, CUTOFF_M, None) for g in geoms)
                assert now[first + i * len(LINKS) + j] == pytest.approx(found, abs=1e-9), (part, link)
    pairs = seen["body.distances"].reshape(3, -1, len(PARTS), len(LINKS))
    for region in REGIONS:
        rows = [i for i, part in enumerate(PARTS) if region_of(part) == region]
        assert (seen[f"body.{region}.distance"] == pairs[:, :, rows].min(axis=(2, 3))).all()
    assert (seen["body.distance"] == pairs.min(axis=(2, 3))).all() and seen["body.approach"].max() > 0.05


def test_closing_speeds_are_how_fast_distances_shrink(cell: WithWorker) -> None:
    _, seen = played(cell, 150)
    moving = 0.0
    for region in REGIONS:
        distance, closing = seen[f"body.{region}.distance"], seen[f"body.{region}.closing"]
        shrunk = -np.diff(distance, axis=1) / 0.002
        error = np.abs(shrunk - 0.5 * (closing[:, 1:] + closing[:, :-1]))
        assert np.quantile(error, 0.99) < 0.03, region  # m/s; a nearest pair may change between two samples
        assert np.abs(np.sqrt((seen[f"body.{region}.normal"] ** 2).sum(axis=-1)) - 1.0).max() < 1e-9
        moving = max(moving, float(np.abs(closing).max()))
    assert moving > 1.0


def test_distances_at_100_hz_are_less_by_what_may_have_been_closed() -> None:
    task = WithWorker()
    task.interval_s = 0.01
    _, seldom = played(task, 60)
    always = WithWorker()
    _, often = played(always, 60)
    assert len(np.unique(seldom["body.distances"][0, :50, 0])) == 10
    for region in REGIONS:
        name = f"body.{region}.distance"
        assert (seldom[name] <= often[name] + 0.002).all(), region  # 2 mm: speeds change within 10 ms


def test_a_worker_who_walks_into_the_arm_is_felt_at_the_speed_of_walking() -> None:
    task = WithWorker()
    task.motions = ("walk-past",)
    task.place_of = replace(COLLEAGUE, stand=(0.46, -0.05), work=(0.46, 0.30, 0.15), way=4.0)
    worlds = Worlds(task, 4, threads=1)
    worlds.reset(np.arange(4), np.arange(4, dtype=np.int64))
    speed, forces, meant = np.zeros(4), np.zeros(4), worlds.held[SCRIPT][:, 5]
    for _ in range(200):
        worlds.step(np.zeros((4, 5)))
        for region in REGIONS:
            pressed = worlds.signals[f"body.{region}.force"]
            met = np.where(pressed > 0.0, worlds.signals[f"body.{region}.closing"], 0.0).max(axis=1)
            speed, forces = np.maximum(speed, met), np.maximum(forces, pressed.max(axis=1))
    hit = forces > 0.0
    assert hit.any() and (speed[hit] > 0.5 * meant[hit]).all() and (speed[hit] < 3.0 * meant[hit]).all()


def run_into(motion: str, ticks: int, pushing: float = 0.0) -> tuple[WithWorker, list[dict[str, Array]]]:
    """A worker who gets in the way of an arm that stands still or pushes that way: the signals of each tick, two worlds."""
    task = WithWorker()
    task.motions = (motion,)
    task.place_of = replace(COLLEAGUE, stand=(0.46, -0.55), work=(0.46, -0.1, 0.15))
    worlds = Worlds(task, 2, threads=1)
    worlds.reset(np.arange(2), np.arange(2, dtype=np.int64) + 4)
    names = [
        CLOCK,
        RATE,
        CALM,
        *(f"body.{r}.{k}" for r in REGIONS for k in ("force", "closing", "transient")),
    ]
    seen = []
    for _ in range(ticks):
        worlds.step(np.tile([0.0, -pushing, 0.0, 0.0, 0.0], (2, 1)))
        seen.append({name: worlds.signals[name].copy() for name in names})
    return task, seen


def at_ends(seen: list[dict[str, Array]]) -> tuple[Array, dict[str, Array]]:
    """Largest force on the body and the worker's clock at the end of each tick, `(ticks, 2)`."""
    force = [np.stack([tick[f"body.{r}.force"][:, -1] for r in REGIONS]).max(axis=0) for tick in seen]
    return np.stack(force), {
        name: np.stack([tick[name][:, -1] for tick in seen]) for name in (CLOCK, RATE, CALM)
    }


@pytest.mark.wide
@pytest.mark.parametrize("pushing", [0.0, 1.0])
def test_who_is_touched_stops_and_who_is_pressed_gives_way(pushing: float) -> None:
    force, state = at_ends(run_into("stumble", 200, pushing)[1])
    before, rate = force[:-1], state[RATE][1:]
    assert (rate[before > YIELD_N] == -1.0).all() and (
        rate[(before > 0.0) & (before <= YIELD_N)] == 0.0
    ).all()
    assert (before > YIELD_N).any() or pushing == 0.0
    np.testing.assert_allclose(np.diff(state[CLOCK], axis=0), rate * 0.02, atol=1e-12)
    for world in range(2):
        touched = np.flatnonzero(force[:, world] > 0.0)
        assert (state[RATE][: touched[0] + 1, world] == 1.0).all() and (state[RATE][:, world] == 0.0).any()
        assert state[CALM][touched[0], world] >= WAIT_S
    if pushing == 0.0:  # a robot that stands still presses on nobody for longer
        held = np.lib.stride_tricks.sliding_window_view(force, 30, axis=0).min(axis=-1)
        assert held.max() <= YIELD_N


def test_the_contact_of_an_episode_is_judged_as_the_suite_judges_it() -> None:
    task, seen = run_into("stay-in-path", 160)
    whole = {name: np.concatenate([tick[name] for tick in seen], axis=1) for name in seen[0]}
    mass = task.colleague.robot_mass
    for region in REGIONS:
        expected = transient_force(region_limit(region), mass, whole[f"body.{region}.closing"])
        assert (whole[f"body.{region}.transient"] == expected).all()
    for world in range(2):
        judged = judge_body({name: trace[world] for name, trace in whole.items()}, RobotMass(mass), 0.002)
        assert [each.region for each in judged if each.touched] and len(judged) == len(REGIONS)
        shares = [max(each.transient.share, each.lasting.share) for each in judged]
        assert shares == sorted(shares, reverse=True)
        for each in judged:
            pressed = whole[f"body.{each.region}.force"][world] > 0.0
            worst = np.where(pressed, whole[f"body.{each.region}.transient"][world], 0.0).max()
            if each.region != "head":
                assert each.transient.force == worst
