"""Production figures of a check: how long, how many an hour, how many good at the first pass, what was lost, what it took."""

from __future__ import annotations

from typing import Any

import numpy as np

from .evidence import Evidence
from .percent import at_least

LOST = ("dropped", "missed", "tote-lost")
HOUR_S = 3600.0


def production(evidence: Evidence) -> dict[str, Any]:
    """Figures of the undisturbed episodes.

    `cycle_s` is the mean over good parts; `parts_per_hour` counts good parts over the time that all episodes took, failed ones to
    their end; `energy_j_per_good_part` is the energy of all episodes (mechanical work of the drives, braking counted as zero: a
    model, not a meter) over the good parts. Both are None where nothing was good.
    """
    columns = evidence.columns
    here = columns["severity"] == 0
    good = here & columns["success"]
    n, made = int(here.sum()), int(good.sum())
    reasons = columns["reason"][here]
    busy = np.where(columns["success"], columns["cycle_s"], columns["time_s"])[here].sum()
    return {
        "cycle_s": float(columns["cycle_s"][good].mean()) if made else None,
        "parts_per_hour": float(HOUR_S * made / busy) if made else 0.0,
        "first_pass_yield": {
            "rate": made / max(n, 1),
            "n": n,
            "lower95": evidence.plan.lane.lower(made, n, evidence.plan.confidence),
        },
        "dropped": int(np.isin(reasons, LOST).sum()),
        "damaged": int(np.isin(reasons, evidence.plan.damaging).sum()),
        "energy_j_per_good_part": float(columns["energy_j"][here].sum() / made) if made else None,
    }


def line(made: dict[str, Any]) -> str:
    """The figures in one line, for people."""
    pass_ = made["first_pass_yield"]
    if made["cycle_s"] is None:
        return f"nothing good in {pass_['n']:,} undisturbed episodes"
    rate = f"{pass_['rate']:.1%}".replace("%", " %")
    return (
        f"cycle {made['cycle_s']:.2f} s, {made['parts_per_hour']:,.0f} good parts an hour, first pass "
        f"{rate} (at least {at_least(pass_['lower95'])}, n {pass_['n']:,}), dropped {made['dropped']}, "
        f"damaged {made['damaged']}, {made['energy_j_per_good_part']:.0f} J a good part (model)"
    )
