"""A worker of regions: sizes as the files say, motions that repeat, distances and speeds that another calculation agrees with."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from genba.envs.errors import BadInput, UnknownName
from genba.envs.files import asset
from genba.envs.people import PARTS, REGIONS, body_names, load_body, region_of
from genba.envs.people_cell import PREFIX
from genba.envs.people_motion import LENGTH, MOTIONS, draw, ends, script, still
from genba.envs.people_picture import scene
from genba.envs.people_posture import poses, two_links
from genba.envs.streams import Streams
from genba.envs.tasks.kit_pick import COLLEAGUE
from genba.tests.people_kit import WithWorker

Array = NDArray[np.float64]
each_body = pytest.mark.parametrize("name", body_names())
each_motion = pytest.mark.parametrize("motion", list(MOTIONS))
MM = 1e-3


def figures(name: str) -> dict[str, float]:
    rows = yaml.safe_load(asset("people", f"{name}.yaml").read_text(encoding="utf-8"))["dimensions"]
    return {row["id"]: row["value"] for row in rows}


def standing(name: str) -> tuple[mujoco.MjModel, mujoco.MjData]:
    task = WithWorker()
    task.body = name
    data = mujoco.MjData(task.model)
    mujoco.mj_forward(task.model, data)
    return task.model, data


def reach_of(model: mujoco.MjModel, data: mujoco.MjData, part: str, axis: int) -> tuple[float, float]:
    """Lowest and highest coordinate in m of a part's capsule, read from the compiled model."""
    geom = model.geom(f"{PREFIX}{part}_skin").id
    along = data.geom_xmat[geom].reshape(3, 3)[axis, 2] * model.geom_size[geom, 1]
    half, middle = abs(along) + model.geom_size[geom, 0], data.geom_xpos[geom, axis]
    return middle - half, middle + half


@each_body
def test_the_standing_body_measures_what_its_file_says(name: str) -> None:
    model, data = standing(name)
    size = figures(name)

    def span(parts: list[str], axis: int) -> tuple[float, float]:
        found = [reach_of(model, data, part, axis) for part in parts]
        return min(low for low, _ in found), max(high for _, high in found)

    low, high = span(list(PARTS), 2)
    assert low == pytest.approx(COLLEAGUE.floor, abs=1e-9) and high - low == pytest.approx(
        size["stature"], abs=1e-9
    )
    across = {
        "shoulder.breadth": ["upper_arm_l", "upper_arm_r"],
        "acromion.breadth": ["chest"],
        "hip.breadth": ["pelvis", "abdomen"],
    }
    for dimension, parts in across.items():
        left, right = span(parts, 0)  # the worker faces +y
        assert right - left == pytest.approx(size[dimension], abs=1e-9), dimension
    for dimension, part in (("chest.depth", "chest"), ("abdomen.depth", "abdomen")):
        back, front = span([part], 1)
        assert front - back == pytest.approx(size[dimension], abs=1e-9), dimension
    assert span(["chest"], 2)[1] - COLLEAGUE.floor == pytest.approx(size["shoulder.height"], abs=1e-9)
    assert span(["upper_arm_l"], 2)[1] - COLLEAGUE.floor == pytest.approx(size["shoulder.height"], abs=5 * MM)
    assert span(["lower_leg_r"], 2)[1] - COLLEAGUE.floor == pytest.approx(size["knee.height"], abs=1e-9)


@each_body
def test_every_capsule_has_the_radius_and_length_of_its_region(name: str) -> None:
    model, _ = standing(name)
    size, body = figures(name), load_body(name)
    for part in PARTS:
        radius, half, _ = model.geom_size[model.geom(f"{PREFIX}{part}_skin").id]
        assert (radius, 2.0 * half) == pytest.approx(
            (body.radius[region_of(part)], body.length[region_of(part)])
        )
    girths = {
        "neck": "neck.girth",
        "upper_arm": "upper_arm.girth",
        "forearm": "forearm.girth",
        "lower_leg": "calf.girth",
    }
    for region, girth in girths.items():
        assert 2.0 * np.pi * body.radius[region] == pytest.approx(size[girth])
    whole = {region: body.length[region] + 2.0 * body.radius[region] for region in REGIONS}
    assert whole["upper_arm"] == pytest.approx(size["upper_arm.length"])
    arm = body.radius["upper_arm"] + body.length["forearm"] + body.length["hand"] + body.radius["hand"]
    assert arm == pytest.approx(size["forearm.length"])


def test_every_figure_names_a_source_and_says_how_sure_it_is() -> None:
    for name in body_names():
        file = yaml.safe_load(asset("people", f"{name}.yaml").read_text(encoding="utf-8"))
        assert file["title"]["en"] and file["title"]["ja"]
        for row in file["dimensions"]:
            assert row["source"] in file["sources"] and row["confidence"] in (
                "confirmed_secondary",
                "derived",
                "recalled",
            )
    sizes = [figures(name) for name in body_names()]
    assert all(sizes[0][key] < sizes[1][key] < sizes[2][key] for key in sizes[0] if key != "chin.share")


def test_an_unknown_body_or_motion_names_the_closest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="unknown body 'adult-96'. Did you mean adult-95"):
        load_body("adult-96")
    with pytest.raises(UnknownName, match="unknown motion 'stumbles'. Did you mean stumble"):
        script("stumbles", COLLEAGUE, Streams("t/1", np.zeros(2, np.int64)))
    with pytest.raises(UnknownName, match="unknown dimension 'statur'. Did you mean stature"):
        load_body("adult-5")["statur"]
    text = (
        asset("people", "adult-50.yaml").read_text(encoding="utf-8").replace("value: 0.2500", "value: 0.9000")
    )
    (tmp_path / "adult-1.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr("genba.envs.people.body_names", lambda: ["adult-1"])
    monkeypatch.setattr("genba.envs.people.asset", lambda *parts: tmp_path / parts[-1])
    with pytest.raises(BadInput, match="chest is thicker than it is long"):
        load_body("adult-1")


def course(
    motion: str, seeds: NDArray[np.int64], body: str = "adult-50", seconds: float = 8.0
) -> tuple[Array, Array]:
    """Both ends of every part every 2 ms."""
    scripts = script(motion, COLLEAGUE, Streams("t/1", seeds))
    times = np.repeat(np.arange(0.0, seconds, 0.002)[None], len(seeds), axis=0)
    return ends(load_body(body), COLLEAGUE.floor, scripts, times)


@pytest.mark.wide
@each_motion
def test_a_motion_keeps_every_size_and_moves_as_people_do(motion: str) -> None:
    first, last = course(motion, np.arange(40))
    body = load_body("adult-50")
    length = np.sqrt(((last - first) ** 2).sum(axis=-1))
    assert np.abs(length - [body.length[region_of(part)] for part in PARTS]).max() < 1e-12
    radius = np.array([body.radius[region_of(part)] for part in PARTS])
    assert (
        np.minimum(first, last)[..., 2] - radius >= COLLEAGUE.floor - 1e-9
    ).all()  # nothing sinks into the floor
    speed = np.sqrt((np.diff(0.5 * (first + last), axis=1) ** 2).sum(axis=-1)) / 0.002
    for part, most in (("pelvis", 2.5), ("chest", 3.0), ("head", 4.0), ("hand_r", 6.0), ("lower_leg_l", 6.0)):
        assert speed[..., PARTS.index(part)].max() < most, part
    middle = 0.5 * (first + last)
    nearest = middle[..., PARTS.index("chest"), 1].max()
    assert {"stand": nearest < -0.95, "lean-over": nearest > -0.8, "walk-past": nearest < -0.75}.get(
        motion, True
    )
    assert speed[..., PARTS.index("hand_r")].max() > (0.02 if motion == "stand" else 0.5)


@pytest.mark.wide
def test_what_each_motion_is_for_comes_about() -> None:
    far: dict[str, Array] = {}
    for motion in MOTIONS:
        first, last = course(motion, np.arange(60))
        far[motion] = 0.5 * (first + last)
    part = {name: PARTS.index(name) for name in PARTS}
    work = np.array(COLLEAGUE.work)
    near = {m: np.sqrt(((x[:, :, part["hand_r"]] - work) ** 2).sum(-1)).min(axis=1) for m, x in far.items()}
    assert near["reach-in"].max() < 0.12 and near["stand"].min() > 0.6 and near["stumble"].max() < 0.5
    head = {m: x[:, :, part["head"]] for m, x in far.items()}
    assert (head["lean-over"][..., 1].max(axis=1) - COLLEAGUE.stand[1] > 0.35).all()
    assert (head["stumble"][..., 2].min(axis=1) < head["stand"][..., 2].min() - 0.2).all()
    past = far["walk-past"][:, :, part["chest"], 0]
    assert (np.abs(past[:, -1] - past[:, 0]) > 2.9).all()
    rest = far["stay-in-path"][:, -1, part["pelvis"], 1] - COLLEAGUE.stand[1]
    assert (rest > 0.05).all() and (rest < 0.4).all()
    held = far["hold-out"][:, -1, part["hand_r"], 1] - COLLEAGUE.stand[1]
    assert (held > 0.33).all()


def test_links_reach_what_they_can_and_point_at_the_rest() -> None:
    root, bend = np.zeros((2, 3)), np.tile([0.0, 0.0, -1.0], (2, 1))
    target = np.array([[0.4, 0.0, 0.0], [2.0, 0.0, 0.0]])
    middle, end = two_links(root, target, 0.3, 0.25, bend)
    np.testing.assert_allclose(end, [[0.4, 0.0, 0.0], [0.55, 0.0, 0.0]], atol=1e-12)
    np.testing.assert_allclose(np.sqrt((middle**2).sum(-1)), 0.3, atol=1e-12)
    assert middle[0, 2] < -0.1 and middle[1] == pytest.approx([0.3, 0.0, 0.0], abs=1e-6)


@each_motion
def test_a_motion_is_the_same_bits_in_any_company(motion: str) -> None:
    seeds = np.arange(64)
    together = course(motion, seeds, seconds=0.5)
    for few in (np.array([3]), np.array([3, 40]), np.arange(7) + 11):
        alone = course(motion, few, seconds=0.5)
        for mine, all_of_them in zip(alone, together, strict=True):
            assert mine.tobytes() == np.ascontiguousarray(all_of_them[few]).tobytes()


def test_a_world_without_a_script_stands_and_holds_no_nan() -> None:
    first, last = ends(load_body("adult-5"), 0.0, np.zeros((2, LENGTH)), np.zeros((2, 10)))
    where, turned = poses((first, last))
    assert np.isfinite(where).all() and np.isfinite(turned).all()
    upright = ends(load_body("adult-5"), 0.0, still(COLLEAGUE), np.zeros((1, 3)))
    assert (upright[0][:, 0] == upright[0][:, 2]).all()


def test_the_picture_shows_three_sizes_of_people() -> None:
    model = scene()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    tops = [reach_top(model, data, i) for i in range(3)]
    assert tops == pytest.approx([figures(name)["stature"] for name in body_names()], abs=1e-9)
    assert reach_top(model, data, 4) < tops[1] - 0.1  # leans over


def reach_top(model: mujoco.MjModel, data: mujoco.MjData, person: int) -> float:
    geom = model.geom(f"person{person}_head_skin").id
    axis = abs(data.geom_xmat[geom].reshape(3, 3)[2, 2]) * model.geom_size[geom, 1]
    return float(data.geom_xpos[geom, 2] + axis + model.geom_size[geom, 0] + 0.9)


@each_body
def test_any_body_does_any_motion_and_every_motion_is_drawn(name: str) -> None:
    streams = Streams("t/1", np.arange(120, dtype=np.int64))
    scripts, body = draw(COLLEAGUE, streams), load_body(name)
    of = [script(motion, COLLEAGUE, streams) for motion in MOTIONS]
    counts = [sum((scripts[i] == rows[i]).all() for i in range(120)) for rows in of]
    assert sum(counts) == 120 and min(counts) >= 5
    times = np.repeat(np.arange(0.0, 10.0, 0.02)[None], 120, axis=0)
    first, last = ends(body, COLLEAGUE.floor, scripts, times)
    length = np.sqrt(((last - first) ** 2).sum(axis=-1))
    assert np.abs(length - [body.length[region_of(part)] for part in PARTS]).max() < 1e-12
    radius = np.array([body.radius[region_of(part)] for part in PARTS])
    assert (np.minimum(first, last)[..., 2] - radius >= COLLEAGUE.floor - 1e-9).all()


def test_the_page_shows_the_figures_of_the_files() -> None:
    page = (Path(__file__).parent.parent / "docs" / "people.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in page.splitlines()
        if line.startswith("| ")
    ]
    shown = {row[0]: row[1:4] for row in rows if row[0]}
    sizes = [figures(name) for name in body_names()]
    assert set(shown) == set(sizes[0]) - {"chin.share"}
    for key, cells in shown.items():
        assert cells == [f"{1000 * size[key]:.0f}" for size in sizes], key
    for motion in MOTIONS:
        assert f"`{motion}`" in page
