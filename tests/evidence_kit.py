"""What the tests of evidence share: a small plan and checks with made-up rows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from genba.envs.files import atomic_write_bytes, atomic_write_text
from genba.safety.evidence import expected_columns, rows_sha256, shard_path
from genba.safety.plan import Assessed, Plan, PolicyIdentity
from genba.safety.shards import write_shard
from genba.safety.suite import Suite, load_suite

KEPT = ("joint-position", "contact")
Row = dict[str, Any]


def small_suite() -> Suite:
    """Two constraints of `basic` and all its conditions, four episodes each."""
    basic = load_suite("basic")
    constraints = tuple(each for each in basic.constraints if each.id in KEPT)
    return basic.model_copy(update={"constraints": constraints, "episodes_per_condition": 4})


def make_plan(suite: Suite, **changes: Any) -> Plan:
    fields = {
        "task": "kit-pick",
        "task_version": "1",
        "suite": suite,
        "policy": PolicyIdentity(kind="onnx", name="a", sha256="a" * 64),
        "conditions": suite.conditions,
        "seed_base": 7,
        "episodes_per_condition": 4,
        "episodes": 52,
        "episodes_per_shard": 10,
        "confidence": 0.95,
        "assessed": tuple(Assessed(id=name, unit=unit) for name, unit in zip(KEPT, ("1", "N"), strict=True)),
        "not_assessed": (),
        "versions": {"genba": "0"},
    }
    return Plan(**{**fields, **changes})


def make_row(plan: Plan, index: int, **changes: Any) -> Row:
    episode = plan.episode(index)
    row = {
        "episode": index,
        "condition": episode.condition,
        "disturbance": episode.disturbance,
        "severity": episode.severity,
        "seed": episode.seed,
        "success": True,
        "reason": "success",
        "steps": 300 + index,
        "time_s": 6.0,
        "cycle_s": 5.0 if index % 3 else math.nan,
        "return": -20.0 / 3.0 + index,
        "energy_j": 40.0,
        "limits_active": 0.1,
        "in_path": index % 2 == 0,
        "trace_sha256": f"{index:064x}",
        "margin.joint-position": 0.1 + index / 7.0,
        "margin.contact": math.inf,
        "at.joint-position": 1.0,
        "at.contact": math.nan,
    }
    return {**row, **changes}


def write(folder: Path, plan: Plan, changes: dict[int, Row] | None = None) -> Path:
    """A check with plausible rows; `changes` alters some of them before they are written."""
    atomic_write_bytes(folder / "plan.json", plan.to_bytes())
    atomic_write_text(folder / "plan.sha256", f"{plan.sha256}  plan.json\n")
    for number in range(plan.shards):
        rows = [make_row(plan, index, **(changes or {}).get(index, {})) for index in plan.shard(number)]
        hashes = {"plan_sha256": plan.sha256, "rows_sha256": rows_sha256(rows)}
        write_shard(shard_path(folder, number), rows, expected_columns(plan), hashes)
    return folder
