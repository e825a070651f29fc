"""People: an adult body as regions of capsules, its sizes from `assets/people/adult-*.yaml`, each with source and confidence.

A posture is a set of points (joints), every region a capsule between two of them, so that the sizes are the same in any posture. Lengths
in m. The body stands on the floor at the origin of its own frame: x forward, y to its left, z up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from pydantic import BaseModel, ConfigDict

from .errors import BadInput, UnknownName
from .files import asset, load_yaml
from .robot_files import Row

REGIONS = (
    "head", "neck", "chest", "abdomen", "pelvis", "upper_arm", "forearm", "hand", "thigh", "lower_leg",
)  # fmt: skip
PAIRED = ("upper_arm", "forearm", "hand", "thigh", "lower_leg")
PARTS = tuple(
    part for region in REGIONS for part in ((f"{region}_l", f"{region}_r") if region in PAIRED else (region,))
)
TURN = 2.0 * np.pi


class DimensionRow(Row):
    id: str
    value: float
    unit: str


class TitleRow(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    en: str
    ja: str


class BodyFile(BaseModel):
    """The YAML file of one body."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    title: TitleRow
    dimensions: tuple[DimensionRow, ...]
    sources: dict[str, str]


@dataclass(frozen=True)
class Body:
    """One adult: its dimensions in m by name, and what follows from them."""

    name: str
    title: Mapping[str, str]
    dimensions: Mapping[str, float]

    def __getitem__(self, name: str) -> float:
        if name not in self.dimensions:
            raise UnknownName("dimension", name, self.dimensions)
        return self.dimensions[name]

    @property
    def radius(self) -> dict[str, float]:
        """Radius of each region's capsule. Head and hand are as thick as they are long or wide, so nearer than in truth."""
        return {
            "head": self["head.length"] / 2.0,
            "neck": self["neck.girth"] / TURN,
            "chest": self["chest.depth"] / 2.0,
            "abdomen": self["abdomen.depth"] / 2.0,
            "pelvis": self["abdomen.depth"] / 2.0,
            "upper_arm": self["upper_arm.girth"] / TURN,
            "forearm": self["forearm.girth"] / TURN,
            "hand": self["hand.breadth"] / 2.0,
            "thigh": self["thigh.thickness"] / 2.0,
            "lower_leg": self["calf.girth"] / TURN,
        }

    @property
    def length(self) -> dict[str, float]:
        """Length of each capsule's axis, without its round ends. Chest, abdomen and pelvis lie across the body."""
        r = self.radius
        head = self["stature"] * (1.0 - self["chin.share"])
        return {
            "head": max(head - 2.0 * r["head"], 0.01),
            "neck": self.chin - self["shoulder.height"],
            "chest": self["acromion.breadth"] - 2.0 * r["chest"],
            "abdomen": self["hip.breadth"] - 2.0 * r["abdomen"],
            "pelvis": self["hip.breadth"] - 2.0 * r["pelvis"],
            "upper_arm": self["upper_arm.length"] - 2.0 * r["upper_arm"],
            "forearm": self["forearm.length"] - self["hand.length"] - r["upper_arm"],
            "hand": self["hand.length"] - r["hand"],
            "thigh": self["hip.height"] - self.knee,
            "lower_leg": self.knee - r["lower_leg"],
        }

    @property
    def chin(self) -> float:
        """Height of the chin of who stands."""
        return self["chin.share"] * self["stature"]

    @property
    def knee(self) -> float:
        """Height of the middle of the knee."""
        return self["knee.height"] - self["calf.girth"] / TURN

    @property
    def shoulder(self) -> float:
        """How far each shoulder joint is to the side, so that the arms reach the breadth across the deltoid muscles."""
        return self["shoulder.breadth"] / 2.0 - self.radius["upper_arm"]

    @property
    def hip(self) -> float:
        """How far each hip joint is to the side, so that the thighs reach the breadth of the hips."""
        return self["hip.breadth"] / 2.0 - self.radius["thigh"]


def region_of(part: str) -> str:
    """The region of a part: `hand` of `hand_l`."""
    return part[:-2] if part.endswith(("_l", "_r")) else part


def body_names() -> list[str]:
    """The bodies there are."""
    return sorted(
        (path.stem for path in asset("people").glob("adult-*.yaml")), key=lambda name: int(name[6:])
    )


@cache
def load_body(name: str) -> Body:
    """Read one body. Raises UnknownName, or BadInput when its file does not fit together."""
    if name not in body_names():
        raise UnknownName("body", name, body_names())
    path = asset("people", f"{name}.yaml")
    file = load_yaml(path, BodyFile)
    for row in file.dimensions:
        if row.source not in file.sources:
            raise BadInput(
                f"{path}: source '{row.source}' is not listed under sources; known: {', '.join(file.sources)}"
            )
    body = Body(file.name, file.title.model_dump(), {row.id: row.value for row in file.dimensions})
    short = [region for region, length in body.length.items() if length <= 0.0]
    if short:
        raise BadInput(f"{path}: {short[0]} is thicker than it is long: check its dimensions")
    return body
