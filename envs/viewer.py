"""The live viewer: MuJoCo Studio's web viewer inside a page of ours, on one port of this machine only.

Studio (it ships in the mujoco wheel) streams the state of one world to the browser, which runs `mj_forward` and draws the
scene with WebGL: the machine that simulates needs no graphics. Around it we serve a page with a panel that a WebSocket
feeds. Studio itself listens on every network interface and asks nobody who they are; here its socket is bound to
127.0.0.1, and requests from other sites (a foreign `Origin`, a rebound `Host`) and uploads are refused.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import queue
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from mujoco.studio import launch_web, messages, plugin, viewer_protocol, web_viewer
from mujoco.studio.web import web_server
from numpy.typing import NDArray
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from .errors import EnvironmentProblem

LOOPBACK = "127.0.0.1"
PANEL_HZ = 25.0
START_TIMEOUT_S = 20.0
_STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
}
_POLICY = "default-src 'self'; connect-src 'self' ws://{host}; img-src 'self' data:; frame-ancestors 'none'"
_log = logging.getLogger(__name__)
_bind = web_server.bind_public_socket

Handler = Callable[[ServerConnection], Awaitable[None]]
Answer = Callable[[ServerConnection, Request], Response | None]


def bind_loopback(port: int = 0) -> socket.socket:
    """A socket bound to 127.0.0.1: at `port` (0: the first free one from 8080), or at any free one when that is busy."""
    try:
        found: socket.socket = _bind(LOOPBACK, port)
        return found
    except RuntimeError:
        other = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        other.bind((LOOPBACK, 0))
        return other


class LiveViewer:
    """One world in the browser, with a page around it.

    Args:
        model: the cell as the world starts with it.
        page: folder with `index.html` and its files; the page embeds `/studio` and opens a WebSocket at `/panel`.
        title: the browser tab's title.
        port: wanted TCP port, 0 for the first free one from 8080. `port` afterwards is the one taken.

    Raises:
        EnvironmentProblem: the viewer did not come up.
    """

    def __init__(self, model: mujoco.MjModel, page: Path, title: str, port: int = 0) -> None:
        self._page = page
        self._socket = bind_loopback(port)
        self.port = int(self._socket.getsockname()[1])
        self._hosts = {f"{LOOPBACK}:{self.port}", f"localhost:{self.port}"}
        self._latest = "{}"
        self._commands: queue.Queue[dict[str, Any]] = queue.Queue()
        self._watchers = 0
        self._up = threading.Event()
        self._model = model
        self._data = mujoco.MjData(model)
        self._take_over()
        self._handle = launch_web.launch(viewer_protocol.ViewerConfig(title=title), plugins=[_HomeCamera()])
        self._handle.set_model(model, data=self._data)
        if not self._up.wait(START_TIMEOUT_S):
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
        return self._watchers > 0

    def show(self, model: mujoco.MjModel, state: NDArray[np.float64]) -> None:
        """Draw one state (a row of mjSTATE_INTEGRATION). A new model object replaces the scene."""
        if model is not self._model:
            self._model, self._data = model, mujoco.MjData(model)
        mujoco.mj_setState(self._model, self._data, state, _STATE)
        self._handle.sync(self._model, self._data)

    def publish(self, panel: Mapping[str, Any]) -> None:
        """What the panel shows from now on; browsers get the newest at 25 Hz."""
        self._latest = json.dumps(panel, allow_nan=False)

    def commands(self) -> list[dict[str, Any]]:
        """What was pressed on the page since the last call."""
        found: list[dict[str, Any]] = []
        while not self._commands.empty():
            found.append(self._commands.get_nowait())
        return found

    def close(self) -> None:
        """Stop the server; the page says so."""
        self._handle.close()

    def __enter__(self) -> LiveViewer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_over(self) -> None:
        """Studio offers no host setting and no page of one's own, so its three outward names are replaced."""
        setattr(web_server, "bind_public_socket", lambda host, port=0: self._socket)  # noqa: B010
        setattr(web_server, "serve", self._serve)  # noqa: B010
        setattr(web_viewer, "print", lambda *words, **_: _log.debug("%s", words))  # noqa: B010
        for handler in web_server.logger.handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(sys.stderr)
        web_server.logger.setLevel(logging.WARNING)

    def _serve(self, handler: Handler, **options: Any) -> Any:
        studio: Answer = options["process_request"]

        async def connected(ws: ServerConnection) -> None:
            path = ws.request.path.split("?")[0] if ws.request else ""
            if path == "/panel":
                await self._panel(ws)
                return
            self._watchers += path == "/state"
            try:
                await handler(ws)
            finally:
                self._watchers -= path == "/state"

        options["process_request"] = lambda connection, request: self._answer(studio, connection, request)
        options["max_size"] = 2**20
        self._up.set()
        return serve(connected, **options)

    def _answer(self, studio: Answer, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.split("?")[0]
        origin = request.headers.get("Origin", "")
        foreign = origin.removeprefix("http://") not in self._hosts if origin else False
        if foreign or request.headers.get("Host", "") not in self._hosts or path == "/drop":
            return Response(
                403, "Forbidden", Headers(), b"this viewer answers only its own page on this machine\n"
            )
        if path == "/panel":
            return None
        if path == "/studio":
            request = dataclasses.replace(request, path="/index.html")
        own = self._page / (path.strip("/") or "index.html")
        if own.suffix in _TYPES and own.parent == self._page and own.is_file():
            body = own.read_bytes()
            headers = Headers({"Content-Type": _TYPES[own.suffix], "Content-Length": str(len(body))})
            headers["Cache-Control"] = "no-store"
            headers["Content-Security-Policy"] = _POLICY.format(host=request.headers["Host"])
            return Response(200, "OK", headers, body)
        return _once(studio(connection, request))

    async def _panel(self, ws: ServerConnection) -> None:
        sender = asyncio.create_task(self._stream(ws))
        try:
            async for message in ws:
                command = _parse(message)
                if command is not None:
                    self._commands.put(command)
        except ConnectionClosed:
            pass
        finally:
            sender.cancel()

    async def _stream(self, ws: ServerConnection) -> None:
        sent = ""
        try:
            while True:
                if self._latest is not sent:
                    sent = self._latest
                    await ws.send(sent)
                await asyncio.sleep(1.0 / PANEL_HZ)
        except ConnectionClosed:
            pass


class _HomeCamera(plugin.ViewerPlugin):  # type: ignore[misc]
    """Starts at the cell's camera `overview`, free to be moved with the mouse; later scenes keep the view."""

    _placed = False

    @messages.handler  # type: ignore[untyped-decorator]
    def on_model(self, event: messages.PostModelEvent) -> None:
        if not self._placed:
            look_from_overview(event.model, self.viewer.camera)
            self._placed = True


def look_from_overview(model: mujoco.MjModel, camera: mujoco.MjvCamera) -> None:
    """Put a free camera where the model's camera `overview` stands, turning about the point nearest the scene's centre."""
    mujoco.mjv_defaultFreeCamera(model, camera)
    names = [model.camera(i).name for i in range(model.ncam)]
    if "overview" not in names:
        return
    index = names.index("overview")
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, model.cam_quat[index])
    forward = -rotation.reshape(3, 3)[:, 2]
    place = model.cam_pos[index]
    camera.distance = max(0.1, float(forward @ (model.stat.center - place)))
    camera.lookat = place + camera.distance * forward
    camera.azimuth = float(np.degrees(np.arctan2(forward[1], forward[0])))
    camera.elevation = float(np.degrees(np.arcsin(forward[2])))


def _once(response: Response | None) -> Response | None:
    """Studio sets its isolation headers twice, which browsers read as no isolation: leave the second ones."""
    if response is not None:
        for name in ("Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy"):
            if name in response.headers:
                del response.headers[name]
    return response


def _parse(message: str | bytes) -> dict[str, Any] | None:
    try:
        command = json.loads(message)
    except ValueError:
        return None
    return command if isinstance(command, dict) else None
