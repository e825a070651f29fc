"""Units of signals: a small algebra, so that a formula compares metres with metres.

A unit is a product of base symbols with whole exponents. Newton, joule, watt, pascal and hertz are written out in
kilogram, metre and second; the radian stays a unit of its own, so that an angle is never compared with a share (unit 1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from ..envs.errors import BadInput

WRITTEN_OUT = {
    "N": {"kg": 1, "m": 1, "s": -2},
    "J": {"kg": 1, "m": 2, "s": -2},
    "W": {"kg": 1, "m": 2, "s": -3},
    "Pa": {"kg": 1, "m": -1, "s": -2},
    "Hz": {"s": -1},
}
SYMBOLS = ("1", "m", "s", "kg", "rad", "N", "J", "W", "Pa", "Hz", "K", "V", "A")
SHOWN = (
    "1", "m", "m/s", "m/s^2", "m/s^3", "rad", "rad/s", "rad/s^2", "rad/s^3", "N", "N*m", "N/s", "N/m", "N*m/s",
    "s", "1/s", "kg", "Pa", "W",
)  # fmt: skip
FACTOR = re.compile(r"([*/]?)([A-Za-z%]+|1)(?:\^?(-?\d))?")


@dataclass(frozen=True)
class Unit:
    """A product of base symbols: `exponents` is a sorted tuple of (symbol, exponent), without zeros."""

    exponents: tuple[tuple[str, int], ...] = ()

    def __mul__(self, other: Unit) -> Unit:
        return _combined(self, other, 1)

    def __truediv__(self, other: Unit) -> Unit:
        return _combined(self, other, -1)

    def __str__(self) -> str:
        return _shown().get(self) or _spelled(self)


ONE = Unit()


@lru_cache(maxsize=256)
def parse_unit(text: str) -> Unit:
    """Read "m/s", "N*m", "rad/s^2", "m/s2" or "1". Raises BadInput on anything that is not a product of symbols."""
    squeezed = text.replace(" ", "").replace("**", "^")
    unit, at = ONE, 0
    while at < len(squeezed):
        found = FACTOR.match(squeezed, at)
        if found is None or (at > 0) != bool(found[1]):
            break
        unit = unit * _power(found[2], int(found[3] or 1) * (-1 if found[1] == "/" else 1))
        at = found.end()
    if at == 0 or at < len(squeezed):
        raise BadInput(f"'{text}' is not a unit: write SI symbols such as m, m/s, rad/s^2, N*m or 1")
    return unit


def _power(symbol: str, exponent: int) -> Unit:
    base = {} if symbol == "1" else WRITTEN_OUT.get(symbol, {symbol: 1})
    return Unit(tuple(sorted((name, each * exponent) for name, each in base.items())))


def _combined(left: Unit, right: Unit, sign: int) -> Unit:
    total = dict(left.exponents)
    for name, exponent in right.exponents:
        total[name] = total.get(name, 0) + sign * exponent
    return Unit(tuple(sorted((name, exponent) for name, exponent in total.items() if exponent)))


@lru_cache(maxsize=1)
def _shown() -> dict[Unit, str]:
    return {parse_unit(text): text for text in reversed(SHOWN)}


def _spelled(unit: Unit) -> str:
    above = [_raised(name, power) for name, power in unit.exponents if power > 0]
    below = [_raised(name, -power) for name, power in unit.exponents if power < 0]
    return "/".join(["*".join(above) or "1", *below])


def _raised(name: str, power: int) -> str:
    return name if power == 1 else f"{name}^{power}"
