"""A worker who crosses the way of a vehicle: walks from one side to the other, may stop on the way, and does not walk into what stands there.

The body and its gait are those of `people_cell`; here the worker looks at the vehicle at every control tick. Who is about to step into its lane waits where
the vehicle is already there or so near that it would be within `heed` seconds, and steps back where it comes too close; who is in its lane already goes on.
So a worker never walks against a standing vehicle, and an inattentive one steps before a moving one. Whoever is touched stands still.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mujoco
import numpy as np
from numpy.typing import NDArray

from .derived import Derived, per_episode
from .people import PARTS
from .people_cell import PREFIX, WAIT_S, Person, watch_contacts
from .people_motion import FIELDS, LENGTH, ends, still, walked
from .people_posture import laid
from .people_signals import CALM, CLOCK, RATE, SCRIPT, forces
from .signals import Array, Lookup, Signal, once
from .streams import Streams
from .terms import components, turned_xy
from .vehicle_signals import heading, own_velocity
from .vehicles import Vehicle
from .vocabulary import described

if TYPE_CHECKING:
    from .engine import Moved
    from .parameters import Cell

SIDE = 2.9  # m from the lane's middle where the worker comes from
REACH = 0.45  # m that a walking body reaches ahead of its middle: a leg and a hand
BODY = 0.40  # m that it takes up across its way, to each side, with what one keeps between
ROOM = 0.70  # m beside the vehicle at which one waits
BACK = 0.6  # how fast one steps back who stands nearer, as a share of walking
STOP_S = 0.35  # from walking to standing
CUTOFF_M = 3.0
LIMBS = (
    3.75  # speed of a foot in the middle of its swing, as a multiple of the walk's (`people_motion._step`)
)
PLAN, PAUSED = "walker.plan", "walker.paused"  # where it stops (m along its way), for how long (s), heed (s)
ENDS = "walker.ends"


@dataclass(frozen=True)
class Walker:
    """The worker of a cell with a vehicle. `hull` is the vehicle's shape whose distance to the worker is measured, every `interval_s`."""

    person: Person
    vehicle: Vehicle
    hull: str
    interval_s: float = 0.01

    def add(self, spec: mujoco.MjSpec) -> None:
        """Put the worker and the sensors that watch it into a cell."""
        self.person.dress(spec, self.person.start(still(self.person.place)))
        watch_contacts(spec)
        for i, part in enumerate(PARTS):
            spec.add_sensor(
                name=f"worker.distances.{i + 1}",
                type=mujoco.mjtSensor.mjSENS_GEOMDIST,
                objtype=mujoco.mjtObj.mjOBJ_GEOM,
                objname=self.hull,
                reftype=mujoco.mjtObj.mjOBJ_GEOM,
                refname=f"{PREFIX}{part}_skin",
                cutoff=CUTOFF_M,
                interval=[self.interval_s, 0.0],
                nsample=int(self.interval_s > 0.0),  # without one to keep, MuJoCo measures at every substep
            )

    def place(self, streams: Streams, cell: Cell, crossing: float) -> dict[str, Array]:
        """Held signals of the worker at the start: it crosses at x = `crossing` m and what is drawn beside."""
        n = len(streams)
        side = np.where(streams.uniform("walker.side") < 0.5, -1.0, 1.0)
        row = np.repeat(still(self.person.place), n, axis=0)
        x = crossing + cell.drawn(streams, "walker.x")
        speed = cell.drawn(streams, "walker.speed")
        for name, values in (
            ("from", (x, SIDE * side)),
            ("ahead", (np.zeros(n), -side)),
            ("walk", (cell.drawn(streams, "walker.start"), speed, np.full(n, 2.0 * SIDE))),
        ):
            for column, value in zip(range(LENGTH)[FIELDS[name]], values, strict=True):
                row[:, column] = value
        plan = np.column_stack(
            [
                SIDE + cell.drawn(streams, "walker.pause.at"),
                cell.drawn(streams, "walker.pause"),
                cell.drawn(streams, "walker.heed"),
            ]
        )
        at = np.column_stack([x, SIDE * side, np.zeros(n)])
        found = {SCRIPT: row, CALM: np.full(n, WAIT_S), RATE: np.ones(n), PLAN: plan, "worker.pos": at}
        return {**found, ENDS: self._ends(row, np.zeros(n))}

    def held(self) -> list[Signal]:
        """What is kept from tick to tick."""
        rows = (
            (PLAN, "1", (3,)),
            (PAUSED, "s", ()),
            (ENDS, "m", (2, len(PARTS), 3)),
            ("worker.pos", "m", (3,)),
            ("worker.vel", "m/s", (3,)),
        )
        return [*self.person.held(), *(per_episode(name, unit, shape) for name, unit, shape in rows)]

    def move(self, model: mujoco.MjModel, substeps: int, held: Mapping[str, Array], now: Lookup) -> Moved:
        """Where the capsules are at each of the coming substeps; the worker's clock goes on as fast as it walks."""
        from .engine import Moved

        tick = substeps / self.person.physics_hz
        script, plan = held[SCRIPT], held[PLAN]
        start, speed, length = (np.ascontiguousarray(script[:, i]) for i in range(LENGTH)[FIELDS["walk"]])
        way = walked(held[CLOCK] - start, speed, length)[0]
        pauses = (way >= plan[:, 0]) & (held[PAUSED] < plan[:, 1])
        touched = forces(now).max(axis=-1) > 0.0
        held[CALM][:] = np.where(touched, 0.0, held[CALM] + tick)
        waits, too_near = self._in_the_way(held, now)
        goes = ~pauses & ~waits & (held[CALM] >= WAIT_S)
        held[PAUSED][:] += np.where(pauses, tick, 0.0)
        change, wanted = tick / STOP_S, np.where(too_near, -BACK, np.where(goes, 1.0, 0.0))
        rate = held[RATE] + (wanted - held[RATE]).clip(-change, change)
        rate = np.where(touched, 0.0, rate)
        held[CLOCK][:], held[RATE][:] = held[CLOCK] + rate * tick, rate
        self._note(held, start, speed, length, way, tick)
        first = int(model.body(PREFIX + PARTS[0]).mocapid[0])
        return Moved(first, *self._until(held, held[CLOCK], substeps))

    def _until(self, held: Mapping[str, Array], end: Array, substeps: int) -> tuple[Array, Array]:
        """Poses at each substep until `end` `(n,)` in s: ends of the capsules on straight lines from where they are, `held`."""
        share = (np.arange(substeps) / substeps)[None, None, :, None]
        lines = self._ends(held[SCRIPT], end)
        before, after = (np.ascontiguousarray(each.transpose(1, 3, 0, 2)) for each in (held[ENDS], lines))
        held[ENDS][:] = lines
        first, last = before[:, :, :, None] + share * (after - before)[:, :, :, None]
        return laid(first, last)

    def _ends(self, script: Array, times: Array) -> Array:
        """`(n, 2, parts, 3)` in m: both ends of each part's axis at `times` `(n,)` in s."""
        return np.stack(ends(self.person.size, self.person.place.floor, script, times), axis=1)

    def _note(
        self, held: Mapping[str, Array], start: Array, speed: Array, length: Array, way: Array, tick: float
    ) -> None:
        """Write down where the worker is now and how fast it walks."""
        on = walked(held[CLOCK] - start, speed, length)[0]
        x, y = (np.ascontiguousarray(held[SCRIPT][:, i]) for i in range(LENGTH)[FIELDS["from"]])
        ahead = np.ascontiguousarray(held[SCRIPT][:, FIELDS["ahead"]][:, 1])
        held["worker.pos"][:, 0], held["worker.pos"][:, 1] = x, y + ahead * on
        held["worker.vel"][:, 1] = ahead * (on - way) / tick

    def _in_the_way(
        self, held: Mapping[str, Array], now: Lookup
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """`(n,)` each: the vehicle is, or within the worker's heed will be, where the worker would step; and so near that it steps back."""
        car, heed = self.vehicle, np.ascontiguousarray(held[PLAN][:, 2])
        yaw = heading(now)
        x, y = components(turned_xy(held["worker.pos"] - now["base.pos"], -yaw))
        ahead = np.ascontiguousarray(held[SCRIPT][:, FIELDS["ahead"]][:, 1])
        inwards = -np.sign(y) * ahead * np.cos(yaw) > 0.0
        beside = np.abs(y) - 0.5 * car.width
        soon = car.front + BODY + heed * np.maximum(now["base.forward"], 0.0)
        there = inwards & (x > -car.rear - BODY) & (x < soon)
        waits = there & (beside > 0.5 * REACH) & (beside < ROOM + 0.30)
        against = there & (x < car.front + BODY) & (beside > 0.0)
        return waits | (against & (beside < ROOM)), against & (beside < ROOM - 0.05)

    def signals(self, reaction_s: float, braking: float, uncertainty: float) -> Derived:
        """Distance and force, and the separation that is needed at the speeds of this instant (see `separation`)."""
        car = self.vehicle

        @once
        def towards(s: Lookup) -> Array:
            """`(..., 2)`: speed of the vehicle and of the worker towards each other along the line between them, m/s, not below zero."""
            x, y = components(turned_xy(s["worker.pos"] - s["base.pos"], -heading(s)))
            walk = components(turned_xy(s["worker.vel"], -heading(s)))
            ahead, aside = components(own_velocity(s))
            near_x, near_y = x.clip(-car.rear, car.front), y.clip(-0.5 * car.width, 0.5 * car.width)
            to_x, to_y = x - near_x, y - near_y
            length = np.maximum(np.sqrt(to_x * to_x + to_y * to_y), 1e-6)
            to_x, to_y, spin = to_x / length, to_y / length, s["base.angvel"][..., 2]
            robot = to_x * (ahead - spin * near_y) + to_y * (aside + spin * near_x)
            return np.stack(
                [np.maximum(robot, 0.0), np.maximum(-to_x * walk[0] - to_y * walk[1], 0.0)], axis=-1
            )

        corner = float(np.hypot(max(car.front, car.rear), 0.5 * car.width))

        def distance(s: Lookup) -> Array:
            """Less what the vehicle, its corners as it turns, and the worker's limbs may have gone since it was measured."""
            robot = s["base.speed"] + corner * np.abs(s["base.angvel"][..., 2])
            person = LIMBS * np.abs(s["worker.vel"][..., 1])
            return np.asarray(s["worker.distances"].min(axis=-1) - self.interval_s * (robot + person))

        def required(s: Lookup) -> Array:
            robot, person = towards(s)[..., 0], towards(s)[..., 1]
            stopping = robot / braking
            return np.asarray(
                person * (reaction_s + stopping) + robot * (reaction_s + 0.5 * stopping) + uncertainty
            )

        return [
            (described("separation.closing", "m/s"), lambda s: np.ascontiguousarray(towards(s)[..., 0])),
            (described("worker.distance", "m"), distance),
            (described("separation.required", "m"), required),
            (described("separation.margin", "m"), lambda s: s["worker.distance"] - s["separation.required"]),
            (described("worker.contact.force", "N"), lambda s: np.asarray(forces(s).max(axis=-1))),
        ]
