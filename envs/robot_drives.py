"""The drives of somebody else's arm: what its MJCF says of each joint, and what Genba assumes where it says nothing.

Genba's controllers speak to position servos. A servo that is one stays as it is; a motor becomes a servo with the motor's torque.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from .errors import BadInput
from .robot_survey import Arm, Finding

Array = NDArray[np.float64]
TURN = 2.0 * np.pi  # rad either way where a hinge has no range
SPEED, SLIDE_SPEED = 2.0, 1.0  # rad/s, m/s
ACCELERATION, SLIDE_ACCELERATION = 8.0, 4.0  # rad/s^2, m/s^2
POSES = 256  # that are looked at, all over the joints' ranges
STRONGER, WEAKEST = 3.0, 10.0  # times the torque that carries the arm; N*m or N
GIVE = 0.01  # rad or m at which a servo pulls with all its force, at the least
NATURAL = 50.0  # 1/s, natural frequency of a servo with the most inertia on it, at the most
FASTEST = 125.0  # 1/s, with the least
ROTOR, ROTOR_FULL = 0.1, 10.0  # kg*m^2 seen through the gear, of a joint with this torque in N*m or more


@dataclass(frozen=True)
class Drives:
    """One entry a joint, `(J,)`, in SI: ranges, speed, acceleration, torque, and the servo's stiffness, damping and rotor.

    `assumed` names what the MJCF does not say of every joint: range, speed, torque.
    """

    low: Array
    high: Array
    speed: Array
    acceleration: Array
    torque: Array
    stiffness: Array
    damping: Array
    rotor: Array
    assumed: frozenset[str]


def drives_of(model: mujoco.MjModel, arm: Arm) -> tuple[Drives, list[Finding]]:
    """What drives each joint, and the lines of the list that say so.

    Raises BadInput for a joint that nothing drives, or one that slides without a range.
    """
    joints = [model.joint(name).id for name in arm.joints]
    own = [_actuators(model, joint) for joint in joints]
    idle = [name for name, found in zip(arm.joints, own, strict=True) if not found]
    if idle:
        example = f'<position joint="{idle[0]}" kp="1000" forcerange="-50 50"/>'
        raise BadInput(f"no actuator drives {', '.join(idle)}; give each one, as {example}")
    slides = model.jnt_type[joints] == mujoco.mjtJoint.mjJNT_SLIDE
    low, high, ranged = _ranges(model, joints, arm)
    speed, fast = _filled([_speed(model, found) for found in own], np.where(slides, SLIDE_SPEED, SPEED))
    bounds = [_torque(model, joint, found) for joint, found in zip(joints, own, strict=True)]
    carries, *inertia = _loads(model, joints, low, high)
    enough = np.maximum(STRONGER * carries, WEAKEST).round(1)
    torque, strong = _filled([bound for bound, _ in bounds], enough)
    where = ", ".join(sorted({said for _, said in bounds} - {""}))
    servos, servo_lines = _servos(model, own, torque, inertia, arm)
    findings = [
        _line("joint ranges", ranged, arm, "of every joint", "no range, 2 pi rad either way is assumed"),
        _line("velocity limits", fast, arm, "of velocity servos", f"{SPEED:g} rad/s is assumed (MJCF has no place for it)"),
        _line("acceleration limits", fast & False, arm, "", f"{ACCELERATION:g} rad/s^2 is assumed (MJCF has no place for it)"),
        _line("torque limits", strong, arm, f"from {where}", f"no limit, {STRONGER:g} times what carries the arm is assumed"),
    ]  # fmt: skip
    said = (("range", ranged), ("speed", fast), ("torque", strong))
    assumed = frozenset(name for name, known in said if not known.all())
    acceleration = np.where(slides, SLIDE_ACCELERATION, ACCELERATION)
    return Drives(low, high, speed, acceleration, torque, *servos, assumed), [*findings, *servo_lines]


def _filled(values: list[float], otherwise: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The values, where they are finite, else others; and where they are."""
    known = np.isfinite(values)
    return np.where(known, values, otherwise), known


def _line(
    what: str,
    known: NDArray[np.bool_],
    arm: Arm,
    found: str,
    otherwise: str,
    state: Literal["assumed", "changed"] = "assumed",
) -> Finding:
    """One line: what was found of every joint, or of which it was not and what stands there instead."""
    if known.all():
        return Finding(what, "found", found)
    names = "every joint" if not known.any() else ", ".join(np.array(arm.joints)[~known])
    return Finding(what, state, f"{names}: {otherwise}")


def _actuators(model: mujoco.MjModel, joint: int) -> list[int]:
    """The actuators that act on a joint."""
    acts = model.actuator_trntype == mujoco.mjtTrn.mjTRN_JOINT
    return [int(each) for each in np.flatnonzero(acts & (model.actuator_trnid[:, 0] == joint))]


def _plain(model: mujoco.MjModel, actuator: int) -> bool:
    fixed = model.actuator_gaintype[actuator] == mujoco.mjtGain.mjGAIN_FIXED
    return bool(fixed and model.actuator_dyntype[actuator] == mujoco.mjtDyn.mjDYN_NONE)


def _is_servo(model: mujoco.MjModel, actuator: int) -> bool:
    """Pulls towards the angle that it is told, without gear or memory."""
    gain, bias = model.actuator_gainprm[actuator, 0], model.actuator_biasprm[actuator]
    affine = model.actuator_biastype[actuator] == mujoco.mjtBias.mjBIAS_AFFINE
    pulls = affine and gain > 0.0 and bias[0] == 0.0 and np.isclose(bias[1], -gain)
    return bool(_plain(model, actuator) and pulls and model.actuator_gear[actuator, 0] == 1.0)


def _ranges(model: mujoco.MjModel, joints: list[int], arm: Arm) -> tuple[Array, Array, NDArray[np.bool_]]:
    limited = model.jnt_limited[joints].astype(bool)
    for name, joint, has in zip(arm.joints, joints, limited, strict=True):
        if not has and model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_SLIDE:
            raise BadInput(f'joint {name} slides and has no range; give it one, as range="0 0.5"')
    low = np.where(limited, model.jnt_range[joints, 0], -TURN)
    return low, np.where(limited, model.jnt_range[joints, 1], TURN), limited


def _speed(model: mujoco.MjModel, actuators: list[int]) -> float:
    """The range of a velocity servo, infinite where there is none."""
    for each in actuators:
        gain, bias = model.actuator_gainprm[each, 0], model.actuator_biasprm[each]
        if (
            _plain(model, each)
            and bias[1] == 0.0
            and gain > 0.0
            and np.isclose(bias[2], -gain)
            and model.actuator_ctrllimited[each]
        ):
            return float(np.abs(model.actuator_ctrlrange[each]).min() / model.actuator_gear[each, 0])
    return np.inf


def _torque(model: mujoco.MjModel, joint: int, actuators: list[int]) -> tuple[float, str]:
    """The least that bounds a joint's torque, and what says so; infinite where nothing does."""
    bounds: list[tuple[float, str]] = []
    if model.jnt_actfrclimited[joint]:
        bounds.append((_least(model.jnt_actfrcrange[joint]), "actuatorfrcrange"))
    for each in actuators:
        gear = abs(float(model.actuator_gear[each, 0]))
        if model.actuator_forcelimited[each]:
            bounds.append((gear * _least(model.actuator_forcerange[each]), "forcerange"))
        unbiased = model.actuator_biastype[each] == mujoco.mjtBias.mjBIAS_NONE
        if _plain(model, each) and unbiased and model.actuator_ctrllimited[each]:
            most = gear * abs(float(model.actuator_gainprm[each, 0])) * _least(model.actuator_ctrlrange[each])
            bounds.append((most, "ctrlrange of motors"))
    return min((bound for bound in bounds if bound[0] > 0.0), default=(np.inf, ""))


def _least(span: Array) -> float:
    return float(np.abs(span).min())


def _loads(model: mujoco.MjModel, joints: list[int], low: Array, high: Array) -> tuple[Array, Array, Array]:
    """`(J,)` each, over poses all over the range: the most that gravity asks, and the least and most inertia without rotors."""
    data, random, dofs = mujoco.MjData(model), np.random.default_rng(0), model.jnt_dofadr[joints]
    most, inertia, full = (
        np.zeros(len(joints)),
        np.zeros((POSES, len(joints))),
        np.zeros((model.nv, model.nv)),
    )
    for pose in range(POSES):
        data.qpos[model.jnt_qposadr[joints]] = random.uniform(low, high)
        mujoco.mj_forward(model, data)
        mujoco.mj_fullM(model, data, full)
        most = np.maximum(most, np.abs(data.qfrc_bias[dofs]))
        inertia[pose] = full.diagonal()[dofs] - model.dof_armature[dofs]
    return most, inertia.min(axis=0), inertia.max(axis=0)


def _servos(
    model: mujoco.MjModel, own: list[list[int]], torque: Array, inertia: list[Array], arm: Arm
) -> tuple[tuple[Array, Array, Array], list[Finding]]:
    """Stiffness, damping and rotor of each joint's servo, `(J,)` each, and the lines of the list."""
    servos = [next((each for each in found if _is_servo(model, each)), -1) for found in own]
    kept, dofs = np.array(servos) >= 0, [int(model.joint(name).dofadr[0]) for name in arm.joints]
    had = model.dof_armature[dofs]
    rotor = np.where(had > 0.0, had, (ROTOR * np.minimum(torque / ROTOR_FULL, 1.0)).round(4))
    least, most = (each + rotor for each in inertia)
    fits = np.minimum(torque / GIVE, np.minimum(most * NATURAL**2, least * FASTEST**2)).round()
    stiffness = np.where(kept, model.actuator_gainprm[servos, 0], fits)
    critical = 2.0 * np.sqrt(stiffness * most)
    damped = np.where(kept, -model.actuator_biasprm[servos, 2], 0.0)
    enough = damped + model.dof_damping[dofs] > 0.2 * critical
    damping = np.where(enough & kept, damped, critical.round(1))
    other = "another kind of actuator: a position servo with its torque takes its place"
    lines = [
        _line("servos", kept, arm, "every joint has a position servo", other, "changed"),
        _line("servo damping", enough | ~kept, arm, "enough", "hardly any: critical damping is assumed"),
        _line("rotor inertia", had > 0.0, arm, "armature of every joint", f"no armature: up to {ROTOR:g} kg*m^2 is assumed"),
    ]  # fmt: skip
    return (stiffness, damping, rotor), lines
