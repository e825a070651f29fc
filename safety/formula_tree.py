"""What a formula is made of: expressions over signals (numbers with a unit) and formulas over time (true or false).

All nodes are values: equal text gives equal nodes (the column is only for messages), so that equal parts of many
constraints are computed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Number:
    """A literal. Without a unit it takes the unit that its place needs."""

    value: float
    unit: str | None = None
    column: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Name:
    """A signal, or one component of it: `arm.q[3]` counts from 0."""

    name: str
    index: tuple[int, ...] = ()
    column: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Arithmetic:
    """Two expressions joined by + - * or /."""

    operator: str
    left: Expression
    right: Expression
    column: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Call:
    """A function of expressions: neg, abs, min, max, norm; rate and total of one over time; duty of a formula over
    time.
    """

    function: str
    arguments: tuple[Node, ...]
    column: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Comparison:
    """`left operator right`; its robustness is how far it is from flipping, in the unit of both sides."""

    operator: str
    left: Expression
    right: Expression
    column: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Not:
    operand: Formula
    column: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Junction:
    """`left and right`, `left or right`, `left implies right`."""

    operator: str
    left: Formula
    right: Formula
    column: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Temporal:
    """`always` or `eventually`, within `interval` seconds from now (None: to the end of the trace); `historically` or
    `once`, within `interval` seconds before now (None: back to the first sample).
    """

    operator: str
    operand: Formula
    interval: tuple[float, float] | None = None
    column: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Until:
    """`right` becomes true within `interval` (None: before the end), and `left` holds at every sample before that."""

    left: Formula
    right: Formula
    interval: tuple[float, float] | None = None
    column: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Since:
    """`right` was true within `interval` (None: at any sample so far), and `left` has held at every sample after
    that.
    """

    left: Formula
    right: Formula
    interval: tuple[float, float] | None = None
    column: int = field(default=0, compare=False)


@dataclass(frozen=True)
class After:
    """`left within interval after right`: whenever the event `right` begins, `left` becomes true within `interval` of
    it.

    The event is true or false, in any units. It counts where it becomes true and its whole interval lies within the
    trace.
    """

    left: Formula
    right: Formula
    interval: tuple[float, float]
    column: int = field(default=0, compare=False)


Expression = Number | Name | Arithmetic | Call
Formula = Comparison | Not | Junction | Temporal | Until | Since | After
Node = Expression | Formula

EXPRESSIONS = (Number, Name, Arithmetic, Call)
FORMULAS = (Comparison, Not, Junction, Temporal, Until, Since, After)
FUTURE, PAST = ("always", "eventually"), ("historically", "once")


def children(node: Node) -> tuple[Node, ...]:
    """The parts of a node, left to right."""
    match node:
        case Call(arguments=arguments):
            return arguments
        case Not(operand=operand) | Temporal(operand=operand):
            return (operand,)
        case Arithmetic() | Comparison() | Junction() | Until() | Since() | After():
            return (node.left, node.right)
    return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, left to right."""
    yield node
    for child in children(node):
        yield from walk(child)


def names(node: Node) -> tuple[str, ...]:
    """The signals that a node reads, in order of first use."""
    return tuple(dict.fromkeys(part.name for part in walk(node) if isinstance(part, Name)))


def is_temporal(node: Node) -> bool:
    """Whether the node looks at other samples than the present one."""
    return any(isinstance(part, Temporal | Until | Since | After) for part in walk(node))


def looks_ahead(node: Node) -> bool:
    """Whether the node looks at samples that come after the present one."""
    return any(
        isinstance(part, Until | After) or (isinstance(part, Temporal) and part.operator in FUTURE)
        for part in walk(node)
    )


def asserted(node: Node) -> Iterator[Comparison]:
    """The comparisons that give a formula its margin, left to right: all but those of events."""
    if isinstance(node, Comparison):
        yield node
        return
    for child in children(node)[:1] if isinstance(node, After) else children(node):
        yield from asserted(child)


def events(node: Node) -> Iterator[Formula]:
    """What of a formula is true or false only, left to right: events, and what `duty` measures."""
    for part in walk(node):
        if isinstance(part, After):
            yield part.right
        if isinstance(part, Call) and part.function == "duty":
            yield part.arguments[0]  # type: ignore[misc]


def text(node: Node) -> str:
    """The node as text that parses to an equal node."""
    match node:
        case Number(value=value, unit=unit):
            return repr(value) if unit is None else f"{value!r} {unit}"
        case Name(name=name, index=index):
            return name + "".join(f"[{i}]" for i in index)
        case Call(function="neg", arguments=(only,)):
            return f"(-{text(only)})"
        case Call(function=function, arguments=arguments):
            return f"{function}({', '.join(map(text, arguments))})"
        case Not(operand=operand):
            return f"(not {text(operand)})"
        case Temporal(operator=operator, operand=operand, interval=interval):
            return f"({operator}{_interval(interval)} {text(operand)})"
        case Until(left=left, right=right, interval=interval):
            return f"({text(left)} until{_interval(interval)} {text(right)})"
        case Since(left=left, right=right, interval=interval):
            return f"({text(left)} since{_interval(interval)} {text(right)})"
        case After(left=left, right=right, interval=interval):
            return f"({text(left)} within{_interval(interval)} after {text(right)})"
    return f"({text(node.left)} {node.operator} {text(node.right)})"


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" [{interval[0]!r}, {interval[1]!r}]"
