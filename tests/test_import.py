"""`genba import`: the actors of Stable-Baselines3's algorithms act as they did there, and nothing of an archive is ever run."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import stable_baselines3 as sb3
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genba.envs.errors import BadInput
from genba.envs.task import get_task
from genba.policies.contract import contract_of
from genba.policies.load import load_policy
from genba.policies.sb3 import ACTIVATIONS, read_actor
from genba.policies.take_in import take_in
from genba.policies.unpicked import Storage, Tensor
from genba.policies.weights import read_weights

TASK = "conveyor-sort"
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "ppo": ("PPO", {}),
    "ppo-relu": ("PPO", {"activation_fn": torch.nn.ReLU, "net_arch": [32, 16]}),
    "ppo-elu": ("PPO", {"activation_fn": torch.nn.ELU, "net_arch": {"pi": [24, 24, 24], "vf": [8]}}),
    "a2c": ("A2C", {}),
    "ppo-squashed": ("PPO", {"squash_output": True, "activation_fn": torch.nn.Tanh}),
    "a2c-squashed": ("A2C", {"squash_output": True}),
    "sac": ("SAC", {"net_arch": [32, 32]}),
    "td3": ("TD3", {"net_arch": [24]}),
    "ddpg": ("DDPG", {"net_arch": [24, 16], "activation_fn": torch.nn.Tanh}),
}


class Blank(gymnasium.Env[Any, Any]):
    """Spaces alone."""

    def __init__(self, columns: int, actions: int, high: float = 1.0) -> None:
        self.observation_space = gymnasium.spaces.Box(-8.0, 8.0, (columns,), np.float32)
        self.action_space = gymnasium.spaces.Box(-high, high, (actions,), np.float32)


def learnt(folder: Path, kind: str = "ppo", columns: int = 0, high: float = 1.0) -> tuple[Path, Any]:
    """An archive with weights drawn anew, and the model that wrote it."""
    name, kwargs = KINDS[kind]
    contract = contract_of(get_task(TASK))
    more: dict[str, Any] = {"buffer_size": 10} if name in ("SAC", "TD3", "DDPG") else {}
    if "squash_output" in kwargs:
        more["use_sde"] = True  # Stable-Baselines3 squashes no other
    env = Blank(columns or len(contract.observation), len(contract.action), high)
    model = getattr(sb3, name)("MlpPolicy", env, policy_kwargs=kwargs, seed=3, device="cpu", **more)
    with torch.no_grad():
        for weight in model.policy.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    model.save(folder / f"{kind}.zip")
    return folder / f"{kind}.zip", model


@pytest.mark.parametrize("kind", list(KINDS))
def test_an_actor_acts_as_it_did_in_stable_baselines3(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, model = learnt(tmp_path, kind)
    taken = take_in(path, TASK)
    policy = load_policy(str(taken.run))
    seen = np.random.default_rng(1).normal(size=(200, taken.widths[0])).astype(np.float32)
    rows = np.zeros(len(seen), np.int64)
    np.testing.assert_allclose(
        policy.act(seen, rows, rows), model.predict(seen, deterministic=True)[0], atol=2e-6
    )
    assert (
        policy.task == TASK
        and policy.kind == "onnx"
        and taken.as_json()["policy"] == f"{taken.run}/policy.onnx"
    )


def test_the_weights_are_those_that_torch_reads(tmp_path: Path) -> None:
    path, _ = learnt(tmp_path, "sac")
    data = zipfile.ZipFile(path).read("policy.pth")
    ours, theirs = read_weights(data, "x"), torch.load(io.BytesIO(data), weights_only=True)
    assert set(ours) == set(theirs) and len(ours) > 20
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value.numpy())


def test_views_of_one_storage_are_cut_as_torch_cuts_them(tmp_path: Path) -> None:
    base = torch.arange(60, dtype=torch.float64).reshape(6, 10)
    table = {
        "t": base.T,
        "row": base[2],
        "part": base[1:5:2, 3:9:2],
        "whole": base,
        "half": base.half(),
        "none": base[:0],
    }
    torch.save(table, tmp_path / "x.pth")
    found = read_weights((tmp_path / "x.pth").read_bytes(), "x")
    for name, value in table.items():
        np.testing.assert_array_equal(found[name], value.numpy())
        assert found[name].dtype == value.numpy().dtype


def rewritten(path: Path, **files: bytes) -> Path:
    """The archive with other contents in some of its files."""
    with zipfile.ZipFile(path) as old:
        kept = {name: old.read(name) for name in old.namelist()}
    other = path.with_name(f"other-{len(list(path.parent.iterdir()))}.zip")
    with zipfile.ZipFile(other, "w") as new:
        for name, data in {**kept, **{name.replace("__", "."): data for name, data in files.items()}}.items():
            new.writestr(name, data)
    return other


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def test_code_beside_the_weights_is_not_run_and_code_among_them_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, model = learnt(tmp_path)
    mark, said = tmp_path / "ran", json.loads(zipfile.ZipFile(path).read("data"))
    said["policy_class"][":serialized:"] = pickle.dumps(Bomb(mark)).hex()
    take_in(rewritten(path, data=json.dumps(said).encode()), TASK)
    buffer = io.BytesIO()
    torch.save({**model.policy.state_dict(), "more": Bomb(mark)}, buffer)
    with pytest.raises(
        BadInput, match=r"its pickle asks for [\w.]+, which weights do not need; it was not opened"
    ):
        take_in(rewritten(path, policy__pth=buffer.getvalue()), TASK)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"columns": 7}, "takes 7 values and gives 5, but conveyor-sort shows"),
        ({"high": 2.0}, r"learnt with actions from -2 to 2, but Genba's lie in \[-1, 1\]"),
    ],
)
def test_what_does_not_fit_the_task_is_one_line(
    change: dict[str, Any], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, _ = learnt(tmp_path, "td3", **change)
    with pytest.raises(BadInput, match=says):
        take_in(path, TASK)
    assert not (tmp_path / "runs").exists()


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    path, model = learnt(tmp_path)
    weights = {name: value for name, value in model.policy.state_dict().items()}

    def with_weights(**changes: Any) -> Path:
        buffer = io.BytesIO()
        torch.save(
            {name: value for name, value in {**weights, **changes}.items() if value is not None}, buffer
        )
        return rewritten(path, policy__pth=buffer.getvalue())

    said = json.loads(zipfile.ZipFile(path).read("data"))
    kwargs = {"activation_fn": "<class 'torch.nn.modules.activation.Mish'>"}
    odd = rewritten(path, data=json.dumps({**said, "policy_kwargs": kwargs}).encode())
    (tmp_path / "text.zip").write_text("hello")
    (tmp_path / "empty.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    cases: list[tuple[Path, str]] = [
        (tmp_path / "absent.zip", "cannot be read"),
        (tmp_path / "text.zip", "not a zip archive"),
        (tmp_path / "empty.zip", "not a file of weights as torch writes it"),
        (rewritten(path, data=b"[1]"), "is no JSON object"),
        (rewritten(path, data=b"\xff{"), "is no JSON"),
        (odd, "Mish.*is not known; known: tanh, relu"),
        (with_weights(log_std=None), "no actor of PPO"),
        (with_weights(**{"action_net.bias": None}), "action_net.bias is missing"),
        (with_weights(**{"q_net.0.weight": torch.zeros(1)}), "discrete actions"),
        (with_weights(**{"lstm_actor.weight": torch.zeros(1)}), "a memory"),
        (with_weights(**{"features_extractor.cnn.0.weight": torch.zeros(1)}), "a network before the policy"),
    ]
    for file, says in cases:
        with pytest.raises(BadInput, match=says) as caught:
            read_actor(file)
        assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="--activation mish: expected one of tanh"):
        read_actor(path, "mish")
    assert read_actor(path, "relu").activation == "Relu" and len(ACTIVATIONS) == 8


def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(4)}, tmp_path / "x.pth")
    data = (tmp_path / "x.pth").read_bytes()
    archive = zipfile.ZipFile(io.BytesIO(data))
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as new:
        for name in archive.namelist():
            inside = archive.read(name)
            new.writestr(name, inside[:8] if name.endswith("data/0") else inside)
    with pytest.raises(BadInput, match="does not fit its storage"):
        read_weights(other.getvalue(), "x")


@pytest.mark.parametrize(
    ("size", "stride"),
    [((0, 10**30), (1, 1)), ((1,) * 70, (1,) * 70), ((2,), (10**30,)), ((10**5, 10**5), (0, 0))],
)
def test_a_tensor_that_cannot_be_is_one_line(size: Any, stride: Any) -> None:
    """Read as torch would write it, of one small storage; none takes more memory than all weights may."""
    buffer = io.BytesIO()
    torch.save({"x": torch.zeros(4)}, buffer)
    table = {f"x{i}": Tensor(Storage("0", "<f4", 4), 0, size, stride) for i in range(6)}
    with pytest.MonkeyPatch.context() as patch, pytest.raises(BadInput) as caught:
        patch.setattr("genba.policies.weights.described", lambda data, what: table)
        read_weights(buffer.getvalue(), "x")
    assert "\n" not in str(caught.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0.0, 1.0), put=st.binary(min_size=1, max_size=6))
def test_a_damaged_pickle_is_one_line(where: float, put: bytes, damaged: bytes) -> None:
    at = int(where * (len(damaged) - len(put)))
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as new:
        new.writestr("a/data.pkl", damaged[:at] + put + damaged[at + len(put) :])
        new.writestr("a/data/0", bytes(480))
    try:
        read_weights(other.getvalue(), "x")
    except BadInput as error:
        assert "\n" not in str(error)


@pytest.fixture(scope="module")
def damaged() -> bytes:
    buffer = io.BytesIO()
    torch.save({"a.weight": torch.zeros(10, 12), "b": torch.zeros(3, dtype=torch.int64)}, buffer)
    archive = zipfile.ZipFile(buffer)
    return archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
