"""The words for signals: what each name means in English and Japanese, from `assets/signals.yaml`."""

from __future__ import annotations

from functools import cache

import yaml

from .files import asset
from .signals import Signal


@cache
def meanings() -> dict[str, tuple[str, str]]:
    """Signal name -> (English, Japanese)."""
    rows = yaml.safe_load(asset("signals.yaml").read_text(encoding="utf-8"))
    return {name: (row["en"], row["ja"]) for name, row in rows.items()}


def described(
    name: str, unit: str, shape: tuple[int, ...] = (), kind: str = "derived", rate_hz: float = 500.0
) -> Signal:
    """A signal with its meaning looked up."""
    en, ja = meanings()[name]
    return Signal(name, unit, shape, en, ja, rate_hz, kind)


def common_held(actions: int, control_hz: float) -> list[Signal]:
    """The held signals of every task: what was commanded, how fast it changed, whether a limit clamped it, the clock."""
    rows = (
        ("action", "1", (actions,)),
        ("action.rate", "1", ()),
        ("limits.active", "1", ()),
        ("episode.time", "s", ()),
        ("simulator.fault", "1", ()),
    )
    return [described(name, unit, shape, "held", float(control_hz)) for name, unit, shape in rows]
