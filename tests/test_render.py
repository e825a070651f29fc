"""Pictures and films show the cell, with OpenGL and without."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import mujoco
import numpy as np
import pytest

from genba.envs import graphics
from genba.envs.cell import dressed
from genba.envs.errors import BadInput, UnknownName
from genba.envs.raycam import ray_picture
from genba.envs.render import Film, check_film, film, frame, picture
from genba.envs.task import Task, get_task, task_ids
from genba.envs.worlds import Worlds
from genba.policies.run_release import run
from genba.safety.replay import replay


def started(task: Task, seed: int = 5) -> tuple[mujoco.MjModel, mujoco.MjData]:
    worlds = Worlds(task, 1, threads=1)
    worlds.reset(np.zeros(1, np.int64), np.array([seed], np.int64))
    model, data = dressed(task.scene, *worlds.engine.snapshot(0))
    mujoco.mj_forward(model, data)
    return model, data


@pytest.fixture(scope="module")
def kit() -> Task:
    return get_task("kit-pick")


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@pytest.mark.parametrize("task_id", task_ids())
@pytest.mark.parametrize("camera", ["overview", "close"])
def test_every_cell_shows_itself_from_two_sides(task_id: str, camera: str) -> None:
    model, data = started(get_task(task_id))
    image = frame(model, data, camera, (320, 180))
    assert image.shape == (180, 320, 3) and image.dtype == np.uint8
    assert image.std() > 25 and len(np.unique(image.reshape(-1, 3), axis=0)) > 500
    assert 90 < image.mean() < 215  # neither gloomy nor burnt out


def test_rays_show_what_opengl_shows(kit: Task) -> None:
    model, data = started(kit)
    drawn = frame(model, data, "overview", (320, 180)).astype(float)
    cast = ray_picture(model, data, 0, (320, 180)).astype(float)
    if graphics.backend() == graphics.RAYS:
        pytest.skip("OpenGL does not draw here")
    light = [np.corrcoef(drawn[..., i].ravel(), cast[..., i].ravel())[0, 1] for i in range(3)]
    assert min(light) > 0.7


def test_the_ray_camera_sees_the_whole_view_and_repeats_itself(kit: Task) -> None:
    model, data = started(kit)
    image = ray_picture(model, data, 0, (160, 90))
    np.testing.assert_array_equal(image, ray_picture(model, data, 0, (160, 90)))
    yellow = (image[..., 0] > 140) & (image[..., 2] < 90) & (image[..., 1] > 90)
    assert yellow[
        :, :60
    ].any()  # posts and floor tape at the edge of the view, which MuJoCo's own culling would lose


def test_a_picture_is_of_its_own_world(kit: Task) -> None:
    worlds = Worlds(kit, 2, threads=1)
    worlds.reset(np.arange(2), np.array([1, 2], np.int64))
    first, second = picture(worlds, 0, "close", (160, 90)), picture(worlds, 1, "close", (160, 90))
    assert (first != second).any()
    np.testing.assert_array_equal(first, picture(worlds, 0, "close", (160, 90)))


def test_a_fine_picture_has_the_asked_size(kit: Task) -> None:
    model, data = started(kit)
    fine = frame(model, data, "overview", (160, 90), fine=True)
    assert fine.shape == (90, 160, 3)


def test_an_unknown_camera_is_answered_with_those_there_are(kit: Task) -> None:
    model, data = started(kit)
    with pytest.raises(UnknownName, match="Did you mean overview"):
        frame(model, data, "overvew", (160, 90))


def test_without_opengl_there_are_pictures_all_the_same() -> None:
    code = (
        "from genba.envs import graphics, render\nfrom genba.envs.task import get_task\nimport mujoco\n"
        "m = get_task('kit-pick').model\nd = mujoco.MjData(m)\nmujoco.mj_forward(m, d)\n"
        "assert graphics.backend() == 'rays'\nassert render.frame(m, d, size=(64, 36)).std() > 20\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"MUJOCO_GL": "off", "PATH": ""},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.skipif(find_spec("triton") is None, reason="comes with a CUDA build of torch only")
def test_who_shows_a_cell_can_learn_in_it_afterwards() -> None:
    """Optimisers of torch load Triton, whose LLVM does not bear to be the second one beside a software OpenGL's."""
    code = "from genba.envs import graphics\ngraphics.backend()\nimport torch._dynamo"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_a_film_plays_an_episode_in_real_time(tmp_path: Path, kit: Task) -> None:
    import av

    made = film(
        kit, 5, {"push": 1}, lambda o, seeds, steps: kit.expert(o), tmp_path / "a.webm", fps=5, size=(160, 90)
    )
    with av.open(str(made.path)) as container:
        stream = container.streams.video[0]
        frames = [shot.to_ndarray(format="rgb24") for shot in container.decode(stream)]
        assert stream.codec_context.name == "vp9" and (stream.width, stream.height) == (160, 90)
    assert len(frames) == made.frames == int(made.time_s * 5 + 1e-6) + 1
    assert made.success and made.reason == "success" and len(made.trace_sha256) == 64
    assert np.abs(frames[0].astype(int) - frames[len(frames) // 2].astype(int)).max() > 40  # something moves


def test_a_film_that_is_broken_off_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Film(tmp_path / "a.webm", (64, 36)) as made:
        made.add(np.zeros((36, 64, 3), np.uint8))
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_a_renderer_that_goes_takes_nothing_from_the_others(kit: Task) -> None:
    model, data = started(kit)
    alone = graphics.Renderer(model, (96, 54)).draw(model, data)
    renderer = graphics.Renderer(model, (160, 90))
    renderer = graphics.Renderer(
        model, (96, 54)
    )  # the first one is freed while this one's context is current
    np.testing.assert_array_equal(renderer.draw(model, data), alone)
    assert alone.std() > 25


def test_a_film_replaces_files_only(tmp_path: Path) -> None:
    """Asked before anything is played: /dev/null, a folder or a pipe stay what they are."""
    (tmp_path / "folder.webm").mkdir()
    os.mkfifo(tmp_path / "pipe.webm")
    for name in ("folder.webm", "pipe.webm", "a.mp4", "webm", "a"):
        for ask in (
            check_film,
            lambda path: run("no-such-release", video=path),
            lambda path: replay("no-such-check", 0, SimpleNamespace(), video=path),
        ):
            with pytest.raises(BadInput, match=f"^--video {tmp_path / name}: "):
                ask(tmp_path / name)
    (tmp_path / "old.webm").write_text("old")
    for name in ("old.webm", "new.webm", "new.WEBM"):
        check_film(tmp_path / name)
    assert (tmp_path / "folder.webm").is_dir() and (tmp_path / "pipe.webm").is_fifo()
