"""Production figures against a plain count, and the releases that come with Genba."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genba.envs.task import get_task
from genba.envs.worlds import Worlds
from genba.policies.load import load_policy
from genba.policies.manifest import verify_manifest
from genba.policies.shipped import release_folder, shipped_ids
from genba.safety.episodes import Loop
from genba.safety.evidence import read_evidence
from genba.safety.plan import Episode
from genba.safety.policy import Policy
from genba.safety.production import line, production
from genba.safety.replay import replays
from genba.safety.result import conclude
from genba.safety.suite import load_suite
from genba.tests.evidence_kit import Row, make_plan, small_suite, write


def test_figures_are_those_of_a_plain_count(tmp_path: Path) -> None:
    plan = make_plan(small_suite(), damaging=("crushed",))
    changes: dict[int, Row] = {
        0: {"success": True, "cycle_s": 4.0, "energy_j": 10.0},
        1: {"success": False, "reason": "dropped", "time_s": 7.0, "cycle_s": float("nan"), "energy_j": 20.0},
        2: {"success": False, "reason": "crushed", "time_s": 9.0, "cycle_s": float("nan"), "energy_j": 30.0},
    }
    evidence = read_evidence(write(tmp_path, plan, {i: changes[i % 3] for i in range(plan.episodes)}))
    rows = [i for i in range(plan.episodes) if plan.episode(i).severity == 0]
    kinds = [i % 3 for i in rows]
    good, n = kinds.count(0), len(rows)
    found = production(evidence)
    assert found["first_pass_yield"]["rate"] == good / n and found["first_pass_yield"]["n"] == n
    assert (found["dropped"], found["damaged"]) == (kinds.count(1), kinds.count(2))
    busy = sum((4.0, 7.0, 9.0)[kind] for kind in kinds)
    assert found["parts_per_hour"] == pytest.approx(3600.0 * good / busy)
    energy = sum((10.0, 20.0, 30.0)[kind] for kind in kinds)
    assert found["cycle_s"] == 4.0 and found["energy_j_per_good_part"] == pytest.approx(energy / good)
    assert "model" in line(found)


def test_where_nothing_was_good_no_figure_is_made_up(tmp_path: Path) -> None:
    plan = make_plan(small_suite())
    lost: Row = {"success": False, "reason": "timeout", "cycle_s": float("nan")}
    found = production(read_evidence(write(tmp_path, plan, {i: lost for i in range(plan.episodes)})))
    assert (
        found["cycle_s"] is None and found["energy_j_per_good_part"] is None and found["parts_per_hour"] == 0
    )
    assert line(found).startswith("nothing good")


class _Expert:
    kind, name, sha256 = "callable", "expert", "0" * 64

    def __init__(self, task_id: str) -> None:
        self.task = get_task(task_id)

    def act(self, observation, seeds, steps):  # type: ignore[no-untyped-def]
        return self.task.expert(observation).astype(np.float32)


def test_the_energy_of_a_row_is_the_work_of_the_drives_substep_by_substep() -> None:
    policy: Policy = _Expert("conveyor-sort")
    task = get_task("conveyor-sort")
    (row,) = Loop(policy, task, (), (), 1).play([Episode(0, 0, "none", 0, 7)])
    worlds, total = Worlds(task, 1, 1, tail_s=1.0), 0.0
    worlds.reset(np.zeros(1, np.int64), np.array([7]))
    while not worlds.done[0]:
        worlds.step(task.expert(worlds.observation()).astype(np.float32))
        torque, speed = worlds.signals["arm.torque"][0], worlds.signals["arm.qd"][0]
        total += float(np.clip(torque * speed, 0.0, None).sum()) / task.physics_hz
    assert row["energy_j"] == pytest.approx(total, rel=1e-9) and 5.0 < total < 200.0


def test_a_release_comes_under_the_name_of_its_task(tmp_path: Path) -> None:
    for task_id in shipped_ids():
        folder = release_folder(task_id)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert (folder / "policy.onnx").is_file() and size < 2_000_000, (task_id, size)
    assert release_folder(tmp_path) == tmp_path
    assert release_folder("nowhere") == Path("nowhere")


@pytest.mark.quick_for("kit-pick")
@pytest.mark.parametrize("task_id", shipped_ids())
def test_a_shipped_release_passed_and_still_does_what_its_evidence_says(task_id: str) -> None:
    """Counted again from the rows, and three of its episodes played again: to the bit here, to a tolerance elsewhere."""
    folder = release_folder(task_id)
    verify_manifest(folder)
    evidence = read_evidence(folder / "evidence")
    assert conclude(evidence).verdict.word == "PASS" and evidence.plan.task == task_id
    assert evidence.plan.suite == load_suite(task_id)
    policy = load_policy(str(folder))
    for played in replays(folder / "evidence", [0, len(evidence) // 2, len(evidence) - 1], policy):
        assert played.equal or (played.other_platform and played.agrees), played.changed
