"""The YAML of a robot that was taken in: every figure with what it came from and how sure that is.

What stands in the MJCF is `recalled`: somebody wrote it there, and nobody has compared it with a data sheet. What MJCF cannot say is
a `project_assumption`. Neither gates by itself; whoever has the data sheet puts the figure, its source and `confirmed` here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
import yaml
from numpy.typing import NDArray

from .robot_chain import Kind, chain_of
from .robot_drives import Drives
from .robot_hand import PREFIX, Hand
from .robot_reading import Source

Array = NDArray[np.float64]
AS_WRITTEN = "as the MJCF has it; compare it with the data sheet"
OF_GENBA = "of Genba's own gripper, see robot ur5e-2f85"
NO_PLACE = "MJCF has no place for it; take it from the data sheet"
NO_RANGE = "not every joint of the MJCF has a range; take them from the data sheet"
NO_TORQUE = "not every joint of the MJCF has a torque limit: three times what carries the arm stands in; take them from the data sheet"
NO_FORCE = "the MJCF has no forcerange for the fingers"
HOME = "computed: the tool above the middle of a cell, pointing down"


def sheet(
    name: str,
    source: Source,
    model: mujoco.MjModel,
    joints: Sequence[str],
    hand: Hand,
    drives: Drives,
    home: Array,
) -> str:
    """The text of the YAML file.

    Args:
        model: the robot as it was written, alone, with its names as in a cell.
        joints: names as the MJCF has them, which a cell puts `name`/ before; so are the hand's.
        home: `(J,)` rad or m.
    """
    prefix = f"{name}/"
    own = [prefix + joint for joint in joints]
    turns = [model.joint(joint).type[0] == mujoco.mjtJoint.mjJNT_HINGE for joint in own]
    head: dict[str, Any] = {
        "name": name, "title": name, "model": f"{name}.xml", "prefix": prefix, "root": stand(name), "tool_body": prefix + hand.tool_body,
        "tcp_site": f"{prefix}tcp", "joints": own, "actuators": [f"arm{i + 1}" for i in range(len(own))],
        "gripper": {"kind": "fingers", "actuator": "grip", "joints": [prefix + finger for finger in hand.fingers]},
    }  # fmt: skip
    sha = hashlib.sha256(source.path.read_bytes()).hexdigest()
    sources = {
        "mjcf": f"{source.path.name} (sha256 {sha[:16]})",
        "derived": "computed from the MJCF",
        "genba": "this project",
    }
    parts = (
        head,
        {"chain": {"source": "derived", "rows": _chain(model, own, turns, f"{prefix}tcp")}},
        {"sources": sources},
        {"limits": _limits(model, own, turns, hand, drives, home)},
        {"bodies": dict(_bodies(model))},
    )
    text = [
        f"# {name}, taken in from {source.path.name}. Put figures of the data sheet here, with their source and confidence."
    ]
    text += [
        yaml.safe_dump(part, sort_keys=False, allow_unicode=True, default_flow_style=None, width=220)
        for part in parts
    ]
    return "\n".join(text)


def _limits(
    model: mujoco.MjModel,
    joints: Sequence[str],
    turns: Sequence[bool],
    hand: Hand,
    drives: Drives,
    home: Array,
) -> list[dict[str, Any]]:
    """Every limit; ranges and torques as the written MJCF has them, to its digits."""
    ids = [model.joint(joint).id for joint in joints]
    servos = [model.actuator(f"arm{i + 1}").id for i in range(len(ids))]
    low, high = model.jnt_range[ids].T
    torque = model.actuator_forcerange[servos, 1]
    stroke = float(model.joint(joints[0].partition("/")[0] + "/" + hand.fingers[0]).range[1])
    at, effort = ("rad", "N*m") if all(turns) else ("rad or m", "N*m or N")
    ranged, strong, fast = (
        "" if name not in drives.assumed else said
        for name, said in (("range", NO_RANGE), ("torque", NO_TORQUE), ("speed", NO_PLACE))
    )
    genba = OF_GENBA if hand.tool_body.startswith(PREFIX) else ""
    force = genba or ("" if hand.force_said else NO_FORCE)
    return [
        _row("joint.position.min", _plain(low), at, ranged),
        _row("joint.position.max", _plain(high), at, ranged),
        _row("joint.velocity.max", _plain(drives.speed), " or ".join(f"{unit}/s" for unit in at.split(" or ")), fast),
        _row("joint.acceleration.max", _plain(drives.acceleration), " or ".join(f"{unit}/s^2" for unit in at.split(" or ")), NO_PLACE),
        _row("joint.torque.max", _plain(torque), effort, strong),
        _row("gripper.force.max", hand.force, "N", force),
        _row("gripper.position.max", stroke, "m", genba),
        _row("home", [round(float(each), 6) for each in home], at, HOME),
    ]  # fmt: skip


def _row(limit: str, value: object, unit: str, assumed: str) -> dict[str, Any]:
    """One figure, of the MJCF where there is nothing to say of why it is `assumed`."""
    origin = (
        {"source": "genba", "confidence": "project_assumption"}
        if assumed
        else {"source": "mjcf", "confidence": "recalled"}
    )
    return {"id": limit, "value": value, "unit": unit, **origin, "note": assumed or AS_WRITTEN}


def stand(name: str) -> str:
    """The body below which a cell hangs the robot of that name; no name of the robot's own can be it."""
    return f"{name}/{PREFIX}stand"


def _plain(values: Array) -> list[float]:
    return [float(value) for value in values]


def _chain(
    model: mujoco.MjModel, joints: Sequence[str], turns: Sequence[bool], site: str
) -> list[dict[str, Any]]:
    """Rows of the chain with all joints of the arm at zero."""
    data = mujoco.MjData(model)
    ids = [model.joint(joint).id for joint in joints]
    data.qpos[model.jnt_qposadr[ids]] = 0.0
    mujoco.mj_kinematics(model, data)
    tool = np.eye(4)
    tool[:3, :3], tool[:3, 3] = data.site(site).xmat.reshape(3, 3), data.site(site).xpos
    kinds: list[Kind] = ["revolute" if turn else "prismatic" for turn in turns]
    rows = chain_of(data.xanchor[ids], data.xaxis[ids], kinds, tool)
    return [
        {
            key: round(value, 12) if isinstance(value, float) else value
            for key, value in row.model_dump().items()
        }
        for row in rows
    ]


def _bodies(model: mujoco.MjModel) -> list[tuple[str, dict[str, Any]]]:
    """Mass, centre and inertia of every body that weighs something, in its own frame."""
    found = []
    for index in range(1, model.nbody):
        body = model.body(index)
        if body.mass[0] <= 0.0:
            continue
        flat = np.empty(9)
        mujoco.mju_quat2Mat(flat, body.iquat)
        axes = flat.reshape(3, 3)
        full = axes @ np.diag(body.inertia) @ axes.T
        inertia = [float(full[at]) for at in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
        row = {
            "mass": float(body.mass[0]),
            "com": _plain(body.ipos),
            "inertia": inertia,
            "source": "mjcf",
            "confidence": "recalled",
        }
        found.append((body.name, row))
    return found
