"""What can be watched in any MuJoCo environment: signals read from its model and data after every physics step.

`mj_step` is the one door through which an environment moves its simulation: while `watched` is open in a
thread, each step of the data it names is recorded, one at a time; nothing else about the step changes. Joint
positions and velocities are those after the step; forces, body speeds and contacts are as `mj_step` leaves them, one physics step old.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from .errors import BadInput, one_line
from .signals import Array, Derivation, Lookup, Signal, SignalTable
from .vocabulary import common_held, described

Read = Callable[[Any], Array]
HINGE, SLIDE = mujoco.mjtJoint.mjJNT_HINGE.value, mujoco.mjtJoint.mjJNT_SLIDE.value


@dataclass(frozen=True)
class Watch:
    """The columns of one model: (name, unit, size, how they are read from `mjData`), and what is derived from them."""

    columns: tuple[tuple[str, str, int, Read], ...]
    derived: tuple[tuple[Signal, Derivation], ...]

    @property
    def width(self) -> int:
        return sum(size for _, _, size, _ in self.columns)

    def read(self, data: Any, out: Array) -> None:
        """Write all columns of `data` into `out` `(width,)`."""
        start = 0
        for _, _, size, read in self.columns:
            out[start : start + size] = read(data)
            start += size


def watch_of(model: Any) -> Watch:
    """What there is to watch in a model; joints, actuators and bodies that it lacks give no signal."""
    columns: list[tuple[str, str, int, Read]] = []
    derived: list[tuple[Signal, Derivation]] = []
    for kind, name, unit in ((HINGE, "hinge", "rad"), (SLIDE, "slide", "m")):
        joints = np.flatnonzero(model.jnt_type == kind)
        if len(joints):
            q, v = model.jnt_qposadr[joints].copy(), model.jnt_dofadr[joints].copy()
            columns.append((f"{name}.position", unit, len(joints), _picked("qpos", q)))
            columns.append((f"{name}.velocity", f"{unit}/s", len(joints), _picked("qvel", v)))
            derived.append((described(f"{name}.speed", f"{unit}/s"), _largest(f"{name}.velocity")))
    limited = np.flatnonzero((model.jnt_limited != 0) & np.isin(model.jnt_type, (HINGE, SLIDE)))
    if len(limited):
        columns.append(("joint.position.share", "1", 1, _position_share(model, limited)))
    if model.nu:
        columns.append(("drive.power", "W", 1, _power))
        limits = actuator_limits(model)
        if np.isfinite(limits).any():
            columns.append(("actuator.force.share", "1", 1, _force_share(limits)))
    columns += [
        ("body.speed", "m/s", 1, _body_speed(model)),
        ("contact.force", "N", 1, _contact_force(model)),
        ("energy.kinetic", "J", 1, _energy(model, 1)),
        ("energy.potential", "J", 1, _energy(model, 0)),
        ("simulator.warnings", "1", 1, lambda data: np.asarray(data.warning.number.sum(), np.float64)),
    ]
    return Watch(tuple(columns), tuple(derived))


def table_of(watch: Watch, actions: int, control_hz: float, physics_hz: float) -> SignalTable:
    """The signal table of a watched environment."""
    signals: dict[str, Signal] = {}
    spans: dict[str, slice] = {}
    start = 0
    for name, unit, size, _ in watch.columns:
        listed = name.endswith((".position", ".velocity"))
        signals[name] = described(name, unit, (size,) if listed else (), "sensor", physics_hz)
        spans[name] = slice(start, start + size)
        start += size
    for signal in (*common_held(actions, control_hz), *(signal for signal, _ in watch.derived)):
        signals[signal.name] = signal
    return SignalTable(signals, spans, {signal.name: function for signal, function in watch.derived})


def actuator_limits(model: Any) -> Array:
    """`(nu,)`: the largest force of each actuator: its force range, else gain times control range, else infinite."""
    limits = np.full(model.nu, np.inf)
    fixed = (model.actuator_gaintype == mujoco.mjtGain.mjGAIN_FIXED.value) & (
        model.actuator_biastype == mujoco.mjtBias.mjBIAS_NONE.value
    )
    motor = fixed & (model.actuator_ctrllimited != 0)
    reach = np.abs(model.actuator_ctrlrange).max(axis=1) * np.abs(model.actuator_gainprm[:, 0])
    limits[motor] = reach[motor]
    bounded = model.actuator_forcelimited != 0
    limits[bounded] = np.abs(model.actuator_forcerange).max(axis=1)[bounded]
    limits[limits <= 0.0] = np.inf
    return limits


def body_speeds(model: Any, data: Any) -> Array:
    """`(nbody - 1,)`: speed of each body's centre of mass, m/s, from the velocities that `mj_step` left."""
    spin, slide = data.cvel[1:, :3], data.cvel[1:, 3:]
    arm = data.xipos[1:] - data.subtree_com[model.body_rootid[1:]]
    return np.asarray(np.sqrt(((slide + np.cross(spin, arm)) ** 2).sum(axis=1)))


class Recorder:
    """The last control step of one world: `block` `(substeps, width)`, filled by `watched`."""

    def __init__(self, watch: Watch, data: Any, block: Array) -> None:
        self.watch, self.data, self.block = watch, data, block
        self.count = 0

    def record(self) -> None:
        """Take in the physics step that was just made."""
        if self.count < len(self.block):
            self.watch.read(self.data, self.block[self.count])
        self.count += 1


class _Open(threading.local):
    recorder: Recorder | None = None


_open = _Open()
_lock = threading.Lock()
_plain_step = mujoco.mj_step
_users = 0


def _watched_step(model: Any, data: Any, nstep: int = 1) -> None:
    """`mj_step`, one step at a time where this data is watched in this thread."""
    recorder = _open.recorder
    if recorder is None or data is not recorder.data:
        _plain_step(model, data, nstep)
        return
    for _ in range(nstep):
        _plain_step(model, data)
        recorder.record()


@contextmanager
def watched(recorder: Recorder) -> Iterator[None]:
    """Record every physics step that this thread makes with the recorder's data."""
    global _users
    recorder.count = 0
    with _lock:
        _users += 1
        mujoco.mj_step = _watched_step
    _open.recorder = recorder
    try:
        yield
    finally:
        _open.recorder = None
        with _lock:
            _users -= 1
            if not _users:
                mujoco.mj_step = _plain_step


def checked(recorder: Recorder, name: str) -> None:
    """Refuse a control step of another number of physics steps than the block holds. Raises BadInput."""
    if recorder.count != len(recorder.block):
        raise BadInput(
            f"{name}: a control step made {recorder.count} physics steps through mujoco.mj_step, expected "
            f"{len(recorder.block)}: it cannot be watched at every one"
        )


def _picked(field: str, where: NDArray[np.int64]) -> Read:
    return lambda data: np.asarray(getattr(data, field)[where])


def _largest(name: str) -> Derivation:
    def largest(s: Lookup) -> Array:
        return np.asarray(np.abs(s[name]).max(axis=-1))

    return largest


def _position_share(model: Any, joints: NDArray[np.int64]) -> Read:
    where = model.jnt_qposadr[joints].copy()
    low, high = model.jnt_range[joints].T.copy()
    middle, reach = 0.5 * (low + high), np.maximum(0.5 * (high - low), 1e-12)
    return lambda data: np.asarray(np.abs((data.qpos[where] - middle) / reach).max())


def _force_share(limits: Array) -> Read:
    return lambda data: np.asarray(np.abs(data.actuator_force / limits).max())


def _power(data: Any) -> Array:
    return np.asarray(np.maximum(data.actuator_force * data.actuator_velocity, 0.0).sum())


def _body_speed(model: Any) -> Read:
    return lambda data: np.asarray(body_speeds(model, data).max(initial=0.0))


def _contact_force(model: Any) -> Read:
    """The largest normal force of one contact."""
    wrench = np.zeros(6)

    def largest(data: Any) -> Array:
        most = 0.0
        for contact in range(data.ncon):
            mujoco.mj_contactForce(model, data, contact, wrench)
            most = max(most, wrench[0])
        return np.asarray(most)

    return largest


def _energy(model: Any, which: int) -> Read:
    """Kinetic (1) or potential (0) energy; what the environment itself keeps in `mjData.energy` stays as it was."""
    compute = mujoco.mj_energyVel if which else mujoco.mj_energyPos

    def energy(data: Any) -> Array:
        kept = data.energy.copy()
        compute(model, data)
        found = data.energy[which]
        data.energy[:] = kept
        return np.asarray(found)

    return energy


class SomebodyElses:
    """What somebody else's environment raises, `sys.exit` too, becomes one line."""

    def __init__(self, name: str, what: str = "the environment failed") -> None:
        self.name, self.what = name, what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, where: object) -> None:
        if isinstance(error, Exception | SystemExit) and not isinstance(error, BadInput):
            raise BadInput(
                f"{self.name}: {self.what} ({one_line(f'{type(error).__name__}: {error}', 160)})"
            ) from None
