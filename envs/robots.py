"""Robots, arms and vehicles: the MJCF model and, from one YAML file each, every limit and mass with its source and confidence.

`Robot.forward` follows the Denavit-Hartenberg chain of the data sheet in plain numpy; it shares nothing with MuJoCo, so that each
can check the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import BadInput, UnknownName
from .files import asset, load_yaml
from .robot_files import ChainRow, Confidence, GripperRow, Opening, RobotFile, ToolFile, VehicleFile

if TYPE_CHECKING:
    import mujoco

    from .tools import Tool

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Limit:
    """One published or assumed figure: value in SI, the document it comes from, how sure it is."""

    id: str
    value: float | tuple[float, ...]
    unit: str
    source: str
    confidence: Confidence
    note: str


@dataclass(frozen=True)
class Link:
    """Mass in kg, centre of mass in m, inertia about it in kg*m^2 (xx yy zz xy xz yz), both in the body's frame."""

    mass: float
    com: tuple[float, float, float]
    inertia: tuple[float, float, float, float, float, float]
    source: str
    confidence: Confidence
    note: str


@dataclass(frozen=True)
class Gripper:
    """Fingers, a vacuum cup or a spindle: its actuator, its joints, and the most it can do (N, m; a spindle N*m, and no end)."""

    kind: Literal["fingers", "vacuum", "spindle"]
    actuator: str
    joints: tuple[str, ...]
    force_max: float
    position_max: float


@dataclass(frozen=True, eq=False)
class Machine:
    """What every robot has, arm or vehicle: its driven joints in SI (rad or m), one entry each, its figures, its masses, its MJCF."""

    name: str
    title: str
    root: str
    joints: tuple[str, ...]
    actuators: tuple[str, ...]
    qd_max: Array
    tau_max: Array
    limits: Mapping[str, Limit]
    links: Mapping[str, Link]
    model_file: str

    def spec(self) -> mujoco.MjSpec:
        """A fresh MjSpec of the robot alone."""
        import mujoco

        spec = mujoco.MjSpec.from_file(self.model_file)
        self.fit(spec)
        return spec

    def fit(self, spec: mujoco.MjSpec) -> None:
        """Put on, in `spec`, what the robot carries beyond its own MJCF."""
        return None

    def limit(self, limit_id: str) -> Limit:
        """One row by its id. Raises UnknownName with the closest ids."""
        if limit_id not in self.limits:
            raise UnknownName("limit", limit_id, self.limits)
        return self.limits[limit_id]

    def _row(self, limit_id: str) -> Array:
        return np.asarray(self.limit(limit_id).value, float)


@dataclass(frozen=True, eq=False)
class Robot(Machine):
    """An arm as its data sheet describes it; arrays have one entry per joint, in SI (rad or m).

    `v_max` and `a_max` bound the tool (m/s, m/s^2; infinite where none is given).
    """

    tool_body: str
    tcp_site: str
    gripper: Gripper
    home: Array
    q_min: Array
    q_max: Array
    qdd_max: Array
    v_max: float
    a_max: float
    chain: tuple[ChainRow, ...]
    tool: Tool | None = None
    prefix: str = ""

    def spec(self) -> mujoco.MjSpec:
        """A fresh MjSpec of the robot alone."""
        import mujoco

        if not self.prefix:
            return super().spec()
        spec = mujoco.MjSpec()
        self.fit(spec)
        return spec

    def fit(self, spec: mujoco.MjSpec) -> None:
        """Put what the MJCF in `spec` lacks there: the whole robot where it has a prefix, and a tool that is not the arm's own."""
        if self.prefix:
            from .tools import put

            put(spec, self.model_file, self.prefix, self.root)
        if self.tool is not None:
            from .tools import fit

            fit(spec, self.tool)

    def forward(self, q: Array) -> tuple[Array, Array]:
        """Tool position `(..., 3)` in m and rotation `(..., 3, 3)` in the robot's base frame for joints `(..., J)`."""
        q = np.asarray(q, float)
        pose, index = np.broadcast_to(np.eye(4), (*q.shape[:-1], 4, 4)), 0
        for row in self.chain:
            moved = np.zeros(q.shape[:-1])
            if row.joint != "fixed":
                moved, index = q[..., index], index + 1
            pose = pose @ _transform(row, moved)
        return pose[..., :3, 3], pose[..., :3, :3]

    def velocity_limits(self, q: Array) -> tuple[Array, Array]:
        """Lowest and highest joint velocity at `q` `(..., J)`, both `(..., J)` in rad/s or m/s.

        Where an envelope is published (FR3) the bound falls towards the ends of the range, so that the arm can still stop.
        """
        q = np.asarray(q, float)
        if "envelope.offset" not in self.limits:
            high = np.broadcast_to(self.qd_max, q.shape)
            return -high, high
        offset, slow = self._row("envelope.offset"), 2.0 * self._row("envelope.deceleration")
        upper = np.sqrt(np.maximum(0.0, slow * (self.q_max - q))) - offset
        lower = np.sqrt(np.maximum(0.0, slow * (q - self.q_min))) - offset
        high = np.minimum(self.qd_max, np.maximum(0.0, upper))
        low = -np.minimum(self.qd_max, np.maximum(0.0, lower))
        return low, high


def _transform(row: ChainRow, moved: Array) -> Array:
    """The 4x4 pose `(..., 4, 4)` of a modified Denavit-Hartenberg row with its joint at `moved` `(...)`."""
    turned = row.theta + (moved if row.joint == "revolute" else 0.0 * moved)
    d = row.d + (moved if row.joint == "prismatic" else 0.0 * moved)
    c, s, ca, sa = np.cos(turned), np.sin(turned), np.cos(row.alpha), np.sin(row.alpha)
    pose = np.zeros((*turned.shape, 4, 4))
    pose[..., 0, 0], pose[..., 0, 1], pose[..., 0, 3] = c, -s, row.a
    pose[..., 1, 0], pose[..., 1, 1], pose[..., 1, 2], pose[..., 1, 3] = s * ca, c * ca, -sa, -sa * d
    pose[..., 2, 0], pose[..., 2, 1], pose[..., 2, 2], pose[..., 2, 3] = s * sa, c * sa, ca, ca * d
    pose[..., 3, 3] = 1.0
    return pose


def robot_names() -> list[str]:
    """The robots there are, arms and vehicles."""
    return sorted(path.parent.name for path in asset("robots").glob("*/*.yaml"))


def arm_names() -> list[str]:
    """Those that are arms."""
    return [name for name in robot_names() if opening_of(name).kind == "arm"]


def vehicle_names() -> list[str]:
    """Those that drive about."""
    return [name for name in robot_names() if opening_of(name).kind == "vehicle"]


def robot_file(name: str) -> Path:
    """The YAML file of a robot that exists."""
    return asset("robots", name, f"{name}.yaml")


@cache
def opening_of(name: str) -> Opening:
    """What kind of robot it is."""
    return load_yaml(robot_file(name), Opening)


@cache
def load_robot(name: str) -> Robot:
    """Read one robot. Raises UnknownName, or BadInput when its file does not fit together."""
    if name not in robot_names():
        raise UnknownName("robot", name, robot_names())
    path, opening = robot_file(name), opening_of(name)
    if opening.kind == "vehicle":
        raise BadInput(f"robot {name} is a vehicle, and an arm is asked for; arms: {', '.join(arm_names())}")
    if opening.arm is not None:
        return _with_tool(load_yaml(path, ToolFile))
    return read_robot(path)


def read_robot(path: Path) -> Robot:
    """Read the YAML file of an arm in any folder, its MJCF beside it. Raises BadInput when it does not fit together."""
    file = load_yaml(path, RobotFile)
    return _assemble(file, *rows_of(path, file, file.chain.source), str(path.parent / file.model))


def rows_of(
    path: Path, file: RobotFile | VehicleFile, *more: str
) -> tuple[dict[str, Limit], dict[str, Link]]:
    """Limits and links of a file by id. Raises BadInput for a source, `more` among them, that it does not list."""
    for key in {row.source for row in (*file.limits, *file.bodies.values())} | set(more):
        if key not in file.sources:
            raise BadInput(
                f"{path}: source '{key}' is not listed under sources; known: {', '.join(file.sources)}"
            )
    limits = {
        row.id: Limit(row.id, row.value, row.unit, file.sources[row.source], row.confidence, row.note)
        for row in file.limits
    }
    links = {
        body: Link(row.mass, row.com, row.inertia, file.sources[row.source], row.confidence, row.note)
        for body, row in file.bodies.items()
    }
    return limits, links


def _with_tool(file: ToolFile) -> Robot:
    """The arm with another tool: its limits and links less what was taken off, and the tool's own."""
    from .tools import Tool

    arm, row = load_robot(file.arm), file.tool
    limits = dict(arm.limits) | {
        each.id: Limit(each.id, each.value, each.unit, file.sources[each.source], each.confidence, each.note)
        for each in file.limits
    }
    links = {name: link for name, link in arm.links.items() if name not in row.removes.bodies}
    links |= {
        name: Link(each.mass, each.com, each.inertia, file.sources[each.source], each.confidence, each.note)
        for name, each in file.bodies.items()
    }
    tool = Tool(str(asset("robots", file.name, row.model)), row.prefix, row.at, **row.removes.model_dump())
    last = arm.chain[-1].model_copy(update={"d": row.tcp_d})
    return replace(
        arm,
        name=file.name,
        title=file.title,
        gripper=_gripper(file.gripper, limits),
        limits=limits,
        links=links,
        chain=(*arm.chain[:-1], last),
        tool_body=arm.tool_body if row.body is None else row.prefix + row.body,
        tcp_site=row.prefix + arm.tcp_site,
        tool=tool,
    )


def _largest(limits: Mapping[str, Limit], limit_id: str) -> float:
    """One figure, infinite where none is given."""
    return float(np.asarray(limits[limit_id].value)) if limit_id in limits else np.inf


def _gripper(row: GripperRow, limits: Mapping[str, Limit]) -> Gripper:
    names = (
        ("spindle.torque.max", "spindle.angle.max")
        if row.kind == "spindle"
        else ("gripper.force.max", "gripper.position.max")
    )
    return Gripper(row.kind, row.actuator, row.joints, *(_largest(limits, name) for name in names))


def per_joint(file: RobotFile | VehicleFile, limits: Mapping[str, Limit], limit_id: str) -> Array:
    """A limit with one figure per joint. Raises BadInput where it has another number of them."""
    value = np.asarray(limits[limit_id].value, float) if limit_id in limits else np.empty(0)
    if value.shape != (len(file.joints),):
        raise BadInput(
            f"robot {file.name}: limit {limit_id}: expected {len(file.joints)} values, found {value.size}"
        )
    value.setflags(write=False)
    return value


def _assemble(
    file: RobotFile, limits: Mapping[str, Limit], links: Mapping[str, Link], model_file: str
) -> Robot:
    def joints(limit_id: str) -> Array:
        return per_joint(file, limits, limit_id)

    return Robot(
        name=file.name,
        title=file.title,
        root=file.root,
        tool_body=file.tool_body,
        tcp_site=file.tcp_site,
        joints=file.joints,
        actuators=file.actuators,
        gripper=_gripper(file.gripper, limits),
        home=joints("home"),
        q_min=joints("joint.position.min"),
        q_max=joints("joint.position.max"),
        qd_max=joints("joint.velocity.max"),
        qdd_max=joints("joint.acceleration.max"),
        tau_max=joints("joint.torque.max"),
        v_max=_largest(limits, "cartesian.speed.max"),
        a_max=_largest(limits, "cartesian.acceleration.max"),
        chain=file.chain.rows,
        limits=limits,
        links=links,
        model_file=model_file,
        prefix=file.prefix,
    )
