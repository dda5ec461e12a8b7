"""Whichever end is killed, and whenever: the other is free within a second."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sidecar_rigs import spawned

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar import TransportWish
from stellatune_plugins.host.sidecar.transports import ChannelPlan, Transports
from stellatune_plugins.package.manifest import TransportKind
from stellatune_plugins.testing.channels import CHILD, FREED

HOST = Path(__file__).with_name("doomed_host.py")


@pytest.mark.stress
@pytest.mark.timeout(900)
def test_a_killed_sidecar_frees_the_host(kind: TransportKind, stress_size: Callable[[int, int], int]) -> None:
    """At points from before it connects to the middle of traffic in both directions."""
    rng, worst = random.Random(11), 0.0
    for _ in range(stress_size(4, 100)):
        plan = ChannelPlan(control=(TransportWish(kind.value, 1, None),))
        with spawned(plan, [sys.executable, "-I", str(CHILD), "pour"]) as (offer, child):
            failures: list[PluginFailure] = []
            threads = [threading.Thread(target=_work, args=(offer, failures))]
            threads[0].start()
            time.sleep(rng.uniform(0.0, 0.25))
            child.send_signal(signal.SIGKILL)
            began = time.monotonic()
            threads[0].join(20)
            assert not threads[0].is_alive()
            worst = max(worst, time.monotonic() - began)
            assert [failure.case for failure in failures] in (["io"], ["io", "io"])
    assert worst < FREED, worst


def _work(offer: Transports, failures: list[PluginFailure]) -> None:
    """Open the channel, then read and write until both fail."""
    try:
        channel = offer.open_control()
    except PluginFailure as failure:
        failures.append(failure)
        return

    def write_on() -> None:
        try:
            while True:
                channel.write(bytes(100_000))
        except PluginFailure as failure:
            failures.append(failure)

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        while True:
            channel.read(100_000, 20_000)
    except PluginFailure as failure:
        failures.append(failure)
    writer.join(20)
    channel.close()


@pytest.mark.stress
@pytest.mark.timeout(900)
@pytest.mark.parametrize("behaviour", ["pour", "echo", "hold"])
def test_a_killed_host_frees_the_sidecar(
    kind: TransportKind, behaviour: str, stress_size: Callable[[int, int], int]
) -> None:
    """It ends by itself, whatever it was doing: nothing else does it here."""
    rng, worst = random.Random(12), 0.0
    for _ in range(stress_size(1, 34)):
        with tempfile.TemporaryDirectory(prefix="st-") as folder:
            worst = max(worst, _kill_a_host([kind.value, behaviour, folder], rng.uniform(0.0, 0.3)))
    assert worst < FREED, worst


def _kill_a_host(arguments: list[str], after: float) -> float:
    """Seconds from the host's end to that of its sidecar; 0 where the sidecar's interpreter had not started yet."""
    host = subprocess.Popen([sys.executable, str(HOST), *arguments], stdout=subprocess.PIPE, bufsize=0)
    assert host.stdout is not None
    pidfd = os.pidfd_open(int(host.stdout.readline()))
    time.sleep(after)
    host.kill()
    host.wait()
    began = time.monotonic()
    os.set_blocking(host.stdout.fileno(), False)
    with host.stdout:
        was_open = b"open" in (host.stdout.read() or b"")
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    ended = poll.poll(10_000)
    if not ended:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    assert ended, "the sidecar outlives its host"
    return time.monotonic() - began if was_open else 0.0
