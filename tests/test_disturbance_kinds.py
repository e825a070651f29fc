"""What single kinds of disturbances do beyond their measured effect, and what happens between two steps of a ladder."""

from __future__ import annotations

import numpy as np
import pytest

from genba.envs.disturbances import Ladder, Push, disturbances_for
from genba.envs.disturbed_drives import DriveDead
from genba.envs.errors import BadInput
from genba.envs.robots import load_robot
from genba.envs.streams import Streams
from genba.envs.task import Task
from genba.envs.worlds import Worlds


def test_between_two_steps_a_ladder_is_straight_and_on_them_it_is_exact() -> None:
    ladder = Ladder("way", "m", (0.0, 0.1, 0.3, 0.4, 0.7, 1.1), "a test")
    assert ladder.at(np.arange(6)).tolist() == list(ladder.values) == ladder.at(np.arange(6.0)).tolist()
    assert ladder.at(np.array([0.5, 1.5, 4.25])) == pytest.approx([0.05, 0.2, 0.8])


def test_between_two_steps_the_effect_lies_between(tasks: dict[str, Task]) -> None:
    task, n = tasks["kit-pick"], 3
    worlds = Worlds(task, n, 1, disturbances=("sensor-bias",), trace=True)
    worlds.reset(np.arange(n), np.zeros(n, np.int64), {"sensor-bias": np.array([2.0, 2.5, 3.0])})
    off = np.linalg.norm(worlds.sensed()["part.pos"] - worlds.signals.now["part.pos"], axis=1)
    assert off == pytest.approx([0.001, 0.0015, 0.002])


def test_a_cell_without_a_belt_cannot_have_its_speed_changed(tasks: dict[str, Task]) -> None:
    with pytest.raises(BadInput, match="belt-speed: does not apply to kit-pick, only to cells with a belt"):
        Worlds(tasks["kit-pick"], 2, 1, disturbances=("belt-speed",))
    assert "belt-speed" in disturbances_for(tasks["conveyor-sort"])
    assert "belt-speed" not in disturbances_for(tasks["kit-pick"])


def test_slow_noise_stays_for_a_while_and_keeps_its_spread(tasks: dict[str, Task]) -> None:
    task, n = tasks["kit-pick"], 400
    worlds = Worlds(task, n, 1, disturbances=("sensor-noise-slow",))
    worlds.reset(np.arange(n), np.arange(n), {"sensor-noise-slow": np.full(n, 3)})
    noise = worlds.disturbances["sensor-noise-slow"]
    truth = worlds.signals.now
    seen = np.array(
        [noise.sense(truth, np.full(n, tick))["part.pos"] - truth["part.pos"] for tick in range(0, 60, 3)]
    )  # (looks, n, 3)
    assert seen.std(axis=(1, 2)) == pytest.approx(0.002, rel=0.08)
    following = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(seen, seen[1:], strict=False)]
    assert min(following) > 0.9
    assert abs(np.corrcoef(seen[0].ravel(), seen[-1].ravel())[0, 1]) < 0.1


def test_what_is_lost_is_zeros_and_what_is_held_is_the_last_that_came(tasks: dict[str, Task]) -> None:
    task, n, ticks = tasks["kit-pick"], 4, 60
    for name in ("observation-lost", "observation-held"):
        worlds = Worlds(task, n, 1, disturbances=(name,))
        twins = Worlds(task, n, 1)
        worlds.reset(np.arange(n), np.arange(n), {name: np.full(n, 5)})
        twins.reset(np.arange(n), np.arange(n))
        last, kinds = np.zeros((n, len(task.observation_names)), np.float32), set()
        for tick in range(ticks):
            seen, truth = worlds.observation().copy(), twins.observation()
            assert seen.tobytes() == worlds.observation().tobytes()  # the same at every look
            for world in range(n):
                fresh = seen[world].tobytes() == truth[world].tobytes()
                instead = np.zeros_like(last[world]) if name == "observation-lost" else last[world]
                assert fresh or (seen[world] == instead).all()
                kinds.add(fresh)
            last = seen
            for each in (worlds, twins):
                each.step(np.full((n, len(task.action_names)), 0.3 * np.sin(tick)))
        assert kinds == {True, False}


def test_several_act_together_as_each_would_alone(tasks: dict[str, Task]) -> None:
    """Streams by name: a bias is the same vector beside a push, a push the same shove beside a bias."""
    task, n = tasks["kit-pick"], 4
    names = ("push", "sensor-bias")
    both = Worlds(task, n, 1, disturbances=names)
    both.reset(np.arange(n), np.arange(n), {name: np.full(n, 3) for name in names})
    for name in names:
        alone = Worlds(task, n, 1, disturbances=(name,))
        alone.reset(np.arange(n), np.arange(n), {name: np.full(n, 3)})
        one, other = alone.disturbances[name], both.disturbances[name]
        for field in ("force", "start") if name == "push" else ():
            assert (getattr(one, field) == getattr(other, field)).all()
    alone = Worlds(task, n, 1, disturbances=("sensor-bias",))
    alone.reset(np.arange(n), np.arange(n), {"sensor-bias": np.full(n, 3)})
    assert alone.observation().tobytes() == both.observation().tobytes()
    shoved = both.disturbances["push"]
    assert isinstance(shoved, Push) and np.hypot(*shoved.force.T) == pytest.approx(15.0)


def test_what_one_sensing_disturbance_replaced_stays_replaced_beside_another(tasks: dict[str, Task]) -> None:
    """The encoders' tool pose keeps its turn, also in a world of their own beside one whose positions are biased."""
    task, n = tasks["kit-pick"], 3
    names = ("encoder-offset", "sensor-bias")
    both = Worlds(task, n, 1, disturbances=names)
    both.reset(
        np.arange(n),
        np.arange(n),
        {"encoder-offset": np.array([5, 5, 0]), "sensor-bias": np.array([5, 0, 5])},
    )
    alone = Worlds(task, n, 1, disturbances=names[:1])
    alone.reset(np.arange(n), np.arange(n), {"encoder-offset": np.array([5, 5, 0])})
    for name in ("arm.q", "tcp.quat"):
        assert both.sensed()[name].tobytes() == alone.sensed()[name].tobytes()
    assert both.observation()[1].tobytes() == alone.observation()[1].tobytes()
    assert (both.sensed()["tcp.pos"][0] != alone.sensed()["tcp.pos"][0]).all()


@pytest.mark.parametrize(
    ("task_id", "sags"), [("handover", 1.0), ("kit-pick", 0.9), ("conveyor-sort", 0.1)]
)  # rad; the SCARA's quill m
def test_a_dead_drive_gives_nothing_and_lets_the_arm_sag(
    tasks: dict[str, Task], task_id: str, sags: float
) -> None:
    """Also where the drives compensate gravity, which no servo's gain takes away (FR3, SCARA)."""
    task, n = tasks[task_id], 24
    worlds = Worlds(task, n, 1, disturbances=("drive-dead",))
    worlds.reset(np.arange(n), np.arange(n), {"drive-dead": np.full(n, 5)})
    drive = worlds.disturbances["drive-dead"]
    assert isinstance(drive, DriveDead) and len(set(drive.joint)) == len(worlds.signals.now["arm.q"][0])
    own, before = (np.arange(n), drive.joint), worlds.signals.now["arm.q"].copy()
    for _ in range(25):
        worlds.step(np.zeros((n, len(task.action_names))))
        assert (worlds.signals["arm.torque"][own[0], :, own[1]] == 0.0).all()
    moved = np.abs(worlds.signals.now["arm.q"] - before)[own]
    assert moved.max() > sags


@pytest.mark.parametrize("task_id", ["kit-pick", "conveyor-sort", "handover"])
def test_a_weak_drive_never_gives_more_than_is_left_of_it(tasks: dict[str, Task], task_id: str) -> None:
    """Of its data sheet's torque, whatever the arm is told; the weight that gravity compensation carries included."""
    task, n = tasks[task_id], 12
    worlds = Worlds(task, n, 1, disturbances=("drive-weak",))
    worlds.reset(np.arange(n), np.arange(n), {"drive-weak": 3 + np.arange(n) % 3})
    most = load_robot(task.robot_name).tau_max * (1.0 - worlds.disturbances["drive-weak"].value[:, None])
    reached = np.zeros_like(most)
    for tick in range(50):
        worlds.step(np.full((n, len(task.action_names)), 1.0 if tick % 20 < 10 else -1.0))
        reached = np.maximum(reached, np.abs(worlds.signals["arm.torque"]).max(axis=1))
    assert (reached <= most + 1e-9).all()
    if task_id != "conveyor-sort":  # whose joints are not asked for so much
        assert (reached > 0.999 * most).any()


def test_draws_of_one_disturbance_do_not_depend_on_another(tasks: dict[str, Task]) -> None:
    task = tasks["kit-pick"]
    drawn = Streams(task.key, np.arange(64)).uniform("part-size")
    worlds = Worlds(task, 64, 1, disturbances=tuple(disturbances_for(task)))
    levels = {name: np.full(64, 2) for name in worlds.disturbances}
    worlds.reset(np.arange(64), np.arange(64), levels)
    narrower = worlds.disturbances["part-size"].value < 0.0
    assert (narrower == (drawn < 0.5)).all() and 20 < narrower.sum() < 44
