"""Run folders: `runs/<task>/<date>-<nn>/`, what a training run leaves, and which of it is still missing."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from ..envs.errors import BadInput
from ..envs.files import atomic_write_text, plain_json

POLICY, CONTRACT, CONFIG, SUMMARY = "policy.onnx", "contract.json", "config.yaml", "train.json"
WEIGHTS = Path("checkpoints") / "policy.safetensors"
PACKAGES = ("genba", "mujoco", "numpy", "torch", "stable-baselines3", "gymnasium", "onnx", "onnxruntime")


def new_run(task: str) -> Path:
    """Make the folder of a new run of `task` under `runs/` and return it."""
    base = Path("runs") / task
    number = 1
    while True:
        folder = base / f"{date.today().isoformat()}-{number:02d}"
        try:
            (folder / "checkpoints").mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        return folder


def latest_unfinished(task: str) -> Path:
    """The newest run of `task` that has a configuration and no summary. Raises BadInput."""
    base = Path("runs") / task
    runs = [path for path in base.iterdir() if (path / CONFIG).is_file()] if base.is_dir() else []
    for folder in sorted(runs, reverse=True):
        if not (folder / SUMMARY).is_file():
            return folder
    raise BadInput(f"no unfinished run of {task} in {base}; start one with: genba train {task}")


def describe_run(folder: Path, config: Mapping[str, Any]) -> None:
    """Write the resolved configuration, the command line, and the versions (with the git commit, where there is one)."""
    atomic_write_text(folder / CONFIG, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
    atomic_write_text(folder / "command.txt", " ".join(["genba", *sys.argv[1:]]) + "\n")
    atomic_write_text(folder / "versions.json", plain_json(versions()) + "\n")


def versions() -> dict[str, str]:
    """Versions of Python, of the packages a policy depends on, and the git commit of the working tree."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    root = Path(__file__).resolve().parent.parent
    asked = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    found["git"] = asked.stdout.strip() if asked.returncode == 0 else "none"
    return found
