"""What a report says of the search that was made after a check."""

from __future__ import annotations

import shlex
from typing import Any

from .result import CheckResult
from .search_files import FOLDER, Found, is_search, read_findings
from .words import Words

LISTED = 12


def search_facts(result: CheckResult, words: Words) -> dict[str, Any] | None:
    """Intro, findings and their number; None where nobody searched. Raises as `read_findings`."""
    folder = result.folder / FOLDER
    if not is_search(folder):
        return None
    _, found = read_findings(folder)
    return {
        "intro": words("search.ran", budget=found.budget, n=found.episodes, draws=len(found.draws)),
        "findings": [
            {
                "what": _what(each, words),
                "where": _where(each, words),
                "command": f"genba replay {shlex.quote(str(folder))} {each.finding} --video finding.webm",
            }
            for each in found.findings[:LISTED]
        ],
        "more": words("search.more", n=len(found.findings) - LISTED) if len(found.findings) > LISTED else "",
        "end": words("search.found" if found.findings else "search.nothing"),
    }


def _what(found: Found, words: Words) -> str:
    if found.target == "success":
        return words("search.failed", outcome=words.name("outcome", found.reason))
    value = (
        words("margin.nan")
        if found.value is None
        else f"{found.value:+.3g} {'' if found.unit == '1' else found.unit}"
    )
    return words("search.broken", id=found.target, margin=value.strip())


def _where(found: Found, words: Words) -> str:
    condition = (
        words("condition", disturbance=words.name("disturbance", found.disturbance), level=found.severity)
        if found.severity
        else words("nominal")
    )
    draws = ", ".join(f"{draw.name} {draw.value:.3f}" for draw in found.moved) or words("search.nominal")
    return words("search.where", condition=condition, draws=draws, share=f"{found.share:.2g}")
