"""`genba serve`: any policy at ws://127.0.0.1:PORT, for a judge in another process (`wire` says what is said)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import WebSocketException
from websockets.sync.server import Server, ServerConnection
from websockets.sync.server import serve as listen

from ..envs.errors import BadInput, GenbaError, one_line
from ..envs.task import get_task
from .contract import Contract, contract_of, differences
from .load import LoadedPolicy, load_policy
from .wire import LARGEST_MESSAGE, PROTOCOL, WireError, array, pack, read_contract, rows, unpack

Say = Callable[[str], None]
HOST = "127.0.0.1"


def serve(what: str, task: str = "", port: int = 0, say: Say = print) -> None:
    """Serve the policy `what` until Ctrl-C; says its address first. Raises UnknownName, BadInput."""
    policy = load_policy(what, task, keep=False)
    with server_of(policy, port) as server:
        where = f"ws://{HOST}:{server.socket.getsockname()[1]}"
        say(f"{policy.name} for {policy.task} at {where}    next: genba check {where}    Ctrl-C ends it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("server ended")


@contextmanager
def server_of(policy: LoadedPolicy, port: int = 0) -> Iterator[Server]:
    """A server on this machine's loopback that a web page cannot reach. Raises BadInput where the port is taken."""
    if not 0 <= port <= 65535:
        raise BadInput(f"--port {port}: expected 0 to 65535 (0 takes a free one)")
    contract = contract_of(get_task(policy.task))
    lock = Lock()

    def answer(connection: ServerConnection) -> None:
        try:
            _converse(connection, policy, contract, lock)
        except WebSocketException:
            return  # the judge has gone

    settings: dict[str, Any] = {"compression": None, "max_size": LARGEST_MESSAGE, "ping_interval": None}
    with ExitStack() as stack:
        try:
            server = stack.enter_context(listen(answer, HOST, port, origins=[None], **settings))
        except OSError as error:
            raise BadInput(
                f"--port {port}: cannot be used ({error.strerror}); leave it out for a free one"
            ) from None
        yield server


def _converse(connection: ServerConnection, policy: LoadedPolicy, contract: Contract, lock: Lock) -> None:
    """One judge: hello, contract, then questions until it leaves. What goes wrong is said, and ends it."""
    hello = {
        "name": _plain(policy.name),
        "sha256": policy.sha256,
        "contract": contract.model_dump(mode="json"),
    }
    connection.send(pack({"type": "hello", "protocol": PROTOCOL, **hello}))
    try:
        asked = read_contract(unpack(connection.recv()).get("contract"))
        if lines := differences(asked, contract):
            raise WireError(f"made for other inputs or outputs: {'; '.join(lines[:3])}")
        connection.send(pack({"type": "ready"}))
        for frame in connection:
            message = unpack(frame)
            observation = array(message.get("observation"), "f4", len(contract.observation))
            seeds, steps = (array(message.get(name), "i8") for name in ("seeds", "steps"))
            if not len(observation) == len(seeds) == len(steps):
                raise WireError(f"{len(observation)} observations, {len(seeds)} seeds, {len(steps)} steps")
            with lock:
                action = _acted(policy, observation, seeds, steps)
            connection.send(pack({"type": "action", "id": message.get("id"), "action": rows(action, "f4")}))
    except WireError as error:
        connection.send(pack({"type": "error", "message": str(error)}))


def _acted(policy: LoadedPolicy, *question: NDArray[Any]) -> NDArray[np.float32]:
    """The policy's answer. Raises WireError, whatever the policy raises."""
    try:
        return policy.act(*question)
    except Exception as error:  # noqa: BLE001 - whatever somebody else's policy raises
        raise WireError(
            one_line(error if isinstance(error, GenbaError) else f"{type(error).__name__}: {error}")
        ) from None


def _plain(name: str) -> str:
    """A policy's name in the letters that a hello may use."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("._-")[:60] or "policy"
