"""An error of the simulator in one world is a fault of that world and of no other; a model's bytes are its own wherever its files lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.engine import Engine, model_bytes
from genba.envs.streams import Streams
from genba.envs.task import FAULT, Start, get_task
from genba.envs.worlds import Worlds

TASK, FIELD, NONE = "kit-pick", "eq_type", 99  # a kind of equality constraint that there is none of
N, SICK = 4, 2


def made() -> tuple[Engine, Start]:
    task = get_task(TASK)
    engine = Engine(task.model, N, 1, task.substeps, (*task.expanded, FIELD))
    start = task.place(Streams(task.key, np.arange(N)))
    begin(engine, start)
    return engine, start


def begin(engine: Engine, start: Start, kinds: NDArray[np.float64] | None = None) -> None:
    fields = dict(start.fields) if kinds is None else {**start.fields, FIELD: kinds}
    engine.restart(np.arange(N), start.qpos, start.ctrl, start.mocap_pos, start.mocap_quat, fields)


def kinds(engine: Engine) -> NDArray[np.float64]:
    """The kinds of the constraints, with one that there is none of in one world."""
    found = np.repeat(engine.defaults[FIELD][None], N, axis=0).astype(np.float64)
    found[SICK] = NONE
    return found


def control(engine: Engine, start: Start) -> NDArray[np.float64]:
    return np.repeat(start.ctrl[:, None] + 0.01, engine.substeps, axis=1)


@pytest.mark.parametrize("ids", [None, np.array([0, 1, 2, 3])])
@pytest.mark.parametrize("finer", [1, 2])
def test_an_error_within_a_tick_leaves_the_others_their_sensor_data(
    ids: NDArray[np.int64] | None, finer: int
) -> None:
    well, start = made()
    sick, _ = made()
    sick.fields[FIELD][SICK] = NONE
    for engine in (well, sick):
        engine.finer[:2] = finer
        faults = engine.step(control(engine, start), ids)
        assert faults.tolist() == [engine is sick and world == SICK for world in range(N)]
    others = np.arange(N) != SICK
    assert sick.block[others].tobytes() == well.block[others].tobytes()
    assert np.isnan(sick.block[SICK]).all()


def test_an_error_at_the_start_is_a_fault_of_the_first_step() -> None:
    well, start = made()
    sick, _ = made()
    others = np.arange(N) != SICK
    begin(sick, start, kinds(sick))
    assert np.isnan(sick.block[SICK]).all()
    assert sick.block[others].tobytes() == well.block[others].tobytes()
    well.step(control(well, start))
    sick.fields[FIELD][:] = sick.defaults[FIELD]  # a start that failed is none, though the step would go well
    assert sick.step(control(sick, start)).tolist() == (~others).tolist()
    assert np.isnan(sick.block[SICK]).all()
    assert sick.block[others].tobytes() == well.block[others].tobytes()
    begin(sick, start)
    assert not sick.step(control(sick, start)).any()
    assert sick.block.tobytes() == well.block.tobytes()


def test_an_episode_that_cannot_start_ends_as_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    task = get_task(TASK)
    task.expanded = (*task.expanded, FIELD)  # type: ignore[misc]
    place = task.place

    def placed(streams: Streams) -> Start:
        start = place(streams)
        return replace(start, fields={**start.fields, FIELD: kinds(worlds.engine)})

    worlds = Worlds(task, N, 1)
    monkeypatch.setattr(task, "place", placed)
    worlds.reset(np.arange(N), np.arange(N))
    worlds.step(task.expert(worlds.observation()))
    assert worlds.done.tolist() == [world == SICK for world in range(N)] and worlds.reason[SICK] == FAULT
    assert np.isfinite(worlds.observation()[~worlds.done]).all()


def with_mesh(folder: Path, size: float = 1.0) -> mujoco.MjModel:
    """A model of two meshes whose files lie in `folder`."""
    (folder / "meshes").mkdir(parents=True, exist_ok=True)
    corners = size * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    rows = [f"v {x} {y} {z}" for x, y, z in corners] + ["f 1 3 2", "f 1 2 4", "f 1 4 3", "f 2 3 4"]
    for name in "ab":
        (folder / "meshes" / f"{name}.obj").write_text("\n".join(rows))
    path = folder / "cell.xml"
    path.write_text(
        '<mujoco><compiler meshdir="meshes"/><asset><mesh file="a.obj"/><mesh file="b.obj"/></asset>'
        '<worldbody><body><freejoint/><geom type="mesh" mesh="a"/><geom type="mesh" mesh="b"/></body></worldbody></mujoco>'
    )
    return mujoco.MjModel.from_xml_path(str(path))


def test_the_bytes_of_a_model_do_not_know_where_its_files_lie(tmp_path: Path) -> None:
    here, there = with_mesh(tmp_path / "a"), with_mesh(tmp_path / "some" / "where" / "else")
    paths = here.paths
    assert paths != there.paths and model_bytes(here) == model_bytes(there)
    assert here.paths == paths and here.mesh_pathadr.tolist() != [-1, -1], "the model is as it was"
    assert model_bytes(with_mesh(tmp_path / "b", size=2.0)) != model_bytes(there)
    there.opt.timestep *= 2.0
    assert model_bytes(here) != model_bytes(there)


def test_the_bytes_of_a_model_without_files_are_those_that_mujoco_saves() -> None:
    model = made()[0].model
    saved = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, saved)
    assert model_bytes(model) == saved.tobytes()
