"""Endpoints that the plugin names: what the sidecar listens on is reached, and nothing else of the machine."""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sidecar_rigs import spawned

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar import TransportWish
from stellatune_plugins.host.sidecar.transports import ChannelPlan, GivenRules, Transports
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.package.manifest import TransportKind
from stellatune_plugins.testing.channels import fails, receive, send

UNIX, TCP = TransportKind.UNIX_SOCKET.value, TransportKind.LOOPBACK_TCP.value
CONTROL, DATA = "STELLATUNE_SIDECAR_CONTROL_", "STELLATUNE_SIDECAR_DATA_"

LISTENER = """
import os, socket, sys, time
time.sleep(0.1)  # the host may come first
at = sys.argv[1]
family = socket.AF_UNIX if "/" in at else socket.AF_INET
server = socket.socket(family)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(at if "/" in at else ("127.0.0.1", int(at.split(":")[1])))
server.listen()
while True:
    sock, _ = server.accept()
    while data := sock.recv(100):
        sock.sendall(data)
"""


@pytest.fixture
def data() -> Iterator[Path]:
    """A plugin's data folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="st-") as folder:
        yield Path(folder)


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize("name", [f"{DATA}UNIX", f"{DATA}PCM_UNIX_SOCKET"])
def test_a_socket_in_the_data_folder_is_reached(name: str, data: Path) -> None:
    """Once the sidecar listens there; again and again, if it accepts again and again."""
    at = data / "sub" / "my.sock"
    at.parent.mkdir()
    plan = ChannelPlan(data=(TransportWish(UNIX, 1, None),), env=((name, str(at)),))
    command = [sys.executable, "-I", "-c", LISTENER, str(at)]
    with spawned(plan, command, given=GivenRules(folder=data)) as (offer, _):
        for word in (b"one", b"two"):
            channel = offer.open_data("pcm")
            assert channel.transport() == UNIX
            send(channel, word)
            assert receive(channel, 3) == word
            channel.close()


def test_a_granted_port_is_reached(data: Path) -> None:
    """By whatever name of this machine the plugin uses; the sidecar is told nothing new."""
    port = free_port()
    plan = ChannelPlan(control=(TransportWish(TCP, 1, None),), env=((f"{CONTROL}TCP", f"localhost:{port}"),))
    command = [sys.executable, "-I", "-c", LISTENER, f"127.0.0.1:{port}"]
    with spawned(plan, command, given=GivenRules(may_connect=lambda wanted: wanted == port)) as (offer, _):
        assert offer.environment["STELLATUNE_SIDECAR_CONTROL"] == "stdio"
        assert f"{CONTROL}TCP" not in offer.environment
        channel = offer.open_control()
        assert channel.transport() == TCP
        send(channel, b"abc")
        assert receive(channel, 3) == b"abc"
        channel.close()


@pytest.mark.parametrize(
    "text", ["{data}/../{name}/victim.sock", "{data}/link.sock", "{data}/folder/victim.sock", "{other}/victim.sock",
             "{data}/file", "{data}", "victim.sock", "/proc/self/fd/3"],
)  # fmt: skip
def test_no_other_socket_of_the_machine_is_reached(text: str, data: Path) -> None:
    """Not by a path, a link, a linked folder or a name that is no socket."""
    with tempfile.TemporaryDirectory(prefix="st-") as other, socket.socket(socket.AF_UNIX) as victim:
        victim.bind(f"{other}/victim.sock")
        victim.listen()
        victim.setblocking(False)
        (data / "link.sock").symlink_to(f"{other}/victim.sock")
        (data / "folder").symlink_to(other)
        (data / "file").touch()
        path = text.format(data=data, other=other, name=Path(other).name)
        plan = ChannelPlan(data=(TransportWish(UNIX, 1, None),), env=((f"{DATA}UNIX", path),))
        with spawned(plan, ["/bin/cat"], HostTimeouts(open_channel=0.2), given=GivenRules(folder=data)) as (offer, _):
            with pytest.raises(PluginFailure) as caught:
                offer.open_data("pcm")
            # A folder that is a link is none.
            assert caught.value.case == ("io" if "/folder/" in path else "denied")
        with pytest.raises(BlockingIOError):
            victim.accept()


def test_what_is_not_granted_is_denied(data: Path) -> None:
    """Ports above all: anything may listen there. And what is no port of this machine is a mistake."""
    with socket.socket() as victim:
        victim.bind(("127.0.0.1", 0))
        victim.listen()
        victim.setblocking(False)
        port = victim.getsockname()[1]
        for text, case in (
            (f"127.0.0.1:{port}", "denied"),
            (f"192.0.2.1:{port}", "invalid-arg"),
            (f"0.0.0.0:{port}", "invalid-arg"),
            (f"127.0.0.1:{port}x", "invalid-arg"),
            ("127.0.0.1:0", "invalid-arg"),
            ("nonsense", "invalid-arg"),
        ):
            plan = ChannelPlan(data=(TransportWish(TCP, 1, None),), env=((f"{DATA}TCP", text),))
            with spawned(plan, ["/bin/cat"]) as (offer, _):
                fails(case, lambda offer=offer: offer.open_data("pcm"))  # type: ignore[misc]
        with pytest.raises(BlockingIOError):
            victim.accept()


def test_rings_and_pipes_are_the_hosts(data: Path) -> None:
    """A ring's variable is replaced; a pipe that is given is refused."""
    env = ((f"{DATA}SHM", "path=/dev/shm/mine"), (f"{DATA}PIPE", "/tmp/mine"))  # noqa: S108 - nobody opens it
    ring, pipe = TransportWish("shared-memory-ring", 1, None), TransportWish("named-pipe", 2, None)
    with spawned(ChannelPlan(data=(ring, pipe), env=env), ["/bin/cat"]) as (offer, _):
        assert offer.environment[f"{DATA}SHM"].startswith("tx=/proc/self/fd/")
        channel = offer.open_data("pcm")
        assert channel.transport() == ring.kind
        channel.close()
    with spawned(ChannelPlan(data=(pipe,), env=env), ["/bin/cat"]) as (offer, _):
        fails("unsupported", lambda: offer.open_data("pcm"))


def test_nothing_is_given_by_default(data: Path) -> None:
    """Whoever makes transports says what is allowed."""
    at = data / "x.sock"
    plan = ChannelPlan(data=(TransportWish(UNIX, 1, None),), env=((f"{DATA}UNIX", str(at)),))
    with socket.socket(socket.AF_UNIX) as server, tempfile.TemporaryDirectory(prefix="st-") as folder:
        server.bind(str(at))
        server.listen()
        offer = Transports(plan, folder=Path(folder), timeouts=HostTimeouts())
        offer.started(_Alive())
        fails("denied", lambda: offer.open_data("pcm"))
        offer.close()
        assert not list(Path(folder).iterdir())


class _Alive:
    def fileno(self) -> int | None:
        return None

    def alive(self) -> bool:
        return True
