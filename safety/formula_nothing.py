"""Windows over nothing: where they decide a formula at the first or the last sample, whatever happens in the episode.

Looking back from the first sample, or ahead from the last, a window that begins later is over nothing: `once`, `since`, `eventually` and
`until` are false there without measure (-inf), `historically`, `always` and `within ... after` true (+inf).
"""

from __future__ import annotations

from collections.abc import Iterator

from .formula_tree import (
    FUTURE,
    After,
    Formula,
    Junction,
    Not,
    Since,
    Temporal,
    Until,
    looks_ahead,
)

Windowed = Temporal | Until | Since | After
Settled = tuple[bool, Windowed]  # true or false without measure, and the part whose window is over nothing


def never_kept(formula: Formula) -> Windowed | None:
    """The part whose window over nothing makes every episode violate a formula."""
    for part, first, last in _counted(formula):
        for end in [False] * first + [True] * last:
            found = settled(part, end)
            if found is not None and not found[0]:
                return found[1]
    return None


def _counted(formula: Formula) -> Iterator[tuple[Formula, bool, bool]]:
    """The parts of a formula, and whether the first and the last sample of every episode count (see `formula_parts`)."""
    match formula:
        case Junction(operator="and", left=left, right=right):
            yield from _counted(left)
            yield from _counted(right)
        case Temporal(operator="always", operand=operand, interval=interval):
            yield operand, _begin(interval) == 0, interval is None
        case Not(operand=Temporal(operator="eventually", operand=operand, interval=interval)):
            yield Not(operand), _begin(interval) == 0, interval is None
        case _ if looks_ahead(formula):
            yield formula, True, False


def settled(node: Formula, end: bool) -> Settled | None:
    """What a formula is at the last sample (`end`) or the first of every episode; None where that depends on the episode."""
    match node:
        case Not(operand=operand):
            return _denied(settled(operand, end))
        case Junction(operator=operator):
            left, right = settled(node.left, end), settled(node.right, end)
            return _joined(_denied(left) if operator == "implies" else left, right, operator != "and")
        case Temporal():
            return _temporal(node, end)
        case Until() | Since():
            return _reached(node, end)
        case After(interval=interval):
            return (True, node) if end and interval[1] > 0 else None
    return None


def _begin(interval: tuple[float, float] | None) -> float:
    return 0.0 if interval is None else interval[0]


def _denied(found: Settled | None) -> Settled | None:
    return None if found is None else (not found[0], found[1])


def _joined(left: Settled | None, right: Settled | None, enough: bool) -> Settled | None:
    """`or` (where one that is true is enough) or `and` (one that is false)."""
    return _decisive((left, right), enough) or (left if right is not None else None)


def _temporal(node: Temporal, end: bool) -> Settled | None:
    """Where its window is cut it has the present sample or nothing; elsewhere the present sample decides it in one direction only."""
    here, all_of_them = settled(node.operand, end), node.operator in ("always", "historically")
    if (node.operator in FUTURE) is end:
        return (all_of_them, node) if _begin(node.interval) > 0 else here
    if _begin(node.interval) > 0:
        return None
    if node.interval is not None:
        return here if node.interval[1] == 0 else _decisive((here,), not all_of_them)
    return _decisive((here, settled(node.operand, not end)), not all_of_them)


def _reached(node: Until | Since, end: bool) -> Settled | None:
    left, right = settled(node.left, end), settled(node.right, end)
    if isinstance(node, Until) is end:
        return (False, node) if _begin(node.interval) > 0 else right
    if _begin(node.interval) > 0:
        return _decisive((left,), False)
    return right if node.interval is not None and node.interval[1] == 0 else _decisive((right,), True)


def _decisive(found: tuple[Settled | None, ...], value: bool) -> Settled | None:
    """The first that has this value."""
    return next((each for each in found if each is not None and each[0] is value), None)
