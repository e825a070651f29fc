"""Cells: a scene from its MJCF, which includes the shared shop floor and its robot; contact groups are set here."""

from __future__ import annotations

import mujoco

from .files import asset

FIXTURE, ROBOT, PART, PERSON = 1, 2, 4, 8


def compose(cell: str, robot_root: str) -> mujoco.MjSpec:
    """The cell of `assets/cells/<cell>.xml` with its robot's root body standing at the site `mount`.

    The robot's collision shapes meet fixtures, parts and people, not each other: a robot's own controller keeps it from
    touching itself, and the pairs would cost more than they show.
    """
    spec = mujoco.MjSpec.from_file(str(asset("cells", f"{cell}.xml")))
    mount, root = spec.site("mount"), spec.body(robot_root)
    root.pos, root.quat = mount.pos, mount.quat
    for body in (root, *root.find_all("body")):
        for geom in body.geoms:
            if geom.contype or geom.conaffinity:
                geom.contype, geom.conaffinity = ROBOT, FIXTURE | PART | PERSON
    return spec
