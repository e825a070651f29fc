"""The released policies that come with Genba: one folder per cell in `assets/policies/`, real releases with their evidence."""

from __future__ import annotations

from pathlib import Path

import yaml

from ..envs.files import asset
from .manifest import NAME as MANIFEST


def shipped_ids() -> list[str]:
    """The tasks that a release comes with, sorted."""
    return sorted(path.parent.name for path in asset("policies").glob(f"*/{MANIFEST}"))


def why_missing(task_id: str) -> str:
    """What keeps a cell's policy from being released, in a line; empty where one is, or nothing is known."""
    known = yaml.safe_load(asset("policies", "missing.yaml").read_text(encoding="utf-8"))
    return "" if task_id in shipped_ids() else str(known.get(task_id, ""))


def release_folder(name: str | Path) -> Path:
    """The folder that a release's name means: itself, or for a task's id the release that comes with Genba."""
    folder = Path(name)
    return asset("policies", str(name)) if not folder.exists() and str(name) in shipped_ids() else folder
