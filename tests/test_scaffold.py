"""A new cell: what is written works at once, and nothing that stands is touched."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import genba
from genba.envs.errors import BadInput
from genba.policies.scaffold import PARTS, scaffold

ROOT = Path(next(iter(genba.__path__)))
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


@pytest.mark.long
def test_a_new_cell_passes_the_contract_tests_at_once(clone: Path) -> None:
    files = scaffold("box-fold", clone)
    assert len(files) == len(PARTS) and all("{{" not in path.read_text() for path in files)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_tasks_expert.py",
         "tests/test_suite.py", "tests/test_tasks_contract.py", "-k", f"box-fold and ({CHECKS})"],
        cwd=clone, env={"PYTHONPATH": str(clone.parent), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert run.returncode == 0 and " passed" in run.stdout, run.stdout[-3000:] + run.stderr[-500:]


def test_what_stands_is_not_touched(clone: Path) -> None:
    (clone / "assets" / "suites" / "tray-turn.yaml").write_text("mine")
    with pytest.raises(BadInput, match="stands already"):
        scaffold("tray-turn", clone)
    assert not (clone / "envs" / "tasks" / "tray_turn.py").exists()


@pytest.mark.parametrize("name", ["kit-pick", "Box-Fold", "box", "box_fold", "../x-y", "", "a-", "1-a"])
def test_a_name_that_cannot_be_one_is_refused(clone: Path, name: str) -> None:
    with pytest.raises(BadInput) as error:
        scaffold(name, clone)
    assert "\n" not in str(error.value)


def test_outside_a_clone_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a clone"):
        scaffold("box-fold", tmp_path)
