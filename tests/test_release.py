"""Release: only what passed leaves, whole, and what was changed on the way is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from genba.envs.errors import BadInput, Refused
from genba.envs.files import atomic_write_bytes, atomic_write_text, plain_json
from genba.envs.task import get_task
from genba.policies.card import refuse_claims
from genba.policies.contract import contract_of
from genba.policies.manifest import verify_manifest
from genba.policies.onnx_policy import OnnxPolicy
from genba.policies.release import release
from genba.policies.run_release import run
from genba.policies.runtime import Runtime
from genba.safety.campaign import check
from genba.safety.evidence import expected_columns, read_evidence, rows_sha256, shard_path
from genba.safety.scan_files import FILE, write_scan
from genba.safety.shards import write_shard
from genba.tests.release_kit import TASK, FilePolicy, easy_suite, make_check, make_run, onnx_bytes

Row = dict[str, Any]
WIDE = 3.2  # above the size of what is met in the cell, in any unit, below what is drawn


@pytest.fixture
def copied(passed: Path, tmp_path: Path) -> Path:
    """The run that passed, to be spoilt."""
    return Path(shutil.copytree(passed, tmp_path / "run"))


def test_a_release_holds_what_a_robot_and_a_reviewer_need(made: Path, passed: Path) -> None:
    names = {path.name for path in made.iterdir()}
    assert names == {
        "policy.onnx", "contract.json", "monitor.json", "evidence", "report.html", "card.md", "MANIFEST.sha256",
    }  # fmt: skip
    assert made.name == f"{TASK}-{OnnxPolicy(made / 'policy.onnx').sha256[:6]}"
    assert (made / "policy.onnx").read_bytes() == (passed / "policy.onnx").read_bytes()
    assert read_evidence(made / "evidence").sha256 == read_evidence(passed / "checks" / "01").sha256
    assert verify_manifest(made) == 8 + len(list((made / "evidence" / "shards").iterdir()))
    assert json.loads((made / "contract.json").read_bytes()) == json.loads(
        contract_of(get_task(TASK)).to_bytes()
    )
    assert not [path for path in made.parent.iterdir() if path != made], "no draft stays behind"


def test_the_same_release_twice_is_one(made: Path, passed: Path) -> None:
    before = (made / "MANIFEST.sha256").read_bytes()
    assert release(passed, made.parent).folder == made
    assert (made / "MANIFEST.sha256").read_bytes() == before


def test_the_card_says_what_was_not_shown_and_claims_nothing(made: Path, passed: Path) -> None:
    card = (made / "card.md").read_text(encoding="utf-8")
    evidence = read_evidence(passed / "checks" / "01")
    for part in (
        evidence.sha256,
        evidence.plan.sha256,
        "separation: not assessed",
        "NOT the cell's own suite as shipped",
        "scan: left out",
        "The file was brought",
        "the gap between",
    ):
        assert part in card
    assert str(made.parent) not in card, "no path of this machine"
    refuse_claims(card)
    refuse_claims((made / "report.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "claim",
    [
        "ISO 10218 compliant", "this is ISO/TS 15066 compliant", "TS 15066 compliance", "Certified", "reaches PL d", "SIL 2",
        "EU AI Act compliant", "AISI approved", "Safe for use near people", "OECD compliant",
        "eu ai act compliant", "AISI Approved", "complies with ISO 10218", "conforms to the EU AI Act", "ISO 10218に適合", "認証済み",
    ],
)  # fmt: skip
def test_no_card_may_claim(claim: str) -> None:
    with pytest.raises(Refused, match="may not claim"):
        refuse_claims(f"In short: {claim}.")


def refused(run: Path, out: Path) -> str:
    with pytest.raises(Refused) as caught:
        release(run, out)
    assert caught.value.exit_code == 1 and "\n" not in str(caught.value)
    assert not out.exists() or not list(out.iterdir())
    return str(caught.value)


def test_nothing_leaves_without_a_whole_check(copied: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shard_path(copied / "checks" / "01", 2).unlink()
    assert "missing from shards/00002" in refused(copied, out)
    shutil.rmtree(copied / "checks")
    assert "holds no check" in refused(copied, out)
    with pytest.raises(BadInput, match="no such folder"):
        release(tmp_path / "nowhere", out)


def test_a_stored_pass_is_not_believed(copied: Path, tmp_path: Path) -> None:
    """A check that fails, with a conclusion that says PASS."""
    folder = make_run(tmp_path / "fast", action=(1.0, 1.0, 1.0, 1.0, 1.0))
    failed = make_check(folder)
    assert failed.verdict.word == "FAIL"
    atomic_write_text(
        failed.folder / "check.json", plain_json({**failed.as_json(), "verdict": "PASS", "reasons": []})
    )
    message = refused(folder, tmp_path / "out")
    assert "no release without PASS" in message and "says FAIL: " in message


@pytest.mark.parametrize("kind", ["scripted", "random", "zero", "callable"])
def test_only_files_are_released(kind: str, copied: Path, tmp_path: Path) -> None:
    plan = read_evidence(copied / "checks" / "01").plan
    other = plan.model_copy(update={"policy": plan.policy.model_copy(update={"kind": kind})})
    rewrite(copied / "checks" / "01", other.to_bytes(), other.sha256)
    assert f"kind '{kind}' can be checked, never released" in refused(copied, tmp_path / "out")


def rewrite(check: Path, plan: bytes, plan_sha256: str, change: Callable[[Row], Row] | None = None) -> None:
    """Forge a check from end to end: plan, rows and every hash."""
    evidence = read_evidence(check)
    rows = [change(row) if change else row for row in evidence.rows()]
    (check / "check.json").unlink()
    atomic_write_bytes(check / "plan.json", plan)
    atomic_write_text(check / "plan.sha256", plan_sha256)
    for number in range(evidence.plan.shards):
        part = [rows[index] for index in evidence.plan.shard(number)]
        hashes = {"plan_sha256": plan_sha256, "rows_sha256": rows_sha256(part)}
        write_shard(shard_path(check, number), part, expected_columns(evidence.plan), hashes)


def test_evidence_forged_from_end_to_end_does_not_survive_a_replay(copied: Path, tmp_path: Path) -> None:
    plan = read_evidence(copied / "checks" / "01").plan
    rewrite(
        copied / "checks" / "01",
        plan.to_bytes(),
        plan.sha256,
        lambda row: {**row, "success": True, "reason": "success"},
    )
    assert "played again gives another result" in refused(copied, tmp_path / "out")


def test_one_byte_of_the_policy_changed_after_the_check(copied: Path, tmp_path: Path) -> None:
    path = copied / "policy.onnx"
    data = bytearray(path.read_bytes())
    data[data.index(np.float32(-1.0).tobytes())] ^= 1
    path.write_bytes(data)
    assert "is not the file that was judged" in refused(copied, tmp_path / "out")
    path.unlink()
    assert "is missing" in refused(copied, tmp_path / "out")


def test_a_contract_of_another_rate(copied: Path, tmp_path: Path) -> None:
    contract = contract_of(get_task(TASK)).model_copy(update={"control_hz": 20})
    (copied / "contract.json").write_bytes(contract.to_bytes())
    assert "control_hz: 20, expected 50" in refused(copied, tmp_path / "out")


@pytest.mark.wide
@pytest.mark.parametrize(
    ("action", "scale", "message"),
    [
        ((0.0, 0.0, 0.0, 0.0, -3.0), 1.0, "outside [-1, 1]"),
        ((0.0, 0.0, 0.0, 0.0, -0.5), 2.0, "not what contract.json makes of"),
    ],
)
def test_outputs_must_be_what_the_contract_says(
    tmp_path: Path, action: tuple[float, ...], scale: float, message: str
) -> None:
    folder = make_run(tmp_path / "run")
    atomic_write_bytes(folder / "policy.onnx", onnx_bytes(contract_of(get_task(TASK)), action, scale))
    assert make_check(folder).passed
    assert message in refused(folder, tmp_path / "out")


@pytest.mark.wide
def test_a_file_with_actions_only_is_released_and_runs(tmp_path: Path) -> None:
    """What somebody brings need not know commands; they are made of its actions as the contract says."""
    contract = contract_of(get_task(TASK))
    action = (0.01, 0.0, -0.02, 0.0, -1.0)
    folder = tmp_path / "run"
    atomic_write_bytes(folder / "policy.onnx", onnx_bytes(contract, action, command=False))
    check(FilePolicy(folder), suite=easy_suite(), seed=5)
    made = release(folder, tmp_path / "releases").folder
    runtime = Runtime(made)
    wanted = np.array(action) * [each.scale for each in contract.action]
    one = runtime.command(np.zeros(len(contract.observation)))
    assert one.shape == (5,) and one.dtype == np.float32 and np.allclose(one, wanted)
    assert runtime.command(np.zeros((3, len(contract.observation)))).shape == (3, 5)
    assert len(run(made, episodes=1).rows) == 1


@pytest.mark.wide
def test_a_scan_that_was_altered_is_found_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / TASK / "scanned")
    checked = check(FilePolicy(run), suite=easy_suite(), seed=5, scan=True)
    assert checked.passed and checked.scan is not None
    made = release(run, tmp_path / "releases", scanned=checked.scan).folder
    assert (made / "evidence" / FILE).is_file()
    write_scan(checked.folder, checked.scan.model_copy(update={"suspects": checked.scan.suspects + 1}))
    with pytest.raises(Refused, match="is not the scan that check.json was concluded with"):
        release(run, tmp_path / "others")
    (checked.folder / "check.json").unlink()
    with pytest.raises(Refused, match="a scan made again"):
        release(run, tmp_path / "others")


def test_a_release_of_the_same_evidence_from_another_run_is_the_same(made: Path, tmp_path: Path) -> None:
    """What a second `genba go` comes to: another run folder, the same weights, the same attempt."""
    run = make_run(tmp_path / "runs" / TASK / "again")
    make_check(run)
    releases = Path(shutil.copytree(made.parent, tmp_path / "releases"))
    assert release(run, releases).folder == releases / made.name


@pytest.mark.wide
def test_rows_that_were_made_up_are_drawn_by_chance(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one false row is found wherever it lies, once chance points at it; what the evidence hashes to has no say."""
    check = copied / "checks" / "01"
    plan = read_evidence(check).plan
    rewrite(
        check,
        plan.to_bytes(),
        plan.sha256,
        lambda row: {**row, "energy_j": 1.0} if row["episode"] == 5 else row,
    )
    drawn: list[list[int]] = [[0, 1, 2], [4, 5, 6]]
    monkeypatch.setattr(SystemRandom, "sample", lambda self, pool, k: drawn.pop(0))
    assert release(copied, tmp_path / "out").folder.is_dir()
    assert "episode 5 played again gives another result (energy_j)" in refused(copied, tmp_path / "other")


def test_evidence_of_another_platform_is_not_released(copied: Path, tmp_path: Path) -> None:
    """A word in a file that no hash covers must not turn what is unequal into what may differ."""
    check = copied / "checks" / "01"
    plan = read_evidence(check).plan
    rewrite(check, plan.to_bytes(), plan.sha256, lambda row: {**row, "trace_sha256": "0" * 64})
    found = json.loads((check / "platform.json").read_bytes())
    (check / "platform.json").write_text(json.dumps({**found, "numpy": "0"}))
    assert "it was judged on another platform" in refused(copied, tmp_path / "out")


def test_a_command_that_differs_only_where_a_robot_goes_is_found_out(tmp_path: Path) -> None:
    """Right for numbers drawn from the declared ranges, the opposite for any that were ever met."""
    folder = make_run(tmp_path / "run")
    model = onnx.load_model_from_string((folder / "policy.onnx").read_bytes())
    nodes = model.graph.node
    nodes.remove(nodes[2])
    model.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "axes"))
    nodes.append(helper.make_node("Abs", ["observation"], ["size"]))
    nodes.append(helper.make_node("ReduceMax", ["size", "axes"], ["spread"], keepdims=1))
    nodes.append(helper.make_node("Mul", ["action", "scale"], ["right"]))
    nodes.append(helper.make_node("Neg", ["right"], ["opposite"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(WIDE, np.float32), "wide"))
    nodes.append(helper.make_node("Greater", ["spread", "wide"], ["drawn"]))
    nodes.append(helper.make_node("Where", ["drawn", "right", "opposite"], ["command"]))
    atomic_write_bytes(folder / "policy.onnx", model.SerializeToString())
    assert make_check(folder).passed
    assert "not what contract.json makes of" in refused(folder, tmp_path / "out")


def test_weights_that_lie_beside_the_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No hash covers them: the same file would act as whatever lies in the current folder."""
    monkeypatch.chdir(tmp_path)
    model = onnx.load_model_from_string(onnx_bytes(contract_of(get_task(TASK))))
    onnx.save_model(
        model,
        "mine.onnx",
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
        all_tensors_to_one_file=True,
    )
    with pytest.raises(BadInput, match=r"mine.onnx: its weights lie in other files.*external_data=False"):
        OnnxPolicy("mine.onnx")


def test_a_runtime_commands_what_the_judged_actions_mean(made: Path) -> None:
    runtime = Runtime(made)
    low, high = np.array([(each.low, each.high) for each in runtime.contract.observation], np.float32).T
    seen = np.random.default_rng(0).uniform(low, high, (9, len(low))).astype(np.float32)
    rows = np.zeros(9, np.int64)
    wanted = runtime.contract.commands(runtime.act(seen, rows, rows))
    np.testing.assert_array_equal(runtime.command(seen), wanted.astype(np.float32))
