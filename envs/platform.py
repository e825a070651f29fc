"""The platform fingerprint: equal bytes are promised only where it is equal."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("numpy", "mujoco", "onnxruntime")
ARITHMETIC = re.compile(r"^(sse|ssse|avx|fma|f16c|bmi|popcnt|amx|asimd|sve|fp)")


def fingerprint() -> dict[str, str]:
    """What floating-point results depend on: processor, system, C library, Python and library versions."""
    libc, libc_version = platform.libc_ver()
    here = {
        "cpu": _cpu(),
        "os": f"{platform.system()} {platform.machine()}",
        "libc": f"{libc} {libc_version}".strip() or "unknown",
        "python": platform.python_version(),
    }
    return here | {library: _version(library) for library in LIBRARIES}


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def same_platform(a: Mapping[str, str], b: Mapping[str, str]) -> bool:
    """Whether two fingerprints promise equal bytes."""
    return not differences(a, b)


def differences(a: Mapping[str, str], b: Mapping[str, str]) -> list[str]:
    """What tells two fingerprints apart, as "numpy 2.4.6 / 2.3.0"; empty when nothing does."""
    keys = sorted(a.keys() | b.keys())
    return [f"{key} {a.get(key, '?')} / {b.get(key, '?')}" for key in keys if a.get(key) != b.get(key)]


def _cpu() -> str:
    """Vendor, family and model (libraries choose kernels by them) and a hash of the arithmetic extensions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    arithmetic = " ".join(sorted(flag for flag in flags if ARITHMETIC.match(flag)))
    names = [
        facts.get(key, "") for key in ("vendor_id", "cpu family", "model", "CPU implementer", "CPU part")
    ]
    return " ".join([*(name for name in names if name), hashlib.sha256(arithmetic.encode()).hexdigest()[:12]])


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"
