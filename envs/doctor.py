"""What this machine has and lacks for the work, each finding with its mend."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .platform import cores, fingerprint

NEEDED = ("gymnasium", "mujoco", "numpy", "onnxruntime", "opencv-python-headless", "pyarrow", "scipy", "av")
LEARNING = ("torch", "stable-baselines3", "onnx", "onnxscript", "safetensors", "tensorboard")
TESTED_MUJOCO = "4.0.0"
ENOUGH_MEMORY_GB, ENOUGH_DISK_GB = 4.0, 2.0
AGREEMENT = 1e-6  # relative difference of accelerations; agreeing solvers differ by 1e-9
STACK_SIZE, STACK_STEPS = 6, 50
GL_PACKAGES = "apt-get install -y libegl1 libgl1-mesa-dri libopengl0"
DRAW_ONE_PICTURE = """
import mujoco
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 2'/><geom size='.3' rgba='1 0 0 1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 32, 32) as renderer:
    renderer.update_scene(data)
    raise SystemExit(0 if renderer.render().std() > 1 else 1)
"""


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `status` is ok, note (works, but) or problem (does not work); `mend` is what to do."""

    name: str
    status: str
    text: str
    mend: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All findings about this machine."""

    findings: tuple[Finding, ...]
    platform: dict[str, str]

    @property
    def exit_code(self) -> int:
        return 3 if any(finding.status == "problem" for finding in self.findings) else 0

    def as_json(self) -> dict[str, Any]:
        healthy = self.exit_code == 0
        return {"healthy": healthy, "platform": self.platform, "findings": [asdict(f) for f in self.findings]}

    def table(self) -> str:
        lines = []
        for finding in self.findings:
            lines.append(f"{finding.status:<9}{finding.name:<14}{finding.text}")
            if finding.mend:
                lines.append(f"{'':<23}→ {finding.mend}")
        return "\n".join(lines)


def examine(folder: Path | None = None) -> Diagnosis:
    """Look at everything the work needs. `folder` is where runs would be written (the current one)."""
    here = fingerprint()
    looks: tuple[Callable[[], Finding], ...] = (
        python,
        libraries,
        learning,
        mujoco_solvers,
        rendering,
        browser,
        processors,
        memory,
        lambda: writing(folder or Path.cwd()),
    )
    findings = [_guarded(look) for look in looks]
    findings.append(Finding("platform", "ok", ", ".join(f"{key} {value}" for key, value in here.items())))
    return Diagnosis(tuple(findings), here)


def _guarded(look: Callable[[], Finding]) -> Finding:
    """A look that itself breaks is a finding, never a crash of the doctor."""
    try:
        return look()
    except Exception as error:
        text = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Finding(look.__name__.replace("_", " "), "problem", text, "reinstall Genba: make setup")


def python() -> Finding:
    text = sys.version.split()[0]
    if (3, 11) <= sys.version_info[:2] < (3, 13):
        return Finding("python", "ok", text)
    return Finding(
        "python", "problem", text, "use Python 3.11 or 3.12: make clean, make setup PYTHON=python3.12"
    )


def libraries() -> Finding:
    found = {name: _version(name) for name in ("genba", *NEEDED)}
    text = ", ".join(f"{name} {number or 'missing'}" for name, number in found.items())
    if not all(found.values()):
        return Finding("libraries", "problem", text, "make setup, or pip install genba again")
    if found["mujoco"] != TESTED_MUJOCO:
        return Finding(
            "libraries", "problem", text, f"Genba is tested with mujoco {TESTED_MUJOCO}: install that one"
        )
    return Finding("libraries", "ok", text)


def learning() -> Finding:
    found = {name: _version(name) for name in LEARNING}
    text = ", ".join(f"{name} {number or 'missing'}" for name, number in found.items())
    if all(found.values()):
        return Finding("learning", "ok", text)
    return Finding(
        "learning", "note", text, "genba go and genba train need these: pip install 'genba[learn]'"
    )


def mujoco_solvers() -> Finding:
    """Compare the dense and the sparse constraint Jacobian on a stiff stack (MuJoCo 4.0.0, issue 3767)."""
    difference = stack_difference()
    text = f"dense and sparse Jacobian differ by {difference:.0e} on a stiff stack (cells use the dense one)"
    if difference <= AGREEMENT:
        return Finding("solver", "ok", text)
    return Finding("solver", "note", text, 'set jacobian="dense" in cells of your own (MuJoCo issue 3767)')


def stack_difference() -> float:
    """Largest relative difference of the accelerations from the same states, dense against sparse."""
    import mujoco
    import numpy as np

    boxes = "".join(
        f"<body pos='{0.002 * (i % 3)} {0.003 * (i % 2)} {0.05 + 0.1 * i}'><freejoint/>"
        "<geom type='box' size='.05 .05 .05' density='500'/></body>"
        for i in range(STACK_SIZE)
    )
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><option cone='elliptic' impratio='10' integrator='implicitfast' jacobian='dense'/>"
        "<default><geom solref='.005 1' condim='4'/></default>"
        f"<worldbody><geom type='plane' size='1 1 .1'/>{boxes}</worldbody></mujoco>"
    )
    data, other = mujoco.MjData(model), mujoco.MjData(model)
    worst = 0.0
    for _ in range(STACK_STEPS):
        other.qpos, other.qvel, other.qacc_warmstart = data.qpos, data.qvel, data.qacc_warmstart
        model.opt.jacobian = mujoco.mjtJacobian.mjJAC_SPARSE
        mujoco.mj_forward(model, other)
        model.opt.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
        mujoco.mj_forward(model, data)
        scale = max(1.0, float(np.abs(data.qacc).max()))
        worst = max(worst, float(np.abs(data.qacc - other.qacc).max()) / scale)
        mujoco.mj_step(model, data)
    return worst


def rendering() -> Finding:
    """The first backend that draws a picture; each is tried in a process of its own (it is fixed at import)."""
    wanted = os.environ.get("MUJOCO_GL")
    for backend in [wanted] if wanted else ["egl", "osmesa"]:
        if _draws(backend):
            mend = "" if backend == "egl" or wanted else f"faster with EGL: {GL_PACKAGES}"
            return Finding("rendering", "ok", f"MuJoCo draws with {backend}", mend)
    tried = f"MUJOCO_GL={wanted} does not draw" if wanted else "neither egl nor osmesa draws"
    return Finding(
        "rendering", "note", f"{tried}: plain pictures from rays instead", f"{GL_PACKAGES} (on Debian)"
    )


def _draws(backend: str) -> bool:
    environment = os.environ | {"MUJOCO_GL": backend}
    command = [sys.executable, "-c", DRAW_ONE_PICTURE]
    try:
        return (
            subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False).returncode
            == 0
        )
    except subprocess.TimeoutExpired:
        return False


def browser() -> Finding:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return Finding("browser", "ok", found)
    mend = "apt-get install -y --no-install-recommends chromium (on Debian), or open the demo's address elsewhere"
    return Finding("browser", "note", "no Chromium: the browser tests are skipped", mend)


def processors() -> Finding:
    usable = cores()
    if usable >= 2:
        return Finding("cores", "ok", f"{usable}")
    return Finding("cores", "note", "1", "the stated times are for two cores; expect twice as long")


def memory() -> Finding:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return Finding("memory", "note", "unknown on this system")
    size_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    if size_gb >= ENOUGH_MEMORY_GB:
        return Finding("memory", "ok", f"{size_gb:.0f} GB")
    return Finding("memory", "note", f"{size_gb:.1f} GB", f"learning wants {ENOUGH_MEMORY_GB:g} GB")


def writing(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder):
            free_gb = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        return Finding(
            "writing", "problem", f"{error}", "change to a folder you may write to: runs are kept there"
        )
    if free_gb >= ENOUGH_DISK_GB:
        return Finding("writing", "ok", f"{folder}, {free_gb:.0f} GB free")
    return Finding("writing", "problem", f"{folder}, {free_gb:.1f} GB free", "free some disk space")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
