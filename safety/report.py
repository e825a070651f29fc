"""The report of a check: one HTML page that stands alone, prints, and says nothing that its evidence does not show."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from ..envs.errors import BadInput
from ..envs.files import MANIFEST, asset, atomic_write_text, check_writable, writing
from ..envs.parameters import folder_name
from ..envs.task import Task, get_task
from .plan import attempt_of
from .policy import Policy
from .replay import TOLERANCE, Replayed
from .report_episodes import Chosen, Picture, Told, tell, worst_episodes
from .report_facts import (
    MARKS,
    Fact,
    broken_where,
    condition_name,
    constraint_rows,
    cycle_facts,
    heat_map,
    quantity,
    severity_name,
)
from .report_reasons import reasons
from .report_scan import scan_lines
from .report_search import search_facts
from .report_summary import demands, glance, identity, not_assessed, remarks, strata, warnings
from .result import CheckResult, read_check
from .words import Words, load_words

VERDICT_MARKS = {"PASS": MARKS["holds"], "FAIL": MARKS["broken"], "INSUFFICIENT": MARKS["open"]}
MEDIA = {"webp": "image/webp", "png": "image/png"}


def report(
    run: str | Path, policy: Policy | None = None, out: Path | None = None, language: str = "en"
) -> Path:
    """Write the report of a check; returns its path (`report.html` in the check's folder, of a release with the runs, unless `out` says
    otherwise).

    Args:
        run: a check, a run (its latest check) or a release.
        policy: the one that was judged: the worst episodes are then played again, drawn and photographed. Without it the page
            says that they were not.
        language: one of `words.languages()`.

    Raises:
        BadInput: no finished check there (says what is missing).
        Refused: the evidence does not agree with itself or its plan.
        UnknownName: no such language.
    """
    result = read_check(run)
    words = load_words(language, f"{result.evidence.plan.confidence:.0%}".replace("%", " %"))
    path = out or _home(result) / "report.html"
    with writing(path):
        check_writable(path)
    text = page(result, policy, words)
    with writing(path):
        atomic_write_text(path, text)
    return path


def _home(result: CheckResult) -> Path:
    """The folder of the check; nothing may be added to a release, so what is made of it lies with the runs."""
    release = result.folder.resolve().parent
    if not (release / MANIFEST).is_file():
        return result.folder
    return Path("runs") / folder_name(result.evidence.plan.task) / release.name


def page(result: CheckResult, policy: Policy | None, words: Words) -> str:
    """The page as text. The same evidence and pictures give the same bytes."""
    task = get_task(result.evidence.plan.task)
    told, why_not = _told(result, policy, words)
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(
        asset("report", "page.html.j2").read_text(encoding="utf-8")
    )
    facts: Fact = {
        "t": words,
        "language": words.language,
        "css": _safe(asset("report", "style.css").read_text(encoding="utf-8")),
        "font": base64.b64encode(asset("report", "atkinson.woff").read_bytes()).decode(),
        "no_replay": why_not,
        "told": not why_not,
        "hero": _hero(told, words),
        "episodes": [_episode(each, result, words) for each in told],
        **_verdict(result, task, words),
        **_tables(result, task, words),
    }
    return template.render(facts)


def _told(result: CheckResult, policy: Policy | None, words: Words) -> tuple[list[Told], str]:
    """The worst episodes, played again where that can be; otherwise why not."""
    chosen = worst_episodes(result.evidence)
    bare = [Told(each) for each in chosen]
    if policy is None:
        return bare, words("episodes.no_policy")
    try:
        return tell(result.evidence, chosen, policy), ""
    except BadInput as error:
        return bare, words("episodes.no_replay", why=str(error))


def _verdict(result: CheckResult, task: Task, words: Words) -> Fact:
    """The head of the page."""
    verdict, plan, number = result.verdict, result.evidence.plan, attempt_of(result.evidence.plan)
    lead = words(f"lead.{verdict.word}", episodes=len(result.evidence), conditions=len(plan.conditions))
    return {
        "title": words.pick(dict(zip(("en", "ja"), task.title, strict=True))),
        "word": verdict.word,
        "mark": VERDICT_MARKS[verdict.word],
        "attempt": words("attempt", number=number) if number else words("attempt.elsewhere"),
        "lead": lead,
        "more": words("lead.more", n=verdict.more_episodes) if verdict.more_episodes else "",
        "reasons": reasons(result, words),
        "warnings": warnings(result, words),
        "glance": glance(result, words),
    }


def _tables(result: CheckResult, task: Task, words: Words) -> Fact:
    evidence = result.evidence
    heat = heat_map(evidence, words)
    return {
        "dt_ms": f"{1000.0 / task.physics_hz:g}",
        "constraints": constraint_rows(result, words),
        "broken_where": broken_where(result, words),
        "conditions": len(evidence.plan.conditions),
        "bounds": words(f"constraints.bounds.{evidence.plan.lane.name}"),
        "heat": heat,
        "heat_heads": [severity_name(level, words) for level in heat.severities],
        "demands": demands(result, words),
        "remarks": remarks(evidence, words),
        "strata": strata(result, words),
        "scan": scan_lines(result, words),
        "search": search_facts(result, words),
        "cycle": _cycle(result, task, words),
        "people": "people" if "worker.distance" in task.table else "no_people",
        "not_assessed": not_assessed(result, words),
        "identity": identity(result, task, words),
    }


def _cycle(result: CheckResult, task: Task, words: Words) -> Fact | None:
    from .report_plots import cycle_plot

    facts = cycle_facts(result.evidence, task, words)
    if facts is None:
        return None
    shown = {name: facts[name] for name in ("n", "median", "slow", "slowest")}
    return {
        "text": words("cycle.intro", **shown),
        "takt": words("cycle.takt", takt=f"{task.takt_s:g}", rate=facts["in_time"]),
        "plot": cycle_plot(facts["cycles"], task.takt_s, words),
    }


def _episode(told: Told, result: CheckResult, words: Words) -> Fact:
    row = told.chosen.row
    outcome = words.name("outcome", row["reason"])
    return {
        "number": row["episode"],
        "condition": condition_name(row["disturbance"], row["severity"], words),
        "seed": str(row["seed"]),
        "outcome": words("episodes.outcome", outcome=outcome, time=f"{row['time_s']:.2f}"),
        "why": _why(told.chosen, result, words),
        "replay": _replayed(told.replayed, words) if told.replayed else "",
        "differs": bool(told.replayed and told.replayed.exit_code),
        "plot": _plot(told, words),
        "shots": [
            {
                "src": picture_source(shot),
                "caption": words("episodes.shot", number=number, time=f"{time:.2f}"),
            }
            for number, (time, shot) in enumerate(told.shots, 1)
        ],
        "command": f"genba replay {shlex.quote(str(result.folder))} {row['episode']} --video episode.webm",
    }


def _why(chosen: Chosen, result: CheckResult, words: Words) -> str:
    row = chosen.row
    if not chosen.constraint:
        return words("episodes.by_reason", outcome=words.name("outcome", row["reason"]))
    units = {each.id: each.unit for each in result.evidence.plan.assessed}
    margin = quantity(row[f"margin.{chosen.constraint}"], units[chosen.constraint], words, sign=True)
    at = row[f"at.{chosen.constraint}"]
    return words("episodes.by_constraint", id=chosen.constraint, margin=margin, time=f"{at:.2f}")


def _replayed(replayed: Replayed, words: Words) -> str:
    if replayed.equal:
        return words("episodes.equal", hash=replayed.now["trace_sha256"][:16])
    if replayed.other_platform and replayed.agrees:
        return words(
            "episodes.agrees", tolerance=f"{TOLERANCE:g}", differences="; ".join(replayed.other_platform)
        )
    return words("episodes.differs", columns=", ".join(replayed.changed[:6]))


def _plot(told: Told, words: Words) -> str:
    from .report_plots import episode_plot

    if not told.panels:
        return ""
    row, constraint = told.chosen.row, told.chosen.constraint
    worst = float(row[f"at.{constraint}"]) if constraint else float("nan")
    return episode_plot(told.panels, worst, [time for time, _ in told.shots], f"e{row['episode']}", words)


def _hero(told: Sequence[Told], words: Words) -> Fact | None:
    for each in told:
        if each.hero is not None:
            row, (time, picture) = each.chosen.row, each.hero
            condition = condition_name(row["disturbance"], row["severity"], words)
            caption = words("hero", episode=row["episode"], time=f"{time:.2f}", condition=condition)
            return {"src": picture_source(picture), "caption": caption}
    return None


def picture_source(picture: Picture) -> str:
    """A picture `(height, width, 3)` as a data URL."""
    import cv2

    for kind, settings in (("webp", [cv2.IMWRITE_WEBP_QUALITY, 72]), ("png", [])):
        done, data = cv2.imencode(f".{kind}", picture[..., ::-1], settings)
        if done:
            return f"data:{MEDIA[kind]};base64,{base64.b64encode(data.tobytes()).decode()}"
    raise BadInput("this OpenCV writes neither WebP nor PNG; genba doctor looks for the cause")


def _safe(css: str) -> Any:
    from markupsafe import Markup

    return Markup(css)
