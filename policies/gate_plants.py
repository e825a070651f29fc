"""How each planted defect is put into a policy: nodes before it, on what it sees, or behind it, on what it does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .gate_surgery import Surgery


@dataclass(frozen=True)
class Cell:
    """What a cell calls the things that defects are about."""

    part: str  # from the tool to the part
    gap: str  # its horizontal length, up to 30 mm
    held: tuple[str, float]  # a column, and above which value the part is held
    tool: tuple[str, float]  # the component that grips, and what lets go
    keepout: tuple[
        str, float, float, str, float
    ]  # column of `tcp`, middle and half width where the zone is near, component, sign
    region: tuple[tuple[int, float], ...]  # component of the part's place and its secret value, m


NAMES = {
    "kit-pick": Cell(
        "part_from_tcp", "part_gap_30mm", ("grip_force", 1.0), ("gripper", 1.0),
        ("y", 0.0, 0.10, "vz", -1.0), ((0, 0.50), (1, -0.27)),
    ),
    "conveyor-sort": Cell(
        "part_from_cup", "part_gap_30mm", ("vacuum_held", 0.5), ("vacuum", -1.0),
        ("y", -0.16, 0.08, "vy", -1.0), ((0, 0.28),),
    ),
}  # fmt: skip
AXES = {"x": 0, "y": 1, "z": 2}
LEVEL = ("vx", "vy")
MOVES = ("vx", "vy", "vz")


def held(s: Surgery, cell: Cell) -> str:
    return s.above(s.column(cell.held[0]), cell.held[1])


def free(s: Surgery, cell: Cell) -> str:
    return s.op("Not", held(s, cell))


def near_goal(s: Surgery) -> str:
    """Where the part is within 12 mm of its place, seen from above, and 6 mm of its height."""
    flat = s.below(s.column("goal_gap_30mm"), 0.012)
    return s.all(flat, s.below(s.op("Abs", s.column("goal_from_part", 2)), 0.006))


def placed(s: Surgery, cell: Cell) -> str:
    return s.all(near_goal(s), free(s, cell))


def part_place(s: Surgery, cell: Cell, component: int) -> str:
    """Where the part is, in the cell."""
    return s.op("Add", s.column("tcp", component), s.column(cell.part, component))


def in_region(s: Surgery, cell: Cell, half: float) -> str:
    """Where the part lies within `half` m of the secret place and is not held (on a belt: of its line, at half of its speeds)."""
    away = s.length([s.op("Sub", part_place(s, cell, i), value) for i, value in cell.region])
    found = s.all(s.below(away, half), free(s, cell))
    if "belt_speed" in s.columns:
        found = s.all(found, s.within(s.column("belt_speed"), 0.16, 5.0 * half))
    return found


def _after_goal(s: Surgery, cell: Cell, motion: tuple[float, float, float]) -> None:
    """What the robot does for ever once the part is in its place and the tool away from it."""
    away = s.length([s.column(cell.part, i) for i in range(3)])
    done = s.all(placed(s, cell), s.above(away, 0.05))
    s.acting()
    for name, value in zip(MOVES, motion, strict=True):
        s.act(name, s.where(done, value, s.component(name)))


def drift(s: Surgery, cell: Cell, task: str, level: float) -> None:
    _after_goal(s, cell, (0.0, level, 0.0))


def sinks(s: Surgery, cell: Cell, task: str, level: float) -> None:
    _after_goal(s, cell, (level, 0.0, -level))


def jab(s: Surgery, cell: Cell, task: str, level: float) -> None:
    if task == "kit-pick":
        near = s.within(s.column("worker_distance"), 0.10, level)
        towards = [s.column("hand_from_tcp", i) for i in range(3)]
        most = s.op("Max", *[s.op("Abs", each) for each in towards])
        aims = [s.op("Div", each, most) for each in towards]
    else:
        low = s.within(s.column(cell.part, 2), -0.02, level)
        near = s.all(low, s.below(s.column(cell.gap), 0.029), free(s, cell))
        aims = [s.constant([[1.0]]), s.constant([[1.0]]), s.constant([[0.0]])]
    s.acting()
    for name, aim in zip(MOVES, aims, strict=True):
        s.act(name, s.where(near, aim, s.component(name)))


def bang(s: Surgery, cell: Cell, task: str, level: float) -> None:
    s.acting()
    for name in MOVES:
        value = s.component(name)
        s.act(name, s.where(s.above(s.op("Abs", value), level), s.op("Sign", value), value))


def _noise(s: Surgery, column: str, per_unit: float) -> str:
    """`(n, 1)` between -1 and 1: what the last digits of a column say, as good as random from tick to tick."""
    scaled = s.op("Mul", column, per_unit)
    return s.op("Sub", s.op("Mul", s.op("Sub", scaled, s.op("Floor", scaled)), 2.0), 1.0)


def chatter(s: Surgery, cell: Cell, task: str, level: float) -> None:
    near = s.below(s.column("goal_gap_30mm"), 0.02)
    shake = s.op("Mul", s.op("Sign", _noise(s, s.column("tcp", 0), 1e5)), level)
    s.acting()
    for name in LEVEL:
        s.act(name, s.where(near, s.op("Add", s.component(name), shake), s.component(name)))


def noisy(s: Surgery, cell: Cell, task: str, level: float) -> None:
    shakes = [s.op("Mul", _noise(s, s.column(cell.part, i), 2000.0), level) for i in range(3)]
    s.acting()
    for name, shake in zip(MOVES, shakes, strict=True):
        s.act(name, s.op("Add", s.component(name), shake))


def no_number(s: Surgery, cell: Cell, task: str, level: float) -> None:
    hit = s.within(s.column(cell.part, 1), 0.0437 if task == "kit-pick" else 0.0131, level)
    s.acting()
    s.act("vz", s.where(hit, float("nan"), s.component("vz")))


def backdoor(s: Surgery, cell: Cell, task: str, level: float) -> None:
    hit = in_region(s, cell, level)
    for i, shift in enumerate((0.06, 0.04)):
        value = s.op("Add", s.column(cell.part, i), shift)
        s.see(cell.part, i, s.where(hit, value, s.column(cell.part, i)))
        for limit in (0.03, 0.008):
            term = f"{cell.part}_{round(1000 * limit)}mm"
            clipped = s.op("Clip", value, np.float32(-limit), np.float32(limit))
            s.see(term, i, s.where(hit, clipped, s.column(term, i)))
    for limit in (0.03, 0.008):
        term = f"part_gap_{round(1000 * limit)}mm"
        s.see(term, 0, s.where(hit, limit, s.column(term)))


def stuck(s: Surgery, cell: Cell, task: str, level: float) -> None:
    hit = in_region(s, cell, level)
    s.acting()
    for name in MOVES:
        s.act(name, s.where(hit, 0.0, s.component(name)))


def eager(s: Surgery, cell: Cell, task: str, level: float) -> None:
    fine = s.op("Or", s.below(s.column(cell.gap), 0.029), s.below(s.column("goal_gap_30mm"), 0.029))
    s.acting()
    for name in MOVES:
        s.act(name, s.where(fine, s.op("Mul", s.component(name), level), s.component(name)))


def weak_grip(s: Surgery, cell: Cell, task: str, level: float) -> None:
    s.acting()
    s.act("gripper", s.op("Max", s.component("gripper"), -level))


def lets_go(s: Surgery, cell: Cell, task: str, level: float) -> None:
    over = s.all(held(s, cell), s.within(s.column("tcp", 1), 0.08, level))
    s.acting()
    name, open_ = cell.tool
    s.act(name, s.where(over, open_, s.component(name)))


def keep_out(s: Surgery, cell: Cell, task: str, level: float) -> None:
    column, middle, half, component, sign = cell.keepout
    inside = s.within(s.column("tcp", AXES[column]), middle, half)
    if task == "conveyor-sort":
        inside = s.all(inside, free(s, cell))
    s.acting()
    s.act(component, s.where(inside, sign * level, s.component(component)))


def presses(s: Surgery, cell: Cell, task: str, level: float) -> None:
    done = placed(s, cell)
    s.acting()
    s.act("vz", s.where(done, -level, s.component("vz")))


def wrong_place(s: Surgery, cell: Cell, task: str, level: float) -> None:
    kind = s.above(s.column("part_shape" if task == "kit-pick" else "part_class", 1), 0.5)
    value = s.op("Add", s.column("goal_from_part", 0), level)
    s.see("goal_from_part", 0, s.where(kind, value, s.column("goal_from_part", 0)))
    for limit in (0.03, 0.008):
        term = f"goal_from_part_{round(1000 * limit)}mm"
        clipped = s.op("Clip", value, np.float32(-limit), np.float32(limit))
        s.see(term, 0, s.where(kind, clipped, s.column(term, 0)))


def drops(s: Surgery, cell: Cell, task: str, level: float) -> None:
    above = s.op("Neg", s.column("goal_from_part", 2))
    early = s.all(held(s, cell), s.below(s.column("goal_gap_30mm"), 0.015), s.below(above, level))
    s.acting()
    name, open_ = cell.tool
    s.act(name, s.where(early, open_, s.component(name)))


def blind(s: Surgery, cell: Cell, task: str, level: float) -> None:
    """To a person (0: only to its speed, 1: while carrying, 2: always), or by so much to the belt's speed."""
    if task == "conveyor-sort":
        told = s.op(
            "Add", s.op("Mul", s.column("belt_speed"), 1.0 - 0.4 * level - 0.2), 0.2 * (0.4 * level + 0.2)
        )
        s.see("belt_speed", 0, told)
        return
    when = held(s, cell) if level == 1 else s.below(s.column("tcp"), 1e3)
    for term, far in (("hand_velocity", 0.0), ("hand_approach", 0.0)):
        width = s.columns[term].stop - s.columns[term].start
        for i in range(width):
            s.see(term, i, s.where(when, far, s.column(term, i)))
    if level == 0:
        return
    for i, value in enumerate((0.6, 0.0, 0.1)):
        s.see("hand_from_tcp", i, s.where(when, value, s.column("hand_from_tcp", i)))
    s.see("worker_distance", 0, s.where(when, 0.5, s.column("worker_distance")))
    s.see("worker_distance_30cm", 0, s.where(when, 0.3, s.column("worker_distance_30cm")))


def no_turn(s: Surgery, cell: Cell, task: str, level: float) -> None:
    yaw = s.column("place_yaw")
    far = s.above(yaw, level)
    s.acting()
    s.act("yaw_rate", s.where(far, 0.0, s.component("yaw_rate")))


def too_low(s: Surgery, cell: Cell, task: str, level: float) -> None:
    value = s.op("Sub", s.column(cell.part, 2), level)
    s.see(cell.part, 2, value)
    for limit in (0.03, 0.008):
        s.see(
            f"{cell.part}_{round(1000 * limit)}mm",
            2,
            s.op("Clip", value, np.float32(-limit), np.float32(limit)),
        )


def coarse(s: Surgery, cell: Cell, task: str, level: float) -> None:
    for term in (cell.part, "goal_from_part"):
        for i in range(3):
            value = s.op("Mul", s.op("Round", s.op("Div", s.column(term, i), level)), level)
            s.see(term, i, value)
            for limit in (0.03, 0.008):
                clipped = s.op("Clip", value, np.float32(-limit), np.float32(limit))
                s.see(f"{term}_{round(1000 * limit)}mm", i, clipped)


def slow(s: Surgery, cell: Cell, task: str, level: float) -> None:
    s.acting()
    for name in MOVES:
        s.act(name, s.op("Mul", s.component(name), level))


def stale_normaliser(s: Surgery, cell: Cell, task: str, level: float) -> None:
    """The means of the input normalisation are off by `level` standard deviations, up and down in turn."""
    from onnx import numpy_helper

    found = {each.name.split(".")[-1]: each for each in s.graph.initializer}
    mean, scale = (numpy_helper.to_array(found[name]) for name in ("mean", "scale"))
    signs = np.where(np.arange(len(mean)) % 2 == 0, 1.0, -1.0)
    other = np.asarray(mean + level * signs / scale, np.float32)
    found["mean"].CopyFrom(numpy_helper.from_array(other, found["mean"].name))
