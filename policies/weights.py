"""Weights out of a torch file without opening its pickle: its instructions are read one by one, and only those that tensors need are known.

A torch file is a zip: `<name>/data.pkl` says how a dictionary of tensors is put together, `<name>/data/<key>` are their bytes. Whatever
else the pickle asks for, above all any function, is refused by its name. Nothing is imported, called or made but dictionaries and arrays.
"""

from __future__ import annotations

import io
import math
import pickletools
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput, one_line

DTYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
          "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "?"}  # fmt: skip
KNOWN = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", *(f"torch {name}" for name in DTYPES)}
MOST_BYTES = 256 << 20  # of all that is unpacked of an archive
MOST_STEPS = 1_000_000  # instructions of a pickle
PICKLE = "data.pkl"


@dataclass(frozen=True)
class Named:
    """A thing of Python that a pickle names; here it stays a name."""

    name: str


@dataclass(frozen=True)
class Storage:
    """The numbers that tensors are cut from: the key of their file, their type and how many there are."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class Tensor:
    """A part of a storage."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def open_zip(data: bytes, what: str) -> zipfile.ZipFile:
    """An archive in memory. Raises BadInput for one that is none, or that would unpack to more than `MOST_BYTES`."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise BadInput(f"{what}: not a zip archive ({one_line(str(error), 80)})") from None
    if (
        sum(info.file_size for info in archive.infolist()) > MOST_BYTES
    ):  # and each member is read no further than it says
        raise BadInput(f"{what}: would unpack to more than {MOST_BYTES >> 20} MiB")
    return archive


def member(archive: zipfile.ZipFile, name: str, what: str) -> bytes:
    """One file of an archive. Raises BadInput where it is missing or damaged."""
    try:
        with archive.open(name) as file:
            data = file.read(MOST_BYTES + 1)
    except KeyError:
        raise BadInput(f"{what}: holds no {name}") from None
    except (zipfile.BadZipFile, OSError, RuntimeError, EOFError, NotImplementedError, ValueError) as error:
        raise BadInput(f"{what}: {name} cannot be read ({one_line(str(error), 80)})") from None
    except Exception as error:  # zlib.error and lzma's have no base of their own
        raise BadInput(f"{what}: {name} is damaged ({type(error).__name__})") from None
    if len(data) > MOST_BYTES:
        raise BadInput(f"{what}: {name} is larger than {MOST_BYTES >> 20} MiB")
    return data


def read_weights(data: bytes, what: str) -> dict[str, NDArray[Any]]:
    """The tensors of a torch file by name. `what` names it in errors. Raises BadInput."""
    archive = open_zip(data, what)
    found = [name for name in archive.namelist() if name.split("/")[1:] == [PICKLE]]
    if len(found) != 1:
        raise BadInput(f"{what}: not a file of weights as torch writes it: no <name>/{PICKLE}")
    home = found[0][: -len(PICKLE)]
    if f"{home}byteorder" in archive.namelist():
        order = member(archive, f"{home}byteorder", what).strip()
        if order != b"little":
            raise BadInput(
                f"{what}: byte order {one_line(order.decode('ascii', 'replace'), 20)}, expected little"
            )
    table = _Reader(what).run(member(archive, found[0], what))
    if not isinstance(table, dict):
        raise BadInput(f"{what}: holds no dictionary of tensors")
    tensors = {
        name: each for name, each in table.items() if isinstance(name, str) and isinstance(each, Tensor)
    }
    try:
        sizes = [math.prod(each.size) * np.dtype(each.storage.dtype).itemsize for each in tensors.values()]
        if sum(sizes) > MOST_BYTES:
            raise BadInput(f"{what}: holds more than {MOST_BYTES >> 20} MiB of weights")
        return {name: _cut(tensor, archive, home, what) for name, tensor in tensors.items()}
    except (ValueError, OverflowError, TypeError, MemoryError) as error:
        raise BadInput(f"{what}: a tensor that cannot be ({one_line(str(error), 80)})") from None


def _cut(tensor: Tensor, archive: zipfile.ZipFile, home: str, what: str) -> NDArray[Any]:
    """The numbers of a tensor, copied. Raises BadInput where they lie beyond its storage."""
    storage, width = tensor.storage, np.dtype(tensor.storage.dtype).itemsize
    raw = member(archive, f"{home}data/{storage.key}", what)
    numbers = np.frombuffer(raw[: len(raw) // width * width], storage.dtype)
    whole = all(isinstance(each, int) and each >= 0 for each in (tensor.offset, *tensor.size, *tensor.stride))
    if not whole or len(tensor.size) != len(tensor.stride) or len(numbers) != storage.count:
        raise BadInput(f"{what}: a tensor does not fit its storage {one_line(storage.key, 20)}")
    if 0 in tensor.size:
        return np.zeros(tensor.size, storage.dtype)
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.size, tensor.stride, strict=True))
    if last >= len(numbers):
        raise BadInput(f"{what}: a tensor reaches beyond its storage {one_line(storage.key, 20)}")
    strides = [step * numbers.itemsize for step in tensor.stride]
    return np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :], tensor.size, strides, writeable=False
    ).copy()


class _Reader:
    """A pickle's stack machine that knows a few instructions."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        """What the pickle describes. Raises BadInput at the first instruction that weights do not need."""
        try:
            for count, (code, argument, _) in enumerate(pickletools.genops(data)):
                if count > MOST_STEPS:
                    raise BadInput(f"{self.what}: a pickle of more than {MOST_STEPS} instructions")
                if code.name == "STOP":
                    return self.stack.pop()
                self._do(code.name, argument)
        except BadInput:
            raise
        except Exception as error:  # whatever a damaged pickle makes of the reader
            raise BadInput(f"{self.what}: its pickle is damaged ({one_line(str(error), 80)})") from None
        raise BadInput(f"{self.what}: its pickle is cut off")

    def _do(self, name: str, argument: Any) -> None:
        if name in ("PROTO", "FRAME"):
            return
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _LITERALS:
            self.stack.append(argument)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            if name == "STACK_GLOBAL":
                argument = " ".join(self._take(2))
            if argument not in KNOWN:
                raise BadInput(
                    f"{self.what}: its pickle asks for {one_line(argument.replace(' ', '.'), 80)}, which weights do not need; it was not opened"
                )
            self.stack.append(Named(argument))
        elif name == "MARK":
            self.marks.append(len(self.stack))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name in _TUPLES:
            self.stack.append(tuple(self._take(_TUPLES[name])))
        elif name == "TUPLE":
            self.stack.append(tuple(self._marked()))
        elif name in ("SETITEM", "SETITEMS"):
            items = self._take(2) if name == "SETITEM" else self._marked()
            self.stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif name == "BINPERSID":
            self.stack.append(_storage(self.stack.pop()))
        elif name == "REDUCE":
            function, arguments = self._take(2)
            self.stack.append(_made(function, arguments))
        elif name == "BUILD":  # torch keeps versions of modules beside the dictionary
            self.stack.pop()
        else:
            raise BadInput(
                f"{self.what}: its pickle holds the instruction {name}, which weights do not need; it was not opened"
            )

    def _take(self, count: int) -> list[Any]:
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def _marked(self) -> list[Any]:
        return self._take(len(self.stack) - self.marks.pop())


_CONSTANTS: dict[str, Callable[[], Any]] = {
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
}
_LITERALS = {
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE8",
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "BINFLOAT",
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _storage(persistent: Iterable[Any]) -> Storage:
    word, kind, key, _, count = persistent
    if word != "storage" or not isinstance(kind, Named) or not isinstance(key, str) or "/" in key:
        raise ValueError("an unknown kind of reference")
    return Storage(key, DTYPES[kind.name.removeprefix("torch ")], int(count))


def _made(function: Any, arguments: Any) -> Any:
    """What the two known functions make."""
    if function == Named("collections OrderedDict") and not arguments:
        return {}
    if function == Named("torch._utils _rebuild_tensor_v2"):
        storage, offset, size, stride, *_ = arguments
        if isinstance(storage, Storage):
            return Tensor(storage, offset, tuple(size), tuple(stride))
    raise ValueError("a call that makes no tensor")
