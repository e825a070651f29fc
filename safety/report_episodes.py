"""The worst episodes of a check, told again: chosen from the evidence, played again, drawn and photographed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .constraints import Constraint, parse_both
from .episodes import Loop
from .evidence import Evidence, Row
from .formula import Program, as_truth
from .formula_tree import Comparison, Formula, Junction, Node, Temporal, children, text
from .policy import Policy
from .replay import Replayed, replays
from .result_counts import violated

SHOWN, SHOTS, PANELS = 3, 6, 3
SHOT_SIZE, HERO_SIZE = (336, 189), (960, 540)
Array = NDArray[np.float64]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Chosen:
    """An episode worth a look, and why: it came nearest to (or broke) `constraint`, or it ended for `reason`."""

    row: Row
    constraint: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Panel:
    """One comparison of a constraint over an episode, once per control tick (the substep that came nearest to breaking it).

    `plain`: the comparison itself is demanded (it stands under no `or`, `not` or `implies`), so that its limit can be drawn.
    """

    constraint: str
    unit: str
    comparison: str
    operator: str
    plain: bool
    time: Array
    left: Array
    right: Array
    applies: NDArray[np.bool_]


@dataclass
class Told:
    """One episode, played again."""

    chosen: Chosen
    replayed: Replayed | None = None
    panels: list[Panel] = field(default_factory=list)
    shots: list[tuple[float, Picture]] = field(default_factory=list)
    hero: tuple[float, Picture] | None = None


def worst_episodes(evidence: Evidence, count: int = SHOWN) -> list[Chosen]:
    """The episodes to look at first, one for each cause as long as there are causes.

    Faults come first, then broken hard constraints, failures, broken soft ones, and the smallest margins, each relative to the middle
    margin of its constraint.
    """
    hard = {constraint.id: constraint.hard for constraint in evidence.plan.suite.values}
    found: list[tuple[int, float, int, str, str]] = []
    for each in evidence.plan.assessed:
        margins = evidence.margins(each.id)
        nearest = relative(margins)
        broken = violated(margins)
        for episode in np.argsort(nearest, kind="stable")[: 4 * count]:
            tier = (1 if hard[each.id] else 3) if broken[episode] else 4
            found.append((tier, float(nearest[episode]), int(episode), each.id, ""))
    outcomes = evidence.columns["reason"]
    for episode in np.flatnonzero(~evidence.columns["success"]):
        reason = str(outcomes[episode])
        found.append((0 if reason == "fault" else 2, 0.0, int(episode), "", reason))
    return _one_for_each_cause(sorted(found), evidence, count)


def _one_for_each_cause(
    found: Sequence[tuple[int, float, int, str, str]], evidence: Evidence, count: int
) -> list[Chosen]:
    picked: dict[int, Chosen] = {}
    for repeat in (False, True):
        causes = set() if repeat else {""}
        for _, nearest, episode, constraint, reason in found:
            cause = constraint or reason
            if (
                len(picked) < count
                and episode not in picked
                and (repeat or cause not in causes)
                and nearest < np.inf
            ):
                causes.add(cause)
                picked[episode] = Chosen(evidence.row(episode), constraint, reason)
    return list(picked.values())


def relative(margins: Array) -> Array:
    """Margins as shares of the middle one; where that says nothing (no contact at all: 0), only violations count."""
    finite = np.abs(margins[np.isfinite(margins)])
    scale = float(np.median(finite)) if len(finite) else 0.0
    whole = np.where(np.isnan(margins), -np.inf, margins)
    if scale > 0.0:
        return whole / scale
    return np.where(whole < 0.0, whole, np.inf)


def tell(evidence: Evidence, chosen: Sequence[Chosen], policy: Policy) -> list[Told]:
    """Play the chosen episodes again, with traces and pictures. Raises BadInput where `policy` is not the one that was judged."""
    told = {each.row["episode"]: Told(each) for each in chosen}
    watcher = _Watcher(told, evidence)
    for replayed in replays(evidence.folder, list(told), policy, watcher):
        told[replayed.stored["episode"]].replayed = replayed
    for each in told.values():
        each.panels = watcher.panels(each.chosen)
    return list(told.values())


def shot_times(row: Row, constraint: str) -> list[float]:
    """When to take the pictures of an episode: evenly, one of them at the worst moment."""
    times = np.linspace(0.0, float(row["time_s"]), SHOTS)
    worst = float(row[f"at.{constraint}"]) if constraint else np.nan
    if np.isfinite(worst):
        times[np.abs(times - worst).argmin()] = worst
    return [float(time) for time in np.sort(times)]


class _Watcher:
    """Called at the start and after every tick of a replay: keeps what the panels need, takes pictures when they are due."""

    def __init__(self, told: dict[int, Told], evidence: Evidence) -> None:
        self.told, self.evidence = told, evidence
        self.units = {each.id: each.unit for each in evidence.plan.assessed}
        self.constraints = [each for each in evidence.plan.suite.values if each.id in self.units]
        self.due = {
            index: shot_times(each.chosen.row, each.chosen.constraint) for index, each in told.items()
        }
        self.samples: dict[int, list[Array]] = {index: [] for index in told}
        self.program: Program | None = None
        self.slots: list[tuple[Constraint, Comparison, bool, int, int, int | None]] = []
        self.substeps_s = 0.0

    def __call__(self, loop: Loop) -> None:
        if self.program is None:
            self._prepare(loop)
        for world, episode in enumerate(loop.playing):
            if episode is None or not loop.active[world]:
                continue
            self._photograph(loop, world, episode.index)
        if loop.worlds.steps.max() > 0:
            self._record(loop)

    def _prepare(self, loop: Loop) -> None:
        table = loop.task.table
        self.substeps_s = 1.0 / loop.task.physics_hz
        self.program = Program({name: len(table[name].shape) for name in table}, self.substeps_s)
        for constraint in self.constraints:
            formula, guard = parse_both(constraint)
            applies = None if guard is None else self.program.add(as_truth(guard))
            for comparison, demanded in comparisons(formula):
                left, right = self.program.add(comparison.left), self.program.add(comparison.right)
                self.slots.append((constraint, comparison, demanded, left, right, applies))

    def _record(self, loop: Loop) -> None:
        """`(slots, 3, K)` of every playing world: left side, right side, whether the guard holds."""
        assert self.program is not None
        values = self.program.run(loop.worlds.signals.__getitem__)
        shape = loop.worlds.signals.block.shape[:2]
        for world, episode in enumerate(loop.playing):
            if episode is None or not loop.active[world]:
                continue
            block = np.ones((len(self.slots), 3, shape[1]))
            for number, (*_, left, right, applies) in enumerate(self.slots):
                block[number, 0] = np.broadcast_to(values[left], shape)[world]
                block[number, 1] = np.broadcast_to(values[right], shape)[world]
                if applies is not None:
                    block[number, 2] = values[applies][world]
            self.samples[episode.index].append(block)

    def _photograph(self, loop: Loop, world: int, episode: int) -> None:
        from ..envs.render import picture

        now, due, told = float(loop.worlds.time_s[world]), self.due[episode], self.told[episode]
        if not due or now + 1e-6 < due[0]:
            return
        worst = float(told.chosen.row[f"at.{told.chosen.constraint}"]) if told.chosen.constraint else 0.0
        if told.hero is None and (
            now + 1e-6 >= worst > 0.0 or len(told.shots) == SHOTS // 2 >= 1 and not worst > 0.0
        ):
            told.hero = now, picture(loop.worlds, world, size=HERO_SIZE, fine=True)
        told.shots.append((now, picture(loop.worlds, world, size=SHOT_SIZE, fine=True)))
        due.pop(0)

    def panels(self, chosen: Chosen) -> list[Panel]:
        """What to draw of an episode: first the constraint it is shown for, then those that it came nearest to breaking."""
        if not self.samples[chosen.row["episode"]]:
            return []
        trace = np.concatenate([block[..., None, :] for block in self.samples[chosen.row["episode"]]], axis=2)
        nearest = {each.id: self._nearness(each.id, chosen.row) for each in self.constraints}
        order = sorted(nearest, key=lambda name: (name != chosen.constraint, nearest[name]))
        drawn: list[Panel] = []
        for name in [name for name in order if name == chosen.constraint or nearest[name] < np.inf][:PANELS]:
            mine = [number for number, slot in enumerate(self.slots) if slot[0].id == name]
            panels = [self._panel(number, trace[number]) for number in mine]
            drawn.append(min(panels, key=_telling))
        return drawn

    def _nearness(self, constraint: str, row: Row) -> float:
        margins = self.evidence.margins(constraint)
        return float(relative(margins)[row["episode"]])

    def _panel(self, number: int, trace: Array) -> Panel:
        """From `(3, ticks, K)` to one sample a tick."""
        constraint, comparison, demanded, *_ = self.slots[number]
        sign = 1.0 if comparison.operator in (">=", ">") else -1.0
        counts = trace[2] > 0
        gap = np.where(counts, sign * (trace[0] - trace[1]), np.inf)
        nearest = gap.argmin(axis=1)
        ticks = np.arange(trace.shape[1])
        time = (ticks * trace.shape[2] + nearest) * self.substeps_s
        left, right = trace[0, ticks, nearest], trace[1, ticks, nearest]
        return Panel(
            constraint.id, self.units[constraint.id], pretty(comparison), comparison.operator, demanded, time, left, right,
            counts.any(axis=1),
        )  # fmt: skip


def _telling(panel: Panel) -> tuple[bool, float]:
    """Sorts a constraint's comparisons: those that are demanded and broken first, then the nearest to breaking."""
    sign = 1.0 if panel.operator in (">=", ">") else -1.0
    gap = sign * (panel.left - panel.right)[panel.applies]
    nearest = float(np.nanmin(gap)) if len(gap) else np.inf
    return not (panel.plain and nearest < 0.0), nearest


def comparisons(formula: Formula, demanded: bool = True) -> list[tuple[Comparison, bool]]:
    """The comparisons of a formula, and whether each by itself is demanded."""
    if isinstance(formula, Comparison):
        return [(formula, demanded)]
    all_of_it = isinstance(formula, Temporal | Junction) and formula.operator in ("always", "and")
    inner = demanded and all_of_it
    found: list[tuple[Comparison, bool]] = []
    for child in children(formula):
        found += comparisons(child, inner) if _is_formula(child) else []  # type: ignore[arg-type]
    return found


def _is_formula(node: Node) -> bool:
    from .formula_tree import FORMULAS

    return isinstance(node, FORMULAS)


def pretty(comparison: Comparison) -> str:
    """A comparison as people write it."""
    plain = text(comparison).strip("()") if text(comparison).count("(") == 1 else text(comparison)[1:-1]
    return (
        plain.replace(">=", "≥").replace("<=", "≤").replace(".0 ", " ").removesuffix(".0").replace("*", "·")
    )
