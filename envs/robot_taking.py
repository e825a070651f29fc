"""`--robot`: somebody else's arm taken in. Its MJCF and files go into a folder of their own in `assets/robots/`, with a YAML of every figure,
what it came from and how sure that is; a list says what Genba needs and what was found, assumed, changed or missing.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from .errors import BadInput, one_line
from .robot_drives import drives_of
from .robot_hand import GENBA_FORCE, fit_hand, grip_force
from .robot_model import add_sensors, add_sites, keep_files, only_the_arm, set_drives, stand_up, written
from .robot_reach import Place, place_of
from .robot_reading import Source, read
from .robot_sheet import sheet
from .robot_survey import Arm, Finding, name_all, survey
from .robots import Robot, read_robot
from .tools import put

Array = NDArray[np.float64]
LICENCES = re.compile(r"^(licen[cs]e|copying|notice)", re.I)
LICENCE_MOST = 1 << 20


@dataclass(frozen=True)
class Taken:
    """A robot that was taken in: it, where it works, and the list."""

    robot: Robot
    place: Place
    findings: tuple[Finding, ...]


def robot_name(path: Path) -> str:
    """The name that an MJCF's robot gets: its model's, in lower case with hyphens. Raises BadInput where it has none that will do."""
    found = re.search(r"<mujoco\b[^>]*\bmodel=[\"']([^\"']*)", path.read_text(encoding="utf-8", errors="replace"))
    name = re.sub(r"[^a-z0-9]+", "-", (found[1] if found else path.stem).lower()).strip("-")[:40]
    if not re.match(r"[a-z]", name):
        raise BadInput(f"{path}: give its robot a name, as <mujoco model=\"my-arm\">")
    return name


def taken_in(name: str, robots: Path) -> Robot | None:
    """The robot of that name in `robots`, None where there is none. Raises BadInput for one that cells include, not attach."""
    file = robots / name / f"{name}.yaml"
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name) or not file.is_file():
        return None
    if "\nprefix: " not in file.read_text(encoding="utf-8"):
        raise BadInput(f"robot {name} is Genba's own: genba tasks new without --robot, then docs/add-a-cell.md, 'Another robot'")
    return read_robot(file)


@contextmanager
def taking(path: Path, robots: Path, root: Path | None = None, site: str = "") -> Iterator[Taken]:
    """Take the arm of an MJCF into `robots`/<name>: all of it when the block ends well, nothing when anything in it fails.

    Raises BadInput and UnknownName, one line each.
    """
    source = read(path, root)
    name = robot_name(source.path)
    home = robots / name
    if home.exists():
        raise BadInput(f"{home}: stands already; --robot {name} puts that robot into a cell, another needs another <mujoco model=\"...\">")
    draft = Path(tempfile.mkdtemp(prefix=".taking-", dir=robots.parent))
    try:
        draft.chmod(0o755)
        taken = _take(source, name, draft, site)
        yield taken
        os.rename(draft, home)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _take(source: Source, name: str, folder: Path, site: str) -> Taken:
    try:
        return _made(source, name, folder, site)
    except BadInput as error:
        raise BadInput(f"{source.path}: {error}") from None
    except (ValueError, RuntimeError, mujoco.FatalError) as error:
        raise BadInput(f"{source.path}: MuJoCo refuses what became of it: {one_line(error)}") from None


def _made(source: Source, name: str, folder: Path, site: str) -> Taken:
    """Write the robot's MJCF, files and YAML into `folder`."""
    spec = source.spec()
    name_all(spec)
    arm = survey(spec, site)
    model = spec.compile()
    drives, of_drives = drives_of(model, arm)
    findings = [*_of_arm(arm), *of_drives, *_of_shapes(model, arm)]
    force = grip_force(model, arm) if arm.hand == "fingers" else (math.nan, None)
    only_the_arm(spec, arm)
    keep_files(spec, source, folder)
    spec.modelfiledir = str(folder)
    file = folder / f"{name}.xml"
    file.write_text(written(spec), encoding="utf-8")
    spec = mujoco.MjSpec.from_file(str(file))  # in one notation from here on
    stand_up(spec, arm)
    spec, fingers, tool_body, of_hand = fit_hand(spec, arm, force[0])
    own = fingers == arm.hand_joints
    add_sites(spec, arm)
    set_drives(spec, arm, drives)
    add_sensors(spec, arm, fingers[0])
    file.write_text(written(spec), encoding="utf-8")
    findings += [*([force[1]] if own and force[1] else []), *of_hand, *_of_files(source, folder)]
    most = (force[0], force[1].state == "found") if own and force[1] else (GENBA_FORCE, False)

    def put_down(home: Array) -> Robot:
        text = sheet(name, source, alone, arm.joints, fingers, tool_body, drives, most, home)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return read_robot(folder / f"{name}.yaml")

    alone = mujoco.MjSpec()
    put(alone, str(file), f"{name}/", name)
    alone = alone.compile()
    place = place_of(put_down(0.5 * (drives.low + drives.high)))
    return Taken(put_down(place.start), place, tuple(findings))


def _of_arm(arm: Arm) -> list[Finding]:
    lines = [Finding("arm", "found", f"{len(arm.joints)} joints in a row: {', '.join(arm.joints)}")]
    if arm.aside:
        lines.append(Finding("other joints", "changed", f"{', '.join(arm.aside)}: fixed where they stand"))
    if arm.flange_from:
        return [*lines, Finding("flange", "found", arm.flange_from)]
    return [*lines, Finding("flange", "assumed", "no site or body named as one: the end of the last axis (--tool-site names one)")]


def _of_shapes(model: mujoco.MjModel, arm: Arm) -> list[Finding]:
    """Collision shapes, masses, weight that the simulator takes off, Genba's sensors."""
    bodies = [model.body(int(model.joint(name).bodyid[0])) for name in arm.joints]
    bare = [body.name for body in bodies if not any(model.geom_contype[g] or model.geom_conaffinity[g] for g in range(model.ngeom) if model.geom_bodyid[g] == body.id)]
    lines = [Finding("collision shapes", "missing", f"of {', '.join(bare)}: nothing stops them") if bare else Finding("collision shapes", "found", "of every link")]
    odd = [body.name for body in bodies if _odd(float(body.mass[0]), body.inertia)]
    lines.append(Finding("masses", "missing", f"of {', '.join(odd)}: lighter than 10 g, or an inertia that no body of that mass has") if odd
                 else Finding("masses", "found", f"{float(model.body_mass[[body.id for body in bodies]].sum()):.1f} kg of moving links"))  # fmt: skip
    if any(model.body_gravcomp[body.id] for body in bodies):
        lines.append(Finding("gravity", "changed", "gravcomp is taken out: the drives carry the arm, told its weight beforehand"))
    sensors = {model.sensor(i).name for i in range(model.nsensor)}
    has = {"arm.q.1", "arm.qd.1", "arm.torque.1", "tcp.pos"} <= sensors
    lines.append(Finding("sensors", "found" if has else "missing", "named as Genba's" if has else "arm.q, arm.qd, arm.torque, tcp, flange, elbow, gripper.q are added"))
    return lines


def _odd(mass: float, inertia: Array) -> bool:
    a, b, c = sorted(float(each) for each in inertia)
    return mass < 0.01 or a <= 0.0 or a + b < c * (1.0 - 1e-6) or c > mass * 1.0**2


def _of_files(source: Source, folder: Path) -> list[Finding]:
    """The licence beside the MJCF, copied; and how much else was."""
    places = dict.fromkeys((source.path.parent, source.root))
    found = [each for place in places for each in sorted(place.iterdir())
             if LICENCES.match(each.name) and each.is_file() and each.resolve().is_relative_to(source.root) and each.stat().st_size < LICENCE_MOST]  # fmt: skip
    for each in found:
        shutil.copyfile(each, folder / each.name)
    copied = [each for each in folder.rglob("*") if each.is_file()]
    size = sum(each.stat().st_size for each in copied)
    if found:
        line = Finding("licence", "found", f"{', '.join(each.name for each in found)}, copied")
    else:
        line = Finding("licence", "missing", "no LICENSE beside the MJCF: find out whether you may pass it on before you commit it")
    return [line, Finding("files", "found", f"{len(copied)}, {size / 1e6:.1f} MB")]
