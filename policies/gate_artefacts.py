"""Defects of artefacts: files that lie about what they are. Each is put before the very function that a user would call."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..envs.errors import GenbaError
from ..envs.files import atomic_write_bytes, atomic_write_text
from ..safety.folders import PLAN
from ..safety.result import read_check
from .gate_surgery import reweighted
from .load import load_policy
from .release import release
from .runs import CONTRACT, POLICY


@dataclass(frozen=True)
class Artefact:
    """A folder to play with, and the released policy that it is made from."""

    folder: Path
    released: Path
    task: str

    def run(self) -> Path:
        """A run as its owner has it: policy, contract, evidence."""
        run = self.folder / "run"
        (run / "checks").mkdir(parents=True)
        for name in (POLICY, CONTRACT):
            shutil.copy(self.released / name, run / name)
        shutil.copytree(self.released / "evidence", run / "checks" / "01")
        return run


def honest(a: Artefact) -> None:
    """Nothing wrong: this must not be refused."""
    load_policy(str(a.released))
    release(a.run(), a.folder / "releases")


def changed_byte(a: Artefact) -> None:
    """One bit of the weights of a release was changed after it was judged."""
    copy = a.folder / "release"
    shutil.copytree(a.released, copy)
    data = bytearray((copy / POLICY).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / POLICY).write_bytes(bytes(data))
    load_policy(str(copy))


def other_policy(a: Artefact) -> None:
    """The evidence is of another policy."""
    run = a.run()
    atomic_write_bytes(
        run / POLICY, reweighted((run / POLICY).read_bytes(), lambda name, value: value * 1.001)
    )
    release(run, a.folder / "releases")


def control_rate(a: Artefact) -> None:
    """The contract says another control rate than the task has."""
    run = a.run()
    contract = json.loads((run / CONTRACT).read_text(encoding="utf-8"))
    rates = [key for key, value in contract.items() if key.endswith("_hz") and isinstance(value, int | float)]
    for key in rates:
        contract[key] *= 2
    atomic_write_text(run / CONTRACT, json.dumps(contract))
    load_policy(str(run))


def other_columns(a: Artefact) -> None:
    """The contract's columns stand in another order."""
    run = a.run()
    contract = json.loads((run / CONTRACT).read_text(encoding="utf-8"))
    contract["observation"].reverse()
    atomic_write_text(run / CONTRACT, json.dumps(contract))
    load_policy(str(run))


def archive(a: Artefact) -> None:
    """A Stable-Baselines3 archive that runs code when it is opened."""
    path, mark = a.folder / "policy.zip", a.folder / "opened"
    a.folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data", f"cos\nsystem\n(S'touch {mark}'\ntR.")
        file.writestr("policy.pth", b"cos\nsystem\n.")
    try:
        load_policy(str(path), a.task)
    finally:
        if mark.exists():
            raise RuntimeError("the archive was opened")


def softened_plan(a: Artefact) -> None:
    """A limit was softened in the plan after the check."""
    run = a.run()
    path = run / "checks" / "01" / PLAN
    atomic_write_text(path, path.read_text(encoding="utf-8").replace("0.95", "0.55"))
    release(run, a.folder / "releases")


def lost_shard(a: Artefact) -> None:
    """A shard of the evidence is gone."""
    run = a.run()
    sorted((run / "checks" / "01" / "shards").iterdir())[3].unlink()
    read_check(run)


ARTEFACTS: Mapping[str, Callable[[Artefact], None]] = {
    "changed-byte": changed_byte,
    "evidence-of-another-policy": other_policy,
    "wrong-control-rate": control_rate,
    "other-columns": other_columns,
    "archive-with-code": archive,
    "softened-plan": softened_plan,
    "lost-shard": lost_shard,
}


def refused(name: str, artefact: Artefact) -> str:
    """What Genba says to an artefact; empty where it takes it."""
    shutil.rmtree(artefact.folder, ignore_errors=True)
    try:
        (honest if name == "honest" else ARTEFACTS[name])(artefact)
    except GenbaError as error:
        return str(error)
    finally:
        shutil.rmtree(artefact.folder, ignore_errors=True)
    return ""
