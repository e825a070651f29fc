"""The search lane: `genba check --search 120s` looks for episodes that violate a hard constraint or miss the goal.

It claims that what it found exists, and nothing else: no rate, and, where it found nothing, no absence (docs/search.md). It never touches
the estimate lane's rows, bounds or verdict.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..envs.errors import BadInput, printable
from ..envs.task import get_task
from .episodes import Loop, Row, side_by_side, split
from .evidence import read_plan
from .folders import find_check
from .plan import Plan
from .policy import OneAtATime, Policy
from .progress import Progress, Say
from .replay import loop_of
from .result import CheckResult
from .search_explore import SUCCESS, Budget, Play, explore
from .search_files import FOLDER, Findings, Found, MovedDraw, shown_condition, shown_value, write_findings
from .search_minimise import Lead, Minimiser, leads_of
from .search_space import Point, Space, space_of

WORLDS = 96
LEAST, MOST_SECONDS, MOST_EPISODES = 16, 86_400.0, 10_000_000
LISTED = 12
SEEDS = 1 << 20


def search_budget(text: str) -> Budget:
    """`120s`, `5m` or a number of episodes. Raises BadInput."""
    given = re.fullmatch(r"([0-9]{1,9})(s|m|)", text)
    if not given:
        raise BadInput(
            f"--search {text[:40]}: expected seconds as 120s, minutes as 5m, or a number of episodes"
        )
    number, unit = int(given[1]), given[2]
    if not unit:
        if not LEAST <= number <= MOST_EPISODES:
            raise BadInput(f"--search {text}: expected {LEAST} to {MOST_EPISODES:,} episodes")
        return Budget(episodes=number)
    seconds = float(number * (60 if unit == "m" else 1))
    if not 1 <= seconds <= MOST_SECONDS:
        raise BadInput(f"--search {text}: expected 1 s to a day")
    return Budget(seconds=seconds)


@dataclass(frozen=True)
class SearchResult:
    """What a search found; `folder` is where it lies."""

    folder: Path
    found: Findings

    def as_json(self) -> Mapping[str, Any]:
        rows = self.found.model_dump(mode="json", exclude={"findings"})
        return {
            **rows,
            "folder": str(self.folder),
            "findings": [
                {**each.model_dump(mode="json"), "replay": self._replay(each)} for each in self.found.findings
            ],
        }

    def table(self) -> str:
        found = self.found
        lines = [
            f"search   {found.budget}: {found.episodes:,} episodes, {len(found.draws)} start quantities chosen, "
            f"{len(found.findings)} findings    {self.folder}"
        ]
        for each in found.findings[:LISTED]:
            draws = [_shown(draw) for draw in each.moved]
            more = f", and {len(draws) - 4} more" if len(draws) > 4 else ""
            lines += [
                f"         {each.target:<22}{shown_value(each):>15}  {shown_condition(each)}"
                + (f"; {', '.join(draws[:4])}{more}" if draws else "; nominal start"),
                f"         {'':<22}share of declared episodes at least as far out: {each.share:.2g}    {self._replay(each)}",
            ]
        if len(found.findings) > LISTED:
            lines.append(f"         and {len(found.findings) - LISTED} more (--json has them)")
        lines.append(
            "         a search says what exists, not how often; the verdict does not count it"
            if found.findings
            else "         finding nothing shows nothing: no rate follows from a search"
        )
        return "\n".join(printable(line) for line in lines)

    def _replay(self, found: Found) -> str:
        return f"genba replay {self.folder} {found.finding}"


@dataclass(frozen=True)
class CheckedAndSearched:
    """A check and the search after it: two lanes beside each other."""

    checked: CheckResult
    searched: SearchResult

    @property
    def exit_code(self) -> int:
        """The check's: a search takes no part in the verdict."""
        return self.checked.exit_code

    def as_json(self) -> Mapping[str, Any]:
        return {**self.checked.as_json(), "search": self.searched.as_json()}

    def table(self) -> str:
        return f"{self.checked.table()}\n{self.searched.table()}"


def searched(
    text: str, threads: int, say: Say | None
) -> Callable[[CheckResult, Policy], CheckResult | CheckedAndSearched]:
    """What --search adds to a check: nothing where it was not given. Raises BadInput before anything runs."""
    if not text:
        return lambda result, policy: result
    search_budget(text)

    def add(result: CheckResult, policy: Policy) -> CheckedAndSearched:
        found = search(result.folder, policy, search_budget(text), threads=threads, say=say)
        return CheckedAndSearched(result, found)

    return add


def search(
    where: str | Path,
    policy: Policy,
    budget: Budget,
    *,
    seed: int = 0,
    threads: int = 0,
    worlds: int = WORLDS,
    say: Say | None = None,
) -> SearchResult:
    """Search beside a check, with its suite, cell and policy, and leave the findings in its folder.

    With a budget of episodes the same search finds the same, byte for byte; seconds decide only when it ends.

    Args:
        where: the check, or a run (its latest check).
        seed: 0 to 1,048,575 fixes what is proposed.
        threads, worlds: never change what an episode gives.

    Raises:
        BadInput: no such check, another policy, or a seed that cannot be used.
    """
    if not 0 <= seed < SEEDS:
        raise BadInput(f"--seed {seed}: expected 0 to {SEEDS - 1:,}")
    check = find_check(where)
    plan = read_plan(check)
    shared = OneAtATime(policy)
    most = worlds if budget.episodes is None else min(worlds, budget.episodes)
    loops = [loop_of(plan, shared, n, cores) for n, cores in split(most, threads)]
    space = space_of(loops[0].worlds, plan.conditions)
    with Progress("search", 100, 0, say) as progress:
        try:
            leads, explored = hunted(plan, space, player(loops, space, budget, progress), budget, seed)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"the check is kept in {check}; the search left nothing") from None
    return kept(check / FOLDER, plan, space, leads, budget, explored, seed)


def hunted(plan: Plan, space: Space, play: Play, budget: Budget, seed: int) -> tuple[list[Lead], int]:
    """Small findings, the likeliest first, and the number of episodes that exploring took."""
    horizon_s, wanted = get_task(plan.task).horizon_s, targets(plan)
    tried = explore(space, wanted, horizon_s, play, budget, seed)
    explored, minimiser = budget.played, Minimiser(space, horizon_s, play, budget)
    left = (1.0 - budget.spent) / max(budget.spent, 1e-9) * explored
    most = max(1, int(left / (3 * len(space.start) + 25)))
    return minimiser.run(leads_of(tried, wanted, horizon_s, space, most)), explored


def targets(plan: Plan) -> tuple[str, ...]:
    """What a search is after: the hard constraints that this cell can judge, and success."""
    assessed = {each.id for each in plan.assessed}
    hard = [each.id for each in plan.suite.values if each.hard and each.id in assessed]
    return (*hard, SUCCESS)


def player(loops: Sequence[Loop], space: Space, budget: Budget, progress: Progress) -> Play:
    """What plays points, in their order, on worlds of its own."""

    def play(points: Sequence[Point]) -> list[Row]:
        episodes = [space.episode(i, point) for i, point in enumerate(points)]
        with closing(side_by_side(loops, episodes)) as rows:
            found = {row["episode"]: row for row in rows}
        progress.advance(max(0, min(99, int(100 * budget.spent)) - progress.done))
        return [found[i] for i in range(len(points))]

    return play


def kept(
    folder: Path, plan: Plan, space: Space, leads: Sequence[Lead], budget: Budget, explored: int, seed: int
) -> SearchResult:
    """Write the findings of a search."""
    units = {each.id: each.unit for each in plan.assessed} | {SUCCESS: "s"}
    rows = [{**lead.tried.row, "episode": i} for i, lead in enumerate(leads)]
    found = Findings(
        plan_sha256=plan.sha256,
        seed=seed,
        budget=f"{budget.seconds:g} s" if budget.seconds else f"{budget.episodes:,} episodes",
        episodes=budget.played,
        explored=explored,
        targets=targets(plan),
        draws=tuple(draw.name for draw in space.start),
        findings=tuple(_found(i, lead, plan, space, units) for i, lead in enumerate(leads)),
    )
    write_findings(folder, plan, found, rows)
    return SearchResult(folder, found)


def _found(number: int, lead: Lead, plan: Plan, space: Space, units: Mapping[str, str]) -> Found:
    point, row = lead.tried.point, lead.tried.row
    moved = [
        MovedDraw(name=draw.name, value=value, among=draw.count)
        for draw, value in zip(space.draws(point.disturbance), point.values.tolist(), strict=True)
        if value != draw.nominal
    ]
    broken = [each.id for each in plan.assessed if not row[f"margin.{each.id}"] >= 0.0]
    failed = [] if row["success"] else [SUCCESS]
    return Found(
        finding=number,
        target=lead.target,
        value=None if lead.value == float("-inf") else lead.value,
        unit=units[lead.target],
        reason=row["reason"],
        disturbance=point.disturbance,
        severity=point.severity,
        moved=tuple(moved),
        share=space.share(point),
        also=tuple(each for each in (*broken, *failed) if each != lead.target),
        members=lead.members,
        seed=point.seed,
        draws=dict(space.episode(number, point).draws),
    )


def _shown(draw: MovedDraw) -> str:
    if draw.among:
        return f"{draw.name} {int(draw.value * draw.among) + 1} of {draw.among}"
    return f"{draw.name} {draw.value:.3f}"
