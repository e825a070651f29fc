"""What is attached to a cell: robots that it does not include, and tools that an arm takes in place of its own, after what they replace was
taken off."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco

TCP = "tcp"


@dataclass(frozen=True)
class Tool:
    """A tool's MJCF, the prefix of its names, the arm's body that carries it, and what of the arm makes room for it.

    The tool's site `tcp` takes the place of the arm's in every sensor; its own sensors lose the prefix, since signals are named by
    what they mean.
    """

    model_file: str
    prefix: str
    at: str
    bodies: tuple[str, ...] = ()
    actuators: tuple[str, ...] = ()
    sensors: tuple[str, ...] = ()


def fit(spec: mujoco.MjSpec, tool: Tool) -> None:
    """Put the tool on the arm in `spec`, in place."""
    for exclude in list(spec.excludes):
        if {exclude.bodyname1, exclude.bodyname2} & set(tool.bodies):
            spec.delete(exclude)
    for sensor in list(spec.sensors):
        if sensor.name in tool.sensors:
            spec.delete(sensor)
    for actuator in list(spec.actuators):
        if actuator.name in tool.actuators:
            spec.delete(actuator)
    for body in reversed(tool.bodies):
        spec.delete(spec.body(body))
    frame = spec.body(tool.at).add_frame()
    spec.attach(mujoco.MjSpec.from_file(tool.model_file), prefix=tool.prefix, frame=frame)
    for sensor in spec.sensors:
        sensor.name = sensor.name.removeprefix(tool.prefix)
        if sensor.objname == TCP:
            sensor.objname = tool.prefix + TCP


def put(spec: mujoco.MjSpec, model_file: str, prefix: str, root: str) -> None:
    """Put a robot into `spec`, in place, below a new body `root`; its names get the prefix, its sensors and actuators keep theirs."""
    stand = spec.worldbody.add_body(name=root)
    spec.attach(mujoco.MjSpec.from_file(model_file), prefix=prefix, frame=stand.add_frame())
    for actuator in spec.actuators:
        actuator.name = actuator.name.removeprefix(prefix)
    for sensor in spec.sensors:
        sensor.name = sensor.name.removeprefix(prefix)
        if sensor.objtype == mujoco.mjtObj.mjOBJ_ACTUATOR:
            sensor.objname = sensor.objname.removeprefix(prefix)
