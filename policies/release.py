"""Release what passed: a folder that works without Genba's learning side, with the evidence for it. No PASS, no release.

Nothing stored is believed. The verdict is computed from the rows, the artefact is hashed again, its contract is compared with
the task, and a sample of the judged episodes is played once more.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput, GenbaError, Refused
from ..envs.files import atomic_write_bytes, atomic_write_text
from ..envs.parameters import folder_name
from ..envs.task import FOREIGN, Task, get_task
from ..safety.evidence import Evidence, read_evidence, shard_path
from ..safety.folders import find_check
from ..safety.policy import Policy
from ..safety.replay import replays
from ..safety.result import CheckResult, conclude
from ..safety.scan import Heard, scan
from ..safety.scan_files import FILE as SCAN
from ..safety.scan_files import Scan
from ..safety.suite import Suite
from .card import as_shipped, card
from .contract import Contract, contract_of, differences, read_contract
from .manifest import verify_manifest, write_manifest
from .onnx_policy import OnnxPolicy
from .watch import watched

SAMPLE = 16  # judged episodes that are played again
TOLERANCE = 1e-5  # of `command` against `action`, relative to the command's scale


@dataclass(frozen=True)
class ReleaseResult:
    """A release that was made, or that was there already with the same evidence."""

    folder: Path
    result: CheckResult

    def as_json(self) -> Mapping[str, Any]:
        return {
            "release": str(self.folder),
            "verdict": self.result.verdict.word,
            "evidence_sha256": self.result.evidence.sha256,
            "suite": self.suite.id,
            "suite_as_shipped": as_shipped(self.result),
        }

    @property
    def suite(self) -> Suite:
        return self.result.evidence.plan.suite

    def table(self) -> str:
        changed = (
            []
            if as_shipped(self.result)
            else [
                f"         judged by '{self.suite.id}', which is not the cell's own suite as it comes with Genba"
            ]
        )
        return "\n".join([f"release  {self.folder}        next: genba demo {self.folder}", *changed])


def release(run: str | Path, out: str | Path = "releases", scanned: Scan | None = None) -> ReleaseResult:
    """Release the policy of a run, or of one of its checks.

    Args:
        run: the folder.
        out: where releases lie.
        scanned: the check's scan as this process has just made it; absent, it is made again.

    Raises:
        BadInput: nothing there, or a release of that name with other evidence.
        Refused: no PASS, no complete evidence, another artefact or contract than was judged, a replay that differs.
    """
    result = _judged(Path(run))
    plan = result.evidence.plan
    policy = _artefact(result)
    task = get_task(plan.task)
    contract = _contract(result.folder.parent.parent, task)
    policy = OnnxPolicy(policy.path, None, len(contract.observation), len(contract.action))
    heard = Heard(policy)
    _refuse_other_episodes(result.evidence, heard)
    _refuse_odd_outputs(policy, contract, np.concatenate(heard.met))
    _refuse_another_scan(result, policy, task, scanned)
    folder = Path(out) / f"{folder_name(plan.task)}-{policy.sha256[:6]}"
    if folder.exists():
        return _already(folder, result)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        _fill(draft, result, policy, contract, task, folder)
        os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return ReleaseResult(folder, result)


def _judged(run: Path) -> CheckResult:
    """The check that a run or path means, judged from its rows. Raises Refused unless it is a PASS."""
    if not run.exists():
        raise BadInput(f"{run}: no such folder; runs lie in runs/<task>/")
    try:
        result = conclude(read_evidence(find_check(run)))
    except GenbaError as error:
        raise Refused(f"no release without evidence: {error}") from None
    if not result.passed:
        reasons = result.verdict.reasons
        more = f" (and {len(reasons) - 1} more reasons)" if len(reasons) > 1 else ""
        raise Refused(
            f"no release without PASS: {result.folder} says {result.verdict.word}: {reasons[0]}{more}"
        )
    kind, task = result.evidence.plan.policy.kind, result.evidence.plan.task
    if task.startswith(FOREIGN):
        raise Refused(f"{task} is no cell of Genba: a policy of it can be checked, never released")
    if kind != "onnx":
        raise Refused(
            f"a policy of kind '{kind}' can be checked, never released; train one with: genba train {task}"
        )
    return result


def _artefact(result: CheckResult) -> OnnxPolicy:
    """The policy file of the run, if it is the very one that was judged."""
    path = result.folder.parent.parent / "policy.onnx"
    if not path.is_file():
        raise Refused(f"{path}: is missing; the evidence is about a file that is not here")
    policy = OnnxPolicy(path)
    if policy.sha256 != result.evidence.plan.policy.sha256:
        raise Refused(
            f"{path}: is not the file that was judged ({policy.sha256[:12]}…, judged {result.evidence.plan.policy.sha256[:12]}…): check again"
        )
    return policy


def _contract(run: Path, task: Task) -> Contract:
    """The task's contract; the one that the run was exported with must be the same."""
    expected = contract_of(task)
    path = run / "contract.json"
    if path.is_file():
        other = differences(read_contract(path), expected)
        if other:
            raise Refused(f"{path}: is not the contract of {task.key}: {other[0]}; export and check again")
    return expected


def _refuse_odd_outputs(policy: OnnxPolicy, contract: Contract, met: NDArray[np.float32]) -> None:
    """Actions must lie in their range, and the commands, where the file has any, must be what the contract makes of them: for observations
    in the declared ranges, and for those that were `met` `(n, d)` in episodes.
    """
    low = np.array([each.low for each in contract.observation])
    high = np.array([each.high for each in contract.observation])
    spread = np.random.default_rng(0).uniform(-1.0, 1.0, (256, len(low)))
    observation = np.concatenate([(low + (spread + 1.0) / 2.0 * (high - low)).astype(np.float32), met])
    rows = np.zeros(len(observation), np.int64)
    action = policy.act(observation, rows, rows).astype(np.float64)
    if not (np.isfinite(action).all() and (np.abs(action) <= 1.0).all()):
        raise Refused(
            f"{policy.path}: gives actions outside [-1, 1] for observations in its range; export again"
        )
    if not policy.commands:
        return  # whoever runs it makes them as the contract says
    scale = max(each.scale for each in contract.action)
    off = np.abs(policy.command(observation) - contract.commands(action))
    if not off.max(initial=0.0) <= TOLERANCE * scale:
        raise Refused(
            f"{policy.path}: its output 'command' is not what contract.json makes of 'action'; export again"
        )


def _refuse_other_episodes(evidence: Evidence, policy: Policy) -> None:
    """Play a sample of the judged episodes again, which nobody can know beforehand: chance draws them now."""
    episodes = sorted(SystemRandom().sample(range(len(evidence)), min(SAMPLE, len(evidence))))
    for played in replays(evidence.folder, episodes, policy):
        if not played.equal:
            episode, where = played.stored["episode"], "; ".join(played.other_platform)
            raise Refused(
                f"{evidence.folder}: episode {episode} played again gives another result ({', '.join(played.changed[:3])}): "
                + (
                    f"it was judged on another platform ({where}): check here"
                    if where
                    else "the evidence is not of this policy and this Genba: check again"
                )
            )


def _refuse_another_scan(
    result: CheckResult, policy: OnnxPolicy, task: Task, scanned: Scan | None = None
) -> None:
    """Where the check was scanned, scan again: what was found, and what was not, must come out the same."""
    if result.scan is None:
        return
    again = scanned or scan(result.evidence, policy, task, result.evidence.plan.suite.bind(task))
    if again.model_copy(update={"episodes": result.scan.episodes}) != result.scan:
        raise Refused(
            f"{result.folder / SCAN}: a scan made again finds something else: it is not of this policy and this Genba: check again"
        )


def _already(folder: Path, result: CheckResult) -> ReleaseResult:
    """A release of the same policy: fine if it is whole and rests on the same evidence."""
    try:
        verify_manifest(folder)
        same = read_evidence(folder / "evidence").sha256 == result.evidence.sha256
    except GenbaError as error:
        raise BadInput(f"{folder}: exists and is not whole ({error}); move it away") from None
    if not same:
        raise BadInput(f"{folder}: exists with the evidence of another check; move it away to release anew")
    return ReleaseResult(folder, result)


def _fill(
    draft: Path, result: CheckResult, policy: OnnxPolicy, contract: Contract, task: Task, folder: Path
) -> None:
    """Write everything into a folder that nobody sees yet."""
    plan, source = result.evidence.plan, result.folder
    draft.mkdir(parents=True)
    atomic_write_bytes(draft / "policy.onnx", policy.data)
    atomic_write_bytes(draft / "contract.json", contract.to_bytes())
    assessed = {each.id for each in plan.assessed}
    constraints = [each for each in plan.suite.values if each.id in assessed]
    atomic_write_bytes(draft / "monitor.json", watched(constraints, task.table, task.physics_hz).to_bytes())
    for name in ("plan.json", "plan.sha256", "platform.json", SCAN):
        if (source / name).is_file():
            atomic_write_bytes(draft / "evidence" / name, (source / name).read_bytes())
    for number in range(-(-len(result.evidence) // plan.episodes_per_shard)):
        atomic_write_bytes(shard_path(draft / "evidence", number), shard_path(source, number).read_bytes())
    atomic_write_text(draft / "card.md", card(result, task, folder.name))
    _write_report(draft, result, policy)
    write_manifest(draft)


def _write_report(draft: Path, result: CheckResult, policy: OnnxPolicy) -> None:
    """The report of the check, as one page."""
    from ..safety.report import report

    report(str(result.folder), policy, draft / "report.html")
