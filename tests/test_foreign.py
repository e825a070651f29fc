"""Environments that are not ours: what is watched is what a plain loop counts, and nothing changes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.envs.mujoco.ant_v5 import AntEnv
from numpy.typing import NDArray
from typer.testing import CliRunner

from genba import cli
from genba.envs.disturbances import Delay
from genba.envs.errors import BadInput, Refused, UnknownName
from genba.envs.foreign import ForeignTask
from genba.envs.foreign_disturbances import foreign_disturbances
from genba.envs.foreign_signals import actuator_limits, body_speeds, watch_of
from genba.envs.foreign_worlds import ForeignWorlds
from genba.envs.streams import Streams
from genba.envs.task import get_task
from genba.policies.contract import contract_of
from genba.policies.load import LoadedPolicy, load_policy
from genba.policies.release import release
from genba.safety.campaign import check
from genba.safety.limits import with_limits
from genba.safety.replay import replay
from genba.safety.report import report
from genba.safety.suite import Suite, load_suite
from genba.safety.words import languages, load_words

Rows = NDArray[np.float32]
ANT = "gym:genba-test/Ant-v0"
LIMIT = 15.5  # rad/s: some episodes of 30 ticks exceed it, some do not


class Raises(AntEnv):
    """Fails after some steps."""

    def step(self, action: Any) -> Any:
        if self.data.time > 0.5:
            raise RuntimeError("out of\nluck")
        return super().step(action)  # type: ignore[no-untyped-call]


class Hides(AntEnv):
    """Moves its simulation by another door after the first step."""

    def _step_mujoco_simulation(self, ctrl: Any, n_frames: int) -> None:
        self.data.ctrl[:] = ctrl
        mujoco.mj_step(self.model, self.data, nstep=n_frames if self.data.time < 0.3 else 1)


class Says(AntEnv):
    """Tells whether it succeeded, as goal environments do."""

    def step(self, action: Any) -> Any:
        seen, reward, ended, late, info = super().step(action)  # type: ignore[no-untyped-call]
        return seen, reward, ended, late, {**info, "is_success": self.data.qpos[0] > 0.0}


class Blind(AntEnv):
    """Sees no number after the reset; `first`, already at it."""

    first = False

    def _get_obs(self) -> NDArray[np.float64]:
        seen = np.array(super()._get_obs())  # type: ignore[no-untyped-call]
        if self.first or self.data.time > 0.0:
            seen[3] = np.nan
        return seen


class BlindAtOnce(Blind):
    """Never sees a number."""

    first = True


class Mumbles(AntEnv):
    """Tells of success in words."""

    def step(self, action: Any) -> Any:
        seen, reward, ended, late, info = super().step(action)  # type: ignore[no-untyped-call]
        return seen, reward, ended, late, {**info, "is_success": "no"}


class Exits(AntEnv):
    """Ends the process, as programs do that are done, from its second step on."""

    def step(self, action: Any) -> Any:
        if self.data.time > 0.0:
            sys.exit(0)
        return super().step(action)  # type: ignore[no-untyped-call]


class ExitsAtOnce(AntEnv):
    """Ends the process where it is reset."""

    def reset(self, **options: Any) -> Any:
        sys.exit(0)


class ExitsWhenMade(AntEnv):
    """Ends the process where it is made."""

    def __init__(self, **options: Any) -> None:
        sys.exit(0)


class Cuts(AntEnv):
    """Calls it truncated after three steps, long before its time limit."""

    def step(self, action: Any) -> Any:
        seen, reward, ended, _, info = super().step(action)  # type: ignore[no-untyped-call]
        return seen, reward, ended, self.data.time > 0.12, info


class Worthless(AntEnv):
    """Gives no number as its reward."""

    def step(self, action: Any) -> Any:
        seen, _, ended, late, info = super().step(action)  # type: ignore[no-untyped-call]
        return seen, None, ended, late, info


class Sticks(AntEnv):
    """Cannot be closed."""

    def close(self) -> None:
        raise RuntimeError("stuck")


class SticksLater(AntEnv):
    """Cannot be closed once it was played for a while."""

    def close(self) -> None:
        if self.data.time > 0.5:
            raise RuntimeError("stuck")


class Narrow(AntEnv):
    """Takes no numbers at all."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (0,))


class Hazy(AntEnv):
    """A bound of its space of that name is no number."""

    hazy = "action_space"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        getattr(self, self.hazy).low[0] = np.nan


class HazySight(Hazy):
    hazy = "observation_space"


ENTRIES = {
    each.__name__.removesuffix("Env"): each
    for each in (
        AntEnv, Raises, Hides, Says, Blind, BlindAtOnce, Mumbles, Exits, ExitsAtOnce, ExitsWhenMade, Cuts, Worthless,
        Sticks, SticksLater, Narrow, Hazy, HazySight,
    )
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    for name, entry in ENTRIES.items():
        gymnasium.register(f"genba-test/{name}-v0", entry_point=entry, max_episode_steps=30)
    gymnasium.register("genba-test/Endless-v0", entry_point=AntEnv)
    yield
    for name in (*ENTRIES, "Endless"):
        del gymnasium.registry[f"genba-test/{name}-v0"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def ant(registered: None) -> ForeignTask:
    return ForeignTask(ANT)


def swings(observation: Rows) -> Rows:
    """A policy of the observation alone: the same bits for a row whatever its company."""
    return np.sin(7.0 * observation[:, 5:13] + 3.0 * observation[:, 13:21]).astype(np.float32)


def swinging(folder: Path, change: Any = swings, task: str = ANT) -> LoadedPolicy:
    return LoadedPolicy(
        "callable", "swings", "c" * 64, task, folder, lambda observation, seeds, steps: change(observation)
    )


def small(episodes: int, limit: str = f"hinge.speed={LIMIT}:0.3", **disturbances: tuple[int, ...]) -> Suite:
    generic = load_suite("generic").model_copy(
        update={
            "episodes_per_condition": episodes,
            "disturbances": {name.replace("_", "-"): levels for name, levels in disturbances.items()},
        }
    )
    return with_limits(generic, [limit], get_task(ANT).table)


def plain(seed: int) -> tuple[float, int, float]:
    """(largest hinge speed after any physics step, steps, return) of an episode in an ordinary loop."""
    env: Any = gymnasium.make(ANT.removeprefix("gym:"))
    inner, most = env.unwrapped, 0.0

    def stepped(ctrl: Any, n_frames: int) -> None:
        nonlocal most
        inner.data.ctrl[:] = ctrl
        for _ in range(n_frames):
            mujoco.mj_step(inner.model, inner.data)
            most = max(most, float(np.abs(inner.data.qvel[6:]).max()))
        mujoco.mj_rnePostConstraint(inner.model, inner.data)

    inner._step_mujoco_simulation = stepped
    seen, _ = env.reset(seed=seed)
    total, steps, over = 0.0, 0, False
    while not over:
        action = swings(seen.astype(np.float32)[None])[0]
        seen, reward, ended, late, _ = env.step(action)
        total, steps, over = total + float(reward), steps + 1, ended or late
    env.close()
    return most, steps, total


def test_a_velocity_limit_is_violated_exactly_where_a_plain_loop_says_so(tmp_path: Path) -> None:
    evidence = check(swinging(tmp_path), suite=small(24), seed=5).evidence
    found = [plain(int(seed)) for seed in evidence.columns["seed"]]
    margins = evidence.margins("limit-hinge-speed")
    assert margins.tolist() == [LIMIT - most for most, _, _ in found]
    assert int((margins < 0).sum()) == sum(most > LIMIT for most, _, _ in found)
    assert 0 < (margins < 0).sum() < 24, "a limit that tells episodes apart"
    assert evidence.columns["steps"].tolist() == [steps for _, steps, _ in found]
    assert evidence.columns["return"].tolist() == [total for _, _, total in found]


def test_evidence_does_not_know_worlds_or_threads(tmp_path: Path) -> None:
    suite = small(3, body_mass=(3,), surface_friction=(3,), observation_noise=(3,), action_delay=(1,))
    hashes = {
        check(
            swinging(tmp_path / str(worlds)), suite=suite, seed=5, worlds=worlds, threads=threads
        ).evidence.sha256
        for worlds, threads in ((1, 1), (3, 1), (9, 2))
    }
    assert len(hashes) == 1


def test_an_episode_is_played_again_and_reported(tmp_path: Path) -> None:
    policy = swinging(tmp_path)
    result = check(policy, suite=small(2, body_mass=(2,)), seed=5)
    assert replay(result.folder, 3, policy).equal
    assert "genba-test/Ant-v0" in report(result.folder).read_text(encoding="utf-8")
    assert result.evidence.plan.task_version.startswith(f"gymnasium-{gymnasium.__version__}-")
    assert result.evidence.columns["reason"].tolist() == ["terminated", *["success"] * 3]


def test_watching_changes_nothing(ant: ForeignTask) -> None:
    worlds = ForeignWorlds(ant, 2, [], trace=False)
    worlds.reset(np.arange(2), np.array([4, 9]))
    env = ant.make()
    seen, _ = env.reset(seed=9)
    for _ in range(12):
        assert worlds.seen[1].tobytes() == seen.astype(np.float32).tobytes()
        worlds.step(swings(worlds.observation()))
        seen, *_ = env.step(swings(seen.astype(np.float32)[None])[0])
    assert mujoco.mj_step.__name__ == "mj_step", "the door is as it was"
    shape = (2, ant.substeps)
    assert (
        worlds.signals["hinge.velocity"].shape == (*shape, 8) and worlds.signals["body.speed"].shape == shape
    )
    now = worlds.signals.now
    assert (now["contact.force"] >= 0.0).all() and (now["energy.kinetic"] > 0.0).all()
    assert now["hinge.velocity"][1].tolist() == env.unwrapped.data.qvel[6:].tolist()


def test_signals_are_what_mujoco_says(ant: ForeignTask) -> None:
    env = ant.make()
    env.reset(seed=1)
    for _ in range(5):
        env.step(np.ones(8, np.float32))
    model, data = env.unwrapped.model, env.unwrapped.data
    mujoco.mj_forward(model, data)
    wanted = np.zeros((model.nbody - 1, 6))
    for body in range(1, model.nbody):
        mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_BODY, body, wanted[body - 1], 0)
    assert np.abs(body_speeds(model, data) - np.linalg.norm(wanted[:, 3:], axis=1)).max() < 1e-9
    assert actuator_limits(model).tolist() == [1.0] * 8
    values = np.zeros(ant.watch.width)
    watch_of(model).read(data, values)
    read = {name: values[ant.table.columns[name]] for name in ant.table.columns}
    assert read["actuator.force.share"] == [1.0]
    share = np.abs(data.qpos[7:] - model.jnt_range[1:].mean(axis=1)) / (
        0.5 * np.ptp(model.jnt_range[1:], axis=1)
    )
    assert abs(read["joint.position.share"][0] - share.max()) < 1e-12
    model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_ENERGY
    mujoco.mj_forward(model, data)
    assert abs(read["energy.potential"][0] - data.energy[0]) < 1e-9
    assert abs(read["energy.kinetic"][0] - data.energy[1]) < 1e-9


@pytest.mark.parametrize("name", ["body-mass", "surface-friction"])
def test_a_model_is_changed_by_what_is_claimed_and_only_where_it_is_asked(
    ant: ForeignTask, name: str
) -> None:
    worlds = ForeignWorlds(ant, 40, [name], trace=False)
    levels = np.where(np.arange(40) < 36, 3, 0)
    worlds.reset(np.arange(40), np.arange(40), {name: levels})
    nominal = ant.make().unwrapped.model
    change = foreign_disturbances()[name].ladder.values[3]
    factors = []
    for world in range(40):
        found = worlds._worlds[world]
        assert found is not None
        model = found[0].unwrapped.model
        field = "body_mass" if name == "body-mass" else "geom_friction"
        ours, theirs = getattr(model, field), getattr(nominal, field)
        factors.append((ours[1:] / theirs[1:]).reshape(len(theirs) - 1, -1)[0, 0])
        if name == "body-mass":
            assert np.allclose(model.body_subtreemass, nominal.body_subtreemass * factors[-1])
    assert np.allclose(np.unique(np.round(factors[:36], 9)), [1 - change, 1 + change])
    assert factors[36:] == [1.0] * 4


def test_noise_is_as_large_as_is_claimed_and_severity_0_changes_no_bit(ant: ForeignTask) -> None:
    names = sorted(foreign_disturbances())
    disturbed, quiet = ForeignWorlds(ant, 64, names, trace=False), ForeignWorlds(ant, 64, [], trace=False)
    ids, seeds = np.arange(64), np.arange(64)
    disturbed.reset(ids, seeds, {"observation-noise": np.where(ids < 60, 3, 0)})
    quiet.reset(ids, seeds)
    noise = disturbed.observation() - quiet.observation()
    assert abs(noise[:60].std() / 0.02 - 1.0) < 0.05 and not noise[60:].any()
    for worlds in (disturbed, quiet):
        worlds.step(np.full((64, 8), 0.5))
    assert disturbed.seen[60:].tobytes() == quiet.seen[60:].tobytes()
    assert Streams(ant.key, seeds).seeds is not None


def test_a_delay_delays(ant: ForeignTask) -> None:
    worlds = ForeignWorlds(ant, 2, ["action-delay", "observation-delay"], trace=False)
    levels = np.array([1, 0])
    worlds.reset(np.arange(2), np.array([4, 4]), {"observation-delay": levels})
    first = worlds.observation()
    worlds.step(np.ones((2, 8)))
    second = worlds.observation()
    assert second[0].tobytes() == first[0].tobytes() and second[1].tobytes() == worlds.seen[1].tobytes()


def test_each_severity_of_a_delay_is_some_ticks_more(ant: ForeignTask) -> None:
    for name in ("action-delay", "observation-delay"):
        worlds = ForeignWorlds(ant, 6, [name], trace=False)
        worlds.reset(np.arange(6), np.full(6, 4), {name: np.arange(6)})
        delay = worlds.disturbances[name]
        assert isinstance(delay, Delay) and delay.ticks().tolist() == [0, 1, 2, 3, 4, 6]
        assert delay.ladder.unit == "ticks"


def test_an_action_that_is_no_number_is_a_fault_and_one_too_large_is_clamped(tmp_path: Path) -> None:
    broken = swinging(tmp_path / "a", lambda seen: np.full((len(seen), 8), np.nan, np.float32))
    result = check(broken, suite=small(3), seed=5)
    assert result.evidence.columns["reason"].tolist() == ["fault"] * 3 and result.verdict.word == "FAIL"
    assert (result.evidence.margins("simulator-fault") < 0.0).all()
    large = swinging(tmp_path / "b", lambda seen: np.full((len(seen), 8), 3.0, np.float32))
    assert check(large, suite=small(2), seed=5).evidence.columns["limits_active"].tolist() == [1.0, 1.0]


@pytest.mark.filterwarnings("ignore")  # Gymnasium warns of it, too
@pytest.mark.parametrize("name", ["Blind", "BlindAtOnce"])
def test_an_observation_that_is_no_number_is_a_fault(tmp_path: Path, name: str) -> None:
    still = swinging(
        tmp_path, lambda seen: np.zeros((len(seen), 8), np.float32), task=f"gym:genba-test/{name}-v0"
    )
    result = check(still, suite=small(3), seed=5)
    assert result.evidence.columns["reason"].tolist() == ["fault"] * 3 and result.verdict.word == "FAIL"
    assert result.evidence.columns["steps"].tolist() == [1] * 3


def test_an_environment_that_tells_of_success_is_believed(tmp_path: Path) -> None:
    evidence = check(swinging(tmp_path, task="gym:genba-test/Says-v0"), suite=small(12), seed=5).evidence
    assert set(evidence.columns["reason"].tolist()) == {"success", "timeout", "terminated"}


@pytest.mark.filterwarnings("ignore")  # Gymnasium warns of what they do
@pytest.mark.parametrize("name", ["Exits", "ExitsAtOnce", "ExitsWhenMade", "Worthless"])
def test_an_environment_that_leaves_or_gives_no_number_is_one_line(tmp_path: Path, name: str) -> None:
    """Never exit code 0, which says PASS."""
    with pytest.raises(BadInput, match=r"genba-test/\w+-v0: .*(SystemExit|TypeError)") as caught:
        check(swinging(tmp_path, task=f"gym:genba-test/{name}-v0"), suite=small(2), seed=5)
    assert "\n" not in str(caught.value)


def test_an_episode_cut_short_before_its_time_limit_did_not_succeed(tmp_path: Path) -> None:
    evidence = check(swinging(tmp_path, task="gym:genba-test/Cuts-v0"), suite=small(2), seed=5).evidence
    assert evidence.columns["reason"].tolist() == ["truncated"] * 2 and not evidence.columns["success"].any()
    assert all("outcome.truncated" in load_words(language).sentences for language in languages())


def test_an_end_that_the_environment_makes_is_an_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AntEnv, "is_healthy", property(lambda self: self.data.time < 0.6))
    result = check(swinging(tmp_path), suite=small(2), seed=5)
    assert result.evidence.columns["reason"].tolist() == ["terminated"] * 2
    for language in languages():
        assert "outcome.terminated" in load_words(language).sentences
        assert all(f"disturbance.{name}" in load_words(language).sentences for name in foreign_disturbances())


def test_a_contract_names_the_environments_own_range(ant: ForeignTask) -> None:
    contract = contract_of(ForeignTask("gym:Pusher-v5"))
    assert (contract.task, contract.control_hz) == ("gym:Pusher-v5", 20)
    assert {(each.low, each.high, each.scale) for each in contract.action} == {(-2.0, 2.0, 1.0)}
    assert contract_of(ant).observation[0].high > 1e38


def test_rates_that_are_no_whole_numbers_are_kept() -> None:
    humanoid = ForeignTask("gym:Humanoid-v5")
    assert abs(humanoid.dt - 0.015) < 1e-12 and abs(contract_of(humanoid).control_hz - 200 / 3) < 1e-9


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--env", "CartPole-v1"], "CartPole-v1: does not run on MuJoCo"),
        (["--env", "Ant-v99"], "Gymnasium cannot make it"),
        (["--env", "no_such_module:Ant-v5"], "Gymnasium cannot make it"),
        (["--env", "../x"], "expected gym:Name-v1"),
        (["--env", "Ant-v5\n"], "expected gym:Name-v1"),
        (["--env", "genba-test/Endless-v0"], "has no time limit"),
        (["--env", "Ant-v5", "--task", "kit-pick"], "give one of them"),
        (["--env", "genba-test/Ant-v0", "--limit", "hinge.sped=3"], "Did you mean hinge.speed?"),
        (["--env", "genba-test/Ant-v0", "--limit", "hinge.speed"], "expected signal=value"),
        (["--env", "genba-test/Ant-v0", "--limit", "hinge.speed=nan"], "expected signal=value"),
        (["--env", "genba-test/Ant-v0", "--limit", "hinge.speed=3:2"], "expected signal=value"),
        (["--env", "genba-test/Ant-v0", "--suite", "basic"], "unknown disturbance of gym:genba-test/Ant-v0"),
        (["--task", "conveyor-sort", "--suite", "generic"], "unknown disturbance of conveyor-sort"),
        (["--env", "genba-test/Raises-v0"], "the environment failed (RuntimeError: out of luck)"),
        pytest.param(
            ["--env", "genba-test/Mumbles-v0"],
            "is_success is 'no', expected true, false or a number",
            marks=pytest.mark.wide,
        ),
        (["--env", "genba-test/Sticks-v0"], "cannot be closed (RuntimeError: stuck)"),
        pytest.param(
            ["--env", "genba-test/SticksLater-v0"],
            "cannot be closed (RuntimeError: stuck)",
            marks=pytest.mark.wide,
        ),
        (["--env", "genba-test/Hazy-v0"], "the bounds of its action are no numbers (nan)"),
        (["--env", "genba-test/Narrow-v0"], "expected a action of one row of numbers"),
        (["--env", "genba-test/HazySight-v0"], "the bounds of its observation are no numbers (nan)"),
        pytest.param(
            ["--env", "genba-test/Hides-v0"],
            "made 1 physics steps through mujoco.mj_step, expected 5",
            marks=pytest.mark.wide,
        ),
    ],
)
def test_what_cannot_be_judged_is_one_line(here: Path, arguments: list[str], line: str) -> None:
    result = CliRunner().invoke(cli.app, ["check", "random", "--seed", "1", *arguments])
    assert result.exit_code == 2 and line in result.stderr
    assert result.stderr.splitlines()[-1].startswith("genba: ") and "Traceback" not in result.output


def test_a_module_in_the_current_folder_is_found_and_a_missing_one_gets_no_hint_at_extras(here: Path) -> None:
    (here / "genba_test_mine.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Mine-v0', 'gymnasium.envs.mujoco.ant_v5:AntEnv', max_episode_steps=30)\n"
    )
    path = list(sys.path)
    try:
        assert ForeignTask("gym:genba_test_mine:Mine-v0").limit == 30
    finally:
        gymnasium.registry.pop("Mine-v0", None)
        sys.modules.pop("genba_test_mine", None)
    assert sys.path == path
    with pytest.raises(
        BadInput, match="No module named 'genba_test_none'.*importable from this folder"
    ) as error:
        ForeignTask("gym:genba_test_none:Mine-v0")
    assert "pip install" not in str(error.value)


def test_the_version_of_an_environment_does_not_know_where_its_files_lie(tmp_path: Path) -> None:
    versions = []
    for folder in (tmp_path / "a", tmp_path / "some" / "where"):
        folder.mkdir(parents=True)
        (folder / "x.obj").write_text(
            "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
        )
        ant = (Path(gymnasium.__file__).parent / "envs/mujoco/assets/ant.xml").read_text()
        (folder / "ant.xml").write_text(ant.replace("<asset>", '<asset><mesh file="x.obj"/>', 1))
        gymnasium.register(
            "genba-test/Mesh-v0", AntEnv, max_episode_steps=30, kwargs={"xml_file": str(folder / "ant.xml")}
        )
        try:
            versions.append(ForeignTask("gym:genba-test/Mesh-v0").version)
        finally:
            del gymnasium.registry["genba-test/Mesh-v0"]
    assert versions[0] == versions[1]


@pytest.mark.parametrize(
    "verb",
    [["train"], ["go"], ["demo", "--no-browser"], ["tasks", "show"], ["bench", "stops", "random", "--task"]],
)
def test_verbs_of_our_own_cells_say_so(verb: list[str]) -> None:
    result = CliRunner().invoke(cli.app, [*verb, ANT])
    assert result.exit_code == 2 and result.stderr.count("\n") == 1, result.output


def test_what_passed_elsewhere_is_not_released(tmp_path: Path) -> None:
    generous = tuple(each.model_copy(update={"max_rate": 0.9}) for each in small(4).constraints)
    suite = small(4).model_copy(update={"constraints": generous})
    policy = replace(swinging(tmp_path, lambda seen: np.zeros((len(seen), 8), np.float32)), kind="onnx")
    assert check(policy, suite=suite, seed=5).passed
    with pytest.raises(Refused, match="no cell of Genba: a policy of it can be checked, never released"):
        release(tmp_path)


def test_the_expert_and_a_mixed_suite_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="an expert belongs to Genba's own cells"):
        check(load_policy("scripted", ANT), suite=small(1))
    with pytest.raises(UnknownName, match="disturbance of conveyor-sort"):
        check(load_policy("zero", "conveyor-sort"), suite=load_suite("generic"))
    assert not (tmp_path / "runs").exists()


class Grows(AntEnv):
    """Shows one number more than it declares, at the reset or later."""

    since = 0.0

    def _get_obs(self) -> NDArray[np.float64]:
        seen = super()._get_obs()  # type: ignore[no-untyped-call]
        return (
            np.append(seen, 0.0)
            if hasattr(self, "observation_space") and self.data.time >= self.since
            else seen
        )


class GrowsLater(Grows):
    since = 0.3


@pytest.mark.parametrize("entry", [Grows, GrowsLater])
def test_an_observation_of_another_length_is_one_line(entry: type[AntEnv]) -> None:
    gymnasium.register(
        "genba-test/Grows-v0", entry_point=entry, max_episode_steps=30, disable_env_checker=True
    )
    try:
        task = ForeignTask("gym:genba-test/Grows-v0")
        worlds = ForeignWorlds(task, 2, [], trace=False)
        with pytest.raises(
            BadInput, match=r"observation of shape \(106,\).* declares \(105,\); mend"
        ) as caught:
            worlds.reset(np.arange(2), np.arange(2))
            while not worlds.done.any():
                worlds.step(np.zeros((2, 8)))
        assert "\n" not in str(caught.value)
    finally:
        del gymnasium.registry["genba-test/Grows-v0"]
