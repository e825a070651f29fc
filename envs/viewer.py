"""The live viewer: MuJoCo Studio's web viewer inside a page of ours, on one port of this machine only.

Studio (it ships in the mujoco wheel) streams the state of one world to the browser, which computes the poses and draws the
scene with WebGL: the machine that simulates needs no graphics.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from mujoco.studio import launch_web, messages, plugin, viewer_protocol, web_viewer
from mujoco.studio.web import web_server
from numpy.typing import NDArray

from .errors import EnvironmentProblem
from .page import LOOPBACK, Page, bind_loopback

START_TIMEOUT_S = 20.0
LIGHTS, HEADLIGHT = 2.2, 1.5  # how much brighter for Studio, by eye
STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)
LOOKS = (
    "geom_type",
    "geom_size",
    "geom_pos",
    "geom_quat",
    "geom_rgba",
    "geom_matid",
    "body_pos",
    "body_quat",
)
_log = logging.getLogger(__name__)


class LiveViewer:
    """One world in the browser, with a page around it. One viewer at a time in a process.

    Args:
        model: the cell as the world starts with it.
        page: folder with `index.html` and its files; the page embeds `/studio` and opens a WebSocket at `/panel`.
        title: the name Studio gives its window.
        port: wanted TCP port, 0 for the first free one from 8080. `port` afterwards is the one taken.

    Raises:
        EnvironmentProblem: the viewer did not come up.
    """

    def __init__(self, model: mujoco.MjModel, page: Path, title: str, port: int = 0) -> None:
        found = bind_loopback(port)
        self.port = int(found.getsockname()[1])
        self.page = Page(page, self.port)
        self._set(model)
        # Studio has no setting for the host and no place for a page of one's own: three outward names are replaced.
        setattr(web_server, "bind_public_socket", lambda host, port=0: found)  # noqa: B010
        setattr(web_server, "serve", self.page.serve)  # noqa: B010
        setattr(web_viewer, "print", lambda *words, **_: _log.debug("%s", words))  # noqa: B010
        _quiet(web_server.logger)
        config = viewer_protocol.ViewerConfig(title=title)
        self._handle = launch_web.launch(config, plugins=[_HomeView()])
        self._handle.set_model(self._model, data=self._data)
        if not self.page.up.wait(START_TIMEOUT_S):
            self._handle.close()
            raise EnvironmentProblem(
                "MuJoCo Studio's web viewer did not start; `genba doctor` looks for the cause"
            )

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/"

    @property
    def watching(self) -> bool:
        """A browser is showing the scene."""
        return self.page.watchers > 0

    @property
    def running(self) -> bool:
        """The server is up. Raises what ended it, if it ended with an error."""
        return bool(self._handle.is_running())

    def show(self, model: mujoco.MjModel, state: NDArray[np.float64]) -> None:
        """Draw one state (a row of mjSTATE_INTEGRATION). A model that looks different replaces the scene."""
        if model is not self._shown and not _look_alike(model, self._shown):
            self._set(model)
        mujoco.mj_setState(self._model, self._data, state, STATE)
        self._handle.sync(self._model, self._data)

    def publish(self, panel: Mapping[str, Any]) -> None:
        """What the panel shows from now on."""
        self.page.publish(panel)

    def commands(self) -> list[dict[str, Any]]:
        """What was pressed on the page since the last call."""
        return self.page.commands()

    def close(self) -> None:
        """Stop the server; the page says so."""
        self._handle.close()

    def __enter__(self) -> LiveViewer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _set(self, model: mujoco.MjModel) -> None:
        self._shown = model
        self._model = _lit(model)
        self._data = mujoco.MjData(self._model)


class _HomeView(plugin.ViewerPlugin):  # type: ignore[misc]
    """Starts at the cell's camera `overview`, free to be moved with the mouse, without a line for every distance; later scenes keep the view."""

    _placed = False

    @messages.handler  # type: ignore[untyped-decorator]
    def on_model(self, event: messages.PostModelEvent) -> None:
        if not self._placed:
            look_from_overview(event.model, self.viewer.camera)
            self.viewer.vis_options.flags[mujoco.mjtVisFlag.mjVIS_RANGEFINDER] = False
            self._placed = True


def look_from_overview(model: mujoco.MjModel, camera: mujoco.MjvCamera) -> None:
    """Put a free camera where the model's camera `overview` is; it turns about the point nearest the scene's centre."""
    mujoco.mjv_defaultFreeCamera(model, camera)
    names = [model.camera(i).name for i in range(model.ncam)]
    if "overview" not in names:
        return
    index = names.index("overview")
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, model.cam_quat[index])
    sight, place = -rotation[2::3], model.cam_pos[index]
    camera.distance = max(0.1, float(sight @ (model.stat.center - place)))
    camera.lookat = place + camera.distance * sight
    camera.azimuth = float(np.degrees(np.arctan2(sight[1], sight[0])))
    camera.elevation = float(np.degrees(np.arcsin(sight[2])))


def _lit(model: mujoco.MjModel) -> mujoco.MjModel:
    """A copy with stronger lights: Studio draws the same lights darker than MuJoCo's own renderer does."""
    lit = copy.copy(model)
    lit.light_diffuse[:] = LIGHTS * model.light_diffuse
    for part in ("ambient", "diffuse"):
        getattr(lit.vis.headlight, part)[:] = HEADLIGHT * getattr(model.vis.headlight, part)
    return lit


def _look_alike(one: mujoco.MjModel, other: mujoco.MjModel) -> bool:
    """Same shapes in the same places and colours, whatever their masses and frictions."""
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in LOOKS)


def _quiet(logger: logging.Logger) -> None:
    """Studio logs every visitor to stdout, which belongs to results: warnings only, and to stderr."""
    logger.setLevel(logging.WARNING)
    logger.handlers.clear()
    logger.propagate = True
