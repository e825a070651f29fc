"""`genba bench cells`: every cell measured, and the page that shows it: picture, expert, released policy, throughput, takt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.bench import Loop, bench_task, compare, seeing
from ..envs.errors import BadInput, UnknownName
from ..envs.files import atomic_write_bytes, atomic_write_text
from ..envs.parameters import VARIANTS
from ..envs.platform import cores
from ..envs.render import picture
from ..envs.task import SEED_RANGES, Task, get_task, task_ids
from ..envs.worlds import Worlds
from ..safety.evidence import read_evidence
from ..safety.production import line as production_line
from ..safety.production import production
from ..safety.progress import Say
from ..safety.result import conclude
from ..safety.statistics import clopper_pearson_lower, clopper_pearson_upper
from .evaluate import Act, Held, evaluate
from .onnx_policy import OnnxPolicy
from .runs import POLICY
from .shipped import release_folder, shipped_ids

FIGURES = "cells.json"
WORLDS, REFERENCE = 128, "kit-pick"
FEW = 32  # worlds that are timed while they see
FEWER = 4  # the easy and the hard variant, and by camera, are played a quarter as often
VIEWS, SIZE, SHOWN_AT = ("overview", "close"), (640, 480), 0.45  # of the expert's own cycle


@dataclass(frozen=True)
class Catalogue:
    """All cells as their figures stand beside the page, and where the page was written."""

    cells: tuple[Mapping[str, Any], ...]
    page: Path

    def as_json(self) -> dict[str, Any]:
        return {"cells": list(self.cells), "page": str(self.page)}

    def table(self) -> str:
        rows = [f"{cell['task']:<16}{_share(cell['expert']['normal'])}" for cell in self.cells]
        return "\n".join([*rows, str(self.page)])


def bench_cells(
    out: Path, tasks: Sequence[str] = (), episodes: int = 1000, threads: int = 0, say: Say | None = None
) -> Catalogue:
    """Measure cells and write `<out>/cells.md` with a picture of each in `<out>/cells/`.

    Args:
        tasks: the cells to measure; the others stay as `<out>/cells.json` has them. None: all.

    Raises:
        UnknownName: no such cell. BadInput: figures of a cell that is not to be measured are missing.
    """
    if unknown := [name for name in tasks if name not in task_ids()]:
        raise UnknownName("task", unknown[0], task_ids())
    kept, cells = _kept(out / FIGURES) if tasks else {}, list[Mapping[str, Any]]()
    for task_id in task_ids():
        if tasks and task_id not in tasks:
            if task_id not in kept:
                raise BadInput(
                    f"{out / FIGURES}: no figures of {task_id}: name it as well, or no cell for all"
                )
            cells.append(kept[task_id])
            continue
        if say is not None:
            say(f"measuring {task_id}")
        cells.append(measure(task_id, episodes, threads))
        atomic_write_bytes(out / "cells" / f"{task_id}.jpg", portrait(get_task(task_id)))
    page = out / "cells.md"
    atomic_write_text(out / FIGURES, json.dumps({"cells": cells}, indent=1) + "\n")
    atomic_write_text(page, _page(cells))
    return Catalogue(tuple(cells), page)


def _kept(path: Path) -> dict[str, Mapping[str, Any]]:
    """The figures of before by cell. Raises BadInput where the file is none of ours."""
    if not path.is_file():
        return {}
    try:
        return {cell["task"]: cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]}
    except (ValueError, KeyError, TypeError):
        raise BadInput(
            f"{path}: not the figures that bench cells writes; remove it and measure all"
        ) from None


def measure(task_id: str, episodes: int, threads: int) -> dict[str, Any]:
    """One cell: its expert by variant, who does the work by a camera and how well, what its released policy's evidence says (None where
    none comes with Genba), its speed."""
    fewer = SEED_RANGES["test"] + np.arange(max(2, episodes // FEWER))
    experts = {}
    for variant in VARIANTS:
        task = get_task(f"{task_id}:{variant}")
        seeds = SEED_RANGES["test"] + np.arange(episodes) if variant == "normal" else fewer
        experts[variant] = _rate(evaluate(_expert(task), task, seeds, 0, threads))
    task = get_task(task_id)
    return {
        "task": task_id,
        "robot": task.robot_name,
        "takt_s": task.takt_s,
        "control_hz": task.control_hz,
        "expert": experts,
        "by_camera": {each: _by_camera(each, task_id, fewer, threads) for each in seeing([task_id])},
        "released": _released(task_id),
        "speed": bench_task(task, WORLDS, threads, cores()),
    }


def _by_camera(spec: str, task_id: str, seeds: NDArray[np.int64], threads: int) -> dict[str, Any]:
    """Who does the work of a cell that sees, how well, and how fast it runs."""
    task = get_task(spec)
    found: dict[str, Any] = {"expert": _rate(evaluate(_expert(task), task, seeds, 0, threads))}
    if task_id in shipped_ids():
        found["released policy"] = _rate(evaluate(_shipped(task, task_id), task, seeds, 0, threads))
    rate, _, ratio = compare(Loop(task, FEW, threads), FEW)
    return {"by": found, "steps_per_s": round(rate, 1), "ratio_to_bare": round(ratio, 3)}


def _shipped(task: Task, task_id: str) -> Act:
    policy = OnnxPolicy(
        release_folder(task_id) / POLICY, None, len(task.observation_names), len(task.action_names)
    )
    none = np.zeros(WORLDS * 8, np.int64)

    def act(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        return policy.act(seen, none[: len(seen)], none[: len(seen)])

    return act


def _expert(task: Task) -> Act:
    def act(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        return task.expert(seen).astype(np.float32)

    return act


def portrait(task: Task) -> bytes:
    """The cell at work, from both cameras side by side, as JPEG."""
    import cv2

    worlds = Worlds(task, 1, 1)
    worlds.reset(np.zeros(1, np.int64), np.zeros(1, np.int64))
    states = 0
    while not worlds.done[0]:
        worlds.step(task.expert(worlds.observation()))
        states += 1
    worlds.reset(np.zeros(1, np.int64), np.zeros(1, np.int64))
    for _ in range(round(SHOWN_AT * states)):
        worlds.step(task.expert(worlds.observation()))
    shown = np.hstack([picture(worlds, 0, camera, SIZE, fine=True) for camera in VIEWS])
    done, data = cv2.imencode(".jpg", shown[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert done
    return data.tobytes()


def _released(task_id: str) -> dict[str, Any] | None:
    """What the evidence of the cell's release says, counted again."""
    if task_id not in shipped_ids():
        return None
    evidence = read_evidence(release_folder(task_id) / "evidence")
    result = conclude(evidence)
    return {
        "verdict": result.verdict.word,
        "suite": evidence.plan.suite.id,
        "episodes": len(evidence),
        "production": production(evidence),
        "sha256": evidence.plan.policy.sha256,
    }


def _rate(held: Held) -> dict[str, float | None]:
    k, n = held.count, held.n
    return {
        "rate": k / n,
        "n": n,
        "lower95": float(clopper_pearson_lower(k, n)),
        "upper95": float(clopper_pearson_upper(k, n)),
        "kept": held.good / n,
        "cycle_s": float(np.nanmean(held.cycle_s)) if k else None,
    }


def _cost(cell: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> float:
    """What a simulated second of bare stepping costs, over that of the reference cell."""

    def second(each: Mapping[str, Any]) -> float:
        return float(each["control_hz"] / each["speed"]["bare_steps_per_s"])

    return second(cell) / second(next(each for each in cells if each["task"] == REFERENCE))


def _share(rate: Mapping[str, float]) -> str:
    text = f"{rate['rate']:.1%} (at least {rate['lower95']:.1%}, n {rate['n']:,})"
    return text.replace("%", " %")


def _said(rate: Mapping[str, Any]) -> str:
    cycle = "" if rate["cycle_s"] is None else f", cycle {rate['cycle_s']:.2f} s"
    return _share(rate) + cycle


def _page(cells: Sequence[Mapping[str, Any]]) -> str:
    threads = cells[0]["speed"]["threads"]
    lines = [
        "# The cells",
        "",
        "Written by `genba bench cells` from measured runs. Success with its one-sided 95 % lower bound (Clopper-Pearson); experts on test",
        "seeds, released policies as their own evidence says. Speeds are control steps a second of 128 worlds on the machine that wrote this",
        f"page ({threads} threads), and their share of bare stepping with the same controls; physics is what a simulated second of",
        f"bare stepping costs, over that of `{REFERENCE}`. Energy is a model, forces are simulated and uncalibrated.",
        "",
        "| cell | robot | takt | expert, normal | expert, hard | released policy | steps/s (of bare) | physics |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        released, speed, name = cell["released"], cell["speed"], cell["task"]
        word = (
            "none yet"
            if released is None
            else f"{released['verdict']}, {_share(released['production']['first_pass_yield'])}"
        )
        lines.append(
            f"| [`{name}`](#{name}) | {cell['robot']} | {cell['takt_s']:g} s | "
            f"{_share(cell['expert']['normal'])} | {_share(cell['expert']['hard'])} | {word} | "
            f"{speed['steps_per_s']:,.0f} ({speed['ratio_to_bare']:.2f}) | "
            f"{_cost(cell, cells):.1f} x |"
        )
    return "\n".join([*lines, *(line for cell in cells for line in _section(cell))]) + "\n"


def _section(cell: Mapping[str, Any]) -> list[str]:
    """The lines of one cell."""
    name, released = cell["task"], cell["released"]
    en, ja = get_task(name).title
    lines = ["", f"## {name}", "", f"{en} ({ja}).", "", f"![{name}](cells/{name}.jpg)", ""]
    for variant, rate in cell["expert"].items():
        kept = f"{rate['kept']:.1%}".replace("%", " %")
        lines.append(f"- expert, {variant}: {_said(rate)}, without breaking a limit {kept}")
    if released is not None:
        lines.append(
            f"- released policy, suite `{released['suite']}`, {released['episodes']:,} episodes, {released['verdict']}: "
            + production_line(released["production"])
        )
    for spec, seen in cell["by_camera"].items():
        who = "; ".join(f"{who} {_said(rate)}" for who, rate in seen["by"].items())
        lines.append(
            f"- by camera, `{spec}`: {who}; {FEW} worlds run at {seen['steps_per_s']:,.0f} steps/s ({seen['ratio_to_bare']:.2f} of bare)"
        )
    return lines
