"""The YAML files of robots, as they must read: figures with source and confidence; of an arm the chain, the gripper, another tool; of a vehicle its scanner."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Confidence = Literal["confirmed", "confirmed_secondary", "derived", "recalled", "project_assumption"]


class Row(BaseModel):
    """What every figure carries: where it comes from and how sure that is."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: str
    confidence: Confidence
    note: str = ""


class LimitRow(Row):
    id: str
    value: float | tuple[float, ...]
    unit: str


class BodyRow(Row):
    mass: float
    com: tuple[float, float, float]
    inertia: tuple[float, float, float, float, float, float]


class ChainRow(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    a: float
    alpha: float
    d: float
    theta: float = 0.0
    joint: Literal["revolute", "prismatic", "fixed"]


class Chain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    source: str
    rows: tuple[ChainRow, ...]


class GripperRow(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["fingers", "vacuum", "spindle"]
    actuator: str
    joints: tuple[str, ...] = ()


class RobotFile(BaseModel):
    """The YAML file of one arm."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    title: str
    model: str
    prefix: str = (
        ""  # of its names in a cell, which it is then attached to; without one, the cell's MJCF includes it
    )
    root: str
    tool_body: str
    tcp_site: str
    joints: tuple[str, ...]
    actuators: tuple[str, ...]
    gripper: GripperRow
    chain: Chain
    sources: dict[str, str]
    limits: tuple[LimitRow, ...]
    bodies: dict[str, BodyRow]


class ScannerRow(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    signal: str
    cameras: tuple[str, ...]


class VehicleFile(BaseModel):
    """The YAML file of one mobile robot: two driven joints, the left wheel's first."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    kind: Literal["vehicle"]
    title: str
    model: str
    root: str
    joints: tuple[str, str]
    actuators: tuple[str, str]
    scanner: ScannerRow
    sources: dict[str, str]
    limits: tuple[LimitRow, ...]
    bodies: dict[str, BodyRow]


class Removes(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    bodies: tuple[str, ...] = ()
    actuators: tuple[str, ...] = ()
    sensors: tuple[str, ...] = ()


class ToolRow(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str
    prefix: str
    at: str
    tcp_d: float
    body: str | None = None  # the tool's own, where the arm's was taken off
    removes: Removes = Removes()


class ToolFile(BaseModel):
    """The YAML file of a robot that is another one with another tool: what it adds; limits replace by id."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    title: str
    arm: str
    tool: ToolRow
    gripper: GripperRow
    sources: dict[str, str]
    limits: tuple[LimitRow, ...]
    bodies: dict[str, BodyRow]


class Opening(BaseModel):
    """What decides how a robot's file is read."""

    kind: Literal["arm", "vehicle"] = "arm"
    arm: str | None = None
