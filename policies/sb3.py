"""Stable-Baselines3's archives as layers of numbers: which algorithm's actor it is, told by the names of its weights and nothing that would have to be run.

What acts without chance is taken: the mean of PPO and A2C, clipped; of SAC, TQC and TD3, through tanh.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import BadInput, one_line
from .weights import MOST_BYTES, member, open_zip, read_weights

Weights = Mapping[str, NDArray[Any]]
Float32s = NDArray[np.float32]
ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "elu": "Elu", "leakyrelu": "LeakyRelu", "selu": "Selu", "sigmoid": "Sigmoid", "softsign": "Softsign", "identity": "Identity"}  # fmt: skip
DATA, WEIGHTS = "data", "policy.pth"
TORCH_CLASS = re.compile(r"<class 'torch\.nn\.modules\.activation\.(\w+)'>")
NUMBER = re.compile(r"-?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf)")
MOST_JSON = 64 << 20  # bytes
NO_ACTOR = {
    "q_net.": "a policy of discrete actions (DQN)",
    "lstm_actor.": "a policy with a memory (RecurrentPPO)",
    "actor.latent_pi.0.running_mean": "an actor with batch normalisation (CrossQ)",
    "features_extractor.": "a network before the policy (features_extractor)",
    "pi_features_extractor.": "a network before the policy (features_extractor)",
    "actor.features_extractor.": "a network before the policy (features_extractor)",
}


@dataclass(frozen=True)
class Actor:
    """Layers `(out, in)` and `(out,)` of an actor.

    Attributes:
        family: "PPO/A2C", "SAC/TQC" or "TD3/DDPG".
        activation: an ONNX operator between the layers.
        squashed: whether tanh ends it, else it is clipped.
    """

    family: str
    layers: tuple[tuple[Float32s, Float32s], ...]
    activation: str
    squashed: bool


def read_actor(path: Path, activation: str = "") -> Actor:
    """The actor of an archive, or of a `policy.pth` out of one.

    Args:
        activation: one of `ACTIVATIONS`, where the archive does not say it; empty: as it says, else as its family has it by default.

    Raises BadInput: not such a file, an actor that is not a plain network of a continuous action, actions beyond [-1, 1].
    """
    if activation and activation not in ACTIVATIONS:
        raise BadInput(f"--activation {one_line(activation, 40)}: expected one of {', '.join(ACTIVATIONS)}")
    if path.exists() and not path.is_file():
        raise BadInput(f"{path}: not a file")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadInput(f"{path}: larger than {MOST_BYTES >> 20} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    archive = open_zip(data, str(path))
    said: Mapping[str, Any] = {}
    if WEIGHTS in archive.namelist():
        said = _said(member(archive, DATA, str(path)), path) if DATA in archive.namelist() else {}
        data = member(archive, WEIGHTS, str(path))
    return _actor(read_weights(data, str(path)), said, activation, path)


def _said(data: bytes, path: Path) -> Mapping[str, Any]:
    """The archive's JSON, of which only plain values are read."""
    try:
        said = json.loads(data[:MOST_JSON])
    except (ValueError, RecursionError):
        raise BadInput(f"{path}: its {DATA} is no JSON, as Stable-Baselines3 writes it") from None
    if not isinstance(said, dict):
        raise BadInput(f"{path}: its {DATA} is no JSON object")
    return said


def _actor(weights: Weights, said: Mapping[str, Any], activation: str, path: Path) -> Actor:
    for start, what in NO_ACTOR.items():
        if any(name.startswith(start) for name in weights):
            raise BadInput(f"{path}: {what}; export it to ONNX yourself (docs/bring-your-own.md says how)")
    _refuse_wide(said, path)
    if "action_net.weight" in weights and "log_std" in weights:
        layers = [*_chain(weights, "mlp_extractor.policy_net."), ("action_net", weights)]
        family, squashed, usual = "PPO/A2C", _squashes(said), "tanh"
    elif "actor.mu.weight" in weights:
        layers = [*_chain(weights, "actor.latent_pi."), ("actor.mu", weights)]
        family, squashed, usual = "SAC/TQC", True, "relu"
    elif "actor.mu.0.weight" in weights and "actor.log_std" not in weights:
        layers, family, squashed, usual = _chain(weights, "actor.mu."), "TD3/DDPG", True, "relu"
    else:
        known = ", ".join(sorted(weights)[:4]) or "no weights"
        raise BadInput(
            f"{path}: no actor of PPO, A2C, SAC, TQC, TD3 or DDPG with continuous actions; found {one_line(known, 120)}"
        )
    if said.get("use_sde") is True and family == "SAC/TQC":
        raise BadInput(f"{path}: an actor with gSDE's clipped mean; export it to ONNX yourself")
    return Actor(
        family,
        tuple(
            (_float32(table, f"{name}.weight", 2, path), _float32(table, f"{name}.bias", 1, path))
            for name, table in layers
        ),
        ACTIVATIONS[activation or _activation(said, path) or usual],
        squashed,
    )


def _chain(weights: Weights, start: str) -> list[tuple[str, Weights]]:
    """The numbered layers below a name, in order."""
    numbers = {name[len(start) :].split(".")[0] for name in weights if name.startswith(start)}
    return [
        (f"{start}{number}", weights) for number in sorted((n for n in numbers if n.isdecimal()), key=int)
    ]


def _float32(weights: Weights, name: str, rank: int, path: Path) -> Float32s:
    if name not in weights or weights[name].ndim != rank:
        raise BadInput(f"{path}: {one_line(name, 60)} is missing or has another shape than a plain layer's")
    return np.ascontiguousarray(weights[name], np.float32)


def _activation(said: Mapping[str, Any], path: Path) -> str:
    """The activation that the archive names beside its pickles; empty where it names none."""
    kwargs = said.get("policy_kwargs")
    named = kwargs.get("activation_fn") if isinstance(kwargs, dict) else None
    if named is None:
        return ""
    found = TORCH_CLASS.match(str(named))
    if found is None or found[1].lower() not in ACTIVATIONS:
        raise BadInput(
            f"{path}: activation {one_line(str(named), 80)} is not known; known: {', '.join(ACTIVATIONS)}"
        )
    return found[1].lower()


def _squashes(said: Mapping[str, Any]) -> bool:
    """Whether an actor whose family does not do so by itself sends its mean through tanh."""
    kwargs = said.get("policy_kwargs")
    return isinstance(kwargs, dict) and kwargs.get("squash_output") is True


def _refuse_wide(said: Mapping[str, Any], path: Path) -> None:
    """Genba's actions lie in [-1, 1]; one that was learnt in another range means something else."""
    space = said.get("action_space")
    low, high = (_numbers(space.get(end)) if isinstance(space, dict) else [] for end in ("low", "high"))
    if {*low} - {-1.0} or {*high} - {1.0}:
        raise BadInput(
            f"{path}: learnt with actions from {min(low, default=-1.0):g} to {max(high, default=1.0):g}, but Genba's lie in [-1, 1]"
        )


def _numbers(text: Any) -> list[float]:
    """The numbers of an array as numpy prints it."""
    return [float(each) for each in NUMBER.findall(text)] if isinstance(text, str) else []
