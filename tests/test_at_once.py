"""Work in processes of their own: what comes back, and what becomes of the rest when one dies or nobody waits any longer."""

import math
import os
import time
from contextlib import closing
from multiprocessing import active_children

import pytest

from genba.envs.errors import EnvironmentProblem
from genba.policies.at_once import at_once


def gone(within_s: float = 10.0) -> bool:
    """Whether no child is left soon."""
    until = time.monotonic() + within_s
    while active_children() and time.monotonic() < until:
        time.sleep(0.05)
    return not active_children()


@pytest.mark.parametrize("processes", [1, 2])
def test_every_item_comes_back_with_its_result(processes: int) -> None:
    found = dict(at_once(math.sqrt, [1.0, 4.0, 9.0, 16.0], processes))
    assert found == {1.0: 1.0, 4.0: 2.0, 9.0: 3.0, 16.0: 4.0} and gone()


def test_what_the_work_raises_is_raised_and_the_rest_is_ended() -> None:
    with pytest.raises(ValueError, match="math domain error|expected a nonnegative"):
        list(at_once(math.sqrt, [-1.0, 4.0, 9.0, 16.0], 2))
    assert gone()


def test_a_process_that_is_killed_is_one_line() -> None:
    with pytest.raises(EnvironmentProblem, match="a process was killed"):
        list(at_once(os._exit, [9, 9], 2))
    assert gone()


def test_who_stops_listening_leaves_nothing_at_work() -> None:
    began = time.monotonic()
    with closing(at_once(time.sleep, [0.0, 600.0, 600.0], 2)) as coming:
        assert next(coming) == (0.0, None)
    assert gone() and time.monotonic() - began < 60.0
