"""The contract of a task (the job) in its cell (the scene), and the list of tasks there are.

A task is one file in `envs/tasks/`: a subclass of `Task` that builds the cell, places what varies, and says what is observed,
rewarded, counted as success and as failure. Everything is vectorised over worlds; `n` is their number.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .errors import BadInput, UnknownName
from .parameters import FILE, Cell, Parameter, cell_of, parameters_of
from .signals import Array, Derivation, Lookup, Signal, Signals, SignalTable
from .streams import Streams

if TYPE_CHECKING:
    import mujoco

    from .control import Controller
    from .engine import Engine, Moved
    from .eye import Eye
    from .worlds import Worlds

SUCCESS_HOLD_S = 0.2
FOREIGN = "gym:"  # begins the id of an environment that is not ours
RUNNING, SUCCESS, TIMEOUT, FAULT, NOT_KEPT = 0, 1, 2, 3, 4
COMMON_REASONS = ("running", "success", "timeout", "fault", "not-kept")
SEED_RANGES = {
    "train": 0,
    "select": 1_000_000_000,
    "test": 2_000_000_000,
    "judge": 3_000_000_000,
    "search": 8_000_000_000_000_000,  # above every judge seed that is ever drawn; exact in any JSON reader
}
OBSERVATION_LIMITS = {
    "m": 4.0,
    "m/s": 8.0,
    "rad": 8.0,
    "rad/s": 50.0,
    "N": 500.0,
    "N*m": 500.0,
    "s": 100.0,
    "1": 4.0,
}


@dataclass(frozen=True)
class Term:
    """One group of observation columns: a function of what is sensed now, `(n,)` or `(n, d)`, and its unit.

    Columns are clipped to [-limit, limit]; without one, to the generous `OBSERVATION_LIMITS` of the unit.
    """

    value: Callable[[Lookup], Array]
    unit: str = "1"
    names: tuple[str, ...] = ()
    limit: float | None = None


@dataclass(frozen=True)
class Start:
    """The initial state of n worlds: robot and parts, actuator targets, fixtures, model fields, held signals, memory.

    `memory` is what the task itself wants back later (when the worker reaches in, for example), name -> `(n, ...)`.
    """

    qpos: Array
    ctrl: Array
    mocap_pos: Array | None = None
    mocap_quat: Array | None = None
    fields: Mapping[str, Array] = field(default_factory=dict)
    held: Mapping[str, Array] = field(default_factory=dict)
    memory: Mapping[str, Array] = field(default_factory=dict)


class Task(ABC):
    """One job. Class attributes say what it is; methods say how it goes.

    Args:
        cell: what was decided about the cell's parameters (see `parameters`); by default the normal variant. Another cell is another
            job: `id` is then its whole spec, so that nothing learnt or judged in one is taken for the other.
    """

    id: str
    version: ClassVar[str] = "1"
    title: ClassVar[tuple[str, str]]
    robot_name: ClassVar[str]
    control_hz: ClassVar[int] = 50
    physics_hz: ClassVar[int] = 500
    takt_s: ClassVar[float]
    horizon_s: ClassVar[float]
    action_names: ClassVar[tuple[str, ...]]
    commands: ClassVar[tuple[tuple[str, float], ...]]  # unit and scale of each: command = scale * action
    failures: ClassVar[tuple[str, ...]] = ()
    damaging: ClassVar[tuple[str, ...]] = ()  # failures that leave a damaged part
    expanded: ClassVar[tuple[str, ...]] = ()
    looks: ClassVar[tuple[str, ...]] = ()  # shapes that are only looked at, but differ from world to world
    observe: ClassVar[Mapping[str, Term]]
    rewards: ClassVar[Mapping[str, Callable[[Lookup], Array]]]
    sensed: ClassVar[Mapping[str, float]] = {}
    part_body: ClassVar[str] = "part"
    tool_body: ClassVar[str] = "hand"
    nearest_person: ClassVar[str] = (
        ""  # the observation term that says how far (m) one is; nothing is hastened there
    )
    camera: ClassVar[str] = ""  # the camera by which the policy sees, if it has one
    steered: ClassVar[str] = (
        "tcp"  # what the action moves: its signals are `<steered>.pos` and `<steered>.vel`
    )
    driven: ClassVar[str] = "arm.q"  # the signal that the controller begins with
    beside: ClassVar[tuple[str, ...]] = ()  # actions that command neither the robot nor its tool
    rising: ClassVar[str] = "vz"  # the action that lifts the tool where it is positive
    lasting: ClassVar[bool] = True  # what is done stays done if nobody touches it
    foreign: ClassVar[bool] = False  # an environment that is not ours (`foreign`)

    def __init__(self, cell: Cell | None = None) -> None:
        self.cell = cell_of(self.id) if cell is None else cell
        self.id = self.cell.spec

    @abstractmethod
    def build(self) -> mujoco.MjSpec:
        """The cell, with every quantity worth a look declared as a named sensor."""

    @abstractmethod
    def place(self, streams: Streams) -> Start:
        """The initial state of `len(streams)` worlds."""

    @abstractmethod
    def make_controller(self, engine: Engine) -> Controller:
        """Turns actions in [-1, 1] into actuator targets."""

    @abstractmethod
    def success(self, s: Lookup) -> NDArray[np.bool_]:
        """`(n,)`: the goal is reached at this instant."""

    @abstractmethod
    def failed(self, s: Lookup) -> NDArray[np.int64]:
        """`(n,)`: 0, or 1 + the index into `failures` of what went wrong for good."""

    @abstractmethod
    def expert(self, observation: NDArray[np.float32]) -> Array:
        """The teacher: `(n, d)` observations to `(n, A)` actions, stateless."""

    @abstractmethod
    def signals(self) -> tuple[list[tuple[Signal, Derivation]], list[Signal], list[tuple[float, Signal]]]:
        """The task's derived, held and constant signals."""

    def make_eye(self, engine: Engine) -> Eye | None:
        """The camera at work, where the task has one."""
        return None

    @property
    def sees(self) -> bool:
        """Whether the policy knows something by a camera."""
        return bool(self.camera)

    def care(self, observation: NDArray[np.float32]) -> Array:
        """`(n,)`: how much it matters to copy the expert well in each of `(n, d)` observations, 1 as a rule."""
        return np.ones(len(observation))

    def commanded(self, commands: Array) -> Array:
        """Commands `(n, A)` in the units of `commands` as actions in [-1, 1]."""
        return np.asarray((commands / np.array([scale for _, scale in self.commands])).clip(-1.0, 1.0))

    def drive(self, times: Array, memory: Mapping[str, Array]) -> Mapping[int, Array]:
        """Targets of the actuators that are not the robot's (people, belts): actuator id -> `(N, K)`."""
        return {}

    def move(self, held: Mapping[str, Array], now: Lookup) -> Moved | None:
        """Mocap bodies that move by themselves (people) in the coming tick; None where there are none.

        May write those held signals, `(N, ...)`, that it alone keeps, as the worker's clock.
        """
        return None

    def cost(self, s: Signals) -> Array:
        """`(N,)`: 1 where a person or a limit was put at risk in this tick (the `cost` of Safety-Gymnasium)."""
        return np.zeros(s.worlds)

    def in_path(self, s: Lookup) -> NDArray[np.bool_]:
        """`(N,)`: a person's hand is inside the robot's planned path while the robot moves."""
        return np.zeros(s.lead[0], bool)

    @property
    def action_limits(self) -> tuple[Array, Array]:
        """`(A,)` each: an action is clipped to between them."""
        ones = np.ones(len(self.action_names))
        return -ones, ones

    def known_disturbances(self) -> tuple[str, ...]:
        """The names of those that this task can be disturbed by."""
        from .disturbances import disturbances_for

        return tuple(disturbances_for(self))

    def make_worlds(
        self, n: int, threads: int, tail_s: float, disturbances: list[str], trace: bool
    ) -> Worlds:
        """N worlds that play judged episodes."""
        from .worlds import Worlds

        return Worlds(self, n, threads, tail_s=tail_s, disturbances=disturbances, trace=trace)

    @property
    def key(self) -> str:
        return f"{self.id}/{self.version}"

    @property
    def substeps(self) -> int:
        return self.physics_hz // self.control_hz

    @property
    def dt(self) -> float:
        """Seconds per control tick."""
        return 1.0 / self.control_hz

    @property
    def reasons(self) -> tuple[str, ...]:
        """Outcome names by code."""
        return COMMON_REASONS + self.failures

    @cached_property
    def cell_sha256(self) -> str:
        """The hash of the compiled cell and of the file of the task: what decides, beside a seed and actions, how an episode goes."""
        from .engine import model_bytes

        source = Path(inspect.getfile(type(self))).read_bytes()
        return hashlib.sha256(hashlib.sha256(source).digest() + model_bytes(self.model)).hexdigest()

    @cached_property
    def model(self) -> mujoco.MjModel:
        """The cell as it is stepped: without the shapes that are only looked at."""
        from .cell import strip

        spec = strip(self.build(), self.looks)
        spec.option.timestep = 1.0 / self.physics_hz
        return spec.compile()

    @cached_property
    def scene(self) -> mujoco.MjModel:
        """The cell as it is shown."""
        spec = self.build()
        spec.option.timestep = 1.0 / self.physics_hz
        return spec.compile()

    @cached_property
    def table(self) -> SignalTable:
        """Every signal of this task."""
        from .engine import sensor_table
        from .vocabulary import common_held, meanings

        derived, held, constants = self.signals()
        held = [*common_held(len(self.action_names), self.control_hz), *held]
        named = {signal.name: (value, signal) for value, signal in constants}
        return sensor_table(self.model, meanings(), held, named, derived)

    @cached_property
    def observation_names(self) -> tuple[tuple[str, str], ...]:
        """(name, unit) of each observation column."""
        rows: list[tuple[str, str]] = []
        for name, term in self.observe.items():
            width = self.columns[name].stop - self.columns[name].start
            suffixes = term.names or tuple(str(i) for i in range(width))
            rows += [(name if width == 1 else f"{name}.{suffixes[i]}", term.unit) for i in range(width)]
        return tuple(rows)

    @cached_property
    def columns(self) -> dict[str, slice]:
        """Observation term -> its columns."""
        probe = Lookup(self.table, np.zeros((2, self.model.nsensordata)), self.blank_held(2), (2,))
        spans, start = {}, 0
        for name, term in self.observe.items():
            width = np.asarray(term.value(probe)).reshape(2, -1).shape[1]
            spans[name] = slice(start, start + width)
            start += width
        return spans

    @cached_property
    def observation_limits(self) -> NDArray[np.float32]:
        """`(d,)`: each observation column lies in [-limit, limit]."""
        limits = np.zeros(len(self.observation_names), np.float32)
        for name, term in self.observe.items():
            limits[self.columns[name]] = OBSERVATION_LIMITS[term.unit] if term.limit is None else term.limit
        return limits

    def split(self, observation: NDArray[np.float32]) -> dict[str, Array]:
        """An observation `(n, d)` by term, float64: `(n,)` for one column, `(n, w)` for more."""
        parts = {
            name: np.ascontiguousarray(observation[:, span], np.float64)
            for name, span in self.columns.items()
        }
        return {name: part[:, 0] if part.shape[1] == 1 else part for name, part in parts.items()}

    def blank_held(self, worlds: int) -> dict[str, Array]:
        """Held signals of `worlds` worlds, all zero."""
        return {s.name: np.zeros((worlds, *s.shape)) for s in self.table.values() if s.kind == "held"}


def observed(task: Task, sensed: Lookup) -> Array:
    """The `(N, d)` observation from what is sensed: finite (0 where nothing can be read) and within its limits."""
    worlds = sensed.lead[0]
    columns = [np.asarray(term.value(sensed)).reshape(worlds, -1) for term in task.observe.values()]
    limits = task.observation_limits.astype(np.float64)
    clipped = np.minimum(np.maximum(np.concatenate(columns, axis=1), -limits), limits)
    return np.where(np.isnan(clipped), 0.0, clipped)


def observation(task: Task, sensed: Lookup) -> NDArray[np.float32]:
    """As `observed`, as policies take it."""
    return observed(task, sensed).astype(np.float32)


def task_classes() -> dict[str, type[Task]]:
    """Every task there is, by id: the subclasses of `Task` in the modules of `genba.envs.tasks`."""
    from . import tasks

    for module in pkgutil.iter_modules(tasks.__path__):
        importlib.import_module(f"{tasks.__name__}.{module.name}")
    ours = (cls for cls in Task.__subclasses__() if not cls.foreign)
    return {cls.id: cls for cls in sorted(ours, key=lambda cls: cls.id)}


def task_ids() -> list[str]:
    """The ids of all tasks, sorted."""
    return list(task_classes())


def get_task(task_id: str) -> Task:
    """A fresh task, of an id, a spec, an edited cell file (see `parameters`) or, as `gym:Ant-v5`, of an environment that is not ours.

    Raises UnknownName with the closest ids, BadInput.
    """
    if task_id.startswith(FOREIGN):
        from .foreign import ForeignTask

        return ForeignTask(task_id)
    classes = task_classes()
    if task_id in classes:
        return classes[task_id]()
    name = task_id.partition(":")[0].partition(",")[0]
    if not FILE.match(task_id) and name not in classes:
        raise UnknownName("task", name, classes)
    cell = cell_of(task_id)
    if cell.task not in classes:
        raise UnknownName("task", cell.task, classes)
    return classes[cell.task](cell)


def get_cell(task_id: str, where: object) -> Task:
    """The task that a file, `where`, names. Raises BadInput where that is somebody else's environment: its code would be run."""
    if task_id.startswith(FOREIGN):
        raise BadInput(
            f"{where}: names an environment that is not Genba's, whose code would be run: say it yourself with --env"
        )
    return get_task(task_id)


def describe(task: Task) -> dict[str, Any]:
    """What `genba tasks --json` says of a task."""
    return {
        "id": task.id,
        "title": task.title[0],
        "robot": task.robot_name,
        "signals": [
            {"name": s.name, "unit": s.unit, "shape": list(s.shape), "kind": s.kind, "en": s.en, "ja": s.ja}
            for s in task.table.values()
        ],
        "observation": [{"name": name, "unit": unit} for name, unit in task.observation_names],
        "action": list(task.action_names),
        "variant": task.cell.variant,
        "parameters": [
            _parameter(name, row, task.cell[name]) for name, row in parameters_of(task.cell.task).items()
        ],
        "takt_s": task.takt_s,
        "horizon_s": task.horizon_s,
        "control_hz": task.control_hz,
        "physics_hz": task.physics_hz,
        "reasons": list(task.reasons[1:]),
    }


def _parameter(name: str, row: Parameter, span: tuple[float, float]) -> dict[str, Any]:
    says = {"en": row.says.en, "ja": row.says.ja}
    return {"name": name, "unit": row.unit, "value": list(span), "range": list(row.range), **says}
