"""`--robot`: somebody else's arm taken in. Its MJCF and files go into a folder of their own in `assets/robots/`, with a YAML of every figure,
what it came from and how sure that is; a list says what Genba needs and what was found, assumed, changed or missing.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mujoco

from .errors import BadInput, one_line
from .robot_drives import Drives, drives_of
from .robot_hand import Hand, fit_hand, grip_force
from .robot_list import of_arm, of_files, of_shapes
from .robot_model import add_sensors, add_sites, keep_files, only_the_arm, set_drives, stand_up, written
from .robot_reach import Place, place_of
from .robot_reading import Source, read
from .robot_sheet import sheet, stand
from .robot_survey import Arm, Finding, name_all, survey
from .robots import Robot, read_robot
from .signals import Array
from .tools import put


@dataclass(frozen=True)
class Taken:
    """A robot that was taken in: it, where it works, and the list."""

    robot: Robot
    place: Place
    findings: tuple[Finding, ...]


def robot_name(path: Path) -> str:
    """The name that an MJCF's robot gets: its model's, in lower case with hyphens. Raises BadInput where it has none that will do."""
    found = re.search(
        r"<mujoco\b[^>]*\bmodel=[\"']([^\"']*)", path.read_text(encoding="utf-8", errors="replace")
    )
    name = re.sub(r"[^a-z0-9]+", "-", (found[1] if found else path.stem).lower()).strip("-")[:40]
    if not re.match(r"[a-z]", name):
        raise BadInput(f'{path}: give its robot a name, as <mujoco model="my-arm">')
    return name


def taken_in(name: str, robots: Path) -> Robot | None:
    """The robot of that name in `robots`, None where there is none. Raises BadInput for one that cells include, not attach."""
    file = robots / name / f"{name}.yaml"
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name) or not file.is_file():
        return None
    if not _attached(file):
        raise BadInput(
            f"robot {name} is Genba's own: genba tasks new without --robot, then docs/add-a-cell.md, 'Another robot of Genba's'"
        )
    return read_robot(file)


def _attached(file: Path) -> bool:
    """Whether cells attach the robot of this YAML, as they do what was taken in, and do not include it."""
    return file.is_file() and "\nprefix: " in file.read_text(encoding="utf-8")


@contextmanager
def taking(path: Path, robots: Path, root: Path | None = None, site: str = "") -> Iterator[Taken]:
    """Take the arm of an MJCF into `robots`/<name>: all of it when the block ends well, nothing when anything in it fails.

    Raises BadInput and UnknownName, one line each.
    """
    source = read(path, root)
    name = robot_name(source.path)
    home = robots / name
    if home.exists():
        own = "it is Genba's own, docs/add-a-cell.md says how a cell gets it"
        if _attached(home / f"{name}.yaml"):
            own = f"--robot {name} puts it into a cell"
        raise BadInput(
            f'{source.path}: a robot {name} stands in {robots}; {own}; another one needs another name: <mujoco model="...">'
        )
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
    except (ValueError, RuntimeError, RecursionError, mujoco.FatalError) as error:
        raise BadInput(f"{source.path}: MuJoCo refuses what became of it: {one_line(error)}") from None


def _made(source: Source, name: str, folder: Path, site: str) -> Taken:
    """Write the robot's MJCF, files and YAML into `folder`."""
    spec = source.spec()
    name_all(spec)
    arm = survey(spec, site)
    model = spec.compile()
    drives, of_drives = drives_of(model, arm)
    findings = [*of_arm(arm), *of_drives, *of_shapes(model, arm)]
    file = folder / f"{name}.xml"
    hand = _drawn(source, spec, arm, drives, grip_force(model, arm), file)
    findings += [*hand.findings, *of_files(source, folder)]
    whole = mujoco.MjSpec()
    put(whole, str(file), f"{name}/", stand(name))
    alone = whole.compile()

    def noted(home: Array) -> Robot:
        """The YAML with this home pose, and what is read from it."""
        text = sheet(name, source, alone, arm.joints, hand, drives, home)
        file.with_suffix(".yaml").write_text(text, encoding="utf-8")
        return read_robot(file.with_suffix(".yaml"))

    place = place_of(noted(0.5 * (drives.low + drives.high)))
    return Taken(noted(place.start), place, tuple(findings))


def _drawn(
    source: Source, spec: mujoco.MjSpec, arm: Arm, drives: Drives, force: float | None, file: Path
) -> Hand:
    """Write the robot's MJCF with its files beside it."""
    only_the_arm(spec, arm)
    keep_files(spec, source, file.parent)
    spec.modelfiledir = str(file.parent)
    file.write_text(written(spec), encoding="utf-8")
    spec = mujoco.MjSpec.from_file(str(file))  # in one notation from here on
    stand_up(spec, arm)
    hand = fit_hand(spec, arm, force)
    add_sites(hand.spec, arm)
    set_drives(hand.spec, arm, drives)
    add_sensors(hand.spec, arm, hand.fingers[0])
    file.write_text(written(hand.spec), encoding="utf-8")
    return hand
