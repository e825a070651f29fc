"""What can go wrong, as one line each for the person at the keyboard.

    GenbaError                 exit code 2: wrong input
    ├── UnknownName            a name that does not exist; lists the ones that do, closest first (also a KeyError)
    ├── BadInput               a file, value or option that cannot be used
    ├── Refused                exit code 1: the request is understood and declined (no PASS, no release)
    └── EnvironmentProblem     exit code 3: this machine lacks something; `genba doctor` says what

`str(error)` is the whole message. It says what is wrong and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LISTED = 16


class GenbaError(Exception):
    """The base of every error that a user may see."""

    exit_code = 2

    def __str__(self) -> str:
        return printable(" ".join(str(part) for part in self.args))


class UnknownName(GenbaError, KeyError):  # noqa: N818 - reads as what it is
    """A name of some `kind` ("task", "signal", ...) that is not among `known`."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        self.closest = closest(name, self.known)
        super().__init__(kind, name, self.known)

    def __str__(self) -> str:
        line = f"unknown {self.kind} '{one_line(self.name)}'. {suggestion(self.closest)}({listing(self.known, self.closest)})"
        return printable(line)


class BadInput(GenbaError):  # noqa: N818
    """A file, value or option that cannot be used as it is."""


class Refused(GenbaError):  # noqa: N818
    """The request is understood and declined: a failed or missing check."""

    exit_code = 1


class EnvironmentProblem(GenbaError):  # noqa: N818
    """This machine lacks something that the work needs."""

    exit_code = 3


def printable(text: str) -> str:
    """The text without line ends and control characters: a file's own words must not paint the terminal."""
    return "".join(each if each.isprintable() else " " for each in text)


def one_line(what: object, length: int = 200) -> str:
    """Whatever others wrote (a foreign error, a peer's message) as one printable line of at most `length` characters."""
    text = " ".join(printable(str(what)).split())
    return text if len(text) <= length else f"{text[: length - 1]}…"


def closest(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """The up to three `known` names that look most like `name`, closest first."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    return tuple(by_lower[match] for match in found)


def suggestion(names: tuple[str, ...]) -> str:
    """Ask "Did you mean a or b?", or say nothing when nothing is close."""
    return f"Did you mean {' or '.join(names)}? " if names else ""


def listing(known: tuple[str, ...], first: tuple[str, ...]) -> str:
    """Write "known: a, b, c", shortened to the closest and the first few when there are many."""
    if not known:
        return "none exist"
    if len(known) <= LISTED:
        return "known: " + ", ".join(known)
    ordered = [*first, *(name for name in known if name not in first)]
    return "known: " + ", ".join(ordered[:LISTED]) + f", and {len(known) - LISTED} more"
