"""Small pictures: rays that meet what MuJoCo's meet, light that follows the lamps, and judging them with OpenCV."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.camera import (
    OPTICS,
    Lamps,
    Lens,
    Picture,
    applied,
    depths,
    developed,
    fixed_lens,
    matrix,
    photograph,
    smeared,
    spread,
)
from genba.envs.castings import FACES
from genba.envs.eye import grain_sheet
from genba.envs.hand_look import finger_shapes
from genba.envs.inspection import (
    BOSSES,
    GRIP_ANGLE,
    HANGS,
    PART,
    STATION,
    VIEWS,
    InspectionEye,
    geom_shape,
    golden_views,
    station_lamps,
)
from genba.envs.raycam import cast
from genba.envs.solids import BOX, FAR, HOLLOW, KINDS, Shape
from genba.envs.task import Task, get_task
from genba.envs.vision import ENOUGH, Golden, blind_spots, judge, teach
from genba.envs.worlds import Worlds

SCENE = """
<mujoco>
  <worldbody>
    <geom name="a" type="box" size="0.02 0.03 0.01" pos="0 0.02 0.01" quat="0.9 0.2 -0.3 0.1"/>
    <geom name="b" type="cylinder" size="0.015 0.02" pos="0.01 -0.03 0" quat="0.5 0.5 -0.2 0.7"/>
    <geom name="c" type="ellipsoid" size="0.02 0.01 0.015" pos="0 0 -0.03" quat="0.3 0.1 0.9 0.2"/>
    <geom name="d" type="cylinder" size="0.01 0.03" pos="0.03 0.01 0.005"/>
    <camera name="eye" pos="0.3 0.05 0.02" xyaxes="-0.164 0.986 0 0 0 1" fovy="20"/>
  </worldbody>
</mujoco>
"""
LAMPS = Lamps(np.array([0.3, 0.0, 0.0]), np.array([0.2, -0.2, 0.05]), 0.3, 0.3)


def scene_shapes(model: mujoco.MjModel) -> list[Shape]:
    return [
        Shape(
            KINDS[int(model.geom_type[i])],
            model.geom_size[i],
            model.geom_pos[i],
            matrix(model.geom_quat[i] / np.linalg.norm(model.geom_quat[i])),
            np.full(3, 0.5),
        )
        for i in range(model.ngeom)
    ]


def test_rays_meet_what_the_simulators_rays_meet() -> None:
    """Boxes, cylinders and ellipsoids, turned and overlapping, pixel by pixel."""
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    lens = fixed_lens(model, "eye", (64, 48))
    mine = depths(lens, scene_shapes(model))
    rays = np.ascontiguousarray(np.stack(lens.rays, axis=-1).reshape(-1, 3))
    model.bvh_aabb[:, 3:] = 100.0
    geom, distance, _ = cast(model, data, lens.pos.copy(), rays)
    theirs = np.where(geom >= 0, distance, FAR).reshape(48, 64)
    assert len(set(geom[geom >= 0])) == 4 and 300 < (geom >= 0).sum() < 2500
    np.testing.assert_allclose(mine, theirs, rtol=1e-9)


def flat(extra: list[Shape]) -> tuple[Lens, list[Shape]]:
    """A camera that looks along -x at a wall of a box, 0.3 m away."""
    axes = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    wall = Shape(BOX, np.array([0.01, 0.03, 0.02]), np.array([-0.01, 0.0, 0.0]), np.eye(3), np.full(3, 0.6))
    return Lens(np.array([0.3, 0.0, 0.0]), axes, 12.0, (65, 49)), [wall, *extra]


def test_a_hollow_is_as_deep_as_it_says_and_lies_in_what_is_there() -> None:
    hollow = Shape(HOLLOW, np.array([0.004, 0.01, 0.01]), np.zeros(3), np.eye(3), np.full(3, 0.6))
    lens, shapes = flat([hollow])
    whole, dented = depths(lens, shapes[:1]), depths(lens, shapes)
    assert dented[24, 32] - whole[24, 32] == pytest.approx(0.004)
    changed = dented != whole
    assert (dented >= whole).all() and changed.any() and not changed[:, :5].any()
    radius = np.sqrt(changed.sum() / np.pi) / lens.focal * 0.3
    assert radius == pytest.approx(0.01, rel=0.05)


def test_light_follows_lamps_slope_and_level() -> None:
    lens, shapes = flat([])
    light = photograph(lens, shapes, LAMPS)
    assert photograph(lens, shapes, LAMPS, 0.5) == pytest.approx(0.5 * light)
    face = light[24, 32, 0]
    away = [
        Shape(s.kind, s.size, s.pos, matrix(np.array([0.966, 0.0, 0.0, 0.259])), s.colour) for s in shapes
    ]
    assert photograph(lens, away, LAMPS)[24, 32, 0] != face
    assert light[24, 20, 0] > light[24, 44, 0], "the bar stands at the side of the picture's left"
    assert light[0, 0, 0] == pytest.approx(0.8), "the panel"


def test_a_picture_of_what_moves_is_smeared_along_its_way() -> None:
    light = np.zeros((21, 31, 3))
    light[10, 15] = 1.0
    assert smeared(light, (0.01, 0.0)) is light
    moved = smeared(light, (4.0, 0.0))[:, :, 0]
    assert (
        moved.sum() == pytest.approx(1.0)
        and (moved[10] > 0).sum() >= 5
        and (moved.sum(axis=1) > 0).sum() == 1
    )


def test_grain_is_white_and_stronger_in_the_dark() -> None:
    grain = grain_sheet()[:100, :100]
    assert abs(grain.mean()) < 0.02 and grain.std() == pytest.approx(1.0, abs=0.02)
    dark, bright = (developed(np.full((100, 100, 3), level), grain) / 255.0 for level in (0.1, 0.7))
    assert dark.std() / 0.1 > 2.0 * bright.std() / 0.7


# Judging


@pytest.fixture(scope="module")
def cell() -> Task:
    return get_task("inspect")


@pytest.fixture(scope="module")
def golden(cell: Task) -> tuple[Golden, ...]:
    return golden_views(cell.model, "inspect")


def take(cell: Task, view: int, without: int = -1, mark: Shape | None = None, **how: float) -> Picture:
    """A picture of a held part: a boss missing, something on it; off by `right` m and `turned` rad, blurred by px, at a light `level`."""
    model, lens = cell.model, fixed_lens(cell.model, "inspect", (64, 48))
    yaw = GRIP_ANGLE + VIEWS[view] + how.get("turned", 0.0)
    cos, sin = np.cos(yaw), np.sin(yaw)
    axes = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    hand = np.array([[-sin, cos, 0.0], [cos, sin, 0.0], [0.0, 0.0, -1.0]])
    tool = STATION + np.array([0.0, how.get("right", 0.0), 0.0])
    at = tool - np.array([0.0, 0.0, HANGS])
    names = [PART, *(boss for i, boss in enumerate(BOSSES) if i != without)]
    shapes = []
    for name in names:
        geom = model.geom(name)
        shapes.append(
            geom_shape(name, int(geom.type[0]), geom.size, geom.pos, geom.quat, geom.rgba, at, axes)
        )
    if mark is not None:
        place = at + applied(axes, mark.pos)
        shapes.insert(1, Shape(mark.kind, mark.size, place, axes, mark.colour))
    light = photograph(
        lens, shapes + finger_shapes(tool, hand, 0.018), station_lamps(model), how.get("level", 1.0)
    )
    light = spread(light, float(np.hypot(OPTICS, how.get("blur", 0.0))))
    return developed(light * how.get("gain", 1.0), grain_sheet()[:48, :64])


DENT = Shape(
    HOLLOW,
    np.array([0.0036, 0.0011, 0.0036]),
    np.array([0.0, 0.022, -0.017]),
    np.eye(3),
    np.array([0.93, 0.44, 0.1]),
)
SCRATCH = Shape(BOX, np.array([0.004, 0.0002, 0.0006]), DENT.pos, np.eye(3), np.array([0.23, 0.12, 0.05]))


@pytest.mark.parametrize("view", range(len(FACES)))
def test_a_good_part_is_good_wherever_it_is_held(cell: Task, golden: tuple[Golden, ...], view: int) -> None:
    for right in (-0.004, 0.0, 0.003):
        for turned in (-0.03, 0.02):
            for level in (0.3, 1.0):
                found = judge(take(cell, view, right=right, turned=turned, level=level), golden[view])
                assert found.score < 1.0 and found.quality > 0.5, (right, turned, level, found)


@pytest.mark.parametrize("level", [0.3, 1.0])
def test_defects_are_seen_on_their_face(cell: Task, golden: tuple[Golden, ...], level: float) -> None:
    for boss in range(6):
        assert judge(take(cell, boss // 2, without=boss, level=level), golden[boss // 2]).score > 2.0
    for mark in (DENT, SCRATCH):
        assert judge(take(cell, 1, mark=mark, level=level), golden[1]).score > 2.0


@pytest.mark.parametrize(
    "how", [{"blur": 1.3}, {"gain": 1.6}, {"level": 0.1}, {"right": 0.02}, {"turned": 0.6}], ids=str
)
def test_a_picture_that_cannot_be_believed_says_so(
    cell: Task, golden: tuple[Golden, ...], how: dict[str, float]
) -> None:
    assert judge(take(cell, 1, -1, None, **how), golden[1]).quality < 0.5


def test_no_part_is_no_good_part(cell: Task, golden: tuple[Golden, ...]) -> None:
    panel = developed(np.full((48, 64, 3), 0.8), grain_sheet()[:48, :64])
    for empty in (panel, np.zeros_like(panel), np.full_like(panel, 255)):
        assert judge(empty, golden[0]).quality == 0.0
    with pytest.raises(ValueError, match="no part in the golden picture"):
        teach(panel)


def spot(picture: Picture, radius: float) -> Picture:
    """The picture through a lens with a round spot of dirt in the middle of the face."""
    y, x = np.arange(48)[:, None] - 30.0, np.arange(64)[None] - 32.0
    return np.where((x * x + y * y < radius * radius)[:, :, None], picture // 25, picture).astype(np.uint8)


def test_a_small_blind_spot_is_looked_around_and_a_large_one_is_owned_up_to(
    cell: Task, golden: tuple[Golden, ...]
) -> None:
    panel = developed(np.full((48, 64, 3), 0.8), grain_sheet()[:48, :64])
    assert blind_spots(panel) is None
    for radius, believed in ((1.6, True), (5.0, False)):
        blind = blind_spots(spot(panel, radius))
        assert blind is not None
        found = judge(spot(take(cell, 1), radius), golden[1], blind)
        assert (found.quality > 0.5) == believed and (found.score < 1.0 or not believed)
        assert judge(spot(take(cell, 1), radius), golden[1]).score > 1.0, "unknown dirt looks like a defect"
    flawed = judge(spot(take(cell, 1, without=2), 1.6), golden[1], blind_spots(spot(panel, 1.6)))
    assert flawed.score > 1.0 and flawed.quality > 0.5
    assert judge(take(cell, 1), golden[1], np.full((48, 64), 255, np.uint8)).quality == 0.0


def test_a_defect_has_to_be_more_than_one_noisy_pixel() -> None:
    assert ENOUGH >= 2.0


# The eye at work


def seen(task: Task, n: int, threads: int, seeds: NDArray[np.int64]) -> dict[int, tuple[bytes, ...]]:
    worlds = Worlds(task, n, threads)
    worlds.reset(np.arange(n), seeds)
    for _ in range(215):
        worlds.step(task.expert(worlds.observation()))
    names = ("vision.score", "vision.confidence", "vision.tried", "vision.blur", "shot.travel")
    assert (worlds.held["vision.tried"][:n].sum(axis=1) >= 3).all()
    return {
        int(seed): tuple(worlds.held[name][i].tobytes() for name in names) for i, seed in enumerate(seeds)
    }


def test_what_the_eye_sees_has_the_same_bits_in_any_company(cell: Task) -> None:
    seeds = np.arange(40, 52)
    crowd = seen(cell, 12, 2, seeds)
    assert seen(cell, 5, 1, seeds[::-1][:5]) == {int(seed): crowd[int(seed)] for seed in seeds[-5:]}
    assert seen(cell, 1, 1, seeds[3:4]) == {43: crowd[43]}


def test_an_answer_comes_as_late_as_the_camera_says(cell: Task) -> None:
    worlds = Worlds(cell, 2, 1)
    worlds.reset(np.arange(2), np.arange(2))
    eye = worlds.eye
    assert isinstance(eye, InspectionEye)
    exposed: dict[int, int] = {}
    for _ in range(260):
        before = worlds.held["vision.tried"].sum(axis=1).copy()
        worlds.step(cell.expert(worlds.observation()))
        now = worlds.held["vision.tried"].sum(axis=1)
        for world in range(2):
            if now[world] > before[world]:
                assert worlds.steps[world] == exposed.pop(world) + eye.latency
            if eye.due[world] == worlds.steps[world] + eye.latency:
                assert worlds.steps[world] % eye.period == 0
                exposed[world] = int(worlds.steps[world])
    assert worlds.held["vision.confidence"].max(axis=1).min() == 1.0


def test_a_new_episode_knows_nothing_of_the_last(cell: Task) -> None:
    worlds = Worlds(cell, 2, 1)
    worlds.reset(np.arange(2), np.arange(2))
    for _ in range(160):
        worlds.step(cell.expert(worlds.observation()))
    assert worlds.eye is not None and worlds.held["vision.tried"].any()
    worlds.reset(np.array([0]), np.array([9]))
    assert not worlds.held["vision.tried"][0].any() and worlds.held["vision.tried"][1].any()
    assert worlds.eye.due[0] == -1 and worlds.eye.fresh[0]
