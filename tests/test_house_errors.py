"""Messages: one line, what exists (closest first), what to do next."""

import pickle

import pytest

from genba.envs.errors import BadInput, EnvironmentProblem, GenbaError, Refused, UnknownName


def test_an_unknown_name_lists_what_exists_closest_first() -> None:
    error = UnknownName("task", "kitpick", ["kit-pick", "conveyor-sort"])
    assert str(error) == "unknown task 'kitpick'. Did you mean kit-pick? (known: conveyor-sort, kit-pick)"


def test_case_does_not_hide_the_closest_name() -> None:
    assert "Did you mean tcp.pos" in str(UnknownName("signal", "TCP.Pos", ["tcp.pos", "part.pos", "arm.q"]))


def test_many_names_are_shortened_and_the_closest_survive() -> None:
    known = [f"arm.q.{i:02d}" for i in range(60)] + ["worker.distance"]
    message = str(UnknownName("signal", "worker.distanse", known))
    assert "known: worker.distance, arm.q.00" in message
    assert message.endswith("and 45 more)")


def test_nothing_close_and_nothing_known_read_well() -> None:
    assert str(UnknownName("suite", "xyzzy", ["basic"])) == "unknown suite 'xyzzy'. (known: basic)"
    assert str(UnknownName("run", "a", [])) == "unknown run 'a'. (none exist)"


@pytest.mark.parametrize(
    ("kind", "code"), [(BadInput, 2), (Refused, 1), (EnvironmentProblem, 3), (GenbaError, 2)]
)
def test_each_kind_has_its_exit_code_and_its_line(kind: type[GenbaError], code: int) -> None:
    assert kind("what; do this").exit_code == code
    assert str(kind("what; do this")) == "what; do this"


def test_an_unknown_name_is_a_key_error_and_crosses_processes() -> None:
    error = UnknownName("task", "kitpick", ["kit-pick"])
    assert isinstance(error, KeyError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
