"""A new cell: what is written works at once, and nothing that stands is touched."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import genba
from genba.envs.errors import BadInput
from genba.policies.scaffold import PARTS, scaffold, scaffold_with

ROOT = Path(next(iter(genba.__path__)))
ARMS = ROOT / "tests" / "arms"
CHECKS = "overlaps and not thousand or succeeds or hard_constraint or same_bits or judged_by"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, copied to where a new cell does no harm."""
    folder = tmp_path_factory.mktemp("clone") / "genba"
    kept = ("envs", "policies", "safety", "assets", "tests", "cli.py", "__init__.py", "pyproject.toml")
    folder.mkdir()
    for name in kept:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def passes_the_contract_tests(clone: Path, task_id: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_tasks_expert.py",
         "tests/test_suite.py", "tests/test_tasks_contract.py", "-k", f"{task_id} and ({CHECKS})"],
        cwd=clone, env=environment(clone), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert run.returncode == 0 and " passed" in run.stdout, run.stdout[-3000:] + run.stderr[-500:]


def environment(clone: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(clone.parent), "PATH": "/usr/bin:/bin"}


def tree(clone: Path) -> set[Path]:
    return {path for path in clone.rglob("*") if "__pycache__" not in path.parts}


@pytest.mark.long
def test_a_new_cell_passes_the_contract_tests_at_once(clone: Path) -> None:
    files = scaffold("box-fold", clone)
    assert len(files) == len(PARTS) and all("{{" not in path.read_text() for path in files)
    passes_the_contract_tests(clone, "box-fold")


@pytest.mark.long
@pytest.mark.parametrize("arm", ["six", "seven"])
def test_so_does_a_cell_with_an_arm_of_ones_own(clone: Path, arm: str) -> None:
    files, findings = scaffold_with(f"arm-{arm}", str(ARMS / arm / f"{arm}.xml"), clone)
    assert findings and all("{{" not in path.read_text() for path in files)
    passes_the_contract_tests(clone, f"arm-{arm}")


def new(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "genba.cli", "tasks", "new", *words]
    return subprocess.run(
        command, cwd=clone, env=environment(clone), capture_output=True, text=True, timeout=120
    )


@pytest.mark.wide
def test_an_arm_that_was_taken_in_stands_in_more_than_one_cell(clone: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.xml"
    mine.write_text((ARMS / "seven" / "seven.xml").read_text().replace('model="seven"', 'model="mine"'))
    run = new(clone, "mine-first", "--robot", str(mine), "--json")
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout.splitlines()[-1])
    states = {row["what"]: row["state"] for row in said["robot"]}
    assert states["gripper"] == "missing" and states["servos"] == "changed" and states["arm"] == "found"
    assert all(Path(path).is_file() for path in said["files"])
    assert (clone / "assets" / "robots" / "mine" / "mine.xml").is_file()
    run = new(clone, "mine-second", "--robot", "mine")
    assert run.returncode == 0 and (clone / "envs" / "tasks" / "mine_second.py").is_file(), run.stderr
    run = subprocess.run(
        [sys.executable, "-m", "genba.cli", "tasks", "--json"],
        cwd=clone, env=environment(clone), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    found = {row["id"]: row["robot"] for row in json.loads(run.stdout.splitlines()[-1])["tasks"]}
    assert found["mine-first"] == found["mine-second"] == "mine"


def test_an_arm_that_cannot_be_taken_in_is_one_line_and_leaves_nothing(clone: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.xml"
    broken.write_text("<mujoco model='broken'><worldbody><body/></worldbody></mujoco>")
    before = tree(clone)
    for robot in (str(broken), "fr3"):
        run = new(clone, "arm-broken", "--robot", robot)
        assert run.returncode == 2 and run.stdout == "" and run.stderr.count("\n") == 1, run.stderr
    assert tree(clone) == before


def test_options_that_say_nothing_are_refused(clone: Path, tmp_path: Path) -> None:
    mine = tmp_path / "third.xml"
    mine.write_text((ARMS / "seven" / "seven.xml").read_text().replace('model="seven"', 'model="third"'))
    scaffold_with("third-first", str(mine), clone)
    before = tree(clone)
    for robot, said in (("", "give --robot, too"), ("third", "was taken in already")):
        for options in (("--tool-site", "pinch"), ("--robot-files", str(tmp_path))):
            run = new(clone, "third-second", *(["--robot", robot] if robot else []), *options)
            assert run.returncode == 2 and said in run.stderr and run.stderr.count("\n") == 1, run.stderr
    assert tree(clone) == before


def test_what_stands_is_not_touched(clone: Path) -> None:
    (clone / "assets" / "suites" / "tray-turn.yaml").write_text("mine")
    with pytest.raises(BadInput, match="stands already"):
        scaffold("tray-turn", clone)
    assert not (clone / "envs" / "tasks" / "tray_turn.py").exists()


@pytest.mark.parametrize(
    "name", ["kit-pick", "Box-Fold", "box", "box_fold", "../x-y", "", "a-", "1-a", "odd-cell2\n"]
)
def test_a_name_that_cannot_be_one_is_refused(clone: Path, name: str) -> None:
    with pytest.raises(BadInput) as error:
        scaffold(name, clone)
    assert "\n" not in str(error.value)


def test_outside_a_clone_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a clone"):
        scaffold("box-fold", tmp_path)
