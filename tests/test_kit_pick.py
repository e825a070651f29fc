"""kit-pick with more shapes and a tote of mixed parts: where they lie, what the policy is told of them, and that the work is done among them."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from genba.envs.parameters import parameters_of
from genba.envs.people import REGIONS
from genba.envs.task import SEED_RANGES, Task, get_task
from genba.envs.tasks.kit_pick import LIKE, MORE, OTHERS, TOTE, KitPick
from genba.envs.terms import norm_xy
from genba.envs.worlds import Worlds
from genba.safety.suite import load_suite
from genba.tests.cells.kit_pick import oracle

MIXED = "kit-pick,part.kinds=5,part.others=4"


@pytest.fixture(scope="module")
def task() -> KitPick:
    task = get_task(MIXED)
    assert isinstance(task, KitPick)
    return task


def started(task: Task, n: int, first: int = 0) -> Worlds:
    worlds = Worlds(task, n, 2)
    worlds.reset(np.arange(n), SEED_RANGES["test"] + first + np.arange(n))
    return worlds


def test_as_shipped_there_are_three_shapes_and_no_others() -> None:
    for variant in ("kit-pick", "kit-pick:easy", "kit-pick:hard"):
        task = get_task(variant)
        assert isinstance(task, KitPick) and task.others == () and task.cell["part.kinds"] == (3.0, 3.0)


def test_five_shapes_lie_in_the_tote_apart_and_touch_nothing(task: KitPick) -> None:
    worlds = started(task, 150)
    model = task.model
    sizes = worlds.engine.fields["geom_size"]
    assert len(np.unique(sizes[:150, model.geom("part_geom").id], axis=0)) == 5
    for world in range(150):
        copied, data = worlds.engine.snapshot(world)
        mujoco.mj_forward(copied, data)
        part = data.body("part").xpos[:2]
        others = np.array([data.body(body).xpos[:2] for body in task.others])
        assert len(others) == 4 and (norm_xy(others - part) > OTHERS.apart - 0.005).all()
        assert (np.abs(others - TOTE) < np.array([0.15, 0.115])).all()
        met = [copied.geom(geom).name for each in data.contact[: data.ncon] for geom in each.geom.tolist()]
        assert not [name for name in met if name.startswith(("other_", "part_"))]


def test_the_policy_is_told_whose_grasp_a_shape_takes(task: KitPick) -> None:
    worlds = started(task, 64)
    sizes = worlds.engine.fields["geom_size"][:, task.model.geom("part_geom").id]
    kind = np.array([np.abs(MORE._size - size).sum(axis=1).argmin() for size in sizes])
    told = task.split(worlds.observation())["part_shape"].argmax(axis=1)
    np.testing.assert_array_equal(told, LIKE[kind])
    np.testing.assert_array_equal(MORE.round, MORE.round[LIKE])


@pytest.mark.wide
@pytest.mark.parametrize(
    "spec", [MIXED, pytest.param("kit-pick:hard,part.kinds=5,part.others=4", marks=pytest.mark.long)]
)
def test_the_expert_works_among_mixed_parts(spec: str) -> None:
    task = get_task(spec)
    assert isinstance(task, KitPick)
    n = 48
    worlds = started(task, n, 5000)
    while not worlds.done.all():
        worlds.step(task.expert(worlds.observation()))
    found = []
    for world in range(n):
        model, data = worlds.engine.snapshot(world)
        mujoco.mj_forward(model, data)
        found.append(oracle(model, data))
    assert found == worlds.success.tolist() and np.mean(found) >= 0.95


def test_as_many_others_lie_there_as_the_cell_says() -> None:
    rows = parameters_of("kit-pick")
    assert rows["part.others"].range == (0.0, 4.0) and rows["part.kinds"].range == (1.0, 5.0)
    for count in (0, 1, 3):
        task = get_task(f"kit-pick,part.others={count}")
        assert isinstance(task, KitPick) and len(task.others) == count
        assert sum(task.model.body(i).name.startswith("other_") for i in range(task.model.nbody)) == count


@pytest.mark.parametrize(("number", "stature"), [(1, 1.505), (2, 1.675), (3, 1.855)])
def test_a_colleague_of_ten_regions_joins_who_works_there(number: int, stature: float) -> None:
    task = get_task(f"kit-pick,colleague={number}")
    assert isinstance(task, KitPick) and task.colleague is not None
    assert task.colleague.size["stature"] == stature
    assert {f"body.{region}.distance" for region in REGIONS} <= set(task.table)
    shared = load_suite("collaborative").bind(task)
    assert not shared.not_assessed and load_suite("collaborative").bind(get_task("kit-pick")).not_assessed


def test_a_policy_is_told_of_whoever_is_nearer() -> None:
    task = get_task("kit-pick,colleague=2")
    worlds, colleague_nearer = started(task, 8), 0
    while not worlds.done.all() and worlds.steps.max() < 200:
        worlds.step(task.expert(worlds.observation()))
        now, told = worlds.signals.now, task.split(worlds.observation())
        nearest = np.minimum(now["worker.distance"], now["body.distance"]).clip(0.0, 0.6)
        playing = ~worlds.done
        np.testing.assert_allclose(told["worker_distance"][playing], nearest[playing], atol=1e-6)
        colleague_nearer += int((now["body.distance"] < now["worker.distance"])[playing].sum())
    assert colleague_nearer > 100


@pytest.mark.wide
def test_the_expert_works_beside_a_colleague_and_a_touch_is_a_cost() -> None:
    task, n = get_task("kit-pick,colleague=2"), 20
    worlds, touches = started(task, n), 0
    while not worlds.done.all():
        worlds.step(task.expert(worlds.observation()))
        touched = (worlds.signals["body.contacts"] != 0.0).any(axis=(1, 2))
        assert (task.cost(worlds.signals)[touched] == 1.0).all()
        touches += int(touched.sum())
    assert touches > 0 and worlds.success.mean() >= 0.85  # some walk up and stay in the way
