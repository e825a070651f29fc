"""`genba bench disturbances`: every disturbance measured in every cell that it applies to, and the page that lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .disturbances import LEVELS, disturbance_classes, disturbances_for
from .effects import Effect, measure, measures
from .errors import UnknownName
from .files import atomic_write_text
from .task import get_task, task_ids

SECTIONS = {
    "sensing": "Sensing",
    "actuation": "Actuation",
    "model": "The model: parts and drives",
    "world": "The world, and the simulator",
    "camera": "Cameras",
}
HEAD = """# Disturbances

Written by `genba bench disturbances`: do not edit. What a bad day does to a cell, with five severities each and where their numbers come
from. Training, suites and `genba check --sweep` use the same classes. *Measured* is what worlds at severities 1 to 5 did, against
undisturbed twins of the same seeds and actions, in the quantity of the ladder: the median over worlds, then the least and the greatest
over cells (`genba.envs.effects` and the modules beside it). A part is weighed by the forces under it, a delay is found by comparing
records, a drive is asked for its torque. Severity 0 changes no bit of a trajectory, which a test compares in every cell.

A source that reads `cell_spec` is our own choice, with its reason. Names of other projects say whose training or benchmark uses a
number of that size. Forces are simulated, uncalibrated.

A suite names disturbances with their severities; several that act together are named in alphabetical order, as `push + sensor-bias: [1, 3]`.
A disturbance that a cell cannot meet is refused before the first episode. The suites of Genba's cells use six of them: `action-delay`, `friction`,
`observation-delay`, `part-mass`, `push` and `sensor-noise`; `inspect` adds those of cameras, and `generic`, for environments that are not Genba's, uses the
two delays beside three of its own, `observation-noise`, `body-mass` and `surface-friction`. Policies learn with those that their cell's suite names.

Cells are measured as they come, so camera disturbances are listed for `inspect`; `kit-pick,vision=1` and `conveyor-sort,vision=1` meet them too. In
`kit-pick` and `handover` the distance to the person (`worker_distance`) is read from a second sensor, to which no error of a sensed position is added (only
the hand's position is disturbed): such disturbances do not show what a policy does when that sensor errs.
"""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """The effects of every disturbance, by name and task, and where their page was written."""

    effects: Mapping[str, Mapping[str, Sequence[Effect]]]
    page: Path

    def as_json(self) -> dict[str, Any]:
        found = {
            name: {task: [effect.measured for effect in rows] for task, rows in cells.items()}
            for name, cells in self.effects.items()
        }
        return {"disturbances": found, "page": str(self.page)}

    def table(self) -> str:
        rows = []
        for name, cells in self.effects.items():
            off = max(abs(each.measured / each.claimed - 1.0) for rows_ in cells.values() for each in rows_)
            rows.append(f"{name:<22}{len(cells)} cells, at most {off:.1%} off its ladder")
        return "\n".join([*rows, str(self.page)])


def bench_disturbances(out: Path, names: Sequence[str] = (), say: Say | None = None) -> Measured:
    """Measure `names` (all without any) in every cell and write `<out>/disturbances.md`. Raises UnknownName."""
    known = measures()
    for name in names:
        if name not in known:
            raise UnknownName("disturbance", name, known)
    chosen = sorted(set(names)) or sorted(known)
    effects: dict[str, dict[str, Sequence[Effect]]] = {name: {} for name in chosen}
    for task_id in task_ids():
        if say is not None:
            say(f"measuring {task_id}")
        task = get_task(task_id)
        for name in disturbances_for(task):
            if name in effects:
                effects[name][task_id] = measure(task, name)
    page = out / "disturbances.md"
    atomic_write_text(page, _page(effects))
    return Measured(effects, page)


def _page(effects: Mapping[str, Mapping[str, Sequence[Effect]]]) -> str:
    known, cells, lines = disturbance_classes(), len(task_ids()), [HEAD]
    for port, title in SECTIONS.items():
        own = [name for name in effects if known[name].port == port]
        if not own:
            continue
        lines += [f"## {title}", ""]
        for name in own:
            cls, rows = known[name], effects[name]
            met = (
                "every cell"
                if len(rows) == cells
                else f"{cls.where}: {', '.join(f'`{task}`' for task in rows)}"
            )
            lines += [
                f"### `{name}`",
                "",
                f"{cls.says[0]} ({cls.says[1]}). In {met}.",
                "",
                f"| {cls.ladder.quantity} ({cls.ladder.unit}) | {' | '.join(str(i) for i in range(1, LEVELS))} |",
                "|---|" + "---:|" * (LEVELS - 1),
                f"| claimed | {' | '.join(f'{value:g}' for value in cls.ladder.values[1:])} |",
                f"| measured | {' | '.join(_span(rows.values(), level) for level in range(LEVELS - 1))} |",
                "",
                f"Source: {cls.ladder.source}.",
                "",
            ]
    return "\n".join(lines).rstrip() + "\n"


def _span(rows: Any, level: int) -> str:
    values = np.array([effects[level].measured for effects in rows])
    low, high = f"{values.min():.3g}", f"{values.max():.3g}"
    return low if low == high else f"{low} to {high}"
