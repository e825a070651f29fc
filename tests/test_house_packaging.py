"""What is in the tree is in the package, in the wheel and under the type checker."""

import ast
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import genba

ROOT = Path(genba.__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CODE = ("envs", "policies", "safety")
NOT_SHIPPED = (".git", ".venv", ".*_cache", "__pycache__", "*.egg-info", "build", "dist", "runs", "releases")


def modules(root: Path = ROOT) -> list[Path]:
    """Every module of the package, relative to the root."""
    inside = [path for folder in CODE for path in (root / folder).rglob("*.py")]
    return [path.relative_to(root) for path in [*root.glob("*.py"), *inside]]


def test_every_package_of_the_tree_is_listed() -> None:
    packages = {".".join(("genba", *path.parent.parts)) for path in modules()}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages
    assert all((ROOT / Path(*name.split(".")[1:]) / "__init__.py").exists() for name in packages)


def test_the_type_checker_sees_every_part() -> None:
    links = {path.name for path in (ROOT / ".types" / "genba").iterdir()}
    assert links == {"__init__.py", "cli.py", "tests", *CODE}
    assert all((ROOT / ".types" / "genba" / name).resolve() == (ROOT / name).resolve() for name in links)


def test_versions_agree() -> None:
    assert PROJECT["project"]["version"] == genba.__version__


def test_constraints_pin_every_dependency_and_name_no_place() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(line.count("==") == 1 and not {"/", "@", "+", " "} & set(line) for line in lines)
    pinned = {line.partition("==")[0].lower() for line in lines}
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = [*PROJECT["project"]["dependencies"], *(row for extra in extras for row in extra)]
    names = {row.partition(">")[0].partition("=")[0].strip().lower() for row in wanted}
    assert names <= pinned


def test_only_the_engine_uses_the_batch_api() -> None:
    users = set()
    for path in modules():
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                names = [f"{node.value.id}.{node.attr}"]
            else:
                continue
            users |= {str(path) for name in names if name.startswith("mujoco.batch")}
    assert users == {"envs/engine.py"}


def test_the_wheel_holds_every_module_and_asset(tmp_path: Path) -> None:
    tree = tmp_path / "tree"  # a copy: an in-tree build brings deleted modules back from build/lib
    shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns(*NOT_SHIPPED))
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(tree),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("genba/")}
    assets = {str(path.relative_to(tree)) for path in (tree / "assets").rglob("*") if path.is_file()}
    assert inside == {f"genba/{path}" for path in assets | {str(path) for path in modules(tree)}}
