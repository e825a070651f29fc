"""`genba tasks new`: a working cell to change, in the files where a cell's parts live.

It writes into the package itself, as one adds a cell to a clone: task, expert, scene, parameters, suite, and what the contract tests ask
of it. Nothing that stands is touched. With a robot of the user's own, that is taken in first; either all of it is written or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..envs.errors import BadInput, one_line
from ..envs.files import asset, atomic_write_text, writing
from ..envs.task import task_ids

if TYPE_CHECKING:
    from ..envs.robot_survey import Finding

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")
PARTS = {
    "task.py.txt": "envs/tasks/{module}.py",
    "expert.py.txt": "envs/experts/{module}.py",
    "cell.xml": "assets/cells/{id}.xml",
    "cell.yaml": "assets/cells/{id}.yaml",
    "suite.yaml": "assets/suites/{id}.yaml",
    "oracle.py.txt": "tests/cells/{module}.py",
}
FR3 = {
    "robot": "fr3",
    "include": '<include file="../robots/fr3/fr3.xml"/>',
    "tool_body": '"hand"',
    "start_q": "0.0, 0.0, 0.0, -2.2, 0.0, 2.2, 0.785",
    "grip_angle": "-np.pi / 2",
    "x": "0.46",
    "y": "0.25",
    "low": "0.20, -0.52, 0.004",
    "high": "0.78, 0.52, 0.70",
    "half": "0.016",
    "force": "40.0",
    "force_limit": "100.0",
    "speed": "0.8",
    "expert_speed": "0.60",
    "speed_limit": "0.85",
    "expert_turn": "2.0",
    "turn": "2.0",
    "open": "0.06",
    "left": 'geom1="pad_left"',
    "right": 'geom1="pad_right"',
}


def scaffold(task_id: str, root: Path | None = None, words: Mapping[str, str] = FR3) -> list[Path]:
    """Write the parts of a new cell below `root` (the package); returns the files.

    `words` say what the cell must know of its robot. Raises BadInput for a name that cannot be one or is taken, or where this is not a
    clone that can be added to.
    """
    files, module = _places(task_id, root), task_id.replace("-", "_")
    names = {"id": task_id, "module": module, "class": "".join(w.capitalize() for w in task_id.split("-"))}
    with writing(next(iter(files.values())).parent):
        try:
            for part, path in files.items():
                text = asset("scaffold", part).read_text(encoding="utf-8")
                for key, word in {**names, **words}.items():
                    text = text.replace("{{" + key + "}}", word)
                atomic_write_text(path, "\n".join(line for line in text.split("\n") if line != "  "))
        except BaseException:
            for path in files.values():
                path.unlink(missing_ok=True)
            raise
    return list(files.values())


def scaffold_with(
    task_id: str, robot: str, root: Path | None = None, *, files: Path | None = None, site: str = ""
) -> tuple[list[Path], tuple[Finding, ...]]:
    """A new cell with a robot of the user's own: the path of its MJCF, or the name of one that was taken in; returns files and the list.

    Without a `robot` it is Genba's, and the list is empty.

    Args:
        files: the folder that holds all of the robot's files, where that is not the MJCF's own.
        site: the site where the tool sits, where the MJCF's own words do not say.

    Raises BadInput and UnknownName; nothing is written then.
    """
    said = files is not None or bool(site)
    if not robot:
        if said:
            raise BadInput(
                "--robot-files and --tool-site say more of the MJCF that --robot names; give --robot, too"
            )
        return scaffold(task_id, root), ()
    from ..envs.robot_cell import words_of
    from ..envs.robot_reach import place_of
    from ..envs.robot_taking import taken_in, taking

    written = _places(task_id, root)
    robots = (root or asset().parent) / "assets" / "robots"
    if (own := taken_in(robot, robots)) is not None:
        if said:
            raise BadInput(
                f"robot {robot} was taken in already, so --robot-files and --tool-site say nothing; leave them out"
            )
        return scaffold(task_id, root, words_of(own, place_of(own))), ()
    try:
        with writing(robots), taking(Path(robot), robots, files, site) as taken:
            cell = scaffold(task_id, root, words_of(taken.robot, taken.place))
    except BaseException:
        for path in written.values():
            path.unlink(missing_ok=True)
        raise
    home = robots / taken.robot.name
    return [*cell, *sorted(path for path in home.iterdir() if path.is_file())], taken.findings


def _places(task_id: str, root: Path | None) -> dict[str, Path]:
    """Where each part goes, which is free."""
    root = root or asset().parent
    if not NAME.fullmatch(task_id):
        raise BadInput(
            f"'{one_line(task_id, 80)}': expected two words or more in lower case with hyphens, as box-fold"
        )
    if task_id in task_ids():
        raise BadInput(f"'{task_id}': there is such a task already; choose another name")
    if not (root / "tests" / "cells").is_dir():
        raise BadInput(f"{root}: is not a clone of Genba; a new cell is added to one (see CONTRIBUTING.md)")
    module = task_id.replace("-", "_")
    files = {part: root / place.format(id=task_id, module=module) for part, place in PARTS.items()}
    for path in files.values():
        if path.exists():
            raise BadInput(f"{path}: stands already; choose another name or move it away")
    return files
