"""Hosts that die in odd ways, one a round; prints what was left of their sidecars, as JSON.

A process of its own with no threads, so that each round's host can be forked instead of started.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from stellatune_plugins.host.sidecar import LaunchSpec, SidecarHost, SidecarSettings
from stellatune_plugins.host.sidecar.sandbox import SandboxTier, detect
from stellatune_plugins.model import PluginId
from stellatune_plugins.model.home import Home
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package.authority import Authority
from stellatune_plugins.package.grants import Grant, GrantKind

GONE_SECONDS = 3.0

SCRIPT = """#!/bin/sh
# A sidecar with a daemon, that want to live on: one outside every group and session, all deaf to polite signals.
trap '' TERM HUP INT
( ( setsid /bin/sleep "$1" </dev/null >/dev/null 2>&1 ) & ) &
echo ready
exec /bin/sleep "$1"
"""


class Round:
    """One host's life."""

    def __init__(self, goal: dict[str, Any], number: int) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=goal["folder"]))
        self.shared = self.folder / "shared"
        self.shared.mkdir()
        # sleep takes a number, and this one is nobody else's.
        self.mark = f"1000.{random.SystemRandom().randrange(10**9, 10**10)}"
        self.tier = SandboxTier(goal["tier"])
        self.number = number
        (self.folder / "package").mkdir()
        program = self.folder / "package/sidecar.sh"
        program.write_text(SCRIPT)
        program.chmod(0o755)

    def launch(self) -> SidecarHost:
        """In the host: two sidecars, which say that they are ready."""
        os.environ.pop("XDG_RUNTIME_DIR", None)
        tempfile.tempdir = str(self.shared)
        host = SidecarHost(Home(self.folder / "home"), EventBus(), settings=SidecarSettings(tier=self.tier))
        grants = [Grant(GrantKind.SIDECAR, "sidecar.sh"), Grant(GrantKind.UNSANDBOXED, "sidecar.sh")]
        authority = Authority(
            PluginId("dev.example.plugin"), "1", self.folder / "package", self.folder / "data", granted=grants
        )
        service = host.serve(authority)
        service.lock("a lock", None)
        for _ in range(2):
            process = service.launch(LaunchSpec("instance", "sidecar.sh", (self.mark,), (), (), ()))
            channel = process.open_control()
            assert channel.read(100, 10_000) == b"ready\n"
            KEPT.append((process, channel))
        return host

    def left(self) -> list[str]:
        """Processes and files that are left now."""
        marks = (self.mark.encode(), str(self.shared).encode())
        found = [str(path) for path in self.shared.iterdir()]
        for entry in os.listdir("/proc"):  # noqa: PTH208 - a busy machine's processes vanish in between
            if entry.isdigit() and int(entry) != os.getpid():
                with contextlib.suppress(OSError):
                    words = Path("/proc", entry, "cmdline").read_bytes()
                    if any(mark in words for mark in marks):
                        found.append(f"process {entry} {words!r}")
        return found

    def left_in_time(self) -> tuple[list[str], float]:
        """What is left after three seconds at most, and how long it took until nothing was."""
        began = time.monotonic()
        while left := self.left():
            if time.monotonic() - began > GONE_SECONDS:
                break
            time.sleep(0.01)
        return left, time.monotonic() - began


KEPT: list[object] = []


def host_killed(round_: Round, chance: random.Random) -> None:
    """SIGKILL at any moment: while the nursery starts, while sidecars start, while they run."""
    ready, says = os.pipe()
    host = os.fork()
    if host == 0:
        try:
            round_.launch()
            os.write(says, b"x")
            signal.pause()
        finally:
            os._exit(1)
    if chance.random() < 0.5:
        time.sleep(chance.uniform(0, 0.25))
    else:
        os.close(says)
        os.read(ready, 1)
    os.kill(host, signal.SIGKILL)
    os.waitpid(host, 0)


def thread_ended(round_: Round, chance: random.Random) -> None:
    """The thread that started everything ends first, which harms no sidecar; then the host ends without a word."""
    del chance
    host = os.fork()
    if host == 0:
        code = 1
        try:
            thread = threading.Thread(target=round_.launch)
            thread.start()
            thread.join()
            time.sleep(0.05)
            running = [words for words in round_.left() if "/bin/sleep" in words]
            code = 0 if len(running) >= 4 else 2  # two sidecars and their daemons
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(host, 0)[1])
    assert code == 0, f"the host ended with {code}: its sidecars did not outlive the thread"


def all_keepers_killed(round_: Round, chance: random.Random) -> None:
    """Whatever stands between the host and its sidecars is killed, and then the host."""
    ready, says = os.pipe()
    host = os.fork()
    if host == 0:
        try:
            round_.launch()
            os.write(says, b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.close(says)
    assert os.read(ready, 1) == b"x"
    between = [int(words.split()[1]) for words in round_.left() if "keeper.nursery" in words]
    assert len(between) == 3  # the nursery and two keepers
    nursery, *keepers = sorted(between)
    victims = keepers if chance.random() < 0.5 else [nursery]
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if victims == keepers:
        began = time.monotonic()
        while any("/bin/sleep" in words for words in round_.left()):
            assert time.monotonic() - began < GONE_SECONDS, round_.left()
            time.sleep(0.01)
    os.kill(host, signal.SIGKILL)
    os.waitpid(host, 0)


def main() -> None:
    """Every round."""
    goal = json.loads(sys.argv[1])
    detect()  # once for all rounds, which are forks
    chance = random.Random(goal["seed"])
    slowest, failures = 0.0, []
    scenario = {"host_killed": host_killed, "thread_ended": thread_ended, "keepers_killed": all_keepers_killed}
    for number in range(goal["rounds"]):
        round_ = Round(goal, number)
        scenario[goal["scenario"]](round_, chance)
        left, seconds = round_.left_in_time()
        slowest = max(slowest, seconds)
        if left:
            failures.append({"round": number, "left": left})
    print(json.dumps({"failures": failures, "slowest": slowest}))  # noqa: T201


if __name__ == "__main__":
    main()
