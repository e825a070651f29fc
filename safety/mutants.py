"""Gates with a fault: each takes the place of one part while its context lasts, and the self-test must notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from ..envs.disturbances import Disturbance
from ..envs.scara import ScaraTwist
from . import campaign, evidence, result_counts, verdict
from .lanes import Lane
from .monitor import Monitor
from .selftest import selftest


@contextmanager
def replaced(owner: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """`owner.name` is what `make` makes of it."""
    original = getattr(owner, name)
    setattr(owner, name, make(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


class _Thinned:
    """Every second sample of a block."""

    def __init__(self, block: Any) -> None:
        self.block = block

    def __getitem__(self, name: str) -> Any:
        return np.ascontiguousarray(self.block[name][:, ::2])


def skips_substeps() -> AbstractContextManager[None]:
    return replaced(
        Monitor, "update", lambda old: lambda self, signals, active=None: old(self, _Thinned(signals), active)
    )


def loosened() -> AbstractContextManager[None]:
    def make(old: Any) -> Any:
        def finish(self: Monitor, ids: Any) -> Any:
            margins, times = old(self, ids)
            return margins + 0.05, times

        return finish

    return replaced(Monitor, "finish", make)


def flipped() -> AbstractContextManager[None]:
    def make(old: Any) -> Any:
        def finish(self: Monitor, ids: Any) -> Any:
            margins, times = old(self, ids)
            return -margins, times

        return finish

    return replaced(Monitor, "finish", make)


def idle_disturbance() -> AbstractContextManager[None]:
    def make(old: Any) -> Any:
        return lambda self, ids, severity, streams: old(self, ids, 0 * np.asarray(severity), streams)

    return replaced(Disturbance, "assign", make)


def drops_nan() -> AbstractContextManager[None]:
    @contextmanager
    def both() -> Iterator[None]:
        with (
            replaced(verdict, "_spoilt", lambda old: lambda conditions: []),
            replaced(result_counts, "violated", lambda old: lambda margins: margins < 0.0),
        ):
            yield

    return both()


def ninety_percent() -> AbstractContextManager[None]:
    def make(old: Any) -> Any:
        return lambda self, count, n, level, claims=1: old(self, count, n, 1.0 - 2.0 * (1.0 - level), claims)

    return replaced(Lane, "upper", make)


def peeks() -> AbstractContextManager[None]:
    return replaced(verdict, "_missing", lambda old: lambda constraints, demands, conditions: [])


def one_seed() -> AbstractContextManager[None]:
    return replaced(campaign, "fresh_seed_base", lambda old: lambda policy, suite, attempt: 10**6)


def counts_idle_clamps() -> AbstractContextManager[None]:
    def make(old: Any) -> Any:
        return lambda self, wanted, q, qd: (wanted, np.ones(len(wanted), bool))

    return replaced(ScaraTwist, "_limited", make)


def blunt_hash() -> AbstractContextManager[None]:
    def make(old: Any) -> Any:
        def blunt(row: Mapping[str, Any]) -> Any:
            return old({key: round(x, 6) if isinstance(x, float) else x for key, x in row.items()})

        return blunt

    return replaced(evidence, "row_sha256", make)


MUTANTS: Mapping[str, Callable[[], AbstractContextManager[None]]] = {
    "skips-substeps": skips_substeps,
    "loosened": loosened,
    "flipped": flipped,
    "idle-disturbance": idle_disturbance,
    "drops-nan": drops_nan,
    "ninety-percent": ninety_percent,
    "peeks": peeks,
    "one-seed": one_seed,
    "counts-idle-clamps": counts_idle_clamps,
    "blunt-hash": blunt_hash,
}


def noticed(name: str) -> tuple[str, ...]:
    """The questions of the self-test that a mutant answers wrongly."""
    with MUTANTS[name]():
        return tuple(answer.id for answer in selftest() if not answer.ok)
