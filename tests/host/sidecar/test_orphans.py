"""Whatever dies first, nothing of a sidecar is left three seconds later: no process, socket, folder, lock."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar.process import GuestProcess
from stellatune_plugins.observe.events import SidecarExited

from .conftest import ECHO, TIERS, Rig, exists, hear, say, spec, until

HOST = Path(__file__).with_name("orphan_host.py")


@pytest.mark.stress
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", ["host_killed", "thread_ended", "keepers_killed"])
@pytest.mark.parametrize("tier", TIERS)
def test_nothing_outlives_the_host(
    tmp_path: Path, scenario: str, tier: str, stress_size: Callable[[int, int], int]
) -> None:
    """Deaf, double-forked sidecars, whose host or keepers are killed at any moment, or whose starting thread ends."""
    rounds = stress_size(3, 500)
    goal = {"folder": str(tmp_path), "tier": tier, "scenario": scenario, "rounds": rounds, "seed": 1}
    done = subprocess.run(
        [sys.executable, str(HOST), json.dumps(goal)], capture_output=True, text=True, check=False, timeout=3500
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    print(f"{scenario} in {tier}: {rounds} rounds, all gone after {said['slowest']:.2f} s at most")  # noqa: T201
    assert not said["failures"]


def test_what_a_sidecar_leaves_behind_ends_with_it(tiered: Rig) -> None:
    """The sidecar forks twice, starts a session of its own and ends; its daemon does not outlive it."""
    script = tiered.script("""
        import os, sys, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for number in range(3):
                    os.close(number)
                time.sleep(600)
            os._exit(0)
        os.wait()
        sys.exit(5)
    """)
    process = tiered.serve().launch(spec(script))
    assert isinstance(process, GuestProcess)
    assert process.wait_exit(10_000) == 5
    until(lambda: not tiered_processes(tiered), 3)


@pytest.mark.stress
@pytest.mark.timeout(3600)
def test_a_deaf_crowd_is_killed_to_the_last(tiered: Rig, stress_size: Callable[[int, int], int]) -> None:
    """Deaf children in sessions of their own are gone a second after the grace time, round after round."""
    service = tiered.serve()
    script = tiered.script(
        """
        #!/bin/sh
        trap '' TERM HUP INT
        for i in 1 2 3; do ( setsid /bin/sh -c "trap '' TERM; while true; do sleep 1; done" & ) ; done
        echo ready
        while true; do sleep 1; done
        """,
        "sidecar.sh",
    )
    slowest = 0.0
    for _ in range(stress_size(2, 500)):
        process = service.launch(spec(script))
        assert hear(process) == b"ready\n"
        began = time.monotonic()
        with contextlib.suppress(PluginFailure):  # a machine too slow for the second
            process.terminate(50)
        assert process.wait_exit(5000) is not None
        slowest = max(slowest, time.monotonic() - began)
        process.close()  # a plugin may hold on to few that ended
        assert not tiered_processes(tiered)
    print(f"the slowest end took {slowest:.2f} s")  # noqa: T201
    assert slowest < 0.05 + 1.0 + 1.0  # the last second is the machine's


def test_a_forking_sidecar_is_killed_too(tiered: Rig) -> None:
    """One whose children fork faster than they can be counted."""
    script = tiered.script("""
        import os, time
        print("ready", flush=True)
        while True:
            try:
                os.fork()
            except OSError:
                time.sleep(0.001)
    """)
    process = tiered.serve().launch(spec(script))
    assert hear(process) == b"ready\n"
    time.sleep(0.2)
    process.terminate(0)
    assert process.wait_exit(5000) is not None
    until(lambda: not tiered_processes(tiered), 3)


def test_a_killed_nursery_is_replaced(tiered: Rig) -> None:
    """Sidecars that run go on and end as they should; new ones start all the same."""
    host = tiered.host()
    service = tiered.serve(host)
    script = tiered.script(ECHO)
    before = service.launch(spec(script))
    assert host._nursery is not None
    assert host._nursery.pid is not None
    os.kill(host._nursery.pid, signal.SIGKILL)
    after = service.launch(spec(script))
    for process in (before, after):
        assert say(process, b"x") == b"x"
        process.terminate(1000)
        assert process.wait_exit(0) == 0


def test_a_killed_keeper_ends_its_sidecar(tiered: Rig) -> None:
    """The host is told of an end, and what the sidecar had forked is gone."""
    script = tiered.script("""
        import os, time
        if os.fork() == 0:
            os.setsid()
        print("ready", flush=True)
        time.sleep(600)
    """)
    process = tiered.serve().launch(spec(script))
    assert isinstance(process, GuestProcess)
    assert hear(process).startswith(b"ready\n")
    keeper = next(pid for pid in ancestors(process.hosted.run.pid) if b"keeper.nursery" in words(pid))
    os.kill(keeper, signal.SIGKILL)
    assert process.wait_exit(5000) == 137
    until(lambda: not tiered_processes(tiered), 3)
    [exited] = tiered.of(SidecarExited)
    assert isinstance(exited, SidecarExited)
    assert not exited.intended


def test_ends_are_heard_by_whoever_waits(tiered: Rig) -> None:
    """A guest that reads from a sidecar that is killed is back at once."""
    script = tiered.script("import time\ntime.sleep(600)\n")
    process = tiered.serve().launch(spec(script))
    assert isinstance(process, GuestProcess)
    channel = process.open_control()
    os.kill(process.hosted.run.pid, signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(PluginFailure) as caught:
        channel.read(100, 10_000)
    assert caught.value.case == "io"
    assert time.monotonic() - began < 1.0
    channel.close()
    assert process.wait_exit(5000) == 137


def tiered_processes(rig: Rig) -> list[int]:
    """Processes that have the package's folder in their arguments; those of the sandbox itself too."""
    return [pid for pid in pids() if str(rig.root).encode() in words(pid) and exists(pid)]


def pids() -> list[int]:
    """All that are there."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def words(pid: int) -> bytes:
    """A process's arguments; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def ancestors(pid: int) -> list[int]:
    """Parents, nearest first."""
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
        found.append(pid)
    return found
