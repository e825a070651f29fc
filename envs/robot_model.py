"""Somebody else's MJCF made into one that Genba can put in a cell: one tree, position servos, Genba's names for tool, sensors and drives."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import mujoco

from .cell import FIXTURE, PART, PERSON, ROBOT
from .errors import BadInput, one_line
from .robot_drives import Drives
from .robot_hand import quat_of
from .robot_reading import Source
from .robot_survey import Arm, corners, solid

BEYOND = ("compiler", "option", "size", "visual", "statistic", "custom", "keyframe")
SEEN, HIDDEN = 2, 3  # groups of shapes: what is looked at, and what collides beside it
FILES = "files"  # the folder of meshes and textures beside the MJCF


def only_the_arm(spec: mujoco.MjSpec, arm: Arm) -> None:
    """Take out, in place, all but the robot's bodies, joints that move the arm or its hand, and shapes."""
    model = spec.compile()
    for things in (spec.sensors, spec.actuators, spec.equalities, spec.tendons, spec.excludes, spec.pairs, spec.keys,
                   spec.tuples, spec.texts, spec.numerics, spec.cameras, spec.lights):  # fmt: skip
        for each in list(things):
            spec.delete(each)
    for each in (*spec.worldbody.geoms, *spec.worldbody.sites, *spec.worldbody.bodies):
        if not (each.name == arm.root and isinstance(each, type(spec.worldbody))):
            spec.delete(each)
    for joint in list(spec.joints):
        if joint.name in (*arm.joints, *arm.hand_joints):
            joint.limited, joint.actfrclimited = bool(model.joint(joint.name).limited[0]), False
            joint.actgravcomp = False
        else:
            spec.delete(joint)
    for body in spec.bodies[1:]:
        body.gravcomp, body.mocap = 0.0, False
        for site in list(body.sites):
            spec.delete(site)
        looks = any(not geom.contype and not geom.conaffinity for geom in body.geoms)
        for geom in body.geoms:
            geom.group = SEEN
            if geom.contype or geom.conaffinity:
                geom.contype, geom.conaffinity = ROBOT, FIXTURE | PART | PERSON
                geom.group = HIDDEN if looks else SEEN


def keep_files(spec: mujoco.MjSpec, source: Source, folder: Path) -> list[Path]:
    """Copy what the shapes that are left need into `folder`/files, and name it there; what nothing needs is taken out. Returns the files."""
    geoms = [geom for body in spec.bodies for geom in body.geoms]
    meshes, materials = {geom.meshname for geom in geoms}, {geom.material for geom in geoms}
    _less(spec, spec.meshes, meshes)
    materials |= {mesh.material for mesh in spec.meshes if getattr(mesh, "material", "")}
    _less(spec, spec.materials, materials)
    _less(spec, spec.textures, {name for material in spec.materials for name in material.textures})
    copied: dict[str, str] = {}
    for each in (*spec.meshes, *spec.textures):
        if each.file:
            each.file = _copy(each.file, source, folder, copied)
    for texture in spec.textures:
        texture.cubefiles = [
            _copy(name, source, folder, copied) if name else "" for name in texture.cubefiles
        ]
    spec.compiler.meshdir = spec.compiler.texturedir = ""
    spec.strippath = False
    return [folder / name for name in copied.values()]


def _less(spec: mujoco.MjSpec, things: list[object], wanted: set[str]) -> None:
    for each in list(things):
        if each.name not in wanted:  # type: ignore[attr-defined]
            spec.delete(each)


def _copy(name: str, source: Source, folder: Path, copied: dict[str, str]) -> str:
    if name not in copied:
        origin = source.assets.get(name)
        if origin is None:
            raise BadInput(
                f"file '{one_line(name, 80)}' is not where it is named; take strippath out of its compiler"
            )
        stem = re.sub(r"[^a-z0-9_-]+", "_", origin.stem.lower()) or "file"
        taken = set(copied.values())
        names = (
            f"{FILES}/{stem}{more}{origin.suffix.lower()}"
            for more in ("", *(f"_{i}" for i in range(2, 2000)))
        )
        copied[name] = next(each for each in names if each not in taken)
        (folder / FILES).mkdir(exist_ok=True)
        shutil.copyfile(origin, folder / copied[name])
    return copied[name]


def written(spec: mujoco.MjSpec) -> str:
    """The MJCF of a spec, masses as compiled, without what would reach beyond the robot (options, sizes, pictures, the compiler's settings)."""
    spec.compiler.saveinertial = True
    tree = ET.fromstring(spec.to_xml())
    for child in list(tree):
        if child.tag in BEYOND:
            tree.remove(child)
    tree.insert(0, ET.Element("compiler", {"angle": "radian", "autolimits": "true"}))
    ET.indent(tree)
    return ET.tostring(tree, encoding="unicode") + "\n"


def stand_up(spec: mujoco.MjSpec, arm: Arm) -> None:
    """Put the robot's root over the origin, in place, and raise it where it would reach below."""
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    root = model.body(arm.root).id
    at = data.xpos[root].copy()
    still = [geom for geom in solid(model, arm.root) if model.body_weldid[model.geom_bodyid[geom]] == 0]
    lowest = min((float(corners(model, data, geom)[:, 2].min()) - at[2] for geom in still), default=0.0)
    spec.body(arm.root).pos = [0.0, 0.0, max(-lowest, 0.0)]


def set_drives(spec: mujoco.MjSpec, arm: Arm, drives: Drives) -> None:
    """A range, a rotor and a position servo `arm1` ... for each joint, in place."""
    for index, name in enumerate(arm.joints):
        joint = spec.joint(name)
        joint.range, joint.limited, joint.margin = [drives.low[index], drives.high[index]], True, 0.0
        joint.armature, joint.actfrclimited = drives.rotor[index], False
        servo = spec.add_actuator(name=f"arm{index + 1}", target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.set_to_position(kp=drives.stiffness[index], kv=drives.damping[index])
        torque = drives.torque[index]
        servo.forcerange, servo.forcelimited, servo.ctrllimited = [-torque, torque], True, False


def add_sites(spec: mujoco.MjSpec, arm: Arm) -> None:
    """The sites `flange` and `elbow`, in place."""
    spec.body(arm.last).add_site(name="flange", pos=arm.flange[:3, 3], quat=quat_of(arm.flange), group=4)
    elbow = spec.joint(arm.joints[(len(arm.joints) - 1) // 2])
    elbow.parent.add_site(name="elbow", pos=elbow.pos, group=4)


def add_sensors(spec: mujoco.MjSpec, arm: Arm, finger: str) -> None:
    """The sensors by which cells know a robot, in place."""
    joint, site = mujoco.mjtObj.mjOBJ_JOINT, mujoco.mjtObj.mjOBJ_SITE
    kinds = mujoco.mjtSensor
    for signal, kind in (("arm.q", kinds.mjSENS_JOINTPOS), ("arm.qd", kinds.mjSENS_JOINTVEL)):
        for index, name in enumerate(arm.joints):
            spec.add_sensor(name=f"{signal}.{index + 1}", type=kind, objtype=joint, objname=name)
    for index in range(len(arm.joints)):
        spec.add_sensor(
            name=f"arm.torque.{index + 1}",
            type=kinds.mjSENS_ACTUATORFRC,
            objtype=mujoco.mjtObj.mjOBJ_ACTUATOR,
            objname=f"arm{index + 1}",
        )
    for signal, kind in (
        ("pos", kinds.mjSENS_FRAMEPOS),
        ("quat", kinds.mjSENS_FRAMEQUAT),
        ("vel", kinds.mjSENS_FRAMELINVEL),
        ("angvel", kinds.mjSENS_FRAMEANGVEL),
    ):
        spec.add_sensor(name=f"tcp.{signal}", type=kind, objtype=site, objname="tcp")
    for name in ("flange", "elbow"):
        spec.add_sensor(name=f"{name}.pos", type=kinds.mjSENS_FRAMEPOS, objtype=site, objname=name)
    spec.add_sensor(name="gripper.q", type=kinds.mjSENS_JOINTPOS, objtype=joint, objname=finger)
    spec.add_sensor(name="gripper.qd", type=kinds.mjSENS_JOINTVEL, objtype=joint, objname=finger)
