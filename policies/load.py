"""Any policy as something that can be judged: a run, an ONNX file, a release, `module:callable`, scripted, random, zero."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput, UnknownName
from ..envs.files import sha256_file, sha256_hex
from ..envs.parameters import folder_name
from ..envs.streams import Streams
from ..envs.task import Task, get_task
from .contract import Contract, contract_of, differences, read_contract
from .manifest import NAME as MANIFEST
from .manifest import verify_manifest
from .onnx_policy import OnnxPolicy
from .runs import CONFIG, CONTRACT, POLICY, WEIGHTS, read_config

Rows = NDArray[np.float32]
Act = Callable[[Rows, NDArray[np.int64], NDArray[np.int64]], Rows]
BUILT_IN = ("scripted", "random", "zero")


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy, the task it is for, and the folder that keeps its checks."""

    kind: str
    name: str
    sha256: str
    task: str
    folder: Path
    function: Act

    def act(self, observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
        """Actions `(n, A)` for observations `(n, d)`; each row depends on its own observation, seed and step."""
        return self.function(observation, seeds, steps)


def load_policy(spec: str, task: str = "") -> LoadedPolicy:
    """The policy that `spec` means.

    Args:
        spec: a run or release folder, an `.onnx` file, `module:callable`, or "scripted", "random", "zero".
        task: its task id; needed where the spec does not say it.

    Raises UnknownName, BadInput.
    """
    path = Path(spec)
    if spec in BUILT_IN:
        return _built_in(spec, get_task(_needed(task, spec)))
    if (path / MANIFEST).is_file():
        return _from_release(path, task)
    if path.is_dir():
        return _from_folder(path, task)
    if path.suffix == ".onnx":
        return _from_file(path, task, Path("runs"))
    if ":" in spec and not path.exists():
        return _from_callable(spec, get_task(_needed(task, spec)))
    if path.exists():
        raise BadInput(
            f"{spec}: not a policy that can be read; give a run folder, an .onnx file or module:callable"
        )
    raise UnknownName("policy", spec, [*BUILT_IN, *_known_runs()])


def load_for_check(check: str) -> LoadedPolicy:
    """The policy that a run, a check or a release was made with, for replay and report."""
    from ..safety.evidence import read_plan
    from ..safety.folders import find_check

    folder = find_check(check)
    plan = read_plan(folder)
    if plan.policy.kind in BUILT_IN:
        return load_policy(plan.policy.kind, plan.task)
    if plan.policy.kind == "callable":
        return load_policy(plan.policy.name, plan.task)
    run = folder.parent.parent
    for home in (folder.parent, run, Path("releases") / run.name):
        if (home / POLICY).is_file():
            return _from_file(home / POLICY, plan.task, None)
    raise BadInput(f"{folder}: the policy it judged is not beside it; put its policy.onnx into {run}")


def _needed(task: str, spec: str) -> str:
    if not task:
        raise BadInput(f"{spec} is for any task: say which with --task; `genba tasks` lists them")
    return task


def _known_runs() -> list[str]:
    return [str(path.parent) for path in sorted(Path("runs").glob(f"*/*/{POLICY}"))]


def _from_folder(folder: Path, task: str) -> LoadedPolicy:
    if not (folder / POLICY).is_file():
        if not (folder / WEIGHTS).is_file():
            known = read_config(folder)["task"] if (folder / CONFIG).is_file() else ""
            job = task or known or folder.resolve().parent.name
            raise BadInput(
                f"{folder}: holds no {POLICY} and no {WEIGHTS}; go on with: genba train {job} --resume"
            )
        from .checkpoints import export_checkpoint

        export_checkpoint(folder)
    return _from_file(folder / POLICY, task, None)


def _from_release(folder: Path, task: str) -> LoadedPolicy:
    """A release as it left; new checks of it lie with the runs, since nothing may be added to a release."""
    verify_manifest(folder)
    found = _from_file(folder / POLICY, task, None)
    return replace(found, folder=Path("runs") / folder_name(found.task) / found.name)


def _from_file(path: Path, task: str, runs: Path | None) -> LoadedPolicy:
    """An ONNX file; a `contract.json` beside it must agree with the task's own contract."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    beside = path.parent / CONTRACT
    found: Contract | None = read_contract(beside) if beside.is_file() else None
    known = get_task(task or (found.task if found else _needed(task, str(path))))
    wanted = contract_of(known)
    if found is not None and (lines := differences(found, wanted)):
        raise BadInput(f"{beside}: made for other inputs or outputs than {known.id}: {'; '.join(lines[:3])}")
    policy = OnnxPolicy(path, None, len(wanted.observation), len(wanted.action))
    if runs is None:
        home, name = path.parent, path.resolve().parent.name
    else:
        name = f"{path.stem}-{policy.sha256[:6]}"
        home = path.parent if found is not None else _kept(runs / folder_name(known.id) / name, path)
    return LoadedPolicy("onnx", name, policy.sha256, known.id, home, policy.act)


def _kept(folder: Path, path: Path) -> Path:
    """A run folder with a copy of a file from elsewhere, so that its checks can be replayed."""
    from ..envs.files import atomic_write_bytes

    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / POLICY).is_file():
        atomic_write_bytes(folder / POLICY, path.read_bytes())
    return folder


def _built_in(kind: str, task: Task) -> LoadedPolicy:
    source = Path(inspect.getfile(type(task)))
    home = Path("runs") / folder_name(task.id) / kind
    if kind == "scripted":

        def expert(observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
            return task.expert(observation).astype(np.float32)

        return LoadedPolicy(kind, kind, sha256_file(source), task.id, home, expert)
    actions = len(task.action_names)
    if kind == "zero":
        return LoadedPolicy(
            kind,
            kind,
            sha256_hex(b"zero"),
            task.id,
            home,
            lambda observation, seeds, steps: np.zeros((len(observation), actions), np.float32),
        )
    digest = sha256_hex(f"random/{task.key}".encode())

    def random(observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
        draws = Streams(digest, seeds).uniform("action", (actions,), steps)
        return (2.0 * draws - 1.0).astype(np.float32)

    return LoadedPolicy(kind, kind, digest, task.id, home, random)


def _from_callable(spec: str, task: Task) -> LoadedPolicy:
    """`module:function`, a function of observations `(n, d)` that returns actions `(n, A)`; importable from here."""
    module_name, _, name = spec.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # noqa: BLE001 - whatever somebody else's module raises
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise BadInput(
            f"{spec}: cannot import {module_name} ({reason}); it must be importable from this folder"
        ) from None
    finally:
        sys.path.pop(0)
    function = getattr(module, name, None)
    if not callable(function):
        raise UnknownName(
            f"callable in {module_name}", name, [key for key in vars(module) if not key.startswith("_")]
        )
    actions = len(task.action_names)

    def act(observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
        try:
            answer = np.asarray(function(observation), np.float32)
        except Exception as error:  # noqa: BLE001 - whatever somebody else's function raises
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise BadInput(f"{spec}: could not act on observations {observation.shape} ({reason})") from None
        if answer.shape != (len(observation), actions):
            raise BadInput(f"{spec}: returned shape {answer.shape}, expected ({len(observation)}, {actions})")
        return answer

    if getattr(module, "__file__", None) is None:
        raise BadInput(
            f"{spec}: {module_name} is not a Python file, so it cannot be told from another version"
        )
    digest = sha256_file(Path(inspect.getfile(module)))
    home = Path("runs") / folder_name(task.id) / spec.replace(":", "-")
    return LoadedPolicy("callable", spec, digest, task.id, home, act)
