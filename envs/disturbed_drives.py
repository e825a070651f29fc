"""Drives and joints that are not as the data sheet says: gains, torque, one drive that fails, friction."""

from __future__ import annotations

import numpy as np

from .disturbances import Disturbance, EitherSign, Ladder
from .drives import arm_actuators, arm_dofs, arm_joints
from .engine import Engine, Ids
from .robots import load_robot
from .signals import Array
from .streams import Streams
from .task import Task

TORQUE = ("actuator_forcerange", "jnt_actfrclimited", "jnt_actfrcrange")  # what bounds a drive's torque


class _Arm(Disturbance):
    """Changes the drives of an arm."""

    where = "cells with an arm"

    @classmethod
    def applies(cls, task: Task) -> bool:
        return "arm.q" in task.table

    def scale(
        self, ids: Ids, fields: dict[str, Array], names: tuple[str, ...], factor: Array
    ) -> dict[str, Array]:
        """Multiply rows of model fields of the arm's servos by `factor` `(m, J)`; worlds of severity 0 keep theirs."""
        servos = arm_actuators(self.task)
        for name in names:
            rows = self.field(fields, name, len(ids)).copy()
            new = rows[:, servos] * factor[:, :, None]
            rows[:, servos] = np.where((self.level[ids] > 0)[:, None, None], new, rows[:, servos])
            fields[name] = rows
        return fields

    def weaken(self, ids: Ids, fields: dict[str, Array], share: Array) -> dict[str, Array]:
        """Leave each drive of the arm `share` `(m, J)` of its largest torque (N*m or N); worlds of severity 0 keep theirs.

        A drive that compensates gravity gives that beside what its servo gives, so there the joint's limit is the drive's; elsewhere
        the servo's is.
        """
        joints, most = arm_joints(self.task), load_robot(self.task.robot_name).tau_max
        carries = self.engine.model.jnt_actgravcomp[joints].astype(bool)
        self.scale(ids, fields, ("actuator_forcerange",), np.where(carries, 1.0, share))
        limited, reach = (self.field(fields, name, len(ids)).copy() for name in TORQUE[1:])
        now = np.where(limited[:, joints, None], reach[:, joints], np.stack([-most, most], axis=1))
        on = (self.level[ids] > 0)[:, None] & carries & (share < 1.0)
        reach[:, joints] = np.where(on[:, :, None], share[:, :, None] * now, reach[:, joints])
        limited[:, joints] = np.where(on, True, limited[:, joints])
        fields["jnt_actfrclimited"], fields["jnt_actfrcrange"] = limited, reach
        return fields


class DriveGains(_Arm, EitherSign):
    """Every servo of the arm is stiffer or softer than nominal (stiffness and damping together)."""

    name, port = "drive-gains", "model"
    says = ("The arm's servos are stiffer or softer than nominal", "サーボゲインの変動")
    needs = ("actuator_gainprm", "actuator_biasprm")
    ladder = Ladder(
        "relative change of servo gains, either sign",
        "1",
        (0.0, 0.05, 0.1, 0.2, 0.3, 0.5),
        "ShadowHand x0.75-1.5; DeXtreme x0.5-1.5 (order of magnitude); gains of the model itself are fitted (cell_spec)",
    )

    def change_model(self, ids: Ids, fields: dict[str, Array]) -> dict[str, Array]:
        if not self.level[ids].any():
            return fields
        factor = np.repeat(self.value[ids, None], len(arm_actuators(self.task)), axis=1)
        return self.scale(ids, fields, self.needs, factor)


class DriveWeak(_Arm):
    """Every drive of the arm gives only a part of its torque, that which carries the arm's weight included."""

    name, port = "drive-weak", "model"
    says = ("The arm's drives give less torque", "駆動トルクの低下")
    needs = TORQUE
    ladder = Ladder(
        "share of each drive's largest torque that is missing",
        "1",
        (0.0, 0.1, 0.2, 0.4, 0.6, 0.8),
        "cell_spec: low mains voltage takes 10 to 20 %, a hot or derated drive more",
    )

    def change_model(self, ids: Ids, fields: dict[str, Array]) -> dict[str, Array]:
        if not self.level[ids].any():
            return fields
        left = np.repeat(1.0 - self.value[ids, None], len(arm_joints(self.task)), axis=1)
        return self.weaken(ids, fields, left)


class DriveDead(_Arm):
    """One drive of the arm, drawn, loses its hold: its servo's gains and its largest torque fade together, at severity 5 it is dead.

    A drive that compensates gravity carries its joint's weight as long as what is left of its torque suffices, then the joint sags.
    """

    name, port = "drive-dead", "model"
    says = ("One drive loses its hold, up to a dead joint", "一つの駆動部の出力低下(最大で停止)")
    gains = ("actuator_gainprm", "actuator_biasprm")
    needs = (*gains, *TORQUE)
    ladder = Ladder(
        "share of one drive's servo gains and of its largest torque that is missing",
        "1",
        (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        "cell_spec: even steps to a drive that does nothing",
    )

    def __init__(self, task: Task, engine: Engine) -> None:
        super().__init__(task, engine)
        self.joint = np.zeros(engine.worlds, np.int64)

    def draw(self, ids: Ids, streams: Streams) -> None:
        self.joint[ids] = streams.choice(self.name, len(arm_actuators(self.task)))

    def change_model(self, ids: Ids, fields: dict[str, Array]) -> dict[str, Array]:
        if not self.level[ids].any():
            return fields
        mine = self.joint[ids, None] == np.arange(len(arm_actuators(self.task)))
        share = np.where(mine, 1.0 - self.value[ids, None], 1.0)
        return self.weaken(ids, self.scale(ids, fields, self.gains, share), share)


class JointFriction(_Arm):
    """Dry friction in every joint of the arm."""

    name, port = "joint-friction", "model"
    says = ("The arm's joints have dry friction", "関節の乾性摩擦")
    needs = ("dof_frictionloss",)
    ladder = Ladder(
        "friction, of each drive's largest torque",
        "1",
        (0.0, 0.01, 0.02, 0.04, 0.07, 0.1),
        "cell_spec: new gears lose a few per cent of the drive's torque, worn or cold ones up to a tenth",
    )

    def change_model(self, ids: Ids, fields: dict[str, Array]) -> dict[str, Array]:
        if not self.level[ids].any():
            return fields
        dofs, rows = arm_dofs(self.task), self.field(fields, "dof_frictionloss", len(ids)).copy()
        added = self.value[ids, None] * load_robot(self.task.robot_name).tau_max
        rows[:, dofs] = np.where((self.level[ids] > 0)[:, None], rows[:, dofs] + added, rows[:, dofs])
        fields["dof_frictionloss"] = rows
        return fields
