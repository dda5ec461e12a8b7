"""The supervisor with real processes: restarts, quarantine, and their memory."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar.memory import FailureMemory
from stellatune_plugins.observe.events import SidecarExited, SidecarQuarantined, SidecarRestarted, SidecarStarted
from stellatune_plugins.package.grants import GrantKind
from stellatune_plugins.package.manifest import SidecarRestart, SidecarScope, SidecarSpec, SidecarStart

from .conftest import Rig, exists, spec, until

SLEEPS = "#!/bin/sh\nexec sleep 600\n"
PLUGIN = "dev.example.plugin"


def declared(script: str, restart: SidecarRestart, scope: SidecarScope = SidecarScope.INSTANCE) -> SidecarSpec:
    """A sidecar that starts with the plugin."""
    return SidecarSpec(id="helper", executable=script, start=SidecarStart.ON_ENABLE, restart=restart, scope=scope)


def started(rig: Rig) -> list[int]:
    """Process ids in the order of starts."""
    return [event.pid for event in rig.of(SidecarStarted) if isinstance(event, SidecarStarted)]


@pytest.fixture
def rig(rig: Rig) -> Rig:
    """With the grant that every test here needs."""
    rig.grant(GrantKind.SIDECAR, "helper")
    return rig


def test_one_that_dies_is_started_again(rig: Rig) -> None:
    """At once the first time, and told about."""
    rig.declared = (declared(rig.script(SLEEPS, "sidecar.sh"), SidecarRestart.ON_FAILURE),)
    service = rig.serve()
    os.kill(started(rig)[0], signal.SIGKILL)
    until(lambda: len(rig.of(SidecarRestarted)) == 1)
    [restarted] = rig.of(SidecarRestarted)
    assert isinstance(restarted, SidecarRestarted)
    assert (restarted.plugin, restarted.sidecar, restarted.attempt, restarted.delay) == (PLUGIN, "helper", 1, 0.0)
    assert exists(started(rig)[1])
    service.close()
    assert not exists(started(rig)[1])
    assert len(started(rig)) == 2


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        (SidecarRestart.NEVER, 1, False),
        (SidecarRestart.ON_FAILURE, 0, False),
        (SidecarRestart.ON_FAILURE, 1, True),
        (SidecarRestart.ALWAYS, 0, True),
    ],
)
def test_policies(rig: Rig, policy: SidecarRestart, code: int, again: bool) -> None:
    """Which ends are followed by a start."""
    script = rig.script(f"#!/bin/sh\n[ -e again ] && exec sleep 600\ntouch again\nexit {code}\n", "sidecar.sh")
    rig.declared = (declared(script, policy),)
    rig.serve()
    until(lambda: rig.of(SidecarExited))
    if again:
        until(lambda: rig.of(SidecarRestarted))
    else:
        with pytest.raises(AssertionError):
            until(lambda: len(started(rig)) > 1, 0.3)


def test_one_that_fails_again_and_again_is_quarantined(rig: Rig) -> None:
    """By whatever way it is started; another host knows; lifting lets it start."""
    service = rig.serve()
    script = rig.script("#!/bin/sh\nexit 3\n", "sidecar.sh")
    for _ in range(5):
        assert service.launch(spec(script)).wait_exit(10_000) == 3
    until(lambda: rig.of(SidecarQuarantined))
    with pytest.raises(PluginFailure, match="in quarantine: 5 failures within 60 seconds") as caught:
        service.launch(spec(script))
    assert caught.value.case == "denied"
    assert f"stellatune sidecar lift {PLUGIN} sidecar.sh" in str(caught.value.hint)
    other = rig.serve()
    with pytest.raises(PluginFailure, match="quarantine"):
        other.launch(spec(script))
    assert FailureMemory(rig.home.sidecars).lift(PLUGIN, "sidecar.sh")
    for one in (service, other):
        assert one.launch(spec(script)).wait_exit(10_000) == 3


def test_failures_of_an_earlier_host_count(rig: Rig) -> None:
    """Three there and two here are five."""
    script = rig.script("#!/bin/sh\nexit 3\n", "sidecar.sh")
    earlier = rig.serve()
    for _ in range(3):
        earlier.launch(spec(script)).wait_exit(10_000)
    earlier.close()
    later = rig.serve(rig.host())
    for _ in range(2):
        later.launch(spec(script)).wait_exit(10_000)
    until(lambda: rig.of(SidecarQuarantined))


def test_what_the_host_stops_is_no_failure(rig: Rig) -> None:
    """However it ends then: it may be deaf, and be killed."""
    service = rig.serve()
    script = rig.script("#!/bin/sh\ntrap '' TERM\nwhile true; do sleep 1; done\n", "sidecar.sh")
    for _ in range(6):
        process = service.launch(spec(script))
        process.terminate(0)
        assert process.wait_exit(5000) in {137, 143}  # it may not have got as far as being deaf
    assert FailureMemory(rig.home.sidecars).ages(PLUGIN, "sidecar.sh") == []


def test_tidying_up_after_a_crash_makes_it_no_stop(rig: Rig) -> None:
    """A guest that sees its sidecar die ends it at once, as a good guest does; the failure counts all the same."""
    service = rig.serve()
    script = rig.script("#!/bin/sh\nexec sleep 600\n", "sidecar.sh")
    for number in range(1, 4):
        process = service.launch(spec(script))
        channel = process.open_control()
        os.kill(started(rig)[-1], signal.SIGKILL)
        with contextlib.suppress(PluginFailure):
            while channel.read(100, 5000):
                pass
        channel.close()
        process.terminate(500)
        process.close()
        until(lambda: len(rig.of(SidecarExited)) == number)  # noqa: B023 - called at once
    ends = [(e.code, e.intended) for e in rig.of(SidecarExited) if isinstance(e, SidecarExited)]
    assert ends == [(137, False)] * 3
    until(lambda: len(FailureMemory(rig.home.sidecars).ages(PLUGIN, "sidecar.sh")) == 3)


def test_what_cannot_start_is_a_failure(rig: Rig) -> None:
    """A program that the system refuses counts as one that fails."""
    service = rig.serve()
    script = rig.script("#!/nonexistent\n", "sidecar.sh")
    for _ in range(5):
        with pytest.raises(PluginFailure, match="did not start"):
            service.launch(spec(script))
    assert len(rig.of(SidecarQuarantined)) == 1


def test_a_damaged_memory_starts_nothing(rig: Rig) -> None:
    """Who cannot know about quarantines fails closed."""
    rig.home.root.mkdir(parents=True)
    rig.home.sidecars.write_bytes(b"no database" * 100)
    rig.home.sidecars.chmod(0o600)
    script = rig.script(SLEEPS, "sidecar.sh")
    with pytest.raises(PluginFailure):
        rig.serve().launch(spec(script))
    assert not started(rig)


def test_a_shared_one_is_leased_from_the_manifests(rig: Rig, tmp_path: Path) -> None:
    """A guest that launches what already runs for the plugin gets that, and cannot end it for the others."""
    script = rig.script(SLEEPS, "sidecar.sh")
    rig.declared = (declared(script, SidecarRestart.ON_FAILURE, SidecarScope.PACKAGE_SHARED),)
    service = rig.serve()
    process = service.launch(spec(script, scope="package-shared"))
    assert len(started(rig)) == 1
    process.terminate(0)
    assert exists(started(rig)[0])
    service.close()
    assert not exists(started(rig)[0])
