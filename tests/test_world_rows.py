"""Rows of worlds under each disturbance: put back elsewhere, in worlds of which only some were reset since, they go on as they did."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.disturbances import disturbance_classes, disturbances_for
from genba.envs.task import Task, get_task
from genba.envs.world_rows import WorldRows
from genba.envs.worlds import Worlds

N, TICKS = 6, 5
ALL = np.arange(N)
DRAWN = ("drive-dead", "drive-weak", "gravity-tilt", "sensor-stuck", "timestep")
NAMES = [name for name, cls in disturbance_classes().items() if cls.port != "camera"]


def played(worlds: Worlds, task: Task, ticks: int = TICKS) -> NDArray[np.float64]:
    """`(ticks, N, ...)`: every substep's sensors under the expert."""
    blocks = []
    for _ in range(ticks):
        worlds.step(task.expert(worlds.observation()))
        blocks.append(worlds.engine.block.copy())
    return np.array(blocks)


def begin(worlds: Worlds, rows: WorldRows, ids: NDArray[np.int64], name: str, first: int) -> None:
    """Episodes of seeds from `first` on, at a severity each, in worlds `ids`."""
    worlds.reset(ids, first + ids, {name: 1 + ids % 5})
    rows.begin(ids)


@pytest.mark.parametrize(
    "name", [n if n in DRAWN else pytest.param(n, marks=pytest.mark.long) for n in NAMES]
)
def test_rows_go_on_anywhere_after_only_some_worlds_were_reset(name: str) -> None:
    task = next(t for t in map(get_task, ("kit-pick", "conveyor-sort")) if name in disturbances_for(t))
    worlds = Worlds(task, N, 1, disturbances=(name,))
    worlds.reset(ALL, ALL, {name: np.full(N, 2)})
    worlds.observation()
    worlds.step(np.zeros((N, len(task.action_names))))
    rows = WorldRows(worlds)
    begin(worlds, rows, ALL, name, 100)
    played(worlds, task)
    begin(worlds, rows, np.array([1, 4]), name, 200)
    played(worlds, task)
    kept = rows.take(ALL)
    expected = played(worlds, task)
    begin(worlds, rows, np.array([0, 1]), name, 300)
    played(worlds, task, 2)
    order = np.array([4, 0, 5, 2, 1, 3])
    rows.put(ALL, kept[order])
    assert np.array_equal(rows.take(ALL), kept[order], equal_nan=True)
    assert np.array_equal(played(worlds, task), expected[:, order], equal_nan=True)


def test_the_tilt_of_an_episode_is_the_same_whichever_worlds_begin_with_it() -> None:
    """The direction is a row for each world, as the severity is."""
    task = get_task("kit-pick")
    together, apart = (Worlds(task, N, 1, disturbances=("gravity-tilt",)) for _ in range(2))
    together.reset(ALL, ALL, {"gravity-tilt": np.full(N, 4)})
    for ids in (np.array([1, 4]), np.array([0, 2, 3, 5])):
        apart.reset(ids, ids, {"gravity-tilt": np.full(len(ids), 4)})
    gravity = [each.engine.fields["opt.gravity"].copy() for each in (together, apart)]
    assert gravity[0].tobytes() == gravity[1].tobytes()
    directions = [vars(each.disturbances["gravity-tilt"])["towards"] for each in (together, apart)]
    assert (
        directions[0].shape == (N,)
        and (directions[0] == directions[1]).all()
        and len(set(directions[0])) == N
    )
