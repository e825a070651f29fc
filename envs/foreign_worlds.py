"""Worlds of an environment that is not ours: one fresh environment for each episode, recorded at every physics step.

What happens in a world depends on the environment, its seed, the severities and the actions, as far as the
environment keeps no state outside of itself.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .chosen import Draws
from .engine import Ids
from .errors import BadInput, one_line
from .foreign_disturbances import make_foreign
from .foreign_signals import Recorder, SomebodyElses, checked, watched
from .signals import Signals
from .streams import Streams
from .task import FAULT, RUNNING, SUCCESS, TIMEOUT
from .worlds import Worlds

if TYPE_CHECKING:
    from .foreign import ForeignTask


NOTHING = object()  # what an environment says that says nothing


class ForeignWorlds(Worlds):
    """N environments; the surface of `Worlds` that a judged episode needs.

    Success is what the environment calls `is_success` in its info; one that does not say so has succeeded
    when its time limit was reached before it ended the episode itself, by calling it terminated or truncated.
    """

    def __init__(self, task: ForeignTask, n: int, disturbances: Sequence[str], trace: bool) -> None:
        self.task = self.foreign = task
        self.n, self.rows = n, max(n, 2)
        rows = self.rows
        self.disturbances = {name: make_foreign(name, task, rows) for name in disturbances}
        self.block = np.zeros((rows, task.substeps, task.watch.width))
        self.held = task.blank_held(rows)
        self._refresh()
        self.seeds, self.steps, self.reason = (np.zeros(rows, np.int64) for _ in range(3))
        self.done, self.success, self.in_path = (
            np.ones(rows, bool),
            np.zeros(rows, bool),
            np.zeros(rows, bool),
        )
        self.cycle_s, self.returns, self.reward = np.full(rows, np.nan), np.zeros(rows), np.zeros(rows)
        self.rewards = {name: np.zeros(rows) for name in task.rewards}
        self.seen = np.zeros((rows, len(task.observation_names)), np.float32)
        self._clamped = np.zeros(rows, np.int64)
        self._worlds: list[tuple[Any, Recorder] | None] = [None] * rows
        self._hashes = [hashlib.sha256() for _ in range(rows)] if trace else None

    def _refresh(self) -> None:
        self.signals = Signals(self.task.table, self.block, self.held)

    def reset(
        self,
        ids: Ids,
        seeds: NDArray[np.int64],
        severities: Mapping[str, NDArray[Any]] | None = None,
        draws: Draws | None = None,
    ) -> None:
        """Start episodes with `seeds` `(m,)` in worlds `ids` `(m,)`; severities `(m,)` by disturbance, absent = 0.

        Raises BadInput for `draws`: how such an environment starts is its own.
        """
        if draws:
            raise BadInput(
                f"{self.task.id}: its start cannot be chosen, only drawn by the environment itself"
            )
        ids = np.asarray(ids, np.int64)
        streams = Streams(self.task.key, np.asarray(seeds, np.int64))
        for name, disturbance in self.disturbances.items():
            level = (severities or {}).get(name, np.zeros(len(ids), np.int64))
            disturbance.assign(ids, np.asarray(level, np.int64), streams)
        self.seeds[ids] = seeds
        for array in (self.steps, self.reason, self._clamped, self.returns):
            array[ids] = 0
        self.done[ids] = self.success[ids] = False
        self.cycle_s[ids] = np.nan
        self.block[ids] = 0.0
        for value in self.held.values():
            value[ids] = 0.0
        for world in ids.tolist():
            self._begin(world)
            if self._hashes is not None:
                self._hashes[world] = hashlib.sha256()
        self._refresh()

    def _begin(self, world: int) -> None:
        """A fresh environment in a world, its model changed as the disturbances say."""
        env = self.foreign.make()
        model, data = env.unwrapped.model, env.unwrapped.data
        for disturbance in self.disturbances.values():
            alter = getattr(disturbance, "alter", None)
            if alter is not None:
                alter(world, model, data)
        watch = self.foreign.watch_for(model)
        self._worlds[world] = env, Recorder(watch, data, self.block[world])
        with self._foreign_code():
            seen, _ = env.reset(seed=int(self.seeds[world]))
        self._see(world, seen)

    def _see(self, world: int, seen: Any) -> None:
        """Keep what the environment shows. Raises BadInput where it is not as long as its space declares."""
        with self._foreign_code():
            row = np.asarray(seen)
        if row.shape != self.seen[world].shape:
            raise BadInput(
                f"{self.foreign.environment}: shows an observation of shape {row.shape}, but its observation_space "
                f"declares {self.seen[world].shape}; mend one of them"
            )
        with self._foreign_code(), np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
            self.seen[world] = row

    def observation(self) -> NDArray[np.float32]:
        """`(N, d)` float32: what the policy sees now. Call it once a tick.

        Where the environment gave no finite number, a number stands in for the sake of the rows beside it: such a world
        ends in this tick's step as a fault, whatever the policy makes of it.
        """
        seen = np.nan_to_num(self.seen)
        for disturbance in self.disturbances.values():
            seen = disturbance.observe(seen, self.steps)
        return seen

    def step(self, action: NDArray[np.floating]) -> None:
        """Advance every world that is not done by one control step; `action` is `(N, A)`, clipped to the box."""
        active = ~self.done
        given = np.array(action, np.float64, order="C")
        broken = active & ~(np.isfinite(given).all(axis=1) & np.isfinite(self.seen).all(axis=1))
        given[broken] = 0.0
        wanted = given.clip(self.foreign.low, self.foreign.high)
        clamped = active & (wanted != given).any(axis=1)
        span = 0.5 * (self.foreign.high - self.foreign.low)
        change = np.abs(wanted - self.held["action"]) / np.where(np.isfinite(span), span, 1.0)
        self.held["action.rate"][:] = np.where(self.steps > 0, change.max(axis=1), 0.0)
        self.held["action"][:], self.held["limits.active"][:] = wanted, clamped
        self._clamped += clamped
        for disturbance in self.disturbances.values():
            wanted = disturbance.act(wanted, self.steps)
        reasons = np.where(broken, FAULT, RUNNING)
        for world in np.flatnonzero(active).tolist():
            reasons[world] = max(
                self._advance(world, wanted[world].astype(np.float32)), reasons[world], key=_rank
            )
        self._conclude(active, reasons)

    def _advance(self, world: int, action: NDArray[np.float32]) -> int:
        """One control step of one world; how the episode stands after it."""
        found = self._worlds[world]
        assert found is not None
        env, recorder = found
        with self._foreign_code(), watched(recorder):
            seen, reward, terminated, truncated, info = env.step(action)
            self.reward[world], terminated, truncated = float(reward), bool(terminated), bool(truncated)
            says = info.get("is_success", NOTHING)
        checked(recorder, self.foreign.environment)
        self._see(world, seen)
        if self._hashes is not None:
            self._hashes[world].update(recorder.block.data)
        data = recorder.data
        sound = all(
            np.isfinite(each).all() for each in (self.reward[world], self.seen[world], data.qpos, data.qvel)
        )
        if not sound or data.warning.number.any():
            return FAULT
        if not (terminated or truncated):
            return RUNNING
        if says is not NOTHING and self._succeeded(says):
            return SUCCESS
        if terminated:
            return self.foreign.terminated
        if self.steps[world] + 1 < self.foreign.limit:
            return self.foreign.truncated
        return SUCCESS if says is NOTHING else TIMEOUT

    def _succeeded(self, says: object) -> bool:
        """What `is_success` means. Raises BadInput for what is neither a truth nor a number: any text would count as success."""
        with self._foreign_code():
            value = says.item() if isinstance(says, np.ndarray | np.generic) else says
        if not isinstance(value, bool | int | float) or math.isnan(value):
            raise BadInput(
                f"{self.foreign.environment}: is_success is {one_line(repr(says))[:60]}, expected true, false or a number; "
                "mend what its step returns"
            )
        return bool(value)

    def _conclude(self, active: NDArray[np.bool_], reasons: NDArray[np.int64]) -> None:
        self.steps += active
        self.held["episode.time"][:] = self.steps * self.task.dt
        self.held["simulator.fault"][active & (reasons == FAULT)] = 1.0
        self.reward = np.where(active & np.isfinite(self.reward), self.reward, 0.0)
        self.rewards = {name: self.reward for name in self.task.rewards}
        self.returns += self.reward
        self.reason = np.where(active, reasons, self.reason)
        self.success = np.where(active, reasons == SUCCESS, self.success)
        ended = active & (reasons != RUNNING)
        self.cycle_s[ended & self.success] = self.time_s[ended & self.success]
        self.done |= ended
        for world in np.flatnonzero(ended).tolist():
            found, self._worlds[world] = self._worlds[world], None
            if found is not None:
                self.foreign.close(found[0])
        self._refresh()

    def _foreign_code(self) -> SomebodyElses:
        return SomebodyElses(self.foreign.environment)


def _rank(reason: int) -> int:
    """A fault outweighs every other ending."""
    return 1 if reason == FAULT else 0
