"""A camera above the work by which the policy knows where the part lies: from pictures while it lies free, from the hand while it is
held, and after that from where the hand left it. Nothing of it comes from the simulator's pose of the part.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mujoco
import numpy as np
from numpy.typing import NDArray

from .camera import OPTICS, Lamps, Lens, Picture, developed, matrix, photograph, spread
from .eye import Eye
from .goods import yaw_quat
from .locate import balanced, heading, on_plane, spots
from .signals import Array, Lookup
from .solids import BOX, CYLINDER, Shape
from .studio import Studio
from .terms import norm, norm_xy, turned_xy, wrap

if TYPE_CHECKING:
    from .engine import Engine, Ids
    from .task import Task

PERIOD, LATENCY, EXPOSURE_S = 4, 3, 0.004  # ticks of 20 ms: 12.5 pictures a second, an answer after 60 ms
WHOLE = (0.90, 1.25)  # share of the expected area between which nothing hides the part
MEAN_OF = 6  # sightings that what is known is the running mean of, at most
LOST_M, LOST_RAD = 0.03, 0.2  # from what is known: something else is seen, or it badly; a turn counts
SURE = 2  # once the part was seen so often
WIDE, THICK = 2.0, 0.01  # m: half sizes of what parts lie on, as the camera sees it
DRAWN = 1.5  # the cell's `vision` above which OpenGL draws what the camera sees
ASIDE = 0.35  # m that the bar lamp stands beside the camera


@dataclass(frozen=True)
class Sight:
    """What an overhead camera is for: the lens, the height (m) on which parts lie, their background's colour, and where a part is taken
    to be (x, y; m) before it was seen."""

    lens: Lens
    plane: float
    background: tuple[float, float, float]
    rest: tuple[float, float]


def looking(
    at: Sequence[float], place: Sequence[float], right: Sequence[float], width: float, size: tuple[int, int]
) -> Lens:
    """A camera in `place` that looks at `at`, with the horizontal direction `right` to the right of its picture of `size` px, `width` m
    across where it looks; `right` is square to its line of sight."""
    way = np.array(place) - np.array(at)
    far = float(norm(way[None])[0])
    back, side = way / far, np.array(right)
    up = np.array([-back[2] * side[1], back[2] * side[0], back[0] * side[1] - back[1] * side[0]])
    fovy = 2.0 * np.degrees(np.arctan(0.5 * width * size[1] / size[0] / far))
    return Lens(np.array(place, np.float64), np.column_stack([side, up, back]), float(fovy), size)


class Overhead(Eye):
    """The camera, and what is known of the part by it: `pos` `(N, 3)` in m and `yaw` `(N,)` in rad."""

    def __init__(self, task: Task, engine: Engine, sight: Sight) -> None:
        super().__init__(task, engine.worlds, sight.lens, PERIOD, LATENCY, EXPOSURE_S, 4)
        n = engine.worlds
        self.engine, self.model, self.sight = engine, engine.model, sight
        at, lens = np.array(sight.lens.pos), sight.lens
        ring, bar = at + np.array([0.0, 0.0, 0.01]), at + ASIDE * lens.axes[:, 0]
        plane = np.array([at[0], at[1], sight.plane])
        self.places = Lamps(ring, bar, *(float(norm((lamp - plane)[None])[0]) for lamp in (ring, bar)))
        middle = np.array([at[0], at[1], sight.plane - THICK])
        self.ground = Shape(BOX, np.array([WIDE, WIDE, THICK]), middle, np.eye(3), np.array(sight.background))
        self.studio = Studio(task) if task.cell["vision"][1] > DRAWN else None
        self.taught = self._taught()
        self.pos, self.yaw = np.zeros((n, 3)), np.zeros(n)
        self.offset, self.turn = np.zeros((n, 3)), np.zeros(n)
        self.held, self.left = np.zeros(n, bool), np.zeros(n, bool)
        self.sightings = np.zeros(n, np.int64)
        self.size, self.speed = np.zeros((n, 3)), np.zeros((n, 3))

    @abstractmethod
    def gripped(self, now: Lookup) -> NDArray[np.bool_]:
        """`(N,)`: the tool says that it holds something."""

    @abstractmethod
    def tool_yaw(self, now: Lookup) -> Array:
        """`(N,)` rad."""

    @abstractmethod
    def things(self, now: Lookup, world: int) -> list[Shape]:
        """Everything but the background."""

    @abstractmethod
    def sought(self, world: int) -> tuple[Array, Array | None, float]:
        """The part's colour `(3,)`, that of a spot which tells it from others, and the angle from what is long about it to its yaw."""

    def drift(self, now: Lookup) -> Array:
        """`(N, 3)` m/s: how a part moves that lies free."""
        return np.zeros_like(self.pos)

    @abstractmethod
    def as_gripped(self, offset: Array, turn: Array, size: Array) -> tuple[Array, Array]:
        """Where a part of half sizes `(m, 3)` lies in the tool's frame, `(m, 3)` and `(m,)`, once the tool has taken it: before, it was seen at
        `offset` and `turn`."""

    def back(self) -> NDArray[np.bool_]:
        """`(N,)`: what the tool has let go of came down where parts come from."""
        return np.zeros(len(self.pos), bool)

    def restart(self, ids: Ids, seeds: NDArray[np.int64]) -> None:
        super().restart(ids, seeds)
        self.fresh[ids] = False
        self.pos[ids], self.yaw[ids] = (*self.sight.rest, self.sight.plane), 0.0
        self.held[ids] = self.left[ids] = False
        self.sightings[ids] = 0

    def sense(self, now: Lookup) -> Lookup:
        return now.with_values({"part.pos": self.pos.copy(), "part.quat": yaw_quat(self.yaw)})

    def expose(
        self, held: Mapping[str, Array], now: Lookup, steps: NDArray[np.int64], active: NDArray[np.bool_]
    ) -> None:
        self.size, self.speed = now["part.size"], self.drift(now)
        self._follow(now, active)
        held["vision.error"][:] = norm(self.pos - now["part.pos"])
        super().expose(held, now, steps, active)

    def _follow(self, now: Lookup, active: NDArray[np.bool_]) -> None:
        """Move what is known with the hand, or with what the part lies on."""
        grips, tool, yaw = self.gripped(now), now["tcp.pos"], self.tool_yaw(now)
        lying = active & ~self.held & (~self.left | self.back())
        here = self.pos + self.speed * self.task.dt
        here[:, 2] = self.sight.plane + self.size[:, 2]
        self.pos = np.where(lying[:, None], here, self.pos)
        taken = active & grips & ~self.held
        if taken.any():
            away = self.pos[taken] - tool[taken]
            away[:, :2] = turned_xy(away[:, :2], -yaw[taken])
            turn = wrap(self.yaw[taken] - yaw[taken])
            self.offset[taken], self.turn[taken] = self.as_gripped(away, turn, self.size[taken])
        self.left = np.where(active, (self.left | self.held) & ~grips, self.left)
        self.held = np.where(active, grips, self.held)
        self.sightings[self.left] = 0
        carried = active & self.held
        xy = tool[:, :2] + turned_xy(self.offset[:, :2], yaw)
        with_tool = np.column_stack([xy, tool[:, 2] + self.offset[:, 2]])
        self.pos = np.where(carried[:, None], with_tool, self.pos)
        self.yaw = np.where(carried, yaw + self.turn, self.yaw)

    def triggered(self, held: Mapping[str, Array], now: Lookup) -> NDArray[np.int64]:
        return np.where(self.held, -1, 0)

    def shapes(self, now: Lookup, world: int) -> list[Shape]:
        return [self.ground, *self.things(now, world)]

    def _part(self, now: Lookup, world: int, round_: bool, colour: Array) -> Shape:
        size = now["part.size"][world]
        half = size[[0, 2, 2]] if round_ else size
        kind = CYLINDER if round_ else BOX
        return Shape(kind, half, now["part.pos"][world], matrix(now["part.quat"][world]), colour)

    def lamps(self, now: Lookup, world: int) -> tuple[Lamps, float]:
        return self.places, 1.0

    def motion(self, now: Lookup, world: int) -> tuple[Array, Array]:
        return now["part.pos"][world], now["part.vel"][world]

    def light(self, lens: Lens, now: Lookup, world: int, empty: bool) -> Array:
        if self.studio is None:
            return super().light(lens, now, world, empty)
        return self.studio.light(lens, *self.engine.snapshot(world))

    def _taught(self) -> Array:
        """`(3,)` of 255: the background in good light."""
        if self.studio is None:
            light = photograph(self.lens, [self.ground], self.places)
        else:
            light = self.studio.light(self.lens, self.model, mujoco.MjData(self.model))
        light = spread(light, OPTICS)
        return np.asarray(np.median(developed(light, np.zeros_like(light)).reshape(-1, 3), axis=0))

    def prepare(self, panel: Picture, world: int) -> None:
        """Nothing: the background was taught."""

    def examine(self, picture: Picture, view: int, world: int) -> Sequence[float]:
        """x, y in m, yaw in rad, and 1 where the whole part was seen, else 0."""
        colour, marked, ahead = self.sought(world)
        size, lens = self.size[world], self.lens
        # the outline is that of the lower and the upper face together: its middle lies halfway up
        middle = self.sight.plane + float(size[2])
        expected = self._expected(world, middle)
        found = spots(balanced(picture, self.taught), colour, self.taught, expected, marked)
        if not found or not WHOLE[0] < found[0].area / expected < WHOLE[1]:
            return 0.0, 0.0, 0.0, 0.0
        spot = found[0]
        x, y = on_plane(lens, spot.column, spot.row, middle).tolist()
        return x, y, heading(lens, spot, middle) + ahead, 1.0

    def _expected(self, world: int, middle: float) -> float:
        """px that the part covers where it is known to lie: its outline, and what of its sides is seen from aslant."""
        lens, at = self.lens, np.array([*self.pos[world, :2], middle])
        above, depth = lens.pos[2] - middle, lens.pixel(at)[2]
        area, aside = self.area(world), float(norm_xy((at - lens.pos)[None])[0])
        sides = 2.0 * self.size[world, 2] * aside / above * np.sqrt(area)
        return float((area + sides) * lens.focal**2 * above / depth**3)

    @abstractmethod
    def area(self, world: int) -> float:
        """m2 of the part as seen from above."""

    def note(self, held: Mapping[str, Array], worlds: Ids, views: NDArray[np.int64], answers: Array) -> None:
        sure = (answers[:, 3] > 0.5) & ~self.held[worlds]
        worlds, seen = worlds[sure], answers[sure]
        # what moves in the tick that has just ended comes with `_follow`
        since = (self.latency - 1) * self.task.dt
        at = seen[:, :2] + since * self.speed[worlds, :2]
        off = at - self.pos[worlds, :2]
        turn = wrap(seen[:, 2] - self.yaw[worlds], np.pi)
        seen_before = self.sightings[worlds]
        other = (norm_xy(off) > LOST_M) | ((np.abs(turn) > LOST_RAD) & (seen_before >= SURE))
        share = np.where((seen_before > 0) & other, 0.0, 1.0 / np.minimum(seen_before + 1.0, MEAN_OF))
        self.pos[worlds, :2] += share[:, None] * off
        self.yaw[worlds] += share * turn
        self.left[worlds] = False
        self.sightings[worlds] += share > 0.0
