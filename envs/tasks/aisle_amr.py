"""aisle-amr: a vehicle with one laser scanner carries a tote through an aisle that a worker crosses, and sets it before a station.

The scanner sees 270 degrees and nothing to the rear. At the crossing the vehicle must be able to stop for whoever steps out; before the station the guides
stand so near that the scanner's field is muted, and it may only creep.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import vehicle_signals
from ..cell import compose
from ..derived import Derived, constant, per_episode
from ..drive import DifferentialDrive
from ..engine import Engine, Moved
from ..experts import aisle_amr as expert
from ..goods import lay, yaw_quat
from ..people_cell import Person
from ..people_motion import Place
from ..scanner import RANGE, Scanner, on_floor
from ..signals import Array, Derivation, Lookup, Signal, Signals, once
from ..streams import Streams
from ..task import COMMON_REASONS, Start, Task, Term
from ..terms import components, near, norm, norm_xy, ramp, turned_xy, wrap, yaw_of
from ..vehicle_signals import heading
from ..vehicles import load_vehicle
from ..vocabulary import described
from ..walker import Walker

if TYPE_CHECKING:
    import mujoco

    from ..control import Controller

AISLE, CROSSING = 1.10, (1.80, 3.40)  # m: half width between the markings; where people cross
STATION, MUTED = 5.40, 0.95  # m: where the vehicle belongs; how far before it the field is muted
SLOW_FROM, SLOW_TO = 1.25, 3.25  # m: where the wheels' axis is while the vehicle is at the crossing
SPEED_LIMIT, CROSSING_LIMIT, MUTED_LIMIT = 1.2, 0.8, 0.3  # m/s
REACTION_S, BRAKING, UNCERTAINTY = 0.10, 2.0, 0.05  # s, m/s^2 (2.4 of the data sheet less a sixth), m
DECK, HALF_TOTE = 0.358, 0.14  # m
RAYS, EACH = 135, 5
FAR = RANGE + 0.5  # m, above every distance that is observed
BESIDE = 0.20  # m beside the vehicle in which nothing unknown may stand where it goes
VEHICLE = load_vehicle("mp500")
SCANNER = Scanner(VEHICLE, RAYS)
WALKER = Walker(
    Person("adult-50", Place(floor=0.0, stand=(2.6, 2.9), work=(2.6, 0.0, 1.0)), ("mp500",), robot_mass=95.0),
    VEHICLE,
    "mp500_hull",
)


@once
def _dock(s: Lookup) -> Array:
    """`(..., 3)`: what is left along the station's axis (m), how far beside it the vehicle is (m), and turned from it (rad)."""
    turned = yaw_of(s["station.quat"])
    x, y = components(turned_xy(s["base.pos"] - s["station.pos"], -turned))
    return np.stack([-x, y, wrap(heading(s) - turned)], axis=-1)


@once
def _goal_ahead(s: Lookup) -> Array:
    """`(..., 2)`: the station from the vehicle, in its own frame, m."""
    return turned_xy(s["station.pos"] - s["base.pos"], -heading(s))


@once
def _not_of_the_map(s: Lookup) -> NDArray[np.bool_]:
    """`(..., rays)`: returns from between the markings, or from the open crossing, are of nothing that the map has."""
    x, y = on_floor(s, *SCANNER.points(s)[:2])
    aisle = (np.abs(y) < AISLE) & (x > -1.9) & (x < STATION - 0.75)
    open_way = (np.abs(y) < 2.4) & (x > CROSSING[0] + 0.06) & (x < CROSSING[1] - 0.06)
    return np.asarray(aisle | open_way)


@once
def _stranger(s: Lookup) -> Array:
    """`(..., 2)`: the nearest return that is not of the map, ahead of the front and aside of the vehicle, m; `RANGE` and 2 where there is none."""
    x, y, met = SCANNER.points(s)
    ahead, aside = x - VEHICLE.front, np.abs(y) - 0.5 * VEHICLE.width
    counts = met & (ahead > -0.3) & _not_of_the_map(s)
    ahead = np.where(counts, ahead, RANGE)
    nearest = ahead.argmin(axis=-1)[..., None]
    found = np.take_along_axis(ahead, nearest, axis=-1)[..., 0]
    beside = np.take_along_axis(aside, nearest, axis=-1)[..., 0]
    return np.stack([found, np.where(found < RANGE, beside, 2.0)], axis=-1)


@once
def _path_free(s: Lookup) -> Array:
    """The way ahead that is free of anything that the map does not have, m."""
    return SCANNER.free(s, 0.5 * VEHICLE.width + BESIDE, _not_of_the_map(s))


def _limit_here(s: Lookup) -> Array:
    """The speed with which the limits of this place, and those that come, are kept while braking gently, m/s."""
    return expert.place_limit(
        np.ascontiguousarray(s["base.pos"][..., 0]), np.ascontiguousarray(_dock(s)[..., 0])
    )


@once
def _limit_people(s: Lookup) -> Array:
    """The speed from which the vehicle stops for whoever is in its way or may step into it, m/s."""
    stranger = _stranger(s)
    ahead, aside = (np.ascontiguousarray(stranger[..., i]) for i in (0, 1))
    return expert.people_limit(np.ascontiguousarray(_path_free(s)), ahead, aside)


def _muted(s: Lookup) -> Array:
    return (_dock(s)[..., 0] < MUTED).astype(float)


def _at_crossing(s: Lookup) -> Array:
    x = s["base.pos"][..., 0]
    return ((x > SLOW_FROM) & (x < SLOW_TO)).astype(float)


def _fixture_force(s: Lookup) -> Array:
    return np.asarray(norm(s["fixture.contacts"].reshape(*s.lead, 2, 3)).max(axis=-1))


class AisleAmr(Task):
    """Carrying a tote to a station."""

    id, version = "aisle-amr", "1"
    title = (
        "Carry a tote through a shared aisle to a station",
        "共用通路を通ってコンテナをステーションへ運ぶ",
    )
    robot_name = "mp500"
    takt_s, horizon_s = 20.0, 32.0
    action_names = ("speed", "turn")
    failures = ("person-hit", "rack-hit", "tote-lost")
    damaging = ("tote-lost",)
    expanded = ("body_mass", "body_inertia", "geom_friction")
    sensed = {"base.pos": 1.0, "scanner": 5.0}
    tool_body, steered, driven = "mp500", "base", "wheels.qd"
    speed, turn, pick_up = 1.5, 1.5, 0.75
    commands = (("m/s", speed), ("rad/s", turn))

    def build(self) -> mujoco.MjSpec:
        spec = compose("aisle-amr", VEHICLE)
        WALKER.add(spec)
        return spec

    def make_controller(self, engine: Engine) -> Controller:
        return DifferentialDrive(engine, VEHICLE, self.speed, self.turn, self.pick_up)

    def signals(self) -> tuple[list[tuple[Signal, Derivation]], list[Signal], list[tuple[float, Signal]]]:
        derived: Derived = [
            *vehicle_signals.motion(VEHICLE),
            *vehicle_signals.field(VEHICLE, SCANNER),
            *vehicle_signals.load(),
            *vehicle_signals.lane(VEHICLE, AISLE),
            *WALKER.signals(REACTION_S, BRAKING, UNCERTAINTY),
            (described("field.muted", "1"), _muted),
            (described("crossing.inside", "1"), _at_crossing),
            (described("dock.ahead", "m"), lambda s: np.ascontiguousarray(_dock(s)[..., 0])),
            (described("dock.aside", "m"), lambda s: np.ascontiguousarray(_dock(s)[..., 1])),
            (described("dock.turn", "rad"), lambda s: np.ascontiguousarray(_dock(s)[..., 2])),
            (described("fixture.force", "N"), _fixture_force),
            (described("part.speed", "m/s"), lambda s: norm(s["part.vel"])),
        ]
        held = [
            *WALKER.held(),
            per_episode("tote.place.start", "m", (3,)),
            per_episode("part.size", "m", (3,)),
        ]
        return derived, held, [constant("base.speed.limit", "m/s", SPEED_LIMIT)]

    def place(self, streams: Streams) -> Start:
        n, cell, model = len(streams), self.cell, self.model
        y, yaw = (
            cell.within(streams, "start.y", "start.aside"),
            cell.within(streams, "start.yaw", "start.turn"),
        )
        off = streams.between("tote.xy", -0.01, 0.01, (2,))
        qpos = np.repeat(model.qpos0[None], n, axis=0)
        zero, cos, sin = np.zeros(n), np.cos(yaw), np.sin(yaw)
        lay(model, qpos, "mp500", np.column_stack([zero, y, zero]), yaw)
        middle = 0.5 * (VEHICLE.front - VEHICLE.rear)
        x_on, y_on = middle + off[:, 0], off[:, 1]
        at = np.column_stack(
            [cos * x_on - sin * y_on, y + sin * x_on + cos * y_on, np.full(n, DECK + HALF_TOTE)]
        )
        lay(model, qpos, "part", at, yaw + streams.between("tote.yaw", -0.015, 0.015))
        station = cell.within(streams, "station.y", "station.aside")
        turned = cell.within(streams, "station.yaw", "station.turn")
        fields = {name: np.repeat(getattr(model, name)[None], n, axis=0) for name in self.expanded}
        owner = model.body("part").id
        scale = cell.drawn(streams, "load.mass") / model.body_mass[owner]
        fields["body_mass"][:, owner] *= scale
        fields["body_inertia"][:, owner] *= scale[:, None]
        walker = WALKER.place(streams, cell, 0.5 * (CROSSING[0] + CROSSING[1]))
        poses = WALKER.person.poses(walker["body.script"], np.zeros(n))
        mocap = np.column_stack([np.full(n, STATION), station, zero])[:, None], yaw_quat(turned)[:, None]
        held = {
            **walker,
            "tote.place.start": np.column_stack([off, np.full(n, HALF_TOTE)]),
            "part.size": np.tile([0.30, 0.20, HALF_TOTE], (n, 1)),
        }
        return Start(
            qpos,
            np.zeros((n, model.nu)),
            np.concatenate([mocap[0], poses[0]], axis=1),
            np.concatenate([mocap[1], poses[1]], axis=1),
            fields,
            held,
        )

    def move(self, held: Mapping[str, Array], now: Lookup) -> Moved | None:
        return WALKER.move(self.model, self.substeps, held, now)

    observe = {
        "goal": Term(_goal_ahead, "m", ("ahead", "aside"), 8.0),
        "dock_ahead": Term(lambda s: _dock(s)[..., 0], "m", limit=8.0),
        "dock_ahead_50cm": Term(lambda s: _dock(s)[..., 0], "m", limit=0.5),
        "dock_ahead_60mm": Term(lambda s: _dock(s)[..., 0], "m", limit=0.06),
        "dock_aside": Term(lambda s: _dock(s)[..., 1], "m", limit=1.0),
        "dock_aside_100mm": Term(lambda s: _dock(s)[..., 1], "m", limit=0.1),
        "dock_turn": Term(lambda s: _dock(s)[..., 2], "rad", limit=1.0),
        "dock_turn_fine": Term(lambda s: _dock(s)[..., 2], "rad", limit=0.1),
        "along": Term(lambda s: s["base.pos"][..., 0], "m", limit=8.0),
        "limit_here": Term(_limit_here, "m/s", limit=2.0),
        "limit_here_fine": Term(_limit_here, "m/s", limit=0.4),
        "limit_people": Term(_limit_people, "m/s", limit=2.0),
        "limit_people_fine": Term(_limit_people, "m/s", limit=0.3),
        "muted": Term(_muted, "1"),
        "at_crossing": Term(_at_crossing, "1"),
        "path_free": Term(_path_free, "m", limit=FAR),
        "path_free_1000mm": Term(_path_free, "m", limit=1.0),
        "field_free": Term(lambda s: np.maximum(s["field.free"], 0.0), "m", limit=FAR),
        "stranger_ahead": Term(lambda s: _stranger(s)[..., 0], "m", limit=FAR),
        "stranger_ahead_1000mm": Term(lambda s: _stranger(s)[..., 0], "m", limit=1.0),
        "stranger_aside": Term(lambda s: _stranger(s)[..., 1], "m", limit=2.5),
        "scanner": Term(lambda s: SCANNER.sectors(s, EACH), "m", limit=FAR),
    }

    rewards = {
        "onward": lambda s: 0.04 * near(np.abs(_dock(s)[..., 0]), 2.0),
        "line": lambda s: 0.01 * near(np.abs(_dock(s)[..., 1]), 0.2),
        "time": lambda s: np.full(s.lead, -0.10),
        "smooth": lambda s: -0.01 * s["action.rate"],
        "apart": lambda s: (
            -1.0 * ramp(-s["separation.margin"], 0.0, 0.2) * ramp(s["separation.closing"], 0.02, 0.2)
        ),
    }

    def success(self, s: Lookup) -> NDArray[np.bool_]:
        turned = yaw_of(s["station.quat"])
        off = turned_xy(s["part.pos"] - s["station.pos"], -turned)
        off = off - np.array([0.5 * (VEHICLE.front - VEHICLE.rear), 0.0])
        there = (norm_xy(off) < 0.035) & (np.abs(wrap(yaw_of(s["part.quat"]) - turned)) < 0.06)
        return np.asarray(there & (s["base.speed"] < 0.02) & (s["tote.place"][..., 2] > HALF_TOTE - 0.02))

    def failed(self, s: Lookup) -> NDArray[np.int64]:
        hit = (s["worker.contact.force"] > 0.0) & (s["base.speed"] > 0.02)
        lost = s["tote.place"][..., 2] < HALF_TOTE - 0.05
        first = len(COMMON_REASONS)
        return np.where(
            hit, first, np.where(s["fixture.force"] > 0.0, first + 1, np.where(lost, first + 2, 0))
        )

    def cost(self, s: Signals) -> Array:
        near_someone = (s["separation.closing"] > 0.02) & (s["separation.margin"] < 0.0)
        return np.asarray((near_someone | (s["lane.margin"] < 0.0)).any(axis=1).astype(float))

    def in_path(self, s: Lookup) -> NDArray[np.bool_]:
        x, y = components(turned_xy(s["worker.pos"] - s["base.pos"], -heading(s)))
        before = (x > VEHICLE.front) & (x < VEHICLE.front + 1.5) & (np.abs(y) < 0.6)
        return np.asarray(before & (s["base.speed"] > 0.02))

    def care(self, observation: NDArray[np.float32]) -> Array:
        near_someone = observation[:, self.columns["stranger_ahead"]][:, 0] < 1.5  # m
        return np.where(near_someone, 2.0, 1.0)

    def expert(self, observation: NDArray[np.float32]) -> Array:
        return self.commanded(expert.act(self.split(observation)))
