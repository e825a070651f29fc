"""The gate's self-test: known answers asked of the parts that a verdict rests on, as they are at this moment in this process.

Each question has an answer that was not computed by the part it asks. A gate that skips substeps, counts at another confidence,
drops a NaN or looks too early answers one of them wrongly; `mutants` holds such gates, and each must be caught here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..envs.signals import Array
from ..envs.task import SEED_RANGES, get_task
from ..envs.worlds import Worlds
from . import campaign, result
from .constraints import Constraint, Source
from .evidence import Evidence, expected_columns, rows_sha256
from .monitor import Monitor
from .plan import Plan
from .suite import Suite, load_suite, suite_for
from .verdict import judge
from .verdict_values import Counts

CELL = "conveyor-sort"
SUBSTEPS, HALF = 10, 4
TICKS = 110  # in which every disturbance of the suite has had its moment
SEVERE = 3


@dataclass(frozen=True)
class Answer:
    """One question: whether it was answered as it should be."""

    id: str
    ok: bool


@dataclass(frozen=True)
class _Described:
    unit: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class _Nobody:
    kind: str = "callable"
    name: str = "nobody"
    sha256: str = "0" * 64


@dataclass(frozen=True)
class _Rate:
    id: str
    hard: bool
    max_rate: float


def selftest() -> tuple[Answer, ...]:
    """Ask every question."""
    return tuple(Answer(name, bool(ask())) for name, ask in QUESTIONS.items())


def _margin(values: Array) -> float:
    """What the monitor makes of `always (tcp.speed <= 1 m/s)` over a trace `(substeps,)`, given in two blocks."""
    rule = Constraint(
        "speed", {"en": ""}, "always (tcp.speed <= 1 m/s)", Source("", "", "cell_spec"), hard=True
    )
    monitor = Monitor([rule], {"tcp.speed": _Described("m/s", ())}, 2, 0.002)
    monitor.restart(np.arange(2))
    for block in np.split(values, 2):
        monitor.update({"tcp.speed": np.stack([block, np.zeros(len(block))])})
    return float(monitor.finish(np.arange(2))[0][0, 0])


def every_substep() -> bool:
    """A limit that is broken in one substep is broken."""
    for at in range(SUBSTEPS):
        values = np.full(SUBSTEPS, 0.5)
        values[at] = 1.5
        if _margin(values) != -0.5:
            return False
    return True


def the_limit() -> bool:
    """Just below a limit is not above it, and the other way round."""
    below, above = _margin(np.full(SUBSTEPS, 1.0 - 2.0**-6)), _margin(np.full(SUBSTEPS, 1.0 + 2.0**-6))
    return below == 2.0**-6 and above == -(2.0**-6)


def no_number() -> bool:
    """One NaN among good margins is FAIL."""
    plan = _plan()
    rows = _clean(plan)
    rows[f"margin.{plan.assessed[0].id}"][3] = np.nan
    return result.judged(Evidence(Path(), plan, rows)).word == "FAIL"


def confidence() -> bool:
    """No violation in 299 episodes supports 1 % at 95 %, in 298 it does not (0.99 ** 299 < 0.05 < 0.99 ** 298)."""
    words = [
        judge([_Rate("a", True, 0.01)], [], [Counts("none", 0, n, n, n, {"a": 0})], 0.95).word
        for n in (299, 298)
    ]
    return words == ["PASS", "INSUFFICIENT"]


def no_peeking() -> bool:
    """Of a fixed number of episodes nothing is said before the last, good or bad."""
    words = [
        judge([_Rate("a", True, 0.01)], [], [Counts("none", 0, 1000, 500, 500, {"a": count})], 0.95).word
        for count in (0, 400)
    ]
    return words == ["INSUFFICIENT", "INSUFFICIENT"]


def fresh_seeds() -> bool:
    """No two episodes of a check share a seed, nor do two attempts."""
    suite = _suite()
    bases = {  # the very function that a check calls
        campaign.fresh_seed_base(  # type: ignore[attr-defined]
            "0" * 64, suite, attempt
        )
        for attempt in range(8)
    }
    plan = _plan()
    seeds = {plan.episode(i).seed for i in range(plan.episodes)}
    return len(bases) == 8 and len(seeds) == plan.episodes


def disturbances_act() -> bool:
    """Each disturbance of the suite changes the episode that it acts on; without any, the same start gives the same episode."""
    task = get_task(CELL)
    names = sorted({each.disturbance for each in _suite().conditions} - {"none"})
    n = len(names) + 2
    worlds = Worlds(task, n, 1, 1.0, names, trace=True)
    seed = np.full(n, SEED_RANGES["test"] + 7)
    levels = {name: np.where(np.arange(n) == i + 2, SEVERE, 0) for i, name in enumerate(names)}
    worlds.reset(np.arange(n), seed, levels)
    for _ in range(TICKS):
        worlds.step(task.expert(worlds.observation()))
    traces = [worlds.trace_sha256(i) for i in range(n)]
    return traces[0] == traces[1] and traces[0] not in traces[2:]


def clamps_act() -> bool:
    """A command beyond the data sheet is held to it, and that it was held is said."""
    task = get_task(CELL)
    worlds = Worlds(task, 2, 1)
    worlds.reset(np.arange(2), np.full(2, SEED_RANGES["test"] + 7))
    robot, controller = worlds.controller.robot, worlds.controller  # type: ignore[attr-defined]
    said = True
    before = controller.q.copy()  # type: ignore[attr-defined]
    wild = np.tile([50.0, -50.0, 50.0, 50.0, 1.0], (2, 1))
    for _ in range(5):
        said = said and bool(controller.targets(wild, worlds.signals.now, worlds._control).all())
    moved = np.abs(controller.q - before) / (5 * task.dt)  # type: ignore[attr-defined]
    return said and bool((moved <= robot.qd_max).all())


def the_last_bit() -> bool:
    """Rows that differ in the last bit of one number have another hash."""
    row = {"episode": 0, "margin": 0.1}
    return rows_sha256([row]) != rows_sha256([{**row, "margin": float(np.nextafter(0.1, 1.0))}])


QUESTIONS: Mapping[str, Callable[[], bool]] = {
    "every-substep": every_substep,
    "the-limit": the_limit,
    "no-number": no_number,
    "confidence": confidence,
    "no-peeking": no_peeking,
    "fresh-seeds": fresh_seeds,
    "disturbances-act": disturbances_act,
    "clamps-act": clamps_act,
    "the-last-bit": the_last_bit,
}


def _suite() -> Suite:
    return load_suite(suite_for(CELL))


def _plan() -> Plan:
    """A plan of the cell's own suite with a few episodes."""
    suite = _suite().model_copy(update={"episodes_per_condition": HALF})
    task = get_task(CELL)
    return campaign.make_plan(_Nobody(), task, suite, suite.bind(task), 1)  # type: ignore[arg-type]


def _clean(plan: Plan) -> dict[str, Array]:
    """Columns of evidence in which nothing went wrong."""
    n = plan.episodes
    good = {"success": np.ones(n, bool), "reason": np.array(["success"] * n)}
    identity = dict(_identity(plan))
    return {name: identity.get(name, good.get(name, np.ones(n))) for name in expected_columns(plan)}


def _identity(plan: Plan) -> Iterator[tuple[str, Array]]:
    episodes = [plan.episode(i) for i in range(plan.episodes)]
    for name, field in (("episode", "index"), ("condition", "condition"), ("seed", "seed")):
        yield name, np.array([getattr(each, field) for each in episodes])
