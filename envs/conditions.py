"""How conditions are named: one disturbance ("push"), or several that act together ("push + sensor-noise"), by name."""

from __future__ import annotations

JOINT = " + "


def parts_of(condition: str) -> tuple[str, ...]:
    """The disturbances of a condition."""
    return tuple(condition.split(JOINT))
