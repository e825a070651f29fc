"""Recipes: every number can be set, a wrong one is named in one line, and `--steps` stretches both stages."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from genba.envs.errors import BadInput, UnknownName
from genba.envs.task import task_ids
from genba.policies.recipes import Recipe, changed, recipe_for
from genba.policies.runs import describe_run, read_config
from genba.policies.train import _plain, _read_recipe


def refusal(*settings: str) -> str:
    with pytest.raises(BadInput) as caught:
        recipe_for("kit-pick", list(settings), None)
    return str(caught.value)


def test_settings_change_what_they_name_and_nothing_else() -> None:
    recipe = recipe_for("kit-pick", ["imitation.rounds=7", "ppo.clip=0.3", "select=9"], None)
    other = recipe_for("kit-pick", [], None)
    assert (recipe.imitation.rounds, recipe.ppo.clip, recipe.select) == (7, 0.3, 9)
    back = recipe
    for key, value in (
        ("imitation.rounds", other.imitation.rounds),
        ("ppo.clip", other.ppo.clip),
        ("select", other.select),
    ):
        back = changed(back, key, value)
    assert back == other


def test_the_last_of_two_settings_holds() -> None:
    assert recipe_for("kit-pick", ["select=9", "select=12"], None).select == 12


def test_numbers_are_read_as_people_write_them() -> None:
    recipe = recipe_for(
        "kit-pick",
        ["ppo.learning_rate=1e-4", "ppo.reach=1", "imitation.mixing=[0.5, 0.25, 0]", "ppo.log_std=-1"],
        None,
    )
    assert (recipe.ppo.learning_rate, recipe.ppo.reach, recipe.ppo.log_std) == (1e-4, 1.0, -1.0)
    assert recipe.imitation.mixing == (0.5, 0.25, 0.0)
    assert [recipe.imitation.share_of_expert(i) for i in range(5)] == [0.5, 0.25, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "value",
    [
        "2024-02-30",
        "9" * 5000,
        "0x" + "f" * 3000,
        "[" * 3000,
        "!!int abc",
        "!!float x",
        "&a [*a]",
        "? {a: b}",
    ],
    ids=lambda value: value[:12],
)
def test_a_value_that_cannot_be_read_is_one_short_line(value: str) -> None:
    for name in ("select", "imitation.mixing", "ppo.clip"):
        line = refusal(f"{name}={value}")
        assert line.startswith(f"--set {name}=") and "not valid YAML" in line and len(line) < 250


def test_an_unknown_setting_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownName) as caught:
        recipe_for("kit-pick", ["imitation.round=3"], None)
    assert caught.value.closest[0] == "imitation.rounds"
    assert "Did you mean imitation.rounds" in str(caught.value) and "\n" not in str(caught.value)
    for key in ("", "ppo", "ppo.", "steps", "imitation.rounds.more"):
        with pytest.raises(UnknownName):
            recipe_for("kit-pick", [f"{key}=3"], None)


@pytest.mark.parametrize(
    "setting",
    [
        "imitation.rounds=many",
        "imitation.rounds=2.5",
        "imitation.rounds=true",
        "imitation.rounds=",
        "ppo.clip=fast",
        "ppo.clip=true",
        "ppo.clip=.nan",
        "ppo.clip=.inf",
        "imitation.mixing=0.5",
        "imitation.mixing=[half]",
        "select=[1]",
    ],
)
def test_a_value_of_another_kind_is_refused_in_one_line(setting: str) -> None:
    line = refusal(setting)
    key = setting.partition("=")[0]
    assert (
        line.startswith(f"setting {key}: expected a value like ") and ", found " in line and "\n" not in line
    )


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("imitation.worlds=0", "expected at least 1, found 0"),
        ("select=0", "expected at least 1, found 0"),
        ("ppo.ticks=-4", "expected at least 1, found -4"),
        ("imitation.learning_rate=-1e-3", "expected at least 0, found -0.001"),
        ("imitation.severity=6", "expected at most 5, found 6"),
        ("imitation.rounds", "expected KEY=VALUE"),
        ("imitation.mixing=[0.5", "not valid YAML"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(setting: str, expected: str) -> None:
    assert expected in refusal(setting)


@settings(max_examples=60)
@given(
    st.sampled_from(["imitation.worlds", "imitation.severity", "ppo.reach", "imitation.mixing", "select"]),
    st.one_of(
        st.integers(), st.floats(), st.text(max_size=5), st.booleans(), st.none(), st.lists(st.floats())
    ),
)
def test_whatever_is_given_is_taken_or_refused(key: str, value: Any) -> None:
    """And what is taken has the type of the default."""
    try:
        recipe = changed(Recipe(), key, value)
    except BadInput as error:
        assert str(error).startswith(f"setting {key}: ")
        return
    part, _, name = key.rpartition(".")
    taken = getattr(getattr(recipe, part) if part else recipe, name)
    default = getattr(getattr(Recipe(), part) if part else Recipe(), name)
    assert type(taken) is type(default)


@pytest.mark.parametrize("task", task_ids())
def test_steps_scale_both_stages(task: str) -> None:
    whole = recipe_for(task, [], None)
    half = recipe_for(task, [], whole.steps // 2)
    assert half.imitation.rounds == pytest.approx(whole.imitation.rounds / 2, abs=1)
    assert half.ppo.iterations == pytest.approx(whole.ppo.iterations / 2, abs=1)
    assert half.imitation.worlds == whole.imitation.worlds and half.select == whole.select
    double = recipe_for(task, [], whole.steps * 2)
    assert double.steps == pytest.approx(2 * whole.steps, rel=0.1) and half.steps < whole.steps < double.steps
    least = recipe_for(task, [], 1)
    assert least.imitation.rounds == 1, "what the recipe leaves out stays out"
    assert least.ppo.iterations == min(whole.ppo.iterations, 1)
    assert recipe_for(task, ["ppo.iterations=0"], whole.steps * 2).ppo.iterations == 0
    with pytest.raises(BadInput, match="--steps 1000000000: expected at most 100,000,000"):
        recipe_for(task, [], 10**9)
    with pytest.raises(BadInput, match="--steps 0: expected at least 1"):
        recipe_for(task, [], 0)


def test_steps_are_what_both_stages_take() -> None:
    recipe = recipe_for(
        "kit-pick",
        ["imitation.rounds=2", "imitation.worlds=3", "imitation.expert_ticks=10", "imitation.round_ticks=5"]
        + ["ppo.iterations=2", "ppo.worlds=4", "ppo.ticks=7"],
        None,
    )
    assert recipe.steps == (10 + 2 * 5) * 3 + 2 * 4 * 7
    assert recipe.imitation.rows == (10 + 2 * 5) * 3


def test_learning_rates_stay_then_fall() -> None:
    rates = [rate for part in Recipe().imitation.rates() for rate in part]
    assert len(rates) == (Recipe().imitation.rounds + 1) * Recipe().imitation.round_fits
    assert rates[0] == Recipe().imitation.learning_rate == rates[len(rates) // 3]
    assert rates == sorted(rates, reverse=True) and rates[-1] == pytest.approx(0.01 * rates[0])


def test_a_recipe_comes_back_from_its_run(tmp_path: Path) -> None:
    """Also numbers that YAML would write without a point."""
    recipe = recipe_for(
        "conveyor-sort", ["ppo.learning_rate=1e-5", "imitation.mixing=[0.5]", "ppo.clip=1"], None
    )
    describe_run(tmp_path, {"task": "conveyor-sort", "seed": 4, **_plain(recipe)})
    assert _read_recipe(tmp_path) == (4, recipe)
    assert read_config(tmp_path)["imitation"] == {
        **asdict(recipe.imitation),
        "mixing": [0.5],
        "paces": list(recipe.imitation.paces),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("task: kit-pick\nseed: 1\n", "not the recipe of a run"),
        (
            "task: kit-pick\nseed: 1\nimitation: {rouns: 2}\nppo: {}\nselect: 4\nconfirm: 4\n",
            "imitation.rounds",
        ),
        (
            "task: kit-pick\nseed: 1\nimitation: {rounds: two}\nppo: {}\nselect: 4\nconfirm: 4\n",
            "found 'two'",
        ),
        ("task: [kit-pick\n", "cannot be read"),
        ("", "names no task"),
    ],
)
def test_a_damaged_configuration_says_so(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(BadInput, match=expected) as caught:
        _read_recipe(tmp_path)
    assert "start a new run" in str(caught.value) and "\n" not in str(caught.value)


def test_the_configuration_is_yaml_that_people_can_read(tmp_path: Path) -> None:
    describe_run(tmp_path, {"task": "kit-pick", "seed": 0, **_plain(Recipe())})
    text = (tmp_path / "config.yaml").read_text()
    assert yaml.safe_load(text)["imitation"]["rounds"] == Recipe().imitation.rounds and "!!" not in text


@pytest.mark.parametrize(
    "setting",
    [
        "imitation.fine=1.5",
        "ppo.fine=-0.1",
        "ppo.fine=[0.3]",
        "imitation.paces=[0.5]",
        "imitation.paces=[1, -1]",
        "imitation.paces=[-2, 1]",
        "imitation.slips=2",
        "imitation.hard=1.5",
        "imitation.mixing=[]",
    ],
)
def test_a_share_that_is_none_is_one_line(setting: str) -> None:
    with pytest.raises(BadInput, match=setting.partition("=")[0]):
        recipe_for("kit-pick", [setting], None)


@pytest.mark.parametrize(
    "settings", [["ppo.worlds=1", "ppo.ticks=1"], ["imitation.expert_ticks=99999999"], ["ppo.log_std=1000"]]
)
def test_what_nothing_could_be_learnt_by_is_one_line(settings: list[str]) -> None:
    with pytest.raises(BadInput, match="expected at"):
        recipe_for("kit-pick", settings, None)


@pytest.mark.parametrize("setting", ["ppo.batch=1", "imitation.expert_ticks=1"])
def test_what_cannot_be_learnt_with_is_refused_before_anything_is_taught(setting: str) -> None:
    with pytest.raises(BadInput, match=f"setting {setting.partition('=')[0]}: expected at least"):
        recipe_for("kit-pick", [setting], None)
