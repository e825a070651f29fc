"""A shipped cell with a worker of regions in it, for tests: kit-pick, and one of the robot's own for the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import mujoco

from genba.envs.cell import compose
from genba.envs.contact_model import moving_mass, simple_mass
from genba.envs.engine import Moved
from genba.envs.people_cell import Person
from genba.envs.people_motion import Place
from genba.envs.robots import load_robot
from genba.envs.signals import Array, Derivation, Lookup, Signal
from genba.envs.streams import Streams
from genba.envs.task import Start
from genba.envs.tasks.kit_pick import KitPick

LINKS = ("fr3_link4", "fr3_link5", "fr3_link6", "fr3_link7", "hand")
PLACE = Place(floor=-0.9, stand=(0.46, -1.0), work=(0.46, -0.40, 0.15))


class WithWorker(KitPick):
    """kit-pick with a second person, at the tote's end of the bench."""

    body = "adult-50"
    motions: tuple[str, ...] | None = None
    place_of = PLACE
    interval_s = 0.0

    @cached_property
    def person(self) -> Person:
        mass = simple_mass(moving_mass(load_robot(self.robot_name)), 0.14)
        person = Person(self.body, self.place_of, LINKS, mass, interval_s=self.interval_s)
        return person if self.motions is None else replace(person, motions=self.motions)

    def build(self) -> mujoco.MjSpec:
        spec = compose("kit-pick", load_robot(self.robot_name))
        self.person.add(spec)
        return spec

    def signals(self) -> tuple[list[tuple[Signal, Derivation]], list[Signal], list[tuple[float, Signal]]]:
        derived, held, constants = super().signals()
        return [*derived, *self.person.signals()], [*held, *self.person.held()], constants

    def place(self, streams: Streams) -> Start:
        return self.person.join(super().place(streams), streams)

    def move(self, held: Mapping[str, Array], now: Lookup) -> Moved | None:
        return self.person.moved(self.model, self.substeps, held, now)
