"""Disturbances: severity 0 changes no bit, every other one changes what it claims to change, by as much as it claims."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.camera_effects import shots
from genba.envs.disturbances import (
    LEVELS,
    Push,
    disturbance_classes,
    disturbances_for,
    make_disturbance,
)
from genba.envs.effects import EACH, make_pair, measure, measures
from genba.envs.engine import Engine
from genba.envs.errors import BadInput, UnknownName
from genba.envs.task import Task, get_task, task_ids
from genba.envs.worlds import Worlds

NAMES = tuple(disturbance_classes())
each_task = pytest.mark.parametrize("task_id", task_ids())
OF = {task_id: tuple(disturbances_for(get_task(task_id))) for task_id in task_ids()}
CAMERA = [name for name, cls in disturbance_classes().items() if cls.port == "camera"]
WITH_CAMERA = [task_id for task_id, names in OF.items() if set(CAMERA) <= set(names)]
PAIRS = [(task_id, name) for task_id, names in OF.items() for name in names]
SIX = {"sensor-noise", "observation-delay", "action-delay", "part-mass", "friction", "push"}


def sampled(task_id: str, name: str) -> bool:
    """The default tests take the first six in every other cell and each of the others in one; the long ones take all."""
    cells, at = [each for each, other in PAIRS if other == name], NAMES.index(name)
    if name in SIX:
        return (cells.index(task_id) + at) % 2 == 0
    return task_id == cells[at % len(cells)]


each_pair = pytest.mark.parametrize(
    ("task_id", "name"),
    [pytest.param(*pair, marks=() if sampled(*pair) else pytest.mark.long) for pair in PAIRS],
)


# Of each cell, in one run: those that the default tests take, and all.
each_sample = pytest.mark.parametrize(
    ("task_id", "names"),
    [
        pytest.param(
            task_id,
            tuple(name for name in names if name not in CAMERA and (every or sampled(task_id, name))),
            marks=pytest.mark.long if every else (),
            id=f"{task_id}-every" if every else task_id,
        )
        for task_id, names in OF.items()
        for every in (False, True)
    ],
)


def traces(
    task: Task, names: Sequence[str], levels: dict[str, NDArray[np.int64]], ticks: int = 60, n: int = 6
) -> tuple[list[str], NDArray[np.float32], Worlds]:
    """Trace hashes, the last observation and the worlds after `ticks` of the expert."""
    worlds = Worlds(task, n, 2, disturbances=names, trace=True)
    worlds.reset(np.arange(n), np.arange(n), levels)
    for _ in range(ticks):
        worlds.step(task.expert(worlds.observation()))
    return [worlds.trace_sha256(i) for i in range(n)], worlds.observation(), worlds


def test_they_are_there_and_say_what_they_do() -> None:
    assert set(NAMES) == set(measures()) == set(TOLERANCE) and set(NAMES) >= SIX
    assert {name for _, name in PAIRS} == set(NAMES)
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


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_task
def test_severity_zero_changes_no_bit(tasks: dict[str, Task], task_id: str) -> None:
    """All at severity 0, alone and beside worlds that are disturbed, against worlds that know no disturbance."""
    task, names = tasks[task_id], tuple(disturbances_for(tasks[task_id]))
    calm, seen, _ = traces(task, (), {})
    zero, zero_seen, _ = traces(task, names, {name: np.zeros(6, np.int64) for name in names})
    assert zero == calm and zero_seen.tobytes() == seen.tobytes()
    beside = np.array([0, 3, 0, 5, 0, 1])
    mixed, mixed_seen, _ = traces(task, names, {name: beside for name in names})
    for world, level in enumerate(beside):
        assert (mixed[world] == calm[world]) == (level == 0)
        assert (mixed_seen[world].tobytes() == seen[world].tobytes()) == (level == 0)


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_sample
def test_every_severity_changes_the_trajectory(
    tasks: dict[str, Task], task_id: str, names: tuple[str, ...]
) -> None:
    """Each disturbance in worlds of its own, one for each severity, beside an undisturbed one of each one's seed."""
    task, n = tasks[task_id], (len(names) + 1) * (LEVELS - 1)
    own = np.array([name for name in (*names, "none") for _ in range(1, LEVELS)])
    levels = np.tile(np.arange(1, LEVELS), len(names) + 1)
    worlds = Worlds(task, n, 2, disturbances=names, trace=True)
    worlds.reset(np.arange(n), levels, {name: levels * (own == name) for name in names})
    for _ in range(max(map(partial(heard_of, task), names))):
        worlds.step(task.expert(worlds.observation()))
    calm = [worlds.trace_sha256(int(i)) for i in np.flatnonzero(own == "none")]
    changed = np.array([worlds.trace_sha256(i) != calm[levels[i] - 1] for i in range(n)])
    for name in names:
        found = changed[own == name].tolist()
        if name in CEILINGS or (task_id, name) == STANDS_STILL:
            assert found[-1] and found == sorted(found), name
        else:
            assert all(found), name


def heard_of(task: Task, name: str) -> int:
    """Ticks by which what comes late or seldom has come."""
    late = {"push": Push.window[1], "sensor-stuck": Push.window[1], "observation-held": 1.0}.get(name, 0.0)
    return max(120, round(late * task.takt_s * task.control_hz) + 8)


def test_a_cell_without_a_camera_is_not_offered_its_disturbances(tasks: dict[str, Task]) -> None:
    assert len(CAMERA) == 6 and WITH_CAMERA == ["inspect"]
    for task_id in set(task_ids()) - set(WITH_CAMERA):
        assert set(OF[task_id]).isdisjoint(CAMERA)
    with pytest.raises(
        BadInput, match="camera-blur: does not apply to kit-pick, only to cells with a camera"
    ):
        Worlds(tasks["kit-pick"], 2, 1, disturbances=("camera-blur",))


@pytest.mark.wide
@pytest.mark.parametrize("task_id", WITH_CAMERA)
@pytest.mark.parametrize("name", CAMERA)
@pytest.mark.parametrize("each", [1, pytest.param(EACH, marks=pytest.mark.long)])
def test_a_camera_disturbance_changes_pixels_and_at_severity_zero_none(
    tasks: dict[str, Task], task_id: str, name: str, each: int
) -> None:
    """Of the pictures; the expert may well decide the same about a part with a spot beside it."""
    pair = make_pair(tasks[task_id], name, each)
    seeds = np.arange(len(pair.severity))
    pair.worlds.reset(seeds, seeds, {name: np.where(pair.severity == 1, 0, pair.severity)})
    for level, (with_it, without, _) in zip(pair.severity, shots(tasks[task_id], pair), strict=True):
        assert (with_it.tobytes() == without.tobytes()) == (level == 1)


STANDS_STILL = ("inspect", "sensor-stuck")  # stuck while the part is held before the camera changes nothing
CEILINGS = ("action-saturation", "drive-weak")  # touch only what asks for so much

TOLERANCE = {  # relative; what is drawn fresh each tick is measured over some thousand draws, contacts tremble
    "sensor-noise": 0.06,
    "sensor-noise-slow": 0.08,
    "sensor-bias": 1e-9,
    "sensor-drift": 1e-9,
    "sensor-stuck": 1e-9,
    "encoder-offset": 1e-9,
    "observation-delay": 0.0,
    "observation-lost": 0.15,
    "observation-held": 0.15,
    "observation-repeated": 0.0,
    "observation-jitter": 0.0,
    "action-delay": 0.0,
    "action-noise": 0.06,
    "action-scale": 0.03,
    "action-lag": 1e-9,
    "action-coupling": 1e-9,
    "action-saturation": 1e-9,
    "action-dead-zone": 1e-9,
    "drive-gains": 1e-6,
    "drive-weak": 1e-6,
    "drive-dead": 1e-6,
    "joint-friction": 0.02,
    "part-mass": 0.01,
    "part-centre": 0.12,
    "part-size": 1e-6,
    "friction": 0.15,
    "push": 0.02,
    "camera-blur": 0.06,
    "camera-colour": 0.04,
    "camera-exposure": 0.02,
    "camera-glare": 0.12,
    "camera-occlusion": 0.12,
    "camera-shift": 0.12,
    "gravity-tilt": 0.06,
    "belt-speed": 0.03,
    "fixture-bumped": 1e-9,
    "contact-softness": 0.05,
    "timestep": 1e-6,
}
TREMBLES = {("machine-tend", "gravity-tilt"): 0.001}  # rad: a round blank never stands quite still


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_pair
def test_the_effect_is_the_one_claimed(tasks: dict[str, Task], task_id: str, name: str) -> None:
    """Measured in the quantity that it claims to change: see genba.envs.effects and the modules beside it."""
    effects = measure(tasks[task_id], name)
    measured = [effect.measured for effect in effects]
    trembles = TREMBLES.get((task_id, name), 1e-9)
    assert measured == pytest.approx(
        [effect.claimed for effect in effects], rel=TOLERANCE[name], abs=trembles
    )
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


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
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
            tool = worlds.signals.now[f"{task.steered}.pos"]
            furthest = np.maximum(furthest, np.linalg.norm(tool - tool[0], axis=1))
        assert applied == pytest.approx(np.array(shove.ladder.values) * shove.duration_s)
        assert furthest[0] == 0.0 and (np.diff(furthest) > 0.0).all()
        reached.append(furthest[1])
    assert np.mean(reached) > 2e-5


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_task
def test_a_shove_comes_before_the_work_is_done(tasks: dict[str, Task], task_id: str) -> None:
    """Or the condition would be an undisturbed one under another name."""
    task, n = tasks[task_id], 16
    worlds = Worlds(task, n, 2, disturbances=("push",))
    worlds.reset(np.arange(n), np.arange(n), {"push": np.full(n, 1)})
    shove = worlds.disturbances["push"]
    assert isinstance(shove, Push)
    while worlds.steps.max() <= shove.start.max() and not worlds.done.all():
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


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_sample
def test_each_world_is_disturbed_as_it_would_be_alone(
    tasks: dict[str, Task], task_id: str, names: tuple[str, ...]
) -> None:
    """The same bits in other company, in other places, on other threads, after another episode."""
    task, levels = tasks[task_id], (5, 3, 1)
    met = [(name, level) for name in names for level in levels]
    crowd = disturbed(task, met, np.arange(len(met)), 2)
    back = np.arange(len(met))[::-1]
    assert disturbed(task, [met[i] for i in back], back, 1, before=True) == crowd[::-1]
    for i in range(1, len(met), len(levels)):
        assert disturbed(task, met[i : i + 1], np.array([i]), 1, before=True) == crowd[i : i + 1]


def disturbed(
    task: Task, met: Sequence[tuple[str, int]], seeds: NDArray[np.int64], threads: int, before: bool = False
) -> list[str]:
    """Trace hashes after 40 ticks of worlds that each meet one disturbance; `before` plays some ticks of other episodes first."""
    n, names = len(met), tuple(dict.fromkeys(name for name, _ in met))
    worlds = Worlds(task, n, threads, disturbances=names, trace=True)
    if before:
        worlds.reset(np.arange(n), np.arange(n) + 500, {name: np.full(n, 5) for name in names})
        for _ in range(7):
            worlds.step(task.expert(worlds.observation()))
    worlds.reset(
        np.arange(n),
        seeds,
        {name: np.array([level * (own == name) for own, level in met]) for name in names},
    )
    for _ in range(40):
        worlds.step(task.expert(worlds.observation()))
    return [worlds.trace_sha256(i) for i in range(n)]
