"""Intervals in seconds as samples, and how far ahead a formula looks."""

from __future__ import annotations

from ..envs.errors import BadInput
from .formula_measures import MEASURES
from .formula_time import Window
from .formula_tree import (
    FORMULAS,
    After,
    Call,
    Formula,
    Number,
    Since,
    Temporal,
    Until,
    children,
    looks_ahead,
    walk,
)


def samples(interval: tuple[float, float] | None, dt: float) -> Window:
    """An interval in seconds as whole samples. Raises BadInput when it does not fall on samples."""
    if interval is None:
        return None
    for bound in interval:
        if abs(bound / dt - round(bound / dt)) > 1e-6:
            raise BadInput(f"{bound:g} s is not a whole number of samples of {dt:g} s: change the interval")
    return round(interval[0] / dt), round(interval[1] / dt)


def span(measure: Call, dt: float) -> int | None:
    """The span of a measure in samples: one for a rate without, None for a total without. Raises BadInput as
    `samples`.
    """
    seconds = next((each.value for each in measure.arguments[1:] if isinstance(each, Number)), None)
    if seconds is None:
        return 1 if measure.function == "rate" else None
    window = samples((seconds, seconds), dt)
    assert window is not None, "an interval was given"
    return max(window[1], 1)


def check_intervals(node: Formula, dt: float) -> None:
    """Raise BadInput for the first interval that does not fall on samples."""
    for part in walk(node):
        if isinstance(part, Temporal | Until | Since | After):
            samples(part.interval, dt)
        if isinstance(part, Call) and part.function in MEASURES:
            span(part, dt)


def horizon(node: Formula, dt: float) -> int | None:
    """How many samples ahead a formula looks; None: to the end of the trace."""
    match node:
        case Temporal(operator="once" | "historically") | Since():
            ahead = None if looks_ahead(node) else 0
        case Temporal(interval=interval) | Until(interval=interval) | After(interval=interval):
            window = samples(interval, dt)
            ahead = None if window is None else window[1]
        case _:
            ahead = 0
    below = [horizon(child, dt) for child in children(node) if isinstance(child, FORMULAS)]
    if ahead is None or None in below:
        return None
    return ahead + max([each for each in below if each is not None], default=0)
