"""Pieces of work that do not depend on each other, in processes of their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import TypeVar

from ..envs.errors import EnvironmentProblem

Item = TypeVar("Item")
Result = TypeVar("Result")


def at_once(
    work: Callable[[Item], Result], items: Sequence[Item], processes: int
) -> Generator[tuple[Item, Result], None, None]:
    """Each item with what `work` makes of it, as it comes; in order and in this process where `processes` is 1.

    Args:
        work: a function or method that can be pickled, as its items and results can.

    Raises:
        EnvironmentProblem: a process was killed. What `work` raises is raised here; either way, and when the caller stops, what
            is still at work is ended.
    """
    if processes == 1:
        yield from ((item, work(item)) for item in items)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin) as pool:
        waiting = {pool.submit(work, item): item for item in items}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        except BaseException as stop:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in active_children():
                child.terminate()
            if isinstance(stop, BrokenProcessPool):
                raise EnvironmentProblem(
                    "a process was killed, perhaps for want of memory: fewer at a time (--threads) need less"
                ) from None
            raise


def _begin() -> None:
    """A worker leaves Ctrl-C to its parent, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
