"""A policy that another process serves at ws://127.0.0.1:PORT (`wire` says what is said): asked for all worlds at once.

Only this machine's own loopback is ever connected to. The hash is the one that the server states: it cannot be checked
from here, so such a policy can be judged, never released.
"""

from __future__ import annotations

import ipaddress
import socket
import weakref
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed, PayloadTooBig, WebSocketException
from websockets.sync.client import ClientConnection, connect

from ..envs.errors import BadInput, one_line
from .contract import Contract
from .wire import LARGEST_MESSAGE, Hello, WireError, array, pack, read_contract, read_hello, rows, unpack

CONNECT_S, CLOSE_S = 5.0, 1.0
BROKEN = (
    WebSocketException,
    OSError,
    AssertionError,
)  # the last: the library, of who is gone in the middle of a word
GO_ON = "what was finished is kept; mend the server and go on with --resume"
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Address:
    """A server on this machine."""

    url: str
    host: str
    port: int


def address(url: str) -> Address:
    """The loopback address in `ws://127.0.0.1:PORT`. Raises BadInput for anything else."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        plain = parts.scheme == "ws" and parts.path in ("", "/") and "@" not in parts.netloc
        plain = plain and not parts.query and not parts.fragment
    except ValueError:
        host, port, plain = "", None, False
    if not plain or not port:
        raise BadInput(f"{one_line(url)}: expected ws://127.0.0.1:PORT")
    numeric = "127.0.0.1" if host == "localhost" else host
    try:
        local = ipaddress.ip_address(numeric).is_loopback
    except ValueError:
        local = False
    if not local:
        raise BadInput(
            f"{one_line(url)}: only a server on this machine is asked (ws://127.0.0.1:{port}); "
            f"forward a port to reach another"
        )
    return Address(url, numeric, port)


class ServedPolicy:
    """A connection to a policy server, past its hello.

    After a fault the connection is closed and every further question fails: an answer that comes late must
    not be taken for another.

    Raises BadInput: nobody answers, or not as the protocol says.
    """

    def __init__(self, where: Address) -> None:
        self.url = where.url
        self._asked = 0
        with ExitStack() as stack:
            self._connection = _connected(where, stack)
            self._finalizer = weakref.finalize(self, stack.pop_all().close)
        self.hello: Hello = self._hello()
        given = self.hello.contract
        self.contract: Contract | None = None if given is None else self._checked_contract(given)
        self.channels = 0

    def close(self) -> None:
        """Leave; the server sees an ordinary end."""
        self._finalizer()

    def agree(self, contract: Contract) -> None:
        """Tell the server what its policy is to read and write; it may refuse. Raises BadInput."""
        answer = self._ask({"type": "contract", "contract": contract.model_dump(mode="json")}, CONNECT_S)
        if answer["type"] != "ready":
            raise self._fault(f"expected 'ready' after the contract, found '{one_line(answer['type'], 40)}'")
        self.channels = len(contract.action)

    def act(self, observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
        """Actions `(n, A)` for observations `(n, d)`. Raises BadInput for whatever is no answer to this question."""
        number, self._asked = self._asked, self._asked + 1
        question = {
            "type": "act",
            "id": number,
            "observation": rows(observation, "f4"),
            "seeds": rows(seeds, "i8"),
            "steps": rows(steps, "i8"),
        }
        answer = self._ask(question, self.hello.timeout_s)
        if answer["type"] != "action" or answer.get("id") != number:
            raise self._fault(f"expected the action of question {number}, found another message")
        try:
            action = array(answer.get("action"), "f4", self.channels)
        except WireError as error:
            raise self._fault(f"action: {error}") from None
        if len(action) != len(observation):
            raise self._fault(f"expected {len(observation)} actions, found {len(action)}")
        if not np.isfinite(action).all():
            world, channel = (int(each[0]) for each in np.nonzero(~np.isfinite(action)))
            raise self._fault(f"action {channel} of row {world} is {action[world, channel]}, no number")
        return action

    def _hello(self) -> Hello:
        try:
            return read_hello(self._receive(CONNECT_S))
        except WireError as error:
            raise self._fault(str(error)) from None

    def _checked_contract(self, given: dict[str, Any]) -> Contract:
        try:
            return read_contract(given)
        except WireError as error:
            raise self._fault(str(error)) from None

    def _ask(self, question: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send, and wait for one message. Raises BadInput."""
        try:
            self._connection.send(pack(question))
        except BROKEN as error:
            raise self._gone(error) from None
        return self._receive(timeout_s)

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        try:
            return unpack(self._connection.recv(timeout_s))
        except TimeoutError:
            raise self._fault(f"no answer within {timeout_s:g} s") from None
        except WireError as error:
            raise self._fault(str(error)) from None
        except BROKEN as error:
            raise self._gone(error) from None

    def _gone(self, error: Exception) -> BadInput:
        if isinstance(error, ConnectionClosed) and error.sent is not None and error.sent.code == 1009:
            return self._fault(f"sent more than {LARGEST_MESSAGE >> 20} MB at once")
        if isinstance(error, PayloadTooBig):
            return self._fault(f"sent more than {LARGEST_MESSAGE >> 20} MB at once")
        if isinstance(error, ConnectionClosed):
            return self._fault(f"left ({one_line(error, 80)})")
        return self._fault(one_line(error))

    def _fault(self, what: str) -> BadInput:
        self.close()
        return BadInput(f"{self.url}: the policy server {_verb(what)}; {GO_ON}")


def _verb(what: str) -> str:
    """ "left", "said" and "sent" follow "the policy server"; the rest is set off by a colon."""
    return what if what.startswith(("left", "said", "sent")) else f"broke off: {what}"


def _connected(where: Address, stack: ExitStack) -> ClientConnection:
    """A connection over a socket of ours, which no proxy and no redirect can lead elsewhere; `stack` ends it."""
    begin = f"begin with: genba serve POLICY --port {where.port}"
    try:
        channel = stack.enter_context(socket.create_connection((where.host, where.port), CONNECT_S))
    except OSError as error:
        raise BadInput(f"{where.url}: nobody answers ({error.strerror or error}); {begin}") from None
    try:
        return stack.enter_context(
            connect(
                where.url,
                sock=channel,
                compression=None,
                proxy=None,
                max_size=LARGEST_MESSAGE,
                ping_interval=None,  # who thinks for long is not gone; answers have a time limit of their own
                open_timeout=CONNECT_S,
                close_timeout=CLOSE_S,
            )
        )
    except (*BROKEN, EOFError, ValueError) as error:
        raise BadInput(f"{where.url}: not a policy server ({one_line(error, 100)}); {begin}") from None
