"""`monitor.json`: the constraints that a released policy is watched by, and the signals that they need.

A tick is a block of samples; outside simulation it is one sample. Constraints whose signals are absent there are listed as not
monitored; so are those that look ahead, which only the end of an episode can decide.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..envs.errors import BadInput, UnknownName
from ..envs.files import canonical_json
from ..envs.signals import Signal, SignalTable
from ..safety.constraints import Constraint, from_dict, parse_both, to_dict
from ..safety.formula import names
from ..safety.monitor import Monitor


@dataclass(frozen=True)
class Watched:
    """What `monitor.json` holds.

    Attributes:
        constraints: all that the check assessed; which of them can be watched depends on the signals at hand.
        signals: unit and shape of every signal that they use.
        constants: signals that are numbers of the cell.
        rate_hz: the rate at which simulation samples them.
    """

    constraints: tuple[Constraint, ...]
    signals: Mapping[str, Signal]
    constants: Mapping[str, float]
    rate_hz: float

    def to_bytes(self) -> bytes:
        """The canonical JSON text."""
        rows = [
            {"name": s.name, "unit": s.unit, "shape": list(s.shape), "en": s.en, "ja": s.ja}
            for s in self.signals.values()
        ]
        return canonical_json(
            {
                "format": 1,
                "rate_hz": self.rate_hz,
                "constraints": [to_dict(each) for each in self.constraints],
                "signals": rows,
                "constants": dict(self.constants),
            }
        )


def watched(constraints: Sequence[Constraint], table: SignalTable, rate_hz: float) -> Watched:
    """What a cell's monitor needs of its signal table."""
    used: dict[str, Signal] = {}
    for constraint in constraints:
        for name in _read(constraint):
            used[name] = table[name]
    constants = {name: table.constants[name] for name in used if name in table.constants}
    return Watched(tuple(constraints), dict(sorted(used.items())), constants, rate_hz)


def read_watched(path: Path) -> Watched:
    """Read `monitor.json`. Raises BadInput."""
    try:
        data = json.loads(path.read_bytes())
        rows = [Signal(r["name"], r["unit"], tuple(r["shape"]), r["en"], r["ja"]) for r in data["signals"]]
        constraints = tuple(from_dict(each) for each in data["constraints"])
        constants = {str(name): float(value) for name, value in data["constants"].items()}
        return Watched(constraints, {each.name: each for each in rows}, constants, float(data["rate_hz"]))
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; get the release again") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{path}: not a monitor file ({type(error).__name__}: {error}); get the release again"
        ) from None


@dataclass(frozen=True)
class Tick:
    """What the guard says now: margins of this tick by constraint, and whether the robot must stop, and for which."""

    margins: Mapping[str, float]
    stop: bool
    broken: tuple[str, ...]


class Guard:
    """Watches one robot, tick by tick. Once a hard constraint was broken it stays stopped until `restart`.

    Args:
        what: from `monitor.json`.
        available: the signals that will be given; None for all.
        dt: seconds between samples.

    `not_monitored` lists (constraint, why).
    """

    def __init__(
        self, what: Watched, available: Collection[str] | None = None, dt: float | None = None
    ) -> None:
        given = set(what.signals) if available is None else set(available) | set(what.constants)
        for name in given - set(what.signals):
            raise UnknownName("signal", name, what.signals)
        self.table = {name: signal for name, signal in what.signals.items() if name in given}
        self.constants = what.constants
        self.monitor = Monitor(what.constraints, self.table, 1, dt or 1.0 / what.rate_hz, causal=True)
        self.not_monitored = self.monitor.not_monitored
        self._hard = np.array([each.hard for each in self.monitor.constraints], bool)
        read = [_read(each) if each.hard else set() for each in self.monitor.constraints]
        self._readers = {
            name: np.array([name in each for each in read]) for name in sorted(set().union(*read))
        }
        self._silent = np.zeros(len(read), bool)

    def tick(self, signals: Mapping[str, ArrayLike]) -> Tick:
        """Take in one sample of every signal at hand (SI units). A signal that is missing or no number stops the robot where a hard
        constraint reads it, also while the constraint's `when` is off: whoever is blind does not know that it is. An infinite distance
        (nobody there) is a number."""
        block = {name: self._block(name, signals) for name in self.table}
        self.monitor.update(block)
        silent = np.zeros_like(self._silent)
        for name, readers in self._readers.items():
            given = name in signals or name not in self.constants  # an infinite limit of the cell is none
            if given and not (block[name] > -np.inf).all():
                silent |= readers
        self._silent |= silent
        now, worst = np.where(silent, -np.inf, self.monitor.now[0]), self.monitor.worst[0]
        broken = tuple(
            self.monitor.ids[i] for i in np.flatnonzero(self._hard & ~(worst >= 0.0) | self._silent)
        )
        return Tick(dict(zip(self.monitor.ids, now.tolist(), strict=True)), bool(broken), broken)

    def restart(self) -> None:
        """Begin anew, after a person has looked."""
        self.monitor.restart([0])
        self._silent[:] = False

    def _block(self, name: str, signals: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        shape = self.table[name].shape
        if name in signals:
            value = np.asarray(signals[name], np.float64)
        else:
            value = np.full(shape, self.constants.get(name, np.nan))
        if shape == () and value.size == 1:
            value = value.reshape(())
        if value.shape != shape:
            raise BadInput(f"signal {name}: expected shape {shape}, found {value.shape}")
        return value.reshape(1, 1, *shape)


def _read(constraint: Constraint) -> set[str]:
    """The signals that a constraint reads, those of its `when` among them."""
    formula, guard = parse_both(constraint)
    return {*names(formula), *(names(guard) if guard is not None else ())}
