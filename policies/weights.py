"""Weights out of a torch file, whose pickle is gone through (`unpicked`) and never opened.

A torch file is a zip: `<name>/data.pkl` says how a dictionary of tensors is put together, `<name>/data/<key>` are their bytes.
"""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput, one_line
from .unpicked import Tensor, described

MOST_BYTES = 256 << 20  # of all that is unpacked of an archive
PICKLE = "data.pkl"


def open_zip(data: bytes, what: str) -> zipfile.ZipFile:
    """An archive in memory. Raises BadInput for one that is none, or that would unpack to more than `MOST_BYTES`."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
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
    table = described(member(archive, found[0], what), what)
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
