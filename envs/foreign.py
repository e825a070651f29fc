"""Any Gymnasium environment that runs on MuJoCo as something that can be judged: `gym:Ant-v5`, `gym:module:Name-v1`.

Its observation, reward, end of episode and random start stay its own; signals are read beside them (`foreign_signals`).
Nothing can be learnt in it here and no expert plays it.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import gymnasium
import mujoco
import numpy as np
from numpy.typing import NDArray

from .engine import model_bytes
from .errors import BadInput, one_line
from .files import sha256_hex
from .foreign_signals import Recorder, SomebodyElses, Watch, table_of, watch_of, watched
from .parameters import NORMAL, Cell
from .signals import Array, Lookup, SignalTable
from .streams import Streams
from .task import COMMON_REASONS, FOREIGN, Start, Task, Term

if TYPE_CHECKING:
    from .control import Controller
    from .engine import Engine
    from .worlds import Worlds

SPEC = re.compile(r"gym:([A-Za-z_][\w.]*:)?([A-Za-z0-9_-]+/)?[A-Za-z0-9_.-]+-v\d+\Z")
LARGEST = float(np.finfo(np.float32).max)
REWARD = "environment"
TERMINATED = len(COMMON_REASONS)


class ForeignTask(Task):
    """One environment, known by its id, Gymnasium's version and the hash of its compiled model.

    Raises BadInput for an id that Gymnasium cannot make, or an environment that is not MuJoCo, has no time
    limit or other spaces than boxes.
    """

    foreign = True
    lasting = False  # what its success is, nobody here knows
    failures = ("terminated", "truncated")
    observe: ClassVar[Mapping[str, Term]] = {}
    rewards: ClassVar[Mapping[str, Callable[[Lookup], Array]]] = {REWARD: lambda s: np.zeros(s.lead)}

    def __init__(self, spec: str) -> None:
        if not SPEC.match(spec):
            raise BadInput(f"{one_line(spec, 80)}: expected gym:Name-v1 or gym:module:Name-v1, as Ant-v5")
        self.id, self.cell = spec, Cell(spec, NORMAL, {})
        self.environment = spec.removeprefix(FOREIGN)
        env = self.make()
        try:
            self._measure(env)
        finally:
            self.close(env)

    def make(self) -> Any:
        """A fresh environment, its observation one row. Raises BadInput."""
        with SomebodyElses(self.environment, "Gymnasium cannot make it"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with importing_from_here():
                    env = gymnasium.make(self.environment)
                if isinstance(env.observation_space, gymnasium.spaces.Dict):
                    env = gymnasium.wrappers.FlattenObservation(env)
            except ModuleNotFoundError as error:
                needs = "its own environments need: pip install 'genba[envs]'"
                if ":" in self.environment:
                    needs = "its module and what that imports must be importable from this folder"
                raise BadInput(
                    f"{self.environment}: Gymnasium cannot make it ({one_line(error)}); {needs}"
                ) from None
        inner: Any = env.unwrapped
        if not isinstance(getattr(inner, "model", None), mujoco.MjModel):
            raise BadInput(
                f"{self.environment}: does not run on MuJoCo (it has no `model`), so it cannot be watched"
            )
        for space, what in ((env.observation_space, "observation"), (env.action_space, "action")):
            if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1 or not space.shape[0]:
                raise BadInput(
                    f"{self.environment}: expected a {what} of one row of numbers, found {one_line(space, 80)}"
                )
            if np.isnan([space.low, space.high]).any():
                raise BadInput(
                    f"{self.environment}: the bounds of its {what} are no numbers (nan); give it some"
                )
        inner.model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET.value
        return env

    def close(self, env: Any) -> None:
        """Close an environment that was made. Raises BadInput."""
        with SomebodyElses(self.environment, "cannot be closed"):
            env.close()

    def _measure(self, env: Any) -> None:
        """What the environment is: spaces, rates, limits, signals, version."""
        model, inner = env.unwrapped.model, env.unwrapped
        self.low, self.high = (
            np.asarray(each, np.float64) for each in (env.action_space.low, env.action_space.high)
        )
        self._box = env.observation_space
        self.watch: Watch = watch_of(model)
        recorder = Recorder(self.watch, inner.data, np.zeros((0, self.watch.width)))
        with SomebodyElses(self.environment):
            env.reset(seed=0)
            with watched(recorder):
                env.step(np.clip(np.zeros(len(self.low)), self.low, self.high).astype(np.float32))
        self._substeps = recorder.count
        limit = None if env.spec is None else env.spec.max_episode_steps
        if not self._substeps:
            raise BadInput(
                f"{self.environment}: makes no physics step through mujoco.mj_step, so it cannot be watched"
            )
        if not limit:
            raise BadInput(
                f"{self.environment}: has no time limit (max_episode_steps), so an episode need not end"
            )
        self.limit = int(limit)
        physics_hz, control_hz = (
            _rate(1.0 / model.opt.timestep),
            _rate(1.0 / (model.opt.timestep * self._substeps)),
        )
        vars(self).update(  # what a task of ours says in its class
            robot_name=self.environment,
            title=(self.environment, self.environment),
            action_names=tuple(f"action.{i}" for i in range(len(self.low))),
            commands=(("1", 1.0),) * len(self.low),
            physics_hz=physics_hz,
            control_hz=control_hz,
            takt_s=limit / control_hz,
            horizon_s=limit / control_hz,
            version=f"gymnasium-{gymnasium.__version__}-{sha256_hex(model_bytes(model))[:12]}",
        )

    @property
    def terminated(self) -> int:
        """The code of an end that the environment itself made."""
        return TERMINATED

    @property
    def truncated(self) -> int:
        """The code of an end that the environment made before its time limit and calls no termination."""
        return TERMINATED + 1

    def watch_for(self, model: Any) -> Watch:
        """What is read from one environment's own model."""
        return watch_of(model)

    @property
    def substeps(self) -> int:
        return self._substeps

    @cached_property
    def table(self) -> SignalTable:
        """Every signal of this environment."""
        return table_of(self.watch, len(self.action_names), self.control_hz, self.physics_hz)

    @cached_property
    def observation_names(self) -> tuple[tuple[str, str], ...]:
        return tuple((f"observation.{i}", "1") for i in range(self._box.shape[0]))

    @cached_property
    def observation_limits(self) -> NDArray[np.float32]:
        """`(d,)`: what float32 can hold where the environment says no more."""
        bounds = np.maximum(np.abs(self._box.low), np.abs(self._box.high)).astype(np.float64)
        return np.asarray(np.minimum(bounds, LARGEST), np.float32)

    @property
    def action_limits(self) -> tuple[Array, Array]:
        """The environment's own; infinite ones as far as float32 reaches."""
        return np.maximum(self.low, -LARGEST), np.minimum(self.high, LARGEST)

    def known_disturbances(self) -> tuple[str, ...]:
        from .foreign_disturbances import foreign_disturbances

        return tuple(foreign_disturbances())

    def make_worlds(
        self, n: int, threads: int, tail_s: float, disturbances: list[str], trace: bool
    ) -> Worlds:
        """N environments that play judged episodes. They end where the environment ends them."""
        from .foreign_worlds import ForeignWorlds

        return ForeignWorlds(self, n, disturbances, trace)

    def _no(self, what: str) -> NoReturn:
        raise BadInput(
            f"{self.id}: {what} belongs to Genba's own cells; such an environment is for genba check and replay"
        )

    def build(self) -> mujoco.MjSpec:
        self._no("a scene")

    def place(self, streams: Streams) -> Start:
        self._no("a start that is drawn here")

    def make_controller(self, engine: Engine) -> Controller:
        self._no("a controller")

    def success(self, s: Lookup) -> NDArray[np.bool_]:
        self._no("a goal in signals")

    def failed(self, s: Lookup) -> NDArray[np.int64]:
        self._no("a failure in signals")

    def expert(self, observation: NDArray[np.float32]) -> Array:
        self._no("an expert")

    def signals(self) -> NoReturn:
        self._no("a list of signals")


def _rate(hertz: float) -> float:
    """A whole number where it is one but for rounding."""
    near = round(hertz)
    return near if abs(hertz - near) < 1e-6 * hertz else hertz


@contextmanager
def importing_from_here() -> Iterator[None]:
    """Modules are looked for in the current folder first."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        with suppress(ValueError):  # a module may have taken it out, or put others before it
            sys.path.remove(here)
