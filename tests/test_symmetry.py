"""Symmetries that cells declare hold for their experts, and undo themselves; what is not declared does not hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.errors import BadInput
from genba.envs.parameters import cell_of, copy
from genba.envs.symmetry import Symmetry, symmetries
from genba.envs.task import SEED_RANGES, Task, get_task, task_ids
from genba.envs.worlds import Worlds

Rows = NDArray[Any]
NEAR = 1e-4  # observations are float32
DECLARING = [each for each in task_ids() if symmetries(get_task(each))]


def met(task: Task) -> NDArray[np.float32]:
    """Observations all through episodes of the expert."""
    worlds = Worlds(task, 4, 2)
    worlds.reset(np.arange(4), SEED_RANGES["test"] + np.arange(4))
    rows = []
    while not worlds.done[:4].all():
        seen = worlds.observation()
        rows.append(seen[:4][~worlds.done[:4]].copy())
        worlds.step(task.expert(seen))
    return np.concatenate(rows)


def off(task: Task, symmetry: Symmetry, seen: NDArray[np.float32]) -> Rows:
    """`(n,)`: how far the expert is from keeping it."""
    moved = task.expert(symmetry.seen(seen).astype(np.float32))
    return np.asarray(np.abs(moved - symmetry.done(task.expert(seen))).max(axis=1))


def test_most_cells_declare_some() -> None:
    assert len(DECLARING) >= 6


@pytest.mark.quick_for("kit-pick")
@pytest.mark.parametrize("task_id", DECLARING)
def test_the_expert_keeps_what_its_cell_declares(task_id: str) -> None:
    task = get_task(task_id)
    seen = met(task)
    declared = symmetries(task)
    for symmetry in declared:
        assert not np.array_equal(symmetry.seen(seen), seen)
        assert off(task, symmetry, seen).max() < NEAR, symmetry.name
    for there, back in zip(declared[::2], declared[1::2], strict=False):
        np.testing.assert_allclose(back.seen(there.seen(seen)), seen, atol=1e-5)
    if declared[-1].name == "mirrored":
        np.testing.assert_array_equal(declared[-1].seen(declared[-1].seen(seen)), seen)


def test_an_expert_does_not_keep_what_is_not_so() -> None:
    task = get_task("kit-pick")
    x = [name for name, _ in task.observation_names].index("tcp.x")

    def along_x(rows: Rows) -> Rows:
        rows = rows.copy()
        rows[:, x] += 0.03
        return rows

    wrong = Symmetry(
        "moved along x", along_x, lambda action: action
    )  # it gives way along -x as far as it can
    assert off(task, wrong, met(task)).max() > 0.05


def test_a_copy_of_a_cell_declares_no_other(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    copy("palletize", path)
    assert cell_of(str(path)) == cell_of("palletize")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("turned: 0.05", "turned: 0.5"), encoding="utf-8")
    with pytest.raises(BadInput, match=r"mine.yaml:\d+: field symmetries: expected what genba tasks copy"):
        cell_of(str(path))
    line = next(each for each in text.splitlines() if each.startswith("symmetries"))
    path.write_text(text.replace(line + "\n", ""), encoding="utf-8")
    assert cell_of(str(path)) == cell_of("palletize")
    path.write_text(text.replace("{x: 0.03", "{z: 0.03"), encoding="utf-8")
    with pytest.raises(BadInput, match=r"mine.yaml:\d+: field symmetries.moved"):
        cell_of(str(path))
