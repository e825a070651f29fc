"""Where checks lie: `runs/<task>/<run>/checks/<nn>/`, one numbered folder for each attempt."""

from __future__ import annotations

import json
from pathlib import Path

from ..envs.errors import BadInput

PLAN, CONCLUSION, FINDINGS, SCAN = "plan.json", "check.json", "findings.json", "scan.json"
MANIFEST = "MANIFEST.sha256"  # makes a folder a release, to which nothing may be added


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
    """The latest attempt that has a plan but no conclusion, or has lost its scan. Raises BadInput when there is none."""
    for attempt in reversed(attempts(run)):
        folder = run / "checks" / f"{attempt:02d}"
        if (folder / PLAN).is_file() and (not (folder / CONCLUSION).is_file() or _lost_its_scan(folder)):
            return folder
    raise BadInput(f"{run}: no unfinished check to go on with; start one without --resume")


def _lost_its_scan(folder: Path) -> bool:
    """Whether a check was concluded with a scan that is gone, or with what can no longer be read."""
    if (folder / SCAN).is_file():
        return False
    try:
        concluded = json.loads((folder / CONCLUSION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    return isinstance(concluded, dict) and bool(concluded.get("scan"))


def find_check(where: str | Path) -> Path:
    """The check that a path means: a check itself, that of a search, the latest one of a run, or the evidence of a release.

    Raises BadInput and says what is there instead.
    """
    folder = Path(where)
    if (folder / FINDINGS).is_file():
        folder = (folder if folder.name else folder.resolve()).parent
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


def attempt_of(check: Path) -> int:
    """The number of an attempt; 0 for evidence that lies elsewhere."""
    return int(check.name) if check.name.isdecimal() else 0
