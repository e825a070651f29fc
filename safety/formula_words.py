"""The words and signs of a formula's text, with their columns."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..envs.errors import BadInput
from .units import SYMBOLS

KEYWORDS = (
    "always", "eventually", "historically", "once", "until", "since", "within", "after", "and", "or", "not", "implies",
)  # fmt: skip
FUNCTIONS = ("abs", "min", "max", "norm", "rate", "total", "duty")
COMPARISONS = ("<=", ">=", "<", ">", "==", "!=")
SYMBOL = "(?:" + "|".join(sorted((s for s in SYMBOLS if s != "1"), key=len, reverse=True)) + ")"
UNIT = rf"(?:1/)?{SYMBOL}(?:\^?\d)?(?:[*/]{SYMBOL}(?:\^?\d)?)*(?![\w.(\[])"
TOKEN = re.compile(
    rf"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?:\s*(?P<unit>{UNIT}))?)"
    r"|(?P<name>[A-Za-z_]\w*(?:\.\w+)*)"
    r"|(?P<sign><=|>=|==|!=|[-+*/()\[\],<>])|(?P<space>\s+)"
)
OTHER_LANGUAGES = {"&": "and", "|": "or", "!": "not", "=": "<="}


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    column: int
    unit: str | None = None


def tokens_of(formula: str) -> list[Token]:
    """Raises BadInput, with the column, for a sign that cannot stand in a formula."""
    tokens: list[Token] = []
    at = 0
    while at < len(formula):
        found = TOKEN.match(formula, at)
        if found is None:
            hint = (
                f". Did you mean '{OTHER_LANGUAGES[formula[at]]}'?" if formula[at] in OTHER_LANGUAGES else ""
            )
            raise BadInput(f"column {at + 1}: '{formula[at]}' cannot stand in a formula{hint}")
        kind = "number" if found["number"] else str(found.lastgroup)
        word, unit = found[0], found["unit"]
        if kind == "name" and word in KEYWORDS:
            kind = "keyword"
        if unit is not None:
            word = word[: found.start("unit") - at].rstrip()
        if kind != "space":
            tokens.append(Token(kind, word, at + 1, unit))
        at = found.end()
    return [*tokens, Token("end", "the end", len(formula) + 1)]
