"""Somebody else's MJCF, read with care: every file that it names is looked at before MuJoCo is, and MuJoCo tries it in another process.

Nothing outside one folder is read or copied, nothing that is not a mesh or a picture, and nothing large. Each refusal is one line.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import mujoco

from .errors import BadInput, one_line

XML_MOST, INCLUDED_MOST, FILES_MOST, BYTES_MOST = 8 << 20, 200, 1000, 256 << 20
TRIAL_S, TRIAL_BYTES = 60, 8 << 30
ASSETS = {"mesh": (".stl", ".obj", ".msh"), "texture": (".png", ".ktx")}
NOT_TAKEN = {
    "model": "another model inside", "attach": "another model inside", "plugin": "a plugin", "skin": "a skin",
    "flex": "something soft", "flexcomp": "something soft", "composite": "something soft", "hfield": "a height field",
}  # fmt: skip
TRIAL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
import mujoco
try:
    sys.stdout.buffer.write(mujoco.MjSpec.from_file(sys.argv[1]).compile().paths)
except Exception as error:
    sys.exit(f"said: {error}")
"""


@dataclass(frozen=True)
class Source:
    """A vetted MJCF: itself, the folder that holds all of its files, and its assets as they are named -> where they lie."""

    path: Path
    root: Path
    assets: dict[str, Path]

    def spec(self) -> mujoco.MjSpec:
        """A fresh MjSpec of it."""
        return mujoco.MjSpec.from_file(str(self.path))


def read(path: Path, root: Path | None = None) -> Source:
    """Look at an MJCF and everything that it names; all must lie in `root`, by default the MJCF's own folder.

    Raises BadInput, one line, for what is no MJCF, is not there, lies outside, is too large, or does not compile.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file; --robot takes the MJCF of an arm")
    path = path.resolve()
    root = path.parent if root is None else root.resolve()
    if not path.is_relative_to(root):
        raise BadInput(f"{path}: lies outside of {root}, the folder that was named for its files")
    assets = _assets(path, root, _expanded(path, path.parent, root, []))
    total = sum(each.stat().st_size for each in set(assets.values()))
    if total > BYTES_MOST:
        raise BadInput(
            f"{path}: its files have {total >> 20} MB, {BYTES_MOST >> 20} are taken; make its meshes smaller"
        )
    beyond = sorted(_read_by_mujoco(path) - set(assets.values()))
    if beyond:
        raise BadInput(
            f"{path}: MuJoCo reads {one_line(beyond[0], 160)}, which is not where a mesh or texture of it is named; "
            "name its folders in one compiler"
        )
    return Source(path, root, assets)


def _expanded(path: Path, main: Path, root: Path, seen: list[Path]) -> ET.Element:
    """The XML of a file, with all that it includes in place, as MuJoCo reads it."""
    if path in seen:
        raise BadInput(f"{path}: is included more than once, which MuJoCo does not allow")
    if len(seen) > INCLUDED_MOST:
        raise BadInput(f"{seen[0]}: includes more than {INCLUDED_MOST} files; put them into one")
    seen.append(path)
    if path.stat().st_size > XML_MOST:
        raise BadInput(
            f"{path}: has {path.stat().st_size >> 20} MB, {XML_MOST >> 20} are taken; is it an MJCF?"
        )
    try:
        text = path.read_text(encoding="utf-8")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise BadInput(f"{path}: declares a document type or entities; an MJCF needs none, take them out")
        tree = ET.fromstring(text)
    except (ET.ParseError, UnicodeDecodeError, OSError) as error:
        raise BadInput(f"{path}: cannot be read as XML ({one_line(error)})") from None
    if tree.tag not in ("mujoco", "mujocoinclude"):
        hint = "; it is URDF: load it in MuJoCo and save it as MJCF" if tree.tag == "robot" else ""
        raise BadInput(f"{path}: is no MJCF, it begins with <{one_line(tree.tag, 40)}>{hint}")
    for parent in list(tree.iter()):
        parent[:] = [each for element in parent for each in _in_place(element, path, main, root, seen)]
    return tree


def _in_place(element: ET.Element, path: Path, main: Path, root: Path, seen: list[Path]) -> list[ET.Element]:
    """The element, or what stands in the file that it includes: one beside the main file goes before one beside this file."""
    if element.tag in NOT_TAKEN:
        raise BadInput(
            f"{path}: has {NOT_TAKEN[element.tag]} (<{element.tag}>), which is not taken in; take it out"
        )
    if element.tag != "include":
        return [element]
    name = element.get("file", "")
    at = next((folder for folder in (main, path.parent) if (folder / name).is_file()), main)
    return list(_expanded(_inside(path, name, at, root), main, root, seen))


def _assets(path: Path, root: Path, tree: ET.Element) -> dict[str, Path]:
    """Every file that meshes and textures name, and where MuJoCo looks for it: the last compiler that names a folder says."""
    folders, found = {"mesh": "", "texture": ""}, {}
    for compiler in tree.iter("compiler"):
        said = compiler.attrib
        if said.get("strippath", "false") != "false":
            raise BadInput(
                f"{path}: its compiler has strippath, which is not taken in; name files where they lie"
            )
        for kind in folders:
            folders[kind] = said.get(f"{kind}dir", said.get("assetdir", folders[kind]))
    for element in (each for each in tree.iter() if each.tag in ASSETS):
        for name in (value for key, value in element.attrib.items() if key.startswith("file") and value):
            folder = path.parent / folders[element.tag]
            found[name] = _inside(path, name, folder, root, ASSETS[element.tag])
            if len(found) > FILES_MOST:
                raise BadInput(
                    f"{path}: names more than {FILES_MOST} files; take what the robot does not need out"
                )
    return found


def _inside(path: Path, name: str, folder: Path, root: Path, kinds: tuple[str, ...] = ()) -> Path:
    """The file of that name, which exists, lies in `root` and is of a kind that is taken."""
    at = (folder / name).resolve()
    shown = one_line(name, 80)
    if not at.is_relative_to(root):
        raise BadInput(
            f"{path}: names '{shown}', which lies outside of {root}; --robot-files names a folder that holds all"
        )
    if not at.is_file():
        raise BadInput(f"{path}: names '{shown}', and there is no such file in {folder}")
    if kinds and at.suffix.lower() not in kinds:
        raise BadInput(f"{path}: names '{shown}'; taken are {', '.join(kinds)}")
    return at


def _read_by_mujoco(path: Path) -> set[Path]:
    """The files of meshes and textures that MuJoCo reads, compiling it in a process of its own, which may crash, hang or run out of memory."""
    command = [sys.executable, "-c", TRIAL, str(path), str(TRIAL_BYTES)]
    try:
        trial = subprocess.run(command, capture_output=True, timeout=TRIAL_S)
    except subprocess.TimeoutExpired:
        raise BadInput(f"{path}: MuJoCo was not done with it after {TRIAL_S} s; make it smaller") from None
    if trial.returncode:
        error = trial.stderr.decode("utf-8", "replace")
        said = error.rpartition("said: ")[2] if "said: " in error else "it crashed or ran out of memory"
        raise BadInput(f"{path}: MuJoCo {mujoco.__version__} does not compile it: {one_line(said)}")
    return {Path(os.fsdecode(name)).resolve() for name in trial.stdout.split(b"\0") if name}
