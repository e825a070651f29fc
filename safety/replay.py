"""One judged episode again: the same sensor data, bit for bit, or an honest "other platform" with what still agrees."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..envs.errors import BadInput, printable
from ..envs.platform import differences, fingerprint
from ..envs.task import get_task
from .campaign import versions
from .episodes import Loop, Row, Watch
from .evidence import Incomplete, checked_shard, platform_of, read_evidence, read_plan, rows_of, shard_path
from .folders import find_check
from .plan import Episode, Plan
from .policy import Policy
from .result import judged
from .search_files import is_search, stored_finding

TOLERANCE = 1e-3  # of margins, in their units, on another platform


@dataclass(frozen=True)
class Replayed:
    """A stored episode and the same one played now.

    `equal`: the sensor data and the whole row are the same to the last bit. `agrees`: the outcome is the same and every margin within
    `TOLERANCE`. `other_platform` lists what differs from the machine that stored it, `other_versions` what was edited since: Genba, the cell.
    """

    check: Path
    stored: Row
    now: Row
    other_platform: tuple[str, ...]
    other_versions: tuple[str, ...] = ()
    video: Path | None = None

    @property
    def equal(self) -> bool:
        return not self.changed

    @property
    def changed(self) -> tuple[str, ...]:
        """The columns that differ."""
        return tuple(name for name, value in self.stored.items() if not _same(value, self.now.get(name)))

    @property
    def agrees(self) -> bool:
        same = all(self.stored[name] == self.now[name] for name in ("success", "reason"))
        margins = (name for name in self.stored if name.startswith("margin."))
        return same and all(_close(self.stored[name], self.now[name]) for name in margins)

    @property
    def exit_code(self) -> int:
        return 0 if self.equal or (self.other_platform and self.agrees) else 1

    def as_json(self) -> Mapping[str, Any]:
        return {
            "trace_sha256": self.now["trace_sha256"],
            "stored_sha256": self.stored["trace_sha256"],
            "equal": self.equal,
            "agrees": self.agrees,
            "changed": list(self.changed),
            "other_platform": list(self.other_platform),
            "other_versions": list(self.other_versions),
            "tolerance": TOLERANCE,
            "check": str(self.check),
            "episode": self.stored,
            "video": str(self.video) if self.video else None,
        }

    def table(self) -> str:
        row = self.stored
        condition = "nominal" if not row["severity"] else f"{row['disturbance']} {row['severity']}"
        lines = [f"replay   {self.check} episode {row['episode']} (seed {row['seed']}, {condition}): {row['reason']} after "
                 f"{row['time_s']:.2f} s"]  # fmt: skip
        if self.equal:
            lines.append(f"         equal, bit for bit: {row['trace_sha256'][:16]}…")
        elif self.other_platform:
            word = (
                f"outcome and margins agree within {TOLERANCE:g}"
                if self.agrees
                else "outcome or margins differ"
            )
            lines.append(f"         other platform ({'; '.join(self.other_platform)}): {word}")
        else:
            lines.append(f"         NOT equal on the same platform: {', '.join(self.changed[:6])} differ")
        if not self.equal and self.other_versions:
            lines.append(f"         edited since (then / now): {'; '.join(self.other_versions)}")
        if self.video:
            lines.append(f"         {self.video}")
        return "\n".join(printable(line) for line in lines)


def replay(where: str | Path, episode: int, policy: Policy, video: Path | None = None) -> Replayed:
    """Play a judged episode again and compare it with what was stored.

    Args:
        where: a check, or a run (its latest check), or a release, or the folder of a search.
        episode: its number in the plan; of a search, the number of a finding.
        policy: the one that was judged.
        video: a .webm file to write.

    Raises:
        BadInput: no such episode, another policy, or another version of the task.
    """
    if video is None:
        return replays(where, [episode], policy)[0]
    from ..envs.render import Film, check_film

    check_film(video)
    with Film(video) as film:
        played = replays(where, [episode], policy, lambda loop: film.follow(loop.worlds, 0))[0]
    return replace(played, video=video)


def replays(
    where: str | Path, episodes: Sequence[int], policy: Policy, watch: Watch | None = None, threads: int = 1
) -> list[Replayed]:
    """Several judged episodes again, in worlds of their own. `watch` is called at the start and after every tick."""
    folder = find_check(where)
    plan, stored, asked = _asked(where, folder, episodes)
    loop = loop_of(plan, policy, len(episodes), threads)
    rows = {row["episode"]: row for row in loop.play(asked, watch)}
    other = tuple(differences(platform_of(folder), fingerprint()))
    now = {name: value for name, value in versions(loop.task).items() if name in ("genba", "cell")}
    edited = tuple(differences({name: plan.versions.get(name, "?") for name in now}, now))
    shown = Path(where) if is_search(where) else folder
    return [Replayed(shown, row, rows[row["episode"]], other, edited) for row in stored]


def _asked(where: str | Path, folder: Path, numbers: Sequence[int]) -> tuple[Plan, list[Row], list[Episode]]:
    """The plan, the stored rows and the episodes of a check, or of the findings of a search."""
    if is_search(where):
        found = [stored_finding(Path(where), number) for number in numbers]
        return found[0][0], [row for _, _, row in found], [finding.episode for _, finding, _ in found]
    plan = read_plan(folder)
    stored = [stored_row(folder, plan, number) for number in numbers]
    return plan, stored, [plan.episode(number) for number in numbers]


def loop_of(plan: Plan, policy: Policy, worlds: int, threads: int) -> Loop:
    """The closed loop that a plan describes. Raises BadInput where this policy or Genba is not the planned one."""
    if policy.sha256 != plan.policy.sha256:
        raise BadInput(
            f"policy {policy.name} ({policy.sha256[:12]}…) is not the one that was judged, {plan.policy.name} "
            f"({plan.policy.sha256[:12]}…)"
        )
    task = get_task(plan.task)
    if task.version != plan.task_version:
        raise BadInput(
            f"judged as {plan.task}/{plan.task_version}, but this Genba has {task.key}: check again"
        )
    # a parameter that came later has its own default; whether it changed anything, the bits say
    if any(task.cell.values.get(name) != value for name, value in plan.cell.items()):
        raise BadInput(
            f"judged in another cell of {plan.task} than this Genba's assets/cells say: check again"
        )
    assessed = {each.id for each in plan.assessed}
    constraints = [constraint for constraint in plan.suite.values if constraint.id in assessed]
    names = [condition.disturbance for condition in plan.conditions]
    return Loop(policy, task, constraints, names, worlds, threads, plan.metrics)


def stored_row(folder: Path, plan: Plan, episode: int) -> Row:
    """The row of one episode, from its shard alone. Raises BadInput, Incomplete, Tampered."""
    if not 0 <= episode < plan.episodes:
        raise BadInput(f"no episode {episode} in {folder}: expected 0 to {plan.episodes - 1}")
    number = episode // plan.episodes_per_shard
    if not shard_path(folder, number).is_file():
        if ended := decided_after(folder, plan):
            raise BadInput(
                f"no episode {episode} in {folder}: this check was decided after {ended:,} episodes; expected 0 to {ended - 1}"
            )
        raise Incomplete(f"{folder}: episode {episode} was not judged yet; go on with: genba check --resume")
    rows = list(rows_of(checked_shard(folder, plan, number)))
    return rows[episode - plan.shard(number).start]


def decided_after(folder: Path, plan: Plan) -> int:
    """After how many episodes a check that stops when it is decided has stopped; 0 where it has not, or has no such plan."""
    if not plan.looks:
        return 0
    try:
        evidence = read_evidence(folder)
    except Incomplete:
        return 0
    return len(evidence) if judged(evidence).word != "INSUFFICIENT" else 0


def _same(a: Any, b: Any) -> bool:
    return bool(a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)))


def _close(a: float, b: float) -> bool:
    return _same(a, b) or abs(a - b) <= TOLERANCE
