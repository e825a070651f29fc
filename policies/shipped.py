"""The released policies that come with Genba: one folder per cell in `assets/policies/`, real releases with their evidence."""

from __future__ import annotations

from pathlib import Path

from ..envs.files import asset
from .manifest import NAME as MANIFEST


def shipped_ids() -> list[str]:
    """The tasks that a release comes with, sorted."""
    return sorted(path.parent.name for path in asset("policies").glob(f"*/{MANIFEST}"))


def release_folder(name: str | Path) -> Path:
    """The folder that a release's name means: itself, or for a task's id the release that comes with Genba."""
    folder = Path(name)
    return asset("policies", str(name)) if not folder.exists() and str(name) in shipped_ids() else folder
