"""``sidecar list``, ``sidecar lift`` and ``plugin logs``, as a user runs them beside another program."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stellatune_plugins.host.sidecar import LaunchSpec, SidecarHost, SidecarSettings
from stellatune_plugins.host.sidecar.memory import FailureMemory
from stellatune_plugins.host.sidecar.process import GuestProcess
from stellatune_plugins.host.sidecar.roster import running
from stellatune_plugins.host.sidecar.sandbox import SandboxTier
from stellatune_plugins.model import PluginId
from stellatune_plugins.model.home import Home
from stellatune_plugins.observe import EventBus, PluginLogs
from stellatune_plugins.package.authority import Authority
from stellatune_plugins.package.grants import Grant, GrantKind

from .conftest import Run

PLUGIN = "dev.example.plugin"
TALKS = '#!/bin/sh\necho "hello from the sidecar $1" >&2\nexec sleep 600\n'


@pytest.fixture
def launched(home: Path, tmp_path: Path) -> Iterator[GuestProcess]:
    """A sidecar that runs under this process, in the home that the commands look at."""
    program = tmp_path / "package/helper"
    program.parent.mkdir()
    program.write_text(TALKS)
    program.chmod(0o755)
    bus = EventBus()
    logs = PluginLogs(home / "logs", bus=bus)
    bus.subscribe(logs)
    host = SidecarHost(Home(home), bus, settings=SidecarSettings(grace=0.1, tier=SandboxTier.NONE))
    grants = [Grant(GrantKind.SIDECAR, "helper"), Grant(GrantKind.UNSANDBOXED, "helper")]
    authority = Authority(PluginId(PLUGIN), "1.0.0", tmp_path / "package", home / "data" / PLUGIN, granted=grants)
    process = host.serve(authority).launch(LaunchSpec("instance", "helper", ("\x1b[31m",), (), (), ()))
    assert isinstance(process, GuestProcess)
    yield process
    host.close()
    logs.close()


def test_lists_what_runs(run: Run, launched: GuestProcess, home: Path) -> None:
    """Another program's sidecars; nothing once they ended."""
    [found] = run("sidecar", "list", "--json").json["running"]
    assert (found["plugin"], found["sidecar"], found["tier"]) == (PLUGIN, "helper", "none")
    assert found["pid"] == launched.hosted.run.pid
    text = run("sidecar", "list").out
    assert PLUGIN in text
    assert "none" in text
    launched.terminate(0)
    deadline = time.monotonic() + 10
    while running(Home(home).run):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert run("sidecar", "list").out.startswith("none runs")


def test_entries_of_dead_hosts_go(run: Run, home: Path, tmp_path: Path) -> None:
    """Their files and folders too; other people's folders stay, whatever an entry says."""
    folder, others = tmp_path / "stellatune-0123", tmp_path / "photos"
    for made in (folder, others):
        made.mkdir()
    entries = home / "run"
    entries.mkdir(parents=True)
    for number, shared in enumerate((folder, others)):
        entry = {"host": 2**22 + 1, "born": 5, "folder": str(shared), "sidecars": []}
        (entries / f"{number}.json").write_text(json.dumps(entry))
    (entries / "odd.json").write_text("{")
    assert run("sidecar", "list", "--json").json == {"running": [], "quarantined": []}
    assert list(entries.iterdir()) == []
    assert not folder.exists()
    assert others.exists()


def test_quarantines_are_listed_and_lifted(run: Run, home: Path) -> None:
    """Lifting one that is not there is a usage error."""
    FailureMemory(home / "sidecars.sqlite3").quarantine(PLUGIN, "helper", "5 failures within 60 seconds")
    assert "helper is in quarantine since" in run("sidecar", "list").out
    assert run("sidecar", "list", "--json").json["quarantined"][0]["reason"] == "5 failures within 60 seconds"
    assert run("sidecar", "lift", PLUGIN, "helper").code == 0
    again = run("sidecar", "lift", PLUGIN, "helper")
    assert again.code == 2
    assert "is in quarantine" in again.err
    assert run("sidecar", "list", "--json").json["quarantined"] == []


def test_logs_show_what_sidecars_say(run: Run, launched: GuestProcess) -> None:
    """In their own words, which steer no terminal."""
    deadline = time.monotonic() + 10
    while "hello from the sidecar" not in (shown := run("plugin", "logs", PLUGIN).out):
        assert time.monotonic() < deadline
    assert "helper stderr: hello from the sidecar" in shown
    assert "sidecar.started sidecar=helper tier=none" in shown
    assert "\x1b" not in shown
    lines = [json.loads(line) for line in run("plugin", "logs", PLUGIN, "--json").out.splitlines()]
    assert {"sidecar.started", "guest.output"} <= {line["event"] for line in lines}
    assert run("plugin", "logs", PLUGIN, "-n", "1").out.count("\n") == 1
    assert launched.hosted.run.alive()


@pytest.mark.parametrize("plugin", ["dev.example.nobody", "../stellatune", "", "stellatune/../x"])
def test_logs_of_nobody_are_an_error(run: Run, plugin: str, home: Path) -> None:
    """Whatever the name, no other file is read."""
    (home / "logs").mkdir(parents=True)
    assert run("plugin", "logs", plugin).code == 1


def test_following_ends_cleanly(
    start: Callable[..., subprocess.Popen[bytes]], launched: GuestProcess, run: Run
) -> None:
    """Lines come as they are written; Ctrl-C is no failure."""
    while not run("plugin", "logs", PLUGIN).out:
        time.sleep(0.1)
    follower = start("plugin", "logs", PLUGIN, "-f", "-n", "1")
    assert follower.stdout is not None
    assert follower.stdout.readline()
    launched.terminate(0)
    seen = b""
    while b"sidecar.exited" not in seen:
        line = follower.stdout.readline()
        assert line, follower.communicate()
        seen += line
    follower.send_signal(signal.SIGINT)
    assert follower.wait(20) == 0
    assert follower.stderr is not None
    assert follower.stderr.read() == b""
