"""What the viewer's port answers besides Studio: our page, its files and the panel's WebSocket; strangers get nothing.

Studio listens on every network interface and asks nobody who they are. Here the socket is bound to 127.0.0.1, and requests
from other sites (a foreign `Origin`, a rebound `Host`) and uploads are refused.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import queue
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

LOOPBACK = "127.0.0.1"
FIRST_PORT, LAST_PORT = 8080, 8099
PANEL_HZ = 25.0
LARGEST_MESSAGE = 2**20
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
}
_POLICY = "default-src 'self'; connect-src 'self' ws://{host}; img-src 'self' data:; frame-ancestors 'none'"
_ISOLATION = ("Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy")

Handler = Callable[[ServerConnection], Awaitable[None]]
Answer = Callable[[ServerConnection, Request], Response | None]


def bind_loopback(port: int = 0) -> socket.socket:
    """A socket on 127.0.0.1 at `port` (0: the first free one from 8080), or at any free port when that is busy.

    It listens already: who comes before the server is up waits and is not turned away.
    """
    for candidate in (*((port,) if port else range(FIRST_PORT, LAST_PORT + 1)), 0):
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((LOOPBACK, candidate))
            found.listen()
            return found
        except OSError:
            found.close()
    raise OSError(f"no free TCP port on {LOOPBACK}")


class Page:
    """A folder with `index.html` served at `/`, Studio's own page at `/studio`, the panel's WebSocket at `/panel`.

    `serve` takes the place of `websockets.serve` in Studio's server; it runs in that server's thread.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.hosts = {f"{LOOPBACK}:{port}", f"localhost:{port}"}
        self.up = threading.Event()
        self.watchers = 0
        self._latest = "{}"
        self._commands: queue.Queue[dict[str, Any]] = queue.Queue()

    def publish(self, panel: Mapping[str, Any]) -> None:
        """What the panel shows from now on; browsers get the newest at 25 Hz."""
        self._latest = json.dumps(panel, allow_nan=False)

    def commands(self) -> list[dict[str, Any]]:
        """What was pressed on the page since the last call."""
        found: list[dict[str, Any]] = []
        while not self._commands.empty():
            found.append(self._commands.get_nowait())
        return found

    def serve(self, studio_handler: Handler, **options: Any) -> Any:
        """Studio's server with our page in front of it."""
        studio_answer: Answer = options["process_request"]

        async def handler(ws: ServerConnection) -> None:
            path = _path(ws.request)
            if path == "/panel":
                await self._panel(ws)
                return
            self.watchers += path == "/state"
            try:
                await studio_handler(ws)
            finally:
                self.watchers -= path == "/state"

        options["process_request"] = lambda connection, request: self.answer(
            studio_answer, connection, request
        )
        options["max_size"] = LARGEST_MESSAGE
        self.up.set()
        return serve(handler, **options)

    def answer(self, studio: Answer, connection: ServerConnection, request: Request) -> Response | None:
        """The response to an HTTP request; None lets a WebSocket handshake go on."""
        path = _path(request)
        if not self._at_home(request.headers) or path == "/drop":
            return Response(
                403, "Forbidden", Headers(), b"this viewer answers only its own page on this machine\n"
            )
        if path == "/panel":
            return None
        own = self._file(path, request.headers["Host"])
        if own is not None:
            return own
        if path == "/studio":
            request = dataclasses.replace(request, path="/index.html")
        response = studio(connection, request)
        for name in _ISOLATION if response is not None else ():
            # Studio sets these twice, which browsers read as no isolation at all
            if response is not None and name in response.headers:
                del response.headers[name]
        return response

    def _at_home(self, headers: Headers) -> bool:
        """Sent to this machine, by a page of ours or none. Several hosts or origins are nobody's."""
        hosts, origins = headers.get_all("Host"), headers.get_all("Origin")
        if len(hosts) != 1 or len(origins) > 1:
            return False
        return hosts[0] in self.hosts and all(
            not each or each.removeprefix("http://") in self.hosts for each in origins
        )

    def _file(self, path: str, host: str) -> Response | None:
        own = self.folder / (path.strip("/") or "index.html")
        if own.suffix not in _TYPES or own.parent != self.folder or not os.path.isfile(own):
            return None
        body = own.read_bytes()
        headers = Headers({"Content-Type": _TYPES[own.suffix], "Content-Length": str(len(body))})
        headers["Cache-Control"] = "no-store"
        headers["Content-Security-Policy"] = _POLICY.format(host=host)
        return Response(200, "OK", headers, body)

    async def _panel(self, ws: ServerConnection) -> None:
        sender = asyncio.create_task(self._stream(ws))
        try:
            async for message in ws:
                command = _parsed(message)
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


def _path(request: Request | None) -> str:
    return request.path.split("?")[0] if request else ""


def _parsed(message: str | bytes) -> dict[str, Any] | None:
    try:
        command = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return command if isinstance(command, dict) else None
