"""Two small arms as others write them, and copies of them with something changed."""

from __future__ import annotations

import shutil
from pathlib import Path

from genba.envs.robot_survey import Finding

ARMS = Path(__file__).parent / "arms"
SIX, SEVEN = ARMS / "six" / "six.xml", ARMS / "seven" / "seven.xml"


def by_name(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {each.what: each for each in findings}


def edited(path: Path, folder: Path, *changes: tuple[str, str]) -> Path:
    """A copy of an arm's folder with its MJCF changed."""
    shutil.copytree(path.parent, folder)
    text = (folder / path.name).read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (folder / path.name).write_text(text)
    return folder / path.name
