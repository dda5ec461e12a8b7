"""What the compiler process does to itself before it touches hostile code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from stellatune_plugins.engine import compile_child

HARDEN = """
import json, os, resource
from stellatune_plugins.engine import compile_child
import ctypes
compile_child._harden(os.getppid())
compile_child._limit_memory(1 << 28)
compile_child._limit_cpu(7)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
prctl, signal = ctypes.CDLL(None).prctl, ctypes.c_int()
prctl(2, ctypes.byref(signal), 0, 0, 0)
print(json.dumps({
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    "file_size": resource.getrlimit(resource.RLIMIT_FSIZE)[1],
    "beyond": resource.getrlimit(resource.RLIMIT_AS)[1] - int(status["VmSize"].split()[0]) * 1024,
    "cpu": resource.getrlimit(resource.RLIMIT_CPU)[0],
    "dies_by": signal.value,
    "dumpable": prctl(3, 0, 0, 0, 0),
    "oom": int(open("/proc/self/oom_score_adj").read()),
}))
"""


def _hardened() -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", HARDEN], capture_output=True, text=True, check=True, timeout=30)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_limits_are_the_kernels() -> None:
    """No core dump, few files, bounded memory, file size and processor time, first victim of a full memory."""
    found = _hardened()
    assert found["core"] == [0, 0]
    assert found["dumpable"] == 0
    assert found["files"] == 32
    assert found["file_size"] == 1 << 28
    assert abs(found["beyond"] - (1 << 28)) < 8 << 20
    assert 7 < found["cpu"] <= 10
    assert found["dies_by"] == 9
    assert found["oom"] == 500


def test_a_child_whose_parent_is_gone_stops_at_once() -> None:
    """Between being started and asking the kernel, the parent may have died already."""
    script = "from stellatune_plugins.engine import compile_child; compile_child._harden(1 << 30); print('went on')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (1, b"")


def test_the_child_imports_little() -> None:
    """The package's front door and numpy stay out: they would cost more than most compilations."""
    file = Path(compile_child.__file__)
    script = (
        "import runpy, sys\n"
        f"runpy.run_path({str(file)!r})['_engine']({{'opt_level': 'speed'}}, {str(file.parent)!r})\n"
        "print(sorted(n for n in sys.modules if n.startswith(('stellatune_plugins.', 'numpy'))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert "numpy" not in done.stdout
    assert "stellatune_plugins.engine.config" in done.stdout
    assert "stellatune_plugins.engine.cache" not in done.stdout
