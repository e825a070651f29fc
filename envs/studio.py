"""What a camera of a cell sees, drawn with OpenGL: the whole scene with its materials, lamps and shadows, each world with its own parts.

Drawn pictures repeat themselves on one machine; another graphics driver rounds differently, so that evidence by them is of one machine.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from .camera import Lens
from .cell import dressed
from .errors import EnvironmentProblem
from .graphics import RAYS, Renderer, backend
from .signals import Array

if TYPE_CHECKING:
    from .task import Task


class Studio:
    """Draws the worlds of a task. Raises EnvironmentProblem where OpenGL does not draw."""

    def __init__(self, task: Task) -> None:
        if backend() == RAYS:
            raise EnvironmentProblem(
                f"{task.id}: its camera needs OpenGL, which does not draw here (genba doctor says why); vision=1 needs none"
            )
        self.scene = task.scene
        self._own = threading.local()  # a graphics context belongs to one thread

    def light(self, lens: Lens, model: mujoco.MjModel, data: mujoco.MjData) -> Array:
        """`(H, W, 3)` of full scale: what falls on the sensor behind a lens, of the world of `model` in the state of `data`."""
        shown, worn = dressed(self.scene, model, data)
        mujoco.mj_forward(shown, worn)
        if not hasattr(self._own, "renderer"):
            self._own.renderer = Renderer(shown, lens.size, fine=True)
        return np.asarray(self._own.renderer.look(shown, worn, lens) / 255.0)
