"""Parquet shards of evidence: written whole, the same bytes for the same rows."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ..envs.files import atomic_write_bytes

TYPES = {
    "episode": pa.int32(),
    "condition": pa.int32(),
    "disturbance": pa.string(),
    "severity": pa.int32(),
    "seed": pa.int64(),
    "success": pa.bool_(),
    "reason": pa.string(),
    "steps": pa.int32(),
    "in_path": pa.bool_(),
    "trace_sha256": pa.string(),
}


LARGEST, MOST_ROWS = 64 << 20, 100_000  # bytes and rows of a file


@dataclass(frozen=True)
class Shard:
    """What a file holds: `columns`, each `(rows,)`, and the hashes that were written with them."""

    columns: dict[str, NDArray[Any]]
    plan_sha256: str
    rows_sha256: str


def write_shard(
    path: Path, rows: Sequence[Mapping[str, Any]], names: Sequence[str], hashes: Mapping[str, str]
) -> None:
    """Write rows, all at once, with the hashes in the file's metadata. Columns without a type of their own are float64."""
    schema = pa.schema(
        [pa.field(name, TYPES.get(name, pa.float64()), nullable=False) for name in names],
        metadata=dict(hashes),
    )
    table = pa.table({name: [row[name] for row in rows] for name in names}, schema=schema)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False, write_statistics=False)
    atomic_write_bytes(path, sink.getvalue())


def read_shard(path: Path, names: Sequence[str] | None = None, rows: int | None = None) -> Shard:
    """Read a whole shard, once its head says that it holds these columns (None: any) and so many rows (None: any).

    Raises what pyarrow raises, ValueError on missing values, types, other columns or rows, KeyError on missing hashes.
    """
    if path.stat().st_size > LARGEST:
        raise ValueError("larger than any shard")
    file = pq.ParquetFile(io.BytesIO(path.read_bytes()))
    found = file.metadata.num_rows
    if found > MOST_ROWS or (rows is not None and found != rows):
        raise ValueError(f"{found} rows, expected {MOST_ROWS if rows is None else rows}")
    if names is not None and file.schema_arrow.names != list(names):
        raise ValueError("other columns than its plan says")
    table = file.read()
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    columns: dict[str, NDArray[Any]] = {}
    for name in table.column_names:
        column = table.column(name)
        if column.null_count:
            raise ValueError(f"column {name} has empty values")
        if column.type != TYPES.get(name, pa.float64()):
            raise ValueError(f"column {name} is {column.type}")
        text = pa.types.is_string(column.type)
        columns[name] = np.array(column.to_pylist(), dtype=str) if text else column.to_numpy()
    return Shard(columns, metadata["plan_sha256"], metadata["rows_sha256"])
