"""Arms that cannot be taken in: one line that says why, exit code 2, and nothing left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from genba.envs import robot_reading
from genba.envs.errors import BadInput, GenbaError, UnknownName
from genba.envs.files import asset
from genba.envs.robot_reading import read
from genba.envs.robot_taking import taking
from genba.tests.robot_kit import SEVEN, SIX, by_name, edited

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
    "stripped": (SIX, [('meshdir="meshes"', 'strippath="true"'), ("foot.obj", "meshes/foot.obj")], "has strippath, which is not taken in"),
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


def test_a_later_compiler_does_not_lead_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    shutil.copytree(SIX.parent / "meshes", outside)
    later = f'<compiler assetdir="{outside}"/><option timestep="0.001"'
    with pytest.raises(BadInput, match="lies outside of"):
        read(edited(SIX, tmp_path / "arm", ('<option timestep="0.001"', later)))


@pytest.mark.parametrize(
    ("compilers", "folder"),
    [
        ('<compiler meshdir="meshes"/><compiler assetdir="other"/>', "other"),
        ('<compiler assetdir="other"/><compiler meshdir="meshes"/>', "meshes"),
        ('<compiler assetdir="other" meshdir="meshes"/>', "meshes"),
        ('<compiler meshdir="other"/><include file="folder.xml"/>', "meshes"),
        ('<include file="folder.xml"/><compiler meshdir="other"/>', "other"),
        ('<compiler meshdir="other"/><compiler meshdir="meshes"/><compiler texturedir="other"/>', "meshes"),
    ],
)
def test_files_are_looked_for_where_mujoco_does(tmp_path: Path, compilers: str, folder: str) -> None:
    plain = '<compiler angle="degree" meshdir="meshes" autolimits="true"/>'
    path = edited(SIX, tmp_path / "arm", (plain, '<compiler angle="degree"/>' + compilers))
    shutil.copytree(path.parent / "meshes", path.parent / "other")
    (path.parent / "folder.xml").write_text('<mujocoinclude><compiler meshdir="meshes"/></mujocoinclude>')
    source = read(path)
    foot = path.parent / folder / "foot.obj"
    assert source.assets == {"foot.obj": foot.resolve()}
    assert source.spec().compile().paths.decode().strip("\0") == str(foot)


def test_a_file_that_only_mujoco_found_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robot_reading, "_assets", lambda *_: {})
    with pytest.raises(BadInput, match=r"MuJoCo reads .*meshes/foot\.obj, which is not where a mesh"):
        read(edited(SIX, tmp_path / "arm"))


def test_includes_that_go_on_and_on_are_refused(tmp_path: Path) -> None:
    for index in range(999):
        (tmp_path / f"{index}.xml").write_text(f'<mujoco><include file="{index + 1}.xml"/></mujoco>')
    (tmp_path / "999.xml").write_text("<mujoco/>")
    with pytest.raises(BadInput, match="includes more than 200 files"):
        read(tmp_path / "0.xml")


def test_the_hint_for_a_robot_that_stands_is_true(tmp_path: Path) -> None:
    robots = asset("robots")
    with (
        pytest.raises(BadInput, match="is Genba's own, docs/add-a-cell.md says") as error,
        taking(robots / "fr3" / "fr3.xml", robots),
    ):
        pass
    assert "--robot fr3" not in str(error.value)
    mine = tmp_path / "robots"
    mine.mkdir()
    with taking(SIX, mine):
        pass
    with pytest.raises(BadInput, match="--robot six-axis puts it into a cell"), taking(SIX, mine):
        pass


def test_a_site_says_where_the_tool_sits(tmp_path: Path) -> None:
    robots = tmp_path / "assets" / "robots"
    robots.mkdir(parents=True)
    with pytest.raises(UnknownName, match="Did you mean pinch"), taking(SIX, robots, site="pinsh"):
        pass
    with taking(SIX, robots, site="attachment_site") as taken:
        assert by_name(taken.findings)["flange"].says == "site attachment_site"
    assert (robots / "six-axis").is_dir()


def test_what_fails_later_leaves_nothing_either(tmp_path: Path) -> None:
    robots = tmp_path / "assets" / "robots"
    robots.mkdir(parents=True)
    with pytest.raises(RuntimeError), taking(SIX, robots):
        raise RuntimeError
    assert list(robots.parent.rglob("*")) == [robots]
