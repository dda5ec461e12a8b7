"""A guest that waits in vain in any of these imports is back soon after its deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.budget import MARGIN, limited
from stellatune_plugins.host.sidecar import LaunchSpec, PluginSidecars, SidecarProcess, TransportWish
from stellatune_plugins.host.timeouts import HostTimeouts

from .conftest import Rig

GOAL = 0.05
"""Seconds after the deadline."""
MACHINE = 0.25
"""What a machine that is busy with other tests may add."""
SLEEPS = "#!/bin/sh\nexec sleep 600\n"

Stuck = Callable[[PluginSidecars, SidecarProcess], object]


def read_nothing(_: PluginSidecars, process: SidecarProcess) -> object:
    """A sidecar that says nothing."""
    channel = process.open_control()
    try:
        return channel.read(100, None)
    finally:
        channel.close()


def write_too_much(_: PluginSidecars, process: SidecarProcess) -> object:
    """A sidecar that reads nothing."""
    channel = process.open_control()
    try:
        if channel.write(bytes(1 << 20)) < 1 << 20:
            raise PluginFailure("timeout", "some of it")
        return "all of it"
    finally:
        channel.close()


def open_what_never_opens(_: PluginSidecars, process: SidecarProcess) -> object:
    """A sidecar that connects to no socket."""
    return process.open_data("pcm", (TransportWish("unix-socket", 1, None),))


def await_an_exit(_: PluginSidecars, process: SidecarProcess) -> object:
    """A sidecar that does not end."""
    return process.wait_exit(None)


def await_a_lock(service: PluginSidecars, _: SidecarProcess) -> object:
    """A lock that somebody holds."""
    return service.lock("held", None)


def terminate_a_deaf_one(_: PluginSidecars, process: SidecarProcess) -> object:
    """With more grace than there is time."""
    process.terminate(60_000)
    return None


ALL: list[Stuck] = [
    read_nothing,
    write_too_much,
    open_what_never_opens,
    await_an_exit,
    await_a_lock,
    terminate_a_deaf_one,
]


@pytest.mark.parametrize("stuck", ALL)
@pytest.mark.parametrize("by_budget", [True, False])
@pytest.mark.needs("bwrap")
def test_back_after_the_deadline(rig: Rig, stuck: Stuck, by_budget: bool) -> None:
    """Be it the import's own timeout or what is left of the guest's call."""
    deadline = 0.4
    names = ("channel_read", "channel_write", "open_channel", "wait_exit", "lock", "terminate")
    if not by_budget:
        rig.timeouts = HostTimeouts(**dict.fromkeys(names, deadline))
    service = rig.serve()
    script = rig.script(SLEEPS, "sidecar.sh")
    wish = (TransportWish("unix-socket", 1, None),)
    process = service.launch(LaunchSpec("instance", script, (), (), wish, ()))
    service.lock("held", None)
    began = time.monotonic()
    try:
        with limited(deadline + MARGIN if by_budget else 60):
            answer = stuck(service, process)
    except PluginFailure as failure:
        answer = None if failure.case == "timeout" else failure
    over = time.monotonic() - began - deadline
    assert answer is None
    print(f"{stuck.__name__}: {over * 1000:+.1f} ms")  # noqa: T201
    allowed = 1.0 if stuck is terminate_a_deaf_one and not by_budget else GOAL
    assert over < allowed + MACHINE
