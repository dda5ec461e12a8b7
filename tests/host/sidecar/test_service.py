"""Launching: what is refused, what runs, how it ends. Real processes."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from pathlib import Path

import pytest

from stellatune_plugins.errors import PluginFailure, SidecarFailed
from stellatune_plugins.host.budget import limited
from stellatune_plugins.host.sidecar import SidecarSettings, plugin_sidecars
from stellatune_plugins.host.sidecar.process import GuestProcess
from stellatune_plugins.host.sidecar.sandbox import Sandboxes, SandboxTier
from stellatune_plugins.host.sidecar.service import SidecarHost
from stellatune_plugins.observe.events import (
    GuestOutput,
    GuestOutputDropped,
    SidecarExited,
    SidecarFailedToStart,
    SidecarStarted,
)
from stellatune_plugins.package.grants import GrantKind
from stellatune_plugins.package.manifest import SidecarSpec, SidecarStart

from .conftest import ECHO, Rig, exists, hear, lines_of, say, spec, until


def test_speaks_and_ends_in_every_tier(tiered: Rig) -> None:
    """A sidecar answers on stdio, ends when its stdin closes, and is told about; its tier is shown."""
    service = tiered.serve()
    process = service.launch(spec(tiered.script(ECHO)))
    assert say(process, b"hello") == b"hello"
    process.terminate(5000)
    assert process.wait_exit(0) == 0
    [started] = tiered.of(SidecarStarted)
    assert isinstance(started, SidecarStarted)
    assert started.tier == tiered.settings.tier
    assert not exists(started.pid)
    [exited] = tiered.of(SidecarExited)
    assert isinstance(exited, SidecarExited)
    assert (exited.code, exited.intended) == (0, True)


def test_exit_codes_and_signals(tiered: Rig) -> None:
    """Codes are the program's own; a signal is 128 and its number."""
    service = tiered.serve()
    script = tiered.script("#!/bin/sh\nif [ $1 = kill ]; then kill -9 $$; fi; exit $1\n", "sidecar.sh")
    for argument, code in (("0", 0), ("7", 7), ("kill", 137)):
        assert service.launch(spec(script, argument)).wait_exit(10_000) == code


def test_wait_exit_answers_none_where_it_runs(rig: Rig) -> None:
    """A short wait is short."""
    process = rig.serve().launch(spec(rig.script(ECHO)))
    began = time.monotonic()
    assert process.wait_exit(50) is None
    assert time.monotonic() - began < 1.0


def test_environment_is_the_hosts_least(tiered: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the host's variables; the plugin's own are there."""
    monkeypatch.setenv("STELLATUNE_TEST_SECRET", "secret")
    script = tiered.script("import os\nfor k, v in sorted(os.environ.items()): print(f'{k}={v}')\n")
    lines = lines_of(tiered.serve().launch(spec(script, env=(("MINE", "a b"),))))
    names = {line.partition("=")[0] for line in lines}
    assert "MINE=a b" in lines
    plain = {"PATH", "LANG", "HOME", "TMPDIR", "MINE", "LC_CTYPE", "PWD", "STELLATUNE_SIDECAR_CONTROL"}
    assert names <= plain
    assert f"HOME={tiered.folder / 'data'}" in lines


def test_stderr_is_the_plugins_log(rig: Rig) -> None:
    """Lines come as the plugin's output, without what steers a terminal."""
    script = rig.script("import sys\nprint('one\\x1b[31m', file=sys.stderr)\nprint('two', end='', file=sys.stderr)\n")
    rig.serve().launch(spec(script)).wait_exit(10_000)
    lines = [event.text for event in rig.of(GuestOutput) if isinstance(event, GuestOutput)]
    assert lines == ["one [31m", "two"]


def test_a_sidecar_that_was_not_granted_is_denied(rig: Rig) -> None:
    """The hint names the grant, and the denial is recorded."""
    script = rig.script(ECHO, "other.py")
    with pytest.raises(PluginFailure, match="may not run the sidecar") as caught:
        rig.serve().launch(spec(script))
    assert caught.value.case == "denied"
    assert "--grant sidecar:other.py" in str(caught.value.hint)
    assert [denial.grant for denial in rig.denials] == ["sidecar:other.py"]


@pytest.mark.parametrize("name", ["../package/bin/sidecar.py", "/bin/sh", "bin/../../x", "..", ".", "", "a\\b", "a\0b"])
def test_nothing_outside_the_package_runs(rig: Rig, name: str) -> None:
    """No absolute path and no climbing without a grant of exactly that."""
    rig.script(ECHO)
    with pytest.raises(PluginFailure) as caught:
        rig.serve().launch(spec(name))
    assert caught.value.case == "denied"


@pytest.mark.parametrize("name", ["../package/bin/sidecar.py", "bin/../../x", "..", ".", "a\\b", "a\0b"])
def test_climbing_is_refused_even_where_granted(rig: Rig, name: str) -> None:
    """No grant allows a path out of the package."""
    rig.script(ECHO)
    rig.grant(GrantKind.SIDECAR, name)
    with pytest.raises(PluginFailure) as caught:
        rig.serve().launch(spec(name))
    assert caught.value.case == "invalid-arg"


def test_links_out_of_the_package_lead_nowhere(rig: Rig, tmp_path: Path) -> None:
    """A link in the package does not make another program run."""
    outside = tmp_path / "outside.py"
    outside.write_text(ECHO)
    (rig.root / "bin/linked.py").symlink_to(outside)
    rig.grant(GrantKind.SIDECAR, "linked.py")
    with pytest.raises(PluginFailure) as caught:
        rig.serve().launch(spec("linked.py"))
    assert caught.value.case == "not-found"


def test_an_absolute_program_runs_where_exactly_it_is_granted(rig: Rig) -> None:
    """The grant's text is the path."""
    rig.grant(GrantKind.SIDECAR, "/bin/true")
    service = rig.serve()
    assert service.launch(spec("/bin/true")).wait_exit(10_000) == 0
    with pytest.raises(PluginFailure):
        service.launch(spec("/bin/false"))


def test_the_root_comes_before_bin(rig: Rig) -> None:
    """``<root>/<path>``, then ``<root>/bin/<path>``."""
    script = rig.script("print('bin')")
    (rig.root / script).write_text("print('root')")
    service = rig.serve()
    assert lines_of(service.launch(spec(script))) == ["root"]
    (rig.root / script).unlink()
    assert lines_of(service.launch(spec(script))) == ["bin"]


def test_a_program_without_its_mark_is_not_run(rig: Rig) -> None:
    """A file that is not executable is no program."""
    script = rig.script("#!/bin/sh\n", "sidecar.sh")
    (rig.root / "bin" / script).chmod(0o644)
    with pytest.raises(PluginFailure, match="executable"):
        rig.serve().launch(spec(script))


def test_a_program_that_cannot_run_says_why(tiered: Rig) -> None:
    """What is no program fails the launch, and leaves nothing behind."""
    script = tiered.script("#!/nonexistent/interpreter\n", "sidecar.sh")
    with pytest.raises(PluginFailure) as caught:
        tiered.serve().launch(spec(script))
    assert caught.value.case == "io"
    assert tiered.of(SidecarFailedToStart)
    assert not tiered.of(SidecarStarted)


@pytest.mark.parametrize(
    "wrong",
    [
        spec("sidecar.py", scope="elsewhere"),
        spec("sidecar.py", "a\0b"),
        spec("sidecar.py", "\ud800"),
        spec("sidecar.py", *["a"] * 257),
        spec("sidecar.py", "a" * 70_000),
        spec("sidecar.py", env=(("A=B", "c"),)),
        spec("sidecar.py", env=(("", "c"),)),
        spec("sidecar.py", env=(("A", "b\0c"),)),
        spec("sidecar.py", env=tuple((f"A{i}", "b") for i in range(129))),
    ],
)
def test_odd_requests_are_invalid(rig: Rig, wrong: object) -> None:
    """They are refused before anything starts."""
    rig.script(ECHO)
    with pytest.raises(PluginFailure) as caught:
        rig.serve().launch(wrong)  # type: ignore[arg-type]
    assert caught.value.case == "invalid-arg"


def test_without_a_sandbox_it_is_refused_unless_granted(rig: Rig) -> None:
    """Fail closed: the user decides on exactly that, and the hint names it."""
    script = rig.script(ECHO)
    host = SidecarHost(rig.home, rig.bus(), sandboxes=Sandboxes(bubblewrap_problem="none", landlock_problem="none"))
    try:
        with pytest.raises(PluginFailure, match="without a sandbox") as caught:
            rig.serve(host).launch(spec(script))
        assert caught.value.case == "denied"
        assert "unsandboxed:sidecar.py" in str(caught.value.hint)
        rig.grant(GrantKind.UNSANDBOXED, script)
        assert say(rig.serve(host).launch(spec(script)), b"x") == b"x"
    finally:
        host.close()
    [started] = rig.of(SidecarStarted)
    assert isinstance(started, SidecarStarted)
    assert started.tier == "none"


def test_a_granted_lack_of_sandbox_does_not_take_one_away(rig: Rig) -> None:
    """``unsandboxed`` is a fallback, not a wish."""
    tiers = Sandboxes(bubblewrap="/bin/bwrap", landlock=True)
    assert tiers.choose(unsandboxed=True) is SandboxTier.BUBBLEWRAP
    assert Sandboxes(landlock=True).choose(unsandboxed=True) is SandboxTier.LANDLOCK
    assert Sandboxes().choose(unsandboxed=True) is SandboxTier.NONE
    assert Sandboxes().choose() is None
    assert tiers.choose(only=SandboxTier.NONE) is None


def test_stubborn_ones_are_killed_in_time(tiered: Rig) -> None:
    """What ignores a closed stdin and SIGTERM is gone a second after its grace time."""
    script = tiered.script("""
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        time.sleep(600)
    """)
    process = tiered.serve().launch(spec(script))
    assert hear(process) == b"ready\n"
    began = time.monotonic()
    process.terminate(200)
    assert process.wait_exit(0) == 137
    assert time.monotonic() - began < 1.2 + 0.5  # the margin is the machine's


def test_sigterm_reaches_the_sidecar_itself(tiered: Rig) -> None:
    """It may tidy up: the sandbox round it does not die first."""
    script = tiered.script("""
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(42))
        print("ready", flush=True)
        while True: time.sleep(0.05)
    """)
    process = tiered.serve().launch(spec(script))
    assert hear(process) == b"ready\n"
    process.terminate(0)
    assert process.wait_exit(0) == 42


def test_terminate_keeps_within_the_guests_call(rig: Rig) -> None:
    """Where the call has less time than the grace, the guest is told so and the process is stopped all the same."""
    script = rig.script("import time\nprint('ready', flush=True)\ntime.sleep(600)\n")
    process = rig.serve().launch(spec(script))
    assert hear(process) == b"ready\n"
    began = time.monotonic()
    with limited(0.3), pytest.raises(PluginFailure) as caught:
        process.terminate(600)
    assert caught.value.case == "timeout"
    assert time.monotonic() - began < 0.35 + 0.3
    assert process.wait_exit(10_000) is not None


def test_letting_go_of_an_instance_ends_it(rig: Rig) -> None:
    """A guest that drops the process resource leaves nothing running."""
    script = rig.script("import time\ntime.sleep(600)\n")
    process = rig.serve().launch(spec(script))
    assert isinstance(process, GuestProcess)
    pid = process.hosted.run.pid
    process.close()
    process.close()
    until(lambda: not exists(pid))


def test_closing_the_plugin_ends_everything(tiered: Rig) -> None:
    """At deactivation nothing is left after the grace time and a second: process, folder, entry."""
    service = tiered.serve()
    script = tiered.script("import time\ntime.sleep(600)\n")
    processes = [service.launch(spec(script)) for _ in range(3)]
    began = time.monotonic()
    service.close()
    assert time.monotonic() - began < 1.5 + 0.5
    for process in processes:
        assert isinstance(process, GuestProcess)
        assert process.wait_exit(0) is not None
        assert not exists(process.hosted.run.pid)
    with pytest.raises(PluginFailure, match="deactivated"):
        service.launch(spec(script))


def test_a_plugin_has_only_so_many(tmp_path: Path) -> None:
    """One plugin cannot fill the machine with sidecars."""
    rig = Rig(tmp_path, settings=SidecarSettings(grace=0.1, most=2))
    try:
        service = rig.serve()
        script = rig.script(ECHO)
        first = service.launch(spec(script))
        service.launch(spec(script))
        with pytest.raises(PluginFailure, match="already runs 2") as caught:
            service.launch(spec(script))
        assert caught.value.case == "denied"
        first.terminate(1000)
        until(lambda: first.wait_exit(0) is not None)
        assert say(service.launch(spec(script)), b"x") == b"x"
    finally:
        rig.close()


def test_manifest_sidecars_start_and_stop_with_the_plugin(rig: Rig) -> None:
    """``on-enable`` ones run before the first guest does, and end with the plugin; on-demand ones wait."""
    script = rig.script("import time\ntime.sleep(600)\n")
    rig.grant(GrantKind.SIDECAR, "early")
    rig.declared = (
        SidecarSpec(id="early", executable=script, start=SidecarStart.ON_ENABLE),
        SidecarSpec(id="late", executable="other.py"),
    )
    service = rig.serve()
    [started] = rig.of(SidecarStarted)
    assert isinstance(started, SidecarStarted)
    assert started.sidecar == "early"
    assert exists(started.pid)
    service.close()
    assert not exists(started.pid)


def test_manifest_sidecars_that_are_not_granted_are_left_out(rig: Rig) -> None:
    """The plugin is enabled without them, and the denial is recorded."""
    rig.declared = (SidecarSpec(id="early", executable=rig.script(ECHO), start=SidecarStart.ON_ENABLE),)
    rig.serve()
    assert [denial.grant for denial in rig.denials] == ["sidecar:early"]
    assert not rig.of(SidecarStarted)


def test_manifest_sidecars_that_are_missing_fail_the_plugin(rig: Rig) -> None:
    """One that is granted and is not there, or cannot run, is the package's fault."""
    rig.grant(GrantKind.SIDECAR, "early")
    rig.declared = (SidecarSpec(id="early", executable="nowhere", start=SidecarStart.ON_ENABLE),)
    with pytest.raises(SidecarFailed, match="early"):
        rig.serve()
    rig.declared = (
        SidecarSpec(id="early", executable=rig.script("#!/nonexistent\n", "odd"), start=SidecarStart.ON_ENABLE),
    )
    with pytest.raises(SidecarFailed, match="did not start"):
        rig.serve()


def test_what_was_said_can_be_read_after_the_end(tiered: Rig) -> None:
    """A guest that comes late still gets it all, and then the end."""
    service = tiered.serve()
    process = service.launch(spec(tiered.script("#!/bin/sh\necho last words\n", "sidecar.sh")))
    assert process.wait_exit(10_000) == 0
    assert lines_of(process) == ["last words"]
    process.close()
    with pytest.raises(PluginFailure):
        process.open_control()


def test_nothing_stays_open(rig: Rig) -> None:
    """Neither descriptors nor threads, whether guests let go of their processes or not."""
    host = rig.host()
    script = rig.script("#!/bin/sh\ncat\n", "sidecar.sh")
    rig.serve(host).launch(spec(script)).terminate(1000)  # what stays for the host's lifetime is there now

    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    service = rig.serve(host)
    for number in range(5):
        process = service.launch(spec(script))
        assert say(process, b"x") == b"x"
        process.terminate(1000)
        if number % 2:
            process.close()
    service.close()
    assert count() == before
    host.close()
    until(lambda: not any(thread.name == "sidecars" for thread in threading.enumerate()))


def test_ended_sidecars_are_not_hoarded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest that keeps every handle gets no more at some point, and all again once it lets go."""
    monkeypatch.setattr(plugin_sidecars, "_MOST_ENDED", 2)
    rig.settings = SidecarSettings(grace=0.1, most=1)
    service = rig.serve()
    script = rig.script("#!/bin/sh\n", "sidecar.sh")
    held = []
    for _ in range(3):
        held.append(service.launch(spec(script)))
        assert held[-1].wait_exit(10_000) == 0
    with pytest.raises(PluginFailure, match="lets go of none"):
        service.launch(spec(script))
    for process in held:
        process.close()
    assert service.launch(spec(script)).wait_exit(10_000) == 0


def test_a_flood_of_words_keeps_nobody_busy(rig: Rig) -> None:
    """A sidecar that writes to stderr without end gets a fraction of it into the log, and waits meanwhile."""
    script = rig.script("import os\nwhile True: os.write(2, b'noise\\n' * 1000)\n")
    process = rig.serve().launch(spec(script))
    until(lambda: rig.of(GuestOutput))
    before, began = time.process_time(), time.monotonic()
    time.sleep(1.0)
    busy = (time.process_time() - before) / (time.monotonic() - began)
    lines = len(rig.of(GuestOutput))
    process.terminate(0)
    dropped = sum(event.lines for event in rig.of(GuestOutputDropped) if isinstance(event, GuestOutputDropped))
    assert process.wait_exit(5000) is not None
    assert busy < 0.5
    assert lines < 10_000
    assert dropped > lines


def test_a_host_with_many_open_files_starts_sidecars(tiered: Rig) -> None:
    """Numbers above a thousand are none that ``select`` takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    script = tiered.script(ECHO)
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(1100):
                stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
            process = tiered.serve().launch(spec(script))
            assert say(process, b"hello") == b"hello"
            process.terminate(1_000)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_program_called_like_a_granted_id_is_not_granted(rig: Rig) -> None:
    """The user allowed the program that the manifest has under that id, and no other of the package."""
    rig.script("print('the other one')", "helper")
    rig.declared = (SidecarSpec(id="helper", executable=rig.script(ECHO)),)
    rig.grant(GrantKind.SIDECAR, "helper")
    service = rig.serve()
    with pytest.raises(PluginFailure, match="denied"):
        service.launch(spec("helper"))
    process = service.launch(spec("sidecar.py"))
    assert say(process, b"hello") == b"hello"
    process.terminate(1_000)
