"""Evidence: what was written is what is read, to the last bit; what was lost, cut or edited is refused in one line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from genba.envs.errors import Refused
from genba.envs.files import atomic_write_text, plain_json, sha256_hex
from genba.safety.evidence import (
    Incomplete,
    Tampered,
    platform_of,
    read_evidence,
    read_plan,
    row_sha256,
    rows_sha256,
    shard_path,
)
from genba.safety.folders import unfinished_check
from genba.safety.plan import (
    Assessed,
    Looks,
    NotAssessed,
    Plan,
    PolicyIdentity,
    attempt_of,
    episodes_per_shard,
    fresh_seed_base,
)
from genba.safety.result import conclude, read_check
from genba.safety.suite import Suite
from genba.tests.evidence_kit import KEPT, make_plan, make_row, small_suite, write


@pytest.fixture(scope="module")
def suite() -> Suite:
    return small_suite()


@pytest.fixture
def check(tmp_path: Path, suite: Suite) -> Path:
    return write(tmp_path / "runs" / "kit-pick" / "a" / "checks" / "01", make_plan(suite))


def test_rows_come_back_to_the_last_bit(check: Path, suite: Suite) -> None:
    evidence, plan = read_evidence(check), make_plan(suite)
    written = [make_row(plan, index) for index in range(52)]
    for stored, original in zip(evidence.rows(), written, strict=True):
        assert row_sha256(stored) == row_sha256(original)
        assert {name: type(value) for name, value in stored.items()} == {
            n: type(v) for n, v in original.items()
        }
    assert evidence.sha256 == rows_sha256(written, f"genba evidence 1\n{plan.identity}\n")
    assert evidence.row(51)["seed"] == 3_000_000_000 + 7_000_000 + 51


def test_the_hash_covers_the_last_bit_and_the_plan(suite: Suite, tmp_path: Path) -> None:
    plan = make_plan(suite)
    hashes = [read_evidence(write(tmp_path / "a", plan)).sha256]
    nudged = np.nextafter(0.1, 1.0)
    hashes.append(read_evidence(write(tmp_path / "b", plan, {5: {"limits_active": float(nudged)}})).sha256)
    hashes.append(read_evidence(write(tmp_path / "c", plan, {5: {"margin.joint-position": math.nan}})).sha256)
    other = make_plan(suite, policy=PolicyIdentity(kind="onnx", name="a", sha256="b" * 64))
    hashes.append(read_evidence(write(tmp_path / "d", other)).sha256)
    assert len(set(hashes)) == 4
    renamed = make_plan(suite, policy=PolicyIdentity(kind="onnx", name="b", sha256="a" * 64))
    assert read_evidence(write(tmp_path / "f", renamed)).sha256 == hashes[0], "a name decides nothing"
    assert read_evidence(write(tmp_path / "e", plan)).sha256 == hashes[0]


def test_the_same_rows_make_the_same_bytes(suite: Suite, tmp_path: Path) -> None:
    one, two = (write(tmp_path / name, make_plan(suite)) for name in "ab")
    for number in range(6):
        assert shard_path(one, number).read_bytes() == shard_path(two, number).read_bytes()


def test_no_two_episodes_share_a_seed_and_conditions_take_turns(suite: Suite) -> None:
    plan = make_plan(suite)
    episodes = [plan.episode(index) for index in range(52)]
    assert len({each.seed for each in episodes}) == 52
    assert [each.condition for each in episodes[:14]] == [*range(13), 0]
    assert [sum(each.condition == c for each in episodes) for c in range(13)] == [4] * 13
    assert [len(plan.shard(number)) for number in range(plan.shards)] == [10, 10, 10, 10, 10, 2]
    with pytest.raises(IndexError):
        plan.episode(52)
    assert (episodes_per_shard(3003), episodes_per_shard(39), episodes_per_shard(1)) == (128, 2, 1)
    bases = {
        fresh_seed_base(policy, suite, attempt) for policy in ("a" * 64, "b" * 64) for attempt in (1, 2, 3)
    }
    assert len(bases) == 6 and min(bases) >= 1_000_000


def test_the_number_of_an_attempt_follows_from_its_seeds_and_not_from_its_folder(suite: Suite) -> None:
    policy = make_plan(suite).policy.sha256
    for number in (1, 14, 999):
        assert attempt_of(make_plan(suite, seed_base=fresh_seed_base(policy, suite, number))) == number
    for chosen in (7, fresh_seed_base("b" * 64, suite, 1), fresh_seed_base(policy, suite, 1000)):
        assert attempt_of(make_plan(suite, seed_base=chosen)) == 0, "nobody's attempt: somebody chose them"


def test_a_missing_shard_says_which_and_how_to_go_on(check: Path) -> None:
    shard_path(check, 3).unlink()
    with pytest.raises(Incomplete, match=r"5 of 6 shards .* missing from shards/00003.* --resume") as caught:
        read_evidence(check)
    assert caught.value.exit_code == 2
    assert unfinished_check(check.parent.parent) == check


def test_a_truncated_shard_is_one_line(check: Path) -> None:
    path = shard_path(check, 2)
    for size in (0, 3, 400, path.stat().st_size - 1):
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(Tampered, match="00002.parquet: cannot be read .* delete it and go on") as caught:
            read_evidence(check)
        assert "\n" not in str(caught.value) and caught.value.exit_code == 1


def edit(path: Path, column: str, row: int, value: Any) -> None:
    """Change one cell as a careful person with pyarrow would: types, metadata and all else kept."""
    table = pq.read_table(path)
    values = table.column(column).to_pylist()
    values[row] = value
    index = table.schema.get_field_index(column)
    field = table.schema.field(index)
    changed = table.set_column(index, field, pa.array(values, field.type))
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)


@pytest.mark.parametrize(
    ("column", "value"),
    [("success", False), ("margin.contact", 5.0), ("steps", 1), ("reason", "timeout"), ("seed", 1)],
)
def test_an_edited_row_is_refused(check: Path, column: str, value: Any) -> None:
    edit(shard_path(check, 1), column, 4, value)
    with pytest.raises(Tampered, match="00001.parquet: a row was changed after it was written"):
        read_evidence(check)


def test_a_shard_of_millions_of_rows_is_refused_before_it_is_read(
    check: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shard_path(check, 0)
    table = pq.read_table(path)
    many = pa.concat_tables([table] * 400)
    pq.write_table(many, path, compression="zstd")
    monkeypatch.setattr(pq.ParquetFile, "read", lambda self: pytest.fail("was read"))
    with pytest.raises(Tampered, match=f"{many.num_rows} rows, expected {table.num_rows}"):
        read_evidence(check)


@pytest.mark.parametrize("name", ["check.json", "platform.json"])
def test_json_that_nests_without_end_is_no_traceback(check: Path, name: str) -> None:
    (check / name).write_text("[" * 100_000)
    if name == "platform.json":
        assert platform_of(check) == {} and len(read_evidence(check)) > 0
    else:
        with pytest.raises(Tampered, match="is damaged"):
            read_evidence(check)


def test_rows_that_hash_but_are_not_the_planned_ones_are_refused(suite: Suite, tmp_path: Path) -> None:
    plan = make_plan(suite)
    check = write(tmp_path / "a", plan, {13: {"seed": 1}})
    with pytest.raises(Tampered, match=r"other episodes than its plan says \(column seed\)"):
        read_evidence(check)
    other = write(tmp_path / "b", make_plan(suite, seed_base=8))
    shard_path(check, 0).write_bytes(shard_path(other, 0).read_bytes())
    with pytest.raises(Tampered, match="00000.parquet: belongs to another plan"):
        read_evidence(check)


def test_swapped_and_added_shards_are_refused(check: Path) -> None:
    first, second = shard_path(check, 0), shard_path(check, 1)
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    with pytest.raises(Tampered, match="other episodes"):
        read_evidence(check)
    first.write_bytes(kept)
    shard_path(check, 6).write_bytes(kept)
    with pytest.raises(Tampered, match="00006.parquet: not part of the plan"):
        read_evidence(check)


def test_an_edited_plan_is_refused(check: Path, suite: Suite) -> None:
    path = check / "plan.json"
    lax = path.read_bytes().replace(b'"max_rate":0.001', b'"max_rate":0.9')
    assert lax != path.read_bytes()
    path.write_bytes(lax)
    with pytest.raises(Tampered, match="was changed after the check began"):
        read_evidence(check)
    plan = Plan.model_validate_json(lax)
    (check / "plan.sha256").write_text(plan.sha256 + "\n")
    with pytest.raises(Tampered, match="belongs to another plan"):
        read_evidence(check)
    (check / "plan.sha256").unlink()
    with pytest.raises(Tampered, match="plan.sha256 is missing"):
        read_plan(check)


def test_a_plan_that_contradicts_its_suite_is_no_plan(suite: Suite) -> None:
    with pytest.raises(ValueError, match="13 conditions x 4 episodes, found 51"):
        make_plan(suite, episodes=51)
    with pytest.raises(ValueError, match="of the suite"):
        make_plan(suite, conditions=suite.conditions[:2], episodes=8)
    with pytest.raises(ValueError, match="each constraint of the suite once"):
        make_plan(suite, assessed=(Assessed(id="contact", unit="N"),))
    make_plan(
        suite, assessed=(Assessed(id="contact", unit="N"),), not_assessed=(NotAssessed(id=KEPT[0], why="x"),)
    )


@pytest.mark.parametrize("junk", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"format":1}'])
def test_junk_in_place_of_a_plan_is_one_line(check: Path, junk: bytes) -> None:
    (check / "plan.json").write_bytes(junk)
    (check / "plan.sha256").write_text(sha256_hex(junk))
    with pytest.raises(Refused) as caught:
        read_plan(check)
    assert "\n" not in str(caught.value) and str(check) in str(caught.value)


def test_a_conclusion_of_other_evidence_is_refused(check: Path) -> None:
    result = conclude(read_evidence(check))
    atomic_write_text(check / "check.json", plain_json(result.as_json()))
    assert read_check(check).evidence.sha256 == result.evidence.sha256
    forged = plain_json({**result.as_json(), "evidence_sha256": "0" * 64})
    (check / "check.json").write_text(forged)
    with pytest.raises(Tampered, match="drawn from other evidence"):
        read_evidence(check)
    (check / "check.json").write_text("{")
    with pytest.raises(Tampered, match="is damaged"):
        read_evidence(check)


def test_a_conclusion_is_about_the_whole_and_not_about_its_beginning(suite: Suite, tmp_path: Path) -> None:
    """Going on with a concluded check looks at its beginning first."""
    folder = write(tmp_path, make_plan(suite, looks=Looks(every=26), episodes_per_shard=13))
    result = conclude(read_evidence(folder))
    atomic_write_text(folder / "check.json", plain_json(result.as_json()))
    assert len(read_evidence(folder, 26)) == 26
    assert read_evidence(folder).sha256 == result.evidence.sha256
