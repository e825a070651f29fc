"""Constraints as people write them: the pydantic border in front of `constraints.Constraint`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from ..envs.errors import BadInput
from ..envs.files import load_yaml
from .constraints import DEFAULT_MAX_RATE, LEAST_RATE, Constraint, Source, may_not_gate
from .formula import check_formula_form, check_guard_form, check_windows, parse
from .formula_parts import split

Words = Annotated[str, Field(min_length=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SourceModel(_Frozen):
    """Where the limit comes from, and how well that was read."""

    document: Words
    topic: Words
    confidence: Literal[
        "confirmed", "confirmed_secondary", "derived", "cell_spec", "recalled", "project_assumption"
    ]


class SaysModel(_Frozen):
    """The rule in words; Japanese may follow later."""

    en: Words
    ja: str = ""


class ConstraintModel(_Frozen):
    """One constraint of a suite file; `value()` is what the judge uses."""

    id: str = Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)
    says: SaysModel
    when: str | None = None
    formula: str
    hard: bool
    max_rate: float = Field(default=DEFAULT_MAX_RATE, ge=LEAST_RATE, lt=1.0)
    source: SourceModel
    cannot_show: tuple[Words, ...] = ()

    @field_validator("formula")
    @classmethod
    def _formula_reads(cls, formula: str, info: ValidationInfo) -> str:
        try:
            tree = parse(formula)
            check_formula_form(tree)
            check_windows(tree, guarded=info.data.get("when") is not None)
            split(tree)
        except BadInput as error:
            raise ValueError(str(error)) from None
        return formula

    @field_validator("when")
    @classmethod
    def _guard_reads(cls, when: str | None) -> str | None:
        try:
            if when is not None:
                tree = parse(when)
                check_guard_form(tree)
                check_windows(tree)
        except BadInput as error:
            raise ValueError(str(error)) from None
        return when

    @field_validator("source")
    @classmethod
    def _source_may_gate(cls, source: SourceModel, info: ValidationInfo) -> SourceModel:
        refusal = may_not_gate(source.confidence) if info.data.get("hard") else None
        if refusal is not None:
            raise ValueError(refusal)
        return source

    def value(self) -> Constraint:
        """The constraint as a plain value."""
        source = Source(self.source.document, self.source.topic, self.source.confidence)
        return Constraint(
            id=self.id,
            says=self.says.model_dump(),
            formula=self.formula,
            source=source,
            hard=self.hard,
            when=self.when,
            max_rate=self.max_rate,
            cannot_show=self.cannot_show,
        )


class ConstraintsFile(_Frozen):
    """A YAML file that holds `constraints:` and nothing else."""

    constraints: tuple[ConstraintModel, ...]

    @field_validator("constraints")
    @classmethod
    def _ids_differ(cls, constraints: tuple[ConstraintModel, ...]) -> tuple[ConstraintModel, ...]:
        if not constraints:
            raise ValueError("expected at least one constraint")
        refuse_repeated_ids(constraints)
        return constraints


def refuse_repeated_ids(constraints: Sequence[ConstraintModel]) -> None:
    """Raise ValueError when two constraints have the same id."""
    ids = [constraint.id for constraint in constraints]
    for name in ids:
        if ids.count(name) > 1:
            raise ValueError(f"expected each id once, found '{name}' {ids.count(name)} times")


def load_constraints(path: str | Path) -> tuple[Constraint, ...]:
    """Read a constraints file. Raises BadInput: file, line, field and what was expected."""
    return tuple(model.value() for model in load_yaml(path, ConstraintsFile).constraints)
