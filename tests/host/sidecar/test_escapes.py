"""Nothing gets out of a sandbox: every attempt of ``escape_probe.py``, in each tier, and without any to see it work."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stellatune_plugins.host.sidecar import SidecarSettings
from stellatune_plugins.host.sidecar.keeper.plan import Limits
from stellatune_plugins.host.sidecar.sandbox import SandboxTier

from .conftest import Rig, lines_of, spec, until

PROBE = Path(__file__).with_name("escape_probe.py")
LIMITS = Limits(memory=768 << 20, processes=64, files=128)
VICTIMS = 7
ROOTS = (0, 1, 7, 13, 18, 19, 21, 22, 25, 27, 34)
"""CAP_CHOWN, DAC_OVERRIDE, SETUID, NET_RAW, SYS_CHROOT, SYS_PTRACE, SYS_ADMIN, SYS_BOOT, SYS_TIME, MKNOD, SYSLOG."""


@dataclass
class Outside:
    """What lies round the sandbox for probes to get at."""

    folder: Path
    package: Path
    goal: dict[str, Any] = field(default_factory=dict)
    victims: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def killed(self) -> list[int]:
        """Which victims have been killed."""
        return [i for i, victim in enumerate(self.victims) if victim.poll() is not None]


def privileged() -> bool:
    """Root as attempts for root alone need it: with those capabilities, and no filter of a container round it."""
    status = Path("/proc/self/status").read_text()
    capabilities = int(status.partition("CapEff:")[2].split()[0], 16)
    filtered = status.partition("Seccomp:")[2].split()[0] != "0"
    return os.geteuid() == 0 and not filtered and all(capabilities & 1 << number for number in ROOTS)


@contextlib.contextmanager
def laid_out(folder: Path, package: Path) -> Iterator[Outside]:
    """Files, sockets and processes that a sandbox must keep from its inmate."""
    outside = folder / "outside"
    outside.mkdir()
    for name in ("secret", "doomed", "movable", "truncated"):
        (outside / name).write_text("a secret")
    (outside / "program").write_text("#!/bin/sh\n")
    (outside / "program").chmod(0o755)
    home = folder / "home"
    (home / "data/other").mkdir(parents=True, exist_ok=True)
    (home / "data/other/file").write_text("another plugin's")
    (home / "grants.sqlite3").write_text("grants")
    found = Outside(folder, package)
    with contextlib.ExitStack() as stack:
        goal = found.goal
        goal |= {
            "outside": str(outside),
            "secret": str(outside / "secret"),
            "package": str(package),
            "other_data": str(home / "data/other/file"),
            "grants": str(home / "grants.sqlite3"),
            "library": os.__file__,
            "host": os.getpid(),
            "hostname": os.uname().nodename,
            "memory": 1 << 30,
            "files": 200,
            "processes": 150,
            "disk": next((str(p) for p in sorted(Path("/dev").iterdir()) if p.is_block_device()), "/dev/mem"),
            "cgroup": next((str(p) for p in Path("/sys/fs/cgroup").glob("**/cgroup.procs")), "/nonexistent"),
        }
        goal |= _sockets(stack, folder)
        goal |= _memory(stack)
        goal["setuid"] = str(package / "bin/who")
        shutil.copy("/usr/bin/id", goal["setuid"])
        if os.geteuid() == 0:
            os.chown(goal["setuid"], 12345, -1)
            Path(goal["setuid"]).chmod(0o4755)
        for _ in range(VICTIMS):
            victim = subprocess.Popen(["/bin/sleep", "300"], start_new_session=True)
            stack.callback(victim.wait)
            stack.callback(victim.kill)
            found.victims.append(victim)
        goal["victims"] = [victim.pid for victim in found.victims]
        yield found


def _sockets(stack: contextlib.ExitStack, folder: Path) -> dict[str, Any]:
    def bound(family: int, kind: int, address: Any) -> socket.socket:
        made = stack.enter_context(socket.socket(family, kind))
        made.bind(address)
        if kind == socket.SOCK_STREAM:
            made.listen()
        return made

    abstract = f"stellatune-probe-{os.getpid()}"
    # The paths of sockets are short, and pytest's folders are not.
    stream, datagram = (Path("/tmp", f"{abstract}-{kind}") for kind in "sd")  # noqa: S108
    bound(socket.AF_UNIX, socket.SOCK_STREAM, str(stream))
    bound(socket.AF_UNIX, socket.SOCK_DGRAM, str(datagram))
    for path in (stream, datagram):
        stack.callback(path.unlink, missing_ok=True)
    bound(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{abstract}")
    bound(socket.AF_UNIX, socket.SOCK_DGRAM, f"\0{abstract}-datagram")
    tcp = bound(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
    udp = bound(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
    tcp6 = 1
    with contextlib.suppress(OSError):
        tcp6 = bound(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0)).getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as unused:
        free = unused.getsockname()[1]
    named = Path("/dev/shm", abstract)  # noqa: S108
    named.write_text("memory")
    stack.callback(named.unlink)
    return {
        "stream": str(stream),
        "datagram": str(datagram),
        "abstract": abstract,
        "tcp": tcp.getsockname()[1],
        "tcp6": tcp6,
        "udp": udp.getsockname()[1],
        "free": free,
    }


def _memory(stack: contextlib.ExitStack) -> dict[str, Any]:
    libc = ctypes.CDLL(None, use_errno=True)
    key = 0x5354_0000 | os.getpid() & 0xFFFF
    segment = libc.shmget(key, 4096, 0o1600)
    assert segment >= 0
    stack.callback(libc.shmctl, segment, 0, None)
    return {"shm_key": key}


def judge(said: str, outside: Outside) -> dict[str, str]:
    """Each attempt's outcome; those that only show outside are looked at."""
    found: dict[str, str] = json.loads(said)["found"]
    for name, outcome in found.items():
        if outcome == "deferred":
            assert name == "signal_by_a_pipes_owner"
            found[name] = "escaped: it died" if 4 in outside.killed() else "stopped: it lives"
    broken = {name: outcome for name, outcome in found.items() if outcome.startswith("broken")}
    assert not broken
    return found


@pytest.mark.parametrize(
    "tier",
    [
        pytest.param(SandboxTier.BUBBLEWRAP, marks=pytest.mark.needs("bwrap")),
        pytest.param(SandboxTier.LANDLOCK, marks=pytest.mark.needs("landlock")),
    ],
)
def test_nothing_gets_out(tmp_path: Path, tier: SandboxTier, monkeypatch: pytest.MonkeyPatch) -> None:
    """No attempt succeeds, and no process outside is harmed."""
    monkeypatch.setenv("STELLATUNE_SECRET", "token")
    rig = Rig(tmp_path, settings=SidecarSettings(grace=0.5, tier=tier, limits=LIMITS))
    try:
        script = rig.script(PROBE.read_text())
        with laid_out(tmp_path, rig.root) as outside:
            process = rig.serve().launch(spec(script, json.dumps(outside.goal)))
            said = lines_of(process, 60)
            assert process.wait_exit(10_000) == 0, rig.events
            found = judge(said[-1], outside)
            escaped = {name: how for name, how in found.items() if how.startswith("escaped")}
            assert not escaped
            assert len(found) >= 40
            assert not outside.killed()
            assert (outside.folder / "outside/secret").read_text() == "a secret"
            assert {path.name for path in (outside.folder / "outside").iterdir()} == {
                *("secret", "doomed", "movable", "truncated", "program")
            }
    finally:
        rig.close()


def test_the_attempts_work_without_a_sandbox(tmp_path: Path) -> None:
    """So that what is stopped inside is stopped by the sandbox, and not by a mistake of the probe's."""
    package, data = tmp_path / "package", tmp_path / "data"
    (package / "bin").mkdir(parents=True)
    data.mkdir()
    (package / "bin/sidecar.py").write_text(PROBE.read_text())
    with laid_out(tmp_path, package) as outside, (tmp_path / "open").open("w") as leaked:
        done = subprocess.run(
            [sys.executable, "-I", str(package / "bin/sidecar.py"), json.dumps(outside.goal)],
            env={"STELLATUNE_SECRET": "token", "PATH": "/usr/bin:/bin"},
            cwd=data,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            pass_fds=(leaked.fileno(),),
            timeout=60,
            check=True,
        )
        until(lambda: {0, 1, 2, 3} <= set(outside.killed()))
        found = judge(done.stdout.splitlines()[-1], outside)
        who = json.loads(done.stdout.splitlines()[-1])["outside"]
    expected = {"everybody", "root"} if privileged() else {"everybody"}
    stopped = {name: how for name, how in found.items() if who[name] in expected and how.startswith("stopped")}
    assert not stopped
    assert sum(how.startswith("escaped") for how in found.values()) >= 40
