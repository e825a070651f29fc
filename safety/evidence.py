"""Evidence: one row per judged episode, in Parquet shards of fixed size in plan order, bound to the plan by hashes.

    checks/01/plan.json, plan.sha256     what will be judged, written before the first episode
    checks/01/platform.json              where it ran; not part of the evidence
    checks/01/shards/00000.parquet ...   each written whole and renamed into place
    checks/01/check.json                 what was concluded; recomputed by whoever needs it, never believed

The evidence hash covers the plan and every row, floats to the last bit. Whoever can write the folder can also forge it
from end to end: hashes find accidents and careless edits; only an episode played again shows that rows are true.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ..envs.errors import BadInput, Refused, UnknownName
from ..envs.files import canonical_json, read_json, sha256_hex
from .plan import Episode, Plan
from .shards import read_shard

Row = dict[str, Any]


class Incomplete(BadInput):
    """Evidence that lacks episodes; says which and how to go on."""


class Tampered(Refused):
    """Evidence that does not agree with itself or with its plan."""


@dataclass(frozen=True)
class Evidence:
    """All rows of a check, column by column in plan order.

    `columns` holds `(episodes,)` arrays: identity, outcome, `margin.<constraint>`, `at.<constraint>`, `metric.<name>`.
    """

    folder: Path
    plan: Plan
    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.columns["episode"])

    @cached_property
    def sha256(self) -> str:
        """The hash over the plan (but for the policy's name) and every row."""
        return rows_sha256(self.rows(), f"genba evidence 1\n{self.plan.identity}\n")

    def rows(self) -> Iterator[Row]:
        """One dictionary per episode, with plain Python values."""
        return rows_of(self.columns)

    def row(self, episode: int) -> Row:
        """The row of one episode. Raises BadInput when the plan has no such episode."""
        if not 0 <= episode < len(self):
            raise BadInput(f"no episode {episode} in {self.folder}: expected 0 to {len(self) - 1}")
        return {name: values[episode].item() for name, values in self.columns.items()}

    def margins(self, constraint: str) -> NDArray[np.float64]:
        """`(episodes,)` worst margins of a constraint; +inf where its guard never held. Raises UnknownName."""
        known = [each.id for each in self.plan.assessed]
        if constraint not in known:
            raise UnknownName("constraint", constraint, known)
        return np.asarray(self.columns[f"margin.{constraint}"], np.float64)


def row_sha256(row: Mapping[str, Any]) -> str:
    """Hash of one row's canonical JSON, floats written out in hexadecimal (so that NaN and the last bit count)."""
    exact = {key: value.hex() if isinstance(value, float) else value for key, value in row.items()}
    return sha256_hex(canonical_json(exact))


def rows_sha256(rows: Iterable[Mapping[str, Any]], head: str = "") -> str:
    """Hash of a heading and the hashes of all rows, in order."""
    digest = hashlib.sha256(head.encode())
    for row in rows:
        digest.update(f"{row_sha256(row)}\n".encode())
    return digest.hexdigest()


def rows_of(columns: Mapping[str, NDArray[Any]]) -> Iterator[Row]:
    """Columns `(n,)` row by row, as plain Python values."""
    lists = [values.tolist() for values in columns.values()]
    return (dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True))


def shard_path(folder: Path, number: int) -> Path:
    """Where shard `number` of the check in `folder` lies."""
    return folder / "shards" / f"{number:05d}.parquet"


def read_plan(folder: Path) -> Plan:
    """The plan of the check in `folder`.

    Raises:
        BadInput: no check there, or one that never began.
        Tampered: the plan is not the one that was hashed before the run.
    """
    path = folder / "plan.json"
    if not path.is_file():
        began = (
            "it was cut short before its plan was written; start a new check"
            if folder.is_dir()
            else "no such folder"
        )
        raise BadInput(f"{folder}: no plan.json: {began}")
    data = path.read_bytes()
    try:
        stored = (folder / "plan.sha256").read_text(encoding="utf-8").split()[0]
    except (OSError, IndexError, UnicodeDecodeError):
        raise Tampered(
            f"{folder}: plan.sha256 is missing or empty; this evidence cannot be used: check again"
        ) from None
    if sha256_hex(data) != stored:
        raise Tampered(
            f"{path}: was changed after the check began (its hash is not the one in plan.sha256): check again"
        )
    try:
        plan = Plan.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(whole file)"
        raise Tampered(f"{path}: not a plan: field {field}: {first['msg']}; check again") from None
    if plan.sha256 != stored:
        raise Tampered(f"{path}: not in canonical form; this evidence cannot be used: check again")
    return plan


def platform_of(folder: Path) -> dict[str, str]:
    """The fingerprint of the machine that ran a check; empty where it is unknown."""
    found = read_json(folder / "platform.json")
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def missing_shards(folder: Path, plan: Plan, end: int | None = None) -> list[int]:
    """Numbers of the shards that are not there yet, of the first `end` episodes (None: of the plan)."""
    shards = plan.shards if end is None else -(-end // plan.episodes_per_shard)
    return [number for number in range(shards) if not shard_path(folder, number).is_file()]


def read_evidence(folder: Path, end: int | None = None) -> Evidence:
    """Read a check and make sure that it is whole and agrees with its plan.

    Of a plan with looks, the evidence ends with one of them: the first `end` episodes, or (None) as far as it goes.
    Whether it was right to stop there is for the verdict to say. A stored conclusion is about the whole, so only the whole
    must agree with it.

    Raises:
        BadInput: no check there.
        Incomplete: shards are missing; says which and how to resume.
        Tampered: a plan, shard or row is not what was written.
    """
    plan, whole = read_plan(folder), end is None
    end = _reached(folder, plan) if end is None else end
    shards = -(-end // plan.episodes_per_shard)
    missing = missing_shards(folder, plan, end)
    if missing:
        raise Incomplete(
            f"{folder}: {shards - len(missing)} of {shards} shards are there, missing from "
            f"shards/{missing[0]:05d}.parquet on; go on with: genba check --resume (same policy, task and suite)"
        )
    _refuse_strangers(folder, plan)
    parts = [checked_shard(folder, plan, number) for number in range(shards)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    evidence = Evidence(folder, plan, columns)
    if whole:
        _agree_with_conclusion(evidence)
    return evidence


def _reached(folder: Path, plan: Plan) -> int:
    """The first look at or after the last shard that is there."""
    present = [number for number in range(plan.shards) if shard_path(folder, number).is_file()]
    ended = plan.shard(present[-1]).stop if present else 1
    return next(end for end in plan.ends if end >= ended)


def checked_shard(folder: Path, plan: Plan, number: int) -> dict[str, NDArray[Any]]:
    """The columns of one shard. Raises Tampered unless it holds exactly the episodes that the plan puts there."""
    path = shard_path(folder, number)
    try:
        stored = read_shard(path, expected_columns(plan), len(plan.shard(number)))
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes the reader raise
        reason = " ".join(str(error).split())[:100]
        raise Tampered(
            f"{path}: cannot be read ({reason}); delete it and go on with: genba check --resume"
        ) from None
    again = "this evidence cannot be used: check again"
    if stored.plan_sha256 != plan.sha256:
        raise Tampered(f"{path}: belongs to another plan; {again}")
    expected = expected_columns(plan)
    if list(stored.columns) != expected:
        raise Tampered(f"{path}: has other columns than its plan says; {again}")
    if stored.rows_sha256 != rows_sha256(rows_of(stored.columns)):
        raise Tampered(f"{path}: a row was changed after it was written; {again}")
    episodes = [plan.episode(index) for index in plan.shard(number)]
    for name, wanted in identities(episodes).items():
        if stored.columns[name].tolist() != wanted:
            raise Tampered(f"{path}: holds other episodes than its plan says (column {name}); {again}")
    return stored.columns


def identities(episodes: Sequence[Episode]) -> dict[str, list[Any]]:
    """The identity columns of some episodes."""
    return {
        "episode": [each.index for each in episodes],
        "condition": [each.condition for each in episodes],
        "disturbance": [each.disturbance for each in episodes],
        "severity": [each.severity for each in episodes],
        "seed": [each.seed for each in episodes],
    }


OUTCOME = (
    "success", "reason", "steps", "time_s", "cycle_s", "return", "energy_j", "limits_active", "in_path",
    "trace_sha256",
)  # fmt: skip


def expected_columns(plan: Plan) -> list[str]:
    """The columns of a plan's evidence, in order."""
    ids = [each.id for each in plan.assessed]
    return [
        *identities([]),
        *OUTCOME,
        *(f"margin.{name}" for name in ids),
        *(f"at.{name}" for name in ids),
        *(f"metric.{name}" for name in plan.metrics),
    ]


def _refuse_strangers(folder: Path, plan: Plan) -> None:
    known = {shard_path(folder, number).name for number in range(plan.shards)}
    strangers = sorted(path.name for path in (folder / "shards").iterdir() if path.name not in known)
    strangers = [name for name in strangers if not name.startswith(".")]
    if strangers:
        raise Tampered(
            f"{folder}/shards/{strangers[0]}: not part of the plan; this evidence cannot be used: check again"
        )


def _agree_with_conclusion(evidence: Evidence) -> None:
    """Where a conclusion is stored, it must have been drawn from these very rows."""
    path = evidence.folder / "check.json"
    if not path.is_file():
        return
    stored = read_json(path)
    if not isinstance(stored, dict) or "evidence_sha256" not in stored:
        raise Tampered(f"{path}: is damaged; delete it and go on with: genba check --resume")
    if stored["evidence_sha256"] != evidence.sha256:
        raise Tampered(f"{evidence.folder}: check.json was drawn from other evidence than this; check again")
