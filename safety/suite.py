"""Suites: constraints, conditions, sampling plan and verdict rules in one YAML file that a reviewer can read and sign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from ..envs.conditions import JOINT, parts_of
from ..envs.errors import BadInput, UnknownName, printable
from ..envs.files import asset, atomic_write_bytes, line_of, load_yaml, writing
from .constraints import Binding, Constraint, bind
from .constraints_yaml import ConstraintModel, SaysModel, refuse_repeated_ids
from .strata import Strata

if TYPE_CHECKING:
    from ..envs.task import Task

NOMINAL, BASIC, GENERIC = "none", "basic", "generic"
NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
Severity = Annotated[int, Field(ge=1, le=5)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Condition(_Frozen):
    """A disturbance, or several together ("push + sensor-noise"), at a severity; the nominal condition is "none" at 0."""

    disturbance: str
    severity: int = Field(ge=0, le=5)


class SuccessRule(_Frozen):
    """At conditions of this severity together, the lower bound of the success rate must reach `at_least`."""

    severity: int = Field(ge=0, le=5)
    at_least: float = Field(gt=0.0, lt=1.0)


class VerdictRules(_Frozen):
    """One-sided confidence of every bound, and the demands on success (none: only constraints gate)."""

    confidence: float = Field(default=0.95, ge=0.8, lt=1.0)
    success: tuple[SuccessRule, ...]

    @field_validator("success")
    @classmethod
    def _once_each(cls, success: tuple[SuccessRule, ...]) -> tuple[SuccessRule, ...]:
        levels = [rule.severity for rule in success]
        if len(set(levels)) < len(levels):
            raise ValueError(f"expected each severity once, found {levels}")
        return success


class Suite(_Frozen):
    """What a policy is asked to keep, where, how often, and what counts as enough.

    `extends` names the suite whose constraints, conditions and rules it began with.
    """

    id: str = Field(pattern=NAME, max_length=40)
    title: SaysModel
    extends: str | None = None
    episodes_per_condition: int = Field(ge=1, le=100_000)
    disturbances: dict[str, tuple[Severity, ...]] = Field(default_factory=dict)
    verdict: VerdictRules
    constraints: tuple[ConstraintModel, ...] = Field(min_length=1)
    strata: Strata | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A suite without strata is written as if there were no such field."""
        whole: dict[str, Any] = write(self)
        if self.strata is None:
            whole.pop("strata", None)
        return whole

    @field_validator("disturbances")
    @classmethod
    def _ascending(cls, found: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        for name, levels in found.items():
            if list(parts_of(name)) != sorted(set(parts_of(name))):
                raise ValueError(
                    f"expected disturbances that act together once each, by name and as 'a{JOINT}b', found {name!r}"
                )
            if not levels or list(levels) != sorted(set(levels)):
                raise ValueError(
                    f"expected severities of {name} once each and ascending, found {list(levels)}"
                )
        return dict(sorted(found.items()))

    @field_validator("constraints")
    @classmethod
    def _ids_differ(cls, constraints: tuple[ConstraintModel, ...]) -> tuple[ConstraintModel, ...]:
        refuse_repeated_ids(constraints)
        return constraints

    @model_validator(mode="after")
    def _strata_are_even(self) -> Suite:
        if self.strata and self.episodes_per_condition % self.strata.parts:
            raise ValueError(
                f"expected equally many episodes in each of {self.strata.parts} strata, found "
                f"{self.episodes_per_condition} in a condition"
            )
        return self

    @model_validator(mode="after")
    def _rules_apply(self) -> Suite:
        present = {condition.severity for condition in self.conditions}
        for rule in self.verdict.success:
            if rule.severity not in present:
                raise ValueError(
                    f"verdict asks for success at severity {rule.severity}, but no condition has it"
                )
        return self

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Nominal first, then each disturbance (by name) at each severity."""
        rows = [Condition(disturbance=NOMINAL, severity=0)]
        for name, levels in sorted(self.disturbances.items()):
            rows += [Condition(disturbance=name, severity=level) for level in levels]
        return tuple(rows)

    @property
    def values(self) -> tuple[Constraint, ...]:
        """The constraints as plain values."""
        return tuple(model.value() for model in self.constraints)

    def bind(self, task: Task) -> Binding:
        """What of it a task's cell can judge. Raises UnknownName for a signal that no cell has, BadInput on units and times."""
        from ..envs.vocabulary import meanings

        return bind(self.values, task.table, meanings(), 1.0 / task.physics_hz)


class _Extension(_Frozen):
    """A suite file that begins with another suite: what it leaves out is as there, constraints are added or, by id, replaced."""

    id: str = Field(pattern=NAME, max_length=40)
    title: SaysModel
    extends: str
    episodes_per_condition: int | None = Field(default=None, ge=1, le=100_000)
    disturbances: dict[str, tuple[Severity, ...]] | None = None
    verdict: VerdictRules | None = None
    constraints: tuple[ConstraintModel, ...] = ()
    strata: Strata | None = None

    def on(self, base: Suite) -> Suite:
        """The whole suite. Raises ValidationError."""
        own = {each.id for each in self.constraints}
        given = {
            name: value
            for name in ("episodes_per_condition", "disturbances", "verdict", "strata")
            if (value := getattr(self, name)) is not None
        }
        kept = tuple(each for each in base.constraints if each.id not in own)
        whole = {name: getattr(base, name) for name in Suite.model_fields}
        own_words = {"id": self.id, "title": self.title, "extends": self.extends}
        return Suite(**{**whole, **given, **own_words, "constraints": (*kept, *self.constraints)})


class _Opening(BaseModel):
    """What decides how a suite file is read."""

    extends: Any = None


def suite_ids() -> list[str]:
    """The suites that come with Genba."""
    return sorted(path.stem for path in asset("suites").glob("*.yaml"))


def suite_path(name: str) -> Path:
    """The file of a suite id, or the file itself. Raises UnknownName, BadInput."""
    if Path(name).suffix in (".yaml", ".yml") or "/" in name:
        return Path(name)
    if name not in suite_ids():
        raise UnknownName("suite", name, suite_ids())
    return asset("suites", f"{name}.yaml")


def load_suite(name: str) -> Suite:
    """A suite by id or file.

    Raises:
        UnknownName: no such suite, or a disturbance that does not exist (closest names listed).
        BadInput: the file cannot be used: line, field, expected and found.
    """
    from ..envs.foreign_disturbances import every_disturbance

    suite = _read(suite_path(name), ())
    for disturbance in (part for condition in suite.disturbances for part in parts_of(condition)):
        if disturbance not in every_disturbance():
            raise UnknownName("disturbance", disturbance, every_disturbance())
    return suite


def check_conditions(suite: Suite, task: Task) -> None:
    """Raises BadInput or UnknownName where a suite names a disturbance that a task's cell cannot meet."""
    from ..envs.disturbances import check_applies
    from ..envs.foreign_disturbances import every_disturbance

    known = task.known_disturbances()
    for part in (part for condition in suite.disturbances for part in parts_of(condition)):
        if part not in known:
            if not task.foreign:
                check_applies(every_disturbance()[part], task)
            raise UnknownName(f"disturbance of {task.id}", part, known)


def disturbances_of(task: Task) -> list[str]:
    """The disturbances, one by one, of the suite that a task is judged by: what its policies learn to live with."""
    return sorted({part for name in load_suite(suite_for(task.id)).disturbances for part in parts_of(name)})


def _read(path: Path, readers: tuple[Path, ...]) -> Suite:
    """The suite in a file, with what it extends. Raises as `load_suite`."""
    if load_yaml(path, _Opening).extends is None:
        return load_yaml(path, Suite)
    if path in readers:
        raise BadInput(f"{path}:{line_of(path, 'extends')}: field extends: leads back to this file")
    extension = load_yaml(path, _Extension)
    try:
        return extension.on(_read(suite_path(extension.extends), (*readers, path)))
    except UnknownName as error:
        raise BadInput(f"{path}:{line_of(path, 'extends')}: field extends: {error}") from None
    except ValidationError as error:
        raise BadInput(
            f"{path}: does not fit what it extends: {error.errors()[0]['msg'].partition(', ')[2]}"
        ) from None


def suite_for(task_id: str) -> str:
    """The id of the suite that a task is judged by unless another is named: its cell's own, else `basic`; for an
    environment that is not ours, `generic`.
    """
    from ..envs.task import FOREIGN

    if task_id.startswith(FOREIGN):
        return GENERIC
    cell = task_id.partition(":")[0].partition(",")[0]
    return cell if cell in suite_ids() else BASIC


@dataclass(frozen=True)
class Shown:
    """A suite as `genba suites show` prints it."""

    suite: Suite

    def as_json(self) -> Mapping[str, Any]:
        return {
            **self.suite.model_dump(mode="json"),
            "conditions": [c.model_dump() for c in self.suite.conditions],
        }

    def table(self) -> str:
        suite = self.suite
        total = len(suite.conditions) * suite.episodes_per_condition
        lines = [
            f"{suite.id}: {suite.title.en}",
            f"{len(suite.conditions)} conditions x {suite.episodes_per_condition} = {total:,} episodes, judged at "
            f"{suite.verdict.confidence:.0%} confidence",
            *(
                [f"equally many starts in each of {suite.strata.parts} strata of {suite.strata.name}"]
                if suite.strata
                else []
            ),
            *(
                f"success at severity {rule.severity}: at least {rule.at_least:.0%}"
                for rule in suite.verdict.success
            ),
            "",
        ]
        for each in suite.constraints:
            demand = f"at most {each.max_rate:.2%} of episodes" if each.hard else "warns"
            lines += [
                f"{each.id} ({demand})",
                f"    {each.says.en}",
                *([f"    when     {each.when}"] if each.when else []),
                f"    formula  {' '.join(each.formula.split())}",
                f"    source   {each.source.document}: {each.source.topic} ({each.source.confidence})",
                *([f"    cannot show: {'; '.join(each.cannot_show)}"] if each.cannot_show else []),
            ]
        return "\n".join(printable(line) for line in lines)


@dataclass(frozen=True)
class Validated:
    """What `genba suites validate` found: per task, which constraints it can judge and which not, with the reason."""

    suite: Suite
    tasks: Mapping[str, Binding]

    def as_json(self) -> Mapping[str, Any]:
        return {
            "suite": self.suite.id,
            "valid": True,
            "tasks": {
                task: {
                    "assessed": [bound.constraint.id for bound in binding.assessed],
                    "not_assessed": [{"id": each.id, "why": why} for each, why in binding.not_assessed],
                }
                for task, binding in self.tasks.items()
            },
        }

    def table(self) -> str:
        lines = [f"{self.suite.id}: valid"]
        for task, binding in self.tasks.items():
            lines.append(
                f"{task}: {len(binding.assessed)} of {len(self.suite.constraints)} constraints assessed"
            )
            lines += [f"    {each.id}: not assessed: {why}" for each, why in binding.not_assessed]
        return "\n".join(lines)


def show(name: str) -> Shown:
    """What `genba suites show` prints."""
    return Shown(load_suite(name))


def validate(name: str) -> Validated:
    """Read a suite and fit it to every task: names, shapes, units and times. Raises BadInput or UnknownName on the first fault."""
    from ..envs.task import get_task, task_ids

    suite = load_suite(name)
    return Validated(suite, {task: suite.bind(get_task(task)) for task in task_ids()})


def copy(name: str, to: Path) -> None:
    """Copy a suite's file, comments and all. Raises BadInput when `to` exists."""
    if to.exists():
        raise BadInput(f"{to}: exists already; give another name")
    with writing(to, "give another name"):
        atomic_write_bytes(to, suite_path(name).read_bytes())
