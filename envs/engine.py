"""The engine: N worlds of one model on `mujoco.batch`, with `sensordata` recorded at every physics substep.

The only module that knows `mujoco.batch`. Results are the same bits at any thread count and for any company of worlds.
A diverged world is never reset in silence: automatic reset is off, and a raised warning, a non-finite value or an error
of the simulator marks the world as faulty.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError
from numpy.typing import NDArray

from .signals import Array, Derivation, Signal, SignalTable

Ids = NDArray[np.int64]

_UNITS = {
    mujoco.mjtSensor.mjSENS_FRAMEPOS: "m",
    mujoco.mjtSensor.mjSENS_FRAMELINVEL: "m/s",
    mujoco.mjtSensor.mjSENS_FRAMEANGVEL: "rad/s",
    mujoco.mjtSensor.mjSENS_FRAMEQUAT: "1",
    mujoco.mjtSensor.mjSENS_FRAMEXAXIS: "1",
    mujoco.mjtSensor.mjSENS_FRAMEYAXIS: "1",
    mujoco.mjtSensor.mjSENS_FRAMEZAXIS: "1",
    mujoco.mjtSensor.mjSENS_GEOMDIST: "m",
    mujoco.mjtSensor.mjSENS_GEOMFROMTO: "m",
    mujoco.mjtSensor.mjSENS_FORCE: "N",
    mujoco.mjtSensor.mjSENS_TORQUE: "N*m",
    mujoco.mjtSensor.mjSENS_TOUCH: "N",
    mujoco.mjtSensor.mjSENS_RANGEFINDER: "m",
    mujoco.mjtSensor.mjSENS_INSIDESITE: "1",
    mujoco.mjtSensor.mjSENS_ACTUATORFRC: "N*m",
}
_JOINT_UNITS = {
    mujoco.mjtSensor.mjSENS_JOINTPOS: ("rad", "m"),
    mujoco.mjtSensor.mjSENS_JOINTVEL: ("rad/s", "m/s"),
    mujoco.mjtSensor.mjSENS_JOINTACTFRC: ("N*m", "N"),
}
INPUTS = int(
    mujoco.mjtState.mjSTATE_CTRL | mujoco.mjtState.mjSTATE_MOCAP_POS | mujoco.mjtState.mjSTATE_MOCAP_QUAT
)
PATH_PLACES = ("mesh_pathadr", "skin_pathadr", "hfield_pathadr", "tex_pathadr", "tex_contenttypeadr")
FIRST = np.zeros(1, np.int32)
_all = np.logical_and.reduce
_CONTACT_UNITS = ("1", "N", "N*m", "m", "m", "1", "1", "m/s", "rad/s")  # order of mjtConDataField


@dataclass(frozen=True)
class Moved:
    """Mocap bodies that move within a control tick: the index of the first, positions `(N, K, m, 3)` in m, quaternions `(N, K, m, 4)`."""

    first: int
    pos: Array
    quat: Array


def _unit(model: mujoco.MjModel, sensor: int) -> str:
    kind = mujoco.mjtSensor(model.sensor_type[sensor])
    if kind in _JOINT_UNITS:
        joint = model.sensor_objid[sensor]
        slides = model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_SLIDE
        return _JOINT_UNITS[kind][int(slides)]
    if kind == mujoco.mjtSensor.mjSENS_CONTACT:
        bits = int(model.sensor_intprm[sensor, 0])
        fields = [i for i in range(len(_CONTACT_UNITS)) if bits >> i & 1]
        return _CONTACT_UNITS[fields[0]] if len(fields) == 1 else "1"
    return _UNITS.get(kind, "1")


def sensor_table(
    model: mujoco.MjModel,
    meanings: Mapping[str, tuple[str, str]],
    held: Sequence[Signal] = (),
    constants: Mapping[str, tuple[float, Signal]] | None = None,
    derived: Sequence[tuple[Signal, Derivation]] = (),
) -> SignalTable:
    """The signal table of a compiled cell.

    Sensors named `arm.q.1`, `arm.q.2`, ... that follow each other become one signal `arm.q` with that many entries.
    `meanings` holds (English, Japanese) by signal name.
    """
    spans: dict[str, list[int]] = {}
    units: dict[str, str] = {}
    rates: dict[str, float] = {}
    for i in range(model.nsensor):
        name = re.sub(r"\.\d+$", "", model.sensor(i).name)
        start, size = int(model.sensor_adr[i]), int(model.sensor_dim[i])
        if name in spans and spans[name][1] != start:
            raise ValueError(f"sensors of {name} must follow each other in the model")
        spans.setdefault(name, [start, start])[1] = start + size
        units[name] = _unit(model, i)
        interval = float(model.sensor_interval[i, 0])
        rates[name] = 1.0 / interval if interval > 0 else 1.0 / model.opt.timestep
    signals: dict[str, Signal] = {}
    for name, (start, stop) in spans.items():
        en, ja = meanings.get(name, ("", ""))
        shape = () if stop - start == 1 else (stop - start,)
        signals[name] = Signal(name, units[name], shape, en, ja, round(rates[name], 3), "sensor")
    for signal in (*held, *(s for _, s in (constants or {}).values()), *(s for s, _ in derived)):
        signals[signal.name] = signal
    return SignalTable(
        signals,
        {name: slice(*span) for name, span in spans.items()},
        {signal.name: function for signal, function in derived},
        {name: value for name, (value, _) in (constants or {}).items()},
    )


def model_bytes(model: mujoco.MjModel) -> bytes:
    """The compiled cell as bytes: equal where everything that moves in it is, wherever the files of its meshes and pictures lie."""
    flags = model.opt.disableflags
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)  # as every engine has it
    data = _saved(model) if not model.paths.strip(b"\0") else _saved_without_paths(model)
    model.opt.disableflags = flags
    return data


def _saved(model: mujoco.MjModel) -> bytes:
    data = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, data)
    return data.tobytes()


def _saved_without_paths(model: mujoco.MjModel) -> bytes:
    """The saved model without its paths, their places and their length, which the sizes in its header say, too."""
    model, paths = copy.copy(model), model.paths
    for field in PATH_PLACES:
        getattr(model, field)[:] = -1
    sizes = [(name, getattr(model, name)) for name in dir(model) if name.startswith("n")]
    kept = [each for each in sizes if isinstance(each[1], int) and each[0] not in ("npaths", "nbuffer")]
    saved = _saved(model)
    header = 20 + 8 * int(np.frombuffer(saved, np.int32, 5)[2])  # five numbers, the third says how many sizes
    before, _, after = saved.rpartition(paths)  # the last, as names come before and may read the same
    return repr(kept).encode() + before[header:] + after


class Engine:
    """N worlds of one model.

    Args:
        model: the compiled cell; its automatic reset is switched off.
        worlds: number of worlds N (at least 2 are allocated, so that array code takes the same paths for one).
        threads: C++ threads, 0 for all processors.
        substeps: physics steps per control tick K.
        expanded: model fields that `restart` may write per world.
        captured: whether those who compute something in each tick should capture it (see `capture`), for the first world alone.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        worlds: int,
        threads: int,
        substeps: int,
        expanded: Sequence[str] = (),
        captured: bool = False,
    ) -> None:
        model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
        self.model = model
        self.worlds = max(2, worlds)
        self.substeps, self.captured = substeps, captured
        self.batch = Batch(model, self.worlds, threads)
        self.block = np.zeros((self.worlds, substeps, model.nsensordata))
        self.fields = {name: self.batch.expand(name) for name in expanded}
        self.defaults = {name: rows[0].copy() for name, rows in self.fields.items()}
        self.qpos = self.batch.bind("qpos")
        self.qvel = self.batch.bind("qvel")
        self.ctrl = self.batch.bind("ctrl")
        self.mocap_pos = self.batch.bind("mocap_pos")
        self.mocap_quat = self.batch.bind("mocap_quat")
        self.wrench = self.batch.bind("xfrc_applied")
        self.bias = self.batch.bind("qfrc_bias")
        self._sensordata = self.batch.bind("sensordata")
        self._counts: NDArray[np.int32] = self.batch.warning[:, :, 1]  # how often each warning was raised
        self._counted = self._counts.copy()
        self._unset = np.zeros(self.worlds, bool)  # what follows from the model fields could not be computed
        self._lost = np.zeros(self.worlds, bool)  # nor what follows from them and the state
        shape = (self.worlds if captured else 0, 3, model.nv)
        self._jacobians = np.zeros(shape), np.zeros(shape)  # of which captured code reads the first rows
        self.finer = np.ones(self.worlds, np.int64)  # physics steps that a world makes for each recorded one

    def restart(
        self,
        ids: Ids,
        qpos: Array,
        ctrl: Array,
        mocap_pos: Array | None = None,
        mocap_quat: Array | None = None,
        fields: Mapping[str, Array] | None = None,
    ) -> None:
        """Put worlds `ids` (sorted) into a new state and fill their rows of the block with its sensor data.

        Shapes: qpos `(m, nq)`, ctrl `(m, nu)`, mocap_pos `(m, nmocap, 3)`, mocap_quat `(m, nmocap, 4)`, each field
        `(m, ...)`; a field that is not given takes the model's own value. A world that the simulator cannot start has no
        sensor data, and the next step says that it met a fault; the others start.
        """
        self.batch.reset(ids, stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        self.qpos[ids] = qpos
        self.ctrl[ids] = ctrl
        if mocap_pos is not None:
            self.mocap_pos[ids] = mocap_pos
        if mocap_quat is not None:
            self.mocap_quat[ids] = mocap_quat
        for name, rows in self.fields.items():
            rows[ids] = self.defaults[name] if fields is None or name not in fields else fields[name]
        self.set_const(ids)
        self.forward(ids)
        self.block[ids] = np.where(self._lost[ids, None, None], np.nan, self._sensordata[ids][:, None])
        self._counted[ids] = self._counts[ids]

    def set_const(self, ids: Ids) -> None:
        """Compute what follows from the model fields of worlds `ids`; where that fails, each step meets a fault."""
        self._unset[ids] = False
        try:
            if self.fields:
                self.batch.set_const(ids)
        except SimulationError as failure:
            self._unset[failure.ids] = True

    def forward(self, ids: Ids) -> None:
        """Compute what follows from the state of worlds `ids`; where that fails, each step meets a fault."""
        self._lost[ids] = self._unset[ids]
        try:
            self.batch.forward(ids)
        except SimulationError as failure:
            self._lost[failure.ids] = True

    def step(self, control: Array, ids: Ids | None = None, moved: Moved | None = None) -> NDArray[np.bool_]:
        """Advance one control tick; returns the worlds that met a fault, `(N,)`.

        Args:
            control: `(N, K, nu)` actuator targets for each substep.
            ids: the worlds to advance (sorted), or None for all.
            moved: mocap bodies that move at every substep, for example people; the others stay.
        """
        return self.advance(*self.inputs_of(control, moved), ids)

    def advance(self, given: Array, inputs: int, ids: Ids | None = None) -> NDArray[np.bool_]:
        """As `step`, from what `inputs_of` gave."""
        errors = self._lost.copy()
        for part, finer in self._shares(ids):
            try:
                self._rollout(given, inputs, part, finer)
            except SimulationError as failure:
                errors[failure.ids] = True
        if True in errors.tolist():
            self.block[errors] = np.nan
        raised = np.logical_or.reduce(self._counts > self._counted, axis=1)
        np.copyto(self._counted, self._counts)
        finite = _all(np.isfinite(self.block[:, -1]), 1) & _all(np.isfinite(self.qvel), 1)
        found: NDArray[np.bool_] = raised | errors | ~finite
        if ids is None:
            return found
        faults = np.zeros(self.worlds, bool)
        faults[ids] = found[ids]
        return faults

    def _shares(self, ids: Ids | None) -> list[tuple[Ids | None, int]]:
        """The worlds that advance together, by how much finer than usual they step."""
        if set(self.finer.tolist()) == {1}:
            return [(ids, 1)]
        chosen = np.arange(self.worlds) if ids is None else ids
        return [(chosen[self.finer[chosen] == each], int(each)) for each in np.unique(self.finer[chosen])]

    def _rollout(self, given: Array, inputs: int, ids: Ids | None, finer: int) -> None:
        """One control tick of the worlds `ids`, recorded in the block at every `finer`-th physics step."""
        count = self.worlds if ids is None else len(ids)
        if finer == 1 and (ids is None or ids[-1:].tolist() == [count - 1]):  # the first ones, in place
            out = {"sensordata": self.block[:count]}
            self.batch.rollout(self.substeps, given[:count], inputs, record=["sensordata"], ids=ids, out=out)
            return
        ids = np.arange(self.worlds) if ids is None else ids
        asked = np.repeat(given[ids], finer, axis=1)
        made = np.empty((len(ids), self.substeps * finer, self.block.shape[2]))
        try:
            self.batch.rollout(
                self.substeps * finer, asked, inputs, record=["sensordata"], ids=ids, out={"sensordata": made}
            )
        finally:  # an error in one world leaves the others moved on
            self.block[ids] = made[:, finer - 1 :: finer]

    def inputs_of(self, control: Array, moved: Moved | None) -> tuple[Array, int]:
        """What `rollout` is given, and the bits of `mjtState` that say what it is: targets alone or, as one row a substep in the order of
        `INPUTS`, targets and the poses of all mocap bodies."""
        if moved is None:
            return control, int(mujoco.mjtState.mjSTATE_CTRL)
        n, substeps, targets = control.shape
        given = np.empty((n, substeps, targets + self.mocap_pos[0].size + self.mocap_quat[0].size))
        given[:, :, :targets], start = control, targets
        for held, value in ((self.mocap_pos, moved.pos), (self.mocap_quat, moved.quat)):
            width, stop = held.shape[2], start + held[0].size
            given[:, :, start:stop] = held.reshape(n, 1, -1)
            first = start + moved.first * width
            given[:, :, first : first + value.shape[2] * width] = value.reshape(n, substeps, -1)
            start = stop
        return given, INPUTS

    def jacobian(self, body: int, point: Array) -> tuple[Array, Array]:
        """Translational and rotational Jacobians `(N, 3, nv)` of world points `(N, 3)` on a body."""
        if not self.captured:
            return self.batch.jac(body, point)  # type: ignore[no-any-return]
        for whole, first in zip(self._jacobians, self.batch.jac(body, point[:1], FIRST), strict=True):
            whole[:1] = first
        return self._jacobians

    def snapshot(self, world: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """One world as a model and data of its own, to render it."""
        return self.batch.get_model(world), self.batch.get_data(world)


class Replay:
    """The same controls and resets through `Batch` and nothing else: what the closed loop's speed is measured against."""

    def __init__(
        self, model: mujoco.MjModel, worlds: int, threads: int, expanded: Sequence[str] = ()
    ) -> None:
        self.batch = Batch(model, worlds, threads)
        self.fields = {name: self.batch.expand(name) for name in expanded}
        names = ("qpos", "ctrl", "mocap_pos", "mocap_quat")
        self.qpos, self.ctrl, self.mocap_pos, self.mocap_quat = (self.batch.bind(name) for name in names)

    def restart(
        self,
        ids: Ids,
        qpos: Array,
        ctrl: Array,
        mocap_pos: Array | None,
        mocap_quat: Array | None,
        fields: Mapping[str, Array],
    ) -> None:
        """As `Engine.restart`; `fields` holds every expanded field."""
        self.batch.reset(ids, stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        self.qpos[ids], self.ctrl[ids] = qpos, ctrl
        if mocap_pos is not None:
            self.mocap_pos[ids] = mocap_pos
        if mocap_quat is not None:
            self.mocap_quat[ids] = mocap_quat
        for name, rows in self.fields.items():
            rows[ids] = fields[name]
        if self.fields:
            self.batch.set_const(ids)
        self.batch.forward(ids)

    def step(self, given: Array, inputs: int) -> None:
        """One control tick of every world from what `Engine.inputs_of` gave; nothing is recorded."""
        self.batch.rollout(given.shape[1], given, inputs, record=[])
