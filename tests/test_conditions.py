"""Conditions of several disturbances: named by all, met by all, worded by all."""

from __future__ import annotations

from pathlib import Path

import pytest

from genba.envs.conditions import parts_of
from genba.envs.errors import BadInput, UnknownName
from genba.envs.task import get_task
from genba.policies.load import load_policy
from genba.safety.campaign import check
from genba.safety.episodes import Loop
from genba.safety.plan import Episode
from genba.safety.policy import OneAtATime
from genba.safety.suite import check_conditions, disturbances_of, load_suite
from genba.safety.words import load_words

MINE = """
id: mine
title: {en: Mine, ja: 私の}
extends: basic
episodes_per_condition: 2
disturbances: {"%s": [1]}
"""
BOTH = "push + sensor-bias"


def written(tmp_path: Path, condition: str) -> str:
    file = tmp_path / "mine.yaml"
    file.write_text(MINE % condition, encoding="utf-8")
    return str(file)


def test_a_suite_names_several_by_name_once_each(tmp_path: Path) -> None:
    suite = load_suite(written(tmp_path, BOTH))
    assert [(c.disturbance, c.severity) for c in suite.conditions] == [("none", 0), (BOTH, 1)]
    assert parts_of(BOTH) == ("push", "sensor-bias") and parts_of("push") == ("push",)
    for wrong in ("sensor-bias + push", "push + push"):
        with pytest.raises(BadInput, match="once each, by name"):
            load_suite(written(tmp_path, wrong))
    with pytest.raises(UnknownName, match="Did you mean sensor-bias"):
        load_suite(written(tmp_path, "push + sensor-bia"))


def test_both_act_in_an_episode_of_both() -> None:
    task = get_task("conveyor-sort")
    policy = OneAtATime(load_policy("scripted", task.id))
    hashes = {}
    for name in ("none", "push", "sensor-bias", BOTH):
        loop = Loop(policy, task, (), [name], 2, 1)
        (row,) = loop.play([Episode(0, 0, name, 3 * (name != "none"), 5)])
        hashes[name] = row["trace_sha256"]
        assert row["disturbance"] == name
        assert sorted(loop.worlds.disturbances) == sorted({*parts_of(name)} - {"none"})
    assert len(set(hashes.values())) == 4


def test_a_suite_for_another_cell_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    suite = load_suite(written(tmp_path, "belt-speed + push"))
    check_conditions(suite, get_task("conveyor-sort"))
    with pytest.raises(BadInput, match="only to cells with a belt"):
        check(load_policy("scripted", "kit-pick"), suite=suite, seed=0)
    assert not (tmp_path / "runs").exists()


def test_words_name_all_of_them() -> None:
    assert load_words("en").name("disturbance", BOTH) == "Push + Sensor bias"
    assert load_words("ja").name("disturbance", BOTH) == "押し + センサの一定ずれ"


def test_training_meets_what_the_suite_of_the_cell_names() -> None:
    """The six of the basic suite, as when the policies that ship were taught."""
    assert disturbances_of(get_task("kit-pick")) == [
        "action-delay", "friction", "observation-delay", "part-mass", "push", "sensor-noise",
    ]  # fmt: skip
