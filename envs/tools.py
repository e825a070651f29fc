"""Tools that an arm takes in place of its own: a second MJCF, attached where the arm ends, after what it replaces was taken off."""

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
