"""Somebody else's arm: what is found, assumed and changed, and that it is a robot like Genba's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
import pytest

from genba.envs.robot_cell import words_of
from genba.envs.robot_chain import chain_of
from genba.envs.robot_taking import Taken, taken_in, taking
from genba.envs.robots import _transform, load_robot
from genba.tests import test_robots as house
from genba.tests.robot_kit import SEVEN, SIX, by_name, edited


@pytest.fixture(scope="module")
def robots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assets") / "robots"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def both(robots: Path) -> dict[str, Taken]:
    """Both arms of `tests/arms`, taken in."""
    found = {}
    for path in (SIX, SEVEN):
        with taking(path, robots) as taken:
            pass
        home = taken_in(taken.robot.name, robots)
        assert home is not None
        found[path.stem] = Taken(home, taken.place, taken.findings)
    return found


def states(taken: Taken) -> dict[str, str]:
    return {each.what: each.state for each in taken.findings}


# What it says of an arm


def test_the_list_of_an_arm_with_servos_and_fingers(both: dict[str, Taken]) -> None:
    found = states(both["six"])
    assert {"velocity limits", "acceleration limits"} == {
        key for key, state in found.items() if state == "assumed"
    }
    assert found["gravity"] == "changed" and found["sensors"] == "missing"
    for key in (
        "arm",
        "flange",
        "joint ranges",
        "torque limits",
        "servos",
        "gripper",
        "tool point",
        "licence",
        "masses",
    ):
        assert found[key] == "found", key
    lines = by_name(both["six"].findings)
    assert lines["flange"].says == "site attachment_site" and lines["tool point"].says == "site pinch"
    assert "50 N" in lines["gripper"].says and "LICENSE" in lines["licence"].says


def test_the_list_of_an_arm_with_motors_and_no_hand(both: dict[str, Taken]) -> None:
    found, lines = states(both["seven"]), by_name(both["seven"].findings)
    assert found["servos"] == "changed" and found["gripper"] == found["licence"] == "missing"
    for key in ("flange", "joint ranges", "torque limits", "rotor inertia"):
        assert found[key] == "assumed", key
    assert "j1, j7: no range" in lines["joint ranges"].says and "j5: no limit" in lines["torque limits"].says


def test_figures_come_from_the_mjcf_or_are_assumptions_that_say_so(both: dict[str, Taken]) -> None:
    six, seven = both["six"].robot, both["seven"].robot
    np.testing.assert_allclose(six.q_max[:4], np.radians([175, 110, 150, 175]), atol=1e-5)
    np.testing.assert_allclose(six.tau_max, [150, 150, 150, 30, 30, 30])
    np.testing.assert_allclose(
        seven.tau_max[[0, 1, 2, 3, 5, 6]], [170, 170, 110, 110, 40, 40]
    )  # geared: 100 * 1.7
    assert seven.tau_max[4] >= 10.0 and seven.q_max[0] == pytest.approx(2 * np.pi, abs=1e-5)
    assert (six.gripper.force_max, six.gripper.position_max) == (50.0, 0.045)
    assert seven.gripper.force_max == load_robot("ur5e-2f85").gripper.force_max
    for robot in (six, seven):
        assert robot.limit("joint.velocity.max").confidence == "project_assumption"
    assert (
        six.limit("joint.torque.max").confidence == "recalled"
        and "six.xml (sha256" in six.limit("joint.torque.max").source
    )
    assert (
        seven.limit("joint.torque.max").confidence
        == seven.limit("joint.position.min").confidence
        == "project_assumption"
    )


def test_only_what_the_arm_needs_is_copied(both: dict[str, Taken], robots: Path) -> None:
    home = robots / "six-axis"
    files = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    assert files == {"six-axis.xml", "six-axis.yaml", "files/foot.obj", "LICENSE"}
    model = both["six"].robot.spec().compile()
    bodies = {model.body(i).name for i in range(model.nbody)}
    assert "six-axis/part" not in bodies and model.nq == 8 and model.nu == 7 and model.nkey == 0
    assert not [path for path in robots.parent.iterdir() if path != robots]


HOUSE: list[Callable[..., None]] = [
    house.test_masses_and_inertias_equal_the_yaml, house.test_principal_moments_obey_the_triangle_rule,
    house.test_ranges_and_forces_equal_the_yaml, house.test_tool_pose_follows_the_data_sheet_chain,
    house.test_forward_takes_many_joint_vectors_at_once, house.test_nothing_overlaps_deeply_at_home,
    house.test_servos_and_gravity_compensation_hold_home, house.test_sensors_name_every_joint_in_order,
    house.test_every_figure_says_where_it_comes_from, house.test_grip_opens_and_closes_symmetrically,
]  # fmt: skip


@pytest.mark.parametrize("arm", ["six", "seven"])
@pytest.mark.parametrize("check", HOUSE, ids=[each.__name__ for each in HOUSE])
def test_it_is_a_robot_as_the_house_has_them(
    both: dict[str, Taken], arm: str, check: Callable[..., None]
) -> None:
    robot = both[arm].robot
    model = house.compiled(robot)
    data = mujoco.MjData(model)
    for name, actuator, q in zip(robot.joints, robot.actuators, robot.home, strict=True):
        data.joint(name).qpos[0] = data.actuator(actuator).ctrl[0] = q
    mujoco.mj_forward(model, data)
    has = {"machine": robot, "robot": robot, "model": model, "data": data}
    check(**{name: has[name] for name in check.__code__.co_varnames[: check.__code__.co_argcount]})


def test_the_tool_points_down_between_fingers_that_open_along_its_y(both: dict[str, Taken]) -> None:
    for taken in both.values():
        robot = taken.robot
        model = robot.spec().compile()
        data = mujoco.MjData(model)
        for name, q in zip(robot.joints, robot.home, strict=True):
            data.joint(name).qpos[0] = q
        for finger in robot.gripper.joints:
            data.joint(finger).qpos[0] = robot.gripper.position_max
        mujoco.mj_forward(model, data)
        tool = data.site(robot.tcp_site)
        axes = tool.xmat.reshape(3, 3)
        assert axes[2, 2] < -0.999 and tool.xpos == pytest.approx([0.46, 0.0, 0.32], abs=0.005)
        sides = [
            (data.body(int(model.joint(f).bodyid[0])).xpos - tool.xpos) @ axes[:, 1]
            for f in robot.gripper.joints
        ]
        assert sides[0] * sides[1] < 0.0
        words = words_of(robot, taken.place)
        assert words["half"] == "0.0160" and float(words["turn"]) < float(robot.qd_max[-1])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([('type="slide" axis="0 1 0"', 'axis="1 0 0"')], "a hand of 2 joints is not two sliding fingers"),
        (
            [('range="0 0.045"/>', 'range="0 0.004"/>'), ('range="-0.045 0"', 'range="-0.004 0"')],
            "mm closed and 10 mm open",
        ),
    ],
)
def test_a_hand_that_cannot_be_driven_makes_room_for_genbas(
    tmp_path: Path, changes: list[tuple[str, str]], said: str
) -> None:
    robots = tmp_path / "assets" / "robots"
    robots.mkdir(parents=True)
    with taking(edited(SIX, tmp_path / "arm", *changes), robots) as taken:
        line = by_name(taken.findings)["gripper"]
        assert line.state == "changed" and said in line.says and "it is taken off" in line.says
        bodies = {body.name for body in taken.robot.spec().bodies}
        assert "six-axis/palm" not in bodies and "six-axis/genba/palm" in bodies


def test_a_margin_of_its_joints_does_not_keep_the_fingers_open(tmp_path: Path) -> None:
    robots = tmp_path / "assets" / "robots"
    robots.mkdir(parents=True)
    wide = ('<joint armature="0.1" damping="2"/>', '<joint armature="0.1" damping="2" margin="0.1"/>')
    with taking(edited(SIX, tmp_path / "arm", wide), robots) as taken:
        model = house.compiled(taken.robot)
    joints = [*taken.robot.joints, *taken.robot.gripper.joints]
    assert [float(model.joint(name).margin[0]) for name in joints] == [0.0] * len(joints)
    house.test_grip_opens_and_closes_symmetrically(taken.robot, model, mujoco.MjData(model))


# Chains


def test_any_chain_of_axes_is_given_by_its_rows() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        joints, text, ends = int(random.integers(5, 8)), "", ""
        for index in range(joints):
            kind = "slide" if random.random() < 0.2 else "hinge"
            axis = random.normal(size=3) if random.random() < 0.5 else np.eye(3)[random.integers(3)]
            at, quat = (
                random.normal(size=3) * (random.random() < 0.7),
                random.normal(size=4) if random.random() < 0.5 else [1, 0, 0, 0],
            )
            text += f'<body pos="{_text(at)}" quat="{_text(quat)}"><joint name="j{index}" type="{kind}" axis="{_text(axis)}" pos="0 {index % 2} 0"/><geom size="1"/>'
            ends += "</body>"
        model = mujoco.MjModel.from_xml_string(
            f'<mujoco><worldbody>{text}<site name="t" pos="0.1 0.2 0.3" quat="1 2 3 4"/>{ends}</worldbody></mujoco>'
        )
        data = mujoco.MjData(model)
        mujoco.mj_kinematics(model, data)
        tool = np.eye(4)
        tool[:3, :3], tool[:3, 3] = data.site("t").xmat.reshape(3, 3), data.site("t").xpos
        rows = chain_of(
            data.xanchor,
            data.xaxis,
            ["revolute" if kind == 3 else "prismatic" for kind in model.jnt_type],
            tool,
        )
        data.qpos[:] = random.uniform(-2.0, 2.0, joints)
        mujoco.mj_kinematics(model, data)
        pose, moved = np.eye(4), iter(data.qpos)
        for row in rows:
            pose = pose @ _transform(row, np.asarray(next(moved) if row.joint != "fixed" else 0.0))
        np.testing.assert_allclose(pose[:3, 3], data.site("t").xpos, atol=1e-8)
        np.testing.assert_allclose(pose[:3, :3].ravel(), data.site("t").xmat, atol=1e-8)


def _text(values: object) -> str:
    return " ".join(f"{value:.17g}" for value in np.asarray(values, float))
