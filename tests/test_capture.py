"""Captured functions: numpy's bits number by number, what cannot be captured is called as it is, and every cell can be."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from genba.envs.capture import Captured
from genba.envs.noted import LOGICAL, OPERATIONS
from genba.envs.task import Task, get_task, task_ids
from genba.envs.worlds import Worlds

Array = NDArray[Any]
ODD = (0.0, -0.0, 1.0, -1.5, 2.5, -2.5, 0.1, 3.7e15, 1e308, -1e308, 5e-324, np.inf, -np.inf, np.nan)
PAIRS = np.array([(a, b) for a in ODD for b in ODD]).T
EITHER_ZERO = ("maximum", "minimum")  # of 0 and -0 numpy gives either, as the processor likes


def rows(values: Array) -> Array:
    """One world and the one beside it that makes two."""
    return np.repeat(values[None], 2, axis=0)


def replayed(function: Callable[..., tuple[Array, ...]], *arrays: Array) -> list[Array]:
    """The first rows that a captured function gives, which must have been captured."""
    captured = Captured(function)
    captured(*(np.ones_like(each) for each in arrays))
    assert captured.replays
    return [each[0] for each in captured(*arrays)]


def same(one: Array, two: Array, signs: bool = True) -> bool:
    nan = one.dtype.kind == "f"
    equal = one.dtype == two.dtype and np.array_equal(one, two, equal_nan=nan)
    return equal and (
        not signs or not nan or bool((np.signbit(one) == np.signbit(two))[~np.isnan(one)].all())
    )


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_gives_the_bits_of_numpy(name: str) -> None:
    ufunc, arrays = getattr(np, name), [rows(each) for each in PAIRS]
    with np.errstate(all="ignore"):
        wanted = ufunc(*arrays[: ufunc.nin])[0]
        found = replayed(lambda *given: (ufunc(*given),), *arrays[: ufunc.nin])[0]
    assert same(wanted, found, name not in EITHER_ZERO)


@pytest.mark.parametrize("name", sorted(each for each in OPERATIONS if getattr(np, each).nin == 2))
@pytest.mark.parametrize("number", ODD)
def test_an_operation_with_a_constant_gives_the_bits_of_numpy(name: str, number: float) -> None:
    ufunc, array = getattr(np, name), rows(np.array(ODD))
    with np.errstate(all="ignore"):
        wanted = [ufunc(array, number)[0], ufunc(number, array)[0]]
        found = replayed(lambda x: (ufunc(x, number), ufunc(number, x)), array)
    assert all(same(*pair, name not in EITHER_ZERO) for pair in zip(wanted, found, strict=True))


@pytest.mark.parametrize("name", sorted(LOGICAL))
def test_an_operation_on_truths_gives_what_numpy_does(name: str) -> None:
    ufunc, arrays = getattr(np, name), [rows(np.array(each)) for each in ([0, 0, 1, 1], [0, 1, 0, 1])]
    truths = [each.astype(bool) for each in arrays[: ufunc.nin]]
    assert same(ufunc(*truths)[0], replayed(lambda *given: (ufunc(*given),), *truths)[0])


def kinds(x: Array, b: Array, n: Array) -> tuple[Array, ...]:
    return (b + b, b * b, b + n, n * 0.5, np.where(b, n, b), np.where(b, x, n), b.sum(axis=1), x.astype(int))


def moves(x: Array, b: Array, n: Array) -> tuple[Array, ...]:
    last, first = x[..., -1:], x[:, 0]
    put = np.stack([x[:, 2], x[:, 1], first], axis=-1)
    put[:, 1] = 2.0 * last[:, 0]
    put[:, :2] -= x[:, 1:3] ** 2
    parts = np.concatenate([put, last, np.full((len(x), 2), 3.0)], axis=1)
    return np.ascontiguousarray(parts.T).T, np.asarray(parts)[:, ::-1], np.array([first, parts[:, 4]]).T


def reductions(x: Array, b: Array, n: Array) -> tuple[Any, ...]:
    whole = x[:, None] * x[..., None]
    return (
        *(x.sum(axis=1), whole.sum(axis=2), whole.max(axis=1), whole.min(axis=-1), (x > 0.5).any(axis=1)),
        *((whole > 0.2).all(axis=-1), x.clip(-0.5, 0.5), np.clip(x, None, 0.1), np.isfinite(x).all(axis=1)),
    )


def choices(x: Array, b: Array, n: Array) -> tuple[Array, ...]:
    least = x.argmin(axis=1)[:, None]
    return np.take_along_axis(x, least, axis=1), least, np.where(x > 0.0, np.zeros_like(x), np.ones_like(x))


@pytest.mark.parametrize("function", [kinds, moves, reductions, choices])
@settings(max_examples=30, deadline=None)
@given(
    x=st.lists(st.sampled_from((*ODD[:7], 0.3, 0.7, np.nan)), min_size=5, max_size=5),
    b=st.lists(st.booleans(), min_size=5, max_size=5),
)
def test_functions_of_arrays_give_the_bits_of_numpy(
    function: Callable[..., tuple[Array, ...]], x: list[float], b: list[bool]
) -> None:
    numbers = [
        *(0.0 if each != each and function is kinds else each for each in x)
    ]  # NaN as an integer is any
    arrays = rows(np.array(numbers)), rows(np.array(b)), rows(np.arange(5))
    with np.errstate(all="ignore"):
        wanted, found = function(*arrays), replayed(function, *arrays)
    signs = function is not reductions
    assert all(same(one[0], two, signs) for one, two in zip(wanted, found, strict=True))


def branch(x: Array) -> tuple[Array]:
    return (x + 1.0 if x.sum() > 0.0 else x,)


def chosen_rows(x: Array) -> tuple[Array]:
    return (np.where(x[:, :1] > 0.0, x[:, x[0] > -9.0], 0.0),)


def long_sum(x: Array) -> tuple[Array]:
    return (np.tile(x, (1, 5)).sum(axis=1),)


def sorted_rows(x: Array) -> tuple[Array]:
    return (np.sort(x, axis=1),)


def in_float32(x: Array) -> tuple[Array]:
    return (x.astype(np.float32),)


def into_a_plain_one(x: Array) -> tuple[Array]:
    out = np.zeros(x.shape)
    out[:, 1] = x[:, 0]
    return (out,)


class Counting:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Array) -> tuple[Array]:
        self.calls += 1
        return (x + self.calls,)


@pytest.mark.parametrize(
    "function", [branch, chosen_rows, long_sum, sorted_rows, in_float32, into_a_plain_one, Counting()]
)
def test_what_cannot_be_captured_is_called_as_it_is(function: Callable[[Array], tuple[Array]]) -> None:
    captured, x = Captured(function), rows(np.array([0.5, -0.25, 0.125]))
    captured(x)
    assert not captured.replays
    expected = 1 + function.calls if isinstance(function, Counting) else None
    found = captured(-x)[0]
    assert same(found, -x + expected if expected else function(-x)[0])


def test_an_error_of_the_function_is_its_own() -> None:
    def wrong(x: Array) -> tuple[Array]:
        return (x + np.ones(3),)

    with pytest.raises(ValueError, match="broadcast"):
        Captured(wrong)(np.ones((2, 5)))


def test_numpy_is_as_it_was_after_a_capture_that_failed_and_beside_one() -> None:
    before = (np.asarray, np.ascontiguousarray, np.array)
    Captured(branch)(np.ones((2, 3)))
    assert (np.asarray, np.ascontiguousarray, np.array) == before
    found: list[Any] = []

    def slow(x: Array) -> tuple[Array]:
        def beside() -> None:
            found.append(np.asarray([[1, 2], [3, 4]], np.float64, "C"))
            found.append(np.asarray(a=[[1, 2], [3, 4]], dtype=np.float64))
            found.append(np.array([[1, 2], [3, 4]], dtype=np.float64, ndmin=2))

        other = threading.Thread(target=beside)
        other.start()
        other.join()
        return (np.asarray(x) + 1.0,)

    assert same(replayed(slow, np.ones((2, 2)))[0], np.full(2, 2.0))
    assert len(found) >= 3 and all(same(each, np.array([[1.0, 2.0], [3.0, 4.0]])) for each in found)


def test_captures_in_several_threads_leave_numpy_as_it_was() -> None:
    before, start, found = (np.asarray, np.ascontiguousarray, np.array), threading.Barrier(6), []

    def slow(x: Array) -> tuple[Array]:
        time.sleep(0.01)  # so that the others come meanwhile
        return (np.ascontiguousarray(np.asarray(x) * 2.0),)

    def capture() -> None:
        start.wait()
        found.append(replayed(slow, rows(np.array([0.5, 2.0])))[0])

    threads = [threading.Thread(target=capture) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and all(same(each, np.array([1.0, 4.0])) for each in found)
    assert (np.asarray, np.ascontiguousarray, np.array) == before


CELLS = [*task_ids(), "kit-pick:hard", "conveyor-sort:hard", "kit-pick,part.others=3"]
STATE = (
    "done",
    "success",
    "reason",
    "cycle_s",
    "returns",
    "reward",
    "cost",
    "steps",
    "time_s",
    "limits_active",
)


@pytest.mark.quick_for("kit-pick", "conveyor-sort", "aisle-amr")
@pytest.mark.parametrize("spec", CELLS)
def test_a_captured_world_plays_as_one_among_many(tasks: dict[str, Task], spec: str) -> None:
    """Every cell's functions can be captured, and its episodes are the same to the bit: the expert's, wild ones, and across resets."""
    task = tasks.get(spec) or get_task(spec)
    ids = np.arange(1)
    plain, quick = (Worlds(task, 1, 1, costs=True, captured=each) for each in (False, True))
    rng, seed = np.random.default_rng(0), 0
    for tick in range(160):
        if plain.done[0]:
            for worlds in (plain, quick):
                worlds.reset(ids, np.array([seed]))
            seed += 1
        seen = plain.observation()
        assert seen[0].tobytes() == quick.observation()[0].tobytes(), tick
        action = task.expert(seen) + (tick // 40 % 2) * rng.normal(size=(2, len(task.action_names)))
        action[:, 0] = np.nan if tick == 150 else action[:, 0]
        for worlds in (plain, quick):
            worlds.step(action)
        assert plain._control[0].tobytes() == quick._control[0].tobytes(), tick
        assert plain.engine.block[0].tobytes() == quick.engine.block[0].tobytes(), tick
        for name in STATE:
            assert same(getattr(plain, name)[0], getattr(quick, name)[0]), (tick, name)
        for name, value in plain.rewards.items():
            assert same(value[0], quick.rewards[name][0]), (tick, name)
    assert seed > 1  # an episode ended by the NaN at least
    captured = [quick._asked, quick._judged, quick.controller._plan]  # type: ignore[attr-defined]
    captured += [quick._script] if quick._scripted else []
    assert all(each.replays for each in captured if isinstance(each, Captured)) and len(captured) >= 3
