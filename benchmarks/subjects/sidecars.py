"""Sidecars: start and stop in each sandbox that this machine has, against a plain child process."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.race import Race
from benchmarks.results import Row
from benchmarks.workshop import OUT, Workshop
from stellatune_plugins.host.sidecar import LaunchSpec, PluginSidecars, SidecarHost, SidecarSettings
from stellatune_plugins.host.sidecar.sandbox import SandboxTier, detect
from stellatune_plugins.model import PluginId
from stellatune_plugins.model.home import Home
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package.authority import Authority
from stellatune_plugins.package.grants import Grant, GrantKind

NAME = "sidecars"
TITLE = "Sidecars"

_CAT = "#!/bin/sh\nexec cat\n"
_PYTHON = 'import sys\nprint("x", flush=True)\nsys.stdin.read()\n'
_PLAIN = "subprocess.Popen"


def measure(shop: Workshop) -> Iterator[Row]:
    """A shell script and a Python script: until it answers, and from closing its stdin until nothing is left."""
    with tempfile.TemporaryDirectory(dir=OUT) as folder, contextlib.ExitStack() as stack:
        package = Path(folder, "package")
        package.mkdir()
        for name, text in (("cat.sh", _CAT), ("hello.py", _PYTHON)):
            (package / name).write_text(text)
            (package / name).chmod(0o755)
        tiers = [tier for tier in SandboxTier if detect().choose(unsandboxed=True, only=tier)]
        services = {tier: _serve(Path(folder), package, tier, stack) for tier in tiers}
        for name, words in (("cat.sh", b"x"), ("hello.py", b"")):
            yield from _rows(shop, services, package / name, words)


def _serve(folder: Path, package: Path, tier: SandboxTier, stack: contextlib.ExitStack) -> PluginSidecars:
    host = SidecarHost(Home(folder / "home"), EventBus(), settings=SidecarSettings(tier=tier))
    stack.callback(host.close)
    grants = [
        Grant(kind, name) for kind in (GrantKind.SIDECAR, GrantKind.UNSANDBOXED) for name in ("cat.sh", "hello.py")
    ]
    return host.serve(Authority(PluginId("dev.example.bench"), "1", package, folder / "data", granted=grants))


def _rows(shop: Workshop, services: dict[SandboxTier, PluginSidecars], program: Path, words: bytes) -> Iterator[Row]:
    started, stopped = defaultdict(list), defaultdict(list)
    # One more than is kept: the first one starts the process that starts all others.
    for turn in range(4 if shop.quick else 31):
        for tier, service in services.items():
            start, stop = _once(service, program.name, words)
            if turn:
                started[tier.value].append(start)
                stopped[tier.value].append(stop)
        start, stop = _plainly(program, words)
        if turn:
            started[_PLAIN].append(start)
            stopped[_PLAIN].append(stop)
    for case, taken in (("start until it answers", started), ("stop until nothing is left", stopped)):
        result = Race({name: np.asarray(times) for name, times in taken.items()})
        for tier in services:
            yield result.row(NAME, f"{program.name}, {case}", tier.value, _PLAIN)


def _once(service: PluginSidecars, name: str, words: bytes) -> tuple[float, float]:
    began = time.perf_counter()
    process = service.launch(LaunchSpec("instance", name, (), (), (), ()))
    channel = process.open_control()
    if words:
        channel.write(words)
    channel.read(16, 10_000)
    answered = time.perf_counter()
    process.terminate(5000)
    ended = time.perf_counter()
    channel.close()
    process.close()
    return answered - began, ended - answered


def _plainly(program: Path, words: bytes) -> tuple[float, float]:
    argv = [sys.executable, "-I", str(program)] if program.suffix == ".py" else [str(program)]
    began = time.perf_counter()
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(words)
        process.stdout.read(16)
        answered = time.perf_counter()
        process.stdin.close()
        process.wait()
        return answered - began, time.perf_counter() - answered
