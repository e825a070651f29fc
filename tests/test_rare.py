"""Splitting on real worlds: a copied world goes on as the one it was copied from, and what it says agrees with a check."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.errors import BadInput, UnknownName
from genba.envs.task import SEED_RANGES, get_task
from genba.envs.world_rows import WorldRows
from genba.policies.load import load_policy
from genba.safety.constraints import Bound
from genba.safety.episodes import Loop
from genba.safety.plan import Episode
from genba.safety.rare import RareResult, WorldsChain, rare
from genba.safety.splitting import Rare
from genba.safety.suite import load_suite

TASK, NOISE = "conveyor-sort", "sensor-noise"
N = 6


def rule(name: str) -> Bound:
    bound = load_suite(TASK).bind(get_task(TASK)).assessed
    return next(each for each in bound if each.constraint.id == name)


def seeds(count: int = N) -> NDArray[np.int64]:
    return np.asarray(SEED_RANGES["test"] + 40 + np.arange(count), np.int64)


@pytest.fixture(scope="module")
def chain() -> WorldsChain:
    policy, task = load_policy("scripted", TASK), get_task(TASK)
    return WorldsChain(policy, task, rule("workspace"), NOISE, 3, N, 1)


@pytest.fixture(scope="module")
def walked(chain: WorldsChain) -> list[NDArray[np.float64]]:
    """The states of every tick."""
    states = [chain.start(seeds())]
    for tick in range(chain.ticks):
        states.append(chain.step(states[-1], seeds(), tick))
    return states


@pytest.mark.parametrize("tick", [0, 25, 60])
def test_a_copied_world_goes_on_as_its_original_wherever_it_stands(
    chain: WorldsChain, walked: list[NDArray[np.float64]], tick: int
) -> None:
    order = np.array([3, 0, 5])
    states = walked[tick][order]
    for later in range(tick, tick + 12):
        states = chain.step(states, seeds()[order], later)
    assert np.array_equal(states, walked[tick + 12][order], equal_nan=True)


def test_copies_part_with_noise_of_their_own(chain: WorldsChain, walked: list[NDArray[np.float64]]) -> None:
    states, own = walked[20][[1, 1]], np.array([seeds()[1], 77], np.int64)
    for later in range(20, 32):
        states = chain.step(states, own, later)
    assert np.array_equal(states[0], walked[32][1], equal_nan=True)
    assert not np.array_equal(states[1], walked[32][1], equal_nan=True)


def kept(task_id: str, count: int) -> list[tuple[str, str, str]]:
    """What is a row a world of so many worlds, by owner, name and key."""
    worlds = get_task(task_id).make_worlds(count, 1, 1.0, [NOISE, "encoder-offset"], trace=False)
    worlds.reset(np.arange(count), np.arange(count))
    worlds.step(np.zeros((count, len(worlds.task.action_names))))
    return [(type(each.owner).__name__, each.name, each.key) for each in WorldRows(worlds).places]


@pytest.mark.parametrize(("task_id", "counts"), [("kit-pick", (7, 10)), (TASK, (2, 4, 10))])
def test_as_many_worlds_as_joints_or_substeps_are_no_reason_to_copy_constants(
    task_id: str, counts: tuple[int, ...]
) -> None:
    """Seven worlds are as many as the joint limits of an arm, ten as the physics steps of a tick."""
    expected = kept(task_id, 11)
    assert any(name == "qd" for _, name, _ in expected)
    for count in counts:
        assert kept(task_id, count) == expected


def test_its_margins_are_those_of_a_check(walked: list[NDArray[np.float64]], chain: WorldsChain) -> None:
    """But for kinematics that are a physics step fresher."""
    policy, task = load_policy("scripted", TASK), get_task(TASK)
    loop = Loop(policy, task, [rule("workspace").constraint], [NOISE], N, 1)
    episodes = [Episode(i, 0, NOISE, 3, int(seed)) for i, seed in enumerate(seeds())]
    rows = sorted(loop.play(episodes), key=lambda row: int(row["episode"]))
    expected = np.array([row["margin.workspace"] for row in rows])
    found = np.min([chain.margin(states) for states in walked], axis=0)
    assert np.abs(found - expected).max() < 2e-3  # m
    assert all(row["success"] for row in rows)
    chain.rows.put(np.arange(N), walked[-1][:, :-1])
    assert chain.worlds.done[:N].all() and chain.worlds.success[:N].all()


def test_a_limit_that_looks_ahead_is_refused() -> None:
    policy, task = load_policy("scripted", TASK), get_task(TASK)
    with pytest.raises(BadInput, match="looks ahead or back"):
        WorldsChain(policy, task, rule("action-rate"), NOISE, 3, N, 1)


@pytest.mark.parametrize("wrong", [{"severity": 6}, {"copies": 1}, {"replicas": 1}, {"seed": -1}])
def test_numbers_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(BadInput):
        rare(load_policy("scripted", TASK), "workspace", **wrong)  # type: ignore[arg-type]


def test_an_unknown_limit_is_told_with_those_that_are() -> None:
    with pytest.raises(UnknownName, match="workspace"):
        rare(load_policy("scripted", TASK), "workspce")


def test_what_it_says() -> None:
    found = Rare(1e-3, 5e-4, 1.5e-3, 0.95, 6, 64, 20.0, 50_000, 0)
    result = RareResult(TASK, "p", "workspace", NOISE, 3, found, 30_000, 200)
    assert result.plain_steps is not None
    assert abs(result.plain_steps - 1.96**2 * 1e-3 * 0.999 / 5e-4**2 * 200) < 1.0
    assert "0.001 of all episodes" in result.table() and "times as many" in result.table()
    assert (result.as_json()["interval"], result.as_json()["upper"]) == ("student-t", 1.5e-3)
    nothing = RareResult(TASK, "p", "a", NOISE, 3, Rare(0.0, 0.0, 0.0096, 0.95, 6, 64, 1.0, 1, 6), 1, 200)
    assert nothing.plain_steps is None and "too few copies" in nothing.table()
    assert "0 of all episodes (0 to 0.0096, 95%" in nothing.table()
    assert "0.0096 is what 384 plain episodes without one allow" in nothing.table()
    assert (nothing.as_json()["interval"], nothing.as_json()["upper"]) == ("clopper-pearson", 0.0096)
