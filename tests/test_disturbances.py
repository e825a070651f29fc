"""Disturbances: severity 0 changes no bit, every other one changes what it claims to change, by as much as it claims."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.disturbances import LEVELS, Push, disturbance_classes, make_disturbance
from genba.envs.effects import MEASURES, measure
from genba.envs.engine import Engine
from genba.envs.errors import UnknownName
from genba.envs.task import Task, task_ids
from genba.envs.worlds import Worlds

NAMES = tuple(disturbance_classes())
each_task = pytest.mark.parametrize("task_id", task_ids())
each = pytest.mark.parametrize("name", NAMES)
SIX = {"sensor-noise", "observation-delay", "action-delay", "part-mass", "friction", "push"}


def traces(
    task: Task, names: Sequence[str], levels: dict[str, NDArray[np.int64]], ticks: int = 60, n: int = 6
) -> tuple[list[str], NDArray[np.float32], Worlds]:
    """Trace hashes, the last observation and the worlds after `ticks` of the expert."""
    worlds = Worlds(task, n, 2, disturbances=names, trace=True)
    worlds.reset(np.arange(n), np.arange(n), levels)
    for _ in range(ticks):
        worlds.step(task.expert(worlds.observation()))
    return [worlds.trace_sha256(i) for i in range(n)], worlds.observation(), worlds


def test_the_six_are_there_and_say_what_they_do() -> None:
    assert set(NAMES) == set(MEASURES) and set(NAMES) >= SIX
    for cls in disturbance_classes().values():
        values = cls.ladder.values
        assert len(values) == LEVELS and values[0] == 0.0 and list(values) == sorted(set(values))
        assert (
            cls.ladder.source
            and all(cls.says)
            and cls.port in ("model", "sensing", "actuation", "world", "camera")
        )


def test_an_unknown_disturbance_is_named(tasks: dict[str, Task]) -> None:
    engine = Engine(tasks["kit-pick"].model, 2, 1, 10)
    with pytest.raises(UnknownName, match="friction"):
        make_disturbance("fricton", tasks["kit-pick"], engine)
    with pytest.raises(UnknownName, match="push"):
        measure(tasks["kit-pick"], "pusch")


@each_task
def test_severity_zero_changes_no_bit(tasks: dict[str, Task], task_id: str) -> None:
    """All at severity 0, alone and beside worlds that are disturbed, against worlds that know no disturbance."""
    task = tasks[task_id]
    calm, seen, _ = traces(task, (), {})
    zero, zero_seen, _ = traces(task, NAMES, {name: np.zeros(6, np.int64) for name in NAMES})
    assert zero == calm and zero_seen.tobytes() == seen.tobytes()
    beside = np.array([0, 3, 0, 5, 0, 1])
    mixed, mixed_seen, _ = traces(task, NAMES, {name: beside for name in NAMES})
    for world, level in enumerate(beside):
        assert (mixed[world] == calm[world]) == (level == 0)
        assert (mixed_seen[world].tobytes() == seen[world].tobytes()) == (level == 0)


@each_task
@each
def test_every_severity_changes_the_trajectory(tasks: dict[str, Task], task_id: str, name: str) -> None:
    task, levels = tasks[task_id], np.array([0, 1, 2, 3, 4, 5])
    ticks = max(
        160, round(Push.window[1] * task.takt_s * task.control_hz) + 8
    )  # every shove has begun by then
    together, _, _ = traces(task, (name,), {name: levels}, ticks)
    calm, _, _ = traces(task, (), {}, ticks)
    changed = [with_it != without for with_it, without in zip(together, calm, strict=True)]
    assert changed == [bool(level) for level in levels]


TOLERANCE = {
    "sensor-noise": 0.06,
    "observation-delay": 0.0,
    "action-delay": 0.0,
    "part-mass": 0.01,
    "friction": 0.15,
    "push": 0.02,
}


@each_task
@each
def test_the_effect_is_the_one_claimed(tasks: dict[str, Task], task_id: str, name: str) -> None:
    """Measured in the quantity that it claims to change: see genba.envs.effects."""
    effects = measure(tasks[task_id], name)
    measured = [effect.measured for effect in effects]
    assert measured == pytest.approx([effect.claimed for effect in effects], rel=TOLERANCE[name], abs=1e-9)
    assert measured == sorted(measured) and len(set(measured)) == LEVELS - 1


@each_task
@pytest.mark.parametrize("name", ["part-mass", "friction"])
def test_both_signs_occur(tasks: dict[str, Task], task_id: str, name: str) -> None:
    worlds = Worlds(tasks[task_id], 64, 1, disturbances=(name,))
    worlds.reset(np.arange(64), np.arange(64), {name: np.full(64, 2)})
    value = worlds.disturbances[name].value
    assert sorted(set(value.round(12))) == [0.8, 1.2] and 16 < (value > 1.0).sum() < 48


def test_the_fingers_feel_the_weight(tasks: dict[str, Task]) -> None:
    """What the pads carry of a part that hangs between them follows its mass."""
    task, n = tasks["kit-pick"], 24
    levels = np.arange(n) % 3 * 2  # 0, 2 and 4
    worlds = Worlds(task, n, 2, disturbances=("part-mass",))
    worlds.reset(np.arange(n), np.arange(n), {"part-mass": levels})
    carried: list[list[float]] = [[] for _ in range(n)]
    for _ in range(260):
        worlds.step(task.expert(worlds.observation()))
        now = worlds.signals.now
        lift = -(now["grip.left"] + now["grip.right"])[:, 2]
        hanging = (now["part.pos"][:, 2] > 0.10) & (now["grip.force"] > 1.0) & ~worlds.done
        for world in np.flatnonzero(hanging):
            carried[world].append(abs(float(lift[world])))
    body = task.model.body("part").id
    mass = worlds.engine.fields["body_mass"][:, body]
    felt = np.array([np.median(values) if len(values) > 20 else np.nan for values in carried])
    assert np.isfinite(felt).sum() > n // 2
    known = np.isfinite(felt)
    assert felt[known] / (9.81 * mass[known]) == pytest.approx(1.0, rel=0.05)
    assert worlds.disturbances["part-mass"].value[levels == 2].std() > 0.1


@each_task
def test_a_shove_moves_the_tool_and_more_of_it_moves_it_further(tasks: dict[str, Task], task_id: str) -> None:
    """The same direction at the same moment in all worlds of a seed, so that only the force differs; an arm is stiffer along some
    directions than along others, so several are tried."""
    task, n = tasks[task_id], 6
    reached = []
    for seed in range(7, 15):
        worlds = Worlds(task, n, 1, disturbances=("push",))
        worlds.reset(np.arange(n), np.full(n, seed), {"push": np.arange(n)})
        shove = worlds.disturbances["push"]
        assert isinstance(shove, Push)
        shove.start[:] = 10
        furthest, applied = np.zeros(n), np.zeros(n)
        still = np.zeros((n, len(task.action_names)))
        for _ in range(20):
            worlds.step(still)
            applied += np.hypot(*worlds.engine.wrench[:, shove.body, :2].T) * task.dt
            tool = worlds.signals.now["tcp.pos"]
            furthest = np.maximum(furthest, np.linalg.norm(tool - tool[0], axis=1))
        assert applied == pytest.approx(np.array(shove.ladder.values) * shove.duration_s)
        assert furthest[0] == 0.0 and (np.diff(furthest) > 0.0).all()
        reached.append(furthest[1])
    assert np.mean(reached) > 2e-5


@each_task
def test_a_shove_comes_before_the_work_is_done(tasks: dict[str, Task], task_id: str) -> None:
    """Or the condition would be an undisturbed one under another name."""
    task, n = tasks[task_id], 16
    worlds = Worlds(task, n, 2, disturbances=("push",))
    worlds.reset(np.arange(n), np.arange(n), {"push": np.full(n, 1)})
    shove = worlds.disturbances["push"]
    assert isinstance(shove, Push)
    while not worlds.done.all():
        worlds.step(task.expert(worlds.observation()))
    assert (worlds.steps > shove.start).all()
    assert (
        shove.start.min() >= 0.2 * task.control_hz
        and shove.start.std() > 0.05 * task.takt_s * task.control_hz
    )


def test_a_shove_ends_with_its_episode(tasks: dict[str, Task]) -> None:
    """A world that is taken anew while it is being shoved starts without a force."""
    task = tasks["kit-pick"]
    worlds = Worlds(task, 2, 1, disturbances=("push",), trace=True)
    worlds.reset(np.arange(2), np.arange(2), {"push": np.full(2, 5)})
    shove = worlds.disturbances["push"]
    assert isinstance(shove, Push)
    shove.start[:] = 3
    still = np.zeros((2, len(task.action_names)))
    for _ in range(5):
        worlds.step(still)
    assert np.abs(worlds.engine.wrench).max() > 0.0
    worlds.reset(np.arange(2), np.arange(2), {"push": np.zeros(2, np.int64)})
    fresh = Worlds(task, 2, 1, trace=True)
    fresh.reset(np.arange(2), np.arange(2))
    for _ in range(20):
        worlds.step(still)
        fresh.step(still)
    assert [worlds.trace_sha256(i) for i in range(2)] == [fresh.trace_sha256(i) for i in range(2)]


def test_noise_is_fresh_each_tick_and_the_same_at_every_look(tasks: dict[str, Task]) -> None:
    task, n = tasks["kit-pick"], 4
    worlds = Worlds(task, n, 1, disturbances=("sensor-noise",))
    worlds.reset(np.arange(n), np.arange(n), {"sensor-noise": np.full(n, 3)})
    first = worlds.observation()
    assert first.tobytes() == worlds.observation().tobytes()
    truth = worlds.signals.now["part.pos"].copy()
    errors = [worlds.sensed()["part.pos"] - truth]
    worlds.step(np.zeros((n, len(task.action_names))))
    errors.append(worlds.sensed()["part.pos"] - worlds.signals.now["part.pos"])
    assert (errors[0] != errors[1]).all()
    assert len({error.tobytes() for error in errors[0]}) == n


def test_truth_stays_true_under_sensing_disturbances(tasks: dict[str, Task]) -> None:
    """With the same actions, noise and observation delay leave the physics alone: constraints read the truth."""
    task, n = tasks["kit-pick"], 4
    hashes = []
    for names in ((), ("sensor-noise", "observation-delay")):
        worlds = Worlds(task, n, 1, disturbances=names, trace=True)
        worlds.reset(np.arange(n), np.arange(n), {name: np.full(n, 5) for name in names})
        for tick in range(30):
            worlds.observation()
            worlds.step(np.full((n, len(task.action_names)), np.sin(tick)))
        hashes.append([worlds.trace_sha256(i) for i in range(n)])
    assert hashes[0] == hashes[1]
