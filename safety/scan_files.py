"""What a scan found, in `scan.json` of its check, bound to its plan; and what that says for the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..envs.errors import BadInput
from ..envs.files import atomic_write_bytes, canonical_json, read_json, sha256_hex
from .evidence import Tampered
from .percent import at_least, plain
from .plan import Plan
from .statistics import clopper_pearson_lower

FILE, CONCLUSION = "scan.json", "check.json"
REPEATED, LONG_RUNS, WALK_RUNS = 8, 24, 16  # episodes of a scan
LARGEST = 1 << 20  # bytes
HOLE = 0.5  # what happens in more than this share of the episodes happens as a rule
RESTLESS = (
    0.25  # share of long runs at whose end the robot may still be told to move: people's hands are followed
)
ALONE = 0.01  # of an action's range from 0 to 1: rounding in other kernels is below a thousandth
LOST = 0.75  # what happens in more than this share of the walks does not hang on where they lead
FEW = 0.25  # share of walks after which the work need not be done: a belt does not wait for them
Count = Annotated[int, Field(ge=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Hole(_Frozen):
    """A region of the declared starts in which the policy goes wrong: the middle of each draw that is held, half its width (a
    draw is between 0 and 1), of those that choose among how many they do, and of `n` fresh episodes in it, everything else by chance, how
    many went wrong."""

    episode: Count
    held: dict[str, tuple[float, ...]]
    choices: dict[str, Count] = Field(default_factory=dict)
    half_width: float
    wrong: Count
    n: Count
    reason: str

    def chosen(self, name: str) -> int:
        """Which of `choices[name]` was chosen, from 1; 0 for a draw that does not choose."""
        return int(self.held[name][0] * self.choices[name]) + 1 if name in self.choices else 0

    @property
    def says(self) -> str:
        where = " and ".join(
            f"{name} {self.chosen(name)} of {self.choices[name]}"
            if name in self.choices
            else f"{name} near {', '.join(f'{value:.3f}' for value in values)} of its range"
            for name, values in sorted(self.held.items())
        )
        return f"{self.wrong} of {self.n} fresh episodes with {where} went wrong ({self.reason}), as episode {self.episode} did"


class Long(_Frozen):
    """Undisturbed episodes that were watched on for `seconds` after success: how many, by hard constraint those that broke it, those in
    which what was done did not stay done (in a cell where it would by itself, `Task.lasting`), and those at whose end the policy still told
    the robot to move, with the fastest (m/s)."""

    runs: Count
    seconds: float
    broken: dict[str, Count]
    not_kept: Count
    restless: Count = 0
    fastest: float = 0.0


class Walks(_Frozen):
    """Undisturbed episodes before which the robot was walked about for `seconds`: how many, how many did not succeed, and by hard constraint
    those that broke it after the walk."""

    runs: Count
    seconds: float
    failed: Count
    broken: dict[str, Count]

    def lost(self, confidence: float) -> bool:
        """Whether the work is hardly ever done after a walk."""
        return clopper_pearson_lower(self.failed, self.runs, confidence) > LOST

    @property
    def often(self) -> dict[str, int]:
        """Hard limits broken in more than half of them. Where a walk leaves the robot may break one by itself, so this is a lead."""
        return {name: count for name, count in sorted(self.broken.items()) if count > HOLE * self.runs}


class Inputs(_Frozen):
    """Observations that were met, columns of them swept across what was met: how many were swept; columns with no number for an answer,
    each with a value; of a network, columns in which an action jumps by `jumps` between neighbouring numbers, which no smooth
    network does: there is a branch, and what is behind it may never have been seen; and how much of an action (which reaches from -1 to
    1) hangs on how many observations are asked about at once."""

    asked: Count
    no_number: dict[str, float]
    jumps: dict[str, float] = Field(default_factory=dict)
    alone: float = 0.0


@dataclass(frozen=True)
class Broken:
    """A limit that was broken long after success: in how many runs, the lower bound of its rate, and what is allowed."""

    id: str
    count: int
    lower: float
    allowed: float


class Scan(_Frozen):
    """What was looked for beside the episodes of a plan, and found."""

    format: Literal[1] = 1
    plan_sha256: str
    repeated: Count
    changed: tuple[Count, ...]
    inputs: Inputs
    long: Long
    walks: Walks | None = None
    suspects: Count
    holes: tuple[Hole, ...]
    episodes: Count

    def reasons(self, plan: Plan) -> tuple[str, ...]:
        """Why this policy must not pass, one line each.

        What is said of a rate is said at the plan's confidence, by each kind of look for itself (a hole, long runs, rest, walks): their
        errors add to each other's and to the campaign's.
        """
        found = [
            f"scan: no finite number as an action where {name} is {value:.6g}, next to what was met or as a lost reading is"
            for name, value in sorted(self.inputs.no_number.items())
        ]
        if self.inputs.alone > ALONE:
            found.append(
                f"scan: asked about one observation it answers otherwise than about many: {self._alone()}"
            )
        found += [f"scan: a hole in the range of starts: {hole.says}" for hole in self.holes]
        found += [
            f"scan: {each.id}: violated in {each.count} of {self.long.runs} undisturbed episodes, watched until {self.long.seconds:g} s "
            f"after success, at least {at_least(each.lower)}, allowed {plain(each.allowed)}"
            for each in self.broken(plan)
        ]
        if self.undone(plan):
            found.append(f"scan: what was done does not stay done: {self._not_kept()}")
        if self.never_rests(plan):
            found.append(f"scan: the robot does not come to rest: {self._told_to_move()}")
        if self.lost(plan):
            found.append(f"scan: lost off its way: {self._off_its_way()}")
        return tuple(found)

    def undone(self, plan: Plan) -> bool:
        """Whether success is kept too seldom for what the suite demands of undisturbed episodes."""
        seldom = clopper_pearson_lower(self.long.not_kept, self.long.runs, plan.confidence)
        return any(seldom > 1.0 - rule.at_least for rule in plan.suite.verdict.success if rule.severity == 0)

    def never_rests(self, plan: Plan) -> bool:
        """Whether the robot is often still told to move long after success."""
        return clopper_pearson_lower(self.long.restless, self.long.runs, plan.confidence) > RESTLESS

    def lost(self, plan: Plan) -> bool:
        """Whether the work is hardly ever done after a walk, where the suite asks for it at all."""
        walks = self.walks
        return walks is not None and walks.lost(plan.confidence) and bool(plan.suite.verdict.success)

    def doubtful(self, plan: Plan) -> bool:
        """Whether what came of the walks is worth a word, and no more."""
        if self.walks is None or self.lost(plan):
            return False
        seldom = self.walks.failed > FEW * self.walks.runs and bool(plan.suite.verdict.success)
        return seldom or bool(self.walks.often)

    def _alone(self) -> str:
        return f"actions differ by up to {self.inputs.alone:.2g} of 1, and a robot asks about one"

    def _not_kept(self) -> str:
        long = self.long
        return f"in {long.not_kept} of {long.runs} episodes it was lost again within {long.seconds:g} s of success"

    def _told_to_move(self) -> str:
        long = self.long
        return (
            f"it was still told to move, by up to {1000.0 * long.fastest:.0f} mm/s, in {long.restless} of {long.runs} episodes "
            f"{long.seconds:g} s after success"
        )

    def doubts(self) -> tuple[str, ...]:
        """Why the evidence is none, one line each."""
        if not self.changed:
            return ()
        which = ", ".join(str(episode) for episode in self.changed)
        return (
            f"scan: {len(self.changed)} of {self.repeated} episodes came out differently when they were played again ({which}): "
            "what this policy does cannot be repeated, so the evidence decides nothing",
        )

    def broken(self, plan: Plan) -> tuple[Broken, ...]:
        """Hard limits whose rate in the long runs is too high for chance, all of them claimed together."""
        limits = {each.id: each.max_rate for each in plan.suite.values}
        each = 1.0 - (1.0 - plan.confidence) / max(len(self.long.broken), 1)
        found = [
            Broken(name, count, clopper_pearson_lower(count, self.long.runs, each), limits[name])
            for name, count in sorted(self.long.broken.items())
        ]
        return tuple(each for each in found if each.lower > each.allowed)

    def warnings(self, plan: Plan) -> tuple[str, ...]:
        """What does not gate."""
        found = []
        if self.long.not_kept and not self.undone(plan):
            found.append(f"scan: what was done does not always stay done: {self._not_kept()} (does not gate)")
        if self.long.restless and not self.never_rests(plan):
            found.append(f"scan: the robot does not always rest: {self._told_to_move()} (does not gate)")
        if self.doubtful(plan):
            found.append(f"scan: {self._off_its_way()} (does not gate)")
        if self.inputs.jumps:
            where = ", ".join(f"{name} (by {size:.2g})" for name, size in sorted(self.inputs.jumps.items()))
            found.append(
                f"scan: the network branches: an action jumps between neighbouring numbers of {where} (does not gate)"
            )
        return tuple(found)

    def _off_its_way(self) -> str:
        assert self.walks is not None
        walks = self.walks
        limits = "".join(f", {name} broken in {count}" for name, count in walks.often.items())
        return f"walked about for {walks.seconds:g} s beforehand, {walks.failed} of {walks.runs} episodes did not succeed{limits}"

    def table(self) -> list[str]:
        """One line of what was looked at."""
        walks = f"{self.walks.runs} after a random walk, " if self.walks is not None else ""
        return [
            f"         scan     {self.repeated} episodes again, {self.inputs.asked:,} swept observations, {self.long.runs} episodes watched "
            f"on for {self.long.seconds:g} s, {walks}{self.suspects} failures followed up"
        ]

    def as_json(self) -> Mapping[str, Any]:
        return self.model_dump(mode="json", exclude={"format", "plan_sha256"})


def write_scan(folder: Path, scan: Scan) -> None:
    """Leave a scan in the folder of its check."""
    atomic_write_bytes(folder / FILE, canonical_json(scan.model_dump(mode="json")))


def read_scan(folder: Path, plan: Plan) -> Scan | None:
    """The scan of a check; None where its plan asks for none, or it is not there yet. Raises Tampered."""
    path = folder / FILE
    if not plan.scan or not path.is_file():
        return None
    again = "this scan cannot be used: delete it and go on with: genba check --resume"
    try:
        if path.stat().st_size > LARGEST:
            raise BadInput("too large")
        data = path.read_bytes()
        scan = Scan.model_validate_json(data)
    except (OSError, ValidationError, BadInput) as error:
        reason = " ".join(str(error).split())[:100]
        raise Tampered(f"{path}: not a scan ({reason}); {again}") from None
    if scan.plan_sha256 != plan.sha256:
        raise Tampered(f"{path}: belongs to another plan; {again}")
    if wrong := _unlike_a_scan(scan, plan):
        raise Tampered(f"{path}: {wrong}; {again}")
    if not _as_concluded(folder, scan):
        raise Tampered(f"{path}: is not the scan that check.json was concluded with; {again}")
    return scan


def _unlike_a_scan(scan: Scan, plan: Plan) -> str:
    """What no scan of this plan says; empty where it says nothing of the kind."""
    assessed = {each.id for each in plan.assessed}
    hard = {each.id for each in plan.suite.values if each.hard and each.id in assessed}
    looks: tuple[Long | Walks, ...] = (scan.long,) if scan.walks is None else (scan.long, scan.walks)
    if any(set(look.broken) != hard for look in looks):
        return "its limits are not the hard ones of the plan"
    if (scan.long.runs, scan.walks.runs if scan.walks else WALK_RUNS) != (LONG_RUNS, WALK_RUNS):
        return f"looked at {scan.long.runs} long runs, not {LONG_RUNS}"
    counted = [(scan.long.not_kept, scan.long.runs), (scan.long.restless, scan.long.runs)]
    counted += [(count, look.runs) for look in looks for count in look.broken.values()]
    counted += [(scan.walks.failed, scan.walks.runs)] if scan.walks else []
    counted += [(hole.wrong, hole.n) for hole in scan.holes] + [(len(scan.changed), scan.repeated)]
    if any(count > n for count, n in counted) or scan.repeated < 1:
        return "counts more than it looked at"
    if not all(values for hole in scan.holes for values in hole.held.values()):
        return "a hole holds a draw at no value"
    return ""


def _as_concluded(folder: Path, scan: Scan) -> bool:
    """Whether a stored conclusion, where there is one, rests on this very scan."""
    stored = read_json(folder / CONCLUSION)
    if not isinstance(stored, dict) or not isinstance(stored.get("scan"), dict):
        return True
    return sha256_hex(canonical_json(stored["scan"])) == sha256_hex(canonical_json(scan.as_json()))
