"""The bodies there are, standing side by side and in two postures each: `python -m genba.envs.people_picture docs/pictures/people.png`."""

from __future__ import annotations

import sys
from pathlib import Path

import mujoco
import numpy as np

from .files import asset
from .graphics import Picture
from .people import body_names, load_body
from .people_cell import Person
from .people_motion import FIELDS, Place, still
from .render import frame

FLOOR, GAP = -0.9, 0.85  # m
SIZE = (1100, 560)
EYE = (-8.6, 1.4, 0.9)
MARK_M = 0.5  # between two lines on the ruler


def scene() -> mujoco.MjModel:
    """Each body standing, and at the end of the row the middle one holding out a hand and leaning over."""
    spec = mujoco.MjSpec.from_file(str(asset("cells", "shop.xml")))
    for geom in list(spec.geoms):
        if geom.name not in ("shop_floor", "wall_1", "wall_2", "band_1", "band_2"):
            spec.delete(geom)
    names = [*body_names(), "adult-50", "adult-50"]
    for i, name in enumerate(names):
        stand = (0.0, (0.5 * (len(names) - 1) - i) * GAP)
        person = Person(name, Place(FLOOR, stand, (-0.5, stand[1], 0.25)), (), 10.0)
        scripts, time = still(person.place), np.array([2.0])
        if i == 3:
            scripts[:, FIELDS["hand"]], scripts[:, FIELDS["use"]] = [0.0, 1.0, 9.0, 1.0], [0.0, 1.0]
            scripts[:, FIELDS["point"]] = [-0.5, stand[1] + 0.15, 0.25]
        if i == 4:
            scripts[:, FIELDS["bend"]], scripts[:, FIELDS["lean"]] = [0.0, 1.0, 9.0, 1.0], 0.8
        person.dress(spec, person.poses(scripts, time), f"person{i}_")
    tall = load_body(names[2])["stature"]
    for line in range(1, int(tall / MARK_M) + 2):
        spec.worldbody.add_geom(
            name=f"mark_{line}", type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.004, 0.5 * GAP * len(names), 0.006],
            pos=[0.45, 0.0, FLOOR + line * MARK_M], contype=0, conaffinity=0, group=1, material="frame",
        )  # fmt: skip
    spec.worldbody.add_camera(name="row", pos=EYE, fovy=15, xyaxes=_looking(EYE, (0.0, 0.0, 0.02)))
    return spec.compile()


def _looking(eye: tuple[float, float, float], at: tuple[float, float, float]) -> list[float]:
    """A camera's x and y axes."""
    ahead = np.subtract(at, eye)
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    up = np.cross(right, ahead)
    return [*(right / np.linalg.norm(right)), *(up / np.linalg.norm(up))]


def picture(size: tuple[int, int] = SIZE) -> Picture:
    """`(height, width, 3)` uint8."""
    model = scene()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return frame(model, data, "row", size, fine=True)


def write(path: str | Path) -> Path:
    """Write the picture as a PNG; its folder is made."""
    import cv2

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture()[..., ::-1]):
        raise OSError(f"{path}: cannot be written")
    return path


if __name__ == "__main__":
    write(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures/people.png")
