"""Signal temporal logic with real-valued robustness: `robustness(parse("always (tcp.speed <= 1.0)"), trace, dt)`.

One door to some rooms: the tree (`formula_tree`), its text (`formula_parse`), its units (`formula_units`), its value
(`formula_eval`). Needs numpy only, so that a released policy's monitor can use it.
"""

from .formula_eval import Program, holds, robustness
from .formula_parse import parse
from .formula_tree import Formula, names, text
from .formula_truth import as_truth, gated
from .formula_units import check_formula, check_formula_form, check_guard, check_guard_form, check_windows

__all__ = [
    "Formula", "Program", "as_truth", "check_formula", "check_formula_form", "check_guard", "check_guard_form",
    "check_windows", "gated",
    "holds", "names", "parse", "robustness", "text",
]  # fmt: skip
