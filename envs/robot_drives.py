"""The drives of somebody else's arm: what its MJCF says of each joint, and what Genba assumes where it says nothing.

Genba's controllers speak to position servos. A servo that is one stays as it is; a motor becomes a servo with the motor's torque.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from .errors import BadInput
from .robot_survey import Arm, Finding

Array = NDArray[np.float64]
TURN = 2.0 * np.pi  # rad either way where a hinge has no range
SPEED, SLIDE_SPEED = 2.0, 1.0  # rad/s, m/s
ACCELERATION, SLIDE_ACCELERATION = 8.0, 4.0  # rad/s^2, m/s^2
STRETCH, STRONGER, WEAKEST = (
    256,
    3.0,
    10.0,
)  # poses looked at; times the torque that carries the arm; N*m or N
GIVE, STIFFEST = (
    0.02,
    125.0,
)  # rad or m at which a servo pulls with all its force; 1/s, fastest natural frequency
ROTOR, ROTOR_FULL = 0.1, 10.0  # kg*m^2 seen through the gear, of a joint with this torque in N*m or more


@dataclass(frozen=True)
class Drives:
    """One entry a joint, `(J,)`, in SI: ranges, speed, acceleration, torque, and the servo's stiffness, damping and rotor; `kept` are servos that
    the MJCF had, `assumed` the names of what it did not say."""

    low: Array
    high: Array
    speed: Array
    acceleration: Array
    torque: Array
    stiffness: Array
    damping: Array
    rotor: Array
    kept: tuple[bool, ...]
    assumed: frozenset[str]


def drives_of(model: mujoco.MjModel, arm: Arm) -> tuple[Drives, list[Finding]]:
    """What drives each joint, and the lines of the list that say so.

    Raises BadInput for a joint that nothing drives, or one that slides without a range.
    """
    joints = [model.joint(name).id for name in arm.joints]
    own = [_actuators(model, joint) for joint in joints]
    idle = [name for name, found in zip(arm.joints, own, strict=True) if not found]
    if idle:
        raise BadInput(
            f'no actuator drives {", ".join(idle)}; give each one, as <position joint="{idle[0]}" kp="1000" forcerange="-50 50"/>'
        )
    findings: list[Finding] = []
    low, high, ranged = _ranges(model, joints, arm)
    findings.append(_line("joint ranges", ranged, arm, "of every joint", "2 pi rad either way is assumed"))
    slides = model.jnt_type[joints] == mujoco.mjtJoint.mjJNT_SLIDE
    speed = np.array([_speed(model, found) for found in own])
    has_speed = np.isfinite(speed)
    speed = np.where(has_speed, speed, np.where(slides, SLIDE_SPEED, SPEED))
    findings.append(
        _line(
            "velocity limits",
            has_speed,
            arm,
            "from velocity servos",
            f"{SPEED:g} rad/s is assumed (MJCF has no place for it)",
        )
    )
    acceleration = np.where(slides, SLIDE_ACCELERATION, ACCELERATION)
    findings.append(
        Finding(
            "acceleration limits",
            "assumed",
            f"MJCF has no place for them: {ACCELERATION:g} rad/s^2 is assumed",
        )
    )
    said = [_torque(model, joint, found) for joint, found in zip(joints, own, strict=True)]
    torque, known = np.array([each[0] for each in said]), np.array([np.isfinite(each[0]) for each in said])
    torque = np.where(
        known, torque, np.maximum(STRONGER * _carrying(model, joints, low, high), WEAKEST).round(1)
    )
    where = ", ".join(sorted({each[1] for each in said} - {""}))
    findings.append(
        _line(
            "torque limits",
            known,
            arm,
            f"from {where}",
            f"{STRONGER:g} times what carries the arm is assumed",
        )
    )
    servos = [next((each for each in found if _is_servo(model, each)), None) for found in own]
    rotor, findings_of_servos, stiffness, damping = _servos(model, joints, servos, torque, arm)
    assumed = {
        name for name, has in (("range", ranged), ("speed", has_speed), ("torque", known)) if not has.all()
    }
    kept = tuple(each is not None for each in servos)
    drives = Drives(
        low, high, speed, acceleration, torque, stiffness, damping, rotor, kept, frozenset(assumed)
    )
    return drives, [*findings, *findings_of_servos]


def _line(what: str, known: NDArray[np.bool_], arm: Arm, found: str, assumed: str) -> Finding:
    if known.all():
        return Finding(what, "found", found)
    names = "no joint has one" if not known.any() else "none of " + ", ".join(np.array(arm.joints)[~known])
    return Finding(what, "assumed", f"{names}: {assumed}")


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


def _carrying(model: mujoco.MjModel, joints: list[int], low: Array, high: Array) -> Array:
    """`(J,)`: the largest torque that gravity asks of each joint, over poses all over its range."""
    data, random = mujoco.MjData(model), np.random.default_rng(0)
    most = np.zeros(len(joints))
    for _ in range(STRETCH):
        data.qpos[model.jnt_qposadr[joints]] = random.uniform(low, high)
        mujoco.mj_forward(model, data)
        most = np.maximum(most, np.abs(data.qfrc_bias[model.jnt_dofadr[joints]]))
    return most


def _servos(
    model: mujoco.MjModel, joints: list[int], servos: list[int | None], torque: Array, arm: Arm
) -> tuple[Array, list[Finding], Array, Array]:
    """Rotors, lines of the list, stiffness and damping, `(J,)` each."""
    dofs = model.jnt_dofadr[joints]
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    full = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, full)
    had = model.dof_armature[dofs]
    rotor = np.where(had > 0.0, had, (ROTOR * np.minimum(torque / ROTOR_FULL, 1.0)).round(4))
    inertia = full[dofs, dofs] - had + rotor
    fits = np.minimum(torque / GIVE, inertia * STIFFEST**2)
    own = np.array([np.nan if each is None else model.actuator_gainprm[each, 0] for each in servos])
    stiffness = np.where(np.isnan(own), fits.round(), own)
    critical = 2.0 * np.sqrt(stiffness * inertia)
    damped = np.array([0.0 if each is None else -model.actuator_biasprm[each, 2] for each in servos])
    enough = damped + model.dof_damping[dofs] > 0.2 * critical
    damping = np.where(enough & ~np.isnan(own), damped, critical.round(1))
    lines = [_said("servos", ~np.isnan(own), arm, "every joint has a position servo", "changed",
                   "another kind of actuator: a position servo with its torque takes its place")]  # fmt: skip
    lines.append(
        _said(
            "servo damping",
            enough | np.isnan(own),
            arm,
            "enough",
            "assumed",
            "hardly any: critical damping is assumed",
        )
    )
    lines.append(
        _said(
            "rotor inertia",
            had > 0.0,
            arm,
            "armature of every joint",
            "assumed",
            f"no armature: up to {ROTOR:g} kg*m^2 is assumed",
        )
    )
    return rotor, lines, stiffness, damping


def _said(what: str, good: NDArray[np.bool_], arm: Arm, fine: str, state: str, else_: str) -> Finding:
    names = np.array(arm.joints)[~good]
    if not len(names):
        return Finding(what, "found", fine)
    return Finding(what, state, f"{'every joint' if not good.any() else ', '.join(names)}: {else_}")  # type: ignore[arg-type]
