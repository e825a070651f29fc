"""How far a long job is: a bar with the time left on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

Say = Callable[[str], None]
LINE_EVERY_S = 15.0


class Progress:
    """Progress of `total` equal parts, of which `done` were there before.

    Args:
        say: where plain lines go when stderr is no terminal; None keeps quiet.
    """

    def __init__(self, what: str, total: int, done: int = 0, say: Say | None = None) -> None:
        self.what, self.total, self.done, self.say = what, total, done, say
        self._before, self._began = done, time.monotonic()
        self._last = self._began
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if self.say is not None and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=self.total,
                initial=self.done,
                desc=self.what,
                file=sys.stderr,
                leave=False,
                dynamic_ncols=True,
            )
        return self

    def advance(self, parts: int, note: str = "") -> None:
        """`parts` more are done; `note` says how it goes."""
        self.done += parts
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(parts)
        elif self.say is not None and time.monotonic() - self._last >= LINE_EVERY_S:
            self._last = time.monotonic()
            self.say(
                f"{self.what} {self.done:,} of {self.total:,}, {self._left()} left{', ' if note else ''}{note}"
            )

    def _left(self) -> str:
        pace = (self.done - self._before) / (time.monotonic() - self._began)
        return f"{(self.total - self.done) / pace:.0f} s" if pace > 0 else "some time"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
