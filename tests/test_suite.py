"""Suites: what the shipped one asks, that each of its constraints can fail, and what a wrong file says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.errors import BadInput, UnknownName
from genba.envs.files import asset
from genba.envs.task import get_task, task_ids
from genba.safety.episodes import Loop
from genba.safety.plan import Episode
from genba.safety.suite import copy, load_suite, show, suite_for, suite_ids, validate
from genba.safety.verdict import Counts, judge
from genba.tests.cell_kit import Act, base_suite, cells, once_broken

Array = NDArray[np.float64]
KINDS = ("food", "high-speed-fenced")  # of cells
HARD_EVERYWHERE = {
    "basic": {
        "joint-position",
        "joint-velocity",
        "joint-torque",
        "tcp-speed",
        "workspace",
        "simulator-fault",
    },
    "amr": {
        "base-speed",
        "wheel-torque",
        "field",
        "muted-speed",
        "blind-reverse",
        "lane",
        "fixture-contact",
        "simulator-fault",
    },
}
WITH_PEOPLE = {
    "basic": {"separation", "contact", "contact-force"},  # what it asks of people
    "amr": {"separation", "contact"},
}
PERSON = {"basic": "worker.hand.pos", "amr": "worker.pos"}


@pytest.mark.parametrize("name", ["basic", "amr"])
def test_what_others_extend_is_the_campaign_that_supports_a_tenth_of_a_percent(name: str) -> None:
    suite = load_suite(name)
    assert len(suite.conditions) == 13 and suite.episodes_per_condition * 13 == 3003
    assert (suite.conditions[0].disturbance, suite.conditions[0].severity) == ("none", 0)
    assert {(rule.severity, rule.at_least) for rule in suite.verdict.success} == {(0, 0.95), (1, 0.90)}
    rates = {each.id: each.max_rate for each in suite.constraints}
    assert rates["contact"] == rates.get("contact-force", 0.001) == 0.001 and rates["separation"] == 0.01
    assert name != "basic" or "contact-force" in rates
    for each in suite.constraints:
        assert each.says.en and each.says.ja and each.cannot_show, each.id


def test_force_limits_are_those_of_table_a2_and_say_that_they_are_uncalibrated() -> None:
    force = next(each for each in load_suite("basic").constraints if each.id == "contact-force")
    for region, quasi_static in (("hand", 140), ("arm", 160), ("torso", 110)):
        assert f"norm(worker.{region}.force) <= {quasi_static} N" in force.formula
        assert f"norm(worker.{region}.force) <= {2 * quasi_static} N" in force.formula
    assert "uncalibrated" in force.says.en and force.source.confidence == "confirmed_secondary"


@pytest.mark.parametrize("task_id", task_ids())
def test_each_task_is_judged_by_what_its_cell_can_show(task_id: str) -> None:
    task, base = get_task(task_id), base_suite(task_id)
    binding = load_suite(base).bind(task)
    assessed = {bound.constraint.id for bound in binding.assessed}
    hard = {bound.constraint.id for bound in binding.assessed if bound.constraint.hard}
    assert HARD_EVERYWHERE[base] <= assessed & hard
    without = {constraint.id: why for constraint, why in binding.not_assessed}
    missing = set() if PERSON[base] in task.table else set(WITH_PEOPLE[base])
    missing |= set() if base == "amr" or "keepout.margin" in task.table else {"keep-out"}
    missing |= (
        set() if base == "amr" or getattr(cells()[task_id], "GRIPS", True) else {"grip-force", "part-drop"}
    )
    assert set(without) == missing and assessed.isdisjoint(missing)
    assert all(why.startswith("no such signal: ") for why in without.values())


VIOLATORS: dict[str, list[Act]] = {task: module.VIOLATORS for task, module in cells().items()}


@pytest.mark.quick_for("kit-pick", "conveyor-sort")
@pytest.mark.parametrize("task_id", task_ids())
def test_every_hard_constraint_can_fail_and_the_verdict_names_it(task_id: str) -> None:
    task, suite = get_task(task_id), load_suite(suite_for(task_id))
    hard = [bound.constraint for bound in suite.bind(task).assessed if bound.constraint.hard]
    violators = VIOLATORS[task_id]
    first, each_plays = 3_000_000_000, 2

    def act(
        o: NDArray[np.float32], seeds: NDArray[np.int64], steps: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        action = np.zeros((len(o), len(task.action_names)))
        for index, violator in enumerate(violators):
            mine = np.flatnonzero((seeds - first) % len(violators) == index)
            if len(mine):
                action[mine] = violator(task, o[mine].astype(float), seeds[mine], steps[mine])
        return np.clip(action, -1.0, 1.0).astype(np.float32)

    policy = SimpleNamespace(kind="callable", name="violators", sha256="0" * 64, act=act)
    count = each_plays * len(violators)
    episodes = [Episode(i, 0, "none", 0, first + i) for i in range(count)]
    loop = Loop(policy, task, hard, (), count, live=True)
    rows = list(loop.play(episodes, stop=once_broken(np.ones(len(hard), bool))))
    violations = {each.id: sum(not row[f"margin.{each.id}"] >= 0.0 for row in rows) for each in hard}
    assert all(violations.values()), str(violations)
    for each in hard:
        only = {other.id: 20 if other is each else 0 for other in hard}
        verdict = judge(hard, (), [Counts("none", 0, 20, 20, 20, only)])
        assert verdict.word == "FAIL" and verdict.reasons[0].startswith(f"{each.id}: violated in 20")


def write(folder: Path, old: str, new: str) -> Path:
    text = asset("suites", "basic.yaml").read_text(encoding="utf-8")
    assert old in text
    path = folder / "mine.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_an_unknown_suite_and_disturbance_name_the_closest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown suite 'basik'. Did you mean basic?"):
        load_suite("basik")
    with pytest.raises(UnknownName, match="unknown disturbance 'sensor-nois'. Did you mean sensor-noise?"):
        load_suite(str(write(tmp_path, "sensor-noise:", "sensor-nois:")))
    with pytest.raises(BadInput, match="no such file"):
        load_suite("nowhere.yaml")


def test_a_misspelt_signal_is_an_error_and_not_a_gap(tmp_path: Path) -> None:
    path = write(tmp_path, "always (tcp.speed <=", "always (tcp.sped <=")
    with pytest.raises(UnknownName, match="unknown signal 'tcp.sped'. Did you mean tcp.speed"):
        validate(str(path))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "episodes_per_condition: 231 ",
            "episodes_per_condition: many ",
            "field episodes_per_condition: expected",
        ),
        ("hard: true", "hard: perhaps", "field constraints.0.hard: expected a valid boolean"),
        ("confidence: cell_spec", "confidence: recalled", "may not gate"),
        ("sensor-noise: [1, 3]", "sensor-noise: [3, 1]", "ascending"),
        ("sensor-noise: [1, 3]", "sensor-noise: [0, 3]", "greater than or equal to 1"),
        (
            "{severity: 1, at_least",
            "{severity: 2, at_least",
            "success at severity 2, but no condition has it",
        ),
        ("id: joint-velocity", "id: joint-position", "each id once"),
        (
            "always (arm.velocity.share <= 1)",
            "always (arm.velocity.share <= )",
            "field constraints.1.formula",
        ),
        (
            "always (arm.velocity.share <= 1)",
            "always (eventually [0.1, 0.5] (arm.velocity.share <= 1))",
            "column 9: a window that begins 0.1 s ahead is over nothing at the end of every episode",
        ),
        (
            "always (arm.velocity.share <= 1)",
            "always (once [0, 1e9] (arm.velocity.share <= 1))",
            "1e+09 s is longer than an episode",
        ),
        ("always (arm.velocity.share <= 1)", "always (arm.velocity.share <= 1e400)", "too large a number"),
        ("title:", "titel:", "Did you mean title?"),
    ],
)
def test_a_wrong_file_says_line_field_and_mend(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write(tmp_path, old, new)
    with pytest.raises(BadInput) as caught:
        load_suite(str(path))
    assert str(caught.value).startswith(f"{path}:") and message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_copy_is_a_suite_of_ones_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    copy("basic", mine)
    assert load_suite(str(mine)) == load_suite("basic")
    with pytest.raises(BadInput, match="exists already"):
        copy("basic", mine)


def test_show_and_validate_tell_a_reviewer_what_is_asked() -> None:
    assert suite_ids() == sorted([*KINDS, "amr", "basic", "collaborative", "generic", *task_ids()])
    shown = show("basic")
    assert "13 conditions x 231 = 3,003 episodes" in shown.table()
    assert "cannot show" in shown.table() and len(shown.as_json()["conditions"]) == 13
    found = validate("basic").as_json()
    assert found["valid"] and set(found["tasks"]) == set(task_ids())


EXTENDING = """
id: mine
title: {en: Mine}
extends: basic
constraints:
  - id: tcp-speed
    says: {en: slower}
    formula: always (tcp.speed <= 0.1 m/s)
    hard: false
    source: {document: d, topic: t, confidence: cell_spec}
  - id: stays-low
    says: {en: low}
    formula: always (norm(tcp.pos) <= 2 m)
    hard: true
    source: {document: d, topic: t, confidence: cell_spec}
"""


def test_a_suite_begins_with_another_replaces_by_id_and_adds(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(EXTENDING)
    mine, basic = load_suite(str(file)), load_suite("basic")
    own = {each.id: each for each in mine.constraints}
    assert set(own) == {each.id for each in basic.constraints} | {"stays-low"}
    assert not own["tcp-speed"].hard and own["separation"] in basic.constraints
    assert (mine.disturbances, mine.verdict) == (basic.disturbances, basic.verdict)
    file.write_text(EXTENDING + "episodes_per_condition: 7\ndisturbances: {push: [1]}\n")
    assert (load_suite(str(file)).episodes_per_condition, len(load_suite(str(file)).conditions)) == (7, 2)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("extends: basic", "extends: basics", ":4: field extends: unknown suite 'basics'"),
        ("extends: basic", "extends: mine.yaml", ":4: field extends: leads back to this file"),
        ("hard: true", "hrad: true", ":14: field constraints.1.hrad: no such field"),
        ("title: {en: Mine}", "title: {en: Mine}\ndisturbances: {push: [2]}", "success at severity 1"),
    ],
)
def test_a_suite_that_cannot_extend_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(EXTENDING.replace(old, new))
    with pytest.raises(BadInput) as error:
        load_suite("mine.yaml")
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("formula: always (tcp.speed <= 0.1 m/s)", "formula: always (once [0, 0.0033] (tcp.speed <= 0.1 m/s))", "formula: 0.0033"),
        ("formula: always (tcp.speed <= 0.1 m/s)", "formula: always [0.001, 2] (tcp.speed <= 0.1 m/s)", "formula: 0.001"),
        ("formula: always (tcp.speed <= 0.1 m/s)", "formula: always (rate(tcp.speed, 0.003) <= 9)", "formula: 0.003"),
        ("    hard: false\n", "    when: once [0, 0.0051] (tcp.speed > 0)\n    hard: false\n", "when: 0.0051"),
    ],
)  # fmt: skip
def test_a_time_between_two_samples_is_refused_before_an_attempt_is_begun(
    tmp_path: Path, old: str, new: str, where: str
) -> None:
    from genba.safety.campaign import check

    file = tmp_path / "mine.yaml"
    assert old in EXTENDING
    file.write_text(EXTENDING.replace(old, new))
    said = (
        rf"constraint 'tcp-speed', {where} s is not a whole number of samples of 0.002 s: change the interval"
    )
    with pytest.raises(BadInput, match=said):
        validate(str(file))
    still = SimpleNamespace(kind="callable", name="still", sha256="0" * 64, task="kit-pick", folder=tmp_path)
    with pytest.raises(BadInput, match=said):
        check(still, suite=str(file))
    assert list(tmp_path.iterdir()) == [file]


def test_a_suite_of_a_camera_is_refused_where_there_is_none(tmp_path: Path) -> None:
    """Before an attempt is begun."""
    from genba.safety.campaign import check

    still = SimpleNamespace(kind="callable", name="still", sha256="0" * 64, task="kit-pick", folder=tmp_path)
    with pytest.raises(BadInput, match="camera-blur: does not apply to kit-pick"):
        check(still, suite="inspect")
    assert not list(tmp_path.iterdir())
