"""A camera made of rays: colours, shade and shadows without any graphics, for machines on which OpenGL does not draw."""

from __future__ import annotations

import copy

import mujoco
import numpy as np
from numpy.typing import NDArray

from .signals import Array

SEEN = np.array([1, 1, 1, 0, 0, 0], np.uint8)  # geom groups that pictures show
SEE_THROUGH = 0.5  # what is fainter than this is left out
SKY = np.array([[0.93, 0.95, 0.97], [0.74, 0.79, 0.84]])
AMBIENT, DIFFUSE, GAP = 0.55, 0.45, 0.01
NO_BODY = -1
EVERYWHERE = 100.0  # m


def ray_picture(
    model: mujoco.MjModel, data: mujoco.MjData, camera: int, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """`(height, width, 3)` uint8 of what a fixed camera sees; `data` must be forward."""
    solid = _solid(model)
    eye, rays = data.cam_xpos[camera], camera_rays(model, data, camera, size)
    geom, distance, normal = cast(solid, data, eye, rays)
    hit = geom >= 0
    points = eye + rays * distance[:, None]
    colour = np.repeat(SKY[:1], len(rays), axis=0) + (SKY[1] - SKY[0]) * np.clip(
        1.0 - 1.5 * rays[:, 2:], 0.0, 1.0
    )
    shade = _shade(solid, data, points[hit], normal[hit])
    colour[hit] = _colours(model)[geom[hit]] * shade[:, None]
    width, height = size
    return np.asarray((np.clip(colour, 0.0, 1.0) * 255.0).astype(np.uint8).reshape(height, width, 3))


def camera_rays(model: mujoco.MjModel, data: mujoco.MjData, camera: int, size: tuple[int, int]) -> Array:
    """Unit vectors `(height * width, 3)` through the pixels' centres, row by row from the top."""
    width, height = size
    reach = np.tan(np.radians(model.cam_fovy[camera]) / 2.0)
    x = (2.0 * (np.arange(width) + 0.5) / width - 1.0) * reach * width / height
    y = (1.0 - 2.0 * (np.arange(height) + 0.5) / height) * reach
    right, up = np.meshgrid(x, y)
    local = np.stack([right, up, np.full_like(right, -1.0)], axis=-1).reshape(-1, 3)
    rays = local @ data.cam_xmat[camera].reshape(3, 3).T
    return np.ascontiguousarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


def cast(
    model: mujoco.MjModel, data: mujoco.MjData, start: Array, rays: Array
) -> tuple[NDArray[np.int32], Array, Array]:
    """The first geom (-1: none), the distance in m and the surface normal along each ray `(n, 3)`."""
    n = len(rays)
    geom, distance, normal = np.full(n, -1, np.int32), np.zeros(n), np.zeros((n, 3))
    flat, normals = np.ascontiguousarray(rays).reshape(-1), normal.reshape(-1)
    mujoco.mj_multiRay(
        model, data, start, flat, SEEN, True, NO_BODY, geom, distance, normals, n, mujoco.mjMAXVAL
    )
    return geom, distance, normal


def _shade(model: mujoco.MjModel, data: mujoco.MjData, points: Array, normals: Array) -> Array:
    """Brightness `(n,)` of points under the first light: rays go out from it, and what they do not reach lies in shadow."""
    if model.nlight == 0:
        return np.full(len(points), 1.0)
    lamp = data.light_xpos[0]
    way = points - lamp
    length = np.linalg.norm(way, axis=1)
    towards = way / np.maximum(length, 1e-9)[:, None]
    _, reached, _ = cast(model, data, lamp, towards)
    lit = (reached < 0) | (reached > length - GAP)
    facing = np.clip(-(normals * towards).sum(axis=1), 0.0, 1.0)
    return AMBIENT + DIFFUSE * np.where(lit, facing, 0.0) + 0.1 * np.clip(normals[:, 2], 0.0, 1.0)


def _colours(model: mujoco.MjModel) -> Array:
    """`(ngeom, 3)`: the material's colour, or the geom's own where it has none."""
    material = model.geom_matid
    with_material = material >= 0
    colour = np.array(model.geom_rgba[:, :3], np.float64)
    if model.nmat:
        colour[with_material] = model.mat_rgba[material[with_material], :3]
        textured = with_material & (model.mat_texid[material].max(axis=-1) >= 0)
        colour[textured] *= 0.6
    return colour


def _solid(model: mujoco.MjModel) -> mujoco.MjModel:
    """The model with everything see-through made invisible, which rays then pass."""
    solid = copy.copy(model)
    own = solid.geom_matid < 0
    solid.geom_rgba[own & (solid.geom_rgba[:, 3] < SEE_THROUGH), 3] = 0.0
    if solid.nmat:
        solid.mat_rgba[solid.mat_rgba[:, 3] < SEE_THROUGH, 3] = 0.0
    # mj_multiRay skips bodies by the box around their colliding shapes only, and so would miss what is there to be seen
    solid.bvh_aabb[:, :3], solid.bvh_aabb[:, 3:] = 0.0, EVERYWHERE
    return solid
