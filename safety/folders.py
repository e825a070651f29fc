"""Where checks lie: `runs/<task>/<run>/checks/<nn>/`, one numbered folder for each attempt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..envs.errors import BadInput, GenbaError
from ..envs.files import read_json
from .evidence import missing_shards, read_plan

PLAN, CONCLUSION, FINDINGS, SCAN = "plan.json", "check.json", "findings.json", "scan.json"


def new_check(run: Path) -> tuple[Path, int]:
    """Make the folder of the next attempt; returns it and its number."""
    (run / "checks").mkdir(parents=True, exist_ok=True)
    attempt = max(attempts(run), default=0)
    while True:
        attempt += 1
        folder = run / "checks" / f"{attempt:02d}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder, attempt


def attempts(run: Path) -> list[int]:
    """The numbers of the attempts that were begun, ascending."""
    checks = run / "checks"
    names = [path.name for path in checks.iterdir() if path.is_dir()] if checks.is_dir() else []
    return sorted(int(name) for name in names if name.isdecimal())


def unfinished_check(run: Path) -> Path:
    """The latest of `unfinished`. Raises BadInput when there is none."""
    for folder in unfinished(run):
        return folder
    raise BadInput(f"{run}: no unfinished check to go on with; start one without --resume")


def unfinished(run: Path) -> Iterator[Path]:
    """The attempts that have a plan but no conclusion, or have lost their scan or shards that the conclusion rests on, latest first."""
    for attempt in reversed(attempts(run)):
        folder = run / "checks" / f"{attempt:02d}"
        if (folder / PLAN).is_file() and not _whole(folder):
            yield folder


def _whole(folder: Path) -> bool:
    """Whether a check was concluded and what it was concluded from is still there."""
    return (folder / CONCLUSION).is_file() and not _lost_its_scan(folder) and not _lost_shards(folder)


def _lost_its_scan(folder: Path) -> bool:
    """Whether a check was concluded with a scan that is gone, or with what can no longer be read."""
    if (folder / SCAN).is_file():
        return False
    concluded = _concluded(folder)
    return concluded is None or (isinstance(concluded, dict) and bool(concluded.get("scan")))


def _lost_shards(folder: Path) -> bool:
    """Whether a check was concluded from shards that are gone; of what is damaged otherwise, its reader says more."""
    concluded = _concluded(folder)
    episodes = concluded.get("episodes") if isinstance(concluded, dict) else None
    if not isinstance(episodes, int):
        return False
    try:
        plan = read_plan(folder)
        return bool(missing_shards(folder, plan, min(episodes, plan.episodes)))
    except GenbaError:
        return False


def _concluded(folder: Path) -> object:
    """What `check.json` says, None where it cannot be read."""
    return read_json(folder / CONCLUSION)


def find_check(where: str | Path) -> Path:
    """The check that a path means: a check itself, that of a search, the latest one of a run, or the evidence of a release.

    Raises BadInput and says what is there instead.
    """
    folder = Path(where)
    if len(folder.parts) < 3:  # who asks stands inside, where the way up has no names
        folder = folder.absolute().resolve()
    if (folder / FINDINGS).is_file():
        folder = folder.parent
    if (folder / PLAN).is_file():
        return folder
    if (folder / "evidence" / PLAN).is_file():
        return folder / "evidence"
    found = [folder / "checks" / f"{attempt:02d}" for attempt in attempts(folder)]
    planned = [check for check in found if (check / PLAN).is_file()]
    if planned:
        return planned[-1]
    if not folder.exists():
        raise BadInput(f"{folder}: no such folder; runs lie in runs/<task>/")
    if folder.is_dir() and (found or folder.parent.name == "checks"):
        raise BadInput(
            f"{folder}: its check was cut short before its plan was written; run genba check again"
        )
    raise BadInput(f"{folder}: holds no check; make one with: genba check {folder}")
