"""`module:callable`: somebody else's Python function as a policy, whatever it returns, raises or keeps."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput, UnknownName, one_line
from ..envs.files import sha256_file
from ..envs.foreign import importing_from_here

Rows = NDArray[np.float32]
NUMBERS = "fiu"


@contextmanager
def staying_here() -> Iterator[None]:
    """What runs meanwhile may go to another folder; afterwards the process is back in its own, where runs and evidence lie."""
    here = os.getcwd()
    try:
        yield
    finally:
        os.chdir(here)


class Acting:
    """A function of observations `(n, d)`, or of a single one `(d,)`, as one that always takes and gives rows.

    Which of the two it is shows at the first call. It gets copies and what it returns is copied: it may
    write into its input, or return the same array each time.
    """

    def __init__(self, spec: str, function: Callable[..., Any], actions: int) -> None:
        self.spec, self.function, self.actions = spec, function, actions
        self._one_by_one: bool | None = None

    def __call__(self, observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
        """Actions `(n, A)` of observations `(n, d)`. Raises BadInput."""
        if self._one_by_one is None:
            self._one_by_one = self._takes_one(observation)
        if not self._one_by_one:
            return self._asked(observation, (len(observation), self.actions))
        return np.stack([self._asked(row, (self.actions,)) for row in observation])

    def _takes_one(self, observation: Rows) -> bool:
        """Whether only a single observation is answered. Raises what the batch's answer lacks if neither is."""
        try:
            self._asked(observation, (len(observation), self.actions))
        except BadInput as of_many:
            try:
                self._asked(observation[0], (self.actions,))
            except BadInput:
                raise of_many from None
            return True
        return False

    def _asked(self, observation: Rows, shape: tuple[int, ...]) -> Rows:
        try:
            with staying_here():
                answer = np.asarray(self.function(observation.copy()))
        except KeyboardInterrupt:  # Ctrl-C is the user's
            raise
        except BaseException as error:  # noqa: BLE001 - a cancelled task and a panic in Rust are no Exception
            reason = one_line(f"{type(error).__name__}: {error}")
            raise BadInput(
                f"{self.spec}: could not act on observations {observation.shape} ({reason})"
            ) from None
        if answer.dtype.kind not in NUMBERS:
            raise BadInput(f"{self.spec}: returned {answer.dtype.name} values, expected real numbers")
        if answer.shape != shape:
            raise BadInput(f"{self.spec}: returned shape {answer.shape}, expected {shape}")
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and so a fault
            return np.array(answer, np.float32)


def load_callable(spec: str, actions: int, sha256: str = "") -> tuple[Acting, str]:
    """The function that `module:function` names, importable from here, and the hash of its module's file.

    With `sha256`, the file must have that hash before anything of it is run. Raises BadInput, UnknownName.
    """
    module_name, _, name = spec.partition(":")
    if sha256 and (file := _file_of(module_name)) is not None and sha256_file(file) != sha256:
        raise BadInput(f"{file}: is not the file that was judged ({sha256[:12]}…); it was not imported")
    module = _imported(spec, module_name)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UnknownName(f"callable in {module_name}", name, known)
    file = getattr(module, "__file__", None)
    if file is None or not Path(file).is_file():
        raise BadInput(
            f"{spec}: {module_name} is not a Python file, so it cannot be told from another version"
        )
    return Acting(spec, function, actions), sha256_file(Path(inspect.getfile(module)))


def _file_of(module_name: str) -> Path | None:
    """The file that a module would be imported from; None where it is not found so."""
    parts = Path(*module_name.split("."))
    for place in (Path.cwd(), *map(Path, sys.path)):
        for file in (place / parts / "__init__.py", (place / parts).with_suffix(".py")):
            if file.is_file():
                return file
    return None


def _imported(spec: str, module_name: str) -> ModuleType:
    try:
        with importing_from_here(), staying_here():
            return importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001
        reason = one_line(f"{type(error).__name__}: {error}")
        raise BadInput(
            f"{spec}: cannot import {module_name} ({reason}); it must be importable from this folder"
        ) from None
