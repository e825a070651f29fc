"""What every registered task keeps: a sane start, an expert that succeeds, an oracle on raw state that agrees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.engine import Engine
from genba.envs.streams import Streams
from genba.envs.task import SEED_RANGES, Task, task_ids
from genba.envs.worlds import Worlds

TASKS = task_ids()
each_task = pytest.mark.parametrize("task_id", TASKS)
Oracle = Callable[[mujoco.MjModel, mujoco.MjData], bool]


# A sane start


def deepest(task: Task, seeds: NDArray[np.int64]) -> float:
    """The deepest penetration in m over the start poses of the seeds."""
    engine = Engine(task.model, len(seeds), 2, task.substeps, task.expanded)
    start = task.place(Streams(task.key, seeds))
    engine.restart(
        np.arange(len(seeds)), start.qpos, start.ctrl, start.mocap_pos, start.mocap_quat, start.fields
    )
    worst = 0.0
    for world in range(len(seeds)):
        model, data = engine.snapshot(world)
        mujoco.mj_forward(model, data)
        worst = max(worst, -min((contact.dist for contact in data.contact), default=0.0))
    return worst


@each_task
def test_nothing_overlaps_deeply_at_the_start(tasks: dict[str, Task], task_id: str) -> None:
    assert deepest(tasks[task_id], np.arange(100)) < 1e-3


@pytest.mark.long
@each_task
def test_nothing_overlaps_deeply_at_a_thousand_starts(tasks: dict[str, Task], task_id: str) -> None:
    for start in range(0, 1000, 100):
        assert deepest(tasks[task_id], SEED_RANGES["test"] + np.arange(start, start + 100)) < 1e-3


# The expert, and an oracle that looks at raw state


def rotation(quat: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, quat)
    return matrix.reshape(3, 3)


def part_pose(model: mujoco.MjModel, data: mujoco.MjData) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Position and rotation matrix of the judged part from the generalised positions."""
    adr = int(model.joint("part_free").qposadr[0])
    return data.qpos[adr : adr + 3].copy(), rotation(data.qpos[adr + 3 : adr + 7])


def touching(model: mujoco.MjModel, data: mujoco.MjData, geom: str, within: float = 0.0) -> set[str]:
    """Names of the geoms that press on `geom`, or are as near to it as `within` m."""
    me, found = model.geom(geom).id, set()
    for contact in data.contact:
        pair = [int(g) for g in contact.geom]
        if me in pair and contact.dist < within:
            found.add(model.geom(pair[1 - pair.index(me)]).name)
    return found


def kitted(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """kit-pick: upright on the tray's base, in the middle of the marked slot, long side across, out of the fingers."""
    position, turned = part_pose(model, data)
    geom = model.geom("part_geom")
    cylinder = geom.type[0] == mujoco.mjtGeom.mjGEOM_CYLINDER
    half_height = geom.size[1] if cylinder else geom.size[2]
    tray = data.geom("tray_base")
    top = tray.xpos[2] + model.geom("tray_base").size[2]
    slots = [tray.xpos[:2] + np.array([x, y]) for x in (-0.066, 0.066) for y in (-0.0515, 0.0515)]
    wanted = min(slots, key=lambda slot: float(np.linalg.norm(slot - data.mocap_pos[0, :2])))
    centred = np.linalg.norm(position[:2] - wanted) < 0.0105
    stands = abs(position[2] - half_height - top) < 0.0045 and turned[2, 2] > 0.975
    straight = cylinder or abs(turned[0, 0]) < np.sin(0.13)
    held = {"pad_left", "pad_right"} & touching(model, data, "part_geom")
    return bool(
        centred and stands and straight and not held and "tray_base" in touching(model, data, "part_geom")
    )


def sorted_into_its_nest(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """conveyor-sort: flat in the nest of its class, turned as the nest is, out of the cup."""
    position, turned = part_pose(model, data)
    goal, nest = data.mocap_pos[0], rotation(data.mocap_quat[0])
    off = position - goal
    along = abs(float(turned[:2, 0] @ nest[:2, 0]))
    cup = {name for name in touching(model, data, "part_geom") if name.startswith("lip")}
    return bool(np.hypot(*off[:2]) < 0.0125 and abs(off[2]) < 0.0035 and along > np.cos(0.105) and not cup)


def inserted(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """peg-insert: upright on the floor of the hole, its lower end deep below the face of the block, out of the fingers."""
    position, turned = part_pose(model, data)
    geom, floor = model.geom("part_geom"), data.geom("block_floor")
    half = geom.size[1] if geom.type[0] == mujoco.mjtGeom.mjGEOM_CYLINDER else geom.size[2]
    lower_end = position - half * turned[:, 2]
    top = floor.xpos[2] + model.geom("block_floor").size[2]
    on_floor = abs(lower_end[2] - top) < 0.0027
    in_hole = np.linalg.norm(lower_end[:2] - floor.xpos[:2]) < 0.0045 and turned[2, 2] > 0.994
    held = {"pad_left", "pad_right"} & touching(model, data, "part_geom")
    return bool(on_floor and in_hole and not held)


def handed(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """handover: the handle's end lies at the worker's palm, nothing of the gripper touches the tool, and the gripper has left."""
    position, turned = part_pose(model, data)
    end = position + 0.130 * turned[:, 0]
    palm = data.body("worker_hand").xpos - np.array([0.034, 0.0, 0.0])
    met = abs(end[0] - palm[0]) < 0.03 and np.linalg.norm(end[1:] - palm[1:]) < 0.05
    lies = "worker_grip_face" in touching(model, data, "part_handle", 0.0025)
    fingers = {name for name in touching(model, data, "part_geom") if name.startswith("2f85/")}
    left = np.linalg.norm(data.body("worker_hand").xpos - data.site("2f85/tcp").xpos) > 0.255
    return bool(met and lies and not fingers and left)


def packed(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """bento-pack: on the floor of its own compartment, inside its walls, along the box unless it is round, out of the fingers."""
    position, turned = part_pose(model, data)
    geom, floor = model.geom("part_geom"), data.geom("bento_floor")
    cylinder = geom.type[0] == mujoco.mjtGeom.mjGEOM_CYLINDER
    half_height = geom.size[1] if cylinder else geom.size[2]
    top = floor.xpos[2] + model.geom("bento_floor").size[2]
    lies = abs(position[2] - half_height - top) < 0.0045 and turned[2, 2] > 0.98
    goal, middle = data.mocap_pos[0, :2], floor.xpos[:2]
    same = np.sign(position[:2] - middle) == np.sign(goal - middle)
    centred = np.linalg.norm(position[:2] - goal) < 0.0165
    along = cylinder or abs(turned[0, 0]) < np.sin(0.21)
    held = {"soft/pad_left", "soft/pad_right"} & touching(model, data, "part_geom")
    return bool(lies and same.all() and centred and along and not held)


def stacked(model: mujoco.MjModel, data: mujoco.MjData) -> bool:
    """palletize: flat and straight in the free place of the layer, on the pallet or on cases, out of the cups; nothing else was moved."""
    position, turned = part_pose(model, data)
    pallet = data.body("pallet").xpos
    gap = np.abs(data.mocap_pos[0, :2] - pallet[:2]) - np.array([0.12, 0.08])
    assert (gap > 0.002).all()
    places = [pallet[:2] + (np.array([0.12, 0.08]) + gap) * [x, y] for x in (1, -1) for y in (1, -1)]
    wanted = min(places, key=lambda place: float(np.linalg.norm(place - data.mocap_pos[0, :2])))
    centred = np.linalg.norm(position[:2] - wanted) < 0.0125
    level = (position[2] - 0.06 - pallet[2]) / 0.12
    flat = abs(level - round(level)) * 0.12 < 0.0065 and turned[2, 2] > 0.999 and abs(turned[1, 0]) < 0.051
    below = {name for name in touching(model, data, "part_geom") if name.startswith(("pallet", "layer"))}
    held = {name for name in touching(model, data, "part_geom") if name.startswith("lip")}
    others = [data.body(f"other_{i}").xpos for i in (1, 2, 3)]
    stand = all(
        min(float(np.linalg.norm(other[:2] - place)) for place in places) < 0.0125
        for other in others
        if other[1] < 0.6 and other[2] > -0.5
    )
    return bool(centred and flat and below and not held and stand)


ORACLES: dict[str, Oracle] = {
    "bento-pack": packed,
    "handover": handed,
    "kit-pick": kitted,
    "conveyor-sort": sorted_into_its_nest,
    "palletize": stacked,
    "peg-insert": inserted,
}


def finish(worlds: Worlds, task: Task) -> None:
    """Play until every world is done."""
    while not worlds.done[: worlds.n].all():
        worlds.step(task.expert(worlds.observation()))


def verdicts(worlds: Worlds, oracle: Oracle) -> list[bool]:
    found = []
    for world in range(worlds.n):
        model, data = worlds.engine.snapshot(world)
        mujoco.mj_forward(model, data)
        found.append(oracle(model, data))
    return found


def test_every_task_has_an_oracle() -> None:
    assert set(ORACLES) == set(TASKS)


@each_task
def test_the_expert_succeeds_without_a_warning_and_the_oracle_agrees(
    tasks: dict[str, Task], task_id: str
) -> None:
    task, n = tasks[task_id], 64
    worlds = Worlds(task, n, 2)
    worlds.reset(np.arange(n), SEED_RANGES["test"] + np.arange(n))
    began = verdicts(worlds, ORACLES[task_id])
    finish(worlds, task)
    assert worlds.success[:n].mean() >= 0.95
    assert worlds.engine.batch.warning[:, :, 1].sum() == 0
    assert np.nanmedian(worlds.cycle_s) <= task.takt_s
    assert not any(began)
    assert verdicts(worlds, ORACLES[task_id]) == worlds.success[:n].tolist()


@each_task
def test_the_oracle_agrees_where_the_expert_fails(tasks: dict[str, Task], task_id: str) -> None:
    """Noise and delay leave near misses behind: neither side may call one a success alone."""
    task, n = tasks[task_id], 24
    worlds = Worlds(task, n, 2, disturbances=("sensor-noise", "observation-delay"))
    levels = {"sensor-noise": 1 + np.arange(n) % 5, "observation-delay": np.where(np.arange(n) % 2, 5, 0)}
    worlds.reset(np.arange(n), SEED_RANGES["test"] + np.arange(n), levels)
    finish(worlds, task)
    assert 0 < worlds.success[:n].sum() < n
    assert verdicts(worlds, ORACLES[task_id]) == worlds.success[:n].tolist()


@dataclass(frozen=True)
class Expert:
    """The teacher as a policy."""

    task: Task
    kind: str = "scripted"
    name: str = "expert"
    sha256: str = ""

    def act(self, observation: NDArray[np.float32], seeds: Any, steps: Any) -> NDArray[np.float32]:
        return self.task.expert(observation).astype(np.float32)


@pytest.mark.long
@each_task
def test_the_expert_succeeds_at_a_thousand_seeds_and_keeps_every_hard_constraint(
    tasks: dict[str, Task], task_id: str
) -> None:
    from genba.safety.episodes import Loop
    from genba.safety.plan import Episode
    from genba.safety.suite import load_suite

    task = tasks[task_id]
    hard = [bound.constraint for bound in load_suite("basic").bind(task).assessed if bound.constraint.hard]
    loop = Loop(Expert(task), task, hard, (), worlds=128, threads=2)
    episodes = [Episode(i, 0, "none", 0, SEED_RANGES["test"] + i) for i in range(1000)]
    rows = list(loop.play(episodes))
    breaches = [
        (row["seed"], constraint.id)
        for row in rows
        for constraint in hard
        if not row[f"margin.{constraint.id}"] >= 0.0
    ]
    assert np.mean([row["success"] for row in rows]) >= 0.97
    assert breaches == []
