"""Pure functions of arrays for one world: captured once, then replayed as straight-line arithmetic on plain numbers, to the same bits.

Where there is one world, an array holds a few numbers, and a call of numpy costs twenty times its arithmetic. A captured function is called
once with arrays whose entries note what is computed from them, number by number (see `straight`). Slices and copies cost nothing then,
what is computed twice is computed once, and what nobody asks for is not computed at all.

What depends on a value in another way (a branch, a choice of rows) or is not known here cannot be captured: such a function is called as it is, and so
is one whose replay does not repeat it to the bit on other numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from itertools import chain, groupby
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .straight import BOOL, FLOAT, INT, NUMPYS, Number, Sheet, made, written

Arrays = tuple[NDArray[Any], ...]

SAME = {
    *(
        "add",
        "subtract",
        "multiply",
        "divide",
        "negative",
        "absolute",
        "sqrt",
        "maximum",
        "minimum",
        "floor",
        "rint",
    ),
    *("less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "isnan", "isfinite"),
    *NUMPYS,
}  # ufuncs that are one operation of `straight`
LOGICAL = {
    **{"bitwise_and": "and", "logical_and": "and", "bitwise_or": "or", "logical_or": "or"},
    **{"invert": "not", "logical_not": "not"},
}
ON_TRUTHS = {"add": "or", "multiply": "and", "maximum": "or", "minimum": "and"}
IN_ORDER = 8  # numpy adds fewer numbers than this from the first to the last
SHAKES = (0.0, 1e-3, 1e-3, 1e-1, 1.0)  # how far from the first arguments a replay is tried
COMPOSED = {np.clip, np.any, np.all, np.max, np.min, np.sum, np.amax, np.amin}
MOVING = {
    *(
        np.concatenate,
        np.stack,
        np.column_stack,
        np.reshape,
        np.transpose,
        np.moveaxis,
        np.swapaxes,
        np.squeeze,
    ),
    *(np.expand_dims, np.ravel, np.repeat, np.tile, np.roll, np.flip, np.broadcast_to, np.copy, np.take),
}  # functions that put numbers elsewhere and compute none
_lock = RLock()


class Uncapturable(Exception):
    """What a function does depends on a value, or is not known here."""


class Captured:
    """A pure function of arrays that returns arrays, of which only the first rows are computed from its second call on.

    Arguments have the shapes and types of the first ones in every call. What it returns is overwritten by the next call.
    """

    def __init__(self, function: Callable[..., Arrays]) -> None:
        self.function = function
        self._replay: Callable[[Arrays], Arrays] | None = None
        self._tried = False

    @property
    def replays(self) -> bool:
        """Whether it could be captured."""
        return self._replay is not None

    def __call__(self, *given: NDArray[Any]) -> Arrays:
        if not self._tried:
            self._tried = True
            self._replay = _replay_of(self.function, given)
        return self.function(*given) if self._replay is None else self._replay(given)


def _replay_of(function: Callable[..., Arrays], given: Arrays) -> Callable[[Arrays], Arrays] | None:
    """The function of the first rows as straight-line code, or None where that does not do the same."""
    sheet = Sheet()
    try:
        with _noting(), np.errstate(all="ignore"):
            noted = function(*(_inputs(sheet, i, each) for i, each in enumerate(given)))
            wanted = [_numbers(sheet, each[:1]) for each in noted]
            plain = function(*given)
        replay = _run(sheet, len(given), wanted, plain, getattr(function, "__qualname__", "captured"))
        same = all(_repeats(function, replay, given, scale) for scale in SHAKES)
    except Exception:  # of any kind: what is wrong with the function itself its plain call says
        return None
    return replay if same else None


def _run(
    sheet: Sheet, count: int, wanted: list[list[Number]], plain: Arrays, name: str
) -> Callable[[Arrays], Arrays]:
    """The replay: gathers the inputs, computes, and puts the results where they belong."""
    source, inputs = written(sheet, list(chain(*wanted)))
    compute = made(source, name)
    results = tuple(np.array(each) for each in plain)
    rows = [_first_row(each) for each in results]
    if any(row is None for row in rows):
        raise Uncapturable("a result whose first row is scattered")
    stops = np.cumsum([len(each) for each in wanted]).tolist()
    spans = [(row, stop - row.size, stop) for row, stop in zip(rows, stops, strict=True) if row.size]  # type: ignore[union-attr]
    single = [(row, start) for row, start, stop in spans if stop - start == 1]
    spans = [each for each in spans if each[2] - each[1] > 1]
    grouped = [(i, [each.value[1] for each in group]) for i, group in groupby(inputs, lambda n: n.value[0])]
    places = [(i, chosen[0], np.array(chosen) if len(chosen) > 1 else None) for i, chosen in grouped]
    before: list[Any] = [None] * count  # the arrays of the last call
    views: list[Any] = [None] * count  # and their first rows

    def replay(given: Arrays) -> Arrays:
        numbers: list[Any] = []
        for i, place, chosen in places:
            array = given[i]
            if array is before[i]:
                row = views[i]
            else:
                row = array[:1].reshape(-1)
                if array.flags.c_contiguous:
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


def _first_row(array: NDArray[Any]) -> NDArray[Any] | None:
    """The numbers of the first row, as a view; None where they are scattered."""
    row = array[:1].reshape(-1)
    return row if np.may_share_memory(row, array) else None


class Noted(np.ndarray):  # type: ignore[type-arg]
    """An array of numbers of a sheet, which notes there what is computed from them."""

    sheet: Sheet

    def __array_finalize__(self, source: Any) -> None:
        self.sheet = getattr(source, "sheet", None)  # type: ignore[assignment]

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        sheet = _sheet_of(inputs)
        if method == "reduce":
            return _reduced(sheet, ufunc, inputs[0], **options)
        if method != "__call__" or options:
            raise Uncapturable(f"{ufunc.__name__}.{method} {options or ''}")
        result = _computed(sheet, ufunc.__name__, inputs)
        if out is None:
            return result
        if not isinstance(out[0], Noted):
            return result  # what `plain |= noted` is from then on; other names of the plain array are not
        out[0][...] = result
        return out[0]

    def __array_function__(self, function: Any, types: Any, arguments: Any, options: Any) -> Any:
        sheet = _sheet_of((arguments, tuple(options.values())))
        if function in COMPOSED:
            return super().__array_function__(function, types, arguments, options)
        if function is np.where and len(arguments) == 3:
            return _chosen(sheet, *arguments)
        if function is np.take_along_axis:
            return _picked(sheet, *arguments, **options)
        if function is np.broadcast_arrays:
            return tuple(
                _noted(sheet, each) for each in np.broadcast_arrays(*_plain(sheet, tuple(arguments)))
            )
        if function in MOVING:
            return _noted(sheet, function(*_plain(sheet, tuple(arguments)), **options))
        if function in (np.shape, np.ndim, np.size):
            return function(self.view(np.ndarray))
        if function in (np.zeros_like, np.ones_like):
            return _noted(sheet, np.full(self.shape, sheet.constant(float(function is np.ones_like)), object))
        raise Uncapturable(function.__name__)

    def __getitem__(self, index: Any) -> Any:
        if any(isinstance(each, Noted) for each in _each(index)):
            raise Uncapturable("a choice by value")
        found = super().__getitem__(index)
        return found if isinstance(found, Noted) else _noted(self.sheet, np.array(found, object))

    def __setitem__(self, index: Any, value: Any) -> None:
        if any(isinstance(each, Noted) for each in _each(index)):
            raise Uncapturable("a choice by value")
        super().__setitem__(index, _objects(self.sheet, value))

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def astype(self, dtype: Any, *_: Any, **__: Any) -> Noted:
        kind = {"b": BOOL, "i": INT, "f": FLOAT}.get(np.dtype(dtype).kind)
        if kind is None or np.dtype(dtype).itemsize not in (1, 8):
            raise Uncapturable(f"as {dtype}")
        return _spread(self.sheet, lambda each: _as(self.sheet, each, kind), self)

    def argmin(self, axis: Any = None, *_: Any, **__: Any) -> Noted:
        rows = np.moveaxis(self.view(np.ndarray), -1 if axis is None else axis, 0)
        if axis is None and self.ndim != 1:
            raise Uncapturable("the least of all")
        found = np.empty(rows.shape[1:], object)
        flat = rows.reshape(len(rows), -1).T.tolist()
        found.reshape(-1)[:] = [self.sheet.least(each) for each in flat]
        return _noted(self.sheet, found)

    def _value(self, *_: Any, **__: Any) -> Any:
        raise Uncapturable("by value")

    __bool__ = __float__ = __int__ = __index__ = __complex__ = __contains__ = item = tolist = tobytes = _value  # type: ignore[assignment]
    nonzero = compress = argmax = argsort = searchsorted = choose = dot = trace = round = mean = std = _value  # type: ignore[assignment]
    cumsum = cumprod = prod = var = ptp = partition = sort = _value  # type: ignore[assignment]


def _inputs(sheet: Sheet, at: int, array: NDArray[Any]) -> Noted:
    """The first row of an input, `(1, ...)`."""
    kind = {"b": BOOL, "i": INT, "f": FLOAT}[array.dtype.kind]
    row = np.empty((1, *array.shape[1:]), object)
    row.reshape(-1)[:] = [sheet.input(at, i, kind) for i in range(row.size)]
    return _noted(sheet, row)


def _noted(sheet: Sheet, array: NDArray[Any]) -> Noted:
    view = array.view(Noted)
    view.sheet = sheet
    return view


def _each(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        for each in value:
            yield from _each(each)
    else:
        yield value


def _sheet_of(value: Any) -> Sheet:
    return next(each.sheet for each in _each(value) if isinstance(each, Noted))


def _objects(sheet: Sheet, value: Any) -> NDArray[Any]:
    """Numbers of the sheet for whatever stands beside noted arrays."""
    if isinstance(value, Noted):
        return value.view(np.ndarray)
    array = _asarray(value)
    if array.dtype.kind not in "bif":
        raise Uncapturable(f"an array of {array.dtype}")
    found = np.empty(array.shape, object)
    found.reshape(-1)[:] = [sheet.constant(each) for each in array.reshape(-1).tolist()]
    return found


def _plain(sheet: Sheet, value: Any) -> Any:
    """Arguments of a function that moves numbers, with plain arrays of them in it."""
    if isinstance(value, np.ndarray):
        return _objects(sheet, value)
    return type(value)(_plain(sheet, each) for each in value) if type(value) in (tuple, list) else value


def _spread(sheet: Sheet, function: Callable[..., Number], *arrays: Any) -> Noted:
    """A function of numbers, entry by entry."""
    spread = np.broadcast_arrays(*(_objects(sheet, each) for each in arrays))
    found = np.empty(spread[0].shape, object)
    flat = [each.reshape(-1).tolist() for each in spread]
    found.reshape(-1)[:] = [function(*each) for each in zip(*flat, strict=True)]
    return _noted(sheet, found)


def _as(sheet: Sheet, number: Number, kind: str) -> Number:
    if number.kind == kind:
        return number
    if kind == FLOAT:
        return sheet.of("float", number)
    if kind == INT:
        return sheet.of("integer", number)
    return sheet.of("not_equal", number, sheet.constant(0.0 if number.kind == FLOAT else 0))


def _computed(sheet: Sheet, name: str, inputs: Sequence[Any]) -> Noted:
    if name == "clip":
        return _computed(sheet, "minimum", (_computed(sheet, "maximum", inputs[:2]), inputs[2]))
    if name == "positive":
        return inputs[0]  # type: ignore[no-any-return]
    if name == "square":
        return _computed(sheet, "multiply", (inputs[0], inputs[0]))
    return _spread(sheet, lambda *numbers: _operation(sheet, name, numbers), *inputs)


def _operation(sheet: Sheet, name: str, numbers: tuple[Number, ...]) -> Number:
    kinds = {each.kind for each in numbers}
    if name in LOGICAL:
        if kinds != {BOOL} and not name.startswith("logical"):
            raise Uncapturable(f"{name} of integers")
        return sheet.of(LOGICAL[name], *(_as(sheet, each, BOOL) for each in numbers))
    if kinds == {BOOL} and name in ON_TRUTHS:
        return sheet.of(ON_TRUTHS[name], *numbers)
    if name not in SAME or (kinds == {BOOL} and name in ("subtract", "negative")):
        raise Uncapturable(name)
    if FLOAT in kinds:
        numbers = tuple(_as(sheet, each, FLOAT) if each.constant else each for each in numbers)
    return sheet.of(name, *numbers)


def _reduced(
    sheet: Sheet,
    ufunc: np.ufunc,
    array: Any,
    axis: Any = 0,
    dtype: Any = None,
    keepdims: bool = False,
    **options: Any,
) -> Noted:
    """A reduction over one axis or all, from the first number to the last."""
    if any(
        value is not None and value is not np._NoValue and value is not True for value in options.values()
    ):
        raise Uncapturable(f"{ufunc.__name__}.reduce {options}")
    numbers = _objects(sheet, array)
    if isinstance(axis, tuple):
        raise Uncapturable("over several axes")
    if axis is None:
        numbers, axis = numbers.reshape(-1), 0
    parts = [_noted(sheet, np.take(numbers, i, axis)) for i in range(numbers.shape[axis])]
    if ufunc is np.add:
        parts = [
            _spread(sheet, lambda each: _as(sheet, each, INT) if each.kind == BOOL else each, p)
            for p in parts
        ]
        if len(parts) >= IN_ORDER and any(each.kind == FLOAT for each in numbers.reshape(-1)):
            raise Uncapturable("a sum in another order")
    found = reduce(lambda one, other: _computed(sheet, ufunc.__name__, (one, other)), parts)
    if ufunc in (np.logical_and, np.logical_or):
        found = _spread(sheet, lambda each: _as(sheet, each, BOOL), found)
    return _noted(sheet, np.expand_dims(found.view(np.ndarray), axis)) if keepdims else found


def _chosen(sheet: Sheet, where: Any, one: Any, other: Any) -> Noted:
    def choice(truth: Number, yes: Number, no: Number) -> Number:
        return sheet.of("where", _as(sheet, truth, BOOL), yes, no)

    return _spread(sheet, choice, where, one, other)


def _picked(sheet: Sheet, array: Any, index: Any, axis: int) -> Noted:
    """`np.take_along_axis` by an index that is computed."""
    values, at = (np.moveaxis(_objects(sheet, each), axis, -1) for each in (array, index))
    values = np.broadcast_to(values, (*at.shape[:-1], values.shape[-1]))
    found = np.empty(at.shape, object)
    for place in np.ndindex(at.shape):
        found[place] = sheet.pick(at[place], values[place[:-1]].tolist())
    return _noted(sheet, np.moveaxis(found, -1, axis))


def _numbers(sheet: Sheet, array: Any) -> list[Number]:
    return _objects(sheet, array).reshape(-1).tolist()


_asarray = np.asarray


@contextmanager
def _noting() -> Iterator[None]:
    """While it lasts, what makes plain arrays of any others leaves noted ones noted; numpy has no protocol for these."""
    asarray, contiguous, array = np.asarray, np.ascontiguousarray, np.array

    def any_array(given: Any, dtype: Any = None, **options: Any) -> Any:
        whole = _together(given)
        if not isinstance(whole, Noted):
            return asarray(given, dtype, **options)
        return whole if dtype is None else whole.astype(dtype)

    def contiguous_array(given: Any, dtype: Any = None, **options: Any) -> Any:
        whole = any_array(given, dtype)
        return whole if isinstance(whole, Noted) else contiguous(given, dtype, **options)

    def new_array(given: Any, dtype: Any = None, **options: Any) -> Any:
        whole = _together(given)
        if not isinstance(whole, Noted):
            return array(given, dtype, **options)
        return whole.copy() if dtype is None else whole.astype(dtype)

    with _lock:
        np.asarray, np.ascontiguousarray, np.array = any_array, contiguous_array, new_array
        try:
            yield
        finally:
            np.asarray, np.ascontiguousarray, np.array = asarray, contiguous, array


def _together(given: Any) -> Any:
    """Rows among which noted arrays are, as one of them."""
    listed = isinstance(given, list | tuple) and any(isinstance(each, Noted) for each in given)
    return np.stack(given) if listed else given


def _repeats(
    function: Callable[..., Arrays], replay: Callable[[Arrays], Arrays], given: Arrays, scale: float
) -> bool:
    """Whether a replay gives the first rows of the function's results, to the bit, on arguments that lie `scale` away."""
    other = tuple(_shaken(each, scale) for each in given)
    with np.errstate(all="ignore"):
        wanted, found = function(*other), replay(other)
    return all(_same(one[:1], two[:1]) for one, two in zip(wanted, found, strict=True))


def _shaken(array: NDArray[Any], scale: float) -> NDArray[Any]:
    """Other numbers of the same kind; the same ones at scale 0."""
    rng = np.random.default_rng(array.size)
    if scale == 0.0:
        return array
    if array.dtype == bool:
        return rng.random(array.shape) < 0.5
    if np.issubdtype(array.dtype, np.integer):
        return array + rng.integers(0, 4, array.shape)
    moved = array * (1.0 + scale * rng.standard_normal(array.shape)) + scale * rng.standard_normal(
        array.shape
    )
    return moved.astype(array.dtype)


def _same(one: Any, two: Any) -> bool:
    """Equal to the bit, NaN being NaN."""
    one, two = np.asarray(one), np.asarray(two)
    return (
        one.shape == two.shape
        and one.dtype == two.dtype
        and np.array_equal(one, two, equal_nan=one.dtype.kind == "f")
    )
