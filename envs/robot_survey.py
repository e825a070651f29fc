"""What somebody else's MJCF holds: which joints are the arm, what its hand is, where its tool sits. Nothing is changed here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from .errors import BadInput, UnknownName

Array = NDArray[np.float64]
Hand = Literal["none", "fingers", "other"]
HINGE, SLIDE, FREE = mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_FREE
AXES = (6, 7)
HAND_DEPTH = 2  # joints in a row that a finger may have
TOOL_POINT = re.compile(r"(^|[_/.-])(tcp|grip_site|grip|pinch|grasp)($|[_/.-])", re.I)
FLANGE = re.compile(
    r"attachment|flange|tool0|ee_link|end_effector|right_hand|(^|[_/.-])(ee|tool|hand)($|[_/.-])", re.I
)


@dataclass(frozen=True)
class Finding:
    """One line of the list: what Genba needs, whether it was found, assumed, changed or missing, and the words for it."""

    what: str
    state: Literal["found", "assumed", "changed", "missing"]
    says: str


@dataclass(frozen=True)
class Arm:
    """The parts of an arm by name: its root, joints in order, the body that the last one moves, its hand, its flange.

    `aside` are joints of the same robot that are not the arm's, `flange` the pose `(4, 4)` of the flange in the last body's frame and
    `flange_from` where that came from; `point` is where a site marks the tool point in that frame, `(3,)` m, and `point_from` which.
    """

    root: str
    joints: tuple[str, ...]
    last: str
    palm: str
    hand: Hand
    hand_joints: tuple[str, ...]
    aside: tuple[str, ...]
    flange: Array
    flange_from: str
    point: Array | None
    point_from: str


def name_all(spec: mujoco.MjSpec) -> None:
    """Give what has none a name, in place: every body and joint."""
    for kind, things in (("body", spec.bodies[1:]), ("joint", spec.joints)):
        taken = {each.name for each in things}
        for index, each in enumerate(things):
            if not each.name:
                each.name = next(n for n in _numbered(kind, index) if n not in taken)
                taken.add(each.name)


def _numbered(kind: str, index: int) -> Any:
    yield f"{kind}_{index + 1}"
    yield from (f"{kind}_{index + 1}_{more}" for more in range(2, 1000))


def survey(spec: mujoco.MjSpec, site: str = "") -> Arm:
    """Find the arm in a spec whose bodies and joints all have names; `site` names the site where its tool sits.

    The arm is the longest row of joints from the world up to where the robot branches into fingers, or up to the `site`. Raises BadInput
    where that is no arm of 6 or 7 axes, UnknownName for a site that is not there.
    """
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    if site and site not in {each.name for each in spec.sites}:
        raise UnknownName("site", site, {each.name for each in spec.sites} - {""})
    root = max(spec.worldbody.bodies, key=_depth, default=None)
    if root is None or _depth(root) == 0:
        raise BadInput("no body in it has a joint; an arm of 6 or 7 axes is expected")
    row, aside, end = _row(root) if not site else _row_to(spec, site)
    row = _less_sprung(model, row)
    wrong = [each.name for each in row if each.type not in (HINGE, SLIDE)]
    if len(row) not in AXES or wrong:
        names = ", ".join(each.name for each in row[:10]) + (", ..." if len(row) > 10 else "")
        what = f"{wrong[0]} neither turns nor slides" if wrong else f"{len(row)} joints in a row ({names})"
        raise BadInput(f"no arm of 6 or 7 axes: {what} before it ends or branches at body {end.name}")
    last = row[-1].parent
    below = [body for body in last.find_all("body") if body.name != last.name]
    moving = [
        joint for body in below for joint in body.joints if joint.name not in {each.name for each in row}
    ]
    hand: Hand = "none" if not moving else "fingers" if _sliding(model, data, moving) else "other"
    flange, where = _flange(model, data, [each.name for each in row], last.name, below, moving, site)
    sites = [each.name for body in (last, *below) for each in body.sites]
    mark = next((name for name in sites if TOOL_POINT.search(name)), "") if hand == "fingers" else ""
    frame = np.linalg.inv(_pose(data.body(last.name).xpos, data.body(last.name).xmat))
    return Arm(
        root=root.name,
        joints=tuple(each.name for each in row),
        last=last.name,
        palm=end.name,
        hand=hand,
        hand_joints=tuple(each.name for each in moving),
        aside=tuple(each.name for each in aside),
        flange=flange,
        flange_from=where,
        point=(frame @ np.append(data.site(mark).xpos, 1.0))[:3] if mark else None,
        point_from=mark,
    )


def _depth(body: Any) -> int:
    """The most joints in a row from this body on."""
    own = sum(joint.type != FREE for joint in body.joints)
    return int(own + max((_depth(child) for child in body.bodies), default=0))


def _row(root: Any) -> tuple[list[Any], list[Any], Any]:
    """Joints in a row from the root on, joints that hang aside of it, and the body where the row ends."""
    body, row, aside = root, [joint for joint in root.joints if joint.type != FREE], []
    while moving := sorted((child for child in body.bodies if _depth(child)), key=_depth, reverse=True):
        if len(moving) > 1 and _depth(moving[0]) <= HAND_DEPTH:
            break
        aside += [joint for other in moving[1:] for each in _all(other) for joint in each.joints]
        body = moving[0]
        row += list(body.joints)
    return row, aside, body


def _row_to(spec: mujoco.MjSpec, site: str) -> tuple[list[Any], list[Any], Any]:
    """The same, up to the body of a site."""
    path = [spec.site(site).parent]
    while path[0].parent.name != "world":
        path.insert(0, path[0].parent)
    row = [joint for body in path for joint in body.joints if joint.type != FREE]
    others = [
        child for body in path[:-1] for child in body.bodies if child.name not in {each.name for each in path}
    ]
    aside = [joint for other in others for each in _all(other) for joint in each.joints]
    return row, aside, path[-1]


def _less_sprung(model: mujoco.MjModel, row: list[Any]) -> list[Any]:
    """The row without what no motor drives at its end, as the spring of a suction cup."""
    driven = {model.joint(int(each[0])).name for each, kind in zip(model.actuator_trnid, model.actuator_trntype, strict=True)
              if kind == mujoco.mjtTrn.mjTRN_JOINT}  # fmt: skip
    while len(row) > AXES[0] and row[-1].name not in driven and row[0].name in driven:
        row = row[:-1]
    return row


def _all(body: Any) -> list[Any]:
    return [body, *(deeper for child in body.bodies for deeper in _all(child))]


def _sliding(model: mujoco.MjModel, data: mujoco.MjData, moving: list[Any]) -> bool:
    """Two joints of two bodies that slide along one line, with shapes that collide."""
    owners = {joint.parent.name for joint in moving}
    if len(moving) != 2 or len(owners) != 2 or any(joint.type != SLIDE for joint in moving):
        return False
    one, other = (data.xaxis[model.joint(joint.name).id] for joint in moving)
    return abs(float(one @ other)) > 0.999 and all(solid(model, joint.parent.name) for joint in moving)


def solid(model: mujoco.MjModel, body: str) -> list[int]:
    """The shapes that collide of a body and of all that it carries, as geom ids."""
    index, found = model.body(body).id, []
    for geom in range(model.ngeom):
        owner = int(model.geom_bodyid[geom])
        while owner > index:
            owner = int(model.body_parentid[owner])
        if owner == index and (model.geom_contype[geom] or model.geom_conaffinity[geom]):
            found.append(geom)
    return found


def _flange(
    model: mujoco.MjModel, data: mujoco.MjData, joints: list[str], last: str, below: list[Any], moving: list[Any], site: str
) -> tuple[Array, str]:  # fmt: skip
    """Where a tool sits, in the last body's frame, z pointing away from the arm: a site, a body, or the end of the last axis."""
    base = _pose(data.body(last).xpos, data.body(last).xmat)
    axis = data.xaxis[model.joint(joints[-1]).id]
    moved = {deeper.name for joint in moving for deeper in _all(joint.parent)}
    still = [body.name for body in below if body.name not in moved]
    carried = {model.body(name).id for name in (last, *still)}
    if moving:  # what lies inside a hand is no flange
        still = [body.name for body in below if body.name in still and body.parent.name == last]
    near = {model.body(name).id for name in ((last,) if moving else (last, *still))}
    sites = [i for i in range(model.nsite) if int(model.site_bodyid[i]) in near]
    named = [(f"site {model.site(i).name}", _pose(data.site_xpos[i], data.site_xmat[i])) for i in sites
             if (model.site(i).name == site if site else FLANGE.search(model.site(i).name))]  # fmt: skip
    if not site:
        bodies = [name for name in still if FLANGE.search(name)]
        named += [(f"body {name}", _pose(data.body(name).xpos, data.body(name).xmat)) for name in bodies]
    for where, pose in named:
        if abs(float(pose[:3, 2] @ axis)) > 0.9:
            return np.linalg.inv(base) @ pose, where
    if site:
        raise BadInput(
            f"site {site}: does not sit on the arm's last body with its z along the last axis, where a tool sits"
        )
    return np.linalg.inv(base) @ _end_of_axis(model, data, joints, carried), ""


def _end_of_axis(model: mujoco.MjModel, data: mujoco.MjData, joints: list[str], carried: set[int]) -> Array:
    """The pose on the last joint's axis, where the last body's shapes end."""
    joint, before = model.joint(joints[-1]).id, model.joint(joints[-2]).id
    anchor, axis = data.xanchor[joint], data.xaxis[joint]
    geoms = [geom for geom in range(model.ngeom) if int(model.geom_bodyid[geom]) in carried]
    centres = [data.geom_xpos[geom] for geom in geoms] or [data.xipos[model.joint(joints[-1]).bodyid[0]]]
    side = float((np.mean(centres, axis=0) - data.xanchor[before]) @ axis)
    z = axis if side >= 0.0 else -axis
    far = max(
        (float(((corner - anchor) @ z).max()) for corner in map(lambda g: corners(model, data, g), geoms)),
        default=0.0,
    )
    x = np.cross(np.eye(3)[int(np.abs(z).argmin())], z)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 2] = x / np.linalg.norm(x), z
    pose[:3, 1] = np.cross(z, pose[:3, 0])
    pose[:3, 3] = anchor + max(far, 0.0) * z
    return pose


def corners(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> Array:
    """`(n, 3)` m: the corners of a shape's bounding box, of a mesh its vertices, in the world."""
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = int(model.geom_dataid[geom])
        first, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
        local = np.asarray(model.mesh_vert[first : first + count], float)
    else:
        box = model.geom_aabb[geom]
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
        local = box[:3] + signs * box[3:]
    return np.asarray(data.geom_xpos[geom] + local @ data.geom_xmat[geom].reshape(3, 3).T)


def _pose(position: Array, matrix: Array) -> Array:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = np.asarray(matrix).reshape(3, 3), position
    return pose
