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


def sheet(
    name: str, source: Source, model: mujoco.MjModel, joints: Sequence[str], hand: Hand, drives: Drives, home: Array
) -> str:  # fmt: skip
    """The text of the YAML file.

    Args:
        model: the robot as it was written, alone, with its names as in a cell.
        joints: names as the MJCF has them, which a cell puts `name`/ before; so are the hand's.
        home: `(J,)` rad or m.
    """
    prefix = f"{name}/"
    sha = hashlib.sha256(source.path.read_bytes()).hexdigest()
    turns = [model.joint(prefix + joint).type[0] == mujoco.mjtJoint.mjJNT_HINGE for joint in joints]
    unit = "rad" if all(turns) else "rad or m"
    head: dict[str, Any] = {
        "name": name, "title": name, "model": f"{name}.xml", "prefix": prefix, "root": name, "tool_body": prefix + hand.tool_body,
        "tcp_site": f"{prefix}tcp", "joints": [prefix + joint for joint in joints],
        "actuators": [f"arm{i + 1}" for i in range(len(joints))],
        "gripper": {"kind": "fingers", "actuator": "grip", "joints": [prefix + finger for finger in hand.fingers]},
    }  # fmt: skip
    chain = {
        "source": "derived",
        "rows": _chain(model, [prefix + joint for joint in joints], turns, f"{prefix}tcp"),
    }
    sources = {
        "mjcf": f"{source.path.name} (sha256 {sha[:16]})",
        "derived": "computed from the MJCF",
        "genba": "this project",
    }
    stroke = float(model.joint(prefix + hand.fingers[0]).range[1])

    def row(limit: str, value: object, of: str, said: bool, note: str = "") -> dict[str, Any]:
        at = (
            {"source": "mjcf", "confidence": "recalled"}
            if said
            else {"source": "genba", "confidence": "project_assumption"}
        )
        return {
            "id": limit,
            "value": value,
            "unit": of,
            **at,
            "note": note or (AS_WRITTEN if said else NO_PLACE),
        }

    missing = drives.assumed
    no_range, no_torque = (
        "the MJCF has no range for some joint",
        "the MJCF has no torque limit for some joint: three times what carries the arm",
    )
    limits = [
        row("joint.position.min", _plain(drives.low), unit, "range" not in missing, no_range if "range" in missing else ""),
        row("joint.position.max", _plain(drives.high), unit, "range" not in missing, no_range if "range" in missing else ""),
        row("joint.velocity.max", _plain(drives.speed), f"{unit}/s" if unit == "rad" else "rad/s or m/s", "speed" not in missing),
        row("joint.acceleration.max", _plain(drives.acceleration), "rad/s^2" if unit == "rad" else "rad/s^2 or m/s^2", False),
        row("joint.torque.max", _plain(drives.torque), "N*m" if unit == "rad" else "N*m or N", "torque" not in missing, no_torque if "torque" in missing else ""),
        row("gripper.force.max", hand.force, "N", hand.force_said, OF_GENBA if hand.tool_body.startswith(PREFIX) else ""),
        row("gripper.position.max", stroke, "m", not hand.tool_body.startswith(PREFIX), "" if not hand.tool_body.startswith(PREFIX) else OF_GENBA),
        row("home", [round(float(each), 6) for each in home], unit, False, "computed: the tool above the middle of the cell, pointing down"),
    ]  # fmt: skip
    bodies = {body: row for body, row in _bodies(model)}
    text = [
        f"# {name}, taken in from {source.path.name}. Put figures of the data sheet here, with their source and confidence."
    ]
    for part in (head, {"chain": chain}, {"sources": sources}, {"limits": limits}, {"bodies": bodies}):
        text.append(
            yaml.safe_dump(part, sort_keys=False, allow_unicode=True, default_flow_style=None, width=220)
        )
    return "\n".join(text)


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
