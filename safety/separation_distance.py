"""Speed and separation: how far apart robot and person must be, S_p = S_h + S_r + S_s + C + Z_d + Z_r.

Source: ISO 10218-2:2025 (ISO/TS 15066) speed and separation monitoring, read in secondary sources. Needs numpy only.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

PERSON_SPEED = 1.6  # m/s that is assumed where nobody measures the person


def separation_distance(
    robot_speed: ArrayLike,
    reaction_s: float,
    stopping_s: ArrayLike,
    person_speed: ArrayLike = PERSON_SPEED,
    intrusion: float = 0.0,
    person_uncertainty: float = 0.0,
    robot_uncertainty: float = 0.0,
    braking: Literal["even", "none"] = "even",
) -> NDArray[np.float64]:
    """S_p in m.

    Args:
        robot_speed: m/s towards the person.
        reaction_s, stopping_s: seconds until braking begins, and from then to standstill.
        person_speed: m/s towards the robot.
        intrusion: C in m, how far a person comes before being detected.
        person_uncertainty, robot_uncertainty: Z_d and Z_r in m.
        braking: "even" deceleration to standstill, or "none", the worst case of full speed to the end.
    """
    robot, stopping = np.asarray(robot_speed, float), np.asarray(stopping_s, float)
    share = 0.5 if braking == "even" else 1.0
    person_way = np.asarray(person_speed, float) * (reaction_s + stopping)
    robot_way = robot * reaction_s + share * robot * stopping
    return np.asarray(person_way + robot_way + intrusion + person_uncertainty + robot_uncertainty)
