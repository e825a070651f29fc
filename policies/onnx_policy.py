"""A policy in an ONNX file, run by onnxruntime on one thread: the same bits at any batch size."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput, one_line
from ..envs.files import sha256_hex

LARGEST_FILE = 1 << 30
ELSEWHERE = "session.model_external_initializers_file_folder_path"
FREE_ROWS = "export it with a free number of rows, without a state of its own (docs/bring-your-own.md)"


class OnnxPolicy:
    """`policy.onnx` as something that acts.

    Args:
        path: the file; it must hold all of its weights itself.
        name: what people call it (default: the name of its folder).
        columns, channels: the expected width of `observation` and `action`; None accepts what the file says.

    `data` holds the bytes that `sha256` was taken of and that act.

    Raises BadInput on a file that is missing, not ONNX, or of other shapes.
    """

    kind = "onnx"

    def __init__(
        self,
        path: str | Path,
        name: str | None = None,
        columns: int | None = None,
        channels: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.data = _read(self.path)
        self.sha256 = sha256_hex(self.data)
        self.name = name or self.path.resolve().parent.name
        self._session = _session(self.path, self.data)
        self._input = _one(self.path, "input", self._session.get_inputs(), "observation", columns)
        self._output = _one(self.path, "output", self._session.get_outputs(), "action", channels)
        self._channels = channels
        self.commands = any(output.name == "command" for output in self._session.get_outputs())

    def act(
        self, observation: NDArray[np.float32], seeds: NDArray[np.int64], steps: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """`(n, d)` observations to `(n, A)` actions in [-1, 1]; deterministic, so seeds and steps are not used."""
        return self._asked(self._output, observation)

    def command(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """`(n, A)` commands in the SI units of the contract."""
        if not self.commands:
            raise BadInput(f"{self.path}: has no output 'command'; export it with genba train")
        return self._asked("command", observation)

    def _asked(self, output: str, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """An output `(n, A)`. Raises BadInput where the model fails or answers with another shape: what a file says of its shapes
        need not be so at every n."""
        n = len(observation)
        try:
            found: NDArray[np.float32] = self._session.run([output], {self._input: _rows(observation)})[0]
        except Exception as error:  # noqa: BLE001 - onnxruntime raises many types, all of them about this file
            raise BadInput(
                f"{self.path}: cannot act on {n} observations at once ({one_line(error, 120)}); {FREE_ROWS}"
            ) from None
        width = self._channels if self._channels is not None else (*found.shape, 0)[min(found.ndim, 1)]
        if found.shape != (n, width):
            raise BadInput(
                f"{self.path}: output '{output}' has shape {found.shape} for {n} observations, expected ({n}, {width}); "
                f"{FREE_ROWS}"
            )
        return found


def _rows(observation: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(observation, np.float32)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise BadInput(f"{path}: larger than 1 GB; not a policy of this size")
        return path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None


def _session(path: Path, data: bytes) -> Any:
    """A session on the CPU with one thread, from bytes that hold all of the model: what lies in other files is in no hash.

    onnxruntime looks for weights that lie outside in the current folder; here it is sent to an empty one.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.use_deterministic_compute = True
    try:
        with tempfile.TemporaryDirectory() as nothing:
            options.add_session_config_entry(ELSEWHERE, nothing)
            return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime raises many types, all of them about this file
        if "external" in str(error).lower():
            raise BadInput(
                f"{path}: its weights lie in other files, which no hash covers: export it as one file (external_data=False)"
            ) from None
        raise BadInput(
            f"{path}: not an ONNX model that onnxruntime {onnxruntime.__version__} can load ({one_line(error, 120)})"
        ) from None


def _one(path: Path, what: str, found: list[Any], wanted: str, width: int | None) -> str:
    """The name of the wanted input or output, after its type and shape were checked."""
    names = [each.name for each in found]
    if what == "input" and len(found) > 1:
        raise BadInput(
            f"{path}: expected one input, found {', '.join(names)}: nothing else is given to a policy"
        )
    if what == "input" and len(found) == 1:
        chosen = found[0]
    elif wanted in names:
        chosen = found[names.index(wanted)]
    elif what == "output" and len(found) == 1:
        chosen = found[0]
    else:
        raise BadInput(f"{path}: expected an {what} '{wanted}', found {', '.join(names) or 'none'}")
    expected = f"{what} '{chosen.name}': expected float32 (n, {width if width is not None else 'any'})"
    shape = list(chosen.shape)
    shown = (
        f"{chosen.type.removeprefix('tensor(').removesuffix(')')} ({', '.join(str(each) for each in shape)})"
    )
    fits = len(shape) == 2 and not isinstance(shape[0], int)
    fits = fits and (width is None or not isinstance(shape[1], int) or shape[1] == width)
    if chosen.type != "tensor(float)" or not fits:
        raise BadInput(f"{path}: {expected}, found {shown}")
    return str(chosen.name)
