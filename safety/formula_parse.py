"""The text of a formula becomes a tree. Binding strength, weakest first:

implies (right to left) | or | and | until, since, within | not, always, eventually, historically, once | <= >= < > ==
!= | + - | * / | -x
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import NoReturn

from ..envs.errors import BadInput
from .formula_measures import MEASURES
from .formula_tree import (
    EXPRESSIONS,
    FORMULAS,
    FUTURE,
    PAST,
    After,
    Arithmetic,
    Call,
    Comparison,
    Expression,
    Formula,
    Junction,
    Name,
    Node,
    Not,
    Number,
    Since,
    Temporal,
    Until,
    text,
)
from .formula_words import COMPARISONS, FUNCTIONS, KEYWORDS, Token, tokens_of
from .units import SYMBOLS

JOINED = (Arithmetic, Comparison, Junction, Until, Since, After)
LONGEST, DEEPEST = 400, 60  # words and levels: far above any constraint, far below Python's recursion limit


def parse(formula: str) -> Formula:
    """Read a formula such as `always (tcp.speed <= 1.0)`.

    Signals have dotted names and are indexed from 0 (`arm.q[3]`, `part.axis[0][2]`). Intervals are in seconds:
    `eventually [0, 0.5] (...)`, `a until [0, 2] b`; looking back, `once [0, 0.5] (...)`, `historically (...)`, `a since
    [0, 2] b`; and `always (a within [0, 0.5] after b)`, where b is an event in any units. A bare number takes the unit
    that its place needs; `0.25 m/s` (no space inside the unit) is checked. Functions: abs, norm(vector), min and max of
    one vector or of several numbers.

    Raises:
        BadInput: one line with the column (counted from 1) and the closest known word.
    """
    tokens = tokens_of(formula)
    if len(tokens) > LONGEST:
        raise BadInput(f"the formula has {len(tokens)} words and signs; at most {LONGEST} are read: split it")
    parser = _Parser(tokens)
    node = parser.weakest()
    if parser.now.kind == "name" and tokens[parser.at - 1].kind == "number":
        parser.fail(f"expected a unit such as {', '.join(SYMBOLS[1:6])}, an operator or the end")
    if parser.now.kind != "end":
        parser.fail("expected an operator or the end")
    return parser.formula(node)


class _Parser:
    """Recursive descent over the tokens; one method per level of binding strength."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.at, self.depth = tokens, 0, 0

    @property
    def now(self) -> Token:
        return self.tokens[self.at]

    def take(self, *texts: str) -> Token | None:
        """The present token when it is one of these words or signs, and step over it."""
        token = self.now
        if token.kind in ("keyword", "sign") and token.text in texts:
            self.at += 1
            return token
        return None

    def need(self, sign: str) -> None:
        if self.take(sign) is None:
            self.fail(f"expected '{sign}'")

    def fail(self, expected: str, token: Token | None = None) -> NoReturn:
        token = token or self.now
        found = token.text if token.kind == "end" else f"'{token.text}'"
        raise BadInput(f"column {token.column}: {expected}, found {found}{_hint(token, self.tokens)}")

    def formula(self, node: Node) -> Formula:
        if isinstance(node, FORMULAS):
            return node
        raise BadInput(
            f"column {_start(node)}: expected a comparison such as {text(node)} <= 1, found {text(node)}"
        )

    def expression(self, node: Node) -> Expression:
        if isinstance(node, EXPRESSIONS):
            return node
        raise BadInput(f"column {_start(node)}: expected a signal or a number, found {text(node)}")

    def weakest(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise BadInput(
                f"column {self.now.column}: nested deeper than {DEEPEST} levels: split the formula"
            )
        left = self.disjunction()
        if token := self.take("implies"):
            left = Junction("implies", self.formula(left), self.formula(self.weakest()), token.column)
        self.depth -= 1
        return left

    def disjunction(self) -> Node:
        left = self.conjunction()
        while token := self.take("or"):
            left = Junction("or", self.formula(left), self.formula(self.conjunction()), token.column)
        return left

    def conjunction(self) -> Node:
        left = self.until()
        while token := self.take("and"):
            left = Junction("and", self.formula(left), self.formula(self.until()), token.column)
        return left

    def until(self) -> Node:
        left = self.unary()
        if token := self.take("until", "since"):
            interval = self.interval()
            kind = Until if token.text == "until" else Since
            left = kind(self.formula(left), self.formula(self.unary()), interval, token.column)
        elif token := self.take("within"):
            left = self.after(self.formula(left), token)
        if token and self.now.kind == "keyword" and self.now.text in ("until", "since", "within"):
            self.fail(f"expected parentheses around one of '{token.text}' and '{self.now.text}'")
        return left

    def after(self, response: Formula, token: Token) -> Node:
        interval = self.interval()
        if interval is None:
            self.fail("expected an interval in seconds, such as [0, 0.5]")
        if self.take("after") is None:
            self.fail("expected 'after' and an event")
        return After(response, self.formula(self.unary()), interval, token.column)

    def unary(self) -> Node:
        token = self.take("not", *FUTURE, *PAST)
        if token is None:
            return self.comparison()
        interval = self.interval() if token.text != "not" else None
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(f"nested deeper than {DEEPEST} levels: split the formula", token)
        operand = self.formula(self.unary())
        self.depth -= 1
        if token.text == "not":
            return Not(operand, token.column)
        return Temporal(token.text, operand, interval, token.column)

    def interval(self) -> tuple[float, float] | None:
        opening = self.take("[")
        if opening is None:
            return None
        begin = self.seconds()
        self.need(",")
        end = self.seconds()
        self.need("]")
        if end < begin:
            raise BadInput(
                f"column {opening.column}: the interval [{begin:g}, {end:g}] ends before it begins"
            )
        return begin, end

    def seconds(self) -> float:
        token = self.now
        if token.kind != "number" or token.unit not in (None, "s"):
            self.fail("expected a time in seconds, at least 0")
        self.at += 1
        return float(token.text)

    def comparison(self) -> Node:
        left = self.sum()
        found: Node | None = None
        while token := self.take(*COMPARISONS):
            right = self.sum()
            one = Comparison(token.text, self.expression(left), self.expression(right), token.column)
            found = one if found is None else Junction("and", self.formula(found), one, token.column)
            left = right
        return left if found is None else found

    def sum(self) -> Node:
        left = self.product()
        while token := self.take("+", "-"):
            right = self.expression(self.product())
            left = Arithmetic(token.text, self.expression(left), right, token.column)
        return left

    def product(self) -> Node:
        left = self.signed()
        while token := self.take("*", "/"):
            right = self.expression(self.signed())
            left = Arithmetic(token.text, self.expression(left), right, token.column)
        return left

    def signed(self) -> Node:
        signs = 0
        first = self.now
        while self.take("-"):
            signs += 1
        node = self.primary()
        return Call("neg", (self.expression(node),), first.column) if signs % 2 else node

    def primary(self) -> Node:
        token = self.now
        if self.take("("):
            node = self.weakest()
            self.need(")")
            return node
        if token.kind not in ("number", "name"):
            self.fail("expected a signal, a number or '('")
        self.at += 1
        if token.kind == "number":
            if float(token.text) == float("inf"):
                raise BadInput(
                    f"column {token.column}: {token.text} is too large a number: nothing could exceed it"
                )
            return Number(float(token.text), token.unit, token.column)
        if self.now.text == "(" and self.now.kind == "sign":
            return self.call(token)
        return Name(token.text, self.index(), token.column)

    def call(self, token: Token) -> Node:
        if token.text not in FUNCTIONS:
            self.fail(f"expected one of the functions {', '.join(FUNCTIONS)} or an operator", token)
        self.need("(")
        if token.text == "duty":
            arguments: list[Node] = [self.formula(self.weakest())]
        else:
            arguments = [self.expression(self.weakest())]
        while self.take(","):
            arguments.append(self.expression(self.weakest()))
        self.need(")")
        if token.text in ("abs", "norm") and len(arguments) != 1:
            raise BadInput(f"column {token.column}: {token.text} takes one argument, found {len(arguments)}")
        if token.text in MEASURES:
            self.check_span(token, arguments)
        return Call(token.text, tuple(arguments), token.column)

    def check_span(self, token: Token, arguments: list[Node]) -> None:
        """A measure takes what it measures and a time above zero; `duty` needs it, the others have a meaning
        without.
        """
        span = arguments[1] if len(arguments) == 2 else None
        good = isinstance(span, Number) and span.unit in (None, "s") and span.value > 0
        if not (good or (len(arguments) == 1 and token.text != "duty")):
            what = "a formula" if token.text == "duty" else "a signal"
            raise BadInput(
                f"column {token.column}: {token.text} takes {what} and a time in seconds, such as {token.text}(x, 0.5)"
            )

    def index(self) -> tuple[int, ...]:
        index: list[int] = []
        while self.take("["):
            token = self.now
            if token.kind != "number" or not token.text.isdigit() or token.unit:
                self.fail("expected an index 0, 1, 2, ...")
            self.at += 1
            index.append(int(token.text))
            self.need("]")
        return tuple(index)


def _hint(token: Token, tokens: list[Token]) -> str:
    """The closest known word, of the offending token or of the name just before it."""
    before = [each for each in tokens if each.kind == "name" and each.column < token.column][-1:]
    for word in [token.text] * (token.kind == "name") + [each.text for each in before]:
        close = get_close_matches(word.lower(), (*KEYWORDS, *FUNCTIONS), n=1, cutoff=0.7)
        if close:
            return f". Did you mean {close[0]}?"
    return ""


def _start(node: Node) -> int:
    return _start(node.left) if isinstance(node, JOINED) else node.column
