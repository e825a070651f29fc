"""Pure functions of arrays for one world: captured once, then replayed as straight-line arithmetic on plain numbers, to the same bits.

Where there is one world, an array holds a few numbers, and a call of numpy costs twenty times its arithmetic. A captured function is called
once with arrays that note what is computed from them, number by number (`noted`), and that is written out as one Python function
(`straight`). Slices and copies cost nothing then, what is computed twice is computed once, and what nobody asks for is not computed at all.

What depends on a value in another way (a branch, a choice of rows) cannot be captured: such a function is called as it is, and so is one whose
replay does not repeat it to the bit on other numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, groupby
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .noted import NotCaptured, Noted, first_row, numbers_of
from .sheet import Number, Sheet
from .straight import made, written

Arrays = tuple[NDArray[Any], ...]
Function = Callable[..., Arrays]
_lock = RLock()
SHAKES = (0.0, 1e-3, 1e-3, 1e-1, 1.0)  # how far from the first arguments a replay is tried


class Captured:
    """A pure function of arrays that returns arrays, of which only the first rows are computed from its second call on.

    Arguments have the shapes and types of the first ones in every call. What it returns is overwritten by the next call.
    """

    def __init__(self, function: Function) -> None:
        self.function = function
        self._replay: Function | None = None
        self._tried = False

    @property
    def replays(self) -> bool:
        """Whether it could be captured."""
        return self._replay is not None

    def __call__(self, *given: NDArray[Any]) -> Arrays:
        if not self._tried:
            self._tried = True
            self._replay = captured(self.function, given)
        return self.function(*given) if self._replay is None else self._replay(*given)


def captured(function: Function, given: Arrays) -> Function | None:
    """The function of the first rows as straight-line code, or None where that would not do the same."""
    sheet = Sheet()
    try:
        with _noting(), np.errstate(all="ignore"):
            noted = function(*(first_row(sheet, i, each) for i, each in enumerate(given)))
            wanted = [numbers_of(sheet, each[:1]) for each in noted]
        with np.errstate(all="ignore"):
            plain = function(*given)
        replay = _replay_of(wanted, given, plain, getattr(function, "__qualname__", "function"))
        return replay if all(_repeats(function, replay, given, scale) for scale in SHAKES) else None
    except Exception:  # of any kind: what is wrong with the function itself its plain call says
        return None


def _replay_of(wanted: list[list[Number]], given: Arrays, plain: Arrays, name: str) -> Function:
    """Gathers the numbers that are needed, computes, and puts the results where they belong."""
    source, inputs = written(list(chain(*wanted)))
    compute = made(source, name)
    results = tuple(np.array(each) for each in plain)
    rows = [each[:1].reshape(-1) for each in results]
    if not all(np.may_share_memory(row, each) for row, each in zip(rows, results, strict=True)):
        raise NotCaptured("a result whose first row is scattered")
    stops = np.cumsum([row.size for row in rows]).tolist()
    spans = [(row, stop - row.size, stop) for row, stop in zip(rows, stops, strict=True)]
    single = [(row, start) for row, start, _ in spans if row.size == 1]
    spans = [each for each in spans if each[0].size > 1]
    grouped = [(i, [each.value[1] for each in group]) for i, group in groupby(inputs, lambda n: n.value[0])]
    places = [(i, chosen[0], np.array(chosen) if len(chosen) > 1 else None) for i, chosen in grouped]
    before: list[Any] = [None] * len(given)  # the arrays of the last call, which mostly come again
    views: list[Any] = [None] * len(given)  # and their first rows

    def replay(*given: NDArray[Any]) -> Arrays:
        numbers: list[Any] = []
        for i, place, chosen in places:
            array = given[i]
            if array is before[i]:
                row = views[i]
            else:
                row = array[:1].reshape(-1)
                if array.flags.c_contiguous:  # else it is a copy
                    before[i], views[i] = array, row
            if chosen is None:
                numbers.append(row.item(place))
            else:
                numbers += row.take(chosen).tolist()
        found = compute(numbers)
        for row, start in single:
            row[0] = found[start]
        for row, start, stop in spans:
            row[:] = found[start:stop]
        return results

    return replay


def _repeats(function: Function, replay: Function, given: Arrays, scale: float) -> bool:
    """Whether a replay gives the first rows of the function's results, to the bit, on arguments that lie `scale` away."""
    other = tuple(_shaken(each, scale) for each in given)
    with np.errstate(all="ignore"):
        wanted, found = function(*other), replay(*other)
    return all(_same(one[:1], two[:1]) for one, two in zip(wanted, found, strict=True))


def _shaken(array: NDArray[Any], scale: float) -> NDArray[Any]:
    """Other numbers of the same kind; the same ones at scale 0."""
    rng = np.random.default_rng(array.size)
    if scale == 0.0:
        return array
    if array.dtype == bool:
        return rng.random(array.shape) < 0.5
    if array.dtype.kind == "i":
        return array + rng.integers(0, 4, array.shape)
    moved = array * (1.0 + scale * rng.standard_normal(array.shape))
    return np.asarray(moved + scale * rng.standard_normal(array.shape), array.dtype)


def _same(one: NDArray[Any], two: NDArray[Any]) -> bool:
    """Equal, NaN being NaN."""
    alike = one.shape == two.shape and one.dtype == two.dtype
    return alike and np.array_equal(one, two, equal_nan=one.dtype.kind == "f")


@contextmanager
def _noting() -> Iterator[None]:
    """While it lasts, what makes plain arrays of any others leaves noted ones noted; numpy has no protocol for these three."""
    names = ("asarray", "ascontiguousarray", "array")
    with _lock:  # one capture at a time: each puts back what it found
        found = {name: getattr(np, name) for name in names}
        for name, plain in found.items():
            setattr(np, name, _heeding(plain, copies=name == "array"))
        try:
            yield
        finally:
            for name, plain in found.items():
                setattr(np, name, plain)


def _heeding(plain: Callable[..., Any], copies: bool) -> Callable[..., Any]:
    """One of those functions, which does as it did with everything but noted arrays."""

    def made_of(*arguments: Any, **options: Any) -> Any:
        whole = _together(arguments[0]) if arguments else None
        if not isinstance(whole, Noted):
            return plain(*arguments, **options)
        dtype = arguments[1] if len(arguments) > 1 else options.get("dtype")
        kept = whole if dtype is None else whole.astype(dtype)
        return kept.copy() if copies else kept

    return made_of


def _together(given: Any) -> Any:
    """Rows among which noted arrays are, as one of them."""
    listed = isinstance(given, list | tuple) and any(isinstance(each, Noted) for each in given)
    return np.stack(given) if listed else given
