"""What disturbed actions really do: measured where the controller receives them, and in the tool's motion."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .control import Controller
from .drives import motions
from .effects import SETTLE, Pair, still
from .engine import Ids
from .signals import Array, Lookup
from .task import Task
from .terms import norm_xy

HALF, GENTLE, SWEEP = 0.4, 0.1, 0.002  # of full speed


@dataclass
class Tap:
    """A controller that keeps what it received."""

    controller: Controller
    received: list[Array] = field(default_factory=list)

    def restart(self, ids: Ids, q: Array) -> None:
        self.controller.restart(ids, q)

    def targets(self, action: Array, now: Lookup, out: Array) -> NDArray[np.bool_]:
        self.received.append(action.copy())
        return self.controller.targets(action, now, out)


def received(task: Task, pair: Pair, actions: list[Array]) -> Array:
    """`(T, N, M)`: which motion commands the controller got of `actions`, `(A,)` each."""
    tap = Tap(pair.worlds.controller)
    pair.worlds.controller = tap
    for action in actions:
        pair.step(action)
    pair.worlds.controller = tap.controller
    return np.array(tap.received)[:, :, motions(task)]


def moving(task: Task, share: float) -> Array:
    """The action that asks for `share` of full speed of every motion."""
    return np.where(motions(task), share, still(task))


def noise(task: Task, pair: Pair) -> list[float]:
    found = received(task, pair, [still(task)] * 100)
    return [float(found[:, pair.severity == level].std()) for level in range(1, 6)]


def scale(task: Task, pair: Pair) -> list[float]:
    """Relative change of the speed at which the tool moves sideways, or a vehicle ahead."""
    along = "vy" if "vy" in task.action_names else task.action_names[0]
    action = np.where(np.array(task.action_names) == along, GENTLE, still(task))
    for _ in range(SETTLE):
        pair.step(action)
    speed = [norm_xy(worlds.signals.now[f"{task.steered}.vel"]) for worlds in (pair.worlds, pair.twins)]
    return pair.by_severity(np.abs(speed[0] / speed[1] - 1.0))


def lag(task: Task, pair: Pair) -> list[float]:
    """The time constant in ms by which the controller's command nears a step, from its third tick."""
    ticks = 3
    share = received(task, pair, [moving(task, HALF)] * ticks)[-1].mean(axis=1) / HALF
    return pair.by_severity(-1000.0 * ticks * task.dt / np.log1p(-share))


def coupling(task: Task, pair: Pair) -> list[float]:
    """What reaches the other motions while one is commanded, each in turn."""
    axes = np.flatnonzero(motions(task))
    asked = [np.where(np.arange(len(task.action_names)) == axis, HALF, still(task)) for axis in axes]
    found = received(task, pair, asked)
    others = np.array([np.delete(found[i], i, axis=1).sum(axis=1) for i in range(len(axes))])
    return pair.by_severity(others.mean(axis=0) / HALF)


def saturation(task: Task, pair: Pair) -> list[float]:
    """What is missing of a command at full speed."""
    return pair.by_severity(1.0 - received(task, pair, [moving(task, 1.0)])[0].min(axis=1))


def dead_zone(task: Task, pair: Pair) -> list[float]:
    """The smallest command that gets through."""
    steps = SWEEP * np.arange(1, 130)
    through = (received(task, pair, [moving(task, share) for share in steps]) != 0.0).all(axis=2)  # (T, N)
    return pair.by_severity(steps[np.argmax(through, axis=0)])


MEASURES = {
    "action-noise": noise,
    "action-scale": scale,
    "action-lag": lag,
    "action-coupling": coupling,
    "action-saturation": saturation,
    "action-dead-zone": dead_zone,
}
