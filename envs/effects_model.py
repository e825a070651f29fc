"""What disturbed drives, parts and shop floors really do: measured in forces, contacts and motion, by MuJoCo's own reckoning."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np

from .drives import arm_actuators, arm_dofs, arm_joints
from .effects import SETTLE, WEIGHED, Pair, still
from .robots import load_robot
from .signals import Array
from .task import Task
from .terms import norm
from .worlds import Worlds

RIDES = 5  # ticks until a part moves as its belt does, and has not come to the belt's end
World = Callable[[mujoco.MjModel, mujoco.MjData, int], Array]


def each_world(worlds: Worlds, look: World) -> Array:
    """`(N, ...)`: what `look(model, data, world)` says of each world's own model and data."""
    return np.array([look(*worlds.engine.snapshot(world), world) for world in range(worlds.n)])


def servo_forces(task: Task, worlds: Worlds, away: float) -> Array:
    """`(N, J)`: what each servo gives when its target is `away` from where its joint stands at rest."""
    at = [int(task.model.jnt_qposadr[joint]) for joint in arm_joints(task)]
    servos = arm_actuators(task)

    def look(model: mujoco.MjModel, data: mujoco.MjData, world: int) -> Array:
        data.qvel[:] = 0.0
        data.ctrl[servos] = data.qpos[at] + away
        mujoco.mj_forward(model, data)
        return np.array(data.actuator_force[servos])

    return each_world(worlds, look)


def gains(task: Task, pair: Pair) -> list[float]:
    """Relative change of the force by which a servo answers a small error."""
    ratio = servo_forces(task, pair.worlds, 1e-4) / servo_forces(task, pair.twins, 1e-4)
    return pair.by_severity(np.median(np.abs(ratio - 1.0), axis=1))


def full_torques(task: Task, worlds: Worlds) -> Array:
    """`(N, J)` N*m or N: the most that each joint's actuators give in all, gravity's compensation included, with the target far off on
    one side or the other."""
    at = [int(task.model.jnt_qposadr[joint]) for joint in arm_joints(task)]
    servos, dofs = arm_actuators(task), arm_dofs(task)

    def look(model: mujoco.MjModel, data: mujoco.MjData, world: int) -> Array:
        data.qvel[:], given = 0.0, []
        for away in (-9.0, 9.0):
            data.ctrl[servos] = data.qpos[at] + away
            mujoco.mj_forward(model, data)
            given.append(np.abs(data.qfrc_actuator[dofs]))
        return np.asarray(np.maximum(*given))

    return each_world(worlds, look)


def dead(task: Task, pair: Pair) -> list[float]:
    """What is missing of one joint's largest torque and, as much, of its servo's answer to a small error; the others must be sound."""
    given, sound = full_torques(task, pair.worlds), full_torques(task, pair.twins)
    torque = 1.0 - given / load_robot(task.robot_name).tau_max
    answer = 1.0 - servo_forces(task, pair.worlds, 1e-4) / servo_forces(task, pair.twins, 1e-4)
    odd = (np.abs(answer) > 1e-9) | (given != sound)
    alike = np.abs(torque - answer) < 1e-6
    one = (odd.sum(axis=1) == 1) & (alike | ~odd).all(axis=1)
    return pair.by_severity(np.where(one, torque[np.arange(len(odd)), odd.argmax(axis=1)], np.nan))


def weak(task: Task, pair: Pair) -> list[float]:
    """What is missing of a joint's largest torque; as much at each joint."""
    missing = 1.0 - full_torques(task, pair.worlds) / load_robot(task.robot_name).tau_max
    return pair.by_severity(np.where(np.ptp(missing, axis=1) < 1e-9, missing.mean(axis=1), np.nan))


def joint_friction(task: Task, pair: Pair) -> list[float]:
    """What holds the joints back while they move, of their largest torque, by the solver's constraint forces."""
    dofs, most = arm_dofs(task), load_robot(task.robot_name).tau_max

    def look(model: mujoco.MjModel, data: mujoco.MjData, world: int) -> Array:
        data.qvel[dofs] = 5.0
        mujoco.mj_forward(model, data)
        return np.array(data.qfrc_constraint[dofs])

    held = each_world(pair.twins, look) - each_world(pair.worlds, look)
    return pair.by_severity(np.median(np.abs(held) / most, axis=1))


def supports(model: mujoco.MjModel, data: mujoco.MjData, body: int) -> list[tuple[Array, Array]]:
    """(point, force on the body) of each of its contacts, `(3,)` in m and N of the world's frame."""
    found, force = [], np.zeros(6)
    for index, contact in enumerate(data.contact):
        owners = [int(model.geom_bodyid[geom]) for geom in contact.geom]
        if body in owners and contact.efc_address >= 0:
            mujoco.mj_contactForce(model, data, index, force)
            sign = 1.0 if owners[1] == body else -1.0
            found.append((contact.pos.copy(), sign * (contact.frame.reshape(3, 3).T @ force[:3])))
    return found


def pressed(task: Task, pair: Pair) -> list[tuple[Array, Array]]:
    """Of the worlds and of their twins, `(N, 3)` each: mean force under the part in N, and mean centre of the pressure in m from its
    middle."""
    part = task.model.body(task.part_body).id

    def look(model: mujoco.MjModel, data: mujoco.MjData, world: int) -> Array:
        mujoco.mj_forward(model, data)
        force, moment = np.zeros(3), np.zeros(3)
        for point, push in supports(model, data, part):
            force += push
            moment += push[2] * (point - data.xpos[part])
        return np.array([force, moment])

    for _ in range(RIDES if task.model.geom_surfacevel.any() else 4 * SETTLE):
        pair.step(still(task))
    seen = []
    for _ in range(2 * WEIGHED):
        pair.step(still(task))
        seen.append([each_world(worlds, look) for worlds in (pair.worlds, pair.twins)])
    return [(force, moment / force[:, 2:]) for force, moment in np.mean(seen, axis=0).transpose(0, 2, 1, 3)]


def centre(task: Task, pair: Pair) -> list[float]:
    """How far the pressure under the part lies from that under its twin, over the smallest spread of its mass."""
    from .disturbed_parts import PartCentre

    disturbance = pair.worlds.disturbances[pair.name]
    assert isinstance(disturbance, PartCentre)
    (_, with_it), (_, without) = pressed(task, pair)
    off = with_it[:, :2] - without[:, :2]
    return pair.by_severity(np.hypot(off[:, 0], off[:, 1]) / disturbance.spread())


def size(task: Task, pair: Pair) -> list[float]:
    """Change of the part's width in m, found by rays from both sides."""
    part = task.model.body(task.part_body).id

    def look(model: mujoco.MjModel, data: mujoco.MjData, world: int) -> Array:
        mujoco.mj_kinematics(model, data)
        axis, middle = data.xmat[part].reshape(3, 3)[:, 0].copy(), data.xpos[part].copy()
        geom = int(model.body_geomadr[part])
        far, width = 1.0, 2.0
        for side in (-1.0, 1.0):
            start = middle + side * far * axis
            width -= mujoco.mju_rayGeom(
                data.geom_xpos[geom], data.geom_xmat[geom], model.geom_size[geom], start, -side * axis,
                int(model.geom_type[geom]), None,
            )  # fmt: skip
        return np.array(width)

    return pair.by_severity(np.abs(each_world(pair.worlds, look) - each_world(pair.twins, look)))


def tilt(task: Task, pair: Pair) -> list[float]:
    """The angle in rad to the vertical of the force that holds the part, beyond what holds its twin sideways."""
    (force, _), (without, _) = pressed(task, pair)
    sideways = force[:, :2] - without[:, :2]
    return pair.by_severity(np.arctan2(np.hypot(sideways[:, 0], sideways[:, 1]), force[:, 2]))


def belt(task: Task, pair: Pair) -> list[float]:
    """Relative change of the speed at which the part rides."""
    for _ in range(RIDES):
        pair.step(still(task))
    speed = [norm(worlds.signals.now["part.vel"]) for worlds in (pair.worlds, pair.twins)]
    return pair.by_severity(np.abs(speed[0] / speed[1] - 1.0))


def bumped(task: Task, pair: Pair) -> list[float]:
    """Distance in m between where the goal is and where the policy is told that it is."""
    told = pair.worlds.sensed()["target.pos"] - pair.worlds.signals.now["target.pos"]
    return pair.by_severity(norm(told))


def softness(task: Task, pair: Pair) -> list[float]:
    """Relative increase of the contacts' time constant, from how deep the part sinks in: its square."""
    part = task.model.body(task.part_body).id

    def look(model: mujoco.MjModel, data: mujoco.MjData, world: int) -> Array:
        mujoco.mj_forward(model, data)
        own = [c.dist for c in data.contact if part in model.geom_bodyid[c.geom] and c.dist < 0.0]
        return np.array(np.mean(own) if own else 0.0)

    depth = np.zeros((2, pair.worlds.n))
    for tick in range(2 * SETTLE + WEIGHED):
        pair.step(still(task))
        if tick >= 2 * SETTLE:  # what rides on a belt trembles
            depth += [each_world(worlds, look) for worlds in (pair.worlds, pair.twins)]
    return pair.by_severity(np.sqrt(depth[0] / depth[1]) - 1.0)


def timestep(task: Task, pair: Pair) -> list[float]:
    """Physics steps in place of one, more than one: from the time that passed, which must be the twins', and the length of a step."""
    ticks = 3
    for _ in range(ticks):
        pair.step(still(task))

    def look(model: mujoco.MjModel, data: mujoco.MjData, world: int) -> Array:
        return np.array([data.time, model.opt.timestep])

    (time, step), (twin, _) = (each_world(worlds, look).T for worlds in (pair.worlds, pair.twins))
    made = time / step / (ticks * task.substeps) - 1.0
    return pair.by_severity(np.where(np.abs(time - twin) < 1e-9, made, np.nan))


MEASURES = {
    "drive-gains": gains,
    "drive-weak": weak,
    "drive-dead": dead,
    "joint-friction": joint_friction,
    "part-centre": centre,
    "part-size": size,
    "gravity-tilt": tilt,
    "belt-speed": belt,
    "fixture-bumped": bumped,
    "contact-softness": softness,
    "timestep": timestep,
}
