"""A shipped cell with a worker of regions in it, for tests: kit-pick, and one of the robot's own for the pictures."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from genba.envs.contact_model import robot_mass
from genba.envs.people_cell import Person
from genba.envs.robots import load_robot
from genba.envs.tasks.kit_pick import COLLEAGUE, HEAVIEST, LINKS, KitPick


class WithWorker(KitPick):
    """kit-pick with a second person, at the tote's end of the bench."""

    body = "adult-50"
    motions: tuple[str, ...] | None = None
    place_of = COLLEAGUE
    interval_s = 0.0

    @cached_property
    def colleague(self) -> Person:
        mass = robot_mass(load_robot(self.robot_name), HEAVIEST)
        person = Person(self.body, self.place_of, LINKS, mass, interval_s=self.interval_s)
        return person if self.motions is None else replace(person, motions=self.motions)
