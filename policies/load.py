"""Any policy as something that can be judged: a run, an ONNX file, a release, `module:callable`, a server, scripted, random, zero."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput, UnknownName, printable
from ..envs.files import sha256_file, sha256_hex
from ..envs.parameters import SPEC_SIGNS, folder_name
from ..envs.streams import Streams
from ..envs.task import FOREIGN, Task, get_cell, get_task, task_ids
from .contract import Contract, contract_of, differences, read_contract
from .manifest import NAME as MANIFEST
from .manifest import verify_manifest
from .onnx_policy import OnnxPolicy
from .runs import CONFIG, CONTRACT, POLICY, WEIGHTS, read_config

if TYPE_CHECKING:
    from ..safety.plan import PolicyIdentity

Rows = NDArray[np.float32]
Act = Callable[[Rows, NDArray[np.int64], NDArray[np.int64]], Rows]
BUILT_IN = ("scripted", "random", "zero")
SERVED = "server"
PICKLED = (".zip", ".pkl", ".pickle", ".pt", ".pth", ".joblib")  # Stable-Baselines3, torch and their like
NOT_OPENED = (
    "such an archive holds Python objects that run as code when opened, so it is not; genba import reads the weights of a "
    "Stable-Baselines3 archive, others are exported to ONNX (docs/bring-your-own.md says how)"
)
SCHEMES = ("ws://", "wss://")


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy, the task it is for, and the folder that keeps its checks."""

    kind: str
    name: str
    sha256: str
    task: str
    folder: Path
    function: Act

    def act(self, observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
        """Actions `(n, A)` for observations `(n, d)`; each row depends on its own observation, seed and step."""
        return self.function(observation, seeds, steps)


def load_policy(spec: str, task: str = "", keep: bool = True) -> LoadedPolicy:
    """The policy that `spec` means.

    Args:
        spec: a run or release folder, an `.onnx` file, `module:callable`, `ws://127.0.0.1:PORT`, or "scripted", "random", "zero".
        task: its task id; needed where the spec does not say it.
        keep: copy a release or a file into the run that its checks lie in, as a check needs; to watch or serve it writes nothing.

    Raises UnknownName, BadInput.
    """
    path = Path(spec)
    if spec in BUILT_IN:
        return _built_in(spec, get_task(_needed(task, spec)))
    if spec.lower().startswith(SCHEMES):
        return _from_server(spec, task)
    if (path / MANIFEST).is_file():
        return _from_release(path, task, keep)
    if path.is_dir():
        return _from_folder(path, task)
    if path.suffix == ".onnx":
        return _from_file(path, task, Path("runs"), keep)
    if ":" in spec and not path.exists():
        return _from_callable(spec, get_task(_needed(task, spec)))
    if path.suffix.lower() in PICKLED:
        raise BadInput(f"{spec}: {NOT_OPENED}")
    if path.exists():
        raise BadInput(
            f"{spec}: not a policy that can be read; give a run folder, an .onnx file or module:callable"
        )
    raise UnknownName("policy", spec, [*BUILT_IN, *_known_runs()])


def task_or_env(task: str, env: str) -> str:
    """The task that --task, or --env for an environment that is not ours, asks for. Raises BadInput for both."""
    if task and env:
        raise BadInput("--task names a cell of Genba, --env somebody else's environment: give one of them")
    return f"{FOREIGN}{env}" if env else task


def load_for_check(check: str, server: str = "") -> LoadedPolicy:
    """The policy that a run, a check or a release was made with, for replay and report.

    `server` is where it is served now, of a policy that was. Raises UnknownName, BadInput.
    """
    from ..safety.evidence import read_plan
    from ..safety.folders import find_check

    folder = find_check(check)
    plan = read_plan(folder)
    if server and plan.policy.kind != SERVED:
        raise BadInput(f"--server {server}: {folder} judged a policy that nobody served")
    if plan.policy.kind in BUILT_IN:
        return load_policy(plan.policy.kind, plan.task)
    if plan.policy.kind == "callable":
        return _from_callable(plan.policy.name, get_task(plan.task), plan.policy.sha256)
    if plan.policy.kind == SERVED:
        return _served_again(plan.policy, server, plan.task)
    run = folder.parent.parent
    for home in (folder.parent, run, Path("releases") / run.name):
        if (home / POLICY).is_file():
            return _from_file(home / POLICY, plan.task, None)
    raise BadInput(f"{folder}: the policy it judged is not beside it; put its policy.onnx into {run}")


def load_for_report(check: str, server: str = "") -> LoadedPolicy | None:
    """As `load_for_check`; None where the policy was served and no server is named: its page shows no episodes."""
    from ..safety.evidence import read_plan
    from ..safety.folders import find_check

    if not server and read_plan(find_check(check)).policy.kind == SERVED:
        return None
    return load_for_check(check, server)


def _needed(task: str, spec: str) -> str:
    if not task:
        raise BadInput(f"{spec} is for any task: say which with --task; `genba tasks` lists them")
    return task


def _known_runs() -> list[str]:
    return [str(path.parent) for path in sorted(Path("runs").glob(f"*/*/{POLICY}"))]


def _from_folder(folder: Path, task: str) -> LoadedPolicy:
    if not (folder / POLICY).is_file():
        if not (folder / WEIGHTS).is_file():
            known = read_config(folder)["task"] if (folder / CONFIG).is_file() else ""
            job = task or known or folder.resolve().parent.name
            if SPEC_SIGNS.split(job)[0] not in task_ids():
                raise BadInput(f"{folder}: holds no {POLICY}: not the folder of a run or a release")
            raise BadInput(
                f"{folder}: holds no {POLICY} and no {WEIGHTS}; go on with: genba train {job} --resume"
            )
        from .checkpoints import export_checkpoint

        export_checkpoint(folder)
    return _from_file(folder / POLICY, task, None)


def _from_release(folder: Path, task: str, keep: bool) -> LoadedPolicy:
    """A release as it left; new checks of it lie with the runs, since nothing may be added to a release."""
    verify_manifest(folder)
    found = _from_file(folder / POLICY, task, None)
    run = Path("runs") / folder_name(found.task) / found.name
    return replace(found, folder=_kept(run, folder / POLICY) if keep else run)


def _from_file(path: Path, task: str, runs: Path | None, keep: bool = True) -> LoadedPolicy:
    """An ONNX file; a `contract.json` beside it must agree with the task's own contract. Its checks lie beside it where it is the policy of a
    run (`runs` None: it is), else with the runs."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    beside = path.parent / CONTRACT
    found: Contract | None = read_contract(beside) if beside.is_file() else None
    known = get_cell(found.task, beside) if found and not task else get_task(_needed(task, str(path)))
    wanted = contract_of(known)
    if found is not None and (lines := _unlike(found, wanted, task)):
        raise BadInput(f"{beside}: made for other inputs or outputs than {known.id}: {'; '.join(lines[:3])}")
    policy = OnnxPolicy(path, None, len(wanted.observation), len(wanted.action))
    if runs is None:
        home, name = path.parent, printable(path.resolve().parent.name)
    else:
        name = printable(f"{path.stem}-{policy.sha256[:6]}")
        own = found is not None and path.name == POLICY and not (path.parent / MANIFEST).is_file()
        home = path.parent if own else runs / folder_name(known.id) / name
        home = home if own or not keep else _kept(home, path)
    return LoadedPolicy("onnx", name, policy.sha256, known.id, home, policy.act)


def _unlike(found: Contract, wanted: Contract, asked: str) -> list[str]:
    """What stands against a policy in a cell: all differences, but that it was made for another variant of the cell that is asked for."""
    lines = differences(found, wanted)
    bases = {SPEC_SIGNS.split(each.task)[0] for each in (found, wanted)}
    variant = asked and len(bases) == 1 and not wanted.task.startswith(FOREIGN)
    return [line for line in lines if not (variant and line.startswith("task:"))]


def _from_server(url: str, task: str) -> LoadedPolicy:
    """A policy server; the contract that it states, if any, must be the task's own."""
    from .served import ServedPolicy, address

    served = ServedPolicy(address(url))
    try:
        stated = served.contract
        known = get_cell(stated.task, url) if stated and not task else get_task(_needed(task, url))
        wanted = contract_of(known)
        if stated is not None and (lines := _unlike(stated, wanted, task)):
            raise BadInput(
                f"{url}: serves a policy for other inputs or outputs than {known.id}: {'; '.join(lines[:3])}"
            )
        served.agree(wanted)
    except BaseException:
        served.close()
        raise
    name = served.hello.name
    home = Path("runs") / folder_name(known.id) / f"{name}-{served.hello.sha256[:6]}"
    return LoadedPolicy(SERVED, name, served.hello.sha256, known.id, home, served.act)


def _served_again(judged: PolicyIdentity, server: str, task: str) -> LoadedPolicy:
    """The server of a check that was made before. Raises BadInput unless it serves the same policy."""
    if not server:
        raise BadInput(
            f"{judged.name} was judged over a connection: serve it again and add --server ws://127.0.0.1:PORT"
        )
    found = load_policy(server, task)
    if found.sha256 != judged.sha256:
        raise BadInput(
            f"{server}: serves another policy ({found.sha256[:12]}) than was judged ({judged.sha256[:12]})"
        )
    return found


def _kept(folder: Path, path: Path) -> Path:
    """A run folder with a copy of a file from elsewhere, so that its checks can be replayed: `folder`, or one beside it where `folder`
    holds another policy."""
    from ..envs.files import atomic_write_bytes, writing

    data, kept = path.read_bytes(), folder / POLICY
    if kept.is_file() and kept.read_bytes() != data:
        folder = folder.with_name(f"{folder.name}-{sha256_hex(data)[:6]}")
    if not (folder / POLICY).is_file():
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            atomic_write_bytes(folder / POLICY, data)
    return folder


def _expert_sha256(task: Task) -> str:
    """The hash of the task's file and of the experts, who share some of their rules."""
    experts = sorted((Path(inspect.getfile(Task)).parent / "experts").glob("*.py"))
    return sha256_hex("".join(map(sha256_file, (Path(inspect.getfile(type(task))), *experts))).encode())


def _built_in(kind: str, task: Task) -> LoadedPolicy:
    home = Path("runs") / folder_name(task.id) / kind
    if kind == "scripted":

        def expert(observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
            return task.expert(observation).astype(np.float32)

        return LoadedPolicy(kind, kind, _expert_sha256(task), task.id, home, expert)
    actions = len(task.action_names)
    if kind == "zero":
        return LoadedPolicy(
            kind,
            kind,
            sha256_hex(b"zero"),
            task.id,
            home,
            lambda observation, seeds, steps: np.zeros((len(observation), actions), np.float32),
        )
    digest = sha256_hex(f"random/{task.key}".encode())

    def random(observation: Rows, seeds: NDArray[np.int64], steps: NDArray[np.int64]) -> Rows:
        draws = Streams(digest, seeds).uniform("action", (actions,), steps)
        return (2.0 * draws - 1.0).astype(np.float32)

    return LoadedPolicy(kind, kind, digest, task.id, home, random)


def _from_callable(spec: str, task: Task, sha256: str = "") -> LoadedPolicy:
    """`module:function`, known by the hash of its file; with `sha256`, only if it has that."""
    from .callables import load_callable

    act, digest = load_callable(spec, len(task.action_names), sha256)
    home = Path("runs") / folder_name(task.id) / spec.replace(":", "-")
    return LoadedPolicy("callable", spec, digest, task.id, home, act)
