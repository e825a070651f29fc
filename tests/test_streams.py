"""Random streams: the published generator, even, and blind to company."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats

from genba.envs.streams import FEW, Streams, philox

# Known answers of Philox4x32-10: Random123 1.14, tests/kat_vectors (counter words, key words, result words).
KNOWN: list[tuple[Any, Any, Any]] = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
words = st.tuples(*[st.integers(0, 2**32 - 1)] * 4)


def as_arrays(counter: tuple[int, ...]) -> Any:
    return tuple(np.full(3, word, np.uint64) for word in counter)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox_known_answers(counter: Any, key: Any, answer: Any) -> None:
    assert philox(counter, key) == answer
    for found, word in zip(philox(as_arrays(counter), key), answer, strict=True):
        assert found.tolist() == [word] * 3


@settings(deadline=None, max_examples=40)
@given(words, st.tuples(*[st.integers(0, 2**32 - 1)] * 2))
def test_integers_and_arrays_are_one_generator(counter: Any, key: Any) -> None:
    arrays = philox(as_arrays(counter), key)
    assert tuple(int(found[0]) for found in arrays) == philox(counter, key)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=2 * FEW), st.integers(1, 5), st.integers(0, 1000))
def test_a_draw_does_not_depend_on_company(seeds: list[int], size: int, step: int) -> None:
    """Alone (plain integers) and among many (arrays) the same bits."""
    together = Streams("kit-pick/1", np.array(seeds, np.int64)).normal("noise", (size,), step)
    alone = [
        Streams("kit-pick/1", np.array([seed], np.int64)).normal("noise", (size,), step) for seed in seeds
    ]
    assert together.tobytes() == np.concatenate(alone).tobytes()


def test_steps_may_differ_from_world_to_world() -> None:
    seeds, steps = np.full(40, 5), np.arange(40)
    together = Streams("t/1", seeds).uniform("a", (), steps)
    assert together.tolist() == [Streams("t/1", seeds[:1]).uniform("a", (), int(step))[0] for step in steps]
    assert len(set(together.tolist())) == 40


def test_name_version_seed_and_step_each_change_every_number() -> None:
    seeds = np.arange(200)
    base = Streams("t/1", seeds).uniform("a", (3,))
    others = [
        Streams("t/2", seeds).uniform("a", (3,)),
        Streams("t/1", seeds).uniform("b", (3,)),
        Streams("t/1", seeds + 2**32).uniform("a", (3,)),
        Streams("t/1", seeds).uniform("a", (3,), 1),
    ]
    assert all((base != other).all() for other in others)


def test_a_longer_draw_begins_as_the_shorter() -> None:
    streams = Streams("t/1", np.arange(30))
    assert streams.uniform("a", (2,)).tolist() == streams.uniform("a", (5,))[:, :2].tolist()


def test_uniform_is_even_and_never_reaches_its_ends() -> None:
    draws = Streams("t/1", np.arange(20_000)).uniform("a", (2,))
    assert 0.0 < draws.min() and draws.max() < 1.0
    assert stats.kstest(draws.ravel(), "uniform").pvalue > 1e-3
    assert abs(np.asarray(np.corrcoef(draws.T))[0, 1]) < 4.0 / np.sqrt(20_000)
    assert abs(np.asarray(np.corrcoef(draws[:-1, 0], draws[1:, 0]))[0, 1]) < 4.0 / np.sqrt(20_000)


def test_normal_is_standard_normal() -> None:
    draws = Streams("t/1", np.arange(20_000)).normal("a")
    assert stats.kstest(draws, "norm").pvalue > 1e-3


def test_between_and_choice_stay_in_range() -> None:
    streams = Streams("t/1", np.arange(5_000))
    spread = streams.between("a", -2.0, 3.0)
    assert -2.0 < spread.min() < -1.99 and 2.99 < spread.max() < 3.0
    counts = np.bincount(streams.choice("b", 3), minlength=3)
    assert len(counts) == 3 and stats.chisquare(counts).pvalue > 1e-3


def test_the_bits_are_pinned() -> None:
    """Placements of every stored episode come from these: a change needs a new task version."""
    draws = Streams("kit-pick/1", np.array([0, 3_000_000_000])).uniform("part.xy", (2,), 7)
    assert [x.hex() for x in draws.ravel()] == PINNED


PINNED = ["0x1.93d40930d1306p-2", "0x1.8b4ba041ed665p-1", "0x1.40d7755d75dffp-1", "0x1.9559b73085656p-2"]
