"""What each disturbance really does, measured in the quantity that it claims to change.

Every measurement compares worlds at severities 1 to 5 with twins of the same seeds and actions that nothing disturbs. A part is
weighed by the forces under it, friction is read from how a part moves that is dragged along, a delay is the shift that makes
two records equal. So a disturbance that edits a number which nobody reads measures as zero here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from .camera_effects import CAMERA_MEASURES
from .disturbances import LEVELS, Push, disturbance_classes
from .errors import UnknownName
from .signals import Array
from .task import Task
from .worlds import Worlds

EACH = 8  # worlds per severity
DRAG, DRAG_TICKS = 1.6, 3  # of the part's weight
SETTLE, WEIGHED = 15, 5  # ticks


@dataclass(frozen=True)
class Effect:
    """One step of a ladder: what it claims, what was measured, in `unit`."""

    disturbance: str
    severity: int
    quantity: str
    unit: str
    claimed: float
    measured: float


@dataclass(frozen=True)
class Pair:
    """Worlds at severities 1 to 5, as many of each, and their undisturbed twins."""

    name: str
    worlds: Worlds
    twins: Worlds
    severity: NDArray[np.int64]

    def step(self, action: Array) -> None:
        """The same `(A,)` action in all."""
        for worlds in (self.worlds, self.twins):
            worlds.step(np.tile(action, (worlds.rows, 1)))

    def by_severity(self, values: Array) -> list[float]:
        """Medians over the worlds of each severity; `(N,)`."""
        return [float(np.median(values[self.severity == level])) for level in range(1, LEVELS)]


Measure = Callable[[Task, Pair], list[float]]
PLACES = ("effects_sensing", "effects_acting", "effects_model")


def make_pair(task: Task, name: str, each: int = EACH) -> Pair:
    """`each` worlds per severity."""
    severity = np.repeat(np.arange(1, LEVELS), each)
    seeds = np.arange(len(severity))
    worlds, twins = Worlds(task, len(seeds), disturbances=(name,)), Worlds(task, len(seeds))
    worlds.reset(seeds, seeds, {name: severity})
    twins.reset(seeds, seeds)
    return Pair(name, worlds, twins, severity)


def still(task: Task) -> Array:
    """The action that asks for nothing and holds nothing."""
    return np.array(
        [1.0 if name == "gripper" else -1.0 if name == "vacuum" else 0.0 for name in task.action_names]
    )


def stirring(task: Task) -> Array:
    """The action that moves the robot where there is room: lifts the tool, drives a vehicle ahead."""
    names = np.array(task.action_names)
    return np.where(
        names == (task.rising if task.rising in task.action_names else names[0]), 1.0, still(task)
    )


def noise(task: Task, pair: Pair) -> list[float]:
    """Standard deviation in m of every sensed position about the truth, over its scale."""
    errors = []
    for _ in range(40):
        sensed, truth = pair.worlds.sensed(), pair.worlds.signals.now
        rows = [(sensed[name] - truth[name]) / scale for name, scale in task.sensed.items()]
        errors.append(np.concatenate(rows, axis=1))
        pair.step(still(task))
    spread = np.array(errors)  # (ticks, N, numbers of all positions)
    return [float(spread[:, pair.severity == level].std()) for level in range(1, LEVELS)]


def shift_ms(task: Task, late: Array, early: Array) -> Array:
    """`(N,)`: by how many ms records `late` `(T, N, d)` follow `early`, the shift under which they differ least."""
    lags = range(round(0.2 * task.control_hz))
    start = len(lags)
    gaps = [np.abs(late[start:] - early[start - lag : len(early) - lag]).sum(axis=(0, 2)) for lag in lags]
    return np.asarray(np.argmin(gaps, axis=0) * 1000.0 / task.control_hz)


def observation_delay(task: Task, pair: Pair) -> list[float]:
    late, early = [], []
    for tick in range(40):
        late.append(pair.worlds.observation())
        early.append(pair.twins.observation())
        pair.step(stirring(task) if tick % 8 < 4 else still(task))
    return pair.by_severity(shift_ms(task, np.array(late, float), np.array(early, float)))


def action_delay(task: Task, pair: Pair) -> list[float]:
    late, early = [], []
    for tick in range(40):
        pair.step(still(task) if tick < SETTLE else stirring(task))
        late.append(pair.worlds.signals.now[f"{task.steered}.vel"])
        early.append(pair.twins.signals.now[f"{task.steered}.vel"])
    return pair.by_severity(shift_ms(task, np.array(late), np.array(early)))


def weight(worlds: Worlds) -> Array:
    """`(N,)` N: the vertical force that holds the part up."""
    found, force = np.zeros(worlds.n), np.zeros(6)
    for world in range(worlds.n):
        model, data = worlds.engine.snapshot(world)
        mujoco.mj_forward(model, data)
        part = model.body(worlds.task.part_body).id
        for index, contact in enumerate(data.contact):
            bodies = [int(model.geom_bodyid[geom]) for geom in contact.geom]
            if part in bodies:
                mujoco.mj_contactForce(model, data, index, force)
                upward = float(force[:3] @ contact.frame.reshape(3, 3)[:, 2])
                found[world] += upward if bodies[1] == part else -upward
    return found


def part_mass(task: Task, pair: Pair) -> list[float]:
    """Relative change of the weight of the part where it lies; what rides on a belt is weighed several times, for it trembles."""
    found, without = np.zeros(pair.worlds.n), np.zeros(pair.twins.n)
    for tick in range(SETTLE + WEIGHED):
        pair.step(still(task))
        if tick >= SETTLE:
            found += weight(pair.worlds)
            without += weight(pair.twins)
    return pair.by_severity(np.abs(found / without - 1.0))


def nominal_friction(worlds: Worlds) -> float:
    """The coefficient of sliding friction that the simulator gives the first world's part where it lies."""
    model, data = worlds.engine.snapshot(0)
    mujoco.mj_forward(model, data)
    part = model.body(worlds.task.part_body).id
    own = [contact for contact in data.contact if part in model.geom_bodyid[contact.geom]]
    return float(own[0].friction[0])


def friction_under(worlds: Worlds, action: Array, expected: Array) -> Array:
    """`(N,)`: the coefficient of sliding friction under the part, dragged along for a moment.

    The turning moment of the friction that is `expected` `(N,)` is held against, so that nothing tips; where another one is at work, the
    part tips and the measurement shows that.
    """
    engine, task = worlds.engine, worlds.task
    body, gravity = task.model.body(task.part_body).id, float(-task.model.opt.gravity[2])
    weight = gravity * engine.fields["body_mass"][:, body]
    engine.wrench[:, body, 1] = DRAG * weight  # across what is long
    engine.wrench[:, body, 3] = expected * weight * worlds.held["part.size"][:, 2]
    before = worlds.signals.now["part.vel"].copy()
    for _ in range(DRAG_TICKS):
        worlds.step(np.tile(action, (worlds.rows, 1)))
    dragged = DRAG_TICKS * task.dt - task.model.opt.timestep  # sensors are one substep late, after as before
    gained = (worlds.signals.now["part.vel"] - before) / (dragged * gravity)
    sideways = np.hypot(gained[:, 0], DRAG - gained[:, 1])
    return np.asarray(
        sideways / (1.0 + gained[:, 2])
    )  # what the floor gave sideways over what it gave upwards


def friction(task: Task, pair: Pair) -> list[float]:
    """Relative change of that coefficient."""
    for _ in range(SETTLE):
        pair.step(still(task))
    nominal = nominal_friction(pair.twins)
    claimed = nominal * pair.worlds.disturbances[pair.name].value
    with_it = friction_under(pair.worlds, still(task), claimed)
    without = friction_under(pair.twins, still(task), np.full(pair.twins.rows, nominal))
    return pair.by_severity(np.abs(with_it / without - 1.0))


def push(task: Task, pair: Pair) -> list[float]:
    """The force in N on the tool that, by the robot's equation of motion, explains what the first physics step of the shove did."""
    pair.step(still(task))
    shove = pair.worlds.disturbances[pair.name]
    assert isinstance(shove, Push)
    shove.push(shove.start)  # every world at the first tick of its shove
    before = [pair.twins.engine.snapshot(world) for world in range(pair.twins.n)]
    after = [
        worlds.engine.batch.rollout(1, None, record=["qvel", "qfrc_constraint"])
        for worlds in (pair.worlds, pair.twins)
    ]
    change = (after[0]["qvel"][:, 0] - after[1]["qvel"][:, 0]) / task.model.opt.timestep
    held = after[0]["qfrc_constraint"][:, 0] - after[1]["qfrc_constraint"][:, 0]
    found = [force_behind(task, *before[world], change[world], held[world]) for world in range(len(before))]
    return pair.by_severity(np.array(found))


def force_behind(task: Task, model: mujoco.MjModel, data: mujoco.MjData, change: Array, held: Array) -> float:
    """Horizontal force in N on the tool behind accelerations `change` `(nv,)`: (M + h D) change = J^T force + `held`.

    `held` `(nv,)` is what contacts and other constraints gave against it: the floor under the wheels of a vehicle.
    """
    mujoco.mj_forward(model, data)
    mass, jacobian = np.zeros((model.nv, model.nv)), np.zeros((3, model.nv))
    mujoco.mj_fullM(model, data, mass)
    damping = model.dof_damping.copy()
    for actuator in range(model.nu):
        if model.actuator_trntype[actuator] == mujoco.mjtTrn.mjTRN_JOINT:
            damping[model.jnt_dofadr[model.actuator_trnid[actuator, 0]]] -= model.actuator_biasprm[
                actuator, 2
            ]
    body = model.body(task.tool_body).id
    mujoco.mj_jacBodyCom(model, data, jacobian, None, body)
    impulse = (mass + model.opt.timestep * np.diag(damping)) @ change - held
    reached = np.abs(jacobian).max(axis=0) > 0.0
    force = np.linalg.lstsq(jacobian[:, reached].T, impulse[reached], rcond=None)[0]
    return float(np.hypot(force[0], force[1]))


MEASURES: dict[str, Measure] = {
    "sensor-noise": noise,
    "observation-delay": observation_delay,
    "action-delay": action_delay,
    "part-mass": part_mass,
    "friction": friction,
    "push": push,
    **CAMERA_MEASURES,
}


def measures() -> dict[str, Measure]:
    """How each disturbance is measured, by name: those here and those in the modules of `PLACES`."""
    known = dict(MEASURES)
    for place in PLACES:
        known |= importlib.import_module(f"{__package__}.{place}").MEASURES
    return known


def measure(task: Task, name: str) -> list[Effect]:
    """What severities 1 to 5 of a disturbance do in a task's cell. Raises UnknownName, BadInput where it does not apply."""
    known = measures()
    if name not in known:
        raise UnknownName("disturbance", name, known)
    ladder = disturbance_classes()[name].ladder
    found = known[name](task, make_pair(task, name))
    return [
        Effect(name, level, ladder.quantity, ladder.unit, ladder.values[level], found[level - 1])
        for level in range(1, LEVELS)
    ]
