"""A training run: the same weights from the same recipe, put down and taken up again, and a folder that tells all."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import genba
from genba.envs.errors import BadInput, UnknownName
from genba.envs.files import sha256_file
from genba.envs.task import SEED_RANGES, Task
from genba.envs.tasks.conveyor_sort import ConveyorSort
from genba.envs.worlds import Worlds
from genba.policies import bench_learn, line
from genba.policies.checkpoints import load_student, load_tensors
from genba.policies.contract import contract_of, read_contract
from genba.policies.evaluate import evaluate
from genba.policies.imitate import ImitationRecipe, Lesson, teach
from genba.policies.improve import PpoRecipe, improve
from genba.policies.load import load_policy
from genba.policies.network import weights_sha256
from genba.policies.recipes import recipe_for
from genba.policies.release import ReleaseResult
from genba.policies.runs import latest_unfinished, new_run
from genba.policies.train import TrainResult, train
from genba.safety.evidence import read_evidence
from genba.safety.folders import find_check
from genba.safety.result import conclude

TASK = "conveyor-sort"
SEED = 3
ROUNDS = 20  # of the run that is interrupted
TEACH = ["imitation.rounds=2", "imitation.worlds=16", "imitation.round_fits=10", "imitation.round_ticks=10",
         "imitation.expert_ticks=20"]  # fmt: skip
SETTINGS = [
    *TEACH,
    "ppo.iterations=1",
    "ppo.worlds=8",
    "ppo.ticks=16",
    "ppo.batch=64",
    "select=2",
    "confirm=2",
]
HASHES = f"""
import torch
from genba.envs.task import get_task
from genba.policies.imitate import teach
from genba.policies.improve import improve
from genba.policies.network import weights_sha256
from genba.policies.recipes import recipe_for
torch.set_num_threads(1)
task, recipe = get_task({TASK!r}), recipe_for({TASK!r}, {SETTINGS!r}, None)
student = teach(task, recipe.imitation, {SEED})
print(weights_sha256(student.state_dict()))
print(weights_sha256(improve(student, task, recipe.ppo, {SEED}, 1)[0].state_dict()))
"""
GENBA = "import faulthandler; faulthandler.dump_traceback_later(240); import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from genba.cli import app; app()"


@dataclass(frozen=True)
class Trained:
    """A finished run, `runs/...` below `home`, and another process that learns the same. Not to be changed."""

    home: Path
    result: TrainResult
    elsewhere: subprocess.Popen[str]

    @property
    def folder(self) -> Path:
        return self.home / self.result.run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    home = tmp_path_factory.mktemp("trained")
    elsewhere = subprocess.Popen([sys.executable, "-c", HASHES], stdout=subprocess.PIPE, text=True)
    with elsewhere:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ConveyorSort, "horizon_s", 1.5)
            patch.chdir(home)
            patch.setattr(sys, "argv", ["genba", "train", TASK, "--set", "imitation.mixing=[0.5, 0.25]"])
            result = train(TASK, seed=SEED, threads=1, settings=SETTINGS)
        yield Trained(home, result, elsewhere)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def small() -> tuple[ImitationRecipe, PpoRecipe]:
    recipe = recipe_for(TASK, SETTINGS, None)
    return recipe.imitation, recipe.ppo


def test_the_same_recipe_and_seed_give_the_same_weights(trained: Trained, tasks: dict[str, Task]) -> None:
    """In this process and in another one, both stages; another seed gives others."""
    imitation, ppo = small()
    task = tasks[TASK]
    student = teach(task, imitation, SEED)
    hashes = [
        weights_sha256(student.state_dict()),
        weights_sha256(improve(student, task, ppo, SEED, 2)[0].state_dict()),
    ]
    kept = load_student(trained.folder / "checkpoints" / "student.safetensors")
    assert weights_sha256(kept.state_dict()) == hashes[0]
    assert trained.result.weights in hashes
    assert weights_sha256(teach(task, imitation, SEED + 1).state_dict()) != hashes[0]
    assert weights_sha256(improve(student, task, ppo, SEED + 1, 1)[0].state_dict()) != hashes[1]
    said, _ = trained.elsewhere.communicate(timeout=300)
    assert trained.elsewhere.returncode == 0 and said.split() == hashes


def test_ppo_learns_the_override_and_leaves_the_student_alone(tasks: dict[str, Task]) -> None:
    imitation, ppo = small()
    student = teach(tasks[TASK], imitation, SEED)
    before = weights_sha256(student.state_dict())
    better, spent = improve(student, tasks[TASK], ppo, SEED, 1)
    assert weights_sha256(student.state_dict()) == before and student.override is None
    assert better.override is not None and spent == ppo.iterations * ppo.worlds * ppo.ticks
    kept = {name: value for name, value in better.state_dict().items() if not name.startswith("override")}
    assert weights_sha256(kept) == before
    last: Any = better.override.layers[-1]
    assert last.weight.abs().max() > 0.0 and float(better.override.get_buffer("reach")) == pytest.approx(
        ppo.reach
    )
    assert better.override.get_buffer("level").tolist() == [1.0, 1.0, 0.0, 1.0, 0.0]
    assert better.override.get_buffer("rising").tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]


def test_a_run_folder_tells_all(trained: Trained, tasks: dict[str, Task]) -> None:
    folder = trained.folder
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    logs = {name for name in files if name.startswith("tb/")}
    assert files - logs == {
        "config.yaml", "command.txt", "versions.json", "metrics.jsonl", "policy.onnx", "contract.json", "train.json",
        "checkpoints/student.safetensors", "checkpoints/policy.safetensors",
    }  # fmt: skip
    assert len(logs) == 1 and (folder / logs.pop()).stat().st_size > 100
    config = yaml.safe_load((folder / "config.yaml").read_text())
    imitation, ppo = small()
    assert (config["task"], config["seed"], config["select"]) == (TASK, SEED, 2)
    assert config["ppo"] == asdict(ppo) and config["imitation"]["worlds"] == imitation.worlds
    assert (
        folder / "command.txt"
    ).read_text() == f"genba train {TASK} --set 'imitation.mixing=[0.5, 0.25]'\n"
    versions = json.loads((folder / "versions.json").read_text())
    assert versions["torch"] == version("torch") and versions["genba"] == genba.__version__
    assert versions["git"] == "none" or len(versions["git"]) == 40
    lines = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
    stages = [(each["stage"], each["step"]) for each in lines]
    assert stages == [("imitation", 1), ("imitation", 2), ("imitation", 3), ("ppo", 1)]
    assert all(0.0 <= each["success"] <= 1.0 for each in lines) and lines[0]["loss"] > 0.0
    assert read_contract(folder / "contract.json") == contract_of(tasks[TASK])


def test_no_file_of_a_run_is_a_pickle(trained: Trained) -> None:
    for path in trained.folder.rglob("*"):
        if path.is_file():
            head = path.read_bytes()[:4]
            assert not head.startswith(b"PK") and not (
                head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05"
            ), path


def test_the_exported_file_of_a_run_knows_nothing_of_the_machine(trained: Trained) -> None:
    data = (trained.folder / "policy.onnx").read_bytes()
    machine = (
        str(Path(genba.__file__).parent),
        str(Path.home()),
        str(trained.home),
        sys.prefix,
        "site-packages",
    )
    assert not [text for text in machine if text.encode() in data]


def test_what_other_tools_read_of_a_run(trained: Trained) -> None:
    said = dict(trained.result.as_json())
    assert said["run"].startswith(f"runs/{TASK}/") and said["weights_sha256"] == trained.result.weights
    assert said["success"].keys() == {"rate", "n", "lower95"} and said["success"]["n"] == 2
    assert said["env_steps"] == recipe_for(TASK, SETTINGS, None).steps and said["train_s"] > 0.0
    written = json.loads((trained.folder / "train.json").read_text())
    made = written.pop("made")
    assert written == json.loads(json.dumps(said))
    assert made["policy.onnx"] == sha256_file(trained.folder / "policy.onnx")
    assert trained.result.parity <= 1e-5 and "next: genba check" in trained.result.table()


def test_a_run_without_its_file_is_exported_from_its_checkpoint(trained: Trained, here: Path) -> None:
    run = Path(shutil.copytree(trained.folder, here / "runs" / TASK / "one"))
    for name in ("policy.onnx", "contract.json"):
        (run / name).unlink()
    policy = load_policy(str(run))
    assert policy.sha256 == load_policy(str(trained.folder)).sha256 and policy.task == TASK
    assert (run / "contract.json").read_bytes() == (trained.folder / "contract.json").read_bytes()


def test_a_run_with_a_checkpoint_cut_short_goes_on(trained: Trained, here: Path) -> None:
    """What is said to do about it works: delete it, and the run is unfinished again."""
    run = Path(shutil.copytree(trained.folder, here / "runs" / TASK / "2026-01-01-01"))
    weights = run / "checkpoints" / "policy.safetensors"
    (run / "policy.onnx").unlink()
    weights.write_bytes(weights.read_bytes()[:-40])
    with pytest.raises(BadInput, match="not a whole checkpoint.*delete it, then go on with") as caught:
        load_policy(str(run))
    assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="no unfinished run"):
        latest_unfinished(TASK)
    weights.unlink()
    assert latest_unfinished(TASK) == Path("runs") / TASK / "2026-01-01-01"
    (run / "config.yaml").unlink()
    weights.write_bytes(b"")
    with pytest.raises(BadInput, match="config.yaml: no such file"):
        load_policy(str(run))


@pytest.mark.wide
def test_an_interrupted_run_says_how_to_go_on_and_does(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real Ctrl-C in the teaching stage of a real process; then `--resume`."""
    many = [*SETTINGS, f"imitation.rounds={ROUNDS}"]
    command = [sys.executable, "-c", GENBA, "train", TASK, "--seed", "1"]
    for setting in many:
        command += ["--set", setting]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    metrics = wait_for_metrics(here, process)
    with pytest.raises(BadInput, match="is being trained by another process"):
        train(TASK, resume=True)
    process.send_signal(signal.SIGINT)
    try:
        said, complaint = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(process.communicate()) from None
    run = metrics.parent.relative_to(here)
    last = complaint.strip().splitlines()[-1]
    assert process.returncode == 130 and said == ""
    assert last == f"interrupted: {run} is kept; go on with: genba train {TASK} --resume"
    assert "Traceback" not in complaint
    kept = load_tensors(run / "checkpoints" / "lesson.safetensors")
    rounds, _, rows = kept["place"].tolist()
    assert 1 <= rounds < ROUNDS and rows in (16 * (20 + 10 * rounds), 16 * (20 + 10 * (rounds - 1)))
    assert len(kept["observations"]) == len(kept["answers"]) == rows

    monkeypatch.setattr(ConveyorSort, "horizon_s", 1.5)
    result = train(TASK, threads=1, resume=True)
    assert result.run == run and json.loads((run / "train.json").read_text())["run"] == str(run)
    lines = [json.loads(text) for text in metrics.read_text().splitlines()]
    steps = [each["step"] for each in lines if each["stage"] == "imitation"]
    assert (
        steps == sorted(set(steps))
        and steps[-1] == ROUNDS + 1
        and set(range(1, ROUNDS + 2)) - set(steps) <= {rounds}
    )
    assert not (run / "checkpoints" / "lesson.safetensors").exists() and (run / "policy.onnx").is_file()
    with pytest.raises(BadInput, match="no unfinished run"):
        train(TASK, resume=True)


def wait_for_metrics(home: Path, process: subprocess.Popen[str]) -> Path:
    """The metrics file of the run that began, as soon as the first round of teaching is in it."""
    for _ in range(24000):
        assert process.poll() is None, process.communicate()
        found = [path for path in home.glob("runs/*/*/metrics.jsonl") if path.stat().st_size]
        if found:
            return found[0]
        time.sleep(0.01)
    process.kill()
    raise AssertionError(process.communicate())


@pytest.mark.parametrize("call", [1, 27, 35])
def test_an_interruption_anywhere_keeps_whole_rounds(
    tasks: dict[str, Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """In the expert's first data nothing is kept yet; later every round that was begun is fitted and kept."""
    imitation, _ = small()
    calls, step = iter(range(1, 1000)), Worlds.step

    def interrupted(worlds: Worlds, action: Any) -> None:
        if next(calls) == call:
            raise KeyboardInterrupt
        step(worlds, action)

    keep = tmp_path / "lesson.safetensors"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Worlds, "step", interrupted)
        teach(tasks[TASK], imitation, SEED, keep=keep)
    assert keep.is_file() == (call > imitation.expert_ticks)
    if keep.is_file():
        rounds, _, rows = load_tensors(keep)["place"].tolist()
        assert (rounds, rows) == (1 + (call - 21) // 10, 16 * (20 + (call - 21) // 10 * 10))
    student = teach(tasks[TASK], imitation, SEED, keep=keep)
    assert not keep.exists() and all(torch.isfinite(value).all() for value in student.state_dict().values())


def test_a_lesson_comes_back_as_it_was(tasks: dict[str, Task], tmp_path: Path) -> None:
    imitation, _ = small()
    keep = tmp_path / "lesson.safetensors"

    def stop(done: int, loss: float, success: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        teach(tasks[TASK], imitation, SEED, report=stop, keep=keep)
    lesson = Lesson(tasks[TASK], imitation, SEED)
    lesson.load(keep)
    lesson.save(tmp_path / "again.safetensors")
    kept, again = load_tensors(keep), load_tensors(tmp_path / "again.safetensors")
    episodes = again.pop("place") - kept.pop("place")
    assert episodes.tolist() == [0, imitation.worlds, 0]  # new episodes began, everything else is as it was
    assert weights_sha256(again) == weights_sha256(kept) and any(name.startswith("adam/") for name in kept)
    keep.write_bytes(keep.read_bytes()[:-100])
    with pytest.raises(BadInput, match="not a whole checkpoint"):
        teach(tasks[TASK], imitation, SEED, keep=keep)


def test_a_start_that_cannot_be_meant_leaves_no_run_behind(here: Path) -> None:
    for wrong in (
        {"settings": ["imitation.rouns=2"]},
        {"settings": ["select=0"]},
        {"steps": 0},
        {"seed": -1},
        {"seed": 1000},
        {"resume": True},
        {"resume": True, "settings": ["select=4"]},
    ):
        with pytest.raises((BadInput, UnknownName)):
            train(TASK, **wrong)
    with pytest.raises(UnknownName, match="Did you mean conveyor-sort"):
        train("conveyor-sorts")
    with pytest.raises(BadInput, match="nobody here can teach it"):
        train("gym:Ant-v5")
    assert not (here / "runs").exists()


def test_runs_are_numbered_and_the_latest_goes_on(here: Path) -> None:
    first, second = new_run(TASK), new_run(TASK)
    assert (first.name[-3:], second.name[-3:]) == ("-01", "-02")
    hundredth = first.with_name(f"{first.name[:-3]}-100")
    hundredth.mkdir()
    for run in (first, second, hundredth):
        (run / "config.yaml").write_text("task: conveyor-sort\n")
    assert latest_unfinished(TASK) == hundredth
    (hundredth / "train.json").write_text("{}")
    (hundredth / "policy.onnx").write_bytes(b"")
    assert latest_unfinished(TASK) == second


def test_the_line_ends_in_a_release_or_says_why_not(
    passed: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = conclude(read_evidence(find_check(passed)))
    learnt = replace(trained.result, run=trained.folder)
    asked: list[str] = []

    def released(run: str, scanned: object) -> ReleaseResult:
        assert scanned is judged.scan
        asked.append(run)
        return ReleaseResult(Path("releases/one"), judged)

    monkeypatch.setattr(line, "train", lambda task, **options: learnt)
    monkeypatch.setattr(line, "check", lambda policy, **options: judged if policy.task == TASK else None)
    refused = line.go(TASK)
    assert refused.exit_code == 1 and refused.as_json()["release"] is None
    assert "release  refused: no release without evidence" in refused.table()
    monkeypatch.setattr(line, "release", released)
    done = line.go(TASK)
    assert done.exit_code == 0 and asked == [str(trained.folder)]
    assert done.as_json()["release"]["verdict"] == "PASS" and "next: genba demo releases/one" in done.table()


@pytest.mark.wide
def test_a_bench_of_learning_measures_before_and_after_on_test_seeds(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two training seeds of a course that teaches nothing: the student stays, and nothing is said but what was measured."""
    asked: list[list[int]] = []

    def trains(task: str, *, seed: int, threads: int, say: Any) -> TrainResult:
        return train(task, seed=seed, threads=1, settings=SETTINGS)

    def evaluates(act: Any, task: Any, seeds: Any, bad: int, threads: int) -> Any:
        asked.append([int(seeds[0]), len(seeds), bad])
        return evaluate(act, task, seeds, bad, 1)

    monkeypatch.setattr(ConveyorSort, "horizon_s", 1.0)
    monkeypatch.setattr(bench_learn, "train", trains)
    monkeypatch.setattr(bench_learn, "evaluate", evaluates)
    lessons = bench_learn.bench_learn(TASK, seeds=2, episodes=4)
    said = lessons.as_json()
    assert [row["seed"] for row in said["seeds"]] == [0, 1] and said["task"] == TASK
    assert asked == [[SEED_RANGES["test"], 5, 1]] * 2
    for row in said["seeds"]:
        assert row["improved"] is False and row["success"] == row["success_of_student"]
        assert row["success"]["n"] == 4 and row["bad_days"] == 1
        assert (here / row["run"] / "policy.onnx").is_file()
    assert lessons.table().count("student stays") == 2
    with pytest.raises(BadInput, match="at least 1 training seed"):
        bench_learn.bench_learn(TASK, seeds=0)
