"""Run folders: `runs/<task>/<date>-<nn>/`, what a training run leaves, and which of it is still missing."""

from __future__ import annotations

import fcntl
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from ..envs.errors import BadInput
from ..envs.files import atomic_write_text, plain_json, read_yaml
from ..envs.parameters import folder_name

POLICY, CONTRACT, CONFIG, SUMMARY = "policy.onnx", "contract.json", "config.yaml", "train.json"
WEIGHTS = Path("checkpoints") / "policy.safetensors"
PACKAGES = ("genba", "mujoco", "numpy", "torch", "stable-baselines3", "gymnasium", "onnx", "onnxruntime")


def new_run(task: str) -> Path:
    """Make the folder of a new run of `task` under `runs/` and return it."""
    base = Path("runs") / folder_name(task)
    number = 1
    while True:
        folder = base / f"{date.today().isoformat()}-{number:02d}"
        try:
            (folder / "checkpoints").mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        return folder


@contextmanager
def held_alone(folder: Path) -> Iterator[None]:
    """Keep a run from being gone on with twice at a time, until this process ends. Raises BadInput where another has it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(
                f"{folder} is being trained by another process: wait for it, or end it first"
            ) from None
        yield
    finally:
        os.close(handle)


def latest_unfinished(task: str) -> Path:
    """The newest run of `task` that has a configuration, and no summary or nothing that could act. Raises BadInput."""
    base = Path("runs") / folder_name(task)
    runs = [path for path in base.iterdir() if (path / CONFIG).is_file()] if base.is_dir() else []
    for folder in sorted(runs, key=_age, reverse=True):
        acts = (folder / POLICY).is_file() or (folder / WEIGHTS).is_file()
        if not (acts and (folder / SUMMARY).is_file()):
            return folder
    raise BadInput(f"no unfinished run of {task} in {base}; start one with: genba train {task}")


def _age(folder: Path) -> tuple[str, int]:
    """Sorts runs by date, then by number (which may outgrow two digits)."""
    date_part, _, number = folder.name.rpartition("-")
    return date_part, int(number) if number.isdecimal() else 0


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved configuration of a run. Raises BadInput."""
    path = folder / CONFIG
    try:
        config = read_yaml(str(path), path.read_text(encoding="utf-8"))[1]
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; without it the run cannot go on: start a new one") from None
    except (OSError, ValueError, BadInput) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{path}: cannot be read ({reason}); start a new run") from None
    if not isinstance(config, dict) or not isinstance(config.get("task"), str):
        raise BadInput(f"{path}: names no task; start a new run")
    return config


def describe_run(folder: Path, config: Mapping[str, Any]) -> None:
    """Write the resolved configuration, the command line, and the versions (with the git commit, where there is one)."""
    atomic_write_text(folder / CONFIG, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
    atomic_write_text(folder / "command.txt", shlex.join(["genba", *sys.argv[1:]]) + "\n")
    atomic_write_text(folder / "versions.json", plain_json(versions()) + "\n")


def versions() -> dict[str, str]:
    """Versions of Python, of the packages a policy depends on, and the git commit of Genba's working tree ("none" without one)."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    root = Path(__file__).resolve().parent.parent
    found["git"] = "none"
    if (root / ".git").exists() and shutil.which(
        "git"
    ):  # an installed Genba may lie in somebody else's repository
        command = ["git", "-C", str(root), "rev-parse", "HEAD"]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        found["git"] = asked.stdout.strip() or "none"
    return found
