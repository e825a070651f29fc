"""One world of the judged closed loop, tick by tick, with its monitor: what the live demo shows. No browser in here."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..envs.cell import dressed
from ..envs.disturbances import Push, disturbances_for
from ..envs.errors import UnknownName
from ..envs.task import SEED_RANGES, Task
from ..envs.worlds import Worlds
from ..safety.constraints import Constraint
from ..safety.episodes import NOMINAL, TAIL_S
from ..safety.monitor import Monitor
from ..safety.plan import SEEDS_PER_BASE
from ..safety.policy import Policy

REMEMBERED = 24
KNOCK_M_S = 0.8  # what a knock adds to the speed of a free part
KNOCK_S = 0.06
SHOVE, SHOVE_S = 2.5, 0.30  # a class must see it: harder and longer than the push disturbance at its top
BOTH = np.array([0, 1])


@dataclass(frozen=True)
class Ended:
    """An episode that ran to its end. `margins` are the monitor's, by constraint."""

    episode: int
    seed: int
    reason: str
    success: bool
    total: float
    touched: bool
    breaches: tuple[str, ...]
    margins: dict[str, float]


@dataclass
class Show:
    """Plays episode after episode in one world (two rows, so that it takes the same arithmetic as a check).

    Args:
        task, policy, constraints: what is played, by whom, and what is watched.
        conditions: (disturbance, severity) in the order of the suite: a check gives them its episodes in turn.
        left_out: ids of constraints that this cell cannot judge.
        seed: seed base; the episodes are those that `genba check --seed` gives to the chosen condition.
    """

    task: Task
    policy: Policy
    constraints: Sequence[Constraint]
    conditions: Sequence[tuple[str, int]] = ((NOMINAL, 0),)
    left_out: Sequence[str] = ()
    seed: int = 0
    episode: int = 0
    touched: bool = False
    chosen: tuple[str, int] = (NOMINAL, 0)
    playing: tuple[str, int] = (NOMINAL, 0)
    worlds: Worlds = field(init=False)
    monitor: Monitor = field(init=False)
    ended: deque[Ended] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    tally: dict[str, int] = field(
        default_factory=lambda: {"finished": 0, "succeeded": 0, "broke": 0, "touched": 0}
    )

    def __post_init__(self) -> None:
        self.worlds = Worlds(
            self.task, 2, threads=1, tail_s=TAIL_S, disturbances=tuple(disturbances_for(self.task))
        )
        self.monitor = Monitor(self.constraints, self.task.table, 2, self.task.dt / self.task.substeps)
        self.room = np.zeros(len(self.monitor.ids))
        self._random = np.random.default_rng()
        self._forces: deque[tuple[int, NDArray[np.float64]]] = deque()
        self.begin()

    @property
    def over(self) -> bool:
        return bool(self.worlds.done[0])

    @property
    def state(self) -> NDArray[np.float64]:
        """The world's integration state, for a viewer."""
        row: NDArray[np.float64] = self.worlds.engine.batch.state[0]
        return row

    def begin(self) -> None:
        """Start episode `self.episode` of the chosen condition, from 0."""
        self.playing, known = self.chosen, list(self.conditions)
        index = self.episode * len(known) + (known.index(self.playing) if self.playing in known else 0)
        seed = SEED_RANGES["judge"] + self.seed * SEEDS_PER_BASE + index
        disturbance, severity = self.playing
        self.worlds.reset(BOTH, np.full(2, seed), {disturbance: np.full(2, severity)} if severity else {})
        self.monitor.restart(BOTH)
        self.touched = False
        self._forces.clear()
        self.margins = np.full(len(self.monitor.ids), np.inf)
        self.model, _ = dressed(self.task.scene, *self.worlds.engine.snapshot(0))

    def proceed(self) -> None:
        """Start the next episode."""
        self.episode += 1
        self.begin()

    def choose(self, disturbance: str, severity: int) -> None:
        """The condition from the next episode on: a disturbance at severity 1 to 5, or "none". Raises UnknownName."""
        if disturbance != NOMINAL and disturbance not in self.worlds.disturbances:
            raise UnknownName("disturbance", disturbance, self.worlds.disturbances)
        self.chosen = (NOMINAL, 0) if disturbance == NOMINAL else (disturbance, min(5, max(1, severity)))

    def tick(self) -> None:
        """One control tick of the world and its monitor."""
        worlds = self.worlds
        if worlds.done[0]:
            return
        active = ~worlds.done
        action = self.policy.act(worlds.observation(), worlds.seeds, worlds.steps)
        self._lean()
        worlds.step(action)
        self.monitor.update(worlds.signals, active)
        self.margins = self.monitor.worst[0]
        now = self.monitor.now[0]
        self.room = np.fmax(self.room, np.where(np.isfinite(now), np.abs(now), 0.0))
        if worlds.done[0]:
            self._finish()

    def push(self) -> None:
        """A hand shoves the tool, as the push disturbance does but harder: the episode is no evidence any more."""
        tool = self.worlds.engine.model.body(self.task.tool_body).id
        self._apply(tool, SHOVE * Push.ladder.values[-1], SHOVE_S)

    def knock(self) -> None:
        """A hand knocks the part sideways."""
        model = self.worlds.engine.model
        part = model.body(self.task.part_body).id
        self._apply(part, float(model.body_mass[part]) * KNOCK_M_S / KNOCK_S, KNOCK_S)

    def _apply(self, body: int, force: float, seconds: float) -> None:
        if self.over:
            return
        self.touched = True
        angle = self._random.uniform(0.0, 2.0 * np.pi)
        vector = force * np.array([math.cos(angle), math.sin(angle), 0.0])
        ticks = max(1, round(seconds * self.task.control_hz))
        self._forces = deque([(body, vector)] * ticks + [(body, 0.0 * vector)])

    def _lean(self) -> None:
        """This tick's force of the hand. The push disturbance writes to the same place, so it gives way."""
        if not self._forces:
            return
        body, vector = self._forces.popleft()
        self.worlds.disturbances["push"].level[:] = 0
        self.worlds.engine.wrench[0] = 0.0
        self.worlds.engine.wrench[0, body, :3] = vector

    def _finish(self) -> None:
        margins, _ = self.monitor.finish(BOTH[:1])
        self.margins = margins[0]
        worlds = self.worlds
        values = dict(zip(self.monitor.ids, self.margins.tolist(), strict=True))
        broken = tuple(c.id for c in self.monitor.constraints if c.hard and not values[c.id] >= 0.0)
        reason = self.task.reasons[int(worlds.reason[0])]
        success = bool(worlds.success[0])
        one = Ended(
            self.episode + 1,
            int(worlds.seeds[0]),
            reason,
            success,
            float(worlds.returns[0]),
            self.touched,
            broken,
            values,
        )
        self.ended.append(one)
        if self.touched:
            self.tally["touched"] += 1
            return
        self.tally["finished"] += 1
        self.tally["succeeded"] += success
        self.tally["broke"] += bool(broken)
