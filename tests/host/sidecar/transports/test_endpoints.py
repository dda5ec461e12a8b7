"""What each kind does before there is a channel: strangers, files, tokens, and the choice among several."""

from __future__ import annotations

import os
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sidecar_rigs import spawned

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar import TransportWish
from stellatune_plugins.host.sidecar.transports import CONTROL, ChannelPlan, Purpose, Transports, make_endpoint
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.package.manifest import TransportKind
from stellatune_plugins.testing.channels import CHILD, fails, receive, send

QUICK = HostTimeouts(open_channel=1.0)


class Alive:
    """A peer in this process: alive until it is told otherwise."""

    def __init__(self) -> None:
        self.living = True

    def fileno(self) -> int | None:
        return None

    def alive(self) -> bool:
        return self.living


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: sockets want one."""
    path = Path(tempfile.mkdtemp(prefix="st-"))
    yield path
    assert not list(path.iterdir()), "files were left behind"
    path.rmdir()


def child(*args: str) -> list[str]:
    """The suite's child."""
    return [sys.executable, "-I", str(CHILD), *args]


def wish(kind: str, priority: int = 0, frame: int | None = None) -> TransportWish:
    """Short for one."""
    return TransportWish(kind, priority, frame)


# --- strangers ------------------------------------------------------------------------------------------------------


def test_only_the_token_lets_a_tcp_connection_in(folder: Path) -> None:
    """Wrong, short, long, silent and leaving strangers are passed over; none holds up the right one."""
    endpoint = make_endpoint(TransportKind.LOOPBACK_TCP, CONTROL, folder, QUICK)
    endpoint.started(Alive())
    names = {name.removeprefix("STELLATUNE_SIDECAR_CONTROL_") for name in endpoint.environment}
    assert names == {"LOOPBACK_TCP", "TCP", "LOOPBACK_TCP_TOKEN", "TCP_TOKEN"}
    host, port = endpoint.environment["STELLATUNE_SIDECAR_CONTROL_TCP"].split(":")
    token = endpoint.environment["STELLATUNE_SIDECAR_CONTROL_TCP_TOKEN"].encode()

    def connect(data: bytes) -> socket.socket:
        sock = socket.create_connection((host, int(port)))
        sock.sendall(data)
        return sock

    strangers = [
        connect(data) for data in (b"", b"0" * 64 + b"\n", token, token[:-1] + b"\n", b"GET / HTTP/1.1\r\n\r\n")
    ]
    strangers += [connect(os.urandom(65)) for _ in range(20)]
    connect(token[:10]).close()
    right = connect(token + b"\nand more")
    began = time.monotonic()
    channel = endpoint.open(5.0)
    assert time.monotonic() - began < 1.0
    assert channel.read(100, 1000) == b"and more"
    channel.close()
    # The port is closed, the token is spent.
    with pytest.raises(OSError, match="refused"):
        connect(token + b"\n")
    fails("unsupported", lambda: endpoint.open(0.1))
    endpoint.close()
    for sock in (*strangers, right):
        sock.close()


def test_a_crowd_of_silent_strangers_does_not_keep_the_sidecar_out(folder: Path) -> None:
    """The oldest of them give way."""
    endpoint = make_endpoint(TransportKind.LOOPBACK_TCP, CONTROL, folder, QUICK)
    endpoint.started(Alive())
    host, port = endpoint.environment["STELLATUNE_SIDECAR_CONTROL_TCP"].split(":")
    crowd = []
    for _ in range(100):
        crowd.append(socket.create_connection((host, int(port)), timeout=2))
        endpoint.try_open()
    right = socket.create_connection((host, int(port)))
    right.sendall(endpoint.environment["STELLATUNE_SIDECAR_CONTROL_TCP_TOKEN"].encode() + b"\n")
    endpoint.open(5.0).close()
    endpoint.close()
    for sock in (*crowd, right):
        sock.close()


def test_no_link_in_the_place_of_a_pipe_is_followed(folder: Path, tmp_path: Path) -> None:
    """Whoever can write to the folder could have the host write to any file of its user's."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"kept")
    endpoint = make_endpoint(TransportKind.NAMED_PIPE, CONTROL, folder, QUICK)
    endpoint.started(Alive())
    for path in endpoint.paths:
        path.unlink()
        path.symlink_to(victim)
    assert endpoint.try_open() is None
    fails("timeout", lambda: endpoint.open(0.05))
    endpoint.close()
    assert victim.read_bytes() == b"kept"


def test_files_are_the_owners_alone(folder: Path) -> None:
    """Nobody else may open a socket or a pipe, whatever the folder's mode."""
    for kind in (TransportKind.UNIX_SOCKET, TransportKind.NAMED_PIPE):
        endpoint = make_endpoint(kind, Purpose(data=True, role="pcm"), folder, QUICK)
        assert endpoint.paths
        for path in endpoint.paths:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        endpoint.close()
        endpoint.close()


def test_a_path_that_is_too_long_for_a_socket_is_said_so(tmp_path: Path) -> None:
    """An error of the guest's kind, and nothing left."""
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    fails("io", lambda: make_endpoint(TransportKind.UNIX_SOCKET, CONTROL, deep, QUICK))
    assert not list(deep.iterdir())


def test_a_ring_cannot_be_cut_short(folder: Path) -> None:
    """A mapping whose file shrinks kills whoever touches it: the sidecar's descriptor does not allow that."""
    endpoint = make_endpoint(TransportKind.SHARED_MEMORY_RING, CONTROL, folder, QUICK, 8192)
    for fd in endpoint.inherited:
        assert os.fstat(fd).st_size == 32 + 8192
        for size in (0, 100, 1 << 20):
            with pytest.raises(PermissionError):
                os.ftruncate(fd, size)
    endpoint.close()


# --- waiting for the sidecar ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TransportKind.UNIX_SOCKET, TransportKind.NAMED_PIPE, TransportKind.LOOPBACK_TCP])
def test_opening_ends(kind: TransportKind, folder: Path) -> None:
    """In its time where nobody comes, at once where the process is dead or the endpoint closed."""
    endpoint, peer = make_endpoint(kind, CONTROL, folder, QUICK), Alive()
    fails("internal", lambda: endpoint.open(0.1))
    endpoint.started(peer)
    began = time.monotonic()
    fails("timeout", lambda: endpoint.open(0.1))
    assert 0.1 <= time.monotonic() - began < 1.0
    closer = threading.Timer(0.1, endpoint.close)
    closer.start()
    fails("io", lambda: endpoint.open(10))
    closer.join()
    other, peer.living = make_endpoint(kind, CONTROL, folder, QUICK), False
    other.started(peer)
    began = time.monotonic()
    fails("io", lambda: other.open(10))
    assert time.monotonic() - began < 1.0
    other.close()


def test_a_sidecar_that_only_knows_stdio_is_spoken_with_over_stdio() -> None:
    """As soon as it says something there, not after everything else timed out."""
    plan = ChannelPlan(control=(wish("unix-socket", 9), wish("named-pipe", 5)))
    script = "import os; os.write(1, b'hello'); os.read(0, 1)"
    with spawned(plan, [sys.executable, "-I", "-c", script]) as (offer, _):
        began = time.monotonic()
        channel = offer.open_control()
        assert time.monotonic() - began < 4.0
        assert channel.transport() == "stdio"
        assert receive(channel, 5) == b"hello"
        channel.close()


def test_a_sidecar_that_says_nothing_is_spoken_with_over_stdio_in_the_end() -> None:
    """The last resort for control; a data channel has none."""
    plan = ChannelPlan(control=(wish("unix-socket", 9),), data=(wish("unix-socket", 9),))
    script = "import os; os.write(1, os.read(0, 5)); os.read(0, 1)"
    with spawned(plan, [sys.executable, "-I", "-c", script], HostTimeouts(open_channel=0.3)) as (offer, _):
        channel = offer.open_control()
        assert channel.transport() == "stdio"
        send(channel, b"12345")
        assert receive(channel, 5) == b"12345"
        fails("timeout", lambda: offer.open_data("pcm"))
        channel.close()


def test_the_sidecar_that_is_dead_opens_nothing() -> None:
    """The error says so, at once."""
    plan = ChannelPlan(control=(wish("unix-socket", 9), wish("loopback-tcp", 9)))
    with spawned(plan, ["/bin/true"]) as (offer, process):
        process.wait()
        began = time.monotonic()
        fails("io", offer.open_control)
        assert time.monotonic() - began < 1.0


# --- several channels -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in TransportKind if kind is not TransportKind.STDIO], ids=str)
def test_data_goes_beside_control(kind: TransportKind) -> None:
    """A data channel of any kind, over the variable for data of any role."""
    plan = ChannelPlan(data=(wish(kind.value, 0, 8192),))
    with spawned(plan, child("echo", "left pcm")) as (offer, _):
        channel = offer.open_data("left pcm")
        assert channel.transport() == kind
        send(channel, b"abc" * 1000)
        assert receive(channel, 3000) == b"abc" * 1000
        channel.close()


def test_a_role_has_an_endpoint_of_its_own_where_the_plugin_asks_for_it() -> None:
    """By an empty variable of that name; other roles have the general one."""
    env = (("STELLATUNE_SIDECAR_DATA_PCM_SHM", ""),)
    plan = ChannelPlan(data=(wish("unix-socket", 3),), env=env)
    with spawned(plan, child("echo", "pcm")) as (offer, _):
        assert offer.environment["STELLATUNE_SIDECAR_DATA_PCM"] == "shared-memory-ring"
        assert offer.environment["STELLATUNE_SIDECAR_DATA"] == "unix-socket"
        channel = offer.open_data("PCM", (wish("shared-memory-ring", 9),))
        assert channel.transport() == "shared-memory-ring"
        send(channel, b"abc")
        assert receive(channel, 3) == b"abc"
        channel.close()


def test_what_was_not_offered_cannot_be_opened() -> None:
    """Endpoints are told at launch; a kind that the call alone names is not among them."""
    with spawned(ChannelPlan(), child("echo")) as (offer, _):
        fails("unsupported", lambda: offer.open_data("pcm", (wish("unix-socket"),)))
        fails("invalid-arg", lambda: offer.open_data("p" * 65))
        fails("invalid-arg", lambda: offer.open_data("pcm", (wish("smoke-signals"),)))


def test_without_a_network_no_port_is_opened(folder: Path) -> None:
    """A sidecar in a network namespace of its own could not connect to it."""
    plan = ChannelPlan(control=(wish("loopback-tcp", 9), wish("unix-socket", 1)))
    offer = Transports(plan, folder=folder, timeouts=QUICK)
    assert offer.environment["STELLATUNE_SIDECAR_CONTROL"] == "unix-socket,stdio"
    assert not any("TCP" in name for name in offer.environment)
    offer.close()


def test_a_plan_without_end_is_refused_and_leaves_nothing(folder: Path) -> None:
    """Endpoints cost descriptors: a guest does not choose how many."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    env = tuple((f"STELLATUNE_SIDECAR_DATA_R{n}_UNIX", "") for n in range(100))
    with pytest.raises(PluginFailure, match="endpoints"):
        Transports(ChannelPlan(env=env), folder=folder, timeouts=QUICK)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_rings_without_end_are_refused_and_leave_nothing(folder: Path) -> None:
    """Their memory is the host's."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    env = tuple((f"STELLATUNE_SIDECAR_DATA_R{n}_SHM", "") for n in range(5))
    plan = ChannelPlan(data=(wish("shared-memory-ring", 0, 2**32 - 1),), env=env)
    with pytest.raises(PluginFailure, match="256 MiB"):
        Transports(plan, folder=folder, timeouts=QUICK)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_peer_without_a_descriptor_is_looked_at(folder: Path) -> None:
    """Its end is noticed in the middle of a long read."""
    endpoint, peer = make_endpoint(TransportKind.UNIX_SOCKET, CONTROL, folder, QUICK), Alive()
    endpoint.started(peer)
    with socket.socket(socket.AF_UNIX) as sidecar:
        sidecar.connect(endpoint.environment["STELLATUNE_SIDECAR_CONTROL_UNIX"])
        channel = endpoint.open(5)
        assert channel.read(1, 120) == b""
        death = threading.Timer(0.1, setattr, (peer, "living", False))
        death.start()
        began = time.monotonic()
        fails("io", lambda: channel.read(1, 20_000))
        assert time.monotonic() - began < 1.0
        death.join()
        channel.close()
    endpoint.close()


def test_closing_stdin_asks_the_sidecar_to_stop() -> None:
    """It reads the end, and its last words still arrive; a write that waits is freed."""
    script = "import os, time\nwhile os.read(0, 65536): time.sleep(0.05)\nos.write(1, b'bye')"
    with spawned(ChannelPlan(), [sys.executable, "-I", "-c", script]) as (offer, process):
        channel = offer.open_control()
        failed: list[PluginFailure | int] = []

        def write_on() -> None:
            try:
                while True:
                    channel.write(bytes(1 << 20))
            except PluginFailure as failure:
                failed.append(failure)

        writer = threading.Thread(target=write_on)
        writer.start()
        time.sleep(0.1)
        began = time.monotonic()
        offer.close_stdin()
        offer.close_stdin()
        assert time.monotonic() - began < 0.5
        writer.join(5)
        assert isinstance(failed[0], PluginFailure)
        assert receive(channel, 3) == b"bye"
        assert process.wait(5) == 0
        channel.close()
