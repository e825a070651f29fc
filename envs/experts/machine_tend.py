"""The expert of machine-tend: open the door, finished part out, blank in, close the door, start; each stage is known by what is seen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..signals import Array
from ..terms import capped, norm_xy, ramp

Flags = NDArray[np.bool_]
CARRY_Z = 0.12  # m above the robot's base
SPEED, DOOR_SPEED = 0.6, 0.30  # m/s
BEFORE = 0.33  # m: x from which the tool goes straight into the machine
BESIDE = 0.042  # m from the fin to the tool that is about to push it
PUSH_Z = 0.0  # m: height of the tool above the fin's site
STAGES = (
    "open",
    "fetch_done",
    "fetch_blank",
    "close",
    "carry_done",
    "carry_blank",
    "clear",
    "shut",
    "press",
    "rest",
)
MARKS = ("leaves", "against", "jaws_open")


def stages(o: Mapping[str, Array]) -> dict[str, Flags]:
    """Which of `STAGES` the work is in, by name `(n,)`: exactly one each; and whether the tool leaves the machine or is against the fin, and the
    jaws are to be open."""
    has_done, has_blank = o["grip_done"] > 2.5, o["grip_blank"] > 2.5
    out, loaded = _at_rest(o["out_from_done"], has_done), _in_chuck(o)
    running = o["running"] > 0.5
    shutting = out & loaded & ~has_blank & ~running
    opening = ~out & ~has_done & (o["door_open_30mm"] < 0.0)
    clamped = loaded & (o["jaw_gap_12mm"] < 0.001) & (o["clamp"] > 50.0)
    holds = (has_done & ~out) | (has_blank & ~clamped)
    part = np.where(out[:, None], o["blank_from_tcp"], o["done_from_tcp"])
    closing = _between_fingers(o, part) & ~holds & ~(out & loaded) & ~opening
    set_down = (_near(o["done_from_tcp"]) & out) | (_near(o["blank_from_tcp"]) & loaded)
    away = set_down & ~holds & (o["height_60mm"] < 0.0)
    shut = o["door"] < 0.005
    found, left = {}, np.ones(len(out), bool)
    for name, holds_here in (
        ("rest", running),
        ("press", shutting & ~away & shut),
        ("shut", shutting & ~away),
        ("open", opening & ~away),
        ("clear", away),
        ("close", closing),
        ("carry_done", holds & has_done & ~out),
        ("carry_blank", holds),
        ("fetch_blank", out),
        ("fetch_done", np.ones(len(out), bool)),
    ):
        found[name] = left & holds_here
        left = left & ~holds_here
    jaws_open = (has_done & ~out & _near(o["done_from_tcp"])) | (out & ~loaded & ~_low_in_chuck(o))
    against = (found["open"] & _beside_fin(o, -1.0)) | (found["shut"] & _beside_fin(o, 1.0))
    return found | {
        "leaves": found["shut"] & (_still_inside(o) > 0.0),
        "against": against,
        "jaws_open": jaws_open,
    }


def aim(o: Mapping[str, Array], now: Mapping[str, Flags]) -> Array:
    """`(n, 3)` m: what the stage is about, from the tool: the part, its goal, the fin's side, the button."""
    fin = o["fin_from_tcp"]
    goals = {
        "open": fin + np.array([0.0, -BESIDE, PUSH_Z]),
        "shut": fin + np.array([0.0, BESIDE, PUSH_Z]),
        "press": _button(o),
        "carry_done": o["out_from_done"],
        "carry_blank": o["seat_from_blank"],
        "fetch_done": o["done_from_tcp"],
        "fetch_blank": o["blank_from_tcp"],
    }
    out = _at_rest(o["out_from_done"], o["grip_done"] > 2.5)
    part = np.where(out[:, None], o["blank_from_tcp"], o["done_from_tcp"])
    found = np.where(now["close"][:, None], part, 0.0)
    for name, goal in goals.items():
        found = np.where(now[name][:, None], goal, found)
    return found


def act(o: Mapping[str, Array], grip_force: float) -> Array:
    """`(n, 6)`: tool velocity in m/s, yaw rate in rad/s, grip force in N (negative closes) and the chuck's command from the observation."""
    now = stages(o)
    has_done = o["grip_done"] > 2.5
    out = _at_rest(o["out_from_done"], has_done)
    part = np.where(out[:, None], o["blank_from_tcp"], o["done_from_tcp"])
    holds = now["carry_done"] | now["carry_blank"]
    velocity = _fetch(o, part)
    for flags, stage in (
        (holds, _carry(o, has_done, out)),
        (now["clear"], _up(o)),
        (now["open"], _open(o)),
        (now["shut"], _shut(o)),
        (now["press"], _press(o)),
        (now["rest"], _rest(o)),
    ):
        velocity = np.where(flags[:, None], stage, velocity)
    velocity = np.where(now["close"][:, None], velocity * np.array([0.5, 0.5, 0.0]), velocity)
    spread = now["fetch_done"] | now["fetch_blank"] | now["clear"]
    force = np.where(spread, grip_force, -grip_force)
    chuck = np.where(now["jaws_open"], 1.0, -1.0)
    return np.column_stack([capped(velocity, SPEED), 3.0 * o["grip_yaw"], force, chuck])


def _at_rest(off: Array, held: Flags) -> Flags:
    """The finished part is where it goes; one that was let go stays."""
    more = np.where(held, 0.0, 0.008)
    return np.asarray((norm_xy(off) < 0.008 + more) & (off[:, 2] > -0.004 - more))


def _in_chuck(o: Mapping[str, Array]) -> Flags:
    off = o["seat_from_blank"]
    return np.asarray((norm_xy(off) < 0.008) & (off[:, 2] > -0.006))


def _low_in_chuck(o: Mapping[str, Array]) -> Flags:
    """The blank is down in the chuck and in its middle: the jaws may close."""
    off = o["seat_from_blank"]
    return np.asarray((norm_xy(off) < 0.005) & (off[:, 2] > -0.0035))


def _near(part: Array) -> Flags:
    return np.asarray(norm_xy(part) < 0.05)


def _between_fingers(o: Mapping[str, Array], part: Array) -> Flags:
    more = np.where(o["gripper_width"] < 0.07, 0.004, 0.0)  # m: what is being closed stays closed
    lines_up = (norm_xy(part) < 0.006 + more) & (np.abs(part[:, 2]) < 0.008 + more)
    return np.asarray(lines_up & (np.abs(o["grip_yaw"]) < 0.1))


def _route(o: Mapping[str, Array], off: Array) -> Array:
    """Horizontal velocity `(n, 2)` towards `off`: into the machine and out of it straight through the door, never past its edges."""
    x, aside = o["tcp"][:, 0], np.abs(off[:, 1])
    target = x + off[:, 0]
    enters, inside = target > 0.44, x > 0.42
    lines_up = np.where(inside, aside < 0.12, 1.0 - ramp(aside, 0.03, 0.08))
    leaving = ramp(x, 0.38, 0.42) * ~enters
    wanted = np.where(enters, BEFORE + (target - BEFORE) * lines_up, target)
    wanted = np.where(leaving > 0.0, np.minimum(wanted, BEFORE), wanted)
    return 6.0 * np.column_stack([wanted - x, off[:, 1] * (1.0 - leaving)])


def _fetch(o: Mapping[str, Array], part: Array) -> Array:
    """Over the part at carrying height, then down as the fingers line up with it."""
    off = norm_xy(part)
    above = 0.08 * ramp(off + 0.04 * np.abs(o["grip_yaw"]), 0.006, 0.05)
    clear = np.where(off > 0.06, np.maximum(CARRY_Z - (o["tcp"][:, 2] + part[:, 2]), 0.0), 0.0)
    rise = 6.0 * (part[:, 2] - 0.001 + np.maximum(above, clear))
    low = ramp(o["tcp"][:, 2], CARRY_Z - 0.06, CARRY_Z - 0.03)
    level = _route(o, part) * np.where(off > 0.06, low, 1.0)[:, None]
    return np.column_stack([level, np.maximum(rise, -0.35)])


def _carry(o: Mapping[str, Array], has_done: Flags, out: Flags) -> Array:
    """Up, across, down; the finished part to the bench, the blank into the chuck. A part in the jaws waits until they are open."""
    goal = np.where((has_done & ~out)[:, None], o["out_from_done"], o["seat_from_blank"])
    gap, height = norm_xy(goal), o["tcp"][:, 2]
    over = gap < 0.05
    lifted = np.where(over, 1.0, ramp(height, CARRY_Z - 0.04, CARRY_Z - 0.01))
    above = 0.07 * ramp(gap, 0.003, 0.03)
    sink = np.maximum(6.0 * (goal[:, 2] + above - 0.002), -0.02 - 5.0 * np.maximum(-goal[:, 2] - 0.004, 0.0))
    rise = np.where(over, np.maximum(sink, -0.30), 5.0 * (CARRY_Z - height))
    clamped = (o["tcp"][:, 0] > 0.55) & (o["jaw_gap_12mm"] < 0.006) & (height < 0.03)
    rise = np.where(clamped & has_done, 0.0, rise)
    rise = np.minimum(rise, 0.05 + SPEED * ramp(np.maximum(o["grip_done"], o["grip_blank"]), 5.0, 16.0))
    return np.column_stack([_route(o, goal) * lifted[:, None], rise])


def _up(o: Mapping[str, Array]) -> Array:
    """Still until the fingers are wide open, then straight up."""
    rise = np.where(
        o["gripper_width"] > 0.055, np.clip(5.0 * (CARRY_Z + 0.03 - o["tcp"][:, 2]), 0.0, 0.4), 0.0
    )
    return np.column_stack([np.zeros((len(rise), 2)), rise])


def _in_place(o: Mapping[str, Array], side: float) -> Flags:
    """The tool is on the fin's `side` along y, above it or beside it."""
    fin = o["fin_from_tcp"]
    return np.asarray((np.abs(fin[:, 0]) < 0.020) & (-side * fin[:, 1] > 0.015))


def _beside_fin(o: Mapping[str, Array], side: float) -> Flags:
    return _in_place(o, side) & (np.abs(o["fin_from_tcp"][:, 2] + PUSH_Z) < 0.012)


def _push(o: Mapping[str, Array], side: float, left: Array) -> Array:
    """Velocity that brings the tool beside the fin, on its `side` along y, then down, then against it; slower as `left` m of the way remain."""
    fin = o["fin_from_tcp"]
    off = fin + np.array([0.0, side * BESIDE, PUSH_Z])
    behind, gap = -side * fin[:, 1], norm_xy(off)  # m that the tool stands on the right side
    in_place, low = _in_place(o, side), _beside_fin(o, side)
    above = np.where(in_place & (gap < 0.12), 0.0, 0.09 * ramp(gap, 0.02, 0.06))
    pace = np.clip(3.0 * np.abs(left) + 0.03, 0.0, DOOR_SPEED)
    against = -side * np.where(behind > 0.029, 0.06, pace)  # softly until it touches
    vy = np.where(low, against, 6.0 * off[:, 1])
    return np.column_stack([6.0 * off[:, 0], vy, np.clip(5.0 * (off[:, 2] + above), -0.35, 0.5)])


def _open(o: Mapping[str, Array]) -> Array:
    return _push(o, -1.0, o["door"] - 0.465)


def _still_inside(o: Mapping[str, Array]) -> Array:
    return np.asarray(ramp(o["tcp"][:, 0], BEFORE + 0.01, BEFORE + 0.05) * (o["fin_from_tcp"][:, 1] > 0.10))


def _shut(o: Mapping[str, Array]) -> Array:
    """Out of the machine, then the door to."""
    inside = _still_inside(o)
    leave = np.column_stack(
        [6.0 * (BEFORE - o["tcp"][:, 0]), np.zeros_like(inside), 5.0 * (CARRY_Z - o["tcp"][:, 2])]
    )
    return np.where((inside > 0.0)[:, None], leave, _push(o, 1.0, o["door"]))


def _button(o: Mapping[str, Array]) -> Array:
    """The button from the lower end of the fingers, `(n, 3)` m."""
    return np.asarray(o["button_from_tcp"] + np.array([0.0, 0.0, 0.019]))


def _press(o: Mapping[str, Array]) -> Array:
    """Away from the fin, over the button, down on it."""
    off = _button(o)
    gap = norm_xy(off)
    above = 0.06 * ramp(gap, 0.006, 0.03)
    rise = np.clip(6.0 * (off[:, 2] + above), -0.03 - 4.0 * np.maximum(-off[:, 2], 0.0), 0.4) - 0.03 * (
        gap < 0.010
    )
    return np.column_stack([6.0 * off[:, :2], rise])


def _rest(o: Mapping[str, Array]) -> Array:
    rise = np.clip(4.0 * (0.10 - o["tcp"][:, 2]), -0.2, 0.3)
    return np.column_stack([np.zeros((len(rise), 2)), rise])
