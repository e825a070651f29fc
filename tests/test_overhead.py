"""Cells that see: where a part lies comes from pictures, to a millimetre or two, and nothing of it from the simulator."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs import studio
from genba.envs.camera import Lamps, Lens, matrix, photograph
from genba.envs.errors import EnvironmentProblem
from genba.envs.eyes import BELT, TOTE
from genba.envs.graphics import RAYS, backend
from genba.envs.locate import Spot, balanced, coverage, heading, on_plane, spots
from genba.envs.overhead import Overhead
from genba.envs.solids import BOX, Shape
from genba.envs.task import Task, get_task
from genba.envs.terms import norm_xy, wrap
from genba.envs.worlds import Worlds

CLUTTER = "kit-pick,vision=1,part.kinds=5,part.others=4"
SEEING = ("kit-pick,vision=1", "conveyor-sort,vision=1", pytest.param(CLUTTER, marks=pytest.mark.long))
FIRST = 2_000_050_000
ORANGE, BLUE = np.array([0.93, 0.44, 0.10]), np.array([0.13, 0.36, 0.62])


@pytest.fixture(scope="module", params=SEEING)
def task(request: pytest.FixtureRequest) -> Task:
    return get_task(request.param)


def started(task: Task, n: int, disturbances: tuple[str, ...] = (), severity: int = 0) -> Worlds:
    worlds = Worlds(task, n, 2, tail_s=1.0, disturbances=disturbances)
    levels = {name: np.full(n, severity) for name in disturbances}
    worlds.reset(np.arange(n), FIRST + np.arange(n), levels)
    return worlds


def eye_of(worlds: Worlds) -> Overhead:
    assert isinstance(worlds.eye, Overhead)
    return worlds.eye


def played(worlds: Worlds) -> Iterator[NDArray[np.bool_]]:
    """Which worlds go on, tick by tick."""
    while not worlds.done[: worlds.n].all():
        running = ~worlds.done[: worlds.n]
        worlds.step(worlds.task.expert(worlds.observation()))
        yield running


@pytest.mark.parametrize("sight", [TOTE, BELT], ids=["tote", "belt"])
def test_a_pixel_and_its_point_are_each_others(sight: object) -> None:
    lens: Lens = sight.lens  # type: ignore[attr-defined]
    draws = np.random.default_rng(0)
    for _ in range(50):
        point = np.array([*(lens.pos[:2] + draws.uniform(-0.06, 0.06, 2)), 0.02])
        column, row, _ = lens.pixel(point)
        np.testing.assert_allclose(on_plane(lens, column, row, 0.02), point[:2], atol=1e-9)
    ways = {"tote": np.array([1.0, 0.0]), "belt": np.array([0.0, 1.0])}
    middle = Spot(lens.size[0] / 2.0, lens.size[1] / 2.0, 0.0, 1.0)
    right = ways["belt" if sight is BELT else "tote"]
    assert heading(lens, middle, 0.02) == pytest.approx(np.arctan2(right[1], right[0]))


@pytest.mark.parametrize("light", [(1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (1.2, 1.0, 0.8)])
@pytest.mark.parametrize("yaw", [-1.2, -0.4, 0.0, 0.7, 1.5])
def test_a_box_is_found_where_it_lies_in_any_light(light: tuple[float, float, float], yaw: float) -> None:
    """Against the pose that it was drawn with; a distractor of another colour lies by."""
    lens, half = TOTE.lens, np.array([0.013, 0.038, 0.001])
    at = np.array([*(lens.pos[:2] + np.array([0.05, -0.03])), 0.005])
    axes = matrix(np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]))
    other = at + np.array([0.06, 0.06, 0.0])
    shapes = [
        Shape(BOX, np.array([2.0, 2.0, 0.01]), np.array([*lens.pos[:2], -0.006]), np.eye(3), BLUE),
        Shape(BOX, half, at, axes, ORANGE),
        Shape(BOX, half, other, axes, np.array([0.2, 0.6, 0.3])),
    ]
    lamps = Lamps(lens.pos + np.array([0.0, 0.0, 0.01]), lens.pos + np.array([0.3, 0.0, 0.0]), 1.1, 1.14)
    picture = np.asarray(
        np.clip(255.0 * np.array(light) * photograph(lens, shapes, lamps), 0.0, 255.0), np.uint8
    )
    clear = np.asarray(255.0 * photograph(lens, shapes[:1], lamps), np.uint8)
    taught = np.median(clear.reshape(-1, 3), axis=0)
    scale = lens.focal / (lens.pos[2] - 0.005)
    found = spots(balanced(picture, taught), ORANGE, taught, 4.0 * half[0] * half[1] * scale * scale)
    assert len(found) == 1
    spot = found[0]
    assert norm_xy((on_plane(lens, spot.column, spot.row, 0.005) - at[:2])[None])[0] < 0.0006
    assert abs(wrap(np.array(heading(lens, spot, 0.005) - np.pi / 2 - yaw), np.pi)) < 0.02
    assert spot.area == pytest.approx(4.0 * half[0] * half[1] * scale * scale, rel=0.09)


def test_a_colour_is_told_by_its_hue() -> None:
    seen = [
        [237.0, 112.0, 25.0],
        [118.0, 56.0, 12.0],
        [33.0, 92.0, 158.0],
        [200.0, 200.0, 200.0],
        [3.0, 1.0, 0.0],
    ]
    np.testing.assert_allclose(coverage(np.array([seen]), ORANGE, BLUE), [[1.0, 1.0, 0.0, 0.0, 0.0]])


@pytest.mark.wide
def test_the_expert_works_by_what_the_camera_says(task: Task) -> None:
    """The work is done; once seen, and until it is let go, a part is known to some mm (under a cup it creeps, which no picture shows); before it was
    seen nothing is known of it."""
    worlds = started(task, 24)
    eye, late, seen = eye_of(worlds), [], np.zeros(24, bool)
    at_first = worlds.sensed()["part.pos"]
    np.testing.assert_array_equal(at_first[:, :2], np.tile(eye.sight.rest, (len(at_first), 1)))
    assert norm_xy(at_first - worlds.signals.now["part.pos"])[:24].max() > 0.03
    for running in played(worlds):
        seen |= worlds.steps[:24] > eye.period + eye.latency
        known = running & seen & ~eye.left[:24] & np.isnan(worlds.cycle_s[:24])
        late += worlds.held["vision.error"][:24][known].tolist()
    assert worlds.success[:24].mean() >= 0.95
    assert np.quantile(late, 0.5) < 0.005 and np.quantile(late, 0.95) < 0.008
    assert {"vision.error"} == set(task.table) - set(get_task(task.cell.task).table)


def test_a_part_that_lies_free_is_known_to_a_millimetre_or_two(task: Task) -> None:
    worlds = started(task, 32)
    eye, off = eye_of(worlds), []
    for _ in range(20):
        worlds.step(task.expert(worlds.observation()))
        free = (eye.sightings[:32] > 0) & ~eye.held[:32]
        off += worlds.held["vision.error"][:32][free].tolist()
    assert len(off) > 200 and np.quantile(off, 0.95) < 0.002


def test_what_hides_the_part_is_not_taken_for_it(task: Task) -> None:
    """Dirt on the lens: pictures in which the part is not whole say nothing, and nothing else is picked."""
    worlds = started(task, 8, ("camera-occlusion",), 5)
    eye = eye_of(worlds)
    for count, _ in enumerate(played(worlds)):
        assert np.isfinite(eye.pos).all() and np.isfinite(eye.yaw).all()
        if count == 40:
            break


def test_pictures_meet_bad_days_of_their_own(task: Task) -> None:
    own = {name for name in task.known_disturbances() if name.startswith("camera-")}
    assert own == {f"camera-{kind}" for kind in ("blur", "exposure", "colour", "glare", "occlusion", "shift")}
    assert not any(name.startswith("camera-") for name in get_task(task.cell.task).known_disturbances())
    moved = started(task, 6, ("camera-shift",), 5)
    straight = started(task, 6, ("camera-shift",), 0)
    for worlds in (moved, straight):
        for _ in range(8):
            worlds.step(np.zeros((6, len(task.action_names))))
    off = norm_xy(eye_of(moved).pos - eye_of(straight).pos)[:6]
    assert (off > 0.0005).sum() >= 5


def test_an_episode_is_the_same_in_any_company(task: Task) -> None:
    alone, many = Worlds(task, 1, 1, trace=True), Worlds(task, 5, 2, trace=True)
    alone.reset(np.arange(1), np.array([FIRST + 3]))
    many.reset(np.arange(5), FIRST + np.arange(5))
    for _ in range(60):
        for worlds in (alone, many):
            worlds.step(task.expert(worlds.observation()))
    assert alone.trace_sha256(0) == many.trace_sha256(3)
    np.testing.assert_array_equal(alone.observation()[0], many.observation()[3])


def test_a_cell_that_does_not_see_has_no_eye() -> None:
    for name in ("kit-pick", "conveyor-sort"):
        assert Worlds(get_task(name), 2).eye is None and not get_task(name).sees


@pytest.mark.skipif(backend() == RAYS, reason="OpenGL does not draw here")
@pytest.mark.parametrize("cell", ["kit-pick", "conveyor-sort"])
def test_what_is_drawn_shows_what_is_cast_and_is_read_alike(cell: str) -> None:
    """One scene by OpenGL, with its walls, shadows and materials, and by rays: what both say of the part differs by their noise."""
    worlds = started(get_task(f"{cell},vision=2"), 4)
    eye = eye_of(worlds)
    for _ in range(4):
        worlds.step(worlds.task.expert(worlds.observation()))
    now, studio_, alike = worlds.signals.now, eye.studio, 0
    round_ = now["part.shape"][:, 1] > 0.5 if cell == "kit-pick" else np.zeros(4, bool)  # without a mark
    drawn = [eye.picture(now, world, 4) for world in range(4)]
    assert all(eye.picture(now, world, 4).tobytes() == drawn[world].tobytes() for world in range(4))
    eye.studio = None
    for world, shot in enumerate(drawn):
        cast = eye.picture(now, world, 4)
        assert studio_ is not None and cast.tobytes() != shot.tobytes()
        x, y, yaw, seen = np.array([eye.examine(each, 0, world) for each in (shot, cast)]).T
        if seen.all():  # the hand that is drawn hides a little more, or less
            assert np.ptp(x) < 0.002 and np.ptp(y) < 0.002
            assert round_[world] or abs(wrap(yaw[:1] - yaw[1:], np.pi)[0]) < 0.1
            alike += 1
    assert alike >= 2


@pytest.mark.long
@pytest.mark.skipif(backend() == RAYS, reason="OpenGL does not draw here")
@pytest.mark.parametrize("cell", ["kit-pick", "conveyor-sort"])
def test_the_expert_works_by_what_is_drawn(cell: str) -> None:
    worlds = started(get_task(f"{cell},vision=2"), 20)
    for _ in played(worlds):
        pass
    assert worlds.success.mean() >= 0.85


def test_without_opengl_nothing_else_is_shown_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio, "backend", lambda: RAYS)
    with pytest.raises(
        EnvironmentProblem, match=r"kit-pick,vision=2: its camera needs OpenGL.*vision=1 needs none"
    ):
        started(get_task("kit-pick,vision=2"), 2)
