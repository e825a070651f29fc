"""The list that `--robot` prints: what Genba needs of an arm, and what was found, assumed, changed or missing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import mujoco

from .robot_reading import Source
from .robot_survey import Arm, Finding
from .signals import Array

LICENCES = re.compile(r"^(licen[cs]e|copying|notice)", re.I)
LICENCE_MOST = 1 << 20
REACH = 1.0  # m that no link's mass lies away from its middle on average
NEEDED = ("arm.q.1", "arm.qd.1", "arm.torque.1", "tcp.pos", "tcp.quat", "tcp.vel", "tcp.angvel", "gripper.q")


def of_arm(arm: Arm) -> list[Finding]:
    """Which joints are the arm, which are not, and where its flange is."""
    lines = [Finding("arm", "found", f"{len(arm.joints)} joints in a row: {', '.join(arm.joints)}")]
    if arm.aside:
        lines.append(Finding("other joints", "changed", f"{', '.join(arm.aside)}: fixed where they stand"))
    if arm.flange_from:
        return [*lines, Finding("flange", "found", arm.flange_from)]
    return [
        *lines,
        Finding(
            "flange",
            "assumed",
            "no site or body named as one: the end of the last axis (--tool-site names one)",
        ),
    ]


def of_shapes(model: mujoco.MjModel, arm: Arm) -> list[Finding]:
    """Collision shapes, masses, weight that the simulator takes off, and Genba's sensors."""
    links = [model.body(int(model.joint(name).bodyid[0])) for name in arm.joints]
    touched = {
        int(model.geom_bodyid[g])
        for g in range(model.ngeom)
        if model.geom_contype[g] or model.geom_conaffinity[g]
    }
    bare = [body.name for body in links if body.id not in touched]
    odd = [body.name for body in links if _odd(float(body.mass[0]), body.inertia)]
    weight = float(model.body_mass[[body.id for body in links]].sum())
    lines = [
        Finding("collision shapes", "missing", f"of {', '.join(bare)}: nothing stops them")
        if bare
        else Finding("collision shapes", "found", "of every link"),
        Finding(
            "masses",
            "missing",
            f"of {', '.join(odd)}: under 10 g, or an inertia that no such body has; taken as they are",
        )
        if odd
        else Finding("masses", "found", f"{weight:.1f} kg of moving links"),
    ]
    if any(model.body_gravcomp[body.id] for body in links):
        says = "gravcomp is taken out: the drives carry the arm, told its weight beforehand"
        lines.append(Finding("gravity", "changed", says))
    lacks = [name for name in NEEDED if name not in {model.sensor(i).name for i in range(model.nsensor)}]
    if lacks:
        says = f"{', '.join(name.removesuffix('.1') for name in lacks)}: are added, as all of Genba's"
        return [*lines, Finding("sensors", "missing", says)]
    return [*lines, Finding("sensors", "found", "named as Genba's")]


def _odd(mass: float, inertia: Array) -> bool:
    """No plausible body: principal moments obey the triangle rule."""
    a, b, c = sorted(float(each) for each in inertia)
    return mass < 0.01 or a <= 0.0 or a + b < c * (1.0 - 1e-6) or c > mass * REACH**2


def of_files(source: Source, folder: Path) -> list[Finding]:
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
        line = Finding(
            "licence",
            "missing",
            "no LICENSE beside the MJCF: find out whether you may pass it on before you commit it",
        )
    return [line, Finding("files", "found", f"{len(copied)}, {size / 1e6:.1f} MB")]
