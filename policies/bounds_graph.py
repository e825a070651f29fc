"""A network as a short list of steps that bounds understand: affine maps, sums, products and elementwise functions, in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .bounds_functions import Function

Array = NDArray[np.float64]
Kind = Literal["input", "affine", "sum", "product", "function"]


@dataclass(frozen=True, eq=False)
class Step:
    """One step: `weight @ x + bias` (affine), x + y, x * y, or f(x), of earlier steps. `width` is its number of values."""

    kind: Kind
    width: int
    of: tuple[int, ...] = ()
    weight: Array | None = None
    bias: Array | None = None
    function: Function | None = None


@dataclass(frozen=True)
class Graph:
    """Steps in order, the first being the observation. `action` is the output, `raw` what its last clipping is given (the same where
    nothing clips)."""

    steps: tuple[Step, ...]
    action: int
    raw: int

    def __call__(self, observation: Array, step: int | None = None) -> Array:
        """`(n, width)` values of a step (the action's, unless another is named) for observations `(n, d)`."""
        values: list[Array] = []
        for each in self.steps[: (self.action if step is None else step) + 1]:
            given = [values[i] for i in each.of]
            if each.kind == "input":
                values.append(np.asarray(observation, np.float64))
            elif each.kind == "affine":
                values.append(given[0] @ matrix(each).T + offset(each))
            elif each.kind == "sum":
                values.append(given[0] + given[1])
            elif each.kind == "product":
                values.append(given[0] * given[1])
            else:
                values.append(function(each)(given[0]))
        return values[-1]


def matrix(step: Step) -> Array:
    assert step.weight is not None
    return step.weight


def offset(step: Step) -> Array:
    assert step.bias is not None
    return step.bias


def function(step: Step) -> Function:
    assert step.function is not None
    return step.function
