"""Bounds on what a policy's network can answer over boxes of observations: intervals, CROWN, and the range of its Jacobian. Float64.

CROWN (Zhang et al., "Efficient Neural Network Robustness Certification with General Activation Functions", NeurIPS 2018): every function is
held between two lines over the range of its input, and the lines are followed back to the observation, so that what cancels cancels.
Products are held between McCormick's planes. Each range is the better of interval and CROWN. All over B boxes at once.

The arithmetic is float64 with ordinary rounding; `SLACK` widens every bound by far more than that. The file itself computes in float32:
`genba bench network` measures what that changes, and claims nothing where it is more than `SLACK`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bounds_graph import Graph, Step, function, matrix, offset

Array = NDArray[np.float64]

SLACK = 1e-4  # of an action between -1 and 1
AT_ONCE = 32  # boxes that share an array


@dataclass(frozen=True, eq=False)
class Box:
    """B boxes of observations: `low` and `high`, `(B, d)`."""

    low: Array
    high: Array

    def __len__(self) -> int:
        return len(self.low)

    def __getitem__(self, rows: slice | NDArray[np.bool_] | NDArray[np.int64]) -> Box:
        return Box(self.low[rows], self.high[rows])


Range = tuple[Array, Array]


def interval_bounds(graph: Graph, box: Box) -> list[Range]:
    """Least and largest value of every step, `(B, width)` each, forgetting how they depend on each other."""
    ranges: list[Range] = []
    for step in graph.steps[: graph.action + 1]:
        ranges.append((box.low, box.high) if step.kind == "input" else _forward(step, ranges))
    return ranges


def crown_bounds(graph: Graph, box: Box, steps: Sequence[int] | None = None) -> list[Range]:
    """Bounds `(B, width)` of some steps (None: of the action), widened by `SLACK`."""
    wanted = [graph.action] if steps is None else list(steps)
    parts = [_crown(graph, box[start : start + AT_ONCE], wanted) for start in range(0, len(box), AT_ONCE)]
    return [
        (
            np.concatenate([part[i][0] for part in parts]) - SLACK,
            np.concatenate([part[i][1] for part in parts]) + SLACK,
        )
        for i in range(len(wanted))
    ]


def _crown(graph: Graph, box: Box, wanted: Sequence[int]) -> list[Range]:
    ranges = ranges_of(graph, box)
    return [_tightest(graph, box, ranges, step) for step in wanted]


def ranges_of(graph: Graph, box: Box) -> list[Range]:
    """The better of interval and CROWN for every step that a function or product reads, intervals for the others."""
    read = {i for step in graph.steps if step.kind in ("function", "product") for i in step.of}
    ranges: list[Range] = []
    for index, step in enumerate(graph.steps[: graph.action + 1]):
        ranges.append((box.low, box.high) if step.kind == "input" else _forward(step, ranges))
        if index in read and step.kind != "input":
            ranges[index] = _tightest(graph, box, ranges, index)
    return ranges


def _tightest(graph: Graph, box: Box, ranges: Sequence[Range], step: int) -> Range:
    low, high = _backward(graph, box, ranges, step)
    return np.maximum(low, ranges[step][0]), np.minimum(high, ranges[step][1])


def _forward(step: Step, ranges: Sequence[Range]) -> Range:
    """A step's range from those of what it reads."""
    given = [ranges[i] for i in step.of]
    (low, high) = given[0]
    if step.kind == "affine":
        weight = matrix(step)
        up, down = np.maximum(weight, 0.0).T, np.minimum(weight, 0.0).T
        return low @ up + high @ down + offset(step), high @ up + low @ down + offset(step)
    if step.kind == "sum":
        return low + given[1][0], high + given[1][1]
    if step.kind == "product":
        corners = [x * y for x in given[0] for y in given[1]]
        return np.minimum.reduce(corners), np.maximum.reduce(corners)
    return function(step).range(low, high)


def leaning(graph: Graph, box: Box, step: int) -> tuple[Range, Array]:
    """Bounds `(B, width)` of a step, and the slopes `(B, width, d)` by which its upper bound leans on each column."""
    ranges = ranges_of(graph, box)
    low, high = _tightest(graph, box, ranges, step)
    slopes, _ = _followed(graph, ranges, step, -1.0)
    return (low - SLACK, high + SLACK), np.broadcast_to(-slopes, (len(box), *slopes.shape[1:]))


def _backward(graph: Graph, box: Box, ranges: Sequence[Range], target: int) -> Range:
    """Bounds of one step by lines followed back to the observation."""
    sides = [_followed(graph, ranges, target, sign) for sign in (1.0, -1.0)]
    ends = []
    for slopes, constant in sides:  # both are lower bounds, of the step and of its negative
        ends.append(
            (np.maximum(slopes, 0.0) @ box.low[..., None])[..., 0]
            + (np.minimum(slopes, 0.0) @ box.high[..., None])[..., 0]
            + constant
        )
    return ends[0], -ends[1]


def _followed(graph: Graph, ranges: Sequence[Range], target: int, sign: float) -> tuple[Array, Array]:
    """Slopes `(B or 1, width, d)` and constant `(B or 1, width)` of a lower bound of `sign` times the target, in the observation."""
    width, d = graph.steps[target].width, graph.steps[0].width
    slopes: dict[int, Array] = {target: sign * np.eye(width)[None]}
    constant = np.zeros((1, width))
    for index in range(target, 0, -1):
        rows = slopes.pop(index, None)
        if rows is None:
            continue
        step = graph.steps[index]
        for of, part, more in _through(step, rows, ranges):
            slopes[of] = slopes[of] + part if of in slopes else part
            constant = constant + more
    return slopes.get(0, np.zeros((1, width, d))), constant


def _through(step: Step, rows: Array, ranges: Sequence[Range]) -> list[tuple[int, Array, Array]]:
    """One step back: (step read, slopes in it, constant) for a lower bound with slopes `rows` in this step."""
    if step.kind == "affine":
        return [(step.of[0], rows @ matrix(step), rows @ offset(step))]
    if step.kind == "sum":
        nothing = np.zeros((1, rows.shape[1]))
        return [(step.of[0], rows, nothing), (step.of[1], rows, nothing)]
    up, down = np.maximum(rows, 0.0), np.minimum(rows, 0.0)
    if step.kind == "function":
        a, b, c, d = function(step).lines(*ranges[step.of[0]])
        return [(step.of[0], up * a[:, None] + down * c[:, None], _dot(up, b) + _dot(down, d))]
    (x_low, x_high), (y_low, y_high) = (ranges[i] for i in step.of)
    x_up, y_up, one_up = (
        0.5 * (y_low + y_high),
        0.5 * (x_low + x_high),
        -0.5 * (x_low * y_low + x_high * y_high),
    )
    one_down = -0.5 * (
        x_low * y_high + x_high * y_low
    )  # the mean of both planes, below and above: the same slopes
    x, y = step.of
    return [
        (x, rows * x_up[:, None], _dot(up, one_up) + _dot(down, one_down)),
        (y, rows * y_up[:, None], np.zeros((1, rows.shape[1]))),
    ]


def _dot(rows: Array, values: Array) -> Array:
    """`(B, width)` from `(B or 1, width, n)` and `(B, n)`."""
    return np.asarray((rows @ values[..., None])[..., 0])


def jacobian_bounds(graph: Graph, box: Box) -> Range:
    """Least and largest of each partial derivative of the action over the boxes, `(B, A, d)` each (where it has a kink, of all slopes
    there)."""
    parts = [_jacobian(graph, box[start : start + AT_ONCE]) for start in range(0, len(box), AT_ONCE)]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def lipschitz(graph: Graph, box: Box) -> Array:
    """`(B,)`: no two observations in a box have actions farther apart than this times the largest difference of a column."""
    low, high = jacobian_bounds(graph, box)
    return np.asarray(np.maximum(np.abs(low), np.abs(high)).sum(axis=2).max(axis=1))


def _jacobian(graph: Graph, box: Box) -> Range:
    ranges = ranges_of(graph, box)
    width = graph.steps[graph.action].width
    start = np.broadcast_to(np.eye(width), (len(box), width, width))
    held: dict[int, Range] = {graph.action: (start, start)}
    for index in range(graph.action, 0, -1):
        found = held.pop(index, None)
        if found is None:
            continue
        for of, part in _chain(graph.steps[index], found, ranges):
            held[of] = (held[of][0] + part[0], held[of][1] + part[1]) if of in held else part
    nothing = np.zeros((len(box), width, graph.steps[0].width))
    return held.get(0, (nothing, nothing))


def _chain(step: Step, rows: Range, ranges: Sequence[Range]) -> list[tuple[int, Range]]:
    """The chain rule in intervals: derivatives in what a step reads from those in the step."""
    low, high = rows
    if step.kind == "affine":
        weight = matrix(step)
        up, down = np.maximum(weight, 0.0), np.minimum(weight, 0.0)
        return [(step.of[0], (low @ up + high @ down, high @ up + low @ down))]
    if step.kind == "sum":
        return [(of, rows) for of in step.of]
    if step.kind == "function":
        return [(step.of[0], _times(rows, function(step).slopes(*ranges[step.of[0]])))]
    x, y = step.of
    return [(x, _times(rows, ranges[y])), (y, _times(rows, ranges[x]))]


def _times(rows: Range, factor: Range) -> Range:
    corners = [row * each[:, None] for row in rows for each in factor]
    return np.minimum.reduce(corners), np.maximum.reduce(corners)
