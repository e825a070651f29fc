"""How bad a day may get: along each disturbance, the severity at which a policy stops keeping what its suite demands.

Severities are probed from 0 to 5, also between two steps of a ladder, by the same episodes each time: first the whole steps by
halving, then the step in which it breaks; where the undisturbed probe is open already, the halving goes to the lowest
severity that is beyond. A probe is *within* the demands where its counts are, *beyond* where a bound at the suite's
confidence shows that they are not, and open otherwise. The breaking point lies between the highest severity up to which every
probe was within and the lowest one beyond. A sweep decides nothing: it plays test seeds, and a release needs a check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..envs.disturbances import LEVELS, check_applies, disturbance_classes, disturbances_for
from ..envs.errors import BadInput, UnknownName
from ..envs.task import FOREIGN, Task, get_task
from .constraints import Constraint
from .episodes import Loop, Row, side_by_side, split
from .percent import at_least, at_most
from .plan import SEEDS_PER_BASE, Episode, first_test_seed
from .policy import Judged, OneAtATime
from .progress import Progress, Say
from .statistics import clopper_pearson_lower, clopper_pearson_upper
from .suite import NOMINAL, Suite, load_suite, suite_for

TOP = LEVELS - 1
FINEST = 0.25  # of a step
EPISODES, WORLDS = 64, 128


@dataclass(frozen=True)
class Demands:
    """What a probe is held against: the lowest success rate that the suite demands anywhere (None: none), and the highest rate of
    violations of each hard constraint, at a one-sided confidence."""

    success: float | None
    limits: Mapping[str, float]
    confidence: float


@dataclass(frozen=True)
class Probe:
    """What came of `n` episodes at one severity: successes, episodes with a violation by hard constraint, simulator faults."""

    severity: float
    n: int
    successes: int
    violations: Mapping[str, int]
    faults: int = 0

    def within(self, demands: Demands) -> bool:
        """The counts themselves keep every demand."""
        kept = all(count <= demands.limits[name] * self.n for name, count in self.violations.items())
        return (
            kept
            and not self.faults
            and (demands.success is None or self.successes >= demands.success * self.n)
        )

    def missed(self, demands: Demands) -> list[str]:
        """What the counts themselves do not keep, each with its bounds."""
        found = [f"simulator fault in {self.faults} of {self.n} episodes"] if self.faults else []
        if demands.success is not None and self.successes < demands.success * self.n:
            found.append(f"success {self._bounded(self.successes, demands)}")
        return found + [
            f"{name} violated {self._bounded(count, demands)}"
            for name, count in self.violations.items()
            if count > demands.limits[name] * self.n
        ]

    def _bounded(self, count: int, demands: Demands) -> str:
        low = clopper_pearson_lower(count, self.n, demands.confidence)
        high = clopper_pearson_upper(count, self.n, demands.confidence)
        return f"in {count} of {self.n} episodes ({at_least(low)} to {at_most(high)})"

    def beyond(self, demands: Demands) -> tuple[str, ...]:
        """What is shown not to be kept: "success", ids of constraints, "fault"."""
        found = ["fault"] if self.faults else []
        if demands.success is not None:
            best = clopper_pearson_upper(self.successes, self.n, demands.confidence)
            found += ["success"] if best < demands.success else []
        for name, count in self.violations.items():
            least = clopper_pearson_lower(count, self.n, demands.confidence)
            found += [name] if least > demands.limits[name] else []
        return tuple(found)


@dataclass(frozen=True)
class Axis:
    """One disturbance: its probes by severity, and between which severities it breaks (`high` None: not shown up to 5)."""

    disturbance: str
    unit: str
    probes: tuple[Probe, ...]
    low: float
    high: float | None
    low_value: float
    high_value: float | None
    breaks: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "disturbance": self.disturbance,
            "unit": self.unit,
            "breaking_point": {"above": self.low, "at_most": self.high},
            "value": {"above": self.low_value, "at_most": self.high_value},
            "breaks": list(self.breaks),
            "probes": [
                {"severity": p.severity, "n": p.n, "successes": p.successes, "violations": dict(p.violations),
                 "faults": p.faults}
                for p in self.probes
            ],
        }  # fmt: skip

    def line(self) -> str:
        """One row of the table."""
        if self.high is None:
            where = "not shown to break" if self.low < TOP else "no break seen"
            return f"{self.disturbance:<22}{where + ' up to 5':<28}{self.low_value:>10.4g} {self.unit:<4}"
        span = f"breaks in {self.low:g} to {self.high:g}"
        value = f"{self.low_value:.4g} to {self.high_value:.4g} {self.unit}"
        return f"{self.disturbance:<22}{span:<28}{value:<26}{', '.join(self.breaks)}"


@dataclass(frozen=True)
class Swept:
    """A policy along every axis."""

    task: str
    policy: str
    suite: str
    episodes: int
    demands: Demands
    nominal: Probe
    axes: tuple[Axis, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "policy": self.policy,
            "suite": self.suite,
            "episodes_per_probe": self.episodes,
            "confidence": self.demands.confidence,
            "demands": {"success": self.demands.success, "violations": dict(self.demands.limits)},
            "nominal": {"n": self.nominal.n, "successes": self.nominal.successes,
                        "violations": dict(self.nominal.violations), "within": self.nominal.within(self.demands)},
            "axes": [axis.as_json() for axis in self.axes],
        }  # fmt: skip

    def table(self) -> str:
        demand = (
            "no success demanded" if self.demands.success is None else f"success {self.demands.success:.0%}"
        )
        head = (
            f"{self.policy} in {self.task}, held against {self.suite} ({demand}): {self.episodes} episodes a probe on test seeds, "
            f"each bound by itself at {self.demands.confidence:.0%}; no verdict"
        )
        first = sorted(
            self.axes, key=lambda axis: (TOP + 1 if axis.high is None else axis.high, axis.disturbance)
        )
        return "\n".join([head, *self._undisturbed(), *(axis.line() for axis in first)])

    def _undisturbed(self) -> list[str]:
        """What the undisturbed probe did not keep, where it did not."""
        nominal, demands = self.nominal, self.demands
        if nominal.within(demands):
            return []
        shown = "and is beyond them" if nominal.beyond(demands) else "though nothing is shown by that"
        return [
            f"undisturbed it was not within the demands, {shown}: {'; '.join(nominal.missed(demands))}; all intervals begin at 0"
        ]


Ask = Callable[[float], Probe]


def search(ask: Ask, nominal: Probe, demands: Demands) -> tuple[Probe, ...]:
    """Probes by severity: 0 and 5; where 5 is not within, the steps by halving, then the step in which it stops being within, or
    (where the undisturbed probe is open) the one in which it is first shown to be beyond.
    """
    known = {0.0: nominal}

    def probe(severity: float) -> Probe:
        if severity not in known:
            known[severity] = ask(severity)
        return known[severity]

    top = probe(float(TOP))
    if nominal.within(demands) and not top.within(demands):
        high = _halved(lambda severity: probe(severity).within(demands))
        later = iter(np.arange(np.ceil(high), TOP))  # up to where it is shown
        while not probe(high).beyond(demands) and (step := next(later, None)) is not None:
            high = float(step)
    elif top.beyond(demands) and not nominal.beyond(demands):
        _halved(lambda severity: not probe(severity).beyond(demands))
    return tuple(known[severity] for severity in sorted(known))


def _halved(kept: Callable[[float], bool]) -> float:
    """The severity, to `FINEST`, from which on something is no longer kept that is kept at 0 and not at 5."""
    low, high = 0.0, float(TOP)
    while high - low > FINEST:
        middle = (low + high) / 2.0
        middle = float(round(middle)) if high - low > 1.0 else middle
        low, high = (middle, high) if kept(middle) else (low, middle)
    return high


def bracket(probes: Sequence[Probe], demands: Demands) -> tuple[float, float | None, tuple[str, ...]]:
    """The highest severity up to which every probe was within, the lowest one beyond from there (None: none), and what broke."""
    low = 0.0
    for probe in probes:
        if not probe.within(demands):
            break
        low = probe.severity
    for probe in probes:
        if probe.severity >= low and (broken := probe.beyond(demands)):
            return low, probe.severity, broken
    return low, None, ()


def demands_of(suite: Suite, constraints: Sequence[Constraint]) -> Demands:
    """What a suite demands of each condition on its own."""
    wanted = [rule.at_least for rule in suite.verdict.success]
    hard = {each.id: each.max_rate for each in constraints if each.hard}
    return Demands(min(wanted) if wanted else None, hard, suite.verdict.confidence)


def sweep(
    policy: Judged,
    *,
    suite: str = "",
    axes: Sequence[str] = (),
    episodes: int | None = None,
    seed: int = 0,
    threads: int = 0,
    say: Say | None = None,
) -> Swept:
    """Where a policy breaks along each disturbance of its cell, or along `axes`.

    Raises:
        UnknownName: no such suite or disturbance. BadInput: a number outside its range, a disturbance that the cell cannot meet, an
            environment that is not ours.
    """
    if policy.task.startswith(FOREIGN):
        raise BadInput(
            f"--sweep: {policy.task} is somebody else's environment; only Genba's own cells can be swept, leave out --sweep"
        )
    episodes = EPISODES if episodes is None else episodes
    if not 2 <= episodes <= SEEDS_PER_BASE:
        raise BadInput(f"--episodes {episodes}: expected 2 to {SEEDS_PER_BASE:,}")
    first = first_test_seed(seed)
    task = get_task(policy.task)
    chosen = load_suite(suite or suite_for(task.id))
    constraints = [bound.constraint for bound in chosen.bind(task).assessed]
    demands, names = demands_of(chosen, constraints), _axes(task, axes)
    asker = Asker(policy, task, constraints, episodes, first, threads)
    found = []
    with Progress("sweep", len(names), 0, say) as progress:
        nominal = asker.probe(NOMINAL, 0.0)
        for name in names:
            probes = search(partial(asker.probe, name), nominal, demands)
            found.append(_axis(name, probes, demands))
            progress.advance(1, name)
    return Swept(task.id, policy.name, chosen.id, episodes, demands, nominal, tuple(found))


def _axes(task: Task, asked: Sequence[str]) -> list[str]:
    known = disturbance_classes()
    for name in asked:
        if name not in known:
            raise UnknownName("disturbance", name, known)
        check_applies(known[name], task)
    return sorted(set(asked)) or list(disturbances_for(task))


def _axis(name: str, probes: tuple[Probe, ...], demands: Demands) -> Axis:
    ladder = disturbance_classes()[name].ladder
    low, high, breaks = bracket(probes, demands)
    values = [None if at is None else float(ladder.at(np.array([at]))[0]) for at in (low, high)]
    return Axis(name, ladder.unit, probes, low, high, values[0] or 0.0, values[1], breaks)


@dataclass(frozen=True)
class Asker:
    """Plays the episodes of a probe: the same seeds, whatever the disturbance and its severity."""

    policy: Judged
    task: Task
    constraints: Sequence[Constraint]
    episodes: int
    first_seed: int
    threads: int

    def probe(self, name: str, severity: float) -> Probe:
        """One severity of one disturbance."""
        played = [Episode(i, 0, name, severity, self.first_seed + i) for i in range(self.episodes)]
        policy = OneAtATime(self.policy)
        loops = [
            Loop(policy, self.task, self.constraints, [name], worlds, cores)
            for worlds, cores in split(min(WORLDS, self.episodes), self.threads)
        ]
        return counted(list(side_by_side(loops, played)), severity, self.constraints)


def counted(rows: Sequence[Row], severity: float, constraints: Sequence[Constraint]) -> Probe:
    """A probe from its rows; a margin that is no number is a violation."""
    broken = {
        each.id: sum(not row[f"margin.{each.id}"] >= 0.0 for row in rows) for each in constraints if each.hard
    }
    faults = sum(row["reason"] == "fault" for row in rows)
    return Probe(severity, len(rows), sum(row["success"] for row in rows), broken, faults)
