"""What the demo's page shows of a show, as JSON data in SI units; a number that is not finite becomes None."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from ..safety.constraints import Constraint
from ..safety.words import languages, load_words
from .show import Ended, Show

WORST_FIRST = ("breach", "warned", "clean")


def panel(show: Show) -> dict[str, Any]:
    """This instant: the episode, its return beside its verdict so far, every limit, what came before."""
    worlds, task = show.worlds, show.task
    limits = _limits(show)
    states = {limit["state"] for limit in limits}
    return {
        "title": dict(zip(("en", "ja"), task.title, strict=True)),
        "policy": "expert (scripted)" if show.policy.kind == "scripted" else show.policy.name,
        "episode": show.episode + 1,
        "seed": int(worlds.seeds[0]),
        "time_s": float(worlds.time_s[0]),
        "horizon_s": task.horizon_s,
        "takt_s": task.takt_s,
        "reason": task.reasons[int(worlds.reason[0])],
        "touched": show.touched,
        "return": float(worlds.returns[0]),
        "verdict": next(word for word in WORST_FIRST if word in states | {"clean"}),
        "closest": _closest(limits, show.room.tolist()),
        "limits": limits,
        "left_out": [_title(name) for name in show.left_out],
        "history": [_brief(each) for each in show.ended],
        "last": {**_brief(show.ended[-1]), "margins": _margins(show.ended[-1])} if show.ended else None,
        "tally": show.tally,
        "disturbances": list(worlds.disturbances),
        "words": _words(task.reasons[1:], tuple(worlds.disturbances)),
        "playing": _condition(*show.playing),
        "chosen": _condition(*show.chosen),
    }


@lru_cache(maxsize=1)
def _words(outcomes: tuple[str, ...], disturbances: tuple[str, ...]) -> dict[str, dict[str, dict[str, str]]]:
    """What reports call outcomes and disturbances, by language."""
    found = {language: load_words(language) for language in languages()}
    kinds = {"outcome": outcomes, "disturbance": disturbances}
    return {
        language: {kind: {name: words.name(kind, name) for name in names} for kind, names in kinds.items()}
        for language, words in found.items()
    }


def _condition(disturbance: str, severity: int) -> dict[str, Any]:
    return {"disturbance": disturbance, "severity": severity}


def _limits(show: Show) -> list[dict[str, Any]]:
    monitor = show.monitor
    late = () if show.over else monitor.undecided
    rows = zip(
        monitor.constraints, monitor.units, monitor.now[0].tolist(), show.margins.tolist(), strict=True
    )
    return [_limit(rule, unit, now, worst, rule.id in late) for rule, unit, now, worst in rows]


def _limit(constraint: Constraint, unit: str, now: float, worst: float, late: bool) -> dict[str, Any]:
    """One row. A limit that looks ahead stays idle until the episode is over."""
    broken = not worst >= 0.0 and not late  # NaN is a violation
    state = "clean" if worst < math.inf and not late else "idle"
    if broken:
        state = "breach" if constraint.hard else "warned"
    return {
        "id": constraint.id,
        "title": {
            "en": _title(constraint.id),
            "ja": constraint.says.get("ja") or constraint.id,
        },
        "says": dict(constraint.says),
        "unit": unit,
        "hard": constraint.hard,
        "state": state,
        "now": _finite(now),
        "worst": _finite(worst),
        "fault": broken and not math.isfinite(worst),
        "late": late,
    }


def _title(name: str) -> str:
    return name.replace("-", " ").capitalize().replace("Tcp", "TCP")


def _closest(limits: list[dict[str, Any]], room: list[float]) -> str | None:
    """The limit with the smallest share of its room left; broken ones come first, hard before soft."""
    order = {word: place for place, word in enumerate(WORST_FIRST)}
    known = [
        (order[limit["state"]], limit["worst"] / max(most, 1e-9), limit["id"])
        for limit, most in zip(limits, room, strict=True)
        if limit["worst"] is not None and (most > 0.0 or limit["worst"] < 0.0)
    ]
    return min(known)[2] if known else None


def _brief(one: Ended) -> dict[str, Any]:
    return {
        "episode": one.episode,
        "seed": one.seed,
        "reason": one.reason,
        "success": one.success,
        "return": one.total,
        "touched": one.touched,
        "breaches": list(one.breaches),
    }


def _margins(one: Ended) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in one.margins.items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
