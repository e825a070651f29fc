"""Cells: a scene from its MJCF, which includes the shared shop floor and its robot; contact groups are set here.

What is stepped is the cell without the shapes that are only looked at (they would cost an eighth of the time); `dressed` puts
them back on to show a world.
"""

from __future__ import annotations

import copy
from collections.abc import Collection

import mujoco
import numpy as np

from .files import asset
from .robots import Machine

FIXTURE, ROBOT, PART, PERSON = 1, 2, 4, 8
SHAPE = (
    "geom_type", "geom_size", "geom_rbound", "geom_aabb", "geom_pos", "geom_quat", "geom_rgba", "geom_friction",
)  # fmt: skip


def compose(cell: str, robot: Machine) -> mujoco.MjSpec:
    """The cell of `assets/cells/<cell>.xml`, which includes its robot's MJCF, an arm with its tool on; its root stands at the site `mount`.

    The robot's collision shapes meet fixtures, parts and people, not each other: a constraint says where they would
    (`arm_shapes`), and as contacts the pairs would cost more than they show.
    """
    spec = mujoco.MjSpec.from_file(str(asset("cells", f"{cell}.xml")))
    robot.fit(spec)
    mount, root = spec.site("mount"), spec.body(robot.root)
    root.pos, root.quat = mount.pos, mount.quat
    for body in (root, *root.find_all("body")):
        for geom in body.geoms:
            if geom.contype or geom.conaffinity:
                geom.contype, geom.conaffinity = ROBOT, FIXTURE | PART | PERSON
    return spec


def strip(spec: mujoco.MjSpec, keep: Collection[str] = ()) -> mujoco.MjSpec:
    """The cell without what is only looked at; masses stay as they are.

    That is every shape that nothing touches, no sensor measures and nobody wants to `keep`, and every tendon that nothing pulls.
    """
    measured = [name for sensor in spec.sensors for name in (sensor.objname, sensor.refname)]
    paired = [name for pair in spec.pairs for name in (pair.geomname1, pair.geomname2)]
    wanted = {*keep, *measured, *paired} - {""}
    for geom in list(spec.geoms):
        if not geom.contype and not geom.conaffinity and geom.name not in wanted:
            spec.delete(geom)
    pulled = {actuator.target for actuator in spec.actuators} | wanted
    for tendon in list(spec.tendons):
        if tendon.name not in pulled:
            spec.delete(tendon)
    return spec


def dressed(
    scene: mujoco.MjModel, model: mujoco.MjModel, data: mujoco.MjData
) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """A world as it looks: the scene with the shapes of `model`, this world's own, in the state of `data`."""
    shown = copy.copy(scene)
    for index in range(model.ngeom):
        name = model.geom(index).name
        if name:
            target = scene.geom(name).id
            for field in SHAPE:
                getattr(shown, field)[target] = getattr(model, field)[index]
    shown.geom_sameframe[:] = 0  # a shape may have been moved out of its body's frame
    for field in ("body_mass", "body_inertia", "body_pos", "body_quat"):
        getattr(shown, field)[:] = getattr(model, field)
    worn = mujoco.MjData(shown)
    kind = int(mujoco.mjtState.mjSTATE_INTEGRATION)
    state = np.empty(mujoco.mj_stateSize(model, kind))
    mujoco.mj_getState(model, data, state, kind)
    mujoco.mj_setState(shown, worn, state, kind)
    return shown, worn
