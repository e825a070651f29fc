"""A pickle gone through without being opened: a stack machine that knows the instructions which a dictionary of tensors needs, and no other.

Nothing is imported, called or made but dictionaries, tuples and the two records below; what else a pickle asks for is refused by its name.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..envs.errors import BadInput, one_line

DTYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
          "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "?"}  # fmt: skip
DICTIONARY, TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
KNOWN = {DICTIONARY, TENSOR, *(f"torch {name}" for name in DTYPES)}
MOST_STEPS = 1_000_000  # instructions of a pickle


@dataclass(frozen=True)
class Named:
    """A thing of Python that a pickle names; here it stays a name."""

    name: str


@dataclass(frozen=True)
class Storage:
    """The numbers that tensors are cut from: the key of their file, their type and how many there are."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class Tensor:
    """A part of a storage."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass
class Machine:
    """What an instruction works on."""

    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def take(self, count: int) -> list[Any]:
        """The last `count` things on the stack, taken off."""
        start = len(self.stack) - count
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def marked(self) -> list[Any]:
        """Everything since the last mark, taken off."""
        return self.take(len(self.stack) - self.marks.pop())


def described(data: bytes, what: str) -> object:
    """What a pickle describes, `what` its name in errors. Raises BadInput at the first instruction that weights do not need."""
    machine = Machine()
    try:
        for count, (code, argument, _) in enumerate(pickletools.genops(data)):
            if count > MOST_STEPS:
                raise BadInput(f"more than {MOST_STEPS} instructions")
            if code.name == "STOP":
                found: object = machine.stack.pop()
                return found
            if code.name not in INSTRUCTIONS:
                raise BadInput(
                    f"holds the instruction {code.name}, which weights do not need; it was not opened"
                )
            INSTRUCTIONS[code.name](machine, argument)
    except BadInput as refusal:
        raise BadInput(f"{what}: its pickle {refusal}") from None
    except Exception as error:  # whatever a damaged pickle makes of the machine
        raise BadInput(f"{what}: its pickle is damaged ({one_line(str(error), 80)})") from None
    raise BadInput(f"{what}: its pickle is cut off")


def _name(m: Machine, argument: str) -> None:
    if argument not in KNOWN:
        named = one_line(argument.replace(" ", "."), 80)
        raise BadInput(f"asks for {named}, which weights do not need; it was not opened")
    m.stack.append(Named(argument))


def _made(m: Machine, _: object) -> None:
    """A call, of one of the two functions that are known: an empty dictionary or a tensor."""
    function, arguments = m.take(2)
    if function == Named(DICTIONARY) and not arguments:
        m.stack.append({})
        return
    if function != Named(TENSOR) or not isinstance(arguments[0], Storage):
        raise ValueError("a call that makes no tensor")
    storage, offset, size, stride, *_rest = arguments
    m.stack.append(Tensor(storage, offset, tuple(size), tuple(stride)))


def _stored(m: Machine, _: object) -> None:
    word, kind, key, _place, count = m.stack.pop()
    if word != "storage" or not isinstance(kind, Named) or not isinstance(key, str) or "/" in key:
        raise ValueError("an unknown kind of reference")
    m.stack.append(Storage(key, DTYPES[kind.name.removeprefix("torch ")], int(count)))


def _set(m: Machine, items: list[Any]) -> None:
    m.stack[-1].update(zip(items[::2], items[1::2], strict=True))


Instruction = Callable[[Machine, Any], Any]
_LITERALS = (
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
)  # fmt: skip
INSTRUCTIONS: Mapping[str, Instruction] = {
    "PROTO": lambda m, _: None,
    "FRAME": lambda m, _: None,
    **dict.fromkeys(_LITERALS, lambda m, value: m.stack.append(value)),
    "NONE": lambda m, _: m.stack.append(None),
    "NEWTRUE": lambda m, _: m.stack.append(True),
    "NEWFALSE": lambda m, _: m.stack.append(False),
    "EMPTY_TUPLE": lambda m, _: m.stack.append(()),
    "EMPTY_DICT": lambda m, _: m.stack.append({}),
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.marked())),
    "TUPLE1": lambda m, _: m.stack.append(tuple(m.take(1))),
    "TUPLE2": lambda m, _: m.stack.append(tuple(m.take(2))),
    "TUPLE3": lambda m, _: m.stack.append(tuple(m.take(3))),
    "SETITEM": lambda m, _: _set(m, m.take(2)),
    "SETITEMS": lambda m, _: _set(m, m.marked()),
    "BINPUT": lambda m, at: m.memo.__setitem__(at, m.stack[-1]),
    "LONG_BINPUT": lambda m, at: m.memo.__setitem__(at, m.stack[-1]),
    "MEMOIZE": lambda m, _: m.memo.__setitem__(len(m.memo), m.stack[-1]),
    "BINGET": lambda m, at: m.stack.append(m.memo[at]),
    "LONG_BINGET": lambda m, at: m.stack.append(m.memo[at]),
    "GLOBAL": _name,
    "STACK_GLOBAL": lambda m, _: _name(m, " ".join(m.take(2))),
    "BINPERSID": _stored,
    "REDUCE": _made,
    "BUILD": lambda m, _: m.stack.pop(),  # torch keeps versions of modules beside the dictionary
}
