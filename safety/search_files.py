"""The files of a search, in `search/` of the check that it follows: `findings.json`, and their rows in `rows.parquet`.

The search has no part in the check's evidence: neither its plan nor its hash nor its verdict. What makes a finding true is that
it can be played again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..envs.errors import BadInput
from ..envs.files import atomic_write_text, plain_json
from .episodes import Row
from .evidence import Tampered, expected_columns, read_plan, rows_of, rows_sha256
from .folders import FINDINGS, find_check
from .plan import Episode, Plan
from .search_space import NOT_PLANNED
from .shards import read_shard, write_shard

FOLDER, ROWS = "search", "rows.parquet"
Value = Annotated[float, Field(gt=0.0, lt=1.0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MovedDraw(_Frozen):
    """A draw that is not nominal: its value between 0 and 1, and, of a choice, among how many."""

    name: str
    value: Value
    among: int = 0


class Found(_Frozen):
    """A finding: what it violates, by how much, under what, how far from nominal, how likely to be drawn, and how to play it.

    `value` is a margin in `unit`, or of success the seconds left (-1 where it was not reached), None where it was no number. `share`: of declared episodes, those at
    least as far out (see `Space.share`); it is no failure rate. `also` are other targets that the same episode violates, `members` the
    violations that were made small and came to this one.
    """

    finding: int = Field(ge=0)
    target: str
    value: float | None
    unit: str
    reason: str
    disturbance: str
    severity: int = Field(ge=0, le=5)
    moved: tuple[MovedDraw, ...]
    share: float
    also: tuple[str, ...]
    members: int
    seed: int = Field(ge=0, lt=2**63)
    draws: dict[str, Annotated[tuple[Value, ...], Field(min_length=1, max_length=64)]]

    @property
    def episode(self) -> Episode:
        return Episode(
            self.finding, NOT_PLANNED, self.disturbance, self.severity, self.seed, dict(self.draws)
        )


class Findings(_Frozen):
    """What a search left: bound to the plan of its check."""

    format: Literal[1] = 1
    plan_sha256: str
    seed: int
    budget: str
    episodes: int
    explored: int
    targets: tuple[str, ...]
    draws: tuple[str, ...]
    findings: tuple[Found, ...]


def is_search(where: str | Path) -> bool:
    """`where` is the folder of a search."""
    return (Path(where) / FINDINGS).is_file()


def write_findings(folder: Path, plan: Plan, findings: Findings, rows: Sequence[Row]) -> None:
    """Leave a search's files, in place of those of an earlier one."""
    hashes = {"plan_sha256": plan.sha256, "rows_sha256": rows_sha256(rows)}
    write_shard(folder / ROWS, rows, expected_columns(plan), hashes)
    atomic_write_text(folder / FINDINGS, plain_json(findings.model_dump(mode="json")) + "\n")


def read_findings(folder: Path) -> tuple[Plan, Findings]:
    """A search and the plan of its check. Raises BadInput, Tampered."""
    plan = read_plan(find_check(folder))
    path = folder / FINDINGS
    try:
        found = Findings.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(whole file)"
        raise BadInput(f"{path}: not the findings of a search: field {field}: {first['msg']}") from None
    if found.plan_sha256 != plan.sha256:
        raise Tampered(f"{path}: belongs to another check; search again")
    return plan, found


def stored_finding(folder: Path, number: int) -> tuple[Plan, Found, Row]:
    """One finding with its row. Raises BadInput, Tampered."""
    plan, found = read_findings(folder)
    if not 0 <= number < len(found.findings):
        raise BadInput(f"no finding {number} in {folder}: it has {len(found.findings)}, counted from 0")
    path = folder / ROWS
    try:
        stored = read_shard(path)
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes the reader raise
        reason = " ".join(str(error).split())[:100]
        raise Tampered(f"{path}: cannot be read ({reason}); search again") from None
    rows = list(rows_of(stored.columns))
    if (
        stored.plan_sha256 != plan.sha256
        or list(stored.columns) != expected_columns(plan)
        or stored.rows_sha256 != rows_sha256(rows)
        or len(rows) != len(found.findings)
    ):
        raise Tampered(f"{path}: is not what the search wrote; search again")
    return plan, found.findings[number], rows[number]


def shown_value(found: Found) -> str:
    """A finding's margin for people."""
    if found.value is None:
        return "NaN"
    if found.target == "success":
        return found.reason
    return f"{found.value:+.3g} {'' if found.unit == '1' else found.unit}".rstrip()


def shown_condition(row: Mapping[str, object] | Found) -> str:
    """The condition of a row or a finding for people."""
    name, level = (
        (row.disturbance, row.severity) if isinstance(row, Found) else (row["disturbance"], row["severity"])
    )
    return f"{name} {level}" if level else "nominal"
