"""Pictures and films of a cell."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from .cell import dressed
from .errors import BadInput
from .files import writing
from .graphics import SIZE, Picture, Renderer, backend
from .task import Task
from .worlds import Worlds

Act = Callable[[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]], NDArray[np.floating]]

FILM_SIZE = (768, 432)  # pixels, width and height


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
        self._draft = self.path.with_name(f".{self.path.name}.part")
        with writing(self.path, "name another file"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
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
