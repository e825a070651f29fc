"""Limits that a person states when asking: `hinge.speed=12` becomes a hard constraint, and so part of the plan."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..envs.errors import BadInput
from ..envs.signals import SignalTable
from ..envs.task import get_task
from .constraints import DEFAULT_MAX_RATE, LEAST_RATE
from .constraints_yaml import ConstraintModel, SaysModel, SourceModel
from .suite import Suite, load_suite, suite_for

CANNOT_SHOW = ("what the limit protects from: it was stated without a source",)


def with_limits(suite: Suite, limits: Sequence[str], table: SignalTable) -> Suite:
    """The suite with a limit on the size of each named signal. Raises BadInput, UnknownName.

    Args:
        limits: "signal=value" in the signal's unit, or "signal=value:rate" with the share of episodes that
            may exceed it (1 % without).
    """
    added = tuple(_constraint(text, table) for text in limits)
    ids = [each.id for each in added]
    if len(set(ids)) < len(ids):
        raise BadInput(f"--limit: each signal once, found {', '.join(ids)}")
    kept = tuple(each for each in suite.constraints if each.id not in ids)
    return suite.model_copy(update={"constraints": (*kept, *added)})


def asked_suite(suite: str, limits: Sequence[str], task: str) -> Suite:
    """The suite by name, else the task's own, with the limits that were stated. Raises BadInput, UnknownName."""
    chosen = load_suite(suite or suite_for(task))
    return with_limits(chosen, limits, get_task(task).table) if limits else chosen


def _constraint(text: str, table: SignalTable) -> ConstraintModel:
    name, sign, number = text.partition("=")
    value, _, rate = number.partition(":")
    try:
        most, allowed = float(value), float(rate) if rate else DEFAULT_MAX_RATE
    except ValueError:
        most = allowed = math.nan
    if not sign or not math.isfinite(most) or not LEAST_RATE <= allowed < 1.0:
        raise BadInput(f"--limit {text}: expected signal=value or signal=value:rate, as hinge.speed=12:0.01")
    signal = table[name.strip()]
    size = f"{'norm' if signal.shape else 'abs'}({signal.name})"
    unit = "" if signal.unit == "1" else f" {signal.unit}"
    return ConstraintModel(
        id=f"limit-{signal.name.replace('.', '-').replace('_', '-')}",
        says=SaysModel(en=f"{signal.en}: at most {most:g}{unit}", ja=f"{signal.ja}: {most:g}{unit} 以下"),
        formula=f"always ({size} <= {most!r}{unit})",
        hard=True,
        max_rate=allowed,
        source=SourceModel(document="stated with --limit", topic=signal.name, confidence="cell_spec"),
        cannot_show=CANNOT_SHOW,
    )
