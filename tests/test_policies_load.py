"""Loading: whatever a person may mean by a policy, and one line for what cannot be one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

import genba
from genba import cli
from genba.envs.engine import model_bytes
from genba.envs.errors import BadInput, UnknownName
from genba.envs.files import sha256_file
from genba.envs.task import Task, get_task, task_ids
from genba.envs.worlds import Worlds
from genba.policies import load
from genba.policies.contract import contract_of, differences, read_contract
from genba.policies.load import _kept, load_for_check, load_policy
from genba.policies.manifest import verify_manifest
from genba.safety.campaign import check
from genba.safety.evidence import read_evidence
from genba.safety.report import report
from genba.tests.release_kit import STILL, TASK, easy_suite, make_run, onnx_bytes

Rows = NDArray[np.float32]
CALLABLES = """
import asyncio, ctypes, os
import numpy as np
def still(observation):
    return np.zeros((len(observation), 5), np.float32)
def broken(observation):
    action = np.zeros((len(observation), 5))
    action[:, 2] = np.nan
    return action
def endless(observation):
    return [[0.0, np.inf, 0.0, 0.0, 0.0]] * len(observation)
def narrow(observation):
    return np.zeros((len(observation), 3))
def raises(observation):
    raise RuntimeError("no weights\\nloaded")
def cancels(observation):
    raise asyncio.CancelledError("by\\nitself")
def stops(observation):
    raise KeyboardInterrupt
def wary(observation):
    if not np.abs(observation).max(axis=-1).all():
        raise ValueError("no such start")
    return still(observation)
def exits(observation):
    raise SystemExit(0)
def text(observation):
    return [["0.5"] * 5] * len(observation)
def complexes(observation):
    return np.zeros((len(observation), 5), complex)
def nothing(observation):
    return [[None] * 5] * len(observation)
def enormous(observation):
    return np.full((len(observation), 5), 1e300)
def whole(observation):
    return np.ones((len(observation), 5), int)
def good(observation):
    action = np.tanh(observation[:, :5])
    action[:, 4] = -1.0
    return action
kept = np.zeros((64, 5), np.float32)
def reuses(observation):
    kept[: len(observation)] = good(observation)
    return kept[: len(observation)]
def destroys(observation):
    action = good(observation)
    observation[:] = 7.0
    return action
def single(observation):
    if observation.ndim != 1:
        raise ValueError("one at a time")
    return good(observation[None])[0]
def prints(observation):
    print("hello")
    return np.zeros((len(observation), 5))
def writes(observation):
    os.write(1, b"raw")
    ctypes.CDLL(None).puts(b"held back")
    return np.zeros((len(observation), 5))
def wanders(observation):
    os.chdir("/")
    return good(observation)
class Policy:
    def __call__(self, observation):
        return good(observation)
policy = Policy()
number = 3
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, with one module of callables."""
    monkeypatch.chdir(tmp_path)
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(CALLABLES)
    yield tmp_path


@pytest.fixture
def mine(here: Path) -> str:
    """The name of that module; modules of one name would be imported once."""
    (module,) = here.glob("mine_*.py")
    return module.stem


def asked(task: Task, n: int = 6) -> tuple[Rows, NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(1)
    seen = rng.standard_normal((n, len(task.observation_names))).astype(np.float32)
    return seen, rng.integers(0, 1 << 40, n), rng.integers(0, 500, n)


def refusal(spec: str, task: str = "") -> str:
    with pytest.raises(BadInput) as caught:
        load_policy(spec, task)
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("task_id", task_ids())
def test_the_built_in_ones_act(tasks: dict[str, Task], task_id: str) -> None:
    task = tasks[task_id]
    seen, seeds, steps = asked(task)
    hashes = set()
    for kind in ("scripted", "random", "zero"):
        policy = load_policy(kind, task_id)
        action = policy.act(seen, seeds, steps)
        assert action.shape == (6, len(task.action_names)) and action.dtype == np.float32
        assert (policy.kind, policy.name, policy.task) == (kind, kind, task_id)
        assert policy.folder == Path("runs") / task_id / kind
        hashes.add(policy.sha256)
    assert len(hashes) == 3 and all(len(each) == 64 for each in hashes)
    assert not load_policy("zero", task_id).act(seen, seeds, steps).any()
    expected = task.expert(seen).astype(np.float32)
    assert load_policy("scripted", task_id).act(seen, seeds, steps).tobytes() == expected.tobytes()


def test_a_random_action_depends_on_seed_and_step_only(tasks: dict[str, Task]) -> None:
    policy = load_policy("random", TASK)
    seen, seeds, steps = asked(tasks[TASK], 64)
    action = policy.act(seen, seeds, steps)
    order = np.random.default_rng(2).permutation(64)
    assert policy.act(seen * 0, seeds[order], steps[order]).tobytes() == action[order].tobytes()
    assert policy.act(seen[:2], seeds[:2], steps[:2]).tobytes() == action[:2].tobytes()
    assert not (policy.act(seen, seeds + 1, steps) == action).any()
    assert not (policy.act(seen, seeds, steps + 1) == action).any()
    assert action.min() < -0.9 and action.max() > 0.9 and np.abs(action).max() <= 1.0
    assert load_policy("random", "kit-pick").sha256 != policy.sha256


def test_what_is_for_any_task_asks_which(here: Path) -> None:
    for spec in ("scripted", "random", "zero", "some.module:act"):
        assert "say which with --task" in refusal(spec)
    with pytest.raises(UnknownName, match="Did you mean kit-pick"):
        load_policy("scripted", "kitpick")


def test_a_callable_acts_and_is_known_by_its_file(tasks: dict[str, Task], mine: str, here: Path) -> None:
    policy = load_policy(f"{mine}:still", TASK)
    action = policy.act(*asked(tasks[TASK]))
    assert (policy.kind, policy.name) == ("callable", f"{mine}:still") and action.shape == (6, 5)
    assert policy.folder == Path("runs") / TASK / f"{mine}-still"
    assert policy.sha256 == load_policy(f"{mine}:broken", TASK).sha256


def test_what_is_wrong_with_a_callable_is_said_in_one_line(
    tasks: dict[str, Task], mine: str, here: Path
) -> None:
    assert "cannot import no_such_module" in refusal("no_such_module:act", TASK)
    (here / f"{mine}_x.py").write_text("def act(:\n")
    assert "SyntaxError" in refusal(f"{mine}_x:act", TASK)
    assert "not a Python file" in refusal("time:time", TASK)
    for name in ("stil", "number"):
        with pytest.raises(UnknownName, match="known: .*good") as caught:
            load_policy(f"{mine}:{name}", TASK)
    assert caught.value.kind == f"callable in {mine}"
    with pytest.raises(BadInput, match=r"returned shape \(6, 3\), expected \(6, 5\)"):
        load_policy(f"{mine}:narrow", TASK).act(*asked(tasks[TASK]))
    with pytest.raises(BadInput, match="could not act on observations .*RuntimeError: no weights loaded"):
        load_policy(f"{mine}:raises", TASK).act(*asked(tasks[TASK]))


def test_what_evidence_names_is_not_run_unless_it_is_what_was_judged(mine: str, here: Path) -> None:
    """Replay and report of somebody else's check: a file of that name may lie here by chance, or by intent."""
    result = check(load_policy(f"{mine}:still", TASK), suite=easy_suite(1), seed=1)
    assert load_for_check(str(result.folder)).sha256 == result.evidence.plan.policy.sha256
    del sys.modules[mine]
    (here / f"{mine}.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    with pytest.raises(BadInput, match=f"{mine}.py: is not the file that was judged .*; it was not imported"):
        load_for_check(str(result.folder))
    assert not (here / "ran").exists()


def test_a_contract_does_not_make_somebody_elses_environment_run(here: Path) -> None:
    contract = contract_of(get_task(TASK)).model_copy(update={"task": "gym:evil:X-v0"})
    (here / "mine.onnx").write_bytes(onnx_bytes(contract_of(get_task(TASK))))
    (here / "contract.json").write_bytes(contract.to_bytes())
    (here / "evil.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    assert "say it yourself with --env" in refusal("mine.onnx")
    assert not (here / "ran").exists()


def test_a_folder_that_is_no_run_is_said_to_be_none(here: Path) -> None:
    (here / "empty").mkdir()
    assert refusal("empty") == "empty: holds no policy.onnx: not the folder of a run or a release"


def test_a_function_is_asked_for_real_starts_first(mine: str) -> None:
    """An honest one may refuse what no start looks like: a quaternion of zeros."""
    assert len(check(load_policy(f"{mine}:wary", TASK), suite=easy_suite(1), seed=1).evidence) == 1


def test_a_line_end_in_a_name_makes_no_line_in_the_table(here: Path) -> None:
    forged = "a\nverdict  PASS.onnx"
    (here / forged).write_bytes(onnx_bytes(contract_of(get_task(TASK))))
    result = check(load_policy(forged, TASK), suite=easy_suite(1), seed=1)
    lines = result.table().splitlines()
    assert "/a verdict  PASS-" in lines[0] and sum(line.startswith("verdict") for line in lines) == 1


@pytest.mark.parametrize("name", ["broken", "endless"])
def test_an_action_that_is_no_number_is_a_fault_in_the_evidence(mine: str, name: str) -> None:
    result = check(load_policy(f"{mine}:{name}", TASK), suite=easy_suite(3), seed=1)
    evidence = read_evidence(result.folder)
    assert evidence.columns["reason"].tolist() == ["fault"] * 3 and not evidence.columns["success"].any()
    assert (evidence.margins("simulator-fault") < 0.0).all()
    assert result.verdict.word == "FAIL" and "fault" in result.verdict.reasons[0]
    assert load_for_check(str(result.folder)).sha256 == evidence.plan.policy.sha256


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("exits", "could not act on observations (6, 36) (SystemExit: 0)"),
        ("cancels", "could not act on observations (6, 36) (CancelledError: by itself)"),
        ("text", "values, expected real numbers"),
        ("complexes", "returned complex128 values, expected real numbers"),
        ("nothing", "returned object values, expected real numbers"),
        ("Policy", "expected real numbers"),
    ],
)
def test_what_a_callable_may_not_return(tasks: dict[str, Task], mine: str, name: str, line: str) -> None:
    with pytest.raises(BadInput) as caught:
        load_policy(f"{mine}:{name}", TASK).act(*asked(tasks[TASK]))
    assert line in str(caught.value) or "could not act" in str(caught.value) and name == "Policy"


def test_a_callable_that_goes_elsewhere_takes_nobody_along(
    tasks: dict[str, Task], mine: str, here: Path
) -> None:
    policy = load_policy(f"{mine}:wanders", "kit-pick")
    policy.act(*asked(tasks["kit-pick"]))
    assert Path.cwd() == here


def test_ctrl_c_in_a_callable_is_the_users(tasks: dict[str, Task], mine: str, here: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_policy(f"{mine}:stops", TASK).act(*asked(tasks[TASK]))
    (here / f"{mine}_y.py").write_text("import asyncio\nraise asyncio.CancelledError\n")
    assert "CancelledError" in refusal(f"{mine}_y:act", TASK)


def test_numbers_of_any_type_are_taken(tasks: dict[str, Task], mine: str) -> None:
    seen = asked(tasks[TASK])
    assert load_policy(f"{mine}:whole", TASK).act(*seen).tolist() == [[1.0] * 5] * 6
    assert np.isposinf(load_policy(f"{mine}:enormous", TASK).act(*seen)).all()
    good = load_policy(f"{mine}:good", TASK).act(*seen)
    assert load_policy(f"{mine}:policy", TASK).act(*seen).tobytes() == good.tobytes()


@pytest.mark.wide
def test_a_callable_that_keeps_or_changes_arrays_or_takes_one_row_gives_the_same_evidence(mine: str) -> None:
    """Two loops on a thread each ask in turns: what one was given must not change under the other."""
    rows = set()
    for name in ("good", "reuses", "destroys", "single"):
        policy = load_policy(f"{mine}:{name}", TASK)
        evidence = check(policy, suite=easy_suite(8), seed=1, threads=2, worlds=8).evidence
        rows.add(tuple(evidence.columns["trace_sha256"].tolist()))
    assert len(rows) == 1


def test_what_a_callable_gives_is_its_own_copy(tasks: dict[str, Task], mine: str) -> None:
    policy = load_policy(f"{mine}:reuses", TASK)
    seen, seeds, steps = asked(tasks[TASK])
    before, first = seen.copy(), policy.act(seen, seeds, steps)
    kept = first.copy()
    policy.act(seen + 1.0, seeds, steps)
    assert first.tobytes() == kept.tobytes()
    load_policy(f"{mine}:destroys", TASK).act(seen, seeds, steps)
    assert seen.tobytes() == before.tobytes()


@pytest.mark.wide
def test_a_callable_can_neither_end_nor_fill_the_output(mine: str, here: Path) -> None:
    (here / "leaves_at_once.py").write_text("import sys\nsys.exit(0)\n")
    for spec in ("leaves_at_once:act", f"{mine}:exits"):
        result = CliRunner().invoke(cli.app, ["check", spec, "--task", TASK, "--seed", "1"])
        assert result.exit_code == 2 and result.stderr.count("\n") == 1 and "SystemExit: 0" in result.stderr
    assert not (here / "runs").exists()
    (here / "easy.yaml").write_text(EASY)
    arguments = ["check", f"{mine}:prints", "--task", TASK, "--seed", "1", "--suite", "easy.yaml"]
    result = CliRunner().invoke(cli.app, arguments)
    assert "hello" in result.stderr and "hello" not in result.stdout and "verdict" in result.stdout


@pytest.mark.wide
def test_a_callable_cannot_spoil_the_result(mine: str, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither past Python's own stdout, nor from C; with no stdout at all there is nothing to spoil."""
    (here / "easy.yaml").write_text(EASY)
    arguments = ["check", f"{mine}:writes", "--task", TASK, "--seed", "1", "--suite", "easy.yaml", "--json"]
    script = [sys.executable, "-m", "genba.cli", *arguments]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["episodes"] == 1
    assert "raw" in done.stderr and "held back" in done.stderr
    closed = f"import os; os.close(1); os.execv({sys.executable!r}, {script!r})"
    done = subprocess.run([sys.executable, "-c", closed], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1) and "raw" in done.stderr and not done.stdout
    with cli.quiet_stdout():
        os.write(1, b"aside")
    os.write(1, b"result")
    out, err = capfd.readouterr()
    assert (out, err) == ("result", "aside")


EASY = """
id: easy
title: {en: Easy, ja: 易しい}
extends: basic
episodes_per_condition: 1
disturbances: {}
verdict: {success: []}
"""


@pytest.mark.parametrize("name", ["ppo.zip", "model.pt", "model.PTH", "weights.pkl", "absent.zip"])
def test_an_archive_that_would_run_code_is_never_opened(here: Path, name: str) -> None:
    if not name.startswith("absent"):
        (here / name).write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    line = refusal(name, TASK)
    assert "genba import reads the weights" in line and "exported to ONNX (docs/bring-your-own.md" in line
    assert not (here / "opened").exists()


@pytest.mark.long
def test_the_export_of_the_documentation_makes_a_policy(tasks: dict[str, Task], here: Path) -> None:
    """A Stable-Baselines3 archive becomes a file that acts as the archive's policy does."""
    gymnasium = pytest.importorskip("gymnasium")
    from stable_baselines3 import PPO

    page = (Path(genba.__file__).parent / "docs" / "bring-your-own.md").read_text(encoding="utf-8")
    (listing,) = [each for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "PPO.load" in each]
    (here / "export.py").write_text(listing)
    wide, channels = len(tasks[TASK].observation_names), len(tasks[TASK].action_names)
    spaces = gymnasium.spaces.Box(-1.0, 1.0, (wide,)), gymnasium.spaces.Box(-1.0, 1.0, (channels,))

    class Room(gymnasium.Env):  # type: ignore[misc, name-defined]
        observation_space, action_space = spaces

    model = PPO("MlpPolicy", Room(), device="cpu", n_steps=2, batch_size=2)
    model.save("ppo.zip")
    subprocess.run([sys.executable, "export.py", "ppo.zip", "mine.onnx"], check=True, capture_output=True)
    seen = asked(tasks[TASK])
    action = load_policy("mine.onnx", TASK).act(*seen)
    assert np.abs(action - model.predict(seen[0], deterministic=True)[0]).max() < 1e-5


def test_a_file_acts_and_keeps_its_checks_with_the_runs(tasks: dict[str, Task], here: Path) -> None:
    contract = contract_of(tasks[TASK])
    (here / "other.onnx").write_bytes(onnx_bytes(contract))
    policy = load_policy("other.onnx", TASK)
    assert (policy.kind, policy.name) == ("onnx", f"other-{policy.sha256[:6]}")
    assert (policy.folder / "policy.onnx").read_bytes() == (here / "other.onnx").read_bytes()
    assert policy.act(*asked(tasks[TASK])).tolist() == [list(STILL)] * 6
    assert load_policy(str(policy.folder), TASK).sha256 == policy.sha256
    assert "say which with --task" in refusal("other.onnx")


@pytest.mark.wide
def test_checks_of_a_release_or_of_a_file_that_is_no_run_lie_with_the_runs(
    made: Path, tasks: dict[str, Task], here: Path
) -> None:
    """Nothing may be added to a release, whatever of it is named; and what is replayed must have its policy beside it."""
    for spec in (made, made / "policy.onnx"):
        assert (here / "runs" / TASK) in load_policy(str(spec), TASK).folder.resolve().parents
    page = report(made)
    assert page.is_file() and here in page.resolve().parents
    verify_manifest(made)
    contract = contract_of(tasks[TASK])
    for name, data in (("mine.onnx", onnx_bytes(contract)), ("contract.json", contract.to_bytes())):
        (here / name).write_bytes(data)
    folder = load_policy("mine.onnx").folder
    assert folder.parent == Path("runs") / TASK and (folder / "policy.onnx").is_file()


def test_an_edited_expert_or_cell_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no evidence of before is taken for it, or gone on with."""
    task = get_task(TASK)
    judged, cell = load_policy("scripted", TASK).sha256, task.cell_sha256
    assert get_task(TASK).cell_sha256 == cell
    Worlds(task, 2, 1)  # an engine sets a flag of its own
    assert model_bytes(task.model) == model_bytes(get_task(TASK).model)
    slippery = get_task(TASK)
    slippery.model.geom_friction[:] *= 0.1
    assert slippery.cell_sha256 != cell
    read = sha256_file
    monkeypatch.setattr(load, "sha256_file", lambda path: read(path) + str(path.name == "grasp.py"))
    assert load_policy("scripted", TASK).sha256 != judged


def test_another_policy_of_the_same_name_gets_a_run_of_its_own(tmp_path: Path) -> None:
    """A release keeps its checks in the run of its name; a newer one of that name must not answer for the older."""
    given, run = tmp_path / "given.onnx", tmp_path / "run"
    folders = []
    for data in (b"older", b"newer", b"older"):
        given.write_bytes(data)
        folders.append(_kept(run, given))
        assert (folders[-1] / "policy.onnx").read_bytes() == data
    assert folders[0] == folders[2] == run != folders[1]


def test_a_run_acts_and_knows_its_task(tasks: dict[str, Task], here: Path) -> None:
    run = make_run(here / "runs" / TASK / "one")
    policy = load_policy(str(run))
    assert (policy.task, policy.name, policy.folder) == (TASK, "one", run)
    assert load_policy(str(run / "policy.onnx")).folder == run
    assert "made for other inputs or outputs than kit-pick" in refusal(str(run), "kit-pick")


def test_a_policy_can_be_judged_in_another_variant_of_its_cell(tasks: dict[str, Task], here: Path) -> None:
    """Where it is asked for; without that, or for other columns, a contract says what it says."""
    run = make_run(here / "runs" / TASK / "one")
    for spec in (f"{TASK}:hard", f"{TASK},vision=1"):
        assert load_policy(str(run), spec).task == spec
    hard = contract_of(get_task(f"{TASK}:hard"))
    (run / "contract.json").write_bytes(hard.to_bytes())
    assert load_policy(str(run)).task == f"{TASK}:hard"
    slow = hard.model_copy(update={"control_hz": 20})
    (run / "contract.json").write_bytes(slow.to_bytes())
    assert refusal(str(run), TASK).endswith("control_hz: 20, expected 50")


def test_wrong_shapes_say_expected_and_found(tasks: dict[str, Task], here: Path) -> None:
    contract = contract_of(tasks[TASK])
    wide, channels = len(contract.observation), len(contract.action)
    narrow = contract.model_copy(update={"observation": contract.observation[:-1]})
    few = contract.model_copy(update={"action": contract.action[:-1]})
    (here / "narrow.onnx").write_bytes(onnx_bytes(narrow))
    (here / "few.onnx").write_bytes(onnx_bytes(few, STILL[:-1]))
    line = refusal("narrow.onnx", TASK)
    assert f"'observation': expected float32 (n, {wide}), found float (n, {wide - 1})" in line
    line = refusal("few.onnx", TASK)
    assert f"'action': expected float32 (n, {channels}), found float (n, {channels - 1})" in line


def test_a_contract_of_another_rate_is_refused(tasks: dict[str, Task], here: Path) -> None:
    run = make_run(here / "run")
    contract = read_contract(run / "contract.json")
    slow = contract.model_copy(update={"control_hz": 20})
    assert differences(slow, contract) == ["control_hz: 20, expected 50"]
    (run / "contract.json").write_bytes(slow.to_bytes())
    assert refusal(str(run)).endswith("control_hz: 20, expected 50")
    first = contract.observation[0]
    columns = (first.model_copy(update={"unit": "rad"}), *contract.observation[1:])
    (run / "contract.json").write_bytes(contract.model_copy(update={"observation": columns}).to_bytes())
    assert "observation: column 0 is" in refusal(str(run))
    (run / "contract.json").write_text("{")
    assert "not a contract" in refusal(str(run))


def rows_bytes(most: int, together: int) -> bytes:
    """A policy that answers its first `most` rows, and looks at `together` at once, whatever it says of its shapes."""
    columns, channels = len(get_task(TASK).observation_names), len(get_task(TASK).action_names)
    values = {
        "folded": [-1, together * columns],
        "unfolded": [-1, columns],
        "starts": [0, 0],
        "ends": [most, channels],
    }
    nodes = [
        helper.make_node("Reshape", ["observation", "folded"], ["blocks"]),
        helper.make_node("Reshape", ["blocks", "unfolded"], ["rows"]),
        helper.make_node("Slice", ["rows", "starts", "ends"], ["action"]),
    ]
    shapes = {"observation": columns, "action": channels}
    seen, given = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width]) for name, width in shapes.items()
    )
    constants = [numpy_helper.from_array(np.array(value), name) for name, value in values.items()]
    graph = helper.make_graph(nodes, "rows", [seen], [given], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def test_a_file_that_wants_more_than_an_observation_is_refused(here: Path) -> None:
    from onnx import TensorProto, helper

    rows = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
        for name, width in (("observation", 36), ("b", 5))
    ]
    answer = helper.make_tensor_value_info("action", TensorProto.FLOAT, ["n", 5])
    graph = helper.make_graph([helper.make_node("Identity", ["b"], ["action"])], "g", rows, [answer])
    onnx_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (here / "extra.onnx").write_bytes(onnx_model.SerializeToString())
    assert "expected one input, found observation, b" in refusal("extra.onnx", "conveyor-sort")
    assert not (here / "runs").exists()


@pytest.mark.parametrize(
    ("most", "together", "line"),
    [
        (99, 2, "cannot act on 3 observations at once ("),
        (2, 1, "output 'action' has shape (2, 5) for 3 observations, expected (3, 5)"),
    ],
)
def test_a_file_must_answer_any_number_of_rows(here: Path, most: int, together: int, line: str) -> None:
    (here / "some.onnx").write_bytes(rows_bytes(most, together))
    with pytest.raises(BadInput) as caught:
        check(load_policy("some.onnx", TASK), suite=easy_suite(1), seed=1)
    assert line in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 300
    assert not list(here.glob("runs/**/plan.json"))


def test_what_is_not_there_or_no_policy_says_so(here: Path) -> None:
    make_run(here / "runs" / TASK / "first")
    with pytest.raises(UnknownName, match=f"Did you mean runs/{TASK}/first"):
        load_policy(f"runs/{TASK}/frist", TASK)
    with pytest.raises(UnknownName, match="Did you mean scripted"):
        load_policy("script", TASK)
    assert refusal("absent.onnx", TASK) == "absent.onnx: no such file"
    assert refusal("absent.onnx") == "absent.onnx: no such file"
    (here / "notes.txt").write_text("hello")
    assert "not a policy that can be read" in refusal("notes.txt", TASK)
    (here / "text.onnx").write_text("hello")
    assert "not an ONNX model" in refusal("text.onnx", TASK)
    (here / "runs" / TASK / "cut").mkdir()
    line = refusal(f"runs/{TASK}/cut")
    assert line.endswith(f"go on with: genba train {TASK} --resume") and "holds no policy.onnx" in line
