"""The page of cells: real experts, pictures and evidence; only the clock is made up."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from genba.envs.errors import BadInput, UnknownName
from genba.envs.task import task_ids
from genba.policies import bench_cells as module
from genba.policies.shipped import shipped_ids

SPEED = {"steps_per_s": 5000.0, "bare_steps_per_s": 10000.0, "ratio_to_bare": 0.5, "threads": 2}


@pytest.mark.wide
def test_the_page_shows_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = ["conveyor-sort", "kit-pick"]
    monkeypatch.setattr(module, "task_ids", lambda: cells)
    monkeypatch.setattr(
        module, "bench_task", lambda task, *rest: SPEED | {"bare_steps_per_s": 20000.0 / len(task.id)}
    )
    monkeypatch.setattr(module, "compare", lambda *loop: (5000.0, 10000.0, 0.5))
    monkeypatch.setattr(module, "seeing", lambda tasks: [f"{task},vision=1" for task in tasks])
    made = module.bench_cells(tmp_path, episodes=8)
    before = made.page.read_bytes()
    with pytest.raises(UnknownName, match="Did you mean kit-pick"):
        module.bench_cells(tmp_path, ["kit-pik"])
    slower = {cell["task"]: dict(cell) | {"takt_s": 9.0} for cell in made.cells}
    monkeypatch.setattr(module, "measure", lambda name, *rest: slower[name])
    again = module.bench_cells(tmp_path, ["kit-pick"])
    assert [cell["takt_s"] for cell in again.cells] == [4.0, 9.0]  # the other one stays
    assert again.page.read_bytes() == before.replace(b"| fr3 | 8 s |", b"| fr3 | 9 s |") != before
    (tmp_path / "cells.json").unlink()
    with pytest.raises(BadInput, match="no figures of conveyor-sort"):
        module.bench_cells(tmp_path, ["kit-pick"])
    page = before.decode()
    found = {cell["task"]: cell for cell in made.as_json()["cells"]}
    for name in cells:
        expert = found[name]["expert"]
        assert (expert["normal"]["n"], expert["hard"]["n"], expert["normal"]["rate"]) == (8, 2, 1.0)
        assert found[name]["released"]["verdict"] == "PASS"
        picture = cv2.imread(str(tmp_path / "cells" / f"{name}.jpg"))
        assert (
            picture is not None
            and picture.shape == (480, 1280, 3)
            and len(np.unique(picture.reshape(-1, 3), axis=0)) > 500
        )
        assert f"![{name}](cells/{name}.jpg)" in page
    assert "100.0 % (at least 68.8 %, n 8)" in page  # 0.05 ** (1 / 8)
    assert "5,000 (0.50) | 1.6 x |" in page and "5,000 (0.50) | 1.0 x |" in page  # 13 letters against 8


def test_every_cell_comes_with_a_release() -> None:
    assert shipped_ids() == sorted(task_ids())
