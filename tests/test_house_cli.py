"""The door: fast, quiet, one line per error, one exit code per kind of ending."""

import errno
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from genba import cli
from genba.envs import doctor
from genba.envs.errors import EnvironmentProblem, Refused

GENBA = [sys.executable, "-m", "genba.cli"]
HELP_LIMIT_S = 0.35
SLOW_MACHINE = 3  # a loaded test machine may take this many times longer
VERBS = {
    "go", "tasks", "suites", "demo", "train", "check", "compare", "release", "run", "serve", "replay", "report"
}  # fmt: skip


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Result:
    """What `genba doctor` says when its work raises `error`."""

    def examine() -> None:
        raise error

    monkeypatch.setattr(doctor, "examine", examine)
    return call("doctor")


def test_help_is_fast_and_names_every_verb() -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run = subprocess.run([*GENBA, "--help"], capture_output=True, text=True, check=True)
        times.append(time.perf_counter() - start)
    assert min(times) < HELP_LIMIT_S * SLOW_MACHINE
    listed = {line.split()[0] for line in run.stdout.partition("Commands:")[2].splitlines() if line.strip()}
    assert VERBS | {"bench", "doctor"} <= listed


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, genba.cli, genba.envs, genba.envs.tasks, genba.safety, genba.policies\n"
        "heavy = {'numpy', 'mujoco', 'torch', 'pydantic', 'gymnasium', 'onnxruntime', 'matplotlib', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_verb_explains_itself() -> None:
    for verb in sorted(VERBS | {"bench", "doctor"}):
        result = call(verb, "--help")
        assert result.exit_code == 0, verb
        assert "Usage:" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["trian"], "genba: unknown verb 'trian'. Did you mean train?"),
        (["tasks", "shwo"], "genba: unknown tasks verb 'shwo'. Did you mean show? (known: copy, new, show)"),
        (["train"], "train: Missing argument"),
        (["train", "kit-pick", "--sead", "3"], "train: No such option: --sead"),
        (["run", "somewhere", "--episodes", "0"], "run: Invalid value for '--episodes'"),
        (["tasks", "show", "kitpick"], "genba: unknown task 'kitpick'. Did you mean kit-pick?"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(arguments: list[str], line: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert line in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (Refused("no PASS; run genba check"), 1, "genba: no PASS; run genba check\n"),
        (EnvironmentProblem("no display; run genba doctor"), 3, "genba: no display; run genba doctor\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 3, "No space left on device. genba doctor"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 3, "pip install 'genba[learn]'"),
        (ZeroDivisionError("in\nsome corner"), 3, "genba: internal error: ZeroDivisionError: in some corner"),
        (
            KeyboardInterrupt("go on with genba check X --resume"),
            130,
            "interrupted: go on with genba check X --resume\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted: what was finished is saved"),
    ],
)
def test_every_ending_has_its_exit_code_and_one_line(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, line: str
) -> None:
    result = fail_with(monkeypatch, error)
    assert result.exit_code == code
    assert line in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.output


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENBA_DEBUG", "1")
    assert isinstance(fail_with(monkeypatch, ZeroDivisionError("here")).exception, ZeroDivisionError)


class Chatty:
    """A result whose work prints on the way, as libraries do."""

    exit_code = 1

    def as_json(self) -> Mapping[str, Any]:
        return {"margin": float("inf"), "n": 3}

    def table(self) -> str:
        return "n 3"


def chatty(_: object = None) -> Chatty:
    print("a library says hello")
    return Chatty()


@pytest.mark.parametrize(("flags", "stdout"), [(["--json"], '{"margin": null, "n": 3}\n'), ([], "n 3\n")])
def test_stdout_is_left_to_the_result(monkeypatch: pytest.MonkeyPatch, flags: list[str], stdout: str) -> None:
    monkeypatch.setattr(doctor, "examine", chatty)
    result = call("doctor", *flags)
    assert result.exit_code == 1
    assert result.stdout == stdout and "hello" in result.stderr


def test_tasks_are_listed_for_tools_and_for_people() -> None:
    listed = json.loads(call("tasks", "--json").stdout.splitlines()[-1])["tasks"]
    assert "kit-pick" in {task["id"] for task in listed}
    shown = call("tasks").stdout
    for task in listed:
        assert {"id", "robot", "signals", "takt_s", "horizon_s", "control_hz", "physics_hz"} <= set(task)
        assert all({"name", "unit", "shape"} <= set(signal) for signal in task["signals"])
        assert task["id"] in shown


def test_doctor_looks_at_this_machine() -> None:
    result = call("doctor", "--json")
    report = json.loads(result.stdout.splitlines()[-1])
    assert result.exit_code == (0 if report["healthy"] else 3)
    names = {finding["name"] for finding in report["findings"]}
    assert {"python", "libraries", "solver", "rendering", "cores", "memory", "writing", "platform"} <= names
    assert all(f["mend"] for f in report["findings"] if f["status"] == "problem")


def test_doctor_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    assert doctor.writing(tmp_path / "missing").status == "problem"
    monkeypatch.setenv("MUJOCO_GL", "no-such-backend")
    assert doctor.rendering().status == "note"
    monkeypatch.setattr(doctor, "NEEDED", ("numpy", "no-such-library"))
    assert "no-such-library missing" in doctor.libraries().text
    assert doctor.Diagnosis((doctor.libraries(),), {}).exit_code == 3


def test_doctor_survives_a_look_that_breaks() -> None:
    def breaks() -> doctor.Finding:
        raise RuntimeError("two\nlines")

    look: Callable[[], doctor.Finding] = breaks
    assert doctor._guarded(look).text == "RuntimeError: two lines"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("tasks", "--json", "show", "kit-pick"), "--json belongs behind the verb: genba tasks show"),
        (("suites", "--json", "show", "basic"), "--json belongs behind the verb: genba suites show"),
        (
            ("check", "zero", "--task", "kit-pick", "--sweep", "--no-scan"),
            "--no-scan does not go with --sweep",
        ),
        (
            ("check", "zero", "--task", "kit-pick", "--sweep", "--seed", "500"),
            "--seed 500: expected 0 to 499",
        ),
        (("train", "kit-pick", "--resume", "--seed", "5"), "leave out --set, --steps and --seed"),
        (
            ("bench", "stops", "zero", "--task", "kit-pick", "--seed", "1000"),
            "--seed 1000: expected 0 to 499",
        ),
    ],
)
def test_an_option_that_would_do_nothing_or_harm_is_refused(arguments: tuple[str, ...], says: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2 and says in result.stderr and result.stdout == ""


@pytest.mark.parametrize("verb", [["check", "zero", "--task", "kit-pick"], ["bench", "envs", "kit-pick"]])
@pytest.mark.parametrize("threads", ["-1", "1000000000000"])
def test_threads_that_no_machine_has_are_one_line(verb: list[str], threads: str) -> None:
    result = call(*verb, "--threads", threads)
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1 and "--threads" in result.stderr


@pytest.mark.parametrize(
    ("shell", "code", "said"),
    [
        ("tasks show nope 2>&-", 2, ""),
        pytest.param("tasks show nope 2>/dev/full", 2, "", marks=pytest.mark.wide),
        ("check --nope 2>&-", 2, ""),
        ("PYTHONIOENCODING=ascii suites show kit-pick --json 2>/dev/null", 0, '"id": "kit-pick"'),
        pytest.param(
            "PYTHONIOENCODING=ascii suites show kit-pick 2>/dev/null", 0, "kit-pick: ", marks=pytest.mark.wide
        ),
        ("suites copy basic /dev/null/x.yaml 2>&1", 2, "give another name"),
        pytest.param(
            f"suites copy basic {'n' * 300}.yaml 2>&1", 2, "give another name", marks=pytest.mark.wide
        ),
        pytest.param(f"check {'n' * 300}.onnx --task kit-pick 2>&1", 2, "", marks=pytest.mark.wide),
    ],
)
def test_any_process_and_any_name_get_their_answer(shell: str, code: int, said: str, tmp_path: Path) -> None:
    """Without a stderr, on a terminal that has no sign for it, to a place where no file can be."""
    variable, _, rest = shell.partition(" ") if shell.startswith("PYTHON") else ("", "", shell)
    command = f"{variable} {shlex.join(GENBA)} {rest}"
    run = subprocess.run(command, shell=True, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert run.returncode == code and said in run.stdout
    if "--json" in shell:
        assert json.loads(run.stdout.splitlines()[-1])["title"]["ja"]


def test_what_a_module_prints_as_it_leaves_comes_to_stderr(tmp_path: Path) -> None:
    (tmp_path / "leaver.py").write_text(
        "import atexit\natexit.register(lambda: print('bye'))\ndef act(o):\n    return 0.0 * o[:, :5]\n"
    )
    suite = "id: small\ntitle: {en: s, ja: s}\nextends: conveyor-sort\nepisodes_per_condition: 1\ndisturbances: {}\nverdict: {success: [{severity: 0, at_least: 0.5}]}\n"
    (tmp_path / "small.yaml").write_text(suite)
    command = [
        *GENBA,
        "check",
        "leaver:act",
        "--task",
        "conveyor-sort",
        "--suite",
        "small.yaml",
        "--no-scan",
        "--json",
    ]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 1, run.stderr
    assert json.loads(run.stdout.splitlines()[-1])["verdict"] and "bye" in run.stderr
