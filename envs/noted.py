"""Arrays whose entries are numbers of a `Sheet`: what a function computes from them is noted there, number by number.

They look like numpy's arrays of one world and move like them. What would need a value (a branch, a choice of rows) or is not
known here raises `NotCaptured`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from .sheet import BOOL, FLOAT, INT, Number, Sheet
from .straight import NUMPYS

KINDS = {"b": BOOL, "i": INT, "f": FLOAT}
OPERATIONS = {
    *("add", "subtract", "multiply", "divide", "negative", "absolute", "sqrt", "floor", "rint"),
    *("maximum", "minimum", "isnan", "isfinite"),
    *("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"),
    *NUMPYS,
}  # ufuncs that are one operation of a sheet
LOGICAL = {
    **dict.fromkeys(("bitwise_and", "logical_and"), "and"),
    **dict.fromkeys(("bitwise_or", "logical_or"), "or"),
    **dict.fromkeys(("invert", "logical_not"), "not"),
}
ON_TRUTHS = {"add": "or", "multiply": "and", "maximum": "or", "minimum": "and"}
IN_ORDER = 8  # numpy adds fewer numbers than this from the first to the last
COMPOSED = {np.clip, np.any, np.all, np.max, np.min, np.sum}  # made of ufuncs
MOVING = {
    *(
        np.concatenate,
        np.stack,
        np.column_stack,
        np.reshape,
        np.ravel,
        np.transpose,
        np.moveaxis,
        np.swapaxes,
    ),
    *(np.squeeze, np.expand_dims, np.broadcast_to, np.copy, np.repeat, np.tile, np.roll, np.flip, np.take),
}  # put numbers elsewhere and compute none
BY_VALUE = (
    *(
        "__bool__",
        "__float__",
        "__int__",
        "__index__",
        "__complex__",
        "__contains__",
        "item",
        "tolist",
        "tobytes",
    ),
    *("argmax", "argsort", "choose", "compress", "cumprod", "cumsum", "dot", "mean", "nonzero", "partition"),
    *("prod", "ptp", "round", "searchsorted", "sort", "std", "trace", "var"),
)
_asarray = np.asarray


class NotCaptured(Exception):  # noqa: N818
    """What a function does depends on a value, or is not known here."""


def first_row(sheet: Sheet, at: int, array: NDArray[Any]) -> Noted:
    """The first row of an input, `(1, ...)`."""
    row = np.empty((1, *array.shape[1:]), object)
    row.reshape(-1)[:] = [sheet.input(at, i, KINDS[array.dtype.kind]) for i in range(row.size)]
    return _noted(sheet, row)


def numbers_of(sheet: Sheet, array: Any) -> list[Number]:
    """The numbers of an array, in order; of a plain one they are constants."""
    return cast(list[Number], _objects(sheet, array).reshape(-1).tolist())


class Noted(np.ndarray):
    """An array of numbers of a sheet."""

    sheet: Sheet

    def __array_finalize__(self, source: Any) -> None:
        self.sheet = cast(Sheet, getattr(source, "sheet", None))

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        if method == "reduce":
            return _reduced(_sheet_of(inputs), ufunc, inputs[0], **options)
        if method != "__call__" or options:
            raise NotCaptured(f"{ufunc.__name__}.{method} {options or ''}")
        result = _computed(_sheet_of((inputs, out)), ufunc.__name__, inputs)
        if out is None or not isinstance(out[0], Noted):
            return result  # which is what `plain |= noted` makes of the name on its left
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
        if function in (np.zeros_like, np.ones_like):
            return _spread(
                sheet, lambda each: _as(sheet, sheet.constant(int(function is np.ones_like)), each.kind), self
            )
        if function in MOVING:
            return _noted(sheet, function(*_plain(sheet, tuple(arguments)), **options))
        raise NotCaptured(function.__name__)

    def __getitem__(self, index: Any) -> Any:
        _check_fixed(index)
        found = super().__getitem__(index)
        return found if isinstance(found, Noted) else _noted(self.sheet, np.array(found, object))

    def __setitem__(self, index: Any, value: Any) -> None:
        _check_fixed(index)
        super().__setitem__(index, _objects(self.sheet, value))

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def astype(self, dtype: Any, *_: Any, **__: Any) -> Any:
        """As bool, int64 or float64."""
        kind = KINDS.get(np.dtype(dtype).kind)
        if kind is None or np.dtype(dtype).itemsize not in (1, 8):
            raise NotCaptured(f"as {dtype}")
        return _spread(self.sheet, lambda each: _as(self.sheet, each, kind), self)

    def argmin(self, axis: Any = None, *_: Any, **__: Any) -> Any:
        """Along one axis."""
        if axis is None:
            raise NotCaptured("the least of all")
        rows = np.moveaxis(self.view(np.ndarray), axis, 0)
        flat = rows.reshape(len(rows), -1).T.tolist()
        return _filled(self.sheet, rows.shape[1:], [self.sheet.least(each) for each in flat])


def _by_value(self: Noted, *_: Any, **__: Any) -> Any:
    raise NotCaptured("a value")


for _name in BY_VALUE:
    setattr(Noted, _name, _by_value)


def _noted(sheet: Sheet, array: NDArray[Any]) -> Noted:
    view = array.view(Noted)
    view.sheet = sheet
    return view


def _filled(sheet: Sheet, shape: tuple[int, ...], numbers: Sequence[Number]) -> Noted:
    """An array of these numbers, in order."""
    found = np.empty(shape, object)
    found.reshape(-1)[:] = numbers
    return _noted(sheet, found)


def _each(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        for each in value:
            yield from _each(each)
    else:
        yield value


def _sheet_of(value: Any) -> Sheet:
    return next(each.sheet for each in _each(value) if isinstance(each, Noted))


def _check_fixed(index: Any) -> None:
    if any(isinstance(each, Noted) for each in _each(index)):
        raise NotCaptured("a choice by value")


def _objects(sheet: Sheet, value: Any) -> NDArray[Any]:
    """A plain array of the numbers of whatever stands beside noted arrays."""
    if isinstance(value, Noted):
        return value.view(np.ndarray)
    array = _asarray(value)
    if array.dtype.kind not in KINDS:
        raise NotCaptured(f"an array of {array.dtype}")
    numbers = [sheet.constant(each) for each in array.reshape(-1).tolist()]
    return _filled(sheet, array.shape, numbers).view(np.ndarray)


def _plain(sheet: Sheet, value: Any) -> Any:
    """Arguments of a function that moves numbers, with plain arrays of them in it."""
    if isinstance(value, np.ndarray):
        return _objects(sheet, value)
    return type(value)(_plain(sheet, each) for each in value) if type(value) in (tuple, list) else value


def _spread(sheet: Sheet, function: Callable[..., Number], *arrays: Any) -> Noted:
    """A function of numbers, entry by entry."""
    spread = np.broadcast_arrays(*(_objects(sheet, each) for each in arrays))
    flat = [each.reshape(-1).tolist() for each in spread]
    return _filled(sheet, spread[0].shape, [function(*each) for each in zip(*flat, strict=True)])


def _as(sheet: Sheet, number: Number, kind: str) -> Number:
    if number.kind == kind:
        return number
    if kind == BOOL:
        return sheet.of("not_equal", number, sheet.constant(0.0 if number.kind == FLOAT else 0))
    return sheet.of("float" if kind == FLOAT else "integer", number)


def _computed(sheet: Sheet, name: str, inputs: Sequence[Any]) -> Noted:
    """A ufunc of arrays."""
    if name == "clip":
        return _computed(sheet, "minimum", (_computed(sheet, "maximum", inputs[:2]), inputs[2]))
    if name == "square" or (name == "power" and isinstance(inputs[1], int) and inputs[1] == 2):
        return _computed(sheet, "multiply", (inputs[0], inputs[0]))
    return _spread(sheet, lambda *numbers: _operation(sheet, name, numbers), *inputs)


def _operation(sheet: Sheet, name: str, numbers: tuple[Number, ...]) -> Number:
    """A ufunc of numbers, of their kinds as numpy has it."""
    kinds = {each.kind for each in numbers}
    if name in LOGICAL:
        if kinds != {BOOL} and not name.startswith("logical"):
            raise NotCaptured(f"{name} of integers")
        return sheet.of(LOGICAL[name], *(_as(sheet, each, BOOL) for each in numbers))
    if kinds == {BOOL} and name in ON_TRUTHS:
        return sheet.of(ON_TRUTHS[name], *numbers)
    if name not in OPERATIONS or (kinds == {BOOL} and name in ("subtract", "negative")):
        raise NotCaptured(name)
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
    if isinstance(axis, tuple) or any(
        value not in (None, True) and value is not np._NoValue for value in options.values()
    ):
        raise NotCaptured(f"{ufunc.__name__}.reduce over {axis} {options}")
    numbers = _objects(sheet, array)
    if axis is None:
        numbers, axis = numbers.reshape(-1), 0
    parts = [_noted(sheet, np.take(numbers, i, axis)) for i in range(numbers.shape[axis])]
    if ufunc is np.add:
        whole = {each.kind for each in numbers.reshape(-1)}
        if len(parts) >= IN_ORDER and FLOAT in whole:
            raise NotCaptured("a sum in another order")
        if whole == {BOOL}:
            parts = [_spread(sheet, lambda each: _as(sheet, each, INT), part) for part in parts]
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
    places = np.ndindex(*at.shape)
    found = _filled(
        sheet, at.shape, [sheet.pick(cast(Number, at[i]), values[i[:-1]].tolist()) for i in places]
    )
    return _noted(sheet, np.moveaxis(found.view(np.ndarray), -1, axis))
