"""Postures: where each part of a body lies, from where it stands, how it leans, and where its hands and feet are.

Everything is a function over arrays of any leading shape, component by component, so that a world's bits never depend on its company.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .people import PARTS, Body, region_of
from .signals import Array
from .terms import dot, norm

UP = np.array([0.0, 0.0, 1.0])
LEFT, RIGHT = 0, 1
SIGNS = np.array([[1.0], [-1.0]])  # of what lies to the left and to the right
STRAIGHT = 0.985  # an arm stays this little bent


@dataclass(frozen=True)
class Posture:
    """What decides a posture; `...` is any leading shape, positions in the world.

    Attributes:
        floor: `(..., 3)` point of the floor below the middle of the body, m.
        ahead: `(..., 2)` horizontal unit vector that the body faces.
        lean: `(...)` angle of the trunk forward about the hips, rad.
        sink: `(...)` how far the hips are lower than when standing upright, m.
        feet: `(..., 2, 3)` left and right: from where the foot stands in the upright body to where it is (ahead, left, up), m.
        hands: `(..., 2, 3)` left and right: where the middle of the hand should be, m.
        reach: `(..., 2)` how much of the way from a hanging arm to there the hand has gone, 0 to 1.
        swing: `(..., 2)` how far a hanging hand is ahead of its shoulder, m.
    """

    floor: Array
    ahead: Array
    lean: Array
    sink: Array
    feet: Array
    hands: Array
    reach: Array
    swing: Array


def two_links(
    root: Array, target: Array, upper: float, lower: float, bend: Array, straight: float = 1.0
) -> tuple[Array, Array]:
    """Middle joint and end `(..., 3)` of two links that point from `root` to `target`, bent towards `bend`.

    A target that is out of reach is approached as far as the links go: to the share `straight` of their length. Below 1 the middle
    joint never snaps through when they stretch.
    """
    off = target - root
    far = norm(off)
    along = off / np.maximum(far, 1e-9)[..., None]
    span = np.minimum(np.maximum(far, abs(upper - lower) + 1e-3), straight * (upper + lower))
    share = (upper * upper - lower * lower + span * span) / (2.0 * span)
    height = np.sqrt(np.maximum(upper * upper - share * share, 0.0))
    across = bend - dot(bend, along)[..., None] * along
    across = across / np.maximum(norm(across), 1e-9)[..., None]
    return root + share[..., None] * along + height[..., None] * across, root + span[..., None] * along


def segments(body: Body, posture: Posture) -> tuple[Array, Array]:
    """The two ends of each part's axis, both `(..., parts, 3)` in m, in the order of `PARTS`."""
    size, r, floor = body.length, body.radius, posture.floor
    cos, sin = np.cos(posture.lean)[..., None], np.sin(posture.lean)[..., None]
    ahead = np.stack([posture.ahead[..., 0], posture.ahead[..., 1], 0.0 * posture.lean], axis=-1)
    left = np.stack([-posture.ahead[..., 1], posture.ahead[..., 0], 0.0 * posture.lean], axis=-1)
    trunk = sin * ahead + cos * UP
    hips = floor + (body["hip.height"] - posture.sink)[..., None] * UP
    tall = body["shoulder.height"] - body["hip.height"]
    ends: dict[str, tuple[Array, Array]] = {}
    pelvis, chest = hips + 0.3 * r["pelvis"] * trunk, hips + (tall - r["chest"]) * trunk
    for part, middle in (("pelvis", pelvis), ("abdomen", 0.5 * (pelvis + chest)), ("chest", chest)):
        ends[part] = middle - 0.5 * size[part] * left, middle + 0.5 * size[part] * left
    neck, chin = hips + tall * trunk, hips + (body.chin - body["hip.height"]) * trunk
    ends["neck"] = neck, chin
    ends["head"] = chin + r["head"] * trunk, chin + (r["head"] + size["head"]) * trunk
    for region, pair in (
        _arms(body, posture, hips + (tall - r["upper_arm"]) * trunk, left, ahead)
        | _legs(body, posture, hips, left, ahead)
    ).items():
        for side, name in ((LEFT, "l"), (RIGHT, "r")):
            ends[f"{region}_{name}"] = pair[0][..., side, :], pair[1][..., side, :]
    found = np.empty((2, *floor.shape[:-1], len(PARTS), 3))
    for i, part in enumerate(PARTS):
        found[0, ..., i, :], found[1, ..., i, :] = ends[part]
    return found[0], found[1]


def _arms(
    body: Body, posture: Posture, middle: Array, left: Array, ahead: Array
) -> dict[str, tuple[Array, Array]]:
    """Upper arms, forearms and hands, which go straight on from the forearms, `(..., 2, 3)` each; `middle` lies between the shoulders."""
    upper, forearm, hand = (body.length[region] for region in ("upper_arm", "forearm", "hand"))
    lower, forward = forearm + 0.5 * hand, ahead[..., None, :]
    shoulder = middle[..., None, :] + SIGNS * body.shoulder * left[..., None, :]
    hanging = shoulder - (upper + lower) * UP + posture.swing[..., None] * forward
    target = hanging + posture.reach[..., None] * (posture.hands - hanging)
    elbow, palm = two_links(shoulder, target, upper, lower, -UP - 0.6 * forward, STRAIGHT)
    along = (palm - elbow) / lower
    wrist = elbow + forearm * along
    return {"upper_arm": (shoulder, elbow), "forearm": (elbow, wrist), "hand": (wrist, wrist + hand * along)}


def _legs(
    body: Body, posture: Posture, hips: Array, left: Array, ahead: Array
) -> dict[str, tuple[Array, Array]]:
    """Thighs and lower legs, whose round ends stand on the floor, `(..., 2, 3)` each; `hips` lies between them."""
    forward, aside = ahead[..., None, :], left[..., None, :]
    hip = hips[..., None, :] + SIGNS * body.hip * aside
    stand = posture.floor[..., None, :] + SIGNS * body.hip * aside + body.radius["lower_leg"] * UP
    step = posture.feet
    target = stand + step[..., 0:1] * forward + step[..., 1:2] * aside + step[..., 2:3] * UP
    knee, foot = two_links(hip, target, body.length["thigh"], body.length["lower_leg"], forward)
    return {"thigh": (hip, knee), "lower_leg": (knee, foot)}


def poses(ends: tuple[Array, Array]) -> tuple[Array, Array]:
    """Position `(..., parts, 3)` in m and quaternion `(..., parts, 4)`, w first, that lay a capsule's z axis between the ends."""
    first, last = (np.moveaxis(each, -1, 0) for each in ends)
    return laid(first, last)


def laid(first: Array, last: Array) -> tuple[Array, Array]:
    """As `poses`, from ends `(3, ..., parts)`: one array for each of x, y and z, which is quicker."""
    x, y, z = last - first
    length = np.maximum(np.sqrt(x * x + y * y + z * z), 1e-9)
    x, y, z = x / length, y / length, z / length
    sign = np.where(z < 0.0, -1.0, 1.0)  # a capsule looks the same turned about
    x, y, w = x * sign, y * sign, 1.0 + z * sign
    size = np.sqrt(w * w + x * x + y * y)
    quat = np.stack([w / size, -y / size, x / size, np.zeros_like(w)], axis=-1)
    return np.stack(list(0.5 * (first + last)), axis=-1), quat


def radii(body: Body) -> Array:
    """`(parts,)` radius of each part in m."""
    return np.array([body.radius[region_of(part)] for part in PARTS])
