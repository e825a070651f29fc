"""Constraint files: every mistake is one line with file, line and field; what a cell lacks is listed, not ignored."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from genba.envs.errors import BadInput, UnknownName
from genba.envs.signals import Signal
from genba.envs.task import get_task
from genba.safety.constraints import GATING, WARNING, bind, from_dict, to_dict
from genba.safety.constraints_yaml import load_constraints
from genba.safety.limits import with_limits
from genba.safety.suite import load_suite

Write = Callable[[str], Path]

GOOD = """\
constraints:
  - id: separation
    says: {en: "While the tool moves, the worker is far enough away", ja: "作業者は十分に離れている"}
    when: tcp.speed > 0.02
    formula: always (worker.distance - separation.required >= 0)
    hard: true
    source: {document: "ISO 10218-2:2025", topic: separation, confidence: confirmed_secondary}
    cannot_show: [stopping distance of the real arm]
  - id: grip-force
    says: {en: "The part is not crushed"}
    formula: always (grip.force <= 40 N)
    hard: false
    max_rate: 0.05
    source: {document: "cell", topic: grip, confidence: project_assumption}
"""
CELL = {
    "tcp.speed": Signal("tcp.speed", "m/s"),
    "worker.distance": Signal("worker.distance", "m"),
    "separation.required": Signal("separation.required", "m"),
    "grip.force": Signal("grip.force", "N"),
}


@pytest.fixture
def written(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "suite.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_file_becomes_plain_values(written: Write) -> None:
    separation, grip = load_constraints(written(GOOD))
    assert separation.id == "separation" and separation.hard and separation.max_rate == 0.01
    assert separation.when == "tcp.speed > 0.02" and separation.says["ja"] == "作業者は十分に離れている"
    assert separation.cannot_show == ("stopping distance of the real arm",)
    assert separation.source.confidence == "confirmed_secondary"
    assert grip.when is None and not grip.hard and grip.max_rate == 0.05


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("hard: true", "hard: perhaps", ":6: field constraints.0.hard: expected a valid boolean"),
        ("    hard: true\n", "", ":2: field constraints.0.hard: expected a value, found nothing"),
        ("confirmed_secondary", "recalled",
         ":7: field constraints.0.source: a source that is 'recalled' may not gate: set hard: false, or cite one that is "
         "confirmed or confirmed_secondary or derived or cell_spec"),
        ("confirmed_secondary", "certain", ":7: field constraints.0.source.confidence: expected 'confirmed', "),
        ("always (worker", "alway (worker",
         ":5: field constraints.0.formula: column 1: expected one of the functions abs, min, max, norm, rate, "
         "total, duty or an operator, found 'alway'. Did you mean always?"),
        ("always (worker.distance - separation.required >= 0)", "worker.distance >= 0",
         ":5: field constraints.0.formula: column 17: (worker.distance >= 0.0) would be looked at in the first sample only: "
         "write always (worker.distance >= 0.0)"),
        ("always (grip.force <= 40 N)", "always (grip.force == 40 N)",
         ":11: field constraints.1.formula: column 20: '==' has no margin: use <= or >=, or move it to `when`"),
        ("tcp.speed > 0.02", "always tcp.speed > 0.02",
         ":4: field constraints.0.when: column 1: `when` may look back, not ahead: no always, eventually, until or "
         "within"),
        ("tcp.speed > 0.02", "tcp.speed >> 0.02",
         ":4: field constraints.0.when: column 12: expected a signal, a number or '(', found '>'"),
        ("max_rate: 0.05", "max_rate: 5", ":13: field constraints.1.max_rate: expected less than 1, found 5"),
        ("max_rate: 0.05", "maxrate: 0.05", ":13: field constraints.1.maxrate: no such field. Did you mean max_rate?"),
        ("id: grip-force", "id: separation", ":1: field constraints: expected each id once, found 'separation' 2 times"),
        ("id: grip-force", "id: Grip Force", ":9: field constraints.1.id: "),
        ('{en: "The part is not crushed"}', "{ja: x}", ":10: field constraints.1.says.en: expected a value, found nothing"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_line_with_its_place(written: Write, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = written(GOOD.replace(old, new, 1))
    with pytest.raises(BadInput) as caught:
        load_constraints(path)
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("confidence", [*GATING, *WARNING])
@pytest.mark.parametrize("hard", ["true", "false"])
def test_only_sources_that_were_read_may_gate(written: Write, confidence: str, hard: str) -> None:
    path = written(GOOD.replace("confirmed_secondary", confidence).replace("hard: true", f"hard: {hard}"))
    if hard == "true" and confidence in WARNING:
        with pytest.raises(BadInput, match="may not gate"):
            load_constraints(path)
    else:
        assert load_constraints(path)[0].hard == (hard == "true")


def test_a_bound_constraint_knows_the_unit_of_its_margin(written: Write) -> None:
    binding = bind(load_constraints(written(GOOD)), CELL)
    assert [(each.constraint.id, each.unit) for each in binding.assessed] == [
        ("separation", "m"),
        ("grip-force", "N"),
    ]
    assert binding.not_assessed == ()


def test_what_only_this_cell_lacks_is_listed(written: Write) -> None:
    constraints = load_constraints(written(GOOD))
    alone = {name: signal for name, signal in CELL.items() if not name.startswith(("worker.", "separation."))}
    binding = bind(constraints, alone, vocabulary=CELL)
    assert [each.constraint.id for each in binding.assessed] == ["grip-force"]
    assert binding.not_assessed == ((constraints[0], "no such signal: worker.distance, separation.required"),)


def test_a_cell_without_the_signals_of_a_guard_cannot_assess(written: Write) -> None:
    alone = {name: signal for name, signal in CELL.items() if name != "tcp.speed"}
    binding = bind(load_constraints(written(GOOD)), alone, vocabulary=CELL)
    assert [reason for _, reason in binding.not_assessed] == ["no such signal: tcp.speed"]


def test_a_misspelt_signal_is_an_error_that_lists_the_closest(written: Write) -> None:
    constraints = load_constraints(written(GOOD.replace("worker.distance", "worker.distanse")))
    with pytest.raises(UnknownName, match="unknown signal 'worker.distanse'. Did you mean worker.distance"):
        bind(constraints, CELL, vocabulary=CELL)


def test_mixed_units_name_the_constraint_and_both_units(written: Write) -> None:
    constraints = load_constraints(written(GOOD.replace("- separation.required", "- grip.force")))
    with pytest.raises(BadInput) as caught:
        bind(constraints, CELL)
    assert str(caught.value) == (
        "constraint 'separation', formula: column 25: worker.distance is in m but grip.force in N: they cannot be added or compared"
    )


def test_stored_constraints_come_back_equal(written: Write) -> None:
    for constraint in load_constraints(written(GOOD)):
        assert from_dict(json.loads(json.dumps(to_dict(constraint)))) == constraint


def test_a_stored_constraint_that_was_cut_short_says_so(written: Write) -> None:
    data = to_dict(load_constraints(written(GOOD))[0])
    del data["formula"]
    with pytest.raises(BadInput, match="stored constraint 'separation' cannot be read"):
        from_dict(data)


def test_a_stated_limit_bounds_the_size_of_what_may_be_negative() -> None:
    suite = with_limits(load_suite("basic"), ["screw.qd=12", "tcp.vel=0.5"], get_task("screw-drive").table)
    formulas = {each.id: each.formula for each in suite.constraints}
    assert formulas["limit-screw-qd"] == "always (abs(screw.qd) <= 12.0 rad/s)"
    assert formulas["limit-tcp-vel"] == "always (norm(tcp.vel) <= 0.5 m/s)"


@pytest.mark.parametrize("rate", ["1e-7", "5e-324", "0"])
def test_a_rate_that_no_number_of_episodes_could_show_is_refused(rate: str) -> None:
    with pytest.raises(BadInput, match="--limit tcp.speed=1:"):
        with_limits(load_suite("basic"), [f"tcp.speed=1:{rate}"], get_task("kit-pick").table)
