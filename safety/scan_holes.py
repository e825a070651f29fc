"""Holes: regions of the declared starts in which a policy goes wrong as a rule, found from episodes that went wrong.

A failure by chance hardly repeats; a fault that waits for a place does. Each suspect is played again near its start. Where it
goes wrong again and again, its start quantities are left to chance, first by kind, then each, for as long as it still goes wrong: what
remains held is what the failure hangs on. A few quantities make a region that people can name and that episodes will meet; many are a knife's
edge, which the rate of the campaign speaks of already. What is claimed rests on fresh episodes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..envs.chosen import Noted
from ..envs.streams import Streams
from ..envs.task import Task
from .episodes import Row
from .evidence import Evidence
from .plan import Episode
from .scan_files import HOLE, Hole
from .search_space import EDGE, NOT_PLANNED, first_seed
from .statistics import clopper_pearson_lower

Play = Callable[[Sequence[Episode]], list[Row]]

SUSPECTS = 24  # failures that are followed up
FOLLOWED = 4  # of them, those that are narrowed down
HALF_WIDTH = 0.01  # of a draw's range
AGAIN, NARROW, FRESH = 4, 4, 24  # episodes: near a suspect, of each step, of a claim
STILL = 0.75  # share that still goes wrong
NUMBERS, KINDS = 3, 2  # a region holds at most so many quantities that are not choices, of so many kinds


@dataclass
class Suspect:
    """A failure, the draws that its start had, and those that are still held."""

    row: Row
    draws: Mapping[str, NDArray[np.float64]]
    choices: Mapping[str, int]  # those that choose, and among how many
    held: tuple[str, ...]
    reasons: list[str] = field(default_factory=list)

    @property
    def numbers(self) -> int:
        """How many held quantities are no choices."""
        return sum(len(self.draws[name]) for name in self.held if name not in self.choices)


class Follower:
    """Plays episodes near suspects; each has seeds of its own."""

    def __init__(self, play: Play, seed: int) -> None:
        self.play, self.seed, self.played = play, seed, 0

    def wrong(
        self, suspects: Sequence[Suspect], held: Sequence[tuple[str, ...]], count: int, rules: Rules
    ) -> list[int]:
        """Of `count` episodes each, with the streams `held` near where each suspect had them: how many went wrong."""
        if not suspects:
            return []
        episodes: list[Episode] = []
        for suspect, names in zip(suspects, held, strict=True):
            for _ in range(count):
                seed = first_seed(self.seed) + self.played
                self.played += 1
                episodes.append(
                    Episode(len(episodes), NOT_PLANNED, "none", 0, seed, _near(suspect, names, seed))
                )
        rows = self.play(episodes)
        found = []
        for i, suspect in enumerate(suspects):
            own = [row for row in rows[i * count : (i + 1) * count] if rules.broken(row)]
            suspect.reasons += [rules.why(row) for row in own]
            found.append(len(own))
        return found


def _near(suspect: Suspect, names: Sequence[str], seed: int) -> dict[str, tuple[float, ...]]:
    draws = {}
    for name in names:
        middle = suspect.draws[name]
        if name not in suspect.choices:
            aside = Streams(f"scan/{name}", np.array([seed])).between("aside", -1.0, 1.0, middle.shape)[0]
            middle = np.clip(middle + HALF_WIDTH * aside, EDGE, 1.0 - EDGE)
        draws[name] = tuple(middle.tolist())
    return draws


@dataclass(frozen=True)
class Rules:
    """What counts as going wrong: a hard limit broken, and no success where the suite demands any."""

    hard: tuple[str, ...]
    success: bool

    def broken(self, row: Row) -> bool:
        return bool(self.why(row))

    def why(self, row: Row) -> str:
        """A word for what went wrong; empty where nothing did."""
        limits = [name for name in self.hard if not row[f"margin.{name}"] >= 0.0]
        if limits:
            return limits[0]
        return str(row["reason"]) if self.success and not row["success"] else ""


def suspects_of(evidence: Evidence, task: Task, rules: Rules) -> list[Suspect]:
    """Failures of the campaign, those on good days first."""
    rows = [row for row in evidence.rows() if rules.broken(row)]
    rows = sorted(rows, key=lambda row: (row["severity"], row["episode"]))[:SUSPECTS]
    if not rows:
        return []
    seeds = np.array([row["seed"] for row in rows], np.int64)
    noted = Noted(task.key, seeds, {})
    task.place(noted)
    drawn = {name: noted.uniform(name, (size,)) for name, size in noted.sizes.items()}
    names = tuple(sorted(drawn))
    return [
        Suspect(row, {name: drawn[name][i] for name in names}, noted.counts, names)
        for i, row in enumerate(rows)
    ]


def holes(
    suspects: Sequence[Suspect], play: Play, seed: int, rules: Rules, confidence: float
) -> tuple[list[Hole], int]:
    """The holes that suspects lead to, and how many episodes that took."""
    follower = Follower(play, seed)
    if not suspects:
        return [], 0
    again = follower.wrong(suspects, [each.held for each in suspects], AGAIN, rules)
    left = [each for each, count in zip(suspects, again, strict=True) if count >= STILL * AGAIN]
    left = left[:FOLLOWED]
    left = _freed(follower, left, rules, _kinds, lambda each, group: 1, KINDS)
    left = _freed(follower, left, rules, _single, _numbers, NUMBERS)
    left = _unlike([each for each in left if each.held and each.numbers <= NUMBERS])
    for each in left:
        each.reasons.clear()
    wrong = follower.wrong(left, [each.held for each in left], FRESH, rules)
    share = 1.0 - (1.0 - confidence) / max(len(left), 1)
    found = [
        Hole(
            episode=each.row["episode"],
            held={name: tuple(each.draws[name].tolist()) for name in each.held},
            choices={name: each.choices[name] for name in each.held if name in each.choices},
            half_width=HALF_WIDTH,
            wrong=count,
            n=FRESH,
            reason=max(sorted(set(each.reasons)), key=each.reasons.count),
        )
        for each, count in zip(left, wrong, strict=True)
        if clopper_pearson_lower(count, FRESH, share) > HOLE
    ]
    return found, follower.played


def _kind(name: str) -> str:
    """What a start quantity is about: `reach` of `reach.start`."""
    return name.split(".")[0]


Group = frozenset[str]


def _kinds(suspect: Suspect) -> list[Group]:
    """What is held by kind: all of `reach.start`, `reach.stay`, ..., then those of the next."""
    kinds = dict.fromkeys(_kind(name) for name in suspect.held)
    return [frozenset(name for name in suspect.held if _kind(name) == kind) for kind in kinds]


def _single(suspect: Suspect) -> list[Group]:
    return [frozenset([name]) for name in suspect.held]


def _numbers(suspect: Suspect, group: Group) -> int:
    """How many quantities of a group are no choices."""
    return sum(len(suspect.draws[name]) for name in group if name not in suspect.choices)


def _freed(
    follower: Follower,
    suspects: Sequence[Suspect],
    rules: Rules,
    groups_of: Callable[[Suspect], Sequence[Group]],
    weight: Callable[[Suspect, Group], int],
    most: int,
) -> list[Suspect]:
    """Suspects that hold no more than the groups without which they no longer go wrong; those with more than `most` of them are dropped.

    Each group is left to chance by itself, all in one batch; then all that were not missed at once. Who no longer goes wrong then hangs
    on one of several, and is asked about them one after another.
    """
    asked = [(each, group) for each in suspects for group in groups_of(each)]
    still = _still_wrong(follower, asked, rules)
    idle: dict[int, list[Group]] = {id(each): [] for each in suspects}
    needed = dict.fromkeys(idle, 0)
    for (each, group), wrong in zip(asked, still, strict=True):
        if wrong:
            idle[id(each)].append(group)
        else:
            needed[id(each)] += weight(each, group)
    left = [each for each in suspects if needed[id(each)] <= most]
    together = _still_wrong(follower, [(each, frozenset().union(*idle[id(each)])) for each in left], rules)
    for each, wrong in zip(left, together, strict=True):
        if wrong:
            each.held = _without(each.held, frozenset().union(*idle[id(each)]))
            idle[id(each)] = []
    while asked := [(each, idle[id(each)].pop(0)) for each in left if idle[id(each)]]:
        for (each, group), wrong in zip(asked, _still_wrong(follower, asked, rules), strict=True):
            if wrong:
                each.held = _without(each.held, group)
            else:
                needed[id(each)] += weight(each, group)
        left = [each for each in left if needed[id(each)] <= most]
    return left


def _still_wrong(follower: Follower, asked: Sequence[tuple[Suspect, Group]], rules: Rules) -> list[bool]:
    """Whether each suspect still goes wrong, as a rule, with a group left to chance."""
    held = [_without(each.held, group) for each, group in asked]
    counts = follower.wrong([each for each, _ in asked], held, NARROW, rules)
    return [count >= STILL * NARROW for count in counts]


def _without(names: Sequence[str], group: Group) -> tuple[str, ...]:
    return tuple(name for name in names if name not in group)


def _unlike(suspects: Sequence[Suspect]) -> list[Suspect]:
    """One of those that hold the same quantities, or some more, at nearly the same values."""
    kept: list[Suspect] = []
    for each in sorted(suspects, key=lambda suspect: len(suspect.held)):
        if not any(_alike(each, other) for other in kept):
            kept.append(each)
    return kept


def _alike(one: Suspect, other: Suspect) -> bool:
    return set(other.held) <= set(one.held) and all(
        np.abs(one.draws[name] - other.draws[name]).max() <= 10 * HALF_WIDTH for name in other.held
    )
