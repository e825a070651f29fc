"""What a person may change in a cell: parameters with a unit and a range, in three variants, from one YAML file per cell.

A task is named by a spec: `kit-pick`, `kit-pick:hard`, `kit-pick:hard,reach.stay=0.5..1.2`, or a copy of the file that
somebody edited, `my-cell.yaml` or `my-cell.yaml:hard`. A file is turned into the spec that says what it changes, so that runs, plans
and releases name their cell in one line and need no file to meet it again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from .errors import BadInput, UnknownName
from .files import asset, atomic_write_bytes, line_of, load_yaml, sha256_hex, writing

if TYPE_CHECKING:
    from .signals import Array
    from .streams import Streams

VARIANTS = ("easy", "normal", "hard")
NORMAL = "normal"
UNITS = ("1", "m", "m/s", "m/s2", "rad", "rad/s", "s", "kg", "N", "N*m", "N/m", "Hz")
FILE = re.compile(r"(?P<path>.*\.yaml)(:(?P<variant>[^:]*))?\Z", re.DOTALL)
SPEC_SIGNS = re.compile(r"[:,=]+")
LONGEST_NAME, HEAD = 200, 100  # bytes; what is written beside a folder adds to its name
Span = tuple[float, float]  # drawn evenly between, episode by episode


def _span(value: float | Span) -> Span:
    low, high = value if isinstance(value, tuple) else (value, value)
    if low > high:
        raise ValueError(f"expected the lower value first, found [{low:g}, {high:g}]")
    return (float(low), float(high))


Number = Annotated[float, Field(strict=True)]  # a truth or a text is none
Pair = tuple[Number, Number]
Value = Annotated[Number | Pair, AfterValidator(_span)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Says(_Frozen):
    """One line in English and Japanese."""

    en: str
    ja: str


class Parameter(_Frozen):
    """One quantity of a cell: what it means, its SI unit, what it may be, and what it is in each variant (one value, or a span that
    episodes draw from). A `whole` one is a number of things or a switch: one whole number, for the cell itself depends on it."""

    says: Says
    unit: str
    whole: bool = False
    range: Pair
    easy: Value
    normal: Value
    hard: Value

    @field_validator("unit")
    @classmethod
    def _in_si(cls, unit: str) -> str:
        if unit not in UNITS:
            raise ValueError(f"expected one of the units {', '.join(UNITS)}, found '{unit}'")
        return unit

    @field_validator("easy", "normal", "hard")
    @classmethod
    def _in_range(cls, value: Span, info: ValidationInfo) -> Span:
        if "range" in info.data:
            _refuse_outside(
                value, info.data["range"], info.data.get("unit", ""), info.data.get("whole", False)
            )
        return value

    def of(self, variant: str) -> Span:
        """Its span in a variant."""
        span: Span = getattr(self, variant)
        return span


class Symmetries(_Frozen):
    """What may be changed in a cell without changing the work (see `symmetry`): how far everything may be moved along an axis, in m, how far
    turned about the robot's base, in rad, and whether left and right may change places."""

    moved: dict[Literal["x", "y"], Annotated[float, Field(gt=0.0, le=0.5)]] = Field(default_factory=dict)
    turned: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    mirrored: bool = False


class CellFile(_Frozen):
    """The YAML file of one cell."""

    cell: str
    symmetries: Symmetries = Symmetries()
    parameters: Annotated[dict[str, Parameter], Field(min_length=1)]


@dataclass(frozen=True)
class Cell:
    """A cell with all its parameters decided. `changed` are those that differ from the variant as it is shipped."""

    task: str
    variant: str
    values: Mapping[str, Span]
    changed: tuple[tuple[str, Span], ...] = ()

    def __getitem__(self, name: str) -> Span:
        """(low, high) of one parameter. Raises UnknownName with the closest names."""
        if name not in self.values:
            raise UnknownName(f"parameter of {self.task}", name, self.values)
        return self.values[name]

    def drawn(self, streams: Streams, name: str) -> Array:
        """`(n,)`: a parameter's value in each episode."""
        return streams.between(f"cell/{name}", *self[name])

    def within(self, streams: Streams, stream: str, name: str, size: tuple[int, ...] = ()) -> Array:
        """`(n, *size)`: draws from `stream` between minus and plus a parameter that says how far at most."""
        most = self.drawn(streams, name).reshape(-1, *(1 for _ in size))
        return streams.between(stream, -1.0, 1.0, size) * most

    @property
    def spec(self) -> str:
        """The one text that names this cell: the task's id alone for the normal variant as it is shipped."""
        variant = "" if self.variant == NORMAL else f":{self.variant}"
        return self.task + variant + "".join(f",{name}={_text(span)}" for name, span in self.changed)


def parameters_of(task: str) -> Mapping[str, Parameter]:
    """What is declared in `assets/cells/<task>.yaml`. Raises BadInput with line and field."""
    return _shipped(task).parameters


def symmetries_of(task: str) -> Symmetries:
    """What is declared there of changes that leave the work the same. Raises BadInput with line and field."""
    return _shipped(task).symmetries


def cell_of(spec: str) -> Cell:
    """The cell that a spec or a file names. Raises BadInput, UnknownName."""
    if file := FILE.match(spec):
        return _from_file(Path(file["path"]), file["variant"] or NORMAL)
    head, *changes = spec.split(",")
    task, _, variant = head.partition(":")
    changed = {}
    for change in changes:
        name, sign, text = change.partition("=")
        if not sign:
            raise BadInput(f"{spec}: expected name=value or name=low..high after the comma, found '{change}'")
        if name.strip() in changed:
            raise BadInput(f"{spec}: {name.strip()} stands there twice")
        changed[name.strip()] = _read(spec, name.strip(), text)
    return _decided(task, variant or NORMAL, changed, lambda name: spec)


def folder_name(spec: str) -> str:
    """The spec as the name of a folder on any system; of a long one its beginning and a hash of the whole: systems take 255 bytes."""
    name = SPEC_SIGNS.sub("-", spec)
    data = name.encode(errors="replace")
    if len(data) <= LONGEST_NAME:
        return name
    return (
        f"{data[:HEAD].decode(errors='ignore').rstrip('-.')}-{sha256_hex(spec.encode(errors='replace'))[:16]}"
    )


def copy(task: str, to: Path) -> None:
    """Write a cell's file where a person can change it. Raises BadInput where a file stands already."""
    _shipped(task)
    if to.exists():
        raise BadInput(f"{to}: stands already; choose another name")
    if to.suffix != ".yaml":
        raise BadInput(f"{to}: expected a name that ends in .yaml")
    with writing(to, "give another name"):
        atomic_write_bytes(to, asset("cells", f"{task}.yaml").read_bytes())


@cache
def _shipped(task: str) -> CellFile:
    path = asset("cells", f"{task}.yaml")
    if not path.is_file():
        raise UnknownName("cell", task, [each.stem for each in asset("cells").glob("*.yaml")])
    return load_yaml(path, CellFile)


def _from_file(path: Path, variant: str) -> Cell:
    """What an edited copy says, as changes to what is shipped; what it leaves out stays."""
    file = load_yaml(path, CellFile)
    try:
        shipped = parameters_of(file.cell)
    except UnknownName as error:
        raise BadInput(f"{path}:{line_of(path, 'cell')}: field cell: {error}") from None

    def where(name: str) -> str:
        return f"{path}:{line_of(path, 'parameters', name)}: field parameters.{name}"

    for name, row in file.parameters.items():
        if name in shipped and row.unit != shipped[name].unit:
            raise BadInput(f"{where(name)}.unit: expected '{shipped[name].unit}', found '{row.unit}'")
    if "symmetries" in file.model_fields_set and file.symmetries != symmetries_of(file.cell):
        raise BadInput(
            f"{path}:{line_of(path, 'symmetries')}: field symmetries: expected what genba tasks copy wrote: it is the expert's, not a parameter"
        )
    _known_variant(variant)
    return _decided(
        file.cell, variant, {name: row.of(variant) for name, row in file.parameters.items()}, where
    )


def _decided(task: str, variant: str, changes: Mapping[str, Span], where: Callable[[str], str]) -> Cell:
    shipped = parameters_of(task)
    _known_variant(variant)
    values = {name: row.of(variant) for name, row in shipped.items()}
    for name, span in changes.items():
        try:
            if name not in shipped:
                raise UnknownName(f"parameter of {task}", name, shipped)
            _refuse_outside(span, shipped[name].range, shipped[name].unit, shipped[name].whole)
        except (UnknownName, ValueError) as error:
            raise BadInput(f"{where(name)}: {error}") from None
    changed = tuple(sorted((name, span) for name, span in changes.items() if span != values[name]))
    return Cell(task, variant, values | dict(changed), changed)


def _known_variant(variant: str) -> None:
    if variant not in VARIANTS:
        raise UnknownName("variant", variant, VARIANTS)


def _refuse_outside(span: Span, allowed: Span, unit: str, whole: bool) -> None:
    if whole and not (span[0] == span[1] and span[0].is_integer()):
        raise ValueError(f"expected one whole number, found {_text(span)}")
    if not allowed[0] <= span[0] <= span[1] <= allowed[1]:
        named = "" if unit == "1" else f" {unit}"
        raise ValueError(f"expected {allowed[0]:g} to {allowed[1]:g}{named}, found {_text(span)}")


def _read(spec: str, name: str, text: str) -> Span:
    low, _, high = text.partition("..")
    try:
        return _span((float(low), float(high or low)))
    except ValueError as error:
        why = str(error) if "expected" in str(error) else f"expected a number or low..high, found '{text}'"
        raise BadInput(f"{spec}: {name}: {why}") from None


def _text(span: Span) -> str:
    """A span that reads back as itself, to the last bit."""
    low, high = (text if float(text := format(value, ".12g")) == value else repr(value) for value in span)
    return low if low == high else f"{low}..{high}"
