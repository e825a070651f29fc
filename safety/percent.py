"""Rates as people read them: rounded outward, so that a printed bound is never better than the true one."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal


def at_most(rate: float) -> str:
    """An upper bound in percent, rounded up to three digits: 0.009968 is "0.997 %"."""
    return _percent(rate, ROUND_CEILING)


def at_least(rate: float) -> str:
    """A lower bound in percent, rounded down to three digits: 0.98711 is "98.7 %"."""
    return _percent(rate, ROUND_FLOOR)


def plain(rate: float) -> str:
    """A limit in percent, as it was written: 0.001 is "0.1 %"."""
    return f"{float(Decimal(str(rate)) * 100):g} %"


def _percent(rate: float, rounding: str) -> str:
    value = Decimal(str(rate)) * 100
    if value in (0, 100):
        return f"{value:.0f} %"
    step = Decimal(1).scaleb(max(value.adjusted() - 2, -4))
    return f"{value.quantize(step, rounding=rounding)} %"
