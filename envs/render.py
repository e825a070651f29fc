"""Pictures and films of a cell. OpenGL without a screen (EGL, then OSMesa); where there is none, a camera made of rays."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from .cell import dressed
from .errors import BadInput, UnknownName
from .raycam import ray_picture
from .task import Task
from .worlds import Worlds

Picture = NDArray[np.uint8]
Act = Callable[[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]], NDArray[np.floating]]

SIZE = (640, 360)  # pixels, width and height
FILM_SIZE = (768, 432)
# multisampling is dear in software: fine pictures are drawn larger, with finer shadows, and averaged
SHADOWS, SAMPLES = 1024, 0
RAYS, OFF = "rays", ("disable", "disabled", "off", "false", "0")


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
        self._gl.make_current()
        eye = mujoco.MjvCamera()
        eye.type, eye.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, view
        every = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(model, data, self._option, None, eye, every, self._scene)
        mujoco.mjr_render(self._rect, self._scene, self._mjr)
        mujoco.mjr_readPixels(self._pixels, None, self._rect, self._mjr)
        upright = self._pixels[::-1]
        if self._scale == 1:
            return np.ascontiguousarray(upright)
        import cv2

        return np.asarray(cv2.resize(upright, self.size, interpolation=cv2.INTER_AREA), np.uint8)


def camera_id(model: mujoco.MjModel, camera: str) -> int:
    """The number of a camera. Raises UnknownName with those that the cell has."""
    names = [model.camera(i).name for i in range(model.ncam)]
    if camera not in names:
        raise UnknownName("camera", camera, names)
    return names.index(camera)


@lru_cache(maxsize=8)
def _kept(names: bytes, shapes: int, size: tuple[int, int], fine: bool) -> list[Renderer]:
    """A place for one renderer; emptied before the graphics driver shuts down."""
    place: list[Renderer] = []
    backend()  # registers the driver's own end first
    atexit.register(place.clear)
    return place


def frame(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    camera: str = "overview",
    size: tuple[int, int] = SIZE,
    fine: bool = False,
) -> Picture:
    """One picture `(height, width, 3)` uint8 of `data`, which must be forward. The renderer of a cell and size is kept."""
    kept = _kept(model.names, model.ngeom, size, fine)
    if not kept:
        kept.append(Renderer(model, size, fine))
    return kept[0].draw(model, data, camera)


def picture(
    worlds: Worlds, world: int = 0, camera: str = "overview", size: tuple[int, int] = SIZE, fine: bool = False
) -> Picture:
    """One world as it stands now."""
    model, data = dressed(worlds.task.scene, *worlds.engine.snapshot(world))
    mujoco.mj_forward(model, data)
    return frame(model, data, camera, size, fine)


def check_film(path: str | Path) -> None:
    """Raises BadInput where no film can be written: what is no file of a person's is never replaced."""
    path = Path(path)
    if path.suffix.lower() != ".webm":
        raise BadInput(f"--video {path}: expected a name that ends in .webm, the only film that is written")
    if path.exists() and not path.is_file():
        raise BadInput(f"--video {path}: stands already and is no file; choose another name")


class Film:
    """A webm film (VP9) that every browser plays. Use it in a `with`; the file is whole once the block is left.

    Args:
        path: the file to write; its folder is made.
        size: width and height in pixels, even numbers.
        fps: pictures per second of film, which is also real time for `follow`.
    """

    def __init__(
        self, path: str | Path, size: tuple[int, int] = FILM_SIZE, fps: int = 25, camera: str = "overview"
    ) -> None:
        import av

        self.path, self.size, self.fps, self.camera, self.frames = Path(path), size, fps, camera, 0
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._draft = self.path.with_name(f".{self.path.name}.part")
        self._file = av.open(str(self._draft), "w", format="webm")
        self._stream: Any = self._file.add_stream("libvpx-vp9", rate=fps)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = Fraction(1, fps)
        self._stream.options = {"deadline": "realtime", "cpu-used": "8", "crf": "32", "b": "0"}

    def add(self, image: Picture) -> None:
        """Append one picture `(height, width, 3)` of the film's size."""
        import av

        shot = av.VideoFrame.from_ndarray(image, format="rgb24")
        shot.pts = self.frames
        self._file.mux(self._stream.encode(shot))
        self.frames += 1

    def follow(self, worlds: Worlds, world: int = 0) -> None:
        """Append a picture of a running world if one is due; call it after `reset` and after each tick."""
        if worlds.time_s[world] * self.fps + 1e-6 >= self.frames:
            self.add(picture(worlds, world, self.camera, self.size))

    def __enter__(self) -> Film:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._file.mux(self._stream.encode(None))
        self._file.close()
        if kind is None:
            os.replace(self._draft, self.path)
        else:
            self._draft.unlink(missing_ok=True)


@dataclass(frozen=True)
class Filmed:
    """What the film shows: how the episode ended."""

    path: Path
    frames: int
    success: bool
    reason: str
    time_s: float
    trace_sha256: str


def film(
    task: Task,
    seed: int,
    severities: Mapping[str, int],
    act: Act,
    path: str | Path,
    camera: str = "overview",
    fps: int = 25,
    size: tuple[int, int] = FILM_SIZE,
) -> Filmed:
    """Play one judged episode and film it. `act(observation, seeds, steps)` gives `(n, A)` actions."""
    worlds = Worlds(task, 1, threads=1, tail_s=1.0, disturbances=sorted(severities), trace=True)
    first = np.zeros(1, np.int64)
    worlds.reset(
        first, np.array([seed], np.int64), {name: np.array([level]) for name, level in severities.items()}
    )
    with Film(path, size, fps, camera) as made:
        made.follow(worlds)
        while not worlds.done[0]:
            worlds.step(act(worlds.observation(), worlds.seeds, worlds.steps))
            made.follow(worlds)
    reason = task.reasons[int(worlds.reason[0])]
    return Filmed(
        made.path,
        made.frames,
        bool(worlds.success[0]),
        reason,
        float(worlds.time_s[0]),
        worlds.trace_sha256(0),
    )
