"""A worker in a cell: capsules added to its MJCF, moved along a script at every physics substep, and watched region by region.

The capsules are mocap bodies: nothing pushes them away, so a robot that presses on one meets a wall, which is the cautious reading of a person
who is clamped. A worker who is touched stops for `WAIT_S`, and one pressed harder than `YIELD_N` goes back along the script, both from the next control
tick on: what lasts is the robot's doing. The peak of a short contact is calculated from the speeds and not read from
the simulated force (`contact_model`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from .cell import PART, PERSON, ROBOT
from .people import PARTS, REGIONS, Body, load_body, region_of
from .people_motion import LENGTH, MOTIONS, Place, draw, ends, still
from .people_posture import poses
from .people_signals import CALM, CLOCK, RATE, READ, SCRIPT, TRAVEL, Pairs, forces
from .signals import Array, Derivation, Lookup, Signal
from .streams import Streams
from .vocabulary import described

if TYPE_CHECKING:
    from .engine import Moved
    from .task import Start

PREFIX = "person_"
YIELD_N = 60.0  # N, pressed harder a worker gives way: project assumption, as the hands of the shipped cells
WAIT_S = 1.0  # how long who was touched waits before going on (project assumption)
FORCE, NETFORCE = 1 << 1, 3  # what a contact sensor reports; of all contacts the sum, in the world's axes
CUTOFF_M = 3.0
LOOKS = {"head": "skin", "neck": "skin", "chest": "vest", "abdomen": "vest", "hand": "glove"}


@dataclass(frozen=True)
class Person:
    """One worker of a cell. A task takes it in with `add` in `build`, `signals` and `held` in `signals`, `join` in `place` and `moved` in `move`.

    Attributes:
        body: `adult-5`, `adult-50` or `adult-95`.
        place: where in the cell.
        links: the robot's bodies whose distance to the person and velocity are watched.
        motions: what the worker may do, one of them each episode.
        robot_mass: m_R of the two-body formula in kg.
        interval_s: seconds between two measurements of distance, 0 for every substep.
    """

    body: str
    place: Place
    links: tuple[str, ...]
    robot_mass: float
    motions: tuple[str, ...] = field(default_factory=lambda: tuple(MOTIONS))
    interval_s: float = 0.0
    physics_hz: int = 500

    @cached_property
    def size(self) -> Body:
        return load_body(self.body)

    def scripts(self, streams: Streams) -> Array:
        """`(n, LENGTH)`: what each world's worker will do; a task holds it as the signal `body.script`."""
        return draw(self.place, streams, self.motions)

    def poses(self, scripts: Array, times: Array) -> tuple[Array, Array]:
        """Positions `(n, ..., parts, 3)` and quaternions `(n, ..., parts, 4)` at `times` `(n, ...)` in s."""
        return poses(ends(self.size, self.place.floor, scripts, times))

    def start(self, scripts: Array) -> tuple[Array, Array]:
        """Positions `(n, parts, 3)` and quaternions `(n, parts, 4)` with which episodes begin."""
        return self.poses(scripts, np.zeros(len(scripts)))

    def join(self, start: Start, streams: Streams) -> Start:
        """A task's start with the worker in it; the cell's own mocap bodies come first."""
        scripts = self.scripts(streams)
        poses, given = self.start(scripts), (start.mocap_pos, start.mocap_quat)
        whole = [
            own if before is None else np.concatenate([before, own], axis=1)
            for before, own in zip(given, poses, strict=True)
        ]
        held = {**start.held, SCRIPT: scripts, CALM: np.full(len(scripts), WAIT_S)}
        return replace(start, mocap_pos=whole[0], mocap_quat=whole[1], held=held)

    def moved(self, model: mujoco.MjModel, substeps: int, held: Mapping[str, Array], now: Lookup) -> Moved:
        """Where the capsules are at the beginning of each of the coming substeps; the worker's clock goes on, stops or goes back."""
        from .engine import Moved

        pressed, tick = forces(now).max(axis=-1), substeps / self.physics_hz
        calm = np.where(pressed > 0.0, 0.0, held[CALM])
        rate = np.where(pressed > YIELD_N, -1.0, np.where(calm < WAIT_S, 0.0, 1.0))
        times = held[CLOCK][:, None] + rate[:, None] * (np.arange(substeps) / self.physics_hz)
        held[CLOCK][:] += rate * tick
        held[RATE][:], held[CALM][:] = rate, calm + tick
        first = int(model.body(PREFIX + PARTS[0]).mocapid[0])
        return Moved(first, *self.poses(held[SCRIPT], times))

    def add(self, spec: mujoco.MjSpec) -> None:
        """Put the worker, standing, and every sensor that watches it into a cell."""
        self.dress(spec, self.start(still(self.place)))
        self._watch(spec)

    def dress(self, spec: mujoco.MjSpec, where: tuple[Array, Array], prefix: str = PREFIX) -> None:
        """The capsules alone, at positions `(1, parts, 3)` and quaternions `(1, parts, 4)`."""
        for i, part in enumerate(PARTS):
            region = region_of(part)
            owner = spec.worldbody.add_body(
                name=prefix + part, pos=where[0][0, i], quat=where[1][0, i], mocap=True
            )
            owner.add_geom(
                name=f"{prefix}{part}_skin",
                type=mujoco.mjtGeom.mjGEOM_CAPSULE,
                size=[self.size.radius[region], 0.5 * self.size.length[region], 0.0],
                contype=PERSON,
                conaffinity=ROBOT | PART,
                condim=1,
                mass=0.0,
                solref=[0.02, 1.0],
                material=LOOKS.get(region, "overall"),
                group=1,
            )

    def _watch(self, spec: mujoco.MjSpec) -> None:
        """The sensors: places and velocities of the links, contact of each part, distance, normal and points of each pair."""
        frame, pair = mujoco.mjtObj.mjOBJ_XBODY, mujoco.mjtObj.mjOBJ_BODY
        kinds = (
            mujoco.mjtSensor.mjSENS_FRAMEPOS,
            mujoco.mjtSensor.mjSENS_FRAMELINVEL,
            mujoco.mjtSensor.mjSENS_FRAMEANGVEL,
        )
        for name, kind in zip(TRAVEL, kinds, strict=True):
            for i, link in enumerate(self.links):
                spec.add_sensor(name=f"links.{name}.{i + 1}", type=kind, objtype=frame, objname=link)
        watch_contacts(spec)
        for name, kind in (
            ("distances", mujoco.mjtSensor.mjSENS_GEOMDIST),
            ("normals", mujoco.mjtSensor.mjSENS_GEOMNORMAL),
            ("points", mujoco.mjtSensor.mjSENS_GEOMFROMTO),
        ):
            for i, (part, link) in enumerate((part, link) for part in PARTS for link in self.links):
                spec.add_sensor(
                    name=f"body.{name}.{i + 1}",
                    type=kind,
                    objtype=pair,
                    objname=link,
                    reftype=pair,
                    refname=PREFIX + part,
                    cutoff=CUTOFF_M,
                    interval=[self.interval_s, 0.0],
                    nsample=int(
                        self.interval_s > 0.0
                    ),  # without a sample to keep, MuJoCo measures at every substep
                )

    def signals(self) -> list[tuple[Signal, Derivation]]:
        """Distance, normal, closing speed, contact force and two-body force of each region, and the nearest of all."""
        pairs = Pairs(
            self.size, self.place.floor, len(self.links), self.robot_mass, self.interval_s, self.physics_hz
        )
        rows: list[tuple[Signal, Derivation]] = []
        for region in REGIONS:
            rows += [
                (described(f"body.{region}.{name}", unit, shape), pairs.reader(region, name))
                for name, unit, shape in READ
            ]
        return [
            *rows,
            (described("body.distance", "m"), pairs.distance),
            (described("body.approach", "m/s"), pairs.approach),
        ]

    def held(self, control_hz: int = 50) -> list[Signal]:
        """What is kept from tick to tick: the script, set when an episode begins, and how far along it the worker is."""
        rows = ((SCRIPT, "1", (LENGTH,)), (CLOCK, "s", ()), (RATE, "1", ()), (CALM, "s", ()))
        return [described(name, unit, shape, "held", float(control_hz)) for name, unit, shape in rows]


def watch_contacts(spec: mujoco.MjSpec) -> None:
    """The contact sensors of the parts of a worker that was put into `spec`: the signal `body.contacts`."""
    for i, part in enumerate(PARTS):
        touch = spec.add_sensor(
            name=f"body.contacts.{i + 1}",
            type=mujoco.mjtSensor.mjSENS_CONTACT,
            objtype=mujoco.mjtObj.mjOBJ_BODY,
            objname=PREFIX + part,
        )
        touch.intprm = [FORCE, NETFORCE, 1]
