"""Formulas: rtamt is the oracle of robustness, a boolean evaluator that of guards and of the sign."""

import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from genba.envs.errors import BadInput, UnknownName
from genba.envs.signals import Signal
from genba.safety.formula import (
    check_formula,
    check_guard,
    check_windows,
    holds,
    names,
    parse,
    robustness,
    text,
)
from genba.safety.formula_eval import TINY
from genba.safety.formula_nothing import settled
from genba.safety.formula_parts import margin, split
from genba.safety.formula_tree import (
    After,
    Arithmetic,
    Call,
    Comparison,
    Formula,
    Junction,
    Name,
    Not,
    Number,
    Since,
    Temporal,
    Until,
    is_temporal,
)
from genba.safety.units import parse_unit

with warnings.catch_warnings():  # its parser runtime imports what Python has deprecated
    warnings.simplefilter("ignore")
    import rtamt

Array = NDArray[np.float64]
Trace = dict[str, Array]

TABLE = {
    "tcp.speed": Signal("tcp.speed", "m/s"),
    "tcp.vel": Signal("tcp.vel", "m/s", (3,)),
    "tcp.pos": Signal("tcp.pos", "m", (3,)),
    "worker.distance": Signal("worker.distance", "m"),
    "separation.required": Signal("separation.required", "m"),
    "grip.force": Signal("grip.force", "N"),
    "arm.q": Signal("arm.q", "rad", (7,)),
    "arm.torque": Signal("arm.torque", "N*m", (7,)),
    "arm.share": Signal("arm.share", "1", (7,)),
    "part.shape": Signal("part.shape", "1"),
    "part.axis": Signal("part.axis", "1", (3, 2)),
}

# ---- random formulas

numbers = st.integers(-4, 4).map(lambda n: Number(n / 2) if n >= 0 else Call("neg", (Number(-n / 2),)))
leaves = st.sampled_from([Name("x"), Name("y")])
expressions = st.recursive(
    leaves | numbers,
    lambda inner: (
        st.builds(Arithmetic, st.sampled_from("+-*"), inner, inner)
        | st.builds(lambda a: Call("abs", (a,)), inner)
        | st.builds(lambda a: Call("neg", (a,)), inner)
    ),
    max_leaves=4,
)
comparisons = st.builds(Comparison, st.sampled_from(["<=", ">=", "<", ">"]), expressions | leaves, leaves)
intervals = st.none() | st.tuples(st.integers(0, 4), st.integers(0, 6)).map(
    lambda t: (float(t[0]), float(t[0] + t[1]))
)
formulas = st.recursive(
    comparisons,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(Junction, st.sampled_from(["and", "or", "implies"]), inner, inner)
        | st.builds(
            Temporal, st.sampled_from(["always", "eventually", "once", "historically"]), inner, intervals
        )
        | st.builds(Until, inner, inner, intervals)
        | st.builds(Since, inner, inner, intervals)
    ),
    max_leaves=6,
)
guards = st.recursive(
    st.builds(Comparison, st.sampled_from(["<=", ">=", "<", ">", "==", "!="]), expressions, leaves),
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(Junction, st.sampled_from(["and", "or", "implies"]), inner, inner)
        | st.builds(Temporal, st.sampled_from(["once", "historically"]), inner, intervals)
        | st.builds(Since, inner, inner, intervals)
    ),
    max_leaves=5,
)
with_events = st.recursive(
    formulas,
    lambda inner: (
        st.builds(After, inner, guards, intervals.filter(lambda found: found is not None))
        | st.builds(Junction, st.sampled_from(["and", "or", "implies"]), inner, inner)
        | st.builds(
            Temporal, st.sampled_from(["always", "eventually", "once", "historically"]), inner, intervals
        )
    ),
    max_leaves=3,
)
values = st.integers(-6, 6).map(lambda n: n / 2)


def traces(worlds: int, shortest: int = 1) -> st.SearchStrategy[Trace]:
    length = st.shared(st.integers(shortest, 14), key="length")
    one = length.flatmap(
        lambda n: st.lists(st.lists(values, min_size=n, max_size=n), min_size=worlds, max_size=worlds)
    )
    return st.fixed_dictionaries({"x": one, "y": one}).map(
        lambda trace: {name: np.array(rows, dtype=float) for name, rows in trace.items()}
    )


def in_rtamt(formula: Formula, trace: dict[str, Array]) -> Array:
    """rtamt's robustness of one world, one sample a second."""
    specification = rtamt.StlDiscreteTimeSpecification()
    for name in ("x", "y"):
        specification.declare_var(name, "float")
    specification.spec = as_rtamt(formula)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        specification.parse()
        data = {"time": list(range(len(trace["x"]))), **{name: list(row) for name, row in trace.items()}}
        return np.array([value for _, value in specification.evaluate(data)])


def as_rtamt(node: Any) -> str:
    match node:
        case Number(value=value):
            return f"{value:.6f}"
        case Name(name=name):
            return name
        case Call(function=function, arguments=(only,)):
            return f"abs({as_rtamt(only)})" if function == "abs" else f"(0.0 - {as_rtamt(only)})"
        case Not(operand=operand):
            return f"(not({as_rtamt(operand)}))"
        case Temporal(operator=operator, operand=operand, interval=interval):
            return f"({operator}{between(interval)}({as_rtamt(operand)}))"
        case Until(left=left, right=right, interval=interval):
            return f"(({as_rtamt(left)}) until{between(interval)} ({as_rtamt(right)}))"
        case Since(left=left, right=right, interval=interval):
            return f"(({as_rtamt(left)}) since{between(interval)} ({as_rtamt(right)}))"
    return f"(({as_rtamt(node.left)}) {node.operator} ({as_rtamt(node.right)}))"


def between(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"[{interval[0]:.0f}:{interval[1]:.0f}]"


@settings(max_examples=300, deadline=None)
@given(formula=formulas, trace=traces(1, shortest=2))  # rtamt measures its period between samples
def test_robustness_equals_rtamt(formula: Formula, trace: Trace) -> None:
    one = {name: rows[0] for name, rows in trace.items()}
    expected = in_rtamt(formula, one)
    for found in (robustness(formula, trace, dt=1.0)[0], robustness(formula, one, dt=1.0)):
        np.testing.assert_array_equal(np.where(np.abs(found) == TINY, 0.0, found), expected)


def number(expression: Any, trace: Trace, world: int, sample: int) -> float:
    """An expression's value at one sample."""
    match expression:
        case Number(value=value):
            return value
        case Name(name=name):
            return float(trace[name][world, sample])
        case Call(function=function, arguments=(only,)):
            inner = number(only, trace, world, sample)
            return abs(inner) if function == "abs" else -inner
    left, right = (number(side, trace, world, sample) for side in (expression.left, expression.right))
    return {"+": left + right, "-": left - right, "*": left * right}[expression.operator]


def by_the_book(node: Any, trace: Trace, world: int, sample: int) -> float:
    """Robustness by the textbook's recursion, one sample at a time: slow and obviously right."""
    length = trace["x"].shape[1]

    def at(formula: Any, when: int) -> float:
        return by_the_book(formula, trace, world, when)

    def ahead(interval: tuple[float, float] | None) -> range:
        begin, end = (0, length) if interval is None else map(int, interval)
        return range(sample + begin, min(sample + end + 1, length))

    def behind(interval: tuple[float, float] | None) -> range:
        begin, end = (0, length) if interval is None else map(int, interval)
        return range(max(sample - end, 0), sample - begin + 1)

    match node:
        case Not(operand=operand):
            return -at(operand, sample) or -TINY
        case Junction(operator=operator):
            left, right = at(node.left, sample), at(node.right, sample)
            denied = -left or -TINY
            return {"and": min(left, right), "or": max(left, right), "implies": max(denied, right)}[operator]
        case Temporal(operator="always"):
            return min((at(node.operand, when) for when in ahead(node.interval)), default=np.inf)
        case Temporal(operator="eventually"):
            return max((at(node.operand, when) for when in ahead(node.interval)), default=-np.inf)
        case Temporal(operator="historically"):
            return min((at(node.operand, when) for when in behind(node.interval)), default=np.inf)
        case Temporal(operator="once"):
            return max((at(node.operand, when) for when in behind(node.interval)), default=-np.inf)
        case Until(left=left, right=right):
            reached = (
                min([at(right, when), *(at(left, before) for before in range(sample, when))])
                for when in ahead(node.interval)
            )
            return max(reached, default=-np.inf)
        case Since(left=left, right=right):
            reached = (
                min([at(right, when), *(at(left, later) for later in range(when + 1, sample + 1))])
                for when in behind(node.interval)
            )
            return max(reached, default=-np.inf)
        case After(left=response, right=event, interval=interval):
            begins = is_true(event, trace, world, sample) and (
                sample == 0 or not is_true(event, trace, world, sample - 1)
            )
            if not begins or sample + interval[1] > length - 1:
                return np.inf
            return max(at(response, when) for when in ahead(interval))
    left, right = (number(side, trace, world, sample) for side in (node.left, node.right))
    apart = left - right if node.operator in (">=", ">") else right - left
    return apart or -TINY if node.operator in ("<", ">") else apart


@settings(max_examples=150, deadline=None)
@given(formula=with_events, trace=traces(2))
def test_robustness_equals_the_textbook(formula: Formula, trace: Trace) -> None:
    found = robustness(formula, trace, dt=1.0)
    expected = [
        [by_the_book(formula, trace, world, sample) for sample in range(found.shape[1])] for world in range(2)
    ]
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=150, deadline=None)
@given(formula=formulas, trace=traces(3))
def test_robustness_has_the_sign_of_a_boolean_evaluation(formula: Formula, trace: Trace) -> None:
    found = robustness(formula, trace, dt=1.0)
    for world in range(3):
        for sample in range(found.shape[1]):
            assert (found[world, sample] >= 0.0) == is_true(formula, trace, world, sample)


@pytest.mark.parametrize(
    "written",
    [
        "always (held < 1)",
        "always (not (held >= 1))",
        "always (held >= 1 implies speed <= -1)",
        "always (held <= 0)",
    ],
)
def test_a_limit_on_a_flag_is_violated_where_the_flag_is_on_its_boundary(written: str) -> None:
    """Signals of 0 and 1, and counts: what a reviewer would write of them."""
    trace = {"held": np.array([0.0, 1.0, 0.0]), "speed": np.zeros(3)}
    assert robustness(parse(written), trace, dt=1.0)[0] < 0.0
    trace["held"][1] = 0.0
    assert robustness(parse(written), trace, dt=1.0)[0] >= 0.0


@settings(max_examples=150, deadline=None)
@given(guard=guards, trace=traces(2))
def test_a_guard_is_boolean_logic(guard: Formula, trace: Trace) -> None:
    found = holds(guard, trace)
    expected = [
        [is_true(guard, trace, world, sample) for sample in range(found.shape[1])] for world in range(2)
    ]
    np.testing.assert_array_equal(found > 0, expected)
    assert set(np.unique(np.sign(found))) <= {-1.0, 1.0}


def is_true(node: Any, trace: Trace, world: int, sample: int) -> bool:
    """Plain recursion over booleans, one sample at a time: slow and obviously right."""

    def at(formula: Formula, when: int) -> bool:
        return is_true(formula, trace, world, when)

    def window(interval: tuple[float, float] | None, back: bool = False) -> range:
        length = trace["x"].shape[1]
        begin, end = (0, length) if interval is None else map(int, interval)
        if back:
            return range(max(sample - end, 0), sample - begin + 1)
        return range(sample + begin, min(sample + end + 1, length))

    match node:
        case Comparison(operator=operator):
            left, right = (number(side, trace, world, sample) for side in (node.left, node.right))
            return {
                "<=": left <= right, ">=": left >= right, "<": left < right, ">": left > right,
                "==": left == right, "!=": left != right,
            }[operator]  # fmt: skip
        case Not(operand=operand):
            return not at(operand, sample)
        case Junction(operator=operator):
            left, right = at(node.left, sample), at(node.right, sample)
            return {"and": left and right, "or": left or right, "implies": not left or right}[operator]
        case Temporal(operator="always" | "historically" as operator, operand=operand, interval=interval):
            return all(at(operand, when) for when in window(interval, operator == "historically"))
        case Temporal(operator=operator, operand=operand, interval=interval):
            return any(at(operand, when) for when in window(interval, operator == "once"))
        case Since():
            return any(
                at(node.right, when) and all(at(node.left, later) for later in range(when + 1, sample + 1))
                for when in window(node.interval, back=True)
            )
    return any(
        at(node.right, when) and all(at(node.left, before) for before in range(sample, when))
        for when in window(node.interval)
    )


@settings(max_examples=200, deadline=None)
@given(formula=with_events)
def test_text_of_a_formula_parses_to_the_same_formula(formula: Formula) -> None:
    assert parse(text(formula)) == formula


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="xy19. ()[]<>=+-*/,alwysndorimpeutv&", max_size=40) | st.text(max_size=20))
def test_no_text_makes_the_parser_crash(anything: str) -> None:
    try:
        parse(anything)
    except BadInput as error:
        assert "\n" not in str(error)


# ---- reading


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("not x < 1 and y < 1", "(not (x < 1)) and (y < 1)"),
        ("x < 1 or y < 1 and z < 1", "(x < 1) or ((y < 1) and (z < 1))"),
        ("x < 1 implies y < 1 implies z < 1", "(x < 1) implies ((y < 1) implies (z < 1))"),
        ("always x < 1 and y < 1", "(always (x < 1)) and (y < 1)"),
        ("x < 1 until y < 1 and z < 1", "((x < 1) until (y < 1)) and (z < 1)"),
        ("1 + 2 * x - y / 2 < -3", "((1 + (2 * x)) - (y / 2)) < (-3)"),
        ("0 <= x <= 1", "(0 <= x) and (x <= 1)"),
        ("eventually [0, 0.5 s] x > 2", "eventually [0, 0.5] (x > 2)"),
        ("x - -y < 1", "(x - (-y)) < 1"),
        ("x < 1 since [0, 2] y < 1 and z < 1", "((x < 1) since [0, 2] (y < 1)) and (z < 1)"),
        (
            "not once [0, 1] x < 1 or historically y < 1",
            "(not (once [0, 1] (x < 1))) or (historically (y < 1))",
        ),
        ("always (x < 1 within [0, 0.5 s] after y > 1)", "always ((x < 1) within [0, 0.5] after (y > 1))"),
    ],
)
def test_binding_strength(written: str, meant: str) -> None:
    assert parse(written) == parse(meant)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("alway (x <= 1)",
         "column 1: expected one of the functions abs, min, max, norm, rate, total, duty or an operator, found "
         "'alway'. Did you mean always?"),
        ("alwyas x <= 1", "column 8: expected an operator or the end, found 'x'. Did you mean always?"),
        ("x <=", "column 5: expected a signal, a number or '(', found the end"),
        ("x & y", "column 3: '&' cannot stand in a formula. Did you mean 'and'?"),
        ("(x <= 1", "column 8: expected ')', found the end"),
        ("x + 1", "column 1: expected a comparison such as (x + 1.0) <= 1, found (x + 1.0)"),
        ("(x < 1) + 2 < 3", "column 2: expected a signal or a number, found (x < 1.0)"),
        ("always [3, 1] x < 1", "column 8: the interval [3, 1] ends before it begins"),
        ("always [-1, 1] x < 1", "column 9: expected a time in seconds, at least 0, found '-'"),
        ("always [0, 1 m] x < 1", "column 12: expected a time in seconds, at least 0, found '1'"),
        ("x <= 10 mm", "column 9: expected a unit such as m, s, kg, rad, N, an operator or the end, found 'mm'"),
        ("x < 1 within after y < 1", "column 14: expected an interval in seconds, such as [0, 0.5], found 'after'"),
        ("x < 1 within [0, 1] y < 1", "column 21: expected 'after' and an event, found 'y'"),
        ("x < 1 until y < 1 since z < 1",
         "column 19: expected parentheses around one of 'until' and 'since', found 'since'"),
        ("x[1.5] < 1", "column 3: expected an index 0, 1, 2, ..., found '1.5'"),
        ("duty(x > 1) < 1", "column 1: duty takes a formula and a time in seconds, such as duty(x, 0.5)"),
        ("rate(x, y) < 1", "column 1: rate takes a signal and a time in seconds, such as rate(x, 0.5)"),
        ("total(x, 0) < 1", "column 1: total takes a signal and a time in seconds, such as total(x, 0.5)"),
        ("rate(x > 1) < 1", "column 6: expected a signal or a number, found (x > 1.0)"),
        ("abs(x, y) < 1", "column 1: abs takes one argument, found 2"),
        ("", "column 1: expected a signal, a number or '(', found the end"),
        ("(" * 99, "column 61: nested deeper than 60 levels: split the formula"),
        ("x" + " + x" * 999 + " < 1", "the formula has 2002 words and signs; at most 400 are read: split it"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_where_and_what_was_meant(written: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(written)
    assert str(caught.value) == message


# ---- units and shapes


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("always (tcp.speed <= 1.0)", "m/s"),
        ("always (tcp.speed <= 1.0 m/s)", "m/s"),
        ("always (worker.distance - separation.required >= 0)", "m"),
        ("always (norm(tcp.vel) <= 0.5 * tcp.speed)", "m/s"),
        ("always (norm(tcp.pos - 0.1) <= 2 s * tcp.speed)", "m"),
        ("always (max(abs(arm.q)) < 3)", "rad"),
        ("always (arm.torque[6] / 0.1 m <= 3 * grip.force)", "N"),
        ("always (max(arm.share) <= 1)", "1"),
        ("always (min(tcp.speed, tcp.vel[0], 2) <= 1)", "m/s"),
        ("always (part.axis[2][0] > 0)", "1"),
        ("eventually [0, 2] (tcp.pos[2] > 0.1 and worker.distance > 1)", "m"),
        ("always (grip.force * tcp.speed <= 80 W)", "N*m/s"),
        ("always (norm(rate(rate(tcp.vel))) <= 50)", "m/s^3"),
        ("always (total(grip.force * tcp.speed) <= 80 J)", "N*m"),
        ("always (total(tcp.speed, 2) <= 1 m)", "m"),
        ("always (duty(max(arm.share) > 0.95 and grip.force > 1, 10 s) <= 0.3)", "1"),
    ],
)
def test_a_formula_has_one_unit(written: str, unit: str) -> None:
    assert check_formula(parse(written), TABLE) == unit


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("always (tcp.speed <= 1 implies worker.distance >= 1)",
         "column 48: (worker.distance >= 1.0) is in m but (tcp.speed <= 1.0) (column 19) in m/s; a formula has one unit: "
         "move one to `when` or make two constraints"),
        ("always (tcp.speed <= worker.distance)",
         "column 19: tcp.speed is in m/s but worker.distance in m: they cannot be added or compared"),
        ("always (tcp.speed <= 1 m)", "column 19: tcp.speed is in m/s but 1.0 m in m: they cannot be added or compared"),
        ("always (tcp.speed + grip.force <= 1)",
         "column 19: tcp.speed is in m/s but grip.force in N: they cannot be added or compared"),
        ("always (arm.q[0] <= part.shape)",
         "column 18: arm.q[0] is in rad but part.shape in 1: they cannot be added or compared"),
        ("always (tcp.vel <= 1)",
         "column 17: tcp.vel has shape (3,); compare one number: index it ([0]), or take norm(), min() or max()"),
        ("always (norm(tcp.speed) <= 1)", "column 9: norm() of one argument takes a vector, but tcp.speed has shape ()"),
        ("always (arm.q[7] <= 1)", "column 9: arm.q[7] is out of range: 'arm.q' has shape (7,), counted from 0 to 6"),
        ("always (tcp.speed[0] <= 1)", "column 9: tcp.speed[0] has too many indices: 'tcp.speed' has shape ()"),
        ("always (norm(tcp.vel + arm.q) <= 1)",
         "column 22: tcp.vel is in m/s but arm.q in rad: they cannot be added or compared"),
        ("always (max(tcp.pos * arm.share) <= 1)", "column 21: shapes (3,) and (7,) do not fit together"),
        ("always (1 <= 2)", "column 11: no signal in (1.0 <= 2.0): nothing is compared"),
        ("always (1 m <= 2 m)", "column 13: no signal in (1.0 m <= 2.0 m): nothing is compared"),
        ("always (duty(1 m <= 2 m, 1) <= 0.5)", "column 18: no signal in (1.0 m <= 2.0 m): nothing is compared"),
        ("always (tcp.speed <= 1 m/s / 0)", "column 28: (1.0 m/s / 0.0) is no finite number: nothing could exceed it"),
        ("always (tcp.speed <= 1e308 m/s * 10)", "column 32: (1e+308 m/s * 10.0) is no finite number: nothing could exceed it"),
        ("always (part.shape == 1)",
         "column 20: '==' has no margin: use <= or >=, or move it to `when`"),
    ],
)  # fmt: skip
def test_units_and_shapes_that_do_not_fit_are_named(written: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_formula(parse(written), TABLE)
    assert str(caught.value) == message


def test_an_event_is_in_any_units_and_looks_back_only() -> None:
    """The margin is the response's; what the event compares is true or false."""
    written = "always (tcp.speed <= 0.02 m/s within [0, 0.2] after (grip.force > 5 N or part.shape == 2))"
    assert check_formula(parse(written), TABLE) == "m/s"
    assert (
        check_formula(parse("always (tcp.speed < 1 within [0, 1] after once [0, 2] arm.q[0] > 1)"), TABLE)
        == "m/s"
    )
    with pytest.raises(BadInput, match="column 43: an event may look back, not ahead"):
        check_formula(parse("always (tcp.speed < 1 within [0, 1] after eventually grip.force > 1)"), TABLE)
    with pytest.raises(BadInput, match="grip.force is in N but tcp.speed in m/s"):
        check_formula(parse("always (tcp.speed < 1 within [0, 1] after grip.force > tcp.speed)"), TABLE)


def test_an_event_counts_where_it_begins_if_its_time_is_not_cut() -> None:
    trace = {"x": np.array([5.0, 4, 3, 2, 1, 0, 9, 9]), "e": np.array([1.0, 1, 0, 1, 1, 0, 0, 1])}
    found = robustness(parse("x <= 2.5 within [0, 2] after e > 0"), trace, 1.0)
    np.testing.assert_array_equal(found, [-0.5, np.inf, np.inf, 2.5, np.inf, np.inf, np.inf, np.inf])


def test_an_unknown_signal_lists_the_closest() -> None:
    with pytest.raises(UnknownName, match=r"unknown signal 'tcp.sped'. Did you mean tcp.speed"):
        check_formula(parse("always (tcp.sped <= 1)"), TABLE)


def test_a_guard_may_mix_units_but_not_look_ahead() -> None:
    check_guard(parse("tcp.speed > 0.02 and part.shape == 2 and worker.distance < 1"), TABLE)
    with pytest.raises(BadInput, match="column 22: `when` may look back, not ahead: no always"):
        check_guard(parse("tcp.speed > 0.02 and always worker.distance < 1"), TABLE)


@pytest.mark.parametrize(
    ("one", "other"), [("N*m", "kg*m^2/s^2"), ("m/s2", "m / s^2"), ("N", "J/m"), ("Hz", "1/s"), ("1", "m/m")]
)
def test_equal_units(one: str, other: str) -> None:
    assert parse_unit(one) == parse_unit(other)


@pytest.mark.parametrize("wrong", ["", "m/", "/s", "m s", "3 m", "m**"])
def test_what_is_no_unit(wrong: str) -> None:
    with pytest.raises(BadInput, match="is not a unit"):
        parse_unit(wrong) if wrong != "m s" else parse_unit("m//s")


# ---- values


def test_vectors_functions_and_indices() -> None:
    rng = np.random.default_rng(1)
    trace = {
        "v": rng.normal(size=(4, 9, 3)),
        "s": rng.normal(size=(4, 9)),
        "m": rng.normal(size=(4, 9, 3, 2)),
    }
    length = np.sqrt((trace["v"] ** 2).sum(-1))
    np.testing.assert_allclose(robustness(parse("norm(v) <= 2"), trace, 1.0), 2 - length, rtol=1e-14)
    np.testing.assert_array_equal(
        robustness(parse("max(abs(v)) < s"), trace, 1.0), trace["s"] - abs(trace["v"]).max(-1)
    )
    np.testing.assert_array_equal(
        robustness(parse("m[2][1] > v[0]"), trace, 1.0), trace["m"][..., 2, 1] - trace["v"][..., 0]
    )
    np.testing.assert_array_equal(
        robustness(parse("min(v * s - 1) > max(s, v[1], 0.5)"), trace, 1.0),
        (trace["v"] * trace["s"][..., None] - 1).min(-1)
        - np.maximum(np.maximum(trace["s"], trace["v"][..., 1]), 0.5),
    )
    one = {name: array[2] for name, array in trace.items()}
    for written in ("norm(v) <= 2", "min(v * s - 1) > max(v[2], 0.5)", "m[2][1] > v[0]"):
        np.testing.assert_array_equal(
            robustness(parse(written), one, 1.0), robustness(parse(written), trace, 1.0)[2]
        )


def test_measures_of_what_a_signal_did_so_far() -> None:
    rng = np.random.default_rng(3)
    trace = {
        "x": rng.normal(size=(2, 30)),
        "v": rng.normal(size=(2, 30, 3)),
        "p": np.abs(rng.normal(size=(2, 30))),
    }
    dt, x, v = 0.5, trace["x"], trace["v"]
    earlier = np.concatenate([np.repeat(x[:, :1], 4, axis=1), x[:, :-4]], axis=1)
    np.testing.assert_allclose(robustness(parse("rate(x, 2) >= 0"), trace, dt), (x - earlier) / 2.0)
    change = np.diff(v, axis=1, prepend=v[:, :1]) / dt
    jerk = np.sqrt((np.diff(change, axis=1, prepend=change[:, :1]) ** 2).sum(-1)) / dt
    np.testing.assert_allclose(robustness(parse("norm(rate(rate(v))) >= 0"), trace, dt), jerk)
    energy = np.cumsum(trace["p"], axis=1) * dt
    np.testing.assert_allclose(robustness(parse("total(p) >= 0"), trace, dt), energy)
    for world, sample in ((0, 2), (1, 29)):
        last = slice(max(sample - 3, 0), sample + 1)  # 2 s
        found = robustness(parse("total(p, 2) >= 0"), trace, dt)[world, sample]
        assert found == pytest.approx(trace["p"][world, last].sum() * dt)
        found = robustness(parse("duty(x > 0.2 or p > 1, 2) >= 0"), trace, dt)[world, sample]
        assert (
            found == np.mean((x[world, last] > 0.2) | (trace["p"][world, last] > 1)) * len(x[world, last]) / 4
        )


def test_the_rate_of_a_parabola_is_its_slope() -> None:
    time = np.arange(200) * 0.002
    found = robustness(parse("rate(x, 0.004) >= 0"), {"x": 3.0 * time**2}, 0.002)
    np.testing.assert_allclose(found[2:], 6.0 * (time[2:] - 0.002), rtol=1e-9)


BACK = "a window that begins 0.5 s back is over nothing at the start of every episode"
AHEAD = "a window that begins 0.5 s ahead is over nothing at the end of every episode"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("always (once [0.5, 1] x < 1)", f"column 9: {BACK}"),
        ("always (x < 1 since [0.5, 1] y < 1)", f"column 15: {BACK}"),
        ("always (not historically [0.5, 1] x < 1)", f"column 13: {BACK}"),
        ("always (not always [0.5, 1] x < 1)", f"column 13: {AHEAD}"),
        ("always (x < 1 implies eventually [0.5, 1] y < 1)", f"column 23: {AHEAD}"),
        ("not eventually (historically [0.5, 1] x < 1)", f"column 17: {BACK}"),
        ("always [0, 1] (x < 1 and once [0.5, 1] y < 1)", f"column 26: {BACK}"),
        ("always x < 1 and always (once [0.5, 1] x < 1 or x < 1 since [0.5, 2] y < 1)", f"column 26: {BACK}"),
        ("always ((eventually [0, 1] x < 1) since [0.5, 1] x < 1)", f"column 35: {BACK}"),
        ("always (historically (x < 1 and not (always [0.5, 1] y < 1)))", f"column 38: {AHEAD}"),
        ("always [0, 2] (always (not always [0.5, 1] x < 1))", f"column 28: {AHEAD}"),
        ("always (not (x < 1 within [0, 1] after y < 1))", "column 20: what is asked after an event holds"),
        ("always (always [0, 2] (once [0.5, 1] x < 1))", f"column 24: {BACK}"),
    ],
)  # fmt: skip
def test_a_window_that_is_over_nothing_in_every_episode_is_refused(written: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_windows(parse(written))
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)
    check_windows(parse(written), guarded=True)


@pytest.mark.parametrize(
    "written",
    [
        "always (x < 1 or once [0.5, 1] y < 1)",
        "always [0.5, 3] (once [0.5, 1] x < 1)",
        "always [0.5, 3] (eventually [0.5, 1] x < 1)",
        "eventually [2, 3] x < 1",
        "x < 1 until [2, 3] y < 1",
        "eventually (once [0.5, 1] x < 1)",
        "always (historically [0.5, 1] x < 1)",
        "always (always [0.5, 1] x < 1)",
        "always (once [0, 1] x < 1 since y < 1)",
        "always (x < 1 within [0.5, 1] after y < 1)",
        "always (x < 1 implies historically [0.5, 1] y < 1)",
        "always (once [0.5, 1] x < 1 implies y < 1)",
    ],
)
def test_a_window_that_some_episode_fills_is_not_refused(written: str) -> None:
    check_windows(parse(written))


def test_a_guard_may_look_back_past_the_start() -> None:
    check_windows(parse("once [0.5, 1] x < 1 and not y < 1"))


@pytest.mark.wide
@settings(max_examples=400, deadline=None)
@given(formula=with_events, trace=traces(2))
def test_what_is_settled_over_nothing_is_so_in_every_trace(formula: Formula, trace: Trace) -> None:
    found = robustness(formula, trace, 1.0)
    for end in (False, True):
        value = settled(formula, end)
        if value is not None:
            assert (found[:, -1 if end else 0] == (np.inf if value[0] else -np.inf)).all()


def test_an_interval_must_fall_on_samples() -> None:
    trace = {"x": np.zeros(10)}
    assert robustness(parse("always [0, 0.3] x < 1"), trace, dt=0.1).shape == (10,)
    with pytest.raises(BadInput, match=r"0.25 s is not a whole number of samples of 0.1 s"):
        robustness(parse("always [0, 0.25] x < 1"), trace, dt=0.1)


def test_windows_are_cut_at_the_end_of_the_trace() -> None:
    trace = {"x": np.array([3.0, 1.0, 2.0])}
    np.testing.assert_array_equal(robustness(parse("always [1, 2] x > 0"), trace, 1.0), [1.0, 2.0, np.inf])
    np.testing.assert_array_equal(
        robustness(parse("eventually [1, 2] x > 0"), trace, 1.0), [2.0, 2.0, -np.inf]
    )


@settings(max_examples=100, deadline=None)
@given(formula=formulas, trace=traces(1), spot=st.integers(0, 13), name=st.sampled_from(["x", "y"]))
def test_nan_never_makes_a_formula_look_better(formula: Formula, trace: Trace, spot: int, name: str) -> None:
    """A NaN result, or the same as for any value in its place."""
    spoilt = {key: rows.copy() for key, rows in trace.items()}
    spoilt[name][0, spot % trace["x"].shape[1]] = np.nan
    found = robustness(formula, spoilt, 1.0)[0]
    for instead in (-50.0, 0.0, 50.0):
        filled = {key: np.where(np.isnan(rows), instead, rows) for key, rows in spoilt.items()}
        expected = robustness(formula, filled, 1.0)[0]
        certain = ~np.isnan(found)
        np.testing.assert_array_equal(found[certain], expected[certain])


def test_long_traces_take_time_in_proportion() -> None:
    """A window of half a trace of 200,000 samples is as cheap as a narrow one."""
    trace = {"x": np.random.default_rng(0).normal(size=(1, 200_000))}
    found = robustness(parse("always [0, 100000] (x < 9 until [10, 99999] x > 1)"), trace, 1.0)
    assert found.shape == (1, 200_000)


# ---- margins of whole traces


def test_a_guarded_always_counts_the_samples_where_the_guard_holds() -> None:
    trace = {"d": np.array([[5.0, -1.0, 2.0, 3.0]]), "v": np.array([[1.0, 0.0, 1.0, 1.0]])}
    formula = parse("always (d >= 0)")
    assert margin(split(formula), None, trace, 0.5) == (np.array([-1.0]), np.array([0.5]))
    low, at = margin(split(formula), parse("v > 0.5"), trace, 0.5)
    assert (low[0], at[0]) == (2.0, 1.0)
    low, at = margin(split(formula), parse("v > 9"), trace, 0.5)
    assert low[0] == np.inf and np.isnan(at[0])


def test_a_guarded_eventually_holds_from_wherever_the_guard_holds() -> None:
    trace = {"z": np.array([[0.0, 0.0, 2.0, 0.0, 0.0, 0.0]]), "g": np.array([[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]])}
    formula = split(parse("eventually [0, 2] z >= 1"))
    assert margin(formula, None, trace, 1.0)[0][0] == 1.0
    low, at = margin(formula, parse("g > 0.5"), trace, 1.0)
    assert (low[0], at[0]) == (-1.0, 3.0)


@pytest.mark.parametrize("spoilt", ["d", "v"])
def test_nan_where_the_guard_holds_or_in_the_guard_is_a_violation(spoilt: str) -> None:
    trace = {"d": np.array([[5.0, 4.0, 6.0]]), "v": np.array([[1.0, 1.0, 0.0]])}
    trace[spoilt][0, 1] = np.nan
    low, at = margin(split(parse("always (d >= 0)")), parse("v > 0.5"), trace, 1.0)
    assert (low[0], at[0]) == (-np.inf, 1.0)


def test_nan_where_the_guard_is_off_does_not_count() -> None:
    trace = {"d": np.array([[5.0, np.nan]]), "v": np.array([[1.0, 0.0]])}
    assert margin(split(parse("always (d >= 0)")), parse("v > 0.5"), trace, 1.0)[0][0] == 5.0


@settings(max_examples=60, deadline=None)
@given(formula=formulas.filter(is_temporal), trace=traces(2))
def test_without_a_guard_the_margin_is_the_robustness_of_the_first_sample(
    formula: Formula, trace: Trace
) -> None:
    try:
        parts = split(formula)
    except BadInput:
        return
    np.testing.assert_array_equal(margin(parts, None, trace, 1.0)[0], robustness(formula, trace, 1.0)[:, 0])


@pytest.mark.parametrize(
    "written",
    [
        "x <= 1", "always x <= 1 and y >= 2", "not x <= 1 or eventually y <= 1", "once x <= 1",
        "x <= 1 since y <= 1", "x <= 1 within [0, 1] after y <= 1",
    ],
)  # fmt: skip
def test_a_comparison_that_only_the_first_sample_could_break_is_refused(written: str) -> None:
    with pytest.raises(BadInput, match="first sample only: write always"):
        split(parse(written))


def test_the_judge_of_a_running_robot_needs_numpy_only() -> None:
    code = (
        "import sys, genba.safety.formula, genba.safety.monitor, genba.safety.constraints\n"
        "bad = {'mujoco', 'gymnasium', 'torch', 'stable_baselines3', 'pydantic', 'yaml', 'rtamt'} & set(sys.modules)\n"
        "sys.exit(str(sorted(bad)) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_names_are_listed_once_in_order() -> None:
    assert names(parse("always (b.c > a and a > b.c + d[2])")) == ("b.c", "a", "d")
