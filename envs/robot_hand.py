"""The hand of an arm that is taken in: its own two sliding fingers, set to Genba's conventions, or Genba's gripper on its flange.

The convention is that of every gripper in `assets/robots/`: both fingers open as their joint grows from zero, move together, and a force on the
tendon `width` presses each with that force. The site `tcp` lies between the fingertips, z away from the arm, y along which they close.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from .errors import BadInput
from .files import asset
from .robot_survey import Arm, Finding, corners, solid

Array = NDArray[np.float64]
PREFIX = "genba/"  # of the names of Genba's own gripper
GENBA = ("ur5e-2f85", "2f85.xml")
GENBA_FORCE = 60.0  # N
FORCE = 40.0  # N of fingers whose MJCF does not say
DAMPING, ROTOR = 200.0, 0.1  # N*s/m, kg of each finger, as of Genba's own
TIP = 0.012  # m from the fingertips to the tool point
NARROW = 0.03  # m that fingers must open at least


@dataclass(frozen=True)
class Hand:
    """The spec with a hand: its fingers' joints, the body that carries the tool, the most it presses with in N and whether the MJCF said so."""

    spec: mujoco.MjSpec
    fingers: tuple[str, ...]
    tool_body: str
    force: float
    force_said: bool
    findings: tuple[Finding, ...]


def add_genba_gripper(spec: mujoco.MjSpec, arm: Arm) -> None:
    """Put Genba's gripper onto the flange, in place, after what was there is taken off."""
    child = mujoco.MjSpec.from_file(str(asset("robots", *GENBA)))
    frame = spec.body(arm.last).add_frame()
    frame.pos, frame.quat = arm.flange[:3, 3], quat_of(arm.flange)
    for sensor in list(child.sensors):
        child.delete(sensor)
    spec.attach(child, prefix=PREFIX, frame=frame)
    spec.site(f"{PREFIX}tcp").name = "tcp"
    spec.actuator(f"{PREFIX}grip").name = "grip"


def take_off(spec: mujoco.MjSpec, arm: Arm) -> None:
    """Delete the hand: every child of the last body that holds any of its joints."""
    for name in arm.hand_joints:
        joint = spec.joint(name)
        if joint is not None:
            body = joint.parent
            while body.parent.name != arm.last:
                body = body.parent
            spec.delete(body)


def grip_force(model: mujoco.MjModel, arm: Arm) -> float | None:
    """The most in N that the MJCF lets the hand's joints press with, if it says so."""
    joints = {model.joint(name).id for name in arm.hand_joints}
    found = []
    for each in range(model.nu):
        target, kind = int(model.actuator_trnid[each, 0]), model.actuator_trntype[each]
        mine = kind == mujoco.mjtTrn.mjTRN_JOINT and target in joints
        if kind == mujoco.mjtTrn.mjTRN_TENDON:
            first, count = int(model.tendon_adr[target]), int(model.tendon_num[target])
            mine = bool(joints & {int(wrapped) for wrapped in model.wrap_objid[first : first + count]})
        if mine and model.actuator_forcelimited[each]:
            found.append(float(np.abs(model.actuator_forcerange[each]).min()))
    return min((force for force in found if force > 0.0), default=None)


def fit_hand(spec: mujoco.MjSpec, arm: Arm, force: float | None) -> Hand:
    """Give the arm a hand that Genba can drive: its own where that will do, else Genba's; `force` in N is what the MJCF says of its own."""
    if arm.hand != "fingers":
        count = len(arm.hand_joints)
        why = f"a hand of {count} joints is not two sliding fingers" if count else "no hand"
        return _genba_hand(spec, arm, why)
    own, most = spec.copy(), FORCE if force is None else force
    why = set_fingers(own, arm, most) or _too_narrow(own.compile(), arm.hand_joints)
    if why:
        return _genba_hand(spec, arm, why)
    says = f"{FORCE:g} N is assumed (no forcerange)" if force is None else f"{force:g} N"
    says = f"two sliding fingers, {says}; driven by force from now on"
    where = f"{1000 * TIP:g} mm inside the fingertips (no site tcp, pinch or grip)"
    gripper = Finding("gripper", "assumed" if force is None else "found", says)
    point = Finding("tool point", "assumed", where)
    if arm.point_from:
        point = Finding("tool point", "found", f"site {arm.point_from}")
    return Hand(own, arm.hand_joints, arm.palm, most, force is not None, (gripper, point))


def _genba_hand(spec: mujoco.MjSpec, arm: Arm, why: str) -> Hand:
    if arm.hand_joints:
        take_off(spec, arm)
    add_genba_gripper(spec, arm)
    state: Literal["missing", "changed"] = "changed" if arm.hand_joints else "missing"
    gone = "it is taken off, and " if arm.hand_joints else ""
    line = Finding("gripper", state, f"{why}: {gone}Genba's two-finger gripper sits on the flange")
    return Hand(spec, (f"{PREFIX}finger1", f"{PREFIX}finger2"), f"{PREFIX}palm", GENBA_FORCE, False, (line,))


def _too_narrow(model: mujoco.MjModel, joints: tuple[str, ...]) -> str:
    closed, opened = opening(model, joints)
    if opened - closed > NARROW and closed < 0.25 * opened:
        return ""
    return f"its fingers leave {1000 * closed:.0f} mm closed and {1000 * opened:.0f} mm open"


def set_fingers(spec: mujoco.MjSpec, arm: Arm, force: float) -> str:
    """Bring two sliding fingers to the convention, in place; says why it cannot, or nothing.

    `spec` is changed only where it can.
    """
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    ids = [model.joint(name).id for name in arm.hand_joints]
    if not model.jnt_limited[ids].all():
        return "its fingers have no range"
    tips = [
        np.vstack([corners(model, data, geom) for geom in solid(model, spec.joint(name).parent.name)])
        for name in arm.hand_joints
    ]
    line = data.xaxis[ids[0]]
    apart = tips[0].mean(axis=0) - tips[1].mean(axis=0)
    if abs(float(apart @ line)) < 1e-3:
        return "its fingers do not stand apart along the line on which they slide"
    opens = line * np.sign(apart @ line)  # the way the first finger opens
    signs = [np.sign(data.xaxis[ids[0]] @ opens), -np.sign(data.xaxis[ids[1]] @ opens)]
    spans = [np.sort(sign * model.jnt_range[joint]) for sign, joint in zip(signs, ids, strict=True)]
    stroke = float(min(span[1] - span[0] for span in spans))
    for name, joint, sign, span in zip(arm.hand_joints, ids, signs, spans, strict=True):
        _reset(spec, model, name, joint, sign, span[0] - sign * model.qpos0[model.jnt_qposadr[joint]], stroke)
    _together(spec, arm.hand_joints, force)
    _tool_point(spec, arm, model, data, opens, tips)
    return ""


def _reset(
    spec: mujoco.MjSpec,
    model: mujoco.MjModel,
    name: str,
    joint: int,
    sign: float,
    start: float,
    stroke: float,
) -> None:
    """One finger: closed at zero, open at `stroke`."""
    it, body = spec.joint(name), int(model.jnt_bodyid[joint])
    axis, turned = sign * model.jnt_axis[joint], np.zeros(9)
    mujoco.mju_quat2Mat(turned, model.body_quat[body])
    it.parent.pos = model.body_pos[body] + turned.reshape(3, 3) @ axis * start
    it.axis, it.range, it.ref, it.springref = axis, [0.0, stroke], 0.0, 0.0
    it.stiffness, it.damping, it.armature, it.frictionloss = np.zeros(3), [DAMPING, 0.0, 0.0], ROTOR, 0.0
    it.solref_limit, it.margin = [0.005, 1.0], 0.0


def _together(spec: mujoco.MjSpec, joints: tuple[str, ...], force: float) -> None:
    """Both fingers on one tendon, one motor, one equality; and pads that grip."""
    tendon = spec.add_tendon(name="width")
    for name in joints:
        tendon.wrap_joint(name, 1.0)
    both = spec.add_equality(
        name="together", type=mujoco.mjtEq.mjEQ_JOINT, objtype=mujoco.mjtObj.mjOBJ_JOINT, name1=joints[0], name2=joints[1],
        solref=[0.005, 1.0], solimp=[0.95, 0.99, 0.001, 0.5, 2.0],
    )  # fmt: skip
    both.data = [0.0, 1.0, *np.zeros(len(both.data) - 2)]
    motor = spec.add_actuator(name="grip", target="width", trntype=mujoco.mjtTrn.mjTRN_TENDON)
    motor.set_to_motor()
    motor.ctrlrange, motor.forcerange = [-force, force], [-force, force]
    motor.ctrllimited, motor.forcelimited = True, True
    pads = [
        [geom for geom in spec.joint(name).parent.find_all("geom") if geom.contype or geom.conaffinity]
        for name in joints
    ]
    for geom in (*pads[0], *pads[1]):
        geom.name, geom.condim, geom.priority, geom.solref = "", 4, 1, [0.005, 1.0]
        geom.friction = [max(float(geom.friction[0]), 1.0), 0.01, 0.0001]
    for side, geoms in zip(("left", "right"), pads, strict=True):
        for index, geom in enumerate(geoms):
            geom.name = f"pad_{side}_{index + 1}"


def _tool_point(
    spec: mujoco.MjSpec, arm: Arm, model: mujoco.MjModel, data: mujoco.MjData, opens: Array, tips: list[Array]
) -> None:
    """The site `tcp` on the palm: at the site that marks it, or between the fingertips."""
    palm, last = data.body(arm.palm), data.body(arm.last)
    z = last.xmat.reshape(3, 3) @ arm.flange[:3, 2]
    z = z - (z @ opens) * opens
    z /= np.linalg.norm(z)
    both = np.vstack(tips)
    along = (both @ z).max()
    low = both[both @ z > along - 0.02]
    middle = 0.5 * (low.min(axis=0) + low.max(axis=0))
    centre = 0.5 * (tips[0].mean(axis=0) + tips[1].mean(axis=0))
    point = middle + (along - TIP - middle @ z) * z + ((centre - middle) @ opens) * opens
    if arm.point is not None:
        point = last.xpos + last.xmat.reshape(3, 3) @ arm.point
    pose, own = np.eye(4), palm.xmat.reshape(3, 3)
    pose[:3, :3] = own.T @ np.column_stack([np.cross(opens, z), opens, z])
    pose[:3, 3] = own.T @ (point - palm.xpos)
    spec.body(arm.palm).add_site(
        name="tcp", pos=pose[:3, 3], quat=quat_of(pose), size=[0.005, 0.0, 0.0], group=4
    )


def opening(model: mujoco.MjModel, joints: tuple[str, ...]) -> tuple[float, float]:
    """The gap in m between the shapes of two fingers, closed and open. Raises BadInput where one has none."""
    data, gaps = mujoco.MjData(model), []
    sides = [solid(model, model.body(int(model.joint(name).bodyid[0])).name) for name in joints]
    if not all(sides):
        raise BadInput(f"the fingers {' and '.join(joints)} have no shapes that collide")
    for at in (0, 1):
        for name in joints:
            data.joint(name).qpos[0] = model.joint(name).range[at]
        mujoco.mj_forward(model, data)
        gaps.append(
            min(mujoco.mj_geomDistance(model, data, a, b, 1.0, None) for a in sides[0] for b in sides[1])
        )
    return max(gaps[0], 0.0), max(gaps[1], 0.0)


def quat_of(pose: Array) -> Array:
    """The quaternion `(4,)` of a pose."""
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, np.ascontiguousarray(pose[:3, :3]).ravel())
    return quat
