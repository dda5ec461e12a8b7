"""Every function of the host that a guest may import, read from the WIT files, and ways to call each of them.

A *step* is a letter and an argument, such as ``o1http://...`` (the letters are those of ``walker.c``). :class:`Direct`
takes steps on a plugin's real services, :class:`Walking` through a real guest; both keep what a function gives for the
functions that need it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from guest_builder import GUESTS, WIT, build_component
from loopback import Listener, Request, Web, response, until_closed

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.deadline import Deadline
from stellatune_plugins.host.egress import connect_socket
from stellatune_plugins.host.network import PluginNetwork
from stellatune_plugins.host.plugin_services import GrantedServices, ServicesMaker
from stellatune_plugins.host.services import ServedPlugin
from stellatune_plugins.host.sidecar import LaunchSpec, SidecarSettings, TransportWish
from stellatune_plugins.host.stream import OpenRequest, StreamKind
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.model import Home
from stellatune_plugins.observe import EventBus
from stellatune_plugins.package import Authority, Grants, InstalledPlugin, InstallStore
from stellatune_plugins.package.grants import Grant
from stellatune_plugins.registry import PluginRuntime

INTERFACES: Final = ("host-stream", "http-client", "sidecar")
LONG: Final = 60_000
"""Milliseconds that guests ask for: longer than the host ever waits."""
PUBLIC: Final = "93.184.215.14"
"""What the test's resolver says of every name; its connector takes it for this machine."""


# --- what there is --------------------------------------------------------------------------------------------------


class ImportedFunction(NamedTuple):
    """One function of an interface that guests import."""

    name: str
    """``sidecar.launch``, ``host-stream.host-stream-handle.read``."""
    resource: str | None
    """Whose method it is."""
    gives: str | None
    """The resource that it gives."""


def imported_functions() -> dict[str, ImportedFunction]:
    """All of them, from the contract."""
    found: dict[str, ImportedFunction] = {}
    for interface in INTERFACES:
        text = re.sub(r"//.*", "", (WIT / f"{interface}.wit").read_text("utf-8"))
        resources = re.findall(r"\bresource ([a-z-]+)", text)
        resource: str | None = None
        for line in text.splitlines():
            if opened := re.match(r"\s*resource ([a-z-]+)", line):
                resource = opened[1]
            elif function := re.match(r"\s*([a-z0-9-]+): (?:static )?func\((.*)\)(?: -> (.*))?;", line):
                gives = next((r for r in resources if re.search(rf"(?<![a-z-]){r}(?![a-z-])", function[3] or "")), None)
                name = ".".join(filter(None, (interface, resource, function[1])))
                found[name] = ImportedFunction(name, resource, gives)
            elif line.strip() == "}":
                resource = None
    return found


def cases_of(interface: str, enum: str) -> tuple[str, ...]:
    """The cases of an enum of the contract."""
    text = (WIT / f"{interface}.wit").read_text("utf-8")
    match = re.search(rf"enum {enum} {{([^}}]*)}}", text)
    assert match is not None
    return tuple(case.strip() for case in match[1].split(",") if case.strip())


# --- peers ----------------------------------------------------------------------------------------------------------


def _answer(_: Request) -> bytes:
    return response(200, b'{"a": 1}', Content_Type="application/json")


def _stall(connection: socket.socket) -> None:
    """Begins to answer, and falls silent."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nAccept-Ranges: bytes\r\n\r\nabcd")
    until_closed(connection)


class Peers:
    """Servers of this machine, good ones and stuck ones, by port."""

    def __init__(self, ends: contextlib.ExitStack) -> None:
        def listening(handler: Callable[[socket.socket], None]) -> int:
            return ends.enter_context(Listener(handler)).port

        self.web = listening(Web(_answer))
        self.silent = listening(until_closed)
        self.stall = listening(_stall)
        self.full = self._full(ends)
        self.udp = self._udp(ends)

    @staticmethod
    def _full(ends: contextlib.ExitStack) -> int:
        """A listener that never accepts and whose queue is full: whoever connects now waits."""
        listener = ends.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = ends.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        return int(listener.getsockname()[1])

    @staticmethod
    def _udp(ends: contextlib.ExitStack) -> int:
        """Hears and says nothing."""
        silent = ends.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        silent.bind(("127.0.0.1", 0))
        return int(silent.getsockname()[1])


# --- a plugin -------------------------------------------------------------------------------------------------------

MUTE = """
import select
gone = select.poll()
gone.register(0, 0)  # the end of its input, without reading any of it
gone.poll(60000)
"""
"""A sidecar that opens no channel, reads nothing and says nothing, until its stdin is closed."""

DEAF = """
import signal, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
time.sleep(60)
"""
"""One that ignores whoever asks it to end as well."""


class Lab:
    """One home with plugins that walk."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.bus = EventBus()
        self.grants = Grants(self.home, self.bus)
        self.music = (folder / "music").resolve()
        self.music.mkdir()
        (self.music / "a.bin").write_bytes(bytes(1000))
        os.mkfifo(self.music / "pipe")  # nobody writes to it: who opens it without care waits for ever
        self._folder = folder
        self._numbers = itertools.count(1)

    def install(self, permissions: dict[str, Any] | None) -> InstalledPlugin:
        """Install another walker with these wishes; ``None`` leaves them unstated."""
        plugin = f"org.example.walker{next(self._numbers)}"
        source = self._folder / f"source-{plugin}"
        (source / "wasm").mkdir(parents=True)
        (source / "bin").mkdir()
        (source / "bin/mute.py").write_text(MUTE)
        (source / "bin/deaf.py").write_text(DEAF)
        components = []
        for kind in ("source", "lyrics"):
            flags = ("-DWALKS_SOURCE",) if kind == "source" else ()
            code = build_component(GUESTS / "walker.c", f"{kind}-plugin", flags=flags)
            (source / f"wasm/{kind}.wasm").write_bytes(code)
            components.append(
                {
                    "id": kind,
                    "path": f"wasm/{kind}.wasm",
                    "world": f"stellatune:plugin/{kind}-plugin@0.1.0",
                    "abilities": [{"kind": kind, "type_id": "walker"}],
                }
            )
        manifest: dict[str, Any] = {
            "schema_version": 1,
            "id": plugin,
            "name": "Walker",
            "version": "1.0.0",
            "api_version": 1,
            "components": components,
        }
        if permissions is not None:
            manifest["permissions"] = permissions
        (source / "plugin.json").write_text(json.dumps(manifest))
        return InstallStore(self.home.plugins, self.bus, grants=self.grants).install(source)

    def put(self, package: InstalledPlugin, grants: Sequence[Grant], *, version: str | None = None) -> None:
        """Write grants down, asked for or not, as if somebody had found a way to."""
        self.grants.ledger.put(package.id, version or package.version, grants)


# --- callers --------------------------------------------------------------------------------------------------------


class Caller(Protocol):
    """Takes steps; raises what the guest would be told as :class:`PluginFailure`."""

    def step(self, step: str) -> int: ...


class Direct:
    """On the services themselves."""

    def __init__(self, services: GrantedServices) -> None:
        self.services = services
        self._kept: dict[str, Any] = {}
        self._ends = contextlib.ExitStack()

    def close(self) -> None:
        """Put away what the steps opened, as the end of a guest does."""
        self._ends.close()

    def _keep(self, name: str, opened: Any) -> None:
        self._kept[name] = opened
        self._ends.callback(opened.unlock if name == "guard" else opened.close)

    def step(self, step: str) -> int:  # noqa: PLR0911, PLR0912 - one case a function
        letter, argument = step[0], step[1:]
        stream: Any = self._kept.get("stream")
        process: Any = self._kept.get("process")
        channel: Any = self._kept.get("channel")
        wishes = (TransportWish(TRANSPORTS[int(argument[0])], 1, None),) if letter in "ld" else ()
        match letter:
            case "o":
                kind = list(StreamKind)[int(argument[0])]
                self._keep("stream", self.services.streams.open(OpenRequest(kind=kind, target=argument[1:])))
            case "r":
                return len(stream.read(1 << 16))
            case "s":
                return int(stream.seek(500, 0))
            case "t":
                return int(stream.tell())
            case "z":
                size = stream.size()
                if size is None:
                    raise PluginFailure("unsupported", "nobody knows")
                return int(size)
            case "c":
                stream.close()
            case "f":
                return len(self.services.http.fetch_json(argument))
            case "k":
                self._keep("guard", self.services.sidecars.lock(argument, LONG))
            case "u":
                self._kept["guard"].unlock()
            case "l":
                spec = LaunchSpec("instance", argument[1:], (), wishes, wishes, ())
                self._keep("process", self.services.sidecars.launch(spec))
            case "p":
                self._keep("channel", process.open_control())
            case "d":
                self._keep("data", process.open_data("pcm", wishes))
            case "w":
                return int(process.wait_exit(LONG) is not None)
            case "x":
                process.terminate(LONG)
            case "i":
                return int(channel.transport() in TRANSPORTS)
            case "W":
                return int(channel.write(bytes(1 << 20)))
            case "R":
                return len(channel.read(16, LONG))
            case "C":
                channel.close()
            case _:
                raise AssertionError(step)
        return 1


TRANSPORTS: Final = cases_of("sidecar", "transport-kind")


class Walking:
    """Through the guest, in its sandbox."""

    def __init__(self, runtime: PluginRuntime, plugin: str, ends: contextlib.ExitStack) -> None:
        self._source = ends.enter_context(contextlib.closing(runtime.open_source(plugin).instance))
        self._lyrics = ends.enter_context(contextlib.closing(runtime.open_lyrics(plugin).instance))

    def step(self, step: str) -> int:
        try:
            if step[0] == "f":
                self._lyrics.search(step[1:])
            else:
                self._source.open_uri(f"walk:{step}")
        except PluginFailure as failure:
            good = re.fullmatch(r"internal: ok ([0-9]+)", failure.message)
            if good is None:
                raise
            return int(good[1])
        raise AssertionError(f"{step} came back without a word")


def elsewhere(authority: Authority, timeouts: HostTimeouts) -> PluginNetwork:
    """A network on which every name has a public address, and that address is this machine."""

    def connect(address: str, port: int, kind: socket.SocketKind, deadline: Deadline) -> socket.socket:
        assert address == PUBLIC
        return connect_socket("127.0.0.1", port, kind, deadline)

    return PluginNetwork(authority, timeouts, resolver=lambda *_: [PUBLIC], connector=connect)


@contextlib.contextmanager
def direct(
    lab: Lab, package: InstalledPlugin, *, timeouts: HostTimeouts | None = None, public: bool = False
) -> Iterator[Direct]:
    """The plugin's services, as they are for a plugin that is activated now."""
    maker = ServicesMaker(
        lab.home,
        lab.bus,
        timeouts=timeouts,
        sidecars=SidecarSettings(grace=0.2),
        connect=elsewhere if public else PluginNetwork,
    )
    with contextlib.closing(maker):
        services = maker(ServedPlugin(plugin=package.id, version=package.version, root=package.root))
        with contextlib.closing(services):
            services.start()
            with contextlib.closing(Direct(services)) as caller:
                yield caller


def timed(caller: Caller, step: str) -> tuple[float, str]:
    """Seconds that a step took, and its outcome: ``ok``, or the error's case."""
    began = time.monotonic()
    try:
        caller.step(step)
    except PluginFailure as failure:
        return time.monotonic() - began, failure.case
    return time.monotonic() - began, "ok"
