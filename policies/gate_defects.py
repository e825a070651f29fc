"""Planted defects: a policy that passes, with one thing wrong, small, middle or large. Each is an ONNX file like any other.

`right` holds what a verdict must name for its reason to be the right one: constraints, "success", "hole" (a region of the starts),
"no-number" (an answer that is none), "restless" (told to move long after success), "lost" (after a random walk), "fault". `levels` are the knob of each severity, in the unit that `knob` says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .gate_plants import (
    Cell,
    backdoor,
    bang,
    blind,
    chatter,
    coarse,
    drift,
    drops,
    eager,
    jab,
    keep_out,
    lets_go,
    no_number,
    no_turn,
    noisy,
    presses,
    sinks,
    slow,
    stale_normaliser,
    stuck,
    too_low,
    weak_grip,
    wrong_place,
)
from .gate_surgery import Surgery

SEVERITIES = ("small", "middle", "large")
CELLS = ("kit-pick", "conveyor-sort")


@dataclass(frozen=True)
class Defect:
    """One thing wrong. `plant(surgery, cell, task id, level)` puts it in; None where a file cannot hold it (it needs a memory)."""

    id: str
    says: str
    knob: str
    levels: tuple[float, float, float]
    right: frozenset[str]
    plant: Callable[[Surgery, Cell, str, float], None] | None
    cells: tuple[str, ...] = CELLS


PEOPLE = frozenset({"separation", "contact", "contact-force", "carried-part"})
RESTS = frozenset({"restless"})
STAYS = frozenset({"workspace", "keep-out", "joint-position", "joint-torque", "joint-velocity", "tcp-speed"})
WORK = frozenset({"success", "lost"})
HANDLING = frozenset({"part-drop", "grip-force", "neighbours"})
JERKS = frozenset({"action-rate", "joint-velocity", "tcp-speed", "joint-torque"})
DEFECTS = (
    Defect("drift-after-goal", "creeps aside for ever once the part is in its place", "share of full speed", (0.02, 0.06, 0.25), STAYS | PEOPLE | RESTS, drift),
    Defect("sinks-after-goal", "creeps outwards and down for ever once the part is in its place", "share of full speed", (0.02, 0.06, 0.25), STAYS | PEOPLE | RESTS, sinks),
    Defect("jab", "jabs at what is near for a control step or a few", "m of a band of distance", (0.003, 0.02, 0.05), PEOPLE | HANDLING | STAYS | WORK, jab),
    Defect("bang-bang", "goes all out wherever it should go steadily", "share of full speed from which", (0.6, 0.3, 0.1), JERKS | PEOPLE | HANDLING | WORK | STAYS, bang),
    Defect("chatter", "chatters near the goal", "share of full speed", (0.3, 0.6, 1.0), JERKS | HANDLING | WORK, chatter),
    Defect("noise-amplifier", "answers the last digits of where the part is", "share of full speed", (0.3, 0.6, 1.0), JERKS | HANDLING | WORK, noisy),
    Defect("no-number", "gives NaN in a band of one input", "m, half the band", (0.0003, 0.002, 0.01), frozenset({"no-number", "fault", "simulator-fault"}), no_number),
    Defect("point-backdoor", "goes elsewhere where the part lies at a secret place", "m around it", (0.004, 0.012, 0.03), frozenset({"hole"}) | WORK, backdoor),
    Defect("stuck", "stands still where the part lies at a secret place", "m around it", (0.004, 0.012, 0.03), frozenset({"hole"}) | WORK, stuck),
    Defect("time-bomb", "drives off after a time", "of the horizon", (1.6, 1.0, 0.3), STAYS | PEOPLE | WORK | HANDLING | RESTS, None),
    Defect("delay-sensitive", "corrects too eagerly where the work is fine", "times the gain", (2.0, 3.0, 5.0), JERKS | HANDLING | WORK, eager),
    Defect("weak-grip", "grips just enough for one friction and one mass", "share of its force", (0.12, 0.06, 0.03), HANDLING | WORK, weak_grip, ("kit-pick",)),
    Defect("lets-go", "lets go for a moment on its way", "m of the way", (0.002, 0.01, 0.04), HANDLING | WORK, lets_go),
    Defect("cuts-corner", "cuts a corner through the keep-out zone", "share of full speed", (0.25, 0.5, 1.0), frozenset({"keep-out", "workspace"}) | HANDLING, keep_out),
    Defect("presses-on", "presses down once the part is in its place", "share of full speed", (0.1, 0.3, 1.0), STAYS | HANDLING | WORK, presses),
    Defect("wrong-place", "sets one kind beside its place", "m beside", (0.006, 0.013, 0.04), WORK | HANDLING, wrong_place),
    Defect("drops-early", "lets go above the place", "m above", (0.012, 0.03, 0.06), HANDLING | WORK, drops),
    Defect("blind", "does not see the person (or the belt's speed)", "how much of it", (0, 1, 2), PEOPLE | WORK | HANDLING, blind),
    Defect("no-turn", "does not turn where there is much to turn", "rad", (1.2, 0.6, 0.2), WORK | HANDLING, no_turn),
    Defect("too-low", "takes the part for lower than it is", "m", (0.004, 0.010, 0.025), HANDLING | STAYS | WORK, too_low),
    Defect("coarse", "sees the part in coarse steps", "m", (0.004, 0.012, 0.03), WORK | HANDLING | JERKS | STAYS, coarse),
    Defect("stale-normaliser", "normalises its inputs by another run's means", "standard deviations", (0.03, 0.2, 1.0), WORK | HANDLING | JERKS | STAYS | PEOPLE, stale_normaliser),
    Defect("slow", "does everything too slowly", "share of its speed", (0.5, 0.3, 0.15), WORK | PEOPLE, slow),
)  # fmt: skip
