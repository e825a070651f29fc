"""Somebody else's arm: what is found, assumed and changed, that it is a robot like Genba's own, and that nothing hostile leaves a trace."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
import pytest

from genba.envs import robot_reading
from genba.envs.errors import BadInput, GenbaError, UnknownName
from genba.envs.robot_cell import words_of
from genba.envs.robot_chain import chain_of
from genba.envs.robot_reading import read
from genba.envs.robot_survey import Finding
from genba.envs.robot_taking import Taken, taken_in, taking
from genba.envs.robots import _transform, load_robot
from genba.tests import test_robots as house

ARMS = Path(__file__).parent / "arms"
SIX, SEVEN = ARMS / "six" / "six.xml", ARMS / "seven" / "seven.xml"


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


def by_name(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {each.what: each for each in findings}


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


# What cannot be taken in: one line, and nothing is left


def edited(path: Path, folder: Path, *changes: tuple[str, str]) -> Path:
    """A copy of an arm's folder with its MJCF changed."""
    shutil.copytree(path.parent, folder)
    text = (folder / path.name).read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (folder / path.name).write_text(text)
    return folder / path.name


BROKEN: dict[str, tuple[Path, list[tuple[str, str]], str]] = {
    "garbage": (SIX, [("<worldbody>", "<worldbody")], "cannot be read as XML"),
    "urdf": (SIX, [("<mujoco ", "<robot "), ("</mujoco>", "</robot>")], "it is URDF"),
    "entities": (SIX, [("<mujoco ", '<!DOCTYPE a [<!ENTITY b "c">]><mujoco ')], "declares a document type"),
    "missing mesh": (SIX, [("foot.obj", "feet.obj")], "names 'feet.obj', and there is no such file"),
    "outside": (SIX, [("foot.obj", "../../../test_robots.py")], "lies outside of"),
    "absolute": (SIX, [("foot.obj", "/etc/passwd")], "lies outside of"),
    "no mesh": (SIX, [('meshdir="meshes"', ""), ("foot.obj", "LICENSE")], "taken are .stl"),
    "include outside": (SIX, [("looks.xml", "../seven/seven.xml")], "lies outside of"),
    "include itself": (SIX, [("looks.xml", "six.xml")], "included more than once"),
    "does not compile": (SIX, [('class="wrist" joint="bend"', 'class="wrist" joint="bent"')], "does not compile it"),
    "plugin": (SIX, [("<equality>", '<extension><plugin plugin="mujoco.pid"/></extension><equality>')], "has a plugin"),
    "not an arm": (SEVEN, [('<joint name="j6" axis="0 1 0" limited="true" range="-120 120"/>', ""), ('<joint name="j7" axis="0 0 1"/>', ""), ('<motor joint="j6" ctrllimited="true" ctrlrange="-40 40"/>', ""), ('<motor joint="j7" ctrllimited="true" ctrlrange="-40 40"/>', "")], "5 joints in a row (j1, j2, j3, j4, j5)"),
    "no actuator": (SEVEN, [('<motor joint="j5"/>', "")], "no actuator drives j5"),
    "sliding without end": (SEVEN, [('name="j5" axis="0 0 1" limited="true" range="-170 170"', 'name="j5" axis="0 0 1" type="slide"')], "slides and has no range"),
    "no reach": (SEVEN, [('range="-120 120"', 'range="-5 5"')], "does not reach"),
    "house name": (SIX, [('model="Six Axis"', 'model="!"')], "give its robot a name"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_taken_in_is_one_line_and_leaves_nothing(case: str, tmp_path: Path) -> None:
    origin, changes, said = BROKEN[case]
    path, robots = edited(origin, tmp_path / "arm", *changes), tmp_path / "assets" / "robots"
    robots.mkdir(parents=True)
    with pytest.raises(GenbaError) as error, taking(path, robots):
        pass
    assert said in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 600
    assert error.value.exit_code == 2 and list(robots.parent.rglob("*")) == [robots]


def test_what_takes_for_ever_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robot_reading, "TRIAL_S", 2)
    many = '<replicate count="2000000000" offset="1 0 0"><geom size="1"/></replicate><site name="pinch"'
    with pytest.raises(BadInput, match="MuJoCo was not done with it after 2 s"):
        read(edited(SIX, tmp_path / "arm", ('<site name="pinch"', many)))


def test_a_link_does_not_lead_outside_and_a_large_file_is_refused(tmp_path: Path) -> None:
    path = edited(SIX, tmp_path / "arm")
    mesh = path.parent / "meshes" / "foot.obj"
    mesh.unlink()
    mesh.symlink_to(SIX.parent / "meshes" / "foot.obj")
    with pytest.raises(BadInput, match="lies outside"):
        read(path)
    with open(path, "ab") as file:
        file.truncate(9 << 20)
    with pytest.raises(BadInput, match="has 9 MB, 8 are taken"):
        read(path)
    with pytest.raises(BadInput, match="no such file"):
        read(tmp_path / "nowhere.xml")
    with pytest.raises(BadInput, match="no such file"):
        read(tmp_path)


def test_files_beside_the_mjcf_are_taken_where_their_folder_is_named(tmp_path: Path) -> None:
    path = edited(SIX, tmp_path / "arm", ('meshdir="meshes"', 'meshdir="../meshes"'))
    shutil.move(path.parent / "meshes", tmp_path / "meshes")
    with pytest.raises(BadInput, match="--robot-files names a folder that holds all"):
        read(path)
    assert read(path, tmp_path).assets["foot.obj"] == (tmp_path / "meshes" / "foot.obj").resolve()


def test_a_site_says_where_the_tool_sits(tmp_path: Path) -> None:
    robots = tmp_path / "assets" / "robots"
    robots.mkdir(parents=True)
    with pytest.raises(UnknownName, match="Did you mean pinch"), taking(SIX, robots, site="pinsh"):
        pass
    with taking(SIX, robots, site="attachment_site") as taken:
        assert by_name(taken.findings)["flange"].says == "site attachment_site"
        raise_after = taken.robot.name
    assert (robots / raise_after).is_dir()


def test_what_fails_later_leaves_nothing_either(tmp_path: Path) -> None:
    robots = tmp_path / "assets" / "robots"
    robots.mkdir(parents=True)
    with pytest.raises(RuntimeError), taking(SIX, robots):
        raise RuntimeError
    assert list(robots.parent.rglob("*")) == [robots]
