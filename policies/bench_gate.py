"""`genba bench gate`: how well the gate catches planted defects, how often it errs on clean policies, and whether it notices itself broken.

Every result is kept as it comes, so that an interrupted benchmark goes on where it stopped; results of another Genba, suite or
released policy are not mixed in.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput, UnknownName
from ..envs.files import (
    asset,
    atomic_write_bytes,
    atomic_write_text,
    canonical_json,
    plain_json,
    sha256_file,
    sha256_hex,
)
from ..envs.platform import cores
from ..envs.task import Task, get_task
from ..safety.mutants import MUTANTS, noticed
from ..safety.progress import Say
from ..safety.selftest import selftest
from ..safety.suite import Suite, load_suite, suite_for
from .at_once import at_once
from .gate_artefacts import ARTEFACTS, Artefact, refused
from .gate_clean import CLEAN, clean_policy
from .gate_defects import CELLS, DEFECTS, SEVERITIES, Defect
from .gate_oracle import certify
from .gate_page import GateResult, page
from .gate_plants import NAMES
from .gate_run import apply_gate, outcome, simpler_gates
from .gate_surgery import Surgery
from .load import LoadedPolicy, load_policy
from .runs import POLICY

FOLDER = Path("runs") / "gate-benchmark"
RESULTS, PAGE = "results.jsonl", "gate-benchmark"
RUNS, QUICK_RUNS = {"conveyor-sort": 5, "kit-pick": 1}, 1  # of each clean policy; 60 in all
QUICK_CELL = "conveyor-sort"
MIDDLE = 1
THREADS = 1  # of the engine for one verdict; several are reached at a time
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Job:
    """One thing to find out: `kind` is "self-test", "mutant", "artefact", "certificate", "clean" or "defect"."""

    kind: str
    id: str
    cell: str = ""
    level: str = ""

    @property
    def key(self) -> Key:
        return (self.kind, self.id, self.cell, self.level)


def bench_gate(
    out: Path,
    tasks: Sequence[str] = (),
    *,
    quick: bool = False,
    clean: bool = True,
    seed: int = 0,
    threads: int = 0,
    say: Say | None = None,
) -> GateResult:
    """Measure the gate and write `<out>/gate-benchmark.md`, with the names of `tasks` where they are given.

    Args:
        tasks: whose policies; none: both, or one of them where it is to be quick.
        quick: middle severity only, each clean policy once.
        clean: ask for false alarms, too.
        seed: of all episodes; 0 to 999.
        threads: how much is found out at a time, with one engine thread each; 0 for as much as there are processors.

    Raises:
        BadInput: a seed that cannot be used.
        UnknownName: a task that no defects are planted in.
    """
    if not 0 <= seed <= 999:
        raise BadInput(f"--seed {seed}: expected 0 to 999")
    for task in tasks:
        if task not in CELLS:
            raise UnknownName("task with planted defects", task, CELLS)
    cells = tuple(cell for cell in CELLS if cell in tasks) or ((QUICK_CELL,) if quick else CELLS)
    bench = Bench(FOLDER / f"seed-{seed}", seed)
    jobs = [job for job in jobs_of(cells, quick) if clean or job.kind not in ("certificate", "clean")]
    known = bench.kept()
    left = [job for job in jobs if job.key not in known]
    for number, (job, found) in enumerate(at_once(bench.find_out, left, threads or cores()), 1):
        known[job.key] = found
        bench.keep(job, found)
        if say is not None:
            say(f"gate {number} of {len(left)}: {' '.join(filter(None, job.key))}: {_said(found)}")
    path = out / (f"{PAGE}-{'-'.join(cells)}.md" if tasks and cells != CELLS else f"{PAGE}.md")
    result = GateResult(tuple((job.key, known[job.key]) for job in jobs), cells, quick, seed, path)
    atomic_write_text(path, page(result))
    atomic_write_text(path.with_suffix(".json"), plain_json(result.summary()) + "\n")
    return result


def jobs_of(cells: Sequence[str], quick: bool) -> Iterator[Job]:
    """Everything to find out, cheapest first."""
    yield Job("self-test", "sound")
    for name in MUTANTS:
        yield Job("mutant", name)
    for name in ("honest", *ARTEFACTS):
        yield Job("artefact", name, QUICK_CELL)
    first = QUICK_CELL if QUICK_CELL in cells else cells[0]
    for level in (MIDDLE,) if quick else (MIDDLE, 0, 2):
        for cell in cells if level == MIDDLE else (first,):
            for defect in DEFECTS:
                home = cell if cell in defect.cells else defect.cells[0] if level != MIDDLE else ""
                if home:
                    yield Job("defect", defect.id, home, SEVERITIES[level])
    for cell in cells:
        for name in CLEAN:
            yield Job("certificate", name, cell)
    for run in range(QUICK_RUNS if quick else max(RUNS.values())):
        for cell in cells:
            for name in CLEAN if quick or run < RUNS[cell] else ():
                yield Job("clean", name, cell, str(run + 1))


def _said(found: Mapping[str, Any]) -> str:
    if "verdict" in found:
        return f"{found['verdict']} {', '.join(found['reasons'])}".strip()
    return ", ".join(f"{name} {value}" for name, value in found.items() if not isinstance(value, dict))[:100]


@dataclass(frozen=True)
class Bench:
    """Where results are kept, and how they come about."""

    folder: Path
    seed: int

    @cached_property
    def head(self) -> str:
        """The hash of what results depend on: version, cells, the judge, released policies, suites, defects, artefacts."""
        files = [asset("policies", cell, POLICY) for cell in CELLS]
        files += sorted((Path(__file__).parents[1] / "safety").glob("*.py"))
        files += [
            Path(__file__).with_name(f"gate_{part}.py")
            for part in ("artefacts", "clean", "defects", "oracle", "plants", "run", "surgery")
        ]
        files += [Path(__file__).with_name(f"{part}.py") for part in ("load", "onnx_policy", "release")]
        suites = [canonical_json(_suite(cell).model_dump(mode="json")) for cell in CELLS]
        cells = (get_task(cell).cell_sha256 for cell in CELLS)
        known = [version("genba"), *cells, *(sha256_file(path) for path in files), *map(sha256_hex, suites)]
        return sha256_hex("\n".join(known).encode())

    def kept(self) -> dict[Key, dict[str, Any]]:
        """Results of before; a line that was cut short is found out anew."""
        path, found = self.folder / RESULTS, dict[Key, dict[str, Any]]()
        if not path.is_file():
            return found
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
                if row["head"] == self.head:
                    kind, name, cell, level = row["key"]
                    found[kind, name, cell, level] = row["found"]
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def keep(self, job: Job, found: Mapping[str, Any]) -> None:
        """Append a result."""
        self.folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"head": self.head, "key": list(job.key), "found": found})
        with (self.folder / RESULTS).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
            file.flush()
            os.fsync(file.fileno())

    def find_out(self, job: Job) -> dict[str, Any]:
        """The result of a job."""
        if job.kind == "self-test":
            return {"wrong": [answer.id for answer in selftest() if not answer.ok]}
        if job.kind == "mutant":
            return {"red": list(noticed(job.id))}
        if job.kind == "artefact":
            home = self.folder / "artefact" / job.id
            said = refused(job.id, Artefact(home, asset("policies", job.cell), job.cell))
            return {"refused": bool(said), "says": said.replace(str(home), "...")}
        task = get_task(job.cell)
        base = asset("policies", job.cell, POLICY).read_bytes()
        if job.kind == "defect":
            return self._defect(job, task, base)
        policy = clean_policy(job.id, base, task, self.folder / "clean" / "-".join(job.key))
        if job.kind == "certificate":
            return certify(policy, task, self.seed, THREADS).as_json()
        seed = 1000 * self.seed + 100 + int(job.level)
        return outcome(apply_gate(policy, task, _suite(job.cell), seed, THREADS), frozenset())

    def _defect(self, job: Job, task: Task, base: bytes) -> dict[str, Any]:
        defect = next(each for each in DEFECTS if each.id == job.id)
        level = defect.levels[SEVERITIES.index(job.level)]
        home = self.folder / "planted" / f"{job.cell}-{job.id}-{job.level}"
        policy, suite = planted(defect, task, level, base, home), _suite(job.cell)
        judged = apply_gate(policy, task, suite, 1000 * self.seed, THREADS)
        others = simpler_gates(policy, task, suite, self.seed, THREADS)
        return {**outcome(judged, defect.right), "others": others}


def planted(defect: Defect, task: Task, level: float, base: bytes, folder: Path) -> LoadedPolicy:
    """The released policy with a defect, as a file in `folder`."""
    surgery = Surgery(base, task.columns, task.action_names)
    if defect.plant is not None:
        defect.plant(surgery, NAMES[task.id], task.id, level)
    atomic_write_bytes(folder / POLICY, surgery.finish())
    policy = load_policy(str(folder / POLICY), task.id)
    return policy if defect.plant is not None else _bomb(policy, task, level)


def _bomb(policy: LoadedPolicy, task: Task, share: float) -> LoadedPolicy:
    """Drives off sideways and down after a share of the horizon: what a policy with a clock can do."""
    after = round(share * task.horizon_s * task.control_hz)

    def act(
        observation: NDArray[np.float32], seeds: NDArray[np.int64], steps: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        action = policy.act(observation, seeds, steps).copy()
        action[steps >= after, :3] = (0.0, 1.0, -1.0)
        return action

    return replace(policy, kind="callable", function=act)


def _suite(cell: str) -> Suite:
    return load_suite(suite_for(cell))
