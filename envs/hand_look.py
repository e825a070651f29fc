"""What a camera sees of the Franka Hand, from the pose of its tool centre point and its opening."""

from __future__ import annotations

import numpy as np

from .camera import applied
from .signals import Array
from .solids import BOX, CYLINDER, Shape

PADS = (  # half sizes, place in the finger's frame, colour: what of a finger comes into view
    ((0.0105, 0.0040, 0.0095), (0.0, 0.0040, 0.0450), (0.08, 0.08, 0.09)),
    ((0.0105, 0.0070, 0.0165), (0.0, 0.0170, 0.0195), (0.50, 0.51, 0.52)),
)
FINGER_Z = 0.0584 - 0.1034  # m from the tool's centre point to a finger's frame
PALM, PALM_Z = (0.0316, 0.1020, 0.0330), -0.0750  # half sizes, and its middle from the tool's centre point, m
WRIST, WRIST_Z = (0.0500, 0.0900, 0.0), -0.2000  # radius and half height
WHITE = (0.90, 0.91, 0.92)


def finger_shapes(tool: Array, axes: Array, opening: float) -> list[Shape]:
    """Both fingers of a hand whose tool centre point is at `tool`, each `opening` m from the middle."""
    shapes = []
    for side in (1.0, -1.0):
        turned = axes * np.array([side, side, 1.0])
        at = tool + applied(axes, np.array([0.0, side * opening, FINGER_Z]))
        shapes += [
            Shape(BOX, np.array(size), at + applied(turned, np.array(pos)), turned, np.array(colour))
            for size, pos, colour in PADS
        ]
    return shapes


def hand_shapes(tool: Array, axes: Array, opening: float) -> list[Shape]:
    """The whole hand: fingers, palm and the wrist behind it."""
    palm = tool + applied(axes, np.array([0.0, 0.0, PALM_Z]))
    wrist = tool + applied(axes, np.array([0.0, 0.0, WRIST_Z]))
    return [
        *finger_shapes(tool, axes, opening),
        Shape(BOX, np.array(PALM), palm, axes, np.array(WHITE)),
        Shape(CYLINDER, np.array(WRIST), wrist, axes, np.array(WHITE)),
    ]
