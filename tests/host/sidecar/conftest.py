"""What tests of sidecars share: a host, a plugin with scripts, and the three tiers."""

from __future__ import annotations

import os
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar import LaunchSpec, PluginSidecars, SidecarHost, SidecarProcess, SidecarSettings
from stellatune_plugins.host.sidecar.sandbox import SandboxTier
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.model import PluginId
from stellatune_plugins.model.home import Home
from stellatune_plugins.observe import Event, EventBus
from stellatune_plugins.package.authority import Authority, Denial
from stellatune_plugins.package.grants import Grant, GrantKind
from stellatune_plugins.package.manifest import SidecarSpec

TIERS = [
    pytest.param(SandboxTier.BUBBLEWRAP, marks=pytest.mark.needs("bwrap")),
    pytest.param(SandboxTier.LANDLOCK, marks=pytest.mark.needs("landlock")),
    pytest.param(SandboxTier.NONE),
]

ECHO = """
import os
while data := os.read(0, 65536):
    os.write(1, data)
"""


@dataclass
class Rig:
    """One host and one plugin, which may run ``sidecar.py`` and ``sidecar.sh``; other grants come before ``serve``."""

    folder: Path
    settings: SidecarSettings = field(default_factory=lambda: SidecarSettings(grace=0.5))
    timeouts: HostTimeouts = field(default_factory=HostTimeouts)
    events: list[Event] = field(default_factory=list)
    denials: list[Denial] = field(default_factory=list)
    declared: tuple[SidecarSpec, ...] = ()

    def __post_init__(self) -> None:
        self.root = self.folder / "package"
        (self.root / "bin").mkdir(parents=True)
        self.home = Home(self.folder / "home")
        self.granted = {Grant(GrantKind.SIDECAR, name) for name in ("sidecar.py", "sidecar.sh")}
        self._hosts: list[SidecarHost] = []

    def script(self, text: str, name: str = "sidecar.py") -> str:
        """A program of the package, in Python or (with ``#!``) in whatever it says; its executable's name."""
        path = self.root / "bin" / name
        path.write_text(textwrap.dedent(text).lstrip())
        path.chmod(0o755)
        return name

    def grant(self, kind: GrantKind, value: str) -> None:
        self.granted.add(Grant(kind, value))

    def host(self) -> SidecarHost:
        host = SidecarHost(self.home, self.bus(), timeouts=self.timeouts, settings=self.settings)
        self._hosts.append(host)
        return host

    def bus(self) -> EventBus:
        bus = EventBus()
        bus.subscribe(self.events.append)
        return bus

    def authority(self) -> Authority:
        return Authority(
            PluginId("dev.example.plugin"),
            "1.0.0",
            self.root,
            self.folder / "data",
            granted=self.granted,
            on_denied=self.denials.append,
        )

    def serve(self, host: SidecarHost | None = None) -> PluginSidecars:
        service = (host or self.host()).serve(self.authority(), self.declared)
        service.start()
        return service

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def close(self) -> None:
        for host in self._hosts:
            host.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Without a chosen tier."""
    rig = Rig(tmp_path)
    yield rig
    rig.close()


@pytest.fixture(params=TIERS)
def tiered(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """Once for each tier."""
    rig = in_tier(tmp_path, request.param)
    yield rig
    rig.close()


def in_tier(folder: Path, tier: SandboxTier) -> Rig:
    """A rig whose sidecars run in this tier."""
    rig = Rig(folder, settings=SidecarSettings(grace=0.5, tier=tier))
    for name in ("sidecar.py", "sidecar.sh"):
        rig.grant(GrantKind.UNSANDBOXED, name)
    return rig


def spec(executable: str, *args: str, scope: str = "instance", env: tuple[tuple[str, str], ...] = ()) -> LaunchSpec:
    """A launch that wants stdio alone."""
    return LaunchSpec(scope, executable, args, (), (), env)


def say(process: SidecarProcess, data: bytes, seconds: float = 10.0) -> bytes:
    """Write on the control channel, and what comes back."""
    channel = process.open_control()
    channel.write(data)
    answer = channel.read(65536, round(seconds * 1000))
    channel.close()
    return answer


def hear(process: SidecarProcess) -> bytes:
    """What it says first."""
    channel = process.open_control()
    try:
        return channel.read(65536, 10_000)
    finally:
        channel.close()


def lines_of(process: SidecarProcess, seconds: float = 15.0) -> list[str]:
    """Everything that the sidecar writes to stdout, until it ends."""
    channel = process.open_control()
    said = b""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            said += channel.read(65536, 1000)
        except PluginFailure as failure:
            if failure.case != "io":  # which is how a channel ends
                raise
            break
    channel.close()
    return said.decode().splitlines()


def until(true: Callable[[], object], seconds: float = 10.0, *, every: float = 0.01) -> None:
    """Wait for something that happens by itself."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(every)


def exists(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in {b"Z", b"X"}
    except OSError:
        return False


def marked(mark: str) -> list[int]:
    """Processes that have this text in their arguments or environment."""
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - a busy machine's processes vanish in between
        if entry.isdigit() and int(entry) != os.getpid():
            for name in ("environ", "cmdline"):
                try:
                    if mark.encode() in Path("/proc", entry, name).read_bytes() and exists(int(entry)):
                        found.append(int(entry))
                        break
                except OSError:
                    continue
    return found
