"""Motions: what a worker does in an episode, drawn once from the random streams and then a function of time alone.

A script is a row of numbers (`FIELDS`), so that worlds with different motions are one array. All motions share one course: walk along a
line, bend, hold a hand somewhere, sway. What a motion does not do has length or angle zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .errors import UnknownName
from .people import Body
from .people_posture import LEFT, RIGHT, Posture, segments
from .signals import Array
from .streams import Streams
from .terms import minimum_jerk

Between = Callable[[str, float, float], Array]  # a draw of each world, `(n,)`
Part = dict[str, tuple[Array | float, ...]]  # the numbers of some fields
SIZES = {
    "from": 2,  # where the worker is at first, m
    "ahead": 2,  # the way that the worker faces and walks, a unit vector
    "walk": 3,  # start s, speed m/s, length m
    "bend": 4,  # start, way in, stay, way out, s
    "lean": 1,  # rad
    "sink": 1,  # m
    "hand": 4,  # start, way in, stay, way out, s
    "point": 3,  # where the hand goes, m
    "use": 2,  # 1 for each hand that goes there: left, right
    "sway": 1,  # m
    "pace": 3,  # rad/s
    "phase": 3,  # rad
}
ENDS = np.cumsum(list(SIZES.values()))
FIELDS = {
    name: slice(int(end) - size, int(end)) for (name, size), end in zip(SIZES.items(), ENDS, strict=True)
}
LENGTH = int(ENDS[-1])
SOFT_M = 0.03  # how much lower the hips of who walks are, m: knees stay bent
EASE_S = 0.4  # from standing to walking speed and back
HAND_ASIDE_M = 0.15  # of a hand that works before the body, from its middle
FOR_EVER_S, LEAST = 1000.0, 1e-9
STEP, LIFT_M, SWING_M = (
    0.75,
    0.06,
    0.18,
)  # a step as a share of the height of the hips; foot off the floor and hanging hand ahead, m


@dataclass(frozen=True)
class Place:
    """Where in the cell the worker belongs: floor height, where to stand and what to reach for, all in m.

    `stand` is a point of the floor (x, y); the worker faces `work` (x, y, z), and walks past `stand` across that line, `way` m in all.
    """

    floor: float
    stand: tuple[float, float]
    work: tuple[float, float, float]
    way: float = 3.0

    @property
    def ahead(self) -> tuple[float, float]:
        """The unit vector from where the worker stands to the work."""
        x, y = self.work[0] - self.stand[0], self.work[1] - self.stand[1]
        return x / float(np.sqrt(x * x + y * y)), y / float(np.sqrt(x * x + y * y))

    def before(self, back: Array | float, aside: Array | float = 0.0) -> tuple[Array, Array]:
        """The point `back` m behind where the worker stands and `aside` m to its left."""
        (x, y), (stand_x, stand_y) = self.ahead, self.stand
        return np.asarray(stand_x - back * x - aside * y), np.asarray(stand_y - back * y + aside * x)


def stand(between: Between, place: Place) -> Part:
    """Stands and looks on."""
    return {}


def walk_past(between: Between, place: Place) -> Part:
    """Walks by, across the line to the work, at 0.8 to 1.6 m/s, up to 0.2 m nearer or farther than where one stands."""
    (x, y), start = place.ahead, between("start", 0.2, 1.5)
    return {
        "from": place.before(between("nearer", -0.2, 0.2), -0.5 * place.way),
        "ahead": (-y, x),
        "walk": (start, between("speed", 0.8, 1.6), place.way),
        "sway": (0.0,),
    }


def reach_in(between: Between, place: Place) -> Part:
    """Bends a little and puts the right hand to the work, and back."""
    times = _times(between, (0.5, 2.5), (0.6, 1.1), (0.4, 1.5), (0.6, 1.1))
    return {
        "hand": times,
        "bend": times,
        "lean": (between("lean", 0.2, 0.45),),
        "point": _near(between, place, 0.06),
        "use": (0.0, 1.0),
    }


def lean_over(between: Between, place: Place) -> Part:
    """Leans over the work, head first, hands hanging, and back."""
    return {
        "bend": _times(between, (0.5, 2.0), (0.8, 1.4), (0.5, 2.0), (0.8, 1.4)),
        "lean": (between("lean", 0.6, 1.0),),
    }


def hold_out(between: Between, place: Place) -> Part:
    """Holds out the right hand, 0.4 to 0.5 m ahead, to the end."""
    x, y = place.before(-between("gap", 0.40, 0.50), -HAND_ASIDE_M)
    return {
        "hand": (between("start", 0.3, 1.5), between("in", 0.6, 1.1), FOR_EVER_S, 1.0),
        "point": (x, y, place.work[2] + between("up", 0.05, 0.2)),
        "use": (0.0, 1.0),
        "sway": (between("sway", 0.01, 0.03),),
    }


def stumble(between: Between, place: Place) -> Part:
    """Walks up to the work, trips, falls forward onto both hands within 0.8 s, and gets up again."""
    start, speed, length = between("start", 0.2, 1.5), between("speed", 1.0, 1.4), between("length", 0.8, 1.2)
    trip = start + length / speed - EASE_S
    fall, stay, up = between("in", 0.5, 0.8), between("stay", 0.6, 1.2), between("out", 1.0, 1.5)
    return {
        "from": place.before(length),
        "walk": (start, speed, length),
        "bend": (trip, fall, stay, up),
        "hand": (trip, fall, stay, up),
        "lean": (between("lean", 0.6, 0.9),),
        "sink": (between("sink", 0.10, 0.22),),
        "point": _near(between, place, 0.08, right=HAND_ASIDE_M),
        "use": (1.0, 1.0),
    }


def stay_in_path(between: Between, place: Place) -> Part:
    """Walks up, beyond where one stands, and stays there, in the way of the robot."""
    length, nearer = between("length", 1.0, 1.5), between("nearer", 0.1, 0.35)
    return {
        "from": place.before(length - nearer),
        "walk": (between("start", 0.2, 1.5), between("speed", 0.8, 1.4), length),
    }


MOTIONS: dict[str, Callable[[Between, Place], Part]] = {
    "stand": stand,
    "walk-past": walk_past,
    "reach-in": reach_in,
    "lean-over": lean_over,
    "hold-out": hold_out,
    "stumble": stumble,
    "stay-in-path": stay_in_path,
}


def _times(between: Between, start: tuple[float, float], *spans: tuple[float, float]) -> tuple[Array, ...]:
    """Start, way in, stay and way out, in s."""
    names = ("start", "in", "stay", "out")
    return tuple(between(name, *span) for name, span in zip(names, (start, *spans), strict=True))


def _near(between: Between, place: Place, within: float, right: float = 0.0) -> tuple[Array, ...]:
    """A point as near to the work, or `right` m to the right of it, as `within` m along each axis."""
    (x, y), work = place.ahead, place.work
    middle = (work[0] + right * y, work[1] - right * x, work[2])
    return tuple(m + between(f"point.{axis}", -within, within) for axis, m in zip("xyz", middle, strict=True))


def script(motion: str, place: Place, streams: Streams) -> Array:
    """`(n, LENGTH)`: one motion for every world. Raises UnknownName with the closest that there are."""
    if motion not in MOTIONS:
        raise UnknownName("motion", motion, MOTIONS)
    n = len(streams)

    def between(name: str, low: float, high: float) -> Array:
        return streams.between(f"person.{motion}.{name}", low, high)

    drawn: Part = {
        "sway": (between("sway", 0.003, 0.012),),
        "pace": tuple(between(f"pace.{axis}", 1.5, 3.0) for axis in "xyz"),
        "phase": tuple(between(f"phase.{axis}", 0.0, 2.0 * np.pi) for axis in "xyz"),
    }
    row = np.repeat(still(place), n, axis=0)
    for name, values in {**drawn, **MOTIONS[motion](between, place)}.items():
        for column, value in zip(range(LENGTH)[FIELDS[name]], values, strict=True):
            row[:, column] = value
    return row


def still(place: Place) -> Array:
    """`(1, LENGTH)`: the script of who stands without moving at all."""
    row, never = np.zeros((1, LENGTH)), (FOR_EVER_S, 1.0, 0.0, 1.0)
    row[:, FIELDS["from"]], row[:, FIELDS["ahead"]], row[:, FIELDS["point"]] = (
        place.stand,
        place.ahead,
        place.work,
    )
    row[:, FIELDS["walk"]], row[:, FIELDS["bend"]], row[:, FIELDS["hand"]] = never[:3], never, never
    return row


def draw(place: Place, streams: Streams, motions: Sequence[str] = tuple(MOTIONS)) -> Array:
    """`(n, LENGTH)`: a script for each world, of one of the motions each."""
    rows = np.stack([script(name, place, streams) for name in motions])
    return np.ascontiguousarray(rows[streams.choice("person.motion", len(motions)), np.arange(len(streams))])


def posture(body: Body, floor: float, scripts: Array, times: Array) -> Posture:
    """Where the body is at `times` `(n, ...)` in s of scripts `(n, LENGTH)`."""
    spread = (slice(None), *(None,) * (times.ndim - 1))
    part = {name: [scripts[:, i][spread] for i in range(LENGTH)[span]] for name, span in FIELDS.items()}
    x, y = part["ahead"]
    start, speed, length = part["walk"]
    way, pace = walked(times - start, speed, length)
    bent, out = _share(times, *part["bend"]), _share(times, *part["hand"])
    sway = [part["sway"][0] * np.sin(part["pace"][i] * times + part["phase"][i]) for i in range(3)]
    stride = STEP * body["hip.height"] * 2.0
    steps = [_step(way / stride + offset, stride, pace) for offset in (0.0, 0.5)]
    zero = np.zeros_like(times)
    middle = [part["from"][0] + way * x + sway[0], part["from"][1] + way * y + sway[1], zero + floor]
    hands = _hands(part["point"], middle, x, y, sway)
    reach = np.stack([use * out for use in part["use"]], axis=-1)
    swing = [SWING_M * pace * _wave(way / stride + offset) for offset in (0.5, 0.0)]
    return Posture(
        floor=np.stack(middle, axis=-1),
        ahead=np.stack([x + zero, y + zero], axis=-1),
        lean=part["lean"][0] * bent,
        sink=part["sink"][0] * bent + _dip(body, [step[0] for step in steps]) + SOFT_M * pace * pace,
        feet=np.stack([np.stack([step[0], zero, step[1]], axis=-1) for step in steps], axis=-2),
        hands=hands,
        reach=reach,
        swing=np.stack(swing, axis=-1),
    )


def ends(body: Body, floor: float, scripts: Array, times: Array) -> tuple[Array, Array]:
    """The two ends of each part's axis at `times` `(n, ...)`: both `(n, ..., parts, 3)` in m."""
    return segments(body, posture(body, floor, scripts, times))


def _share(times: Array, start: Array, way_in: Array, stay: Array, way_out: Array) -> Array:
    """0 before, 1 while it stays, 0 after, smooth between."""
    since = times - start
    return np.asarray(
        minimum_jerk(since / np.maximum(way_in, LEAST))
        - minimum_jerk((since - way_in - stay) / np.maximum(way_out, LEAST))
    )


def walked(since: Array, speed: Array, length: Array) -> tuple[Array, Array]:
    """Way in m, and speed as a share of walking speed, of who starts and stops evenly within `EASE_S`."""
    until = since - length / np.maximum(speed, LEAST)
    return speed * (_eased(since) - _eased(until)), _ramp(since) - _ramp(until)


def _ramp(time: Array) -> Array:
    return np.asarray((time / EASE_S).clip(0.0, 1.0))


def _eased(time: Array) -> Array:
    """The integral of the ramp."""
    begun = time.clip(0.0, EASE_S)
    return np.asarray(begun * begun / (2.0 * EASE_S) + np.maximum(time - EASE_S, 0.0))


def _step(cycle: Array, stride: float, pace: Array) -> tuple[Array, Array]:
    """A foot ahead of the body and above the floor, m: planted for half of each cycle, then swung to the next place."""
    share = cycle - np.floor(cycle)
    swung = minimum_jerk(2.0 * share - 1.0)
    lift = (4.0 * swung * (1.0 - swung)) * LIFT_M
    return pace * stride * (swung - share + 0.25), pace * lift


def _wave(cycle: Array) -> Array:
    return np.asarray(np.sin(np.ascontiguousarray(2.0 * np.pi * cycle)))


def _dip(body: Body, ahead: list[Array]) -> Array:
    """How far the hips must come down for the feet to reach the floor, m."""
    leg = body.length["thigh"] + body.length["lower_leg"]
    far = np.maximum(np.abs(ahead[LEFT]), np.abs(ahead[RIGHT]))
    return np.asarray(leg - np.sqrt(leg * leg - far * far))


def _hands(point: list[Array], middle: list[Array], x: Array, y: Array, sway: list[Array]) -> Array:
    """`(..., 2, 3)`: the point, swaying, for the right hand and its mirror image about the body's middle for the left."""
    right = [p + s for p, s in zip(point, sway, strict=True)]
    aside = (right[0] - middle[0]) * -y + (right[1] - middle[1]) * x
    left = [right[0] + 2.0 * aside * y, right[1] - 2.0 * aside * x, right[2]]
    return np.stack([np.stack(np.broadcast_arrays(*hand), axis=-1) for hand in (left, right)], axis=-2)
