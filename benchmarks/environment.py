"""Where a run took place."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

PACKAGES = ("wasmtime", "numpy", "pedalboard", "ziglang", "soundfile", "av")


def describe() -> dict[str, str]:
    """Processor, system and versions; no names of machines or people."""
    found = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": _processor(),
        "processors": str(len(os.sched_getaffinity(0))),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load before": f"{os.getloadavg()[0]:.1f}",
    }
    for package in PACKAGES:
        found[package] = importlib.metadata.version(package)
    found["ffmpeg"] = _ffmpeg()
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text("utf-8") if info.exists() else ""
    fields = dict(line.partition(":")[::2] for line in text.partition("\n\n")[0].splitlines())
    named = {key.strip(): value.strip() for key, value in fields.items()}
    name = named.get("model name", platform.processor() or platform.machine())
    if "cpu family" in named:
        name += f" (family {named['cpu family']}, model {named.get('model', '?')})"
    known = [flag for flag in ("avx2", "fma", "avx512f") if flag in named.get("flags", "").split()]
    return ", ".join([name, *known])


def _ffmpeg() -> str:
    program = shutil.which("ffmpeg")
    if program is None:
        return "none"
    said = subprocess.run([program, "-version"], check=True, capture_output=True, text=True).stdout
    return said.split()[2]
