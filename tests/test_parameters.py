"""Cells that people change: specs, edited files and their errors; another cell is another job."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genba.envs.errors import BadInput, UnknownName
from genba.envs.parameters import VARIANTS, cell_of, copy, folder_name, parameters_of
from genba.envs.task import get_task, task_classes, task_ids
from genba.envs.worlds import Worlds
from genba.safety.suite import load_suite, suite_for
from genba.tests.cell_kit import base_suite

each_task = pytest.mark.parametrize("task_id", task_ids())


@each_task
def test_every_cell_has_three_variants_that_differ_and_words_in_two_languages(task_id: str) -> None:
    spans = [dict(cell_of(f"{task_id}:{variant}").values) for variant in VARIANTS]
    assert spans[0] != spans[1] != spans[2] and spans[1] == dict(get_task(task_id).cell.values)
    assert all(row.says.en and row.says.ja for row in parameters_of(task_id).values())


@each_task
def test_a_variant_is_another_job_with_another_key(task_id: str) -> None:
    hard = get_task(f"{task_id}:hard")
    assert (hard.id, hard.key) == (f"{task_id}:hard", f"{task_id}:hard/{hard.version}")
    assert get_task(f"{task_id}:normal").id == task_id


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@each_task
@pytest.mark.parametrize(
    ("variant", "n"),
    [
        ("easy", 6),
        ("hard", 12),
        *(pytest.param(variant, 24, marks=pytest.mark.long) for variant in VARIANTS),
    ],
)
def test_the_expert_does_every_variant(task_id: str, variant: str, n: int) -> None:
    """The normal one among the default tests: test_tasks_expert."""
    task = get_task(f"{task_id}:{variant}")
    worlds = Worlds(task, n, 0, tail_s=1.0)
    worlds.reset(np.arange(n), np.arange(n) + 5_000)
    while not worlds.done[:n].all():
        worlds.step(task.expert(worlds.observation()))
    assert worlds.success[:n].sum() >= n - n // 12


def test_an_edited_copy_becomes_the_spec_that_says_what_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    copy("conveyor-sort", file)
    assert get_task(str(file)).id == "conveyor-sort"
    file.write_text(file.read_text().replace("normal: [0.1, 0.3]", "normal: [0.1, 0.2]"))
    task = get_task(str(file))
    assert task.id == "conveyor-sort,belt.speed=0.1..0.2"
    assert get_task(task.id).cell == task.cell
    assert get_task(f"{file}:hard").id == "conveyor-sort:hard"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("normal: [0.1, 0.3]", "normal: [0.1, 0.9]", ":10: field parameters.belt.speed.normal: expected 0.05 to 0.4 m/s"),
        ("normal: [0.1, 0.3]", "normal: [0.3, 0.1]", "expected the lower value first"),
        ("normal: [0.1, 0.3]", "normal: fast", ":10: field parameters.belt.speed.normal"),
        ("normal: [0.1, 0.3]", "normal: [no, 0.3]", ":10: field parameters.belt.speed.normal"),
        ("normal: [0.1, 0.3]", "normal: '0.2'", ":10: field parameters.belt.speed.normal"),
        ("unit: m/s", "unit: mm/s", ":7: field parameters.belt.speed.unit: expected one of the units"),
        ("unit: m/s", "unit: rad/s", "field parameters.belt.speed.unit: expected 'm/s', found 'rad/s'"),
        ("  belt.speed:", "  belt.sped:", ":5: field parameters.belt.sped: unknown parameter of conveyor-sort"),
        ("    hard: [0.2, 0.35]", "    hard: [0.2, 0.35]\n    harder: 1", "field parameters.belt.speed.harder: no such field"),
        ("cell: conveyor-sort", "cell: conveyor-srt", ":3: field cell: unknown cell 'conveyor-srt'"),
        ("range: [0.05, 0.40]", "range: [0.05, 4.0]\n    ", None),
    ],
)  # fmt: skip
def test_a_wrong_field_unit_or_range_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, said: str | None
) -> None:
    file = tmp_path / "my.yaml"
    copy("conveyor-sort", file)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    if said is None:  # a wider range alone changes nothing
        assert get_task(str(file)).id == "conveyor-sort"
        return
    with pytest.raises(BadInput) as error:
        get_task(str(file))
    assert said in str(error.value) and str(file) in str(error.value) and "\n" not in str(error.value)


def test_a_file_cannot_widen_what_the_cell_allows(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    copy("conveyor-sort", file)
    text = file.read_text().replace("range: [0.05, 0.40]", "range: [0.05, 4.0]")
    file.write_text(text.replace("normal: [0.1, 0.3]", "normal: [0.1, 3.0]"))
    with pytest.raises(BadInput, match="expected 0.05 to 0.4 m/s, found 0.1..3"):
        get_task(str(file))


@pytest.mark.parametrize(
    "spec",
    [
        "kit-pick:harder", "kit-pik", "kit-pick,reach.sta=1", "kit-pick,reach.stay", "kit-pick,reach.stay=a",
        "kit-pick,reach.stay=9", "kit-pick,reach.stay=1..0.5", "kit-pick,reach.stay=nan", "kit-pick,reach.stay=1,reach.stay=1", "nowhere.yaml", ":hard", ",",
    ],
)  # fmt: skip
def test_a_wrong_spec_is_one_line(spec: str) -> None:
    with pytest.raises((BadInput, UnknownName)) as error:
        get_task(spec)
    assert str(error.value) and "\n" not in str(error.value)


@given(st.floats(0.0, 3.0), st.floats(0.0, 3.0), st.sampled_from(VARIANTS))
def test_a_spec_reads_as_it_is_written(a: float, b: float, variant: str) -> None:
    low, high = sorted((round(a, 6), round(b, 6)))
    cell = cell_of(f"kit-pick:{variant},reach.stay={low}..{high}")
    assert cell_of(cell.spec) == cell and cell["reach.stay"] == (low, high)


def test_a_spec_says_its_values_to_the_last_bit() -> None:
    exact = (0.12345678901234, 0.6 + 2**-50)
    spec = cell_of(f"kit-pick,reach.start={exact[0]!r}..{exact[1]!r}").spec
    assert cell_of(spec)["reach.start"] == exact and cell_of(spec).spec == spec


@pytest.mark.parametrize("value", ["0..4", "1.5", "inf", "nan", "1e999"])
def test_a_number_of_things_is_one_whole_number(value: str) -> None:
    with pytest.raises(BadInput, match=r"part.others=.*: expected one whole number, found"):
        cell_of(f"kit-pick,part.others={value}")


def test_folders_hold_no_sign_that_a_system_refuses() -> None:
    assert folder_name("kit-pick:hard,reach.stay=0.5..1") == "kit-pick-hard-reach.stay-0.5..1"


def test_a_cell_with_many_changes_still_has_a_folder(tmp_path: Path) -> None:
    """Systems refuse names above 255 bytes; two cells never share a folder."""
    ranges = {name: row.range for name, row in parameters_of("kit-pick").items() if not row.whole}
    changes = [f"{name}={(2 * low + high) / 3:.12g}..{high}" for name, (low, high) in ranges.items()]
    specs = [cell_of(",".join(["kit-pick", *some])).spec for some in (changes, changes[:-1])]
    names = [folder_name(spec) for spec in specs]
    assert all(len(spec) > 200 for spec in specs) and names[0] != names[1]
    for name in [*names, folder_name("現場" * 90), folder_name("x" * 200)]:
        (tmp_path / name).mkdir()
        assert name.startswith(("kit-pick-", "現場現場", "x" * 200)) and len(name.encode()) <= 200


def test_a_cell_has_its_own_suite_where_there_is_one() -> None:
    for task_id in task_classes():
        assert suite_for(f"{task_id}:hard") == task_id
        assert load_suite(task_id).extends == base_suite(task_id)
    assert suite_for("no-such-cell") == "basic"
