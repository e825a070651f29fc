"""Drawing with OpenGL and without a screen (EGL, then OSMesa); where there is none, with a camera made of rays."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from .camera import Lens
from .errors import UnknownName
from .raycam import ray_picture

Picture = NDArray[np.uint8]

SIZE = (640, 360)  # pixels, width and height
# multisampling is dear in software: fine pictures are drawn larger, with finer shadows, and averaged
SHADOWS, SAMPLES = 1024, 0
RAYS, OFF = "rays", ("disable", "disabled", "off", "false", "0")
NEAR, FAR = 0.02, 20.0  # m: what a lens of a cell draws lies between


@lru_cache(maxsize=1)
def backend() -> str:
    """What draws here: "egl", "osmesa", the desktop's own ("window"), or "rays". MUJOCO_GL, where set, decides alone."""
    wanted = os.environ.get("MUJOCO_GL", "").lower().strip()
    if wanted in OFF:
        return RAYS
    known = (
        [wanted]
        if wanted in ("egl", "osmesa")
        else ["egl", "osmesa"]
        if sys.platform == "linux"
        else ["window"]
    )
    _compiler_first()
    for name in known:
        try:
            context = _context(name, 16, 16)
            context.make_current()
            context.free()
            return name
        except Exception:  # noqa: BLE001 - a missing driver shows itself in many ways, and rays always work
            _forget_opengl()
    return RAYS


def _compiler_first() -> None:
    """Load Triton, which a CUDA build of torch brings along, before a software OpenGL: both hold an LLVM, and Triton loaded second takes the
    other's and ends the process (seen with triton 3.7.1 and Mesa on LLVM 15)."""
    if find_spec("triton") is not None:
        with suppress(Exception):  # pictures do not need it
            import_module("triton")


def _context(name: str, width: int, height: int) -> Any:
    """A GL context of one backend, whatever MUJOCO_GL said when mujoco was imported."""
    module = import_module("mujoco.gl_context" if name == "window" else f"mujoco.{name}")
    return module.GLContext(width, height)


def _forget_opengl() -> None:
    """PyOpenGL binds itself to one platform at import: unload it, so that the next one can be tried."""
    os.environ.pop("PYOPENGL_PLATFORM", None)
    for name in [
        n for n in sys.modules if n.partition(".")[0] == "OpenGL" or n in ("mujoco.egl", "mujoco.osmesa")
    ]:
        del sys.modules[name]


class Renderer:
    """Draws one cell at one size; keep it, for making one costs a hundred pictures.

    Args:
        model: the cell. Models that differ in geom shapes and colours only (one cell's worlds) may be drawn later too.
        size: width and height in pixels.
        fine: draw at double size and average, for pictures that are looked at for long.
    """

    def __init__(self, model: mujoco.MjModel, size: tuple[int, int] = SIZE, fine: bool = False) -> None:
        self.size, self._scale, self._name = size, 2 if fine else 1, backend()
        self._gl: Any = None
        if self._name == RAYS:
            return
        width, height = size[0] * self._scale, size[1] * self._scale
        model.vis.quality.shadowsize, model.vis.quality.offsamples = SHADOWS * self._scale, SAMPLES
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        self._gl = _context(self._name, width, height)
        self._gl.make_current()
        self._mjr = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._mjr)
        self._scene = mujoco.MjvScene(model, maxgeom=2000)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = (1, 1, 1, 0, 0, 0)
        self._option.flags[mujoco.mjtVisFlag.mjVIS_RANGEFINDER] = False  # it draws a line for every distance
        self._rect = mujoco.MjrRect(0, 0, width, height)
        self._pixels = np.empty((height, width, 3), np.uint8)

    def close(self) -> None:
        """Give back what the graphics driver holds, in this renderer's own context: another one may be current."""
        if self._gl is not None:
            self._gl.make_current()
            self._mjr.free()
            self._gl.free()
            self._gl = None

    def __del__(self) -> None:
        with suppress(Exception):  # at the end of the program the driver may be gone
            self.close()

    def draw(self, model: mujoco.MjModel, data: mujoco.MjData, camera: str = "overview") -> Picture:
        """`(height, width, 3)` uint8. `data` must be forward. Raises UnknownName for a camera that the cell lacks."""
        view = camera_id(model, camera)
        if self._name == RAYS:
            return ray_picture(model, data, view, self.size)
        eye = mujoco.MjvCamera()
        eye.type, eye.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, view
        return self._drawn(model, data, eye)

    def look(self, model: mujoco.MjModel, data: mujoco.MjData, lens: Lens) -> Picture:
        """As `draw`, through a lens that need not be a camera of the model. Only where OpenGL draws."""
        return self._drawn(model, data, mujoco.MjvCamera(), lens)

    def _drawn(
        self, model: mujoco.MjModel, data: mujoco.MjData, eye: mujoco.MjvCamera, lens: Lens | None = None
    ) -> Picture:
        self._gl.make_current()
        every = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(model, data, self._option, None, eye, every, self._scene)
        if lens is not None:
            self._aim(lens)
        mujoco.mjr_render(self._rect, self._scene, self._mjr)
        mujoco.mjr_readPixels(self._pixels, None, self._rect, self._mjr)
        upright = self._pixels[::-1]
        if self._scale == 1:
            return np.ascontiguousarray(upright)
        import cv2

        return np.asarray(cv2.resize(upright, self.size, interpolation=cv2.INTER_AREA), np.uint8)

    def _aim(self, lens: Lens) -> None:
        """Put both cameras of the scene (there is one for each eye) where the lens is."""
        top = NEAR * float(np.tan(np.radians(lens.fovy) / 2.0))
        for camera in self._scene.camera:
            camera.pos[:], camera.forward[:], camera.up[:] = lens.pos, -lens.axes[:, 2], lens.axes[:, 1]
            camera.frustum_near, camera.frustum_far = NEAR, FAR
            camera.frustum_top, camera.frustum_bottom = top, -top
            camera.frustum_center = camera.frustum_width = 0.0


def camera_id(model: mujoco.MjModel, camera: str) -> int:
    """The number of a camera. Raises UnknownName with those that the cell has."""
    names = [model.camera(i).name for i in range(model.ncam)]
    if camera not in names:
        raise UnknownName("camera", camera, names)
    return names.index(camera)
