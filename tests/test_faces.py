"""The faces: Gymnasium's single and vector environment, and Stable-Baselines3's VecEnv, over every task."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from genba.envs.errors import BadInput, UnknownName
from genba.envs.faces import check_severities
from genba.envs.gym import CellEnv, env_id
from genba.envs.gym_vector import CellVectorEnv
from genba.envs.task import get_task, task_ids
from genba.envs.vec import WorldsVecEnv

TASKS = task_ids()
each_task = pytest.mark.parametrize("task_id", TASKS)


def short(tasks: dict[str, Any], task_id: str, steps: int) -> Any:
    """The task with its horizon cut to `steps`, so that episodes end soon."""
    task = get_task(task_id)
    task.__dict__["model"] = tasks[task_id].model  # compiled already
    task.horizon_s = steps * task.dt  # type: ignore[misc]
    return task


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_task
def test_gymnasium_check_env_without_a_warning(task_id: str) -> None:
    env = gymnasium.make(env_id(task_id))
    check_env(env.unwrapped)
    env.close()


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_task
def test_sb3_check_env_without_a_warning(tasks: dict[str, Any], task_id: str) -> None:
    check_env_sb3(CellEnv(tasks[task_id]))


def test_ids_follow_the_task_ids() -> None:
    assert env_id("kit-pick") == "genba/KitPick-v0"
    assert {env_id(task_id) for task_id in TASKS} <= set(gymnasium.registry)


def test_make_imports_the_module_that_registers() -> None:
    code = "import gymnasium as g; print(g.make('genba.envs.gym:genba/KitPick-v0').unwrapped.task.id)"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert (run.returncode, run.stdout.strip()) == (0, "kit-pick"), run.stderr


@each_task
def test_reset_with_a_seed_plays_that_episode_again(tasks: dict[str, Any], task_id: str) -> None:
    env = CellEnv(tasks[task_id])
    first, said = env.reset(seed=11)
    fresh, drawn = env.reset()
    again, repeated = env.reset(seed=11)
    assert said == repeated == {"seed": 11}
    assert first.tobytes() == again.tobytes() != fresh.tobytes()
    assert 0 <= drawn["seed"] < 1_000_000_000
    assert env.reset()[1] == drawn
    assert env.reset(seed=3_000_000_005)[1]["seed"] < 1_000_000_000


@each_task
def test_info_says_success_cost_and_every_reward_term(tasks: dict[str, Any], task_id: str) -> None:
    env = CellEnv(tasks[task_id])
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(np.zeros(len(env.task.action_names), np.float32))
    terms = [value for name, value in info.items() if name.startswith("reward/")]
    assert len(terms) == len(env.task.rewards) + 1
    assert reward == pytest.approx(sum(terms), abs=1e-12)
    assert (terminated, truncated, info["is_success"]) == (False, False, False)
    assert info["cost"] in (0.0, 1.0)
    assert {type(value) for value in info.values()} <= {bool, float}


@each_task
def test_running_out_of_time_truncates_and_nan_terminates(tasks: dict[str, Any], task_id: str) -> None:
    env = CellEnv(short(tasks, task_id, 3))
    env.reset(seed=1)
    nothing = np.zeros(len(env.task.action_names), np.float32)
    ends = [env.step(nothing)[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]
    env.reset(seed=1)
    observation, _, terminated, truncated, info = env.step(nothing * np.nan)
    assert (terminated, truncated, info["reason"]) == (True, False, "fault")
    assert env.observation_space.contains(observation)


def test_success_terminates_and_says_the_cycle_time(tasks: dict[str, Any]) -> None:
    env = CellEnv(tasks["kit-pick"])
    observation, _ = env.reset(seed=3)
    for _ in range(env.worlds.steps_max):
        action = env.task.expert(observation[None])[0].astype(np.float32)
        observation, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            break
    assert terminated and info["is_success"] and info["reason"] == "success"
    assert 1.0 < info["cycle_s"] < env.task.horizon_s


def vector_pair(task: Any, n: int) -> tuple[Any, Any]:
    """Our vector face, and Gymnasium's own over n single faces."""
    kwargs: dict[str, Any] = {
        "task": task,
        "disturbances": {"sensor-noise": (0, 2), "observation-delay": (0, 2)},
    }
    ours = gymnasium.make_vec(env_id(task.id), n, "vector_entry_point", threads=1, **kwargs)
    theirs = SyncVectorEnv([lambda: CellEnv(**kwargs)] * n, autoreset_mode=AutoresetMode.SAME_STEP)
    return ours, theirs


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_task
def test_vector_face_equals_gymnasiums_own_over_single_faces(tasks: dict[str, Any], task_id: str) -> None:
    ours, theirs = vector_pair(short(tasks, task_id, 5), 3)
    ours.action_space.seed(0)
    seen, expected = ours.reset(seed=[5, None, 7]), theirs.reset(seed=[5, None, 7])
    seen, expected = ours.reset(seed=5), theirs.reset(seed=5)
    same(seen, expected)
    for step in range(12):
        action = ours.action_space.sample()
        if step == 7:
            action[1] = np.nan
        same(ours.step(action), theirs.step(action))


def same(ours: Any, theirs: Any) -> None:
    """Equal nested values: arrays by bytes, dictionaries by keys."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key in theirs:
            same(ours[key], theirs[key])
    elif isinstance(theirs, tuple):
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    elif theirs is not None and np.asarray(theirs).dtype == object:
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    else:
        np.testing.assert_array_equal(ours, theirs)


def test_vector_face_by_default_in_spaces_of_n(tasks: dict[str, Any]) -> None:
    envs: Any = gymnasium.make_vec("genba/KitPick-v0", num_envs=2, threads=1)
    observation, _ = envs.reset(seed=0)
    assert envs.observation_space.contains(observation)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    one, said = envs.reset(seed=[8, 9], options={"reset_mask": np.array([False, True])})
    assert one[0].tobytes() == observation[0].tobytes() and one[1].tobytes() != observation[1].tobytes()
    assert said["_seed"].tolist() == [False, True]
    with pytest.raises(BadInput, match="3 seeds for 2"):
        envs.reset(seed=[1, 2, 3])
    envs.close()


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_task
def test_sb3_face_equals_dummy_over_single_faces(tasks: dict[str, Any], task_id: str) -> None:
    task = short(tasks, task_id, 4)
    ours, theirs = WorldsVecEnv(task, 3, threads=1, seed=9), DummyVecEnv([lambda: CellEnv(task)] * 3)
    theirs.seed(9)
    same(ours.reset(), theirs.reset())
    ours.action_space.seed(1)
    for step in range(9):
        action = np.stack([ours.action_space.sample() for _ in range(3)])
        if step == 5:
            action[2] = np.nan
        *seen, infos = ours.step(action)
        *expected, expected_infos = theirs.step(action)
        same(tuple(seen), tuple(expected))
        for info, wanted, done in zip(infos, expected_infos, seen[2], strict=True):
            episode = info.pop("episode", None)
            same(info, wanted)
            assert (episode is not None) == done
            assert episode is None or episode["l"] == info["steps"]
    assert ours.reset_infos == theirs.reset_infos


@pytest.mark.wide
def test_sb3_learns_on_it_and_logs_episodes(tasks: dict[str, Any]) -> None:
    from stable_baselines3 import PPO

    env = WorldsVecEnv(short(tasks, "kit-pick", 4), 4, threads=1, seed=0)
    model = PPO("MlpPolicy", VecMonitor(env), n_steps=8, batch_size=16, n_epochs=1, seed=0, device="cpu")
    model.learn(32)
    assert model.ep_info_buffer is not None and model.ep_success_buffer is not None
    assert len(model.ep_info_buffer) == len(model.ep_success_buffer) == 8
    assert env.get_attr("render_mode") == [None] * 4 and env.has_attr("task") and not env.has_attr("nonsense")
    assert env.env_is_wrapped(gymnasium.Wrapper, [0, 1]) == [False, False]
    assert env.get_images() == [None] * 4


def test_disturbances_of_a_face_reach_the_world(tasks: dict[str, Any]) -> None:
    task = tasks["kit-pick"]
    calm, noisy = CellEnv(task), CellEnv(task, disturbances={"sensor-noise": 3})
    assert calm.reset(seed=2)[0].tobytes() != noisy.reset(seed=2)[0].tobytes()
    drawn = WorldsVecEnv(task, 24, threads=1, seed=0, disturbances={"push": (0, 1, 4)})
    drawn.reset()
    assert set(drawn.worlds.disturbances["push"].level.tolist()) == {0, 1, 4}


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(UnknownName, match="kit-pick"):
        CellEnv("kitpick")
    with pytest.raises(BadInput, match="rgb_array"):
        CellEnv("kit-pick", render_mode="human")
    with pytest.raises(BadInput, match="0 to 5, not 6"):
        CellEnv("kit-pick", disturbances={"push": 6})
    wrong: tuple[Any, ...] = ("3", [0, 1.5], 2.0, [], None, True, [[1]], np.array([1, 7]))
    for given in wrong:
        with pytest.raises(BadInput, match="^severities of push are integers from 0 to 5, not "):
            check_severities({"push": given})
    taken: tuple[Any, ...] = (2, np.int64(2), [2], range(2, 3), np.array([2]), np.array([2], np.int8))
    assert all(check_severities({"push": given}) == {"push": (2,)} for given in taken)
    for count in (0, -1, 1.5):
        with pytest.raises(BadInput, match=f"num_envs is an integer of at least 1, not {count}"):
            CellVectorEnv("kit-pick", num_envs=count)  # type: ignore[arg-type]
        with pytest.raises(BadInput, match=f"n is an integer of at least 1, not {count}"):
            WorldsVecEnv("kit-pick", count)  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="sensor-noise"):
        CellEnv("kit-pick", disturbances={"sensor-nose": 1})


def test_render_gives_a_picture_of_each_world(tasks: dict[str, Any]) -> None:
    env = CellEnv(tasks["kit-pick"], render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert picture is not None and picture.dtype == np.uint8 and picture.ndim == 3 and picture.std() > 5.0


def test_a_spec_survives_pickling() -> None:
    spec = gymnasium.spec("genba/KitPick-v0")
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_a_reset_says_what_plays_the_episode_again() -> None:
    """Its seed and the severities that were drawn, of every face."""
    drawn: dict[str, Any] = {"push": [0, 5], "sensor-bias": [0, 5]}
    env, again, levels = CellEnv("bento-pack", disturbances=drawn), {}, set()
    for _ in range(6):
        seen, said = env.reset()
        levels.add((said["severity/push"], said["severity/sensor-bias"]))
        same = {name: said[f"severity/{name}"] for name in drawn}
        again[said["seed"]], _ = CellEnv("bento-pack", disturbances=same).reset(seed=said["seed"])
        assert seen.tobytes() == again[said["seed"]].tobytes()
    assert len(levels) > 1
    envs = CellVectorEnv("bento-pack", 3, disturbances=drawn)
    _, said = envs.reset(seed=4)
    assert said["severity/push"].shape == (3,) and said["_severity/push"].all()
    sb3 = WorldsVecEnv("bento-pack", 3, disturbances=drawn)
    sb3.reset()
    assert {0, 5} >= {each["severity/push"] for each in sb3.reset_infos}


@pytest.mark.parametrize(
    "mask", [np.zeros(3, bool), np.ones(2, bool), np.ones(5, bool), np.ones(3), [True] * 4]
)
def test_a_mask_that_means_nothing_is_refused(mask: Any) -> None:
    envs = CellVectorEnv("bento-pack", 3)
    envs.reset(seed=1)
    with pytest.raises(BadInput, match="reset_mask: expected 3 truths"):
        envs.reset(options={"reset_mask": mask})


@pytest.mark.parametrize("action", [0.5, np.zeros(5), np.zeros((1, 5)), np.zeros((3, 4))])
def test_actions_of_another_shape_are_refused(action: Any) -> None:
    """Numpy would spread them over all environments."""
    envs, sb3, one = CellVectorEnv("bento-pack", 3), WorldsVecEnv("bento-pack", 3), CellEnv("bento-pack")
    for each in (envs, sb3, one):
        each.reset()
    with pytest.raises(BadInput, match="actions has shape"):
        envs.step(action)
    with pytest.raises(BadInput, match="actions has shape"):
        sb3.step(action)
    with pytest.raises(BadInput, match="an action has shape"):
        one.step(np.zeros((2, 5), np.float32) if np.shape(action) == (5,) else action)


def test_a_misspelt_disturbance_is_no_undisturbed_episode() -> None:
    worlds = get_task("bento-pack").make_worlds(2, 1, 0.0, ["push"], False)
    with pytest.raises(UnknownName, match="unknown disturbance of these worlds 'psuh'. Did you mean push"):
        worlds.reset(np.arange(2), np.arange(2), {"psuh": np.array([5, 5])})
