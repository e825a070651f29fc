"""What a released policy does without: proven by making the imports impossible."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BLOCK = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"{{name}} is not here", name=name)
sys.meta_path.insert(0, Absent())
"""
LEARNING = {"torch", "stable_baselines3", "onnx", "onnxscript", "safetensors", "tensorboard"}
SIMULATION = {"mujoco", "gymnasium", "cv2", "av", "matplotlib", "pyarrow", "jinja2"}


def without(absent: set[str], code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BLOCK.format(absent=absent) + code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_block_blocks() -> None:
    code = "try:\n    import torch\nexcept ModuleNotFoundError:\n    print('gone')"
    assert without(LEARNING, code).strip() == "gone"


def test_the_runtime_needs_neither_simulator_nor_learning(made: Path) -> None:
    code = f"""
import numpy as np
from genba.policies.runtime import Runtime
runtime = Runtime({str(made)!r})
command = runtime.command(np.zeros(len(runtime.contract.observation)))
guard = runtime.guard(["tcp.speed"])
print(command.tolist(), guard.tick({{"tcp.speed": 9.0}}).stop)
print(sorted(name for name in sys.modules if name.split(".")[0] in {LEARNING | SIMULATION!r}))
"""
    first, second = without(LEARNING | SIMULATION, code).splitlines()
    assert first.endswith("-1.0] True") and second == "[]"


def test_run_needs_no_learning(made: Path) -> None:
    code = f"""
from genba.policies.run_release import run
print(run({str(made)!r}, episodes=2).as_json()["episodes"])
print(sorted(name for name in sys.modules if name.split(".")[0] in {LEARNING!r}))
"""
    assert without(LEARNING, code).split() == ["2", "[]"]


def test_judging_needs_no_policies() -> None:
    code = """
import genba.safety.campaign, genba.safety.replay, genba.safety.compare, genba.safety.suite
print([name for name in sys.modules if name.startswith("genba.policies")])
"""
    assert without(LEARNING, code).strip() == "[]"
