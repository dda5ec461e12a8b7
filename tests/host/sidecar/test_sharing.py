"""Shared sidecars: one process for all guests of a plugin that want the same."""

from __future__ import annotations

import os
import signal
import threading

from stellatune_plugins.host.sidecar.process import GuestProcess
from stellatune_plugins.observe.events import SidecarStarted

from .conftest import Rig, exists, spec, until

SLEEPS = "#!/bin/sh\nexec sleep 600\n"


def pid(process: object) -> int:
    """The process behind a guest's handle."""
    assert isinstance(process, GuestProcess)
    return process.hosted.run.pid


def test_the_same_spec_shares_a_process(rig: Rig) -> None:
    """Other arguments, variables or scopes get one of their own."""
    service = rig.serve()
    script = rig.script(SLEEPS, "sidecar.sh")
    first = service.launch(spec(script, scope="package-shared"))
    assert pid(service.launch(spec(script, scope="package-shared"))) == pid(first)
    others = [
        service.launch(spec(script, "other", scope="package-shared")),
        service.launch(spec(script, scope="package-shared", env=(("A", "b"),))),
        service.launch(spec(script)),
    ]
    assert len({pid(process) for process in (first, *others)}) == 4


def test_it_lives_until_its_last_holder_ends_it(rig: Rig) -> None:
    """Asking for the end counts when nobody else holds it."""
    service = rig.serve()
    script = rig.script(SLEEPS, "sidecar.sh")
    one, other = (service.launch(spec(script, scope="package-shared")) for _ in range(2))
    one.terminate(0)
    assert exists(pid(one))
    other.terminate(0)
    assert other.wait_exit(5000) is not None
    assert not exists(pid(one))


def test_letting_go_leaves_it_for_the_next(rig: Rig) -> None:
    """Reference-counted by plugin: only the last deactivation ends it."""
    service = rig.serve()
    script = rig.script(SLEEPS, "sidecar.sh")
    first = service.launch(spec(script, scope="package-shared"))
    first.close()
    second = service.launch(spec(script, scope="package-shared"))
    assert pid(second) == pid(first)
    service.close()
    assert not exists(pid(first))


def test_a_dead_one_is_not_leased(rig: Rig) -> None:
    """It is checked to be alive; a new one takes its place."""
    service = rig.serve()
    script = rig.script(SLEEPS, "sidecar.sh")
    first = service.launch(spec(script, scope="package-shared"))
    os.kill(pid(first), signal.SIGKILL)
    until(lambda: not exists(pid(first)))
    second = service.launch(spec(script, scope="package-shared"))
    assert pid(second) != pid(first)
    assert exists(pid(second))


def test_many_at_once_start_one(rig: Rig) -> None:
    """Guests in several threads that launch in the same moment."""
    service = rig.serve()
    script = rig.script(SLEEPS, "sidecar.sh")
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(pid(service.launch(spec(script, scope="package-shared")))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(rig.of(SidecarStarted)) == 1
