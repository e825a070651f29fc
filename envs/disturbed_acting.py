"""Actions that go wrong on their way from the policy to the controller: what moves the arm, not what the tool or the cell is told."""

from __future__ import annotations

import numpy as np

from .disturbances import Disturbance, EitherSign, Ladder, Levels
from .drives import motions
from .engine import Engine, Ids
from .signals import Array
from .streams import Streams
from .task import Task


class _Motion(Disturbance):
    """Changes the actions that move the arm."""

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine)
        self.moves = motions(task)

    def changed(self, action: Array, steps: Levels) -> Array:
        """`(N, A)` what arrives of the action."""
        raise NotImplementedError

    def act(self, action: Array, steps: Levels) -> Array:
        if not self.level.any():
            return action
        on = (self.level > 0)[:, None] & self.moves
        return np.where(on, self.changed(action, steps).clip(-1.0, 1.0), action)


class ActionNoise(_Motion):
    """White noise on every motion command, fresh each tick."""

    name, port = "action-noise", "actuation"
    says = ("White noise on motion commands", "動作指令の白色雑音")
    ladder = Ladder(
        "standard deviation, of full speed",
        "1",
        (0.0, 0.01, 0.02, 0.05, 0.1, 0.2),
        "realworldrl perturbs actions with 10 % noise; DeXtreme 2 to 15 % (order of magnitude)",
    )

    def changed(self, action: Array, steps: Levels) -> Array:
        noise = Streams(self.task.key, self.seeds).normal(self.name, action.shape[1:], steps)
        return np.asarray(action + self.value[:, None] * noise)


class ActionScale(_Motion, EitherSign):
    """The arm does more or less of each motion than it is told, up to full speed."""

    name, port = "action-scale", "actuation"
    says = ("The arm does more or less than it is told", "指令に対する動作量の過不足")
    ladder = Ladder(
        "relative change of commanded speed, either sign",
        "1",
        (0.0, 0.05, 0.1, 0.2, 0.3, 0.5),
        "cell_spec: from a scale factor rounded in a driver to a speed override left at half",
    )

    def changed(self, action: Array, steps: Levels) -> Array:
        return np.asarray(self.value[:, None] * action)


class ActionLag(_Motion):
    """Motion commands arrive through a first-order lag."""

    name, port = "action-lag", "actuation"
    says = ("Motion commands take effect gradually", "動作指令の一次遅れ")
    ladder = Ladder(
        "time constant",
        "ms",
        (0.0, 20.0, 40.0, 80.0, 120.0, 200.0),
        "cell_spec: a robot controller's own path filter takes 10 to 200 ms",
    )

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine)
        self.given = np.zeros((engine.worlds, len(task.action_names)))

    def draw(self, ids: Ids, streams: Streams) -> None:
        self.given[ids] = 0.0

    def changed(self, action: Array, steps: Levels) -> Array:
        share = 1.0 - np.exp(-1000.0 * self.task.dt / np.maximum(self.value, 1e-9))
        self.given += share[:, None] * (action - self.given)
        return self.given.copy()


class ActionCoupling(_Motion):
    """A share of each motion command reaches the next axis as well: of y to x, of z to y, of yaw to z, of x to yaw."""

    name, port = "action-coupling", "actuation"
    says = ("Motion commands leak into other axes", "動作指令の軸間干渉")
    ladder = Ladder(
        "share that reaches the next axis",
        "1",
        (0.0, 0.02, 0.05, 0.1, 0.2, 0.3),
        "cell_spec: a tool frame turned by 1 to 17 degrees leaks so much",
    )

    def changed(self, action: Array, steps: Levels) -> Array:
        axes, leaked = np.flatnonzero(self.moves), action.copy()
        leaked[:, axes] += self.value[:, None] * action[:, np.roll(axes, -1)]
        return leaked


class ActionSaturation(_Motion):
    """Motion commands are cut off below full speed."""

    name, port = "action-saturation", "actuation"
    says = ("Motion commands saturate early", "動作指令の早い飽和")
    ladder = Ladder(
        "share of full speed that is cut off",
        "1",
        (0.0, 0.1, 0.2, 0.3, 0.5, 0.7),
        "cell_spec: safe reduced speed is a share of full speed",
    )

    def changed(self, action: Array, steps: Levels) -> Array:
        most = 1.0 - self.value[:, None]
        return np.minimum(np.maximum(action, -most), most)


class ActionDeadZone(_Motion):
    """Motion commands too small to overcome play and friction do nothing."""

    name, port = "action-dead-zone", "actuation"
    says = ("Small motion commands do nothing", "小さな動作指令の不感帯")
    ladder = Ladder(
        "largest command that does nothing, of full speed",
        "1",
        (0.0, 0.01, 0.02, 0.05, 0.1, 0.2),
        "cell_spec: the band in which gears with play do not follow, up to a fifth of full speed",
    )

    def changed(self, action: Array, steps: Levels) -> Array:
        return np.where(np.abs(action) < self.value[:, None], 0.0, action)
