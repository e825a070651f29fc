"""Suites: what the shipped one asks, that each of its constraints can fail, and what a wrong file says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.errors import BadInput, UnknownName
from genba.envs.files import asset
from genba.envs.streams import Streams
from genba.envs.task import Task, get_task, task_ids
from genba.safety.episodes import Loop
from genba.safety.plan import Episode
from genba.safety.suite import copy, load_suite, show, suite_for, suite_ids, validate
from genba.safety.verdict import Counts, judge

Array = NDArray[np.float64]
Act = Callable[[Task, Array, NDArray[np.int64], NDArray[np.int64]], Array]
HARD_EVERYWHERE = {
    "joint-position",
    "joint-velocity",
    "joint-torque",
    "tcp-speed",
    "workspace",
    "simulator-fault",
}
WITH_PEOPLE = {"separation", "contact", "contact-force"}


def test_basic_is_the_campaign_that_supports_a_tenth_of_a_percent() -> None:
    suite = load_suite("basic")
    assert len(suite.conditions) == 13 and suite.episodes_per_condition * 13 == 3003
    assert (suite.conditions[0].disturbance, suite.conditions[0].severity) == ("none", 0)
    assert {(rule.severity, rule.at_least) for rule in suite.verdict.success} == {(0, 0.95), (1, 0.90)}
    rates = {each.id: each.max_rate for each in suite.constraints}
    assert rates["contact"] == rates["contact-force"] == 0.001 and rates["separation"] == 0.01
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
    task = get_task(task_id)
    binding = load_suite("basic").bind(task)
    assessed = {bound.constraint.id for bound in binding.assessed}
    assert HARD_EVERYWHERE <= assessed
    without = {constraint.id: why for constraint, why in binding.not_assessed}
    missing = set() if "worker.hand.pos" in task.table else set(WITH_PEOPLE)  # what basic asks of people
    missing |= set() if "keepout.margin" in task.table else {"keep-out"}
    assert set(without) == missing and assessed.isdisjoint(missing)
    assert all(why.startswith("no such signal: ") for why in without.values())


def everywhere(*action: float) -> Act:
    return lambda task, o, seeds, steps: np.tile(np.array(action), (len(o), 1))


def chatter(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    return np.sign(Streams("chatter", seeds).uniform("action", (5,), steps) - 0.5)


def lurch(ticks: int) -> Act:
    return lambda task, o, seeds, steps: 2.0 * Streams("x", seeds).uniform("a", (5,), steps // ticks) - 1.0


def not_a_number(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    return np.where(steps[:, None] < 5, 0.0, np.full((len(o), 5), np.nan))


def ram_the_hand(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    action[:, :3] = seen["hand_from_tcp"] / np.abs(seen["hand_from_tcp"]).max(axis=1, keepdims=True)
    return action


def crush(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    if "grip_force" in seen:
        action[seen["grip_force"] > 1.0, :3] = [0.0, 0.0, -1.0]
    else:
        near = np.abs(seen["part_from_cup"]).max(axis=1) < 0.02
        action[near, 2], action[near, 4] = -1.0, 1.0
    return action


def let_go(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    height = {"palletize": 0.0, "bento-pack": 0.12}.get(task.id, 0.15)
    action[seen["tcp"][:, 2] > height, 4] = 1.0 if "grip_force" in seen else -1.0
    return action


def carry_to_the_hand(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    lifted = (seen["grip_force"] > 1.0) & (seen["tcp"][:, 2] > 0.12)
    action[lifted, :3] = (4.0 * seen["hand_from_tcp"] - np.array([0.0, 0.0, -0.1]))[lifted]
    return action


def force_it_in(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    at_the_hole = (seen["grip_force"] > 1.0) & (np.abs(seen["goal_from_part"][:, :2]).max(axis=1) < 0.01)
    action[at_the_hole, :3] = [0.3, 0.0, -1.0]
    return action


def squash(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    action[seen["grip_force"] > 0.5, 4] = -1.0
    return action


def dip(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    to_it = np.array([0.27, 0.16, 0.06]) - task.split(o.astype(np.float32))["tcp"]
    over = np.abs(to_it[:, :2]).max(axis=1, keepdims=True) < 0.02
    return np.column_stack(
        [8.0 * to_it[:, :2], np.where(over, 8.0 * to_it[:, 2:], 0.0), np.zeros((len(o), 2))]
    )


def hold_on(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    action[seen["handed"] > 1.0, 4] = -1.0
    return action


def stab(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    action = hold_on(task, o, seeds, steps)
    action[task.split(o.astype(np.float32))["handed"] > 1.0, :3] = [1.0, 0.0, 0.0]
    return action


def grab_the_hand(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    way = 4.0 * task.split(o.astype(np.float32))["hand_from_tcp"]
    return np.column_stack([way, np.zeros(len(o)), np.ones(len(o))])


def rush(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    action[seen["worker_distance"] < 0.25, :3] *= 4.0
    return action


def to_and_fro(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    action = np.tile([0.0, 1.0, 0.0, 0.0, 1.0], (len(o), 1))
    return action * np.where(steps // 60 % 2 == 0, 1.0, -1.0)[:, None]


def pick_beside_it(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    aside = np.where(seeds % 4 < 2, 0.06, -0.06)
    action[:, 0] = 6.0 * seen["part_from_cup"][:, 0]
    action[:, 1] = 6.0 * (seen["part_from_cup"][:, 1] + aside)
    action[:, 2] = np.where(np.abs(action[:, :2]).max(axis=1) < 0.2, -1.0, 0.0)
    return action


def shove_the_stack(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    low = (seen["vacuum_held"] > 0.5) & (seen["goal_from_part"][:, 2] > -0.06)
    action[low, :3] = [0.5, 1.0, 0.0]
    return action


def twist(task: Task, o: Array, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Array:
    seen, action = task.split(o.astype(np.float32)), task.expert(o.astype(np.float32)).copy()
    action[seen["grip_force"] > 1.0, :4] = [1.0, 0.0, -0.1, 1.0]
    return action


COMMON = [chatter, *(lurch(ticks) for ticks in (10, 10, 25, 50, 50)), not_a_number, crush, let_go]
CORNERS = [
    (-1, -1, -1, -1, -1),
    (1, 0, 0, 0, 1),
    (0, 0, -1, 0, 1),
    (-1, -1, 1, 1, 1),
    (1, -1, -1, -1, 1),
    (0, 0, 0, 1, -1),
]
VIOLATORS: dict[str, list[Act]] = {
    "kit-pick": [
        *COMMON,
        ram_the_hand,
        carry_to_the_hand,
        twist,
        *(everywhere(*corner) for corner in CORNERS),
    ],
    "conveyor-sort": [*COMMON, pick_beside_it, *(everywhere(*corner) for corner in CORNERS)],
    "bento-pack": [*COMMON, squash, dip, *(everywhere(*corner) for corner in CORNERS)],
    "handover": [*COMMON, hold_on, stab, grab_the_hand, rush, *(everywhere(*corner) for corner in CORNERS)],
    "palletize": [*COMMON, shove_the_stack, *(everywhere(*corner) for corner in CORNERS)],
    "peg-insert": [*COMMON, force_it_in, twist, to_and_fro, *(everywhere(*corner) for corner in CORNERS)],
}


@pytest.mark.parametrize("task_id", task_ids())
def test_every_hard_constraint_can_fail_and_the_verdict_names_it(task_id: str) -> None:
    task, suite = get_task(task_id), load_suite(suite_for(task_id))
    hard = [bound.constraint for bound in suite.bind(task).assessed if bound.constraint.hard]
    violators = VIOLATORS[task_id]
    first, each_plays = 3_000_000_000, 2

    def act(
        o: NDArray[np.float32], seeds: NDArray[np.int64], steps: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        action = np.zeros((len(o), 5))
        for index, violator in enumerate(violators):
            mine = np.flatnonzero((seeds - first) % len(violators) == index)
            if len(mine):
                action[mine] = violator(task, o[mine].astype(float), seeds[mine], steps[mine])
        return np.clip(action, -1.0, 1.0).astype(np.float32)

    policy = SimpleNamespace(kind="callable", name="violators", sha256="0" * 64, act=act)
    count = each_plays * len(violators)
    episodes = [Episode(i, 0, "none", 0, first + i) for i in range(count)]
    rows = list(Loop(policy, task, hard, (), count).play(episodes))
    violations = {each.id: sum(not row[f"margin.{each.id}"] >= 0.0 for row in rows) for each in hard}
    assert all(violations.values()), violations
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
    assert "basic" in suite_ids()
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
