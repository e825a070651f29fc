"""The monitor: streaming in any blocks, beside any worlds, equals the whole trace at once, bit for bit."""

import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from genba.envs.errors import BadInput, UnknownName
from genba.envs.signals import Signal, Signals, SignalTable
from genba.safety import formula_measures, formula_past
from genba.safety.constraints import Constraint, Source, bind_one
from genba.safety.formula_parts import margin
from genba.safety.formula_tree import text
from genba.safety.monitor import Monitor
from genba.safety.recorder import FIRST_CAPACITY
from genba.tests.test_formula import guards, with_events

Array = NDArray[np.float64]

DT = 0.002
TABLE = SignalTable(
    {
        "tcp.vel": Signal("tcp.vel", "m/s", (3,)),
        "distance": Signal("distance", "m"),
        "required": Signal("required", "m"),
        "force": Signal("force", "N"),
        "share": Signal("share", "1", (7,)),
        "height": Signal("height", "m"),
        "rate": Signal("rate", "1", kind="held"),
        "speed": Signal("speed", "m/s", kind="derived"),
    },
    {
        "tcp.vel": slice(0, 3), "distance": slice(3, 4), "required": slice(4, 5), "force": slice(5, 6),
        "share": slice(6, 13), "height": slice(13, 14),
    },
    {"speed": lambda s: np.sqrt(s["tcp.vel"][..., 0] ** 2 + s["tcp.vel"][..., 1] ** 2)},
)  # fmt: skip
COLUMNS = 14


def constraint(formula: str, when: str | None = None, name: str = "c", hard: bool = True) -> Constraint:
    return Constraint(name, {"en": name}, formula, Source("cell", "test", "cell_spec"), hard, when)


IMMEDIATE = [
    constraint("always (norm(tcp.vel) <= 1)", name="speed"),
    constraint("always (distance - required >= 0)", "speed > 0.5", name="separation"),
    constraint("always (max(abs(share)) <= 1) and always (rate <= 0.5)", name="two-parts"),
    constraint("not eventually (force > 2)", "height > 0 and not speed <= 0.3", name="never"),
    constraint("always [0.008, 0.02] (height >= 0)", name="interval"),
    constraint("always (force <= 1 or force >= 1.5)", "height > 100", name="never-applies"),
]
LATE = [
    constraint("eventually [0.002, 0.01] (height >= 0)", "force > 1", name="reacts"),
    constraint("always (force > 1 implies eventually [0, 0.006] (force < 0.5))", name="lets-go"),
    constraint("(height < 1) until [0, 0.03] (height > 1.2)", name="until"),
    constraint("always (force < 3) and eventually (force < -1)", name="mixed"),
    constraint("always [0, 0.01] always [0.002, 0.004] (height > -3)", "speed > 0.2", name="nested"),
]
BACK = [
    constraint("always (once [0, 0.01] (force > 0.5))", "height > 0", name="once"),
    constraint("always (once (force > 1) implies historically [0.002, 0.006] (force < 3))", name="ever"),
    constraint("always (force < 2 since [0, 0.03] force > 0)", "distance > 0", name="since-window"),
    constraint("always ((force < 2.5 since force > 0.5) or historically (force < 1))", name="since"),
    constraint("always (force < 2)", "once [0.002, 0.008] (height > 1.5 and rate > 0.2)", name="back-guard"),
]
EVENTS = [
    constraint("always (force < 0 within [0, 0.008] after height > 1)", name="after"),
    constraint(
        "always (force < 0 within [0.002, 0.004] after (once [0, 0.004] height > 1))", name="after-once"
    ),
    constraint("always (once [0, 0.01] eventually [0, 0.004] (force > 0))", name="back-over-ahead"),
]
MEASURED = [
    constraint("always (norm(rate(rate(tcp.vel), 0.004)) <= 1e6)", name="jerk"),
    constraint("always (abs(rate(force, 0.01)) <= 400)", "total(rate) > 0.01 s", name="steep"),
    constraint("always (total(abs(force) * speed) <= 0.05 J)", name="energy"),
    constraint("always (total(speed, 0.02) <= 0.025)", name="way"),
    constraint("always (duty(force > 0.5 or height > 1, 0.012) <= 0.5)", name="duty"),
    constraint(
        "always (rate(force) < 500 within [0, 0.004] after duty(height > 0, 0.006) > 0.5)", name="late"
    ),
]
EVERY = [*IMMEDIATE, *MEASURED, *BACK, *LATE, *EVENTS]


def blocks_of(data: Array, held: Array, substeps: int) -> Iterator[Signals]:
    """Signals of `data` (worlds, samples, columns) cut into blocks of K; `held` (worlds, blocks) is constant in a block."""
    for number, start in enumerate(range(0, data.shape[1], substeps)):
        yield Signals(TABLE, data[:, start : start + substeps], {"rate": held[:, number]})


class _Whole:
    """The same signals over a whole trace, held values repeated."""

    def __init__(self, data: Array, held: Array, substeps: int) -> None:
        self._sensors = Signals(TABLE, data, {})
        self._rate = np.repeat(held, substeps, axis=1)

    def __getitem__(self, name: str) -> Array:
        return self._rate if name == "rate" else self._sensors[name]


def offline(
    constraints: Sequence[Constraint], data: Array, held: Array, substeps: int
) -> tuple[Array, Array]:
    """Margins and times `(worlds, constraints)` from whole traces."""
    source = _Whole(data, held, substeps)
    trace = {name: source[name] for name in TABLE}
    bound = [bind_one(each, TABLE) for each in constraints]
    found = [margin(each.parts, each.guard, trace, DT) for each in bound]
    return np.stack([low for low, _ in found], axis=1), np.stack([at for _, at in found], axis=1)


def same_bits(found: Array, expected: Array) -> None:
    assert found.dtype == expected.dtype and found.shape == expected.shape
    assert np.ascontiguousarray(found).tobytes() == np.ascontiguousarray(expected).tobytes()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    substeps=st.sampled_from([1, 2, 5, 10]),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    strangers=st.integers(0, 4),
    with_nan=st.booleans(),
    live=st.booleans(),
)
def test_streaming_equals_offline_bit_for_bit(
    seed: int, substeps: int, lengths: list[int], strangers: int, with_nan: bool, live: bool
) -> None:
    """Worlds of different lengths, some restarted half-way, among strangers, some of them inactive at times."""
    rng = np.random.default_rng(seed)
    blocks = max(lengths)
    count = len(lengths) + strangers
    data = rng.normal(size=(count, blocks * substeps, COLUMNS))
    if with_nan:
        data[rng.random(data.shape) < 0.003] = np.nan
    held = rng.uniform(0, 0.6, size=(count, blocks))
    order = rng.permutation(count)  # where each trace runs
    monitor = Monitor(EVERY, TABLE, count, DT, live=live)

    if seed % 2:  # a first life that must leave nothing behind
        monitor.update(Signals(TABLE, rng.normal(size=(count, 4, COLUMNS)) * 9, {"rate": np.ones(count)}))
        monitor.restart(np.arange(count))
    place = np.empty(count, dtype=int)
    place[order] = np.arange(count)
    all_lengths = np.array([*lengths, *[blocks] * strangers])
    for number, block in enumerate(blocks_of(data[order], held[order], substeps)):
        monitor.update(block, (all_lengths > number)[order])

    for length in set(lengths):
        ids = np.flatnonzero(np.array(lengths) == length)
        expected = offline(EVERY, data[ids, : length * substeps], held[ids, :length], substeps)
        found = monitor.finish(place[ids])
        same_bits(found[0], expected[0])
        same_bits(found[1], expected[1])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_worlds_that_restart_one_by_one_keep_their_own_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    worlds, substeps = 3, 4
    monitor = Monitor(EVERY, TABLE, worlds, DT)
    lives: list[list[tuple[Array, float]]] = [[] for _ in range(worlds)]
    for _ in range(12):
        data = rng.normal(size=(worlds, substeps, COLUMNS))
        held = rng.uniform(0, 0.6, size=worlds)
        monitor.update(Signals(TABLE, data, {"rate": held}))
        for world in range(worlds):
            lives[world].append((data[world], held[world]))
        done = np.flatnonzero(rng.random(worlds) < 0.3)
        found = monitor.finish(done)
        for row, world in enumerate(done.tolist()):
            data = np.concatenate([block for block, _ in lives[world]])[None]
            held = np.array([[value for _, value in lives[world]]])
            expected = offline(EVERY, data, held, substeps)
            same_bits(found[0][row], expected[0][0])
            same_bits(found[1][row], expected[1][0])
            lives[world] = []
        monitor.restart(done)


PLAIN = SignalTable({"x": Signal("x", "1"), "y": Signal("y", "1")}, {"x": slice(0, 1), "y": slice(1, 2)}, {})


@settings(max_examples=250, deadline=None)
@given(
    written=with_events.map(lambda formula: f"always {text(formula)}"),
    guard=st.none() | guards.map(text),
    cuts=st.lists(st.integers(1, 7), min_size=1, max_size=6),
    seed=st.integers(0, 10_000),
    live=st.booleans(),
)
def test_any_formula_streams_as_it_is_offline(
    written: str, guard: str | None, cuts: list[int], seed: int, live: bool
) -> None:
    """Random formulas and guards that look back and ahead, in blocks of changing length, beside worlds that stand still
    at times.
    """
    streams_as_offline(constraint(written, guard), cuts, seed, live, 0.01 * (seed % 3))


def streams_as_offline(
    rule: Constraint, cuts: Sequence[int], seed: int, live: bool, spoilt: float = 0.0
) -> None:
    """Margins and times of three worlds; a share of the numbers is `spoilt`."""
    rng = np.random.default_rng(seed)
    monitor = Monitor([rule], PLAIN, 3, 1.0, live=live)
    seen: list[list[Array]] = [[], [], []]
    for number, count in enumerate(cuts):
        block = rng.integers(-4, 5, size=(3, count, 2)) / 2.0
        block[rng.random(block.shape) < spoilt] = np.nan
        active = (rng.random(3) < 0.8) | (number == 0)
        monitor.update(Signals(PLAIN, block, {}), active)
        for world in np.flatnonzero(active).tolist():
            seen[world].append(block[world])
        if seed % 4 == 0 and number == 0:
            monitor.restart([1])
            seen[1] = []
    bound = bind_one(rule, PLAIN)
    before = monitor.worst.copy()
    for world in range(3):
        if not seen[world]:
            continue
        whole = np.concatenate(seen[world])[None]
        low, at = margin(bound.parts, bound.guard, {"x": whole[..., 0], "y": whole[..., 1]}, 1.0)
        found = monitor.finish([world])
        same_bits(found[0][0], low)
        same_bits(found[1][0], at)
        if monitor.undecided:
            assert before[world, 0] == -np.inf


blocks = st.lists(st.integers(1, 7), min_size=1, max_size=6)


@settings(max_examples=250, deadline=None)
@given(
    written=st.builds(
        "always ({}({} {} {}))".format,
        st.sampled_from(["", "not ", "once [0, 2] ", "x < 0 or ", "eventually [0, 1] "]),
        st.sampled_from(["(x < 1)", "(once [1, 2] (x < 1))", "(x < 1 since y < 1)"]),
        st.sampled_from(["since", "since [0, 2]", "since [1, 3]", "since [4, 9]", "until", "until [0, 2]", "until [1, 3]"]),
        st.sampled_from(["(y > -1)", "(historically [1, 2] (y > -1))"]),
    ),
    cuts=blocks,
    seed=st.integers(0, 10_000),
    live=st.booleans(),
    spoilt=st.sampled_from([0.02, 0.1, 0.3]),
)  # fmt: skip
def test_what_held_since_or_holds_until_streams_as_it_is_offline_among_nans(
    written: str, cuts: list[int], seed: int, live: bool, spoilt: float
) -> None:
    streams_as_offline(constraint(written), cuts, seed, live, spoilt)


@pytest.mark.parametrize("cuts", [[2], [1, 1]])
def test_a_nan_before_anything_could_have_been_held_has_no_part(cuts: list[int]) -> None:
    data = np.array([[[np.nan, 2.0], [2.0, 1.0]]])
    for operator in ("since", "since [0, 1]", "since [0, 5]"):
        monitor = Monitor([constraint(f"always ((x >= 0) {operator} (y > -1))")], PLAIN, 1, 1.0)
        for part in np.split(data, np.cumsum(cuts)[:-1], axis=1):
            monitor.update(Signals(PLAIN, part, {}))
        assert monitor.finish([0])[0].tolist() == [[2.0]]


LONG = [
    "always (once [0, 12] (x > 1))",
    "always (historically [3, 40] (x > -2) or x > y)",
    "always [9, 14] (once [7, 300] (y < 0))",
    "always (x < 1 since [0, 9] y > 0)",
    "always (x < 2 since [2, 300] y > 0)",
    "always (rate(x, 11) <= 0.1)",
    "always (total(abs(x), 7) <= 5 s)",
    "always (duty(x > y, 300) <= 0.01)",
    "always (rate(rate(total(x), 5), 60) <= 1)",
]


@settings(max_examples=150, deadline=None)
@given(
    written=st.sampled_from(LONG),
    cuts=blocks,
    seed=st.integers(0, 10_000),
    live=st.booleans(),
    first=st.integers(1, 4),
    spoilt=st.sampled_from([0.0, 0.0, 0.02]),
)
def test_room_that_grows_with_the_episode_changes_nothing(
    written: str, cuts: list[int], seed: int, live: bool, first: int, spoilt: float
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formula_past, "FIRST_KEPT", first)
        patch.setattr(formula_measures, "FIRST_KEPT", first)
        streams_as_offline(constraint(written), cuts, seed, live, spoilt)


def test_of_a_window_no_more_is_remembered_than_an_episode_has() -> None:
    rules = [
        constraint("always (once [0, 300] (force <= 1))", name="once"),
        constraint("always (force >= 0 since [0, 300] force > -1)", name="since"),
        constraint("always (rate(force, 300) <= 1)", name="rate"),
        constraint("always (duty(force > 1, 300) <= 1)", name="duty"),
    ]
    monitor = Monitor(rules, TABLE, 2, DT)
    parts = monitor._memory.parts
    for _ in range(3):
        for _ in range(150):
            monitor.update(Signals(TABLE, np.zeros((2, 10, COLUMNS)), {"rate": np.zeros(2)}))
        monitor.restart([0, 1])
    assert len(parts) == 4 and all(1500 <= part.kept <= 2 * 1500 for part in parts)


def test_now_is_the_last_block_and_worst_the_running_minimum() -> None:
    monitor = Monitor([constraint("always (force <= 10)")], TABLE, 2, DT)
    for forces, now, worst in [
        ([3, 7], 3.0, 3.0),
        ([1, 2], 8.0, 3.0),
        ([12, 0], -2.0, -2.0),
        ([0, 0], 10.0, -2.0),
    ]:
        data = np.zeros((2, 2, COLUMNS))
        data[0, :, 5] = forces
        monitor.update(Signals(TABLE, data, {}))
        np.testing.assert_array_equal(monitor.now[:, 0], [now, 10.0])
        np.testing.assert_array_equal(monitor.worst[:, 0], [worst, 10.0])
    margins, at_s = monitor.finish([0])
    assert (margins[0, 0], at_s[0, 0]) == (-2.0, 4 * DT)


def test_inactive_worlds_stand_still() -> None:
    monitor = Monitor([constraint("always (force <= 10)")], TABLE, 2, DT)
    bad = np.full((2, 3, COLUMNS), 99.0)
    monitor.update(Signals(TABLE, bad, {}), np.array([False, True]))
    assert monitor.finish([0, 1])[0].ravel().tolist() == [np.inf, -89.0]
    monitor.update(Signals(TABLE, bad, {}), np.array([True, True]))
    assert monitor.finish([0])[1].ravel().tolist() == [0.0]


def test_what_looks_ahead_is_undecided_until_the_end() -> None:
    monitor = Monitor(EVERY, TABLE, 1, DT, live=False)
    assert monitor.undecided == ("late", *[each.id for each in [*LATE, *EVENTS]])
    monitor.update(Signals(TABLE, np.zeros((1, 5, COLUMNS)), {"rate": np.zeros(1)}))
    late = [monitor.ids.index(name) for name in monitor.undecided]
    assert np.all(monitor.worst[0, late] == -np.inf)
    margins, _ = monitor.finish([0])
    same_bits(monitor.worst, margins)
    assert np.isfinite(margins[0, monitor.ids.index("lets-go")])


def test_live_a_window_is_decided_as_soon_as_it_has_passed() -> None:
    """Force above 1 must fall below 0.5 within 3 samples: broken from sample 2 on, known after sample 5."""
    monitor = Monitor([LATE[1], LATE[3]], TABLE, 1, DT, live=True)
    assert monitor.undecided == ("mixed",)
    seen = []
    for force in [0, 0, 2, 2, 2, 2, 0, 0]:
        data = np.zeros((1, 1, COLUMNS))
        data[..., 5] = force
        monitor.update(Signals(TABLE, data, {}))
        seen.append((monitor.now[0, 0], monitor.worst[0, 0]))
    inf = np.inf
    assert seen == [(inf, inf)] * 3 + [(1, 1), (1, 1), (-1, -1), (0.5, -1), (0.5, -1)]
    assert monitor.worst[0, 1] == -inf
    assert monitor.finish([0])[0].tolist() == [[-1.0, -1.0]]  # the force came no nearer to -1 than 0


@pytest.mark.wide
def test_a_robot_that_runs_for_long_keeps_a_short_record() -> None:
    rng = np.random.default_rng(2)
    data = rng.normal(size=(1, 2200, COLUMNS))
    rules = [each for each in EVERY if each.id not in ("mixed", "back-over-ahead")]
    monitor = Monitor(rules, TABLE, 1, DT, causal=True)
    assert monitor.not_monitored == () and monitor.undecided == ()
    held = np.zeros((1, 2200))
    for block in blocks_of(data, held, 1):
        monitor.update(block)
    assert monitor._recorder._traces.shape[2] == FIRST_CAPACITY
    expected = offline(rules, data, held, 1)
    found = monitor.finish([0])
    same_bits(found[0], expected[0])
    same_bits(found[1], expected[1])


def test_nan_in_a_counted_sample_is_minus_infinity_at_its_time() -> None:
    data = np.zeros((2, 6, COLUMNS))
    data[1, 4, 5] = np.nan
    monitor = Monitor(
        [constraint("always (force <= 10)"), constraint("eventually (force <= 10)", name="e")], TABLE, 2, DT
    )
    monitor.update(Signals(TABLE, data, {}))
    margins, at_s = monitor.finish([0, 1])
    assert margins.tolist() == [[10.0, 10.0], [-np.inf, -np.inf]]
    assert at_s[1, 0] == 4 * DT


def test_a_guard_that_never_holds_gives_infinity_and_no_time() -> None:
    monitor = Monitor([constraint("always (force <= 10)", "speed > 5")], TABLE, 1, DT)
    monitor.update(Signals(TABLE, np.ones((1, 6, COLUMNS)), {}))
    margins, at_s = monitor.finish([0])
    assert margins[0, 0] == np.inf and np.isnan(at_s[0, 0])


def test_long_episodes_grow_the_record() -> None:
    """Longer than the first capacity of the buffers, at K = 10."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(2, 2500, COLUMNS))
    held = rng.uniform(0, 0.6, size=(2, 250))
    monitor = Monitor(EVERY, TABLE, 2, DT)
    for block in blocks_of(data, held, 10):
        monitor.update(block)
    expected = offline(EVERY, data, held, 10)
    same_bits(monitor.finish([0, 1])[0], expected[0])


def test_a_running_robot_monitors_what_it_can_and_lists_the_rest() -> None:
    table = {name: TABLE[name] for name in ("force", "speed", "height")}
    monitor = Monitor(EVERY, table, 1, 0.02, causal=True)
    assert monitor.ids == ("never", "never-applies", "energy", "way", "since")
    assert dict(monitor.not_monitored) == {
        "speed": "no such signal: tcp.vel",
        "separation": "no such signal: distance, required",
        "two-parts": "no such signal: share, rate",
        "interval": "0.008 s is not a whole number of samples of 0.02 s: change the interval",
        "reacts": "0.002 s is not a whole number of samples of 0.02 s: change the interval",
        "lets-go": "0.006 s is not a whole number of samples of 0.02 s: change the interval",
        "until": "0.03 s is not a whole number of samples of 0.02 s: change the interval",
        "nested": "0.01 s is not a whole number of samples of 0.02 s: change the interval",
        "mixed": "it looks ahead to the end: it is decided after the episode",
        "once": "0.01 s is not a whole number of samples of 0.02 s: change the interval",
        "ever": "0.002 s is not a whole number of samples of 0.02 s: change the interval",
        "jerk": "no such signal: tcp.vel",
        "steep": "no such signal: rate",
        "duty": "0.012 s is not a whole number of samples of 0.02 s: change the interval",
        "late": "0.004 s is not a whole number of samples of 0.02 s: change the interval",
        "since-window": "no such signal: distance",
        "back-guard": "no such signal: rate",
        "after": "0.008 s is not a whole number of samples of 0.02 s: change the interval",
        "after-once": "0.002 s is not a whole number of samples of 0.02 s: change the interval",
        "back-over-ahead": "0.01 s is not a whole number of samples of 0.02 s: change the interval",
    }
    values = {"force": 3.0, "speed": 0.5, "height": 1.0}
    monitor.update({name: np.array([[value]]) for name, value in values.items()})
    assert monitor.now.tolist() == [[-1.0, np.inf, 0.05 - 0.02 * 1.5, 0.025 - 0.02 * 0.5, 2.5]]


def test_without_causal_an_absent_signal_is_an_error() -> None:
    with pytest.raises(UnknownName, match="unknown signal 'distance'"):
        Monitor(EVERY, {name: TABLE[name] for name in ("force", "speed", "height", "tcp.vel")}, 1, DT)


def test_no_constraints_is_no_work() -> None:
    monitor = Monitor([], TABLE, 3, DT)
    monitor.update(Signals(TABLE, np.zeros((3, 2, COLUMNS)), {}))
    assert monitor.finish([0, 2])[0].shape == (2, 0)
    assert monitor.worst.shape == (3, 0)


def test_a_constraint_is_named_when_its_formula_is_wrong() -> None:
    with pytest.raises(BadInput, match="constraint 'bad', formula: column 15: force is in N but height in m"):
        Monitor([constraint("always (force <= height)", name="bad")], TABLE, 1, DT)


def test_monitoring_a_block_is_cheap() -> None:
    """15 constraints, 231 worlds, 10 substeps: a few tenths of a millisecond; the bound leaves room for a busy machine."""
    monitor = Monitor([*IMMEDIATE, *IMMEDIATE[:4], *IMMEDIATE[:5]], TABLE, 231, DT)
    data = np.random.default_rng(0).normal(size=(231, 10, COLUMNS))
    held = np.zeros(231)
    durations = []
    for _ in range(60):
        block = Signals(TABLE, data, {"rate": held})
        start = time.perf_counter()
        monitor.update(block)
        durations.append(time.perf_counter() - start)
    assert np.min(durations) < 1.5e-3


def test_looking_back_is_cheap() -> None:
    """Windows of half a second (250 samples) in 231 worlds: their 10 substeps take some 20 ms to simulate on two
    threads.
    """
    rules = [
        constraint("always (once [0, 0.5] (force > 0.5))", name="once"),
        constraint("always (force < 2 since [0, 0.5] force > 0)", name="since-window"),
        constraint("always (force < 2 since force > 0)", name="since"),
        constraint("always (force < 2)", "once [0.1, 0.5] (height > 1.5)", name="back-guard"),
    ]
    monitor = Monitor(rules, TABLE, 231, DT)
    data = np.random.default_rng(0).normal(size=(231, 10, COLUMNS))
    durations = []
    for _ in range(60):
        start = time.perf_counter()
        monitor.update(Signals(TABLE, data, {}))
        durations.append(time.perf_counter() - start)
    assert np.min(durations) < 3e-3
