"""Files that survive a power cut, bytes that hash the same everywhere, and YAML whose errors name the line."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .errors import BadInput, closest, one_line, suggestion

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound="BaseModel")
CHUNK = 1 << 20
MANIFEST = "MANIFEST.sha256"  # makes a folder a release, to which nothing may be added
FOUND_LENGTH = 60
LARGEST_TEXT = 16 << 20  # bytes of a YAML file
MOST_VALUES, DEEPEST = 1_000_000, 100  # of a YAML file with its aliases written out
LARGEST_BITS = 1000  # of an integer: any float holds it
TOO_DEEP = f"lists and maps nest in each other or in themselves; expected at most {DEEPEST} levels"


def asset(*parts: str) -> Path:
    """The path of a data file of this package, as `asset("suites", "basic.yaml")`."""
    return Path(str(files("genba").joinpath("assets", *parts)))


def atomic_write_bytes(path: str | Path, data: bytes) -> None:
    """Write `data` so that `path` holds either its old content or all of the new, also after a power cut.

    Missing folders are made. Raises OSError as `open` does; the old file is then untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(draft, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def atomic_write_text(path: str | Path, text: str) -> None:
    """`atomic_write_bytes` of the text in UTF-8."""
    atomic_write_bytes(path, text.encode())


@contextmanager
def writing(
    where: str | Path, hint: Callable[[], str] | str = "free some space or write elsewhere"
) -> Iterator[None]:
    """What the system says of a disk that is full or read-only becomes one line with a hint. Raises BadInput."""
    try:
        yield
    except OSError as error:
        said = hint if isinstance(hint, str) else hint()
        raise BadInput(f"{where}: cannot be written ({error.strerror or error}); {said}") from None


def check_writable(path: Path) -> None:
    """Make the folder of a file that is about to be written, and try it: what takes long is not made in vain. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent):
        pass


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable (a folder cannot be opened on Windows: there the rename must do)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def canonical_json(value: object) -> bytes:
    """The one JSON text of `value`: sorted keys, no spaces, UTF-8. NaN and infinity raise ValueError."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def plain_json(value: object) -> str:
    """JSON for other tools, one line: NaN and infinity become null, numpy values, tuples and paths what they look like."""
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def sha256_hex(data: bytes) -> str:
    """The SHA-256 of `data`, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: str | Path) -> str:
    """The SHA-256 of a file's content, read in chunks."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def read_json(path: Path) -> object:
    """What a JSON file holds; None where there is none, or it cannot be read, however deep it is nested."""
    try:
        found: object = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found


def load_yaml(path: str | Path, model: type[Model]) -> Model:
    """Read a YAML file into `model`.

    Raises BadInput, one line: "suite.yaml:12: field constraints.3.hard: expected a valid boolean, found 'maybe'".
    """
    from pydantic import ValidationError

    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise BadInput(f"{path}: not a file")
        with path.open("rb") as file:
            data = file.read(LARGEST_TEXT + 1)
        if len(data) > LARGEST_TEXT:
            raise BadInput(f"{path}: larger than {LARGEST_TEXT >> 20} MiB")
        text = data.decode("utf-8")
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # a name that no file can have, or no UTF-8
        raise BadInput(f"{one_line(str(path), 200)}: cannot be read as UTF-8 text ({error})") from None
    node, value = read_yaml(str(path), text)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise BadInput(_field_message(path, node, error.errors(), model)) from None


def read_yaml(where: str, text: str) -> tuple[Node | None, Any]:
    """The nodes of a YAML text, which know their lines, and its value: the file of a stranger, so whatever it holds ends.

    Raises BadInput, one line that begins with `where` and, if it is known, the line.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None, None
        _refuse_odd(where, node, {})
        return node, loader.construct_document(node)
    except yaml.YAMLError as error:
        raise BadInput(_syntax_message(where, error)) from None
    except RecursionError:
        raise BadInput(f"{where}: {TOO_DEEP}") from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which leaves it to Python to complain about a date, number or truth that is none: here with its line."""

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int) and value.bit_length() > LARGEST_BITS:
                raise ValueError("larger than any number here")
        except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
            found, kind = one_line(node.value, FOUND_LENGTH), node.tag.rpartition(":")[2]
            why = f" ({one_line(error, FOUND_LENGTH)})" if isinstance(error, ValueError) else ""
            raise ConstructorError(
                None, None, f"{found} cannot be read as {kind}{why}", node.start_mark
            ) from None
        return value


def line_of(path: str | Path, *location: int | str) -> int:
    """The line (from 1) of a field in a YAML file that was read already: where a finding about its meaning points to."""
    node = yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    return _locate(node, location)[0]


def _syntax_message(where: str, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f":{mark.line + 1}" if mark is not None else ""
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    hint = "Check indentation, colons and quotes on this line and the one before"
    if isinstance(error, ConstructorError):
        hint = "Quote it if it is text, or write a value that can be read"
    return f"{where}{line}: not valid YAML: {problem}. {hint}"


def _refuse_odd(where: str, node: Node, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many values a node holds and how deep they nest, aliases written out; each node is visited once. Raises BadInput for what
    YAML allows and no file here needs: a value inside itself, a key that is no plain value, more than there is room for, and two equal
    keys, of which it keeps the last without a word while a reviewer would read the first.
    """
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = 1, DEEPEST  # while it is open: met again inside itself, it has no end
    keys = [key for key, _ in node.value] if isinstance(node, MappingNode) else []
    _refuse_keys(where, keys)
    inner = [value for _, value in node.value] if isinstance(node, MappingNode) else node.value
    within = [] if isinstance(node, ScalarNode) else [_refuse_odd(where, each, known) for each in inner]
    size = 1 + len(keys) + sum(size for size, _ in within)
    depth = 1 + max((depth for _, depth in within), default=0)
    line = node.start_mark.line + 1
    if depth > DEEPEST:
        raise BadInput(f"{where}:{line}: {TOO_DEEP}")
    if size > MOST_VALUES:
        raise BadInput(
            f"{where}:{line}: more than {MOST_VALUES:,} values once its aliases are written out; use fewer"
        )
    known[id(node)] = size, depth
    return size, depth


def _refuse_keys(where: str, keys: list[Node]) -> None:
    seen: set[str] = set()
    for key in keys:
        line = key.start_mark.line + 1
        if not isinstance(key, ScalarNode):
            raise BadInput(
                f"{where}:{line}: expected a name before the colon, found a list or map; write a name"
            )
        if key.value in seen:
            raise BadInput(f"{where}:{line}: field {key.value}: expected once, found again; remove one")
        seen.add(key.value)


def _field_message(path: Path, node: Node | None, errors: list[ErrorDetails], model: type[BaseModel]) -> str:
    first = next(
        (each for each in errors if each["type"] == "extra_forbidden"), errors[0]
    )  # a typo explains a gap
    line, field = _locate(node, first["loc"])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    subject = f"field {field}: " if field else ""
    return f"{path}:{line}: {subject}{_expectation(first, model)}{more}"


def _expectation(error: ErrorDetails, model: type[BaseModel]) -> str:
    kind, found = error["type"], repr(error["input"])
    if kind == "missing":
        return "expected a value, found nothing"
    if kind == "extra_forbidden":
        name = str(error["loc"][-1])
        near = suggestion(closest(name, _field_names(model.model_json_schema())))
        return f"no such field. {near}".rstrip()
    if kind in ("value_error", "assertion_error"):  # a validator of ours: its message says all
        return error["msg"].partition(", ")[2]
    if len(found) > FOUND_LENGTH:
        found = found[: FOUND_LENGTH - 1] + "…"
    return f"expected {error['msg'].removeprefix('Input should be ')}, found {found}"


def _field_names(schema: dict[str, Any]) -> Iterable[str]:
    """Every field name anywhere in a JSON schema."""
    nested = schema.get("$defs", {}).values()
    return {name for part in (schema, *nested) for name in part.get("properties", {})}


def _locate(node: Node | None, location: tuple[int | str, ...]) -> tuple[int, str]:
    """The line (from 1) and dotted name of the deepest part of `location` that the file holds.

    pydantic mixes the tags of unions into locations; what is neither in the file nor last is such a tag.
    """
    line = node.start_mark.line + 1 if node is not None else 1
    names: list[str] = []
    for index, part in enumerate(location):
        step = _child(node, part)
        if step is not None:
            line, node = step
        if step is not None or index == len(location) - 1:
            names.append(str(part))
    return line, ".".join(names)


def _child(node: Node | None, part: int | str) -> tuple[int, Node] | None:
    """The line and node of one key or index below `node`, None when it is not there."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, value
    elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item.start_mark.line + 1, item
    return None
