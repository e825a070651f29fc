"""Files survive a kill, hash the same everywhere, and YAML errors name the line."""

import json
import signal
import subprocess
import sys
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
