"""Files survive a kill, hash the same everywhere, and YAML errors name the line."""

import json
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, field_validator

from genba.envs import files
from genba.envs.errors import BadInput
from genba.envs.platform import differences, fingerprint, same_platform


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    hard: bool = False
    limit: float = 0.0

    @field_validator("limit")
    @classmethod
    def positive(cls, value: float) -> float:
        if value < 0:
            raise ValueError("expected a limit of at least 0")
        return value


class Book(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str
    rows: list[Row]


def yaml_error(folder: Path, text: str) -> str:
    path = folder / "book.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        files.load_yaml(path, Book)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(str(folder) + "/")


def test_yaml_is_read_into_the_model(tmp_path: Path) -> None:
    path = tmp_path / "book.yaml"
    path.write_text("title: 現場\nrows:\n  - {id: a, hard: true, limit: 1.5}\n")
    assert files.load_yaml(path, Book) == Book(title="現場", rows=[Row(id="a", hard=True, limit=1.5)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "title: t\nrows:\n  - id: a\n    hard: maybe\n",
            "book.yaml:4: field rows.0.hard: expected a valid boolean, unable to interpret input, found 'maybe'",
        ),
        (
            "title: t\nrows:\n  - id: a\n  - hard: true\n",
            "book.yaml:4: field rows.1.id: expected a value, found nothing",
        ),
        (
            "title: t\nrows:\n  - id: a\n    limitt: 3\n",
            "book.yaml:4: field rows.0.limitt: no such field. Did you mean limit?",
        ),
        (
            "title: t\nrows:\n  - {id: a, limit: -1}\n",
            "book.yaml:3: field rows.0.limit: expected a limit of at least 0",
        ),
        (
            "title: t\ntitle: u\nrows: []\n",
            "book.yaml:2: field title: expected once, found again; remove one",
        ),
        (
            "rows: 3\n",
            "book.yaml:1: field title: expected a value, found nothing (and 1 more)",
        ),
    ],
)
def test_a_wrong_field_names_file_line_field_and_expectation(tmp_path: Path, text: str, message: str) -> None:
    assert yaml_error(tmp_path, text) == message


def test_broken_yaml_names_the_line(tmp_path: Path) -> None:
    message = yaml_error(tmp_path, "title: t\nrows: [a, b\nmore: 3\n")
    assert message.startswith("book.yaml:3: not valid YAML: ")


LAUGHS = "rows: [&a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]" + "".join(
    f", &{name} [{', '.join([f'*{before}'] * 10)}]" for before, name in pairwise("abcdefghij")
)
STRANGE = {
    "title: 2024-02-30\n": "book.yaml:1: not valid YAML: 2024-02-30 cannot be read as timestamp (day is out of range",
    "title: t\n? {a: b}\n: 1\n": "book.yaml:2: expected a name before the colon",
    "title: t\nrows: &a [*a]\n": "book.yaml:2: lists and maps nest in each other or in themselves",
    "title: t\nrows: &a {<<: *a}\n": "book.yaml:2: lists and maps nest",
    "rows: " + "[" * 3000: "book.yaml: lists and maps nest",
    "rows:\n " + "[" * 110 + "]" * 110: "book.yaml:2: lists and maps nest",
    "rows:\n " + "{a: " * 60 + "&a " + "[" * 30 + "]" * 30 + "}" * 60 + "\nmore: " + "[" * 80 + "*a" + "]" * 80:
        "book.yaml:3: lists and maps nest",
    "title: t\nrows: " + "9" * 5000: "book.yaml:2: not valid YAML: 999",
    "title: 0x" + "f" * 9000: "book.yaml:1: not valid YAML: 0xfff",
    "title: !!int abc\n": "book.yaml:1: not valid YAML: abc cannot be read as int",
    "title: !!int _\n": "book.yaml:1: not valid YAML: _ cannot be read as int",
    "title: !!float x\n": "book.yaml:1: not valid YAML: x cannot be read as float",
    "title: !!bool x\n": "book.yaml:1: not valid YAML: x cannot be read as bool",
    "title: !!timestamp abc\n": "book.yaml:1: not valid YAML: abc cannot be read as timestamp",
    "title: t\n" + LAUGHS + "]\n": "book.yaml:2: more than 1,000,000 values",
    "title: t\n" + LAUGHS.replace("[1,", "{x: [1,", 1).replace("1]", "1]}", 1).replace("[*", "{<<: [*").replace("],", "]},") + "}]\n":
        "book.yaml:2: more than 1,000,000 values",
}  # fmt: skip


@pytest.mark.parametrize("text", STRANGE, ids=lambda text: text[:30])
def test_yaml_that_python_cannot_hold_is_one_line(tmp_path: Path, text: str) -> None:
    assert yaml_error(tmp_path, text).startswith(STRANGE[text])


def test_what_is_shared_in_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "book.yaml"
    path.write_text("title: t\nrows: [&a {id: a, limit: 1}, {<<: *a, id: b}, *a]\n")
    rows = files.load_yaml(path, Book).rows
    assert [(row.id, row.limit) for row in rows] == [("a", 1.0), ("b", 1.0), ("a", 1.0)]


def test_an_empty_file_and_a_missing_file_are_one_line(tmp_path: Path) -> None:
    assert yaml_error(tmp_path, "").startswith("book.yaml:1: expected a valid dictionary or instance of Book")
    with pytest.raises(BadInput, match="nowhere.yaml: no such file"):
        files.load_yaml(tmp_path / "nowhere.yaml", Book)


def test_canonical_json_has_one_form_and_no_nan() -> None:
    assert files.canonical_json({"b": [1, 2.5], "a": "工"}) == '{"a":"工","b":[1,2.5]}'.encode()
    assert json.loads(files.canonical_json({"x": 0.1}))["x"] == 0.1
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            files.canonical_json({"x": bad})


def test_hashes_of_a_file_and_of_its_bytes_agree(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9000
    files.atomic_write_bytes(tmp_path / "new" / "data.bin", data)
    assert files.sha256_file(tmp_path / "new" / "data.bin") == files.sha256_hex(data)
    assert files.sha256_hex(b"abc").startswith("ba7816bf8f01cfea414140de5dae2223")


KILLED_IN_THE_MIDDLE = """
import os, signal, sys
from genba.envs import files
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
files.atomic_write_text(sys.argv[1], "new" * 100_000)
"""


def test_a_kill_in_the_middle_of_a_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    files.atomic_write_text(path, "old")
    run = subprocess.run([sys.executable, "-c", KILLED_IN_THE_MIDDLE, str(path)], check=False)
    assert run.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    files.atomic_write_text(path, "newer")
    assert path.read_text() == "newer"


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    files.atomic_write_text(path, "old")
    with pytest.raises(TypeError):
        files.atomic_write_bytes(path, "text")  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_the_fingerprint_names_what_bits_depend_on() -> None:
    here = fingerprint()
    assert set(here) == {"cpu", "os", "libc", "python", "numpy", "mujoco", "onnxruntime"}
    assert same_platform(here, fingerprint())
    other = here | {"numpy": "1.0"}
    assert not same_platform(here, other)
    assert differences(here, other) == [f"numpy {here['numpy']} / 1.0"]
