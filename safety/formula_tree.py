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
    """A function of expressions: neg, abs, min, max, norm."""

    function: str
    arguments: tuple[Expression, ...]
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
    """`always` or `eventually`, within `interval` seconds from now (None: to the end of the trace)."""

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


Expression = Number | Name | Arithmetic | Call
Formula = Comparison | Not | Junction | Temporal | Until
Node = Expression | Formula

EXPRESSIONS = (Number, Name, Arithmetic, Call)
FORMULAS = (Comparison, Not, Junction, Temporal, Until)


def children(node: Node) -> tuple[Node, ...]:
    """The parts of a node, left to right."""
    match node:
        case Call(arguments=arguments):
            return arguments
        case Not(operand=operand) | Temporal(operand=operand):
            return (operand,)
        case Arithmetic() | Comparison() | Junction() | Until():
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
    return any(isinstance(part, Temporal | Until) for part in walk(node))


def present_parts(formula: Formula) -> tuple[Formula, ...]:
    """The largest sub-formulas that look at one sample only: what has to be recorded to evaluate the rest later."""
    found: dict[Formula, None] = {}
    for child in children(formula) if is_temporal(formula) else (formula,):
        if isinstance(child, FORMULAS):
            found.update(dict.fromkeys(present_parts(child) if is_temporal(child) else (child,)))
    return tuple(found)


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
    return f"({text(node.left)} {node.operator} {text(node.right)})"


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" [{interval[0]!r}, {interval[1]!r}]"
