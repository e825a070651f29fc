"""Files that somebody damaged or made up: each is read, or refused in one line; never a traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genba.envs.errors import GenbaError
from genba.envs.files import sha256_hex
from genba.envs.task import Task, get_task
from genba.policies.contract import contract_of, read_contract
from genba.policies.wire import PROTOCOL, WireError, array, pack, read_hello, unpack
from genba.policies.wire import read_contract as read_contract_in
from genba.safety.evidence import read_evidence
from genba.safety.result import read_check
from genba.safety.suite import load_suite
from genba.tests.evidence_kit import make_plan, small_suite, write

FEW, MANY = 150, 10_000
QUIET = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}

SUITE = """
id: mine
title: {en: Mine, ja: 私の}
episodes_per_condition: 4
disturbances: {push: [1, 3], sensor-noise: [2]}
verdict: {confidence: 0.95, success: [{severity: 0, at_least: 0.9}]}
strata: {stream: part.xy, component: 0, parts: 2}
constraints:
  - id: tcp-speed
    says: {en: slow, ja: 遅い}
    when: tcp.speed > 0.02 m/s
    formula: always (eventually [0, 0.1] (tcp.speed <= 0.5 m/s and norm(tcp.pos) < 2 m))
    hard: true
    max_rate: 0.01
    source: {document: d, topic: t, confidence: cell_spec}
    cannot_show: [a, b]
"""
BARE = SUITE.replace("strata: {stream: part.xy, component: 0, parts: 2}\n", "")

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["always (", "1e400", "norm(tcp.pos) <= 2 m", "a" * 3000, "((" * 400, "push", "none", "0x10"]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
edits = st.lists(
    st.tuples(st.integers(0, 1 << 20), st.integers(0, 4), st.binary(max_size=6)), min_size=1, max_size=6
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in nested lists and maps."""
    found = [at]
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            found += places(value[key], (*at, key))
    return found


def replaced(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """The value with another one at a place."""
    if not at:
        return new
    changed = value.copy()
    changed[at[0]] = replaced(value[at[0]], at[1:], new)
    return changed


def damaged(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """The bytes with pieces cut out, put in or written over."""
    for where, length, new in changes:
        at = where % (len(data) + 1)
        data = data[:at] + new + data[at + length :]
    return data


def refuses_or_reads(read: Callable[[], Any]) -> None:
    """What is wrong is one printable line with an exit code for people; anything else that is raised fails the test."""
    try:
        read()
    except GenbaError as error:
        assert error.exit_code in (1, 2) and str(error) and str(error).isprintable()


@pytest.fixture(scope="module")
def task() -> Task:
    return get_task("kit-pick")


def suite_bytes(path: Path, task: Task, data: bytes) -> None:
    path.write_bytes(data)
    refuses_or_reads(lambda: load_suite(str(path)).bind(task))


def contract_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    refuses_or_reads(lambda: read_contract(path))


def evidence_bytes(folder: Path, name: str, data: bytes, resealed: bool) -> None:
    """One file of a check replaced; a plan perhaps with a hash that fits, so that its content is looked at."""
    path = folder / name
    kept, seal = path.read_bytes(), folder / "plan.sha256"
    sealed = seal.read_bytes()
    path.write_bytes(data)
    if resealed and name == "plan.json":
        seal.write_text(f"{sha256_hex(data)}  plan.json\n")
    try:
        refuses_or_reads(lambda: read_evidence(folder))
        refuses_or_reads(lambda: read_check(folder))
    finally:
        path.write_bytes(kept)
        if name != "plan.sha256":
            seal.write_bytes(sealed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small check that is whole."""
    made = tmp_path_factory.mktemp("check")
    write(made, make_plan(small_suite()))
    (made / "check.json").write_text(json.dumps({"evidence_sha256": read_evidence(made).sha256}))
    (made / "platform.json").write_text("{}")
    return made


FILES = (
    "plan.json",
    "plan.sha256",
    "shards/00000.parquet",
    "shards/00005.parquet",
    "check.json",
    "platform.json",
)


def suites(path: Path, task: Task, examples: int) -> None:
    whole = yaml.safe_load(BARE)
    spots = places(whole)

    @settings(max_examples=examples, **QUIET)  # type: ignore[arg-type]
    @given(st.sampled_from(spots), values, edits, st.booleans(), st.sampled_from((SUITE, BARE)))
    def one(at: tuple[Any, ...], new: Any, changes: list[Any], by_bytes: bool, text: str) -> None:
        made = yaml.safe_dump(replaced(whole, at, new), allow_unicode=True).encode("utf-8", "surrogatepass")
        suite_bytes(path, task, damaged(text.encode(), changes) if by_bytes else made)

    one()


def contracts(path: Path, task: Task, examples: int) -> None:
    text = contract_of(task).to_bytes()
    whole = json.loads(text)
    spots = places(whole)

    @settings(max_examples=examples, **QUIET)  # type: ignore[arg-type]
    @given(st.sampled_from(spots), values, edits, st.booleans())
    def one(at: tuple[Any, ...], new: Any, changes: list[Any], by_bytes: bool) -> None:
        made = json.dumps(replaced(whole, at, new)).encode()
        contract_bytes(path, damaged(text, changes) if by_bytes else made)

    one()


def checks(folder: Path, examples: int) -> None:
    plan = (folder / "plan.json").read_bytes()
    whole = json.loads(plan)
    spots = places(whole)

    @settings(max_examples=examples, **QUIET)  # type: ignore[arg-type]
    @given(st.sampled_from(spots), values, edits, st.booleans(), st.sampled_from(FILES))
    def one(at: tuple[Any, ...], new: Any, changes: list[Any], by_bytes: bool, name: str) -> None:
        if by_bytes:
            evidence_bytes(folder, name, damaged((folder / name).read_bytes(), changes), resealed=True)
        else:
            made = json.dumps(
                replaced(whole, at, new), sort_keys=True, separators=(",", ":"), ensure_ascii=True
            )
            evidence_bytes(folder, "plan.json", made.encode(), resealed=True)

    one()
    assert len(read_evidence(folder)) == 52, "the folder is as it was"


def test_suites_that_are_damaged_are_one_line(tmp_path: Path, task: Task) -> None:
    suites(tmp_path / "mine.yaml", task, FEW)


def test_contracts_that_are_damaged_are_one_line(tmp_path: Path, task: Task) -> None:
    contracts(tmp_path / "contract.json", task, FEW)


def test_evidence_that_is_damaged_is_one_line(tmp_path: Path, folder: Path) -> None:
    checks(Path(shutil.copytree(folder, tmp_path / "01")), FEW)


def messages(examples: int) -> None:
    """What a policy server may send: bytes, or a map of anything."""
    names = st.sampled_from(
        ["type", "protocol", "name", "sha256", "contract", "timeout_s", "shape", "data", "message"]
    )
    whole = {
        "type": "hello",
        "protocol": PROTOCOL,
        "name": "mine",
        "sha256": "a" * 64,
        "shape": [2, 3],
        "data": b"0" * 24,
    }
    packable = values.filter(_fits)

    @settings(max_examples=examples, **QUIET)  # type: ignore[arg-type]
    @given(names, packable, edits, st.booleans())
    def one(name: str, new: Any, changes: list[Any], by_bytes: bool) -> None:
        frame = damaged(pack(whole), changes) if by_bytes else pack({**whole, name: new})
        try:
            message = unpack(frame)
            array(message, "f4", 3)
            read_hello(message)
            read_contract_in(message.get("contract"))
        except WireError as error:
            assert str(error) and str(error).isprintable()

    one()


def _fits(value: Any) -> bool:
    """Whether msgpack can carry it: no integer beyond 64 bits, no text that is no Unicode."""
    try:
        pack({"value": value})
    except (OverflowError, ValueError):
        return False
    return True


def test_messages_that_are_damaged_are_one_line() -> None:
    messages(2 * FEW)


def test_a_field_whose_name_holds_line_ends_is_still_one_line(tmp_path: Path, task: Task) -> None:
    suite_bytes(tmp_path / "mine.yaml", task, b'{"\\n\\e[31m": null}')


@pytest.mark.long
def test_many_damaged_suites_are_one_line(tmp_path: Path, task: Task) -> None:
    suites(tmp_path / "mine.yaml", task, MANY)


@pytest.mark.long
def test_many_damaged_contracts_are_one_line(tmp_path: Path, task: Task) -> None:
    contracts(tmp_path / "contract.json", task, MANY)


@pytest.mark.long
def test_much_damaged_evidence_is_one_line(tmp_path: Path, folder: Path) -> None:
    checks(Path(shutil.copytree(folder, tmp_path / "01")), MANY)


@pytest.mark.long
def test_many_damaged_messages_are_one_line() -> None:
    messages(MANY)
