"""`genba run`: a released policy in its simulated cell, with its monitor on. It needs MuJoCo, and neither torch nor SB3."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput
from ..envs.task import SEED_RANGES, get_cell
from ..safety.episodes import Loop, Row, Watch
from ..safety.monitor import Monitor
from ..safety.plan import SEEDS_PER_BASE, Episode
from ..safety.progress import Progress, Say
from .contract import contract_of, differences
from .runtime import Runtime
from .shipped import release_folder

WORLDS = 20
STOPPED = "stopped"
SEEDS = 500  # the upper half of the test range; the lower half is for comparisons in training


@dataclass(frozen=True)
class Ran:
    """Episodes of a released policy; `stops` were ended by the monitor, and count as no success."""

    release: Path
    rows: tuple[Row, ...]
    not_monitored: tuple[tuple[str, str], ...]
    video: Path | None = None

    @property
    def success(self) -> int:
        return sum(row["success"] for row in self.rows)

    @property
    def stops(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row["reason"] == STOPPED)

    def as_json(self) -> Mapping[str, Any]:
        """The keys of `genba run --json`; `success` is a rate."""
        return {
            "episodes": len(self.rows),
            "success": self.success / len(self.rows),
            "stops": len(self.stops),
            "release": str(self.release),
            "stopped_by": [
                {"seed": row["seed"], "time_s": row["time_s"], "constraint": broken(row)}
                for row in self.stops
            ],
            "not_monitored": [{"id": name, "why": why} for name, why in self.not_monitored],
            "video": str(self.video) if self.video else None,
        }

    def table(self) -> str:
        lines = [
            f"run      {self.release}: {self.success} of {len(self.rows)} episodes succeeded, "
            f"{len(self.stops)} stopped by the monitor"
        ]
        lines += [
            f"         seed {row['seed']} at {row['time_s']:.2f} s: {', '.join(broken(row))}"
            for row in self.stops
        ]
        lines += [f"         not monitored: {name}: {why}" for name, why in self.not_monitored]
        if self.video:
            lines.append(f"         {self.video}")
        return "\n".join(lines)


def run(
    release: str | Path,
    *,
    episodes: int = 20,
    seed: int = 0,
    video: Path | None = None,
    say: Say | None = None,
    threads: int = 0,
) -> Ran:
    """Run a release for some episodes, undisturbed, on test seeds; the monitor stops an episode at the first breach.

    Args:
        video: a .webm file to write, of the first episode.

    Raises:
        BadInput, Refused: no release, or one that was changed or does not fit this Genba.
    """
    if video is not None:
        from ..envs.render import check_film

        check_film(video)
    release = release_folder(release)
    runtime = Runtime(release)
    task = get_cell(runtime.task, release)
    other = differences(runtime.contract, contract_of(task))
    if other:
        raise BadInput(f"{release}: was made for another {task.id} than this Genba has: {other[0]}")
    if episodes < 1 or not 0 <= seed < SEEDS:
        raise BadInput(f"expected at least 1 episode and a seed of 0 to {SEEDS - 1}")
    monitor = Monitor(runtime.watched.constraints, task.table, 2, 1.0 / task.physics_hz, causal=True)
    base = SEED_RANGES["judge"] - (SEEDS - seed) * SEEDS_PER_BASE
    queue = (Episode(i, 0, "none", 0, base + i) for i in range(episodes))
    loop = Loop(runtime, task, monitor.constraints, (), min(WORLDS, episodes), threads, live=True)
    rows: list[Row] = []
    with ExitStack() as stack:
        progress = stack.enter_context(Progress("run", episodes, say=say))
        watch = _filming(stack, video)
        for row in loop.play(queue, watch, _breach):
            rows.append(row if row["reason"] != task.reasons[0] else {**row, "reason": STOPPED})
            progress.advance(1)
    rows.sort(key=lambda row: int(row["episode"]))
    return Ran(Path(release), tuple(rows), monitor.not_monitored, video)


def _breach(loop: Loop) -> NDArray[np.bool_]:
    """`(N,)`: the monitor stops the robot, because a hard constraint is broken."""
    hard = np.array([each.hard for each in loop.monitor.constraints], bool)
    return np.asarray((~(loop.monitor.worst[:, hard] >= 0.0)).any(axis=1))


def _filming(stack: ExitStack, video: Path | None) -> Watch | None:
    """Follow the first episode with a camera."""
    if video is None:
        return None
    from ..envs.render import Film

    film = stack.enter_context(Film(video))

    def watch(loop: Loop) -> None:
        playing = loop.playing[0]
        if playing is not None and playing.index == 0 and loop.active[0]:
            film.follow(loop.worlds, 0)

    return watch


def broken(row: Row) -> list[str]:
    """The constraints that a row broke."""
    return [
        name.removeprefix("margin.")
        for name, value in row.items()
        if name.startswith("margin.") and not value >= 0.0
    ]
