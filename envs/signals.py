"""Signals: every quantity of a cell behind a name, a unit and a shape; no simulator in here.

A block `(worlds, substeps, columns)` of sensor data becomes `signals["tcp.vel"]`, a zero-copy view `(N, K, 3)`, and
`signals.now["tcp.vel"]`, `(N, 3)`. Four kinds share one vocabulary: *sensor* (recorded at every physics substep), *held*
(one value per control tick), *derived* (a pure function of other signals) and *constant* (a number of the cell).
Sensors describe the state before the substep that recorded them, as MuJoCo computes them: a latency of one substep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .errors import UnknownName

Array = NDArray[np.float64]
Derivation = Callable[["Lookup"], Array]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Signal:
    """One named quantity: SI unit (m, m/s, rad, rad/s, N, N*m, s, 1), shape per sample, and what it means."""

    name: str
    unit: str
    shape: tuple[int, ...] = ()
    en: str = ""
    ja: str = ""
    rate_hz: float = 500.0
    kind: str = "sensor"

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=int))


@dataclass(frozen=True)
class SignalTable(Mapping[str, Signal]):
    """Name -> Signal, with where sensors lie in a block, how derived ones follow, and what constants are worth."""

    signals: Mapping[str, Signal]
    columns: Mapping[str, slice] = field(default_factory=dict)
    derivations: Mapping[str, Derivation] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Signal:
        try:
            return self.signals[name]
        except KeyError:
            raise UnknownName("signal", name, self.signals) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.signals)

    def __len__(self) -> int:
        return len(self.signals)

    def __contains__(self, name: object) -> bool:
        return name in self.signals

    def extended(self, extra: Mapping[str, Signal], derivations: Mapping[str, Derivation]) -> SignalTable:
        """The same table with more derived signals."""
        marked = {name: replace(signal, kind="derived") for name, signal in extra.items()}
        return replace(
            self, signals={**self.signals, **marked}, derivations={**self.derivations, **derivations}
        )


class Lookup(Mapping[str, Array]):
    """Signals by name with any leading shape: `(N, K)` for a block, `(N,)` for one instant; derived ones are cached.

    An instant at the end of a `block` takes over what the block has derived already.
    """

    def __init__(
        self,
        table: SignalTable,
        data: Array,
        held: Mapping[str, Array],
        lead: tuple[int, ...],
        block: Lookup | None = None,
    ) -> None:
        self.table = table
        self.lead = lead
        self._data = data
        self._held = held
        self._block = block
        self._cache: dict[str | Callable[[Lookup], Any], Any] = {}
        self._replaced: Mapping[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        cached: Array | None = self._cache.get(name)
        if cached is None:
            cached = self._cache[name] = self._read(name)
        return cached

    def once(self, function: Callable[[Lookup], Result]) -> Result:
        """The function's value at this instant, computed at the first call."""
        cached: Result | None = self._cache.get(function)
        if cached is None:
            cached = self._cache[function] = function(self)
        return cached

    def _read(self, name: str) -> Array:
        signal = self.table[name]
        if signal.kind == "sensor":
            span = self.table.columns[name]
            if not signal.shape:
                return np.asarray(self._data[..., span.start])
            part = self._data[..., span]
            return part if len(signal.shape) == 1 else part.reshape(*self.lead, *signal.shape)
        if signal.kind == "derived":
            known = None if self._block is None else self._block._cache.get(name)
            return self.table.derivations[name](self) if known is None else np.ascontiguousarray(known[:, -1])
        if signal.kind == "constant":
            return np.full(self.lead, self.table.constants[name])
        value = self._held[name]
        if len(self.lead) == 1:
            return value
        return np.broadcast_to(value[:, None], (*self.lead, *signal.shape))

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)

    def with_values(self, values: Mapping[str, Array]) -> Lookup:
        """The same instant with some signals replaced (what sensing disturbances do); derived ones follow."""
        other = Lookup(self.table, self._data, self._held, self.lead)
        other._replaced = {**self._replaced, **values}
        other._cache.update(other._replaced)
        return other


def once(function: Callable[[Lookup], Result]) -> Callable[[Lookup], Result]:
    """Decorates a function of signals that several terms use: computed once an instant. Its result must not be changed."""
    return wraps(function)(lambda s: s.once(function))


class Signals:
    """One block of a set of worlds.

    Args:
        table: what the columns mean.
        block: `(N, K, C)` float64, K substeps of one control tick.
        held: control-rate values, name -> `(N, *shape)`.
    """

    def __init__(self, table: SignalTable, block: Array, held: Mapping[str, Array]) -> None:
        self.table = table
        self.block = block
        self.held = held
        self._all = Lookup(table, block, held, block.shape[:2])
        self.now = Lookup(table, np.ascontiguousarray(block[:, -1]), held, block.shape[:1], self._all)

    def __getitem__(self, name: str) -> Array:
        return self._all[name]

    @property
    def worlds(self) -> int:
        return int(self.block.shape[0])

    @property
    def substeps(self) -> int:
        return int(self.block.shape[1])


def as_rows(table: SignalTable, names: list[str]) -> list[dict[str, Any]]:
    """Rows for `genba tasks --json`: name, unit, shape."""
    return [{"name": n, "unit": table[n].unit, "shape": list(table[n].shape)} for n in names]
