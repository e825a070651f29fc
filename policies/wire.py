"""What is said between a judge and a policy server: msgpack maps over a WebSocket; no network in here.

    server  {"type": "hello", "protocol": "genba-policy/1", "name": "reach", "sha256": "3f9c...", "contract": {...}}
    judge   {"type": "contract", "contract": {...}}
    server  {"type": "ready"}, or {"type": "error", "message": "..."} and it closes
    judge   {"type": "act", "id": 0, "observation": rows, "seeds": rows, "steps": rows}
    server  {"type": "action", "id": 0, "action": rows}, or an error

`sha256` is the hash of what decides the actions. A hello may leave out `contract` (then the judge must be
told the task) and may state `timeout_s`, the longest an answer takes. Rows are `{"shape": [n, d], "data": bytes}`,
row by row, little-endian: float32 for observations and actions, int64 for seeds and steps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import msgpack
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..envs.errors import one_line
from .contract import Contract

PROTOCOL = "genba-policy/1"
LARGEST_MESSAGE = 8 << 20  # bytes; 256 worlds of 1,000 columns are 1 MB
TIMEOUT_S, LONGEST_TIMEOUT_S = 30.0, 600.0
Kind = Literal["f4", "i8"]


class WireError(ValueError):
    """A message that is not what the protocol says; its text is one line."""


class Hello(BaseModel):
    """What a server says first."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, strict=True)
    type: Literal["hello"]
    protocol: Literal["genba-policy/1"]
    name: str = Field(pattern=re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}\Z"))
    sha256: str = Field(pattern=re.compile(r"^[0-9a-f]{64}\Z"))
    contract: dict[str, Any] | None = None
    timeout_s: float = Field(default=TIMEOUT_S, gt=0.0, le=LONGEST_TIMEOUT_S)


def pack(message: Mapping[str, Any]) -> bytes:
    """A message as the bytes of one binary frame."""
    data: bytes = msgpack.packb(dict(message), use_bin_type=True)
    return data


def unpack(frame: str | bytes) -> dict[str, Any]:
    """The map in one binary frame. Raises WireError, also for a peer's own `error`."""
    if isinstance(frame, str):
        raise WireError("expected a binary frame, found a text frame")
    try:
        message = msgpack.unpackb(frame, raw=False, strict_map_key=True)
    except Exception as error:  # noqa: BLE001 - msgpack raises many types, all of them about these bytes
        raise WireError(f"expected msgpack, found {len(frame)} other bytes ({one_line(error, 60)})") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise WireError("expected a map with a 'type'")
    if message["type"] == "error":
        raise WireError(f"said: {one_line(message.get('message', 'error'))}")
    return message


def read_hello(message: Mapping[str, Any]) -> Hello:
    """The server's hello. Raises WireError."""
    try:
        return Hello.model_validate(message)
    except ValidationError as error:
        raise WireError(f"hello: {_first(error)}") from None


def read_contract(value: object) -> Contract:
    """A contract out of a message. Raises WireError."""
    try:
        return Contract.model_validate(value)
    except ValidationError as error:
        raise WireError(f"contract: {_first(error)}") from None


def rows(values: NDArray[Any], kind: Kind) -> dict[str, Any]:
    """An array `(n,)` or `(n, d)` as a message carries it."""
    given = np.ascontiguousarray(values, np.dtype(f"<{kind}"))
    return {"shape": list(given.shape), "data": given.tobytes()}


def array(value: object, kind: Kind, width: int | None = None) -> NDArray[Any]:
    """The array in a message: `(n,)` where `width` is None, else `(n, width)`; float32 or int64. Raises WireError."""
    if not isinstance(value, dict):
        raise WireError('expected {"shape": [...], "data": bytes}')
    shape, data = value.get("shape"), value.get("data")
    wanted = 1 if width is None else 2
    if not isinstance(shape, list) or not all(type(each) is int and each >= 0 for each in shape):
        raise WireError(f"expected a shape of {wanted} whole numbers")
    if len(shape) != wanted or (width is not None and shape[1] != width):
        raise WireError(
            f"expected shape (n{'' if width is None else f', {width}'}), found {tuple(shape)[:8]}"
        )
    dtype = np.dtype(f"<{kind}")
    if not isinstance(data, bytes) or len(data) != math.prod(shape) * dtype.itemsize:
        found = f"{len(data)} bytes" if isinstance(data, bytes) else type(data).__name__
        raise WireError(f"expected {math.prod(shape)} numbers of {dtype.itemsize} bytes, found {found}")
    native: NDArray[Any] = np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))
    return native


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or "(whole message)"
    return one_line(f"field {field}: {first['msg']}")
