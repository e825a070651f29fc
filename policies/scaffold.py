"""`genba tasks new`: a working cell to change, in the files where a cell's parts live.

It writes into the package itself, as one adds a cell to a clone: task, expert, scene, parameters, suite, and what the contract tests ask
of it. Nothing that stands is touched.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..envs.errors import BadInput
from ..envs.files import asset, atomic_write_text
from ..envs.task import task_ids

NAME = re.compile(r"^[a-z][a-z0-9]*(-[a-z0-9]+)+$")
PARTS = {
    "task.py.txt": "envs/tasks/{module}.py",
    "expert.py.txt": "envs/experts/{module}.py",
    "cell.xml": "assets/cells/{id}.xml",
    "cell.yaml": "assets/cells/{id}.yaml",
    "suite.yaml": "assets/suites/{id}.yaml",
    "oracle.py.txt": "tests/cells/{module}.py",
}


def scaffold(task_id: str, root: Path | None = None) -> list[Path]:
    """Write the parts of a new cell below `root` (the package); returns the files.

    Raises BadInput for a name that cannot be one or is taken, or where this is not a clone that can be added to.
    """
    root = root or asset().parent
    if not NAME.match(task_id):
        raise BadInput(f"'{task_id}': expected two words or more in lower case with hyphens, as box-fold")
    if task_id in task_ids():
        raise BadInput(f"'{task_id}': there is such a task already; choose another name")
    if not (root / "tests" / "cells").is_dir():
        raise BadInput(f"{root}: is not a clone of Genba; a new cell is added to one (see CONTRIBUTING.md)")
    module = task_id.replace("-", "_")
    files = {part: root / place.format(id=task_id, module=module) for part, place in PARTS.items()}
    for path in files.values():
        if path.exists():
            raise BadInput(f"{path}: stands already; choose another name or move it away")
    words = {"id": task_id, "module": module, "class": "".join(w.capitalize() for w in task_id.split("-"))}
    for part, path in files.items():
        text = asset("scaffold", part).read_text(encoding="utf-8")
        for key, word in words.items():
            text = text.replace("{{" + key + "}}", word)
        atomic_write_text(path, text)
    return list(files.values())
