"""The report says what the evidence says, in words that it may use, and needs nothing but itself."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from genba.envs.errors import BadInput, UnknownName
from genba.envs.task import SEED_RANGES, Task, get_task
from genba.safety.campaign import begin, check
from genba.safety.evidence import expected_columns, read_plan, rows_sha256, shard_path
from genba.safety.plan import Plan
from genba.safety.report import report
from genba.safety.report_episodes import comparisons, relative, shot_times, worst_episodes
from genba.safety.report_facts import rate, shade, share, strip
from genba.safety.report_plots import STRAIGHT, thinned
from genba.safety.report_reasons import reasons
from genba.safety.result import read_check
from genba.safety.shards import write_shard
from genba.safety.suite import Suite, load_suite
from genba.safety.words import languages, load_words

FORBIDDEN = (
    r"certif", r"complian", r"conforms? to", r"\bPL ?[a-e]\b", r"\bSIL ?\d", r"safe for use", r"approved", r"guarantee",
    r"proven safe", r"is safe", r"認証", r"準拠", r"適合", r"保証",
)  # fmt: skip
Row = dict[str, Any]


class Expert:
    """The task's expert as a judged policy."""

    kind, name, sha256 = "scripted", "expert of a test", "ab" * 32

    def __init__(self, task: Task, folder: Path) -> None:
        self.task, self.folder, self._task = task.id, folder, task

    def act(
        self, observation: NDArray[np.float32], seeds: NDArray[np.int64], steps: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        return self._task.expert(observation).astype(np.float32)


class Other(Expert):
    sha256 = "cd" * 32


@pytest.fixture(scope="module")
def task() -> Task:
    return get_task("kit-pick")


def small(episodes: int = 231) -> Suite:
    return load_suite("basic").model_copy(update={"episodes_per_condition": episodes})


def written(tmp_path: Path, task: Task, suite: Suite, change: Any = None) -> Path:
    """A check whose evidence was written, not simulated: all well, unless `change(row)` says otherwise."""
    policy = Expert(task, tmp_path / "runs" / "kit-pick" / "expert")
    folder = begin(policy, task, suite, suite.bind(task), 7)
    plan = read_plan(folder)
    rng = np.random.default_rng(1)
    rows = [_row(plan, index, rng) for index in range(plan.episodes)]
    for row in rows if change else ():
        change(row)
    for number in range(plan.shards):
        part = [rows[index] for index in plan.shard(number)]
        hashes = {"plan_sha256": plan.sha256, "rows_sha256": rows_sha256(part)}
        write_shard(shard_path(folder, number), part, expected_columns(plan), hashes)
    return folder


def _row(plan: Plan, index: int, rng: np.random.Generator) -> Row:
    episode = plan.episode(index)
    ids = [each.id for each in plan.assessed]
    outcome: Row = {
        "episode": index, "condition": episode.condition, "disturbance": episode.disturbance, "severity": episode.severity,
        "seed": episode.seed, "success": True, "reason": "success", "steps": 250, "time_s": 5.0,
        "cycle_s": float(rng.uniform(3.5, 6.0)), "return": 1.0, "energy_j": 40.0, "limits_active": 0.0, "in_path": bool(index % 2),
        "trace_sha256": "00" * 32,
    }  # fmt: skip
    margins = {f"margin.{name}": float(rng.uniform(0.1, 0.5)) for name in ids}
    return {
        **outcome,
        **margins,
        **{f"at.{name}": 2.0 for name in ids},
        **{f"metric.{name}": 0.0 for name in plan.metrics},
    }


class Text(HTMLParser):
    """What a person reads of a page, and every address in it."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.addresses: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._hidden += tag == "style"
        self.addresses += [
            value or "" for name, value in attributes if name in ("src", "href", "xlink:href", "srcset")
        ]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


def read(page: Path) -> tuple[str, list[str]]:
    parser = Text()
    parser.feed(page.read_text(encoding="utf-8"))
    return " ".join(" ".join(parser.words).split()), parser.addresses


def fails(row: Row) -> None:
    """Separation breaks in a third of the pushed episodes; some parts drop."""
    if row["disturbance"] == "push" and row["episode"] % 3 == 0:
        row["margin.separation"] = -0.02 - 1e-5 * row["episode"]
    if row["disturbance"] == "friction" and row["episode"] % 7 == 0:
        row.update(success=False, reason="dropped", cycle_s=float("nan"))


def test_a_page_of_good_evidence_says_pass_and_why(tmp_path: Path, task: Task) -> None:
    page = report(written(tmp_path, task, small()))
    text, _ = read(page)
    assert (
        page.name == "report.html" and "✓ PASS" in text and "FAIL:" in text
    )  # FAIL only where the page explains the words
    assert "3,003 episodes in 13 conditions" in text and "0 of 3,003" in text and "0.0998" in text
    result = read_check(page.parent)
    for name in (result.evidence.sha256, result.evidence.plan.sha256, "ab" * 32):
        assert name in text
    assert "seeds chosen by hand (--seed 7)" in text and "simulated, uncalibrated" in text
    assert f"seeds {SEED_RANGES['judge'] + 7_000_000}" in text


def test_a_page_of_bad_evidence_names_what_broke(tmp_path: Path, task: Task) -> None:
    page = report(written(tmp_path, task, small(), fails))
    text, _ = read(page)
    assert "✗ FAIL" in text and "separation: violated" in text and "✗ broken" in text
    assert re.search(r"77 \d[\d.]+\s% to \d[\d.]+\s%", text), "each count has its interval"
    assert "separation: most often in: Push, severity 1" in text and "judged together" in text
    assert "part dropped" in text and "Push, severity 3" in text
    worst = worst_episodes(read_check(page.parent).evidence)
    assert [each.constraint or each.reason for each in worst][:2] == ["separation", "dropped"]
    assert f"genba replay {page.parent} {worst[0].row['episode']}" in text


def test_too_few_episodes_say_how_many_would_decide(tmp_path: Path, task: Task) -> None:
    page = report(written(tmp_path, task, small(20)))
    text, _ = read(page)
    verdict = read_check(page.parent).verdict
    assert "INSUFFICIENT" in text and f"{verdict.more_episodes:,} more episodes without any failure" in text


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("change", [None, fails])
def test_the_page_stands_alone_and_claims_nothing_it_may_not(
    tmp_path: Path, task: Task, language: str, change: Any
) -> None:
    page = report(written(tmp_path, task, small(), change), out=tmp_path / "page.html", language=language)
    text, addresses = read(page)
    raw = page.read_text(encoding="utf-8")
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"url\((?![\"']?(data:|#))|@import|<script|<link|<iframe", raw)
    assert page.stat().st_size < 4_000_000 and f'lang="{language}"' in raw
    for claim in FORBIDDEN:
        assert not re.search(claim, text, re.IGNORECASE), claim
    ids = re.findall(r'\bid="([^"]+)"', raw)
    assert len(ids) == len(set(ids))


def test_no_rate_stands_without_its_count_and_bounds(tmp_path: Path, task: Task) -> None:
    text, _ = read(report(written(tmp_path, task, small(), fails)))
    cells = re.findall(r"([\d,]+) / ([\d,]+) ([\d.]+ %) ([\d.]+\s%) to ([\d.]+\s%)", text)
    assert len(cells) == 13 and all(n == "231" for _, n, *_ in cells)
    said = load_words("en")
    assert rate(1, 2000, said, 0.95).startswith("1 of 2,000 (0.1") and "bounds 0.002" in rate(
        1, 2000, said, 0.95
    )


def test_a_stored_conclusion_is_not_believed(tmp_path: Path, task: Task) -> None:
    folder = written(tmp_path, task, small(), fails)
    honest = read_check(folder)
    forged = {**honest.as_json(), "verdict": "PASS", "reasons": [], "constraints": []}
    (folder / "check.json").write_text(json.dumps(forged, default=str), encoding="utf-8")
    assert "✗ FAIL" in read(report(folder))[0]


def test_evidence_that_is_not_whole_is_refused(tmp_path: Path, task: Task) -> None:
    folder = written(tmp_path, task, small())
    shard_path(folder, 3).unlink()
    with pytest.raises(BadInput, match="missing from shards/00003.parquet"):
        report(folder)
    assert not (folder / "report.html").exists()


def test_the_same_evidence_gives_the_same_bytes(tmp_path: Path, task: Task) -> None:
    folder = written(tmp_path, task, small(), fails)
    first, second = (report(folder, out=tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == second


def test_without_the_judged_policy_the_page_says_that_nothing_was_played_again(
    tmp_path: Path, task: Task
) -> None:
    folder = written(tmp_path, task, small())
    assert "The policy was not at hand" in read(report(folder))[0]
    text, addresses = read(report(folder, Other(task, tmp_path)))
    assert "could not be played again" in text and "is not the one that was judged" in text
    assert not [address for address in addresses if address.startswith("data:image/webp")]


def test_a_thinned_drawing_stays_where_it_was() -> None:
    """A step, a slope and a wave: few points are left, and none of those left out lies farther from the line than `STRAIGHT`."""
    x = np.arange(0.0, 400.0, 0.25)
    y = np.where(x < 100, 5.0, np.where(x < 200, 0.3 * x, 60.0 + 10.0 * np.sin(x / 9.0)))
    full = "M " + " L ".join(f"{a:.4f} {b:.4f} \n" for a, b in zip(x, y, strict=True))
    found = np.array([pair.split() for pair in re.split("[ML]", thinned(full))[1:]], float)
    assert len(found) < len(x) / 8
    first, last = found[:-1, None], found[1:, None]
    way, off = last - first, np.column_stack([x, y]) - first
    along = ((off * way).sum(-1) / (way * way).sum(-1)).clip(0.0, 1.0)
    gaps = np.linalg.norm(off - along[..., None] * way, axis=-1).min(axis=0)
    assert gaps.max() < STRAIGHT + 0.08  # and 0.05 px of rounding either way
    assert thinned("M 1.04 2 L 3 4 z M 9 9 C 1.26 2 3 4 5 6") == "M1 2L3 4zM9 9C1.2 2 3 4 5 6"


def test_the_worst_episodes_are_played_again_with_plots_and_pictures(tmp_path: Path, task: Task) -> None:
    suite = small(1).model_copy(update={"disturbances": {"push": (3,)}})
    suite = suite.model_copy(
        update={"verdict": suite.verdict.model_copy(update={"success": suite.verdict.success[:1]})}
    )
    policy = Expert(task, tmp_path / "expert")
    result = check(policy, suite=suite, seed=3, threads=1, worlds=2)
    page = report(result.folder, policy)
    text, addresses = read(page)
    assert len([address for address in addresses if address.startswith("data:image/webp")]) == 2 * 6 + 1
    assert text.count("gave the same sensor data bit for bit") == 2 and "DIFFERENTLY" not in text
    assert page.read_text(encoding="utf-8").count("<svg") >= 3


def test_every_language_has_the_same_sentences() -> None:
    english = load_words("en").sentences
    for language in languages():
        sentences = load_words(language).sentences
        assert list(sentences) == list(english)
        for key, sentence in sentences.items():
            assert _fields(sentence) == _fields(english[key]), (language, key)
    with pytest.raises(UnknownName, match="unknown language 'de'"):
        load_words("de")


def _fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def test_outcomes_and_disturbances_have_words_in_every_language() -> None:
    from genba.envs.disturbances import disturbance_classes
    from genba.envs.task import task_ids

    for language in languages():
        sentences = load_words(language).sentences
        for name in disturbance_classes():
            assert f"disturbance.{name}" in sentences
        for task_id in task_ids():
            assert all(f"outcome.{reason}" in sentences for reason in get_task(task_id).reasons[1:])


def test_every_reason_of_the_verdict_has_a_sentence(tmp_path: Path, task: Task) -> None:
    def spoil(row: Row) -> None:
        fails(row)
        if row["episode"] == 5:
            row.update(success=False, reason="fault")
        if row["episode"] == 6:
            row["margin.workspace"] = -np.inf

    result = read_check(written(tmp_path, task, small(), spoil))
    said = reasons(result, load_words("en"))
    assert (
        said[0].endswith("number: 1.")
        and said[1].endswith("(NaN): 1.")
        and any("separation" in line for line in said)
    )


@pytest.mark.parametrize(
    ("count", "n", "text"),
    [(0, 10, "0.0 %"), (10, 10, "100.0 %"), (2999, 3000, "99.97 %"), (1, 3000, "0.03 %"), (1, 3, "33.3 %")],
)
def test_a_share_never_looks_like_all_or_none_when_it_is_neither(count: int, n: int, text: str) -> None:
    assert share(count, n) == text


def test_shades_deepen_with_failures() -> None:
    shades = [shade(success) for success in (1.0, 0.99, 0.9, 0.8, 0.5, 0.0)]
    assert shades[0] == 0 and shades == sorted(shades) and shades[-1] == 6


def test_margins_are_compared_relative_to_their_own_middle() -> None:
    assert (
        relative(np.array([0.0, 0.0, 0.0])).tolist() == [np.inf] * 3
    )  # no contact in any episode: nothing to look at
    assert relative(np.array([0.0, -5.0, 0.0])).tolist() == [np.inf, -5.0, np.inf]
    assert relative(np.array([1.0, 2.0, np.nan])).tolist()[2] == -np.inf
    bar = strip(np.array([-1.0, 1.0, 2.0, 3.0, np.inf]))
    assert bar is not None and bar["worst"] == 0.0 < bar["limit"] < bar["middle"]


def test_one_picture_is_taken_at_the_worst_moment() -> None:
    times = shot_times({"time_s": 5.0, "at.separation": 2.3}, "separation")
    assert len(times) == 6 and 2.3 in times and times == sorted(times) and times[0] == 0.0
    assert shot_times({"time_s": 5.0, "at.separation": float("nan")}, "separation")[-1] == 5.0


def test_only_comparisons_that_must_always_hold_count_as_demanded() -> None:
    from genba.safety.formula import parse

    formula = parse(
        "always (part.speed <= 1) and always (eventually [0, 0.1] (tcp.speed <= 2)) and always (a.b > 1 implies a.c < 2)"
    )
    assert [demanded for _, demanded in comparisons(formula)] == [True, False, False, False]


def test_where_nothing_can_be_written_no_page_is_made(
    tmp_path: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, asked = written(tmp_path, task, small(20)), list[object]()
    monkeypatch.setattr("genba.safety.report.page", lambda *given: asked.append(given))
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BadInput, match="cannot be written"):
        report(folder, out=tmp_path / "file" / "report.html")
    assert not asked
