"""Recipes: every number of a training run, from the defaults, `assets/recipes/<task>.yaml` and `--set key=value`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import yaml

from ..envs.disturbances import LEVELS
from ..envs.errors import BadInput, UnknownName, one_line
from ..envs.files import asset, read_yaml
from .imitate import ImitationRecipe
from .improve import PpoRecipe

Part = ImitationRecipe | PpoRecipe
MAY_BE_ZERO = ("confirm", "imitation.rounds", "imitation.severity", "ppo.iterations")
LEAST = {"ppo.batch": 2, "imitation.expert_ticks": 10, "imitation.batch": 2}
MOST_STEPS = 100_000_000
MAY_BE_NEGATIVE = ("ppo.log_std", "ppo.begin", "imitation.paces")
MOST = {"imitation.severity": LEVELS - 1, "ppo.log_std": 2} | dict.fromkeys(
    ("imitation.mixing", "imitation.reach", "imitation.fine", "ppo.fine", "imitation.hard", "imitation.average", "imitation.disturbed", "imitation.slips", "imitation.paced",
     "imitation.paces", "ppo.begin", "ppo.reach", "ppo.disturbed", "ppo.discount", "ppo.gae"),
    1,
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """How a policy is made: imitation, reinforcement, how many held-out episodes choose between their results (`select`), and how many
    more must then confirm the choice (`confirm`)."""

    imitation: ImitationRecipe = field(default_factory=ImitationRecipe)
    ppo: PpoRecipe = field(default_factory=PpoRecipe)
    select: int = 256
    confirm: int = 512

    @property
    def steps(self) -> int:
        """Environment steps of both stages."""
        taught, ppo = self.imitation, self.ppo
        ticks = taught.expert_ticks + taught.rounds * taught.round_ticks
        return ticks * taught.worlds + ppo.iterations * ppo.ticks * ppo.worlds


def recipe_for(task: str, settings: list[str], steps: int | None) -> Recipe:
    """The recipe of a task with settings like `imitation.rounds=10`, both stages shortened or stretched to `steps`.

    Raises BadInput, UnknownName.
    """
    recipe = Recipe()
    path = asset("recipes", f"{task}.yaml")
    given = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for part, values in given.items():
        for name, value in values.items() if isinstance(values, dict) else [("", values)]:
            recipe = changed(recipe, f"{part}.{name}".rstrip("."), value)
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator:
            raise BadInput(f"--set {setting}: expected KEY=VALUE, for example imitation.rounds=10")
        try:
            value = read_yaml(key, text)[1]
        except BadInput:
            raise BadInput(
                f"--set {one_line(setting, 100)}: the value is not valid YAML; quote it if it holds brackets"
            ) from None
        recipe = changed(recipe, key, value)
    if steps is not None and steps < 1:
        raise BadInput(f"--steps {steps}: expected at least 1")
    if steps is not None and steps > MOST_STEPS:
        raise BadInput(f"--steps {steps}: expected at most {MOST_STEPS:,}: what is shown is kept in memory")
    made = recipe if steps is None else _scaled(recipe, steps)
    if made.steps > MOST_STEPS:
        raise BadInput(
            f"settings for {made.steps:,} steps: expected at most {MOST_STEPS:,}: what is shown is kept in memory"
        )
    if made.ppo.ticks * made.ppo.worlds < LEAST["ppo.batch"]:
        raise BadInput("settings ppo.ticks and ppo.worlds: expected at least two steps in an iteration")
    return made


def changed(recipe: Recipe, key: str, value: Any) -> Recipe:
    """The recipe with one number replaced. Raises UnknownName for the key, BadInput for the value."""
    known = {f"{part}.{f.name}" for part in ("imitation", "ppo") for f in fields(getattr(recipe, part))} | {
        "select",
        "confirm",
    }
    if key not in known:
        raise UnknownName("setting", key, known)
    part, _, name = key.rpartition(".")
    owner: Any = getattr(recipe, part) if part else recipe
    old = getattr(owner, name)
    given = _like(old, value, key)
    if name == "paces" and not (len(given) == 2 and -1.0 <= given[0] < given[1]):
        raise BadInput(
            f"setting {key}: expected two overrides from -1 to 1, the slower first, found {value!r}"
        )
    new = replace(owner, **{name: given})
    return replace(recipe, **{part: new}) if part else new


def _like(old: Any, value: Any, key: str) -> Any:
    """The value as the type that the setting has, if it makes sense there. Raises BadInput."""
    wanted = f"setting {key}: expected a value like {list(old) if isinstance(old, tuple) else old!r}, found {value!r}"
    if isinstance(old, tuple):
        if not isinstance(value, list | tuple) or not value:
            raise BadInput(wanted)
        return tuple(_like(old[0], each, key) for each in value)
    if isinstance(old, float) and not isinstance(value, bool):
        try:
            value = float(value)  # YAML reads 1e-4 as text
        except (TypeError, ValueError):
            raise BadInput(wanted) from None
    if type(value) is not type(old) or not abs(value) < 1e9:
        raise BadInput(wanted)
    least = LEAST.get(key, 1 if isinstance(old, int) and key not in MAY_BE_ZERO else 0)
    if value < least and key not in MAY_BE_NEGATIVE:
        raise BadInput(f"setting {key}: expected at least {least}, found {value!r}")
    if value > MOST.get(key, value):
        raise BadInput(f"setting {key}: expected at most {MOST[key]}, found {value!r}")
    return value


def _scaled(recipe: Recipe, steps: int) -> Recipe:
    share = steps / recipe.steps
    rounds, iterations = (
        max(min(1, number), round(number * share))
        for number in (recipe.imitation.rounds, recipe.ppo.iterations)
    )  # what the recipe leaves out stays out
    shown = round(recipe.imitation.expert_ticks * max(share, 1.0))  # what is shown first is never cut short
    return replace(
        recipe,
        imitation=replace(recipe.imitation, rounds=rounds, expert_ticks=shown),
        ppo=replace(recipe.ppo, iterations=iterations),
    )
