"""Whatever hangs or dawdles, wherever on the way: the caller is back when its time is over."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from loopback import Authority, Listener, read_request, until_closed
from net_bench import Bench, Detour, case_of

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.budget import limited
from stellatune_plugins.host.deadline import Cancel, Deadline
from stellatune_plugins.host.egress import connect_socket
from stellatune_plugins.host.network import PluginNetwork
from stellatune_plugins.host.stream import OpenRequest, StreamKind
from stellatune_plugins.host.timeouts import HostTimeouts

_log = logging.getLogger(__name__)

TIME = 0.4
TOLERANCE = 0.5
"""On a loaded machine; the figures are logged (`--log-cli-level=INFO`), and below 10 ms on an idle one."""
QUICK = HostTimeouts(connect=TIME / 2, read=TIME / 2, file=TIME, fetch=TIME)

Call = Callable[[PluginNetwork, str], object]


def fetch(network: PluginNetwork, url: str) -> object:
    """`fetch-json`."""
    return network.http.fetch_json(url)


def stream(network: PluginNetwork, url: str) -> object:
    """`open`, which connects and reads the head."""
    return network.streams.open(OpenRequest(kind=StreamKind.HTTP, target=url))


def late(call: Callable[[], object], limit: float = TIME) -> float:
    """How long after its limit a call came back, having answered ``timeout``."""
    start = time.monotonic()
    with pytest.raises(PluginFailure) as failed:
        call()
    took = time.monotonic() - start
    assert failed.value.case == "timeout", failed.value
    overshoot = took - limit
    _log.info("back %.1f ms after its end", overshoot * 1000)
    assert overshoot < TOLERANCE
    return overshoot


def drip(connection: socket.socket, data: bytes) -> None:
    """Byte by byte, each well within any timeout of its own."""
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(0.03)


def silent_head(connection: socket.socket) -> None:
    """Takes the request for granted."""
    until_closed(connection)


def dripping_head(connection: socket.socket) -> None:
    """Always one more header."""
    read_request(connection)
    drip(connection, b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000)


def endless_interim(connection: socket.socket) -> None:
    """It may go on."""
    read_request(connection)
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        time.sleep(0.01)


def dripping_body(connection: socket.socket) -> None:
    """Ten thousand bytes, one at a time."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    drip(connection, b"[" + b" " * 10_000)


def dripping_chunks(connection: socket.socket) -> None:
    """The same, framed."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    drip(connection, b"1\r\n \r\n" * 1000)


def redirecting_slowly(connection: socket.socket) -> None:
    """On and on."""
    request = read_request(connection)
    time.sleep(0.15)
    connection.sendall(f"HTTP/1.1 302 On\r\nLocation: {request.target}x\r\nContent-Length: 0\r\n\r\n".encode())


@pytest.mark.parametrize("call", [fetch, stream])
@pytest.mark.parametrize("handler", [silent_head, dripping_head, endless_interim, redirecting_slowly])
def test_slow_heads(handler: Callable[[socket.socket], None], call: Call, bench: Bench) -> None:
    """Silent, dripping, endlessly interim, slowly redirecting: each within any time-out a byte, none in all."""
    with Listener(handler) as listener:
        url = f"http://127.0.0.1:{listener.port}"
        network = bench.network(f"local:{url}", timeouts=QUICK)
        late(lambda: call(network, f"{url}/"))
        assert network.open_connections == 0
        network.close()


@pytest.mark.parametrize("handler", [dripping_body, dripping_chunks])
def test_slow_bodies(handler: Callable[[socket.socket], None], bench: Bench) -> None:
    """A fetch ends when its whole time is over; a stream gives what there is."""
    with Listener(handler) as listener:
        url = f"http://127.0.0.1:{listener.port}"
        network = bench.network(f"local:{url}", timeouts=QUICK)
        late(lambda: fetch(network, f"{url}/"))
        opened = network.streams.open(OpenRequest(kind=StreamKind.HTTP, target=url))
        assert len(opened.read(10)) >= 1
        opened.close()
        network.close()


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """The port of a listener that takes no more connections: the kernel drops what would open one."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(20):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.05)
            try:
                waiting.connect(("127.0.0.1", port))
            except TimeoutError:
                break
        yield port


@pytest.mark.parametrize("call", [fetch, stream])
def test_a_connection_that_never_comes(call: Call, bench: Bench) -> None:
    """Given up on after the connection's own time."""
    with full_backlog() as port:
        network = bench.network(f"local:http://127.0.0.1:{port}", timeouts=QUICK)
        late(lambda: call(network, f"http://127.0.0.1:{port}/"), QUICK.connect)
        assert network.open_connections == 0


def test_many_addresses_that_never_answer(bench: Bench) -> None:
    """They share the connection's time."""
    with full_backlog() as port:

        def many(host: str, at: int, deadline: Deadline) -> Sequence[str]:
            return ["127.0.0.1", "127.0.0.2", "127.0.0.3", "::1"]

        def never(address: str, at: int, kind: socket.SocketKind, deadline: Deadline) -> socket.socket:
            return connect_socket("127.0.0.1", port, kind, deadline)

        network = bench.network("local:http://x.example:80", timeouts=QUICK, resolver=many, connector=never)
        late(lambda: fetch(network, "http://x.example/"), QUICK.connect)


@pytest.mark.parametrize("call", [fetch, stream])
def test_a_name_that_is_never_resolved(call: Call, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver hangs; its thread is left behind, the caller is not."""
    release = threading.Event()

    def hang(*args: object, **kwargs: object) -> list[object]:
        release.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    network = bench.network("host:http://hangs.example", timeouts=QUICK)
    late(lambda: call(network, "http://hangs.example/"), QUICK.connect)
    release.set()


@pytest.mark.needs("openssl")
def test_a_handshake_that_never_ends(bench: Bench, certificates: Authority) -> None:
    """TLS with somebody who says nothing, and with one who drips its answer."""
    for handler in (until_closed, lambda connection: drip(connection, b"\x16\x03\x03\x40\x00" + b"\x02" * 1000)):
        with Listener(handler) as listener:
            url = f"https://127.0.0.1:{listener.port}"
            network = bench.network(f"local:{url}", timeouts=QUICK, tls=certificates.client())
            late(lambda network=network, url=url: fetch(network, url), QUICK.connect)  # type: ignore[misc]
            network.close()


@pytest.mark.parametrize("kind", [StreamKind.TCP, StreamKind.UDP])
def test_a_socket_that_says_nothing(kind: StreamKind, bench: Bench) -> None:
    """A read of it ends."""
    with contextlib.ExitStack() as stack:
        if kind is StreamKind.TCP:
            port = stack.enter_context(Listener(until_closed)).port
        else:
            peer = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            peer.bind(("127.0.0.1", 0))
            port = peer.getsockname()[1]
        target = f"127.0.0.1:{port}"
        network = bench.network(f"local:{kind}://{target}", timeouts=QUICK)
        opened = network.streams.open(OpenRequest(kind=kind, target=target))
        late(lambda: opened.read(1), QUICK.read)
        opened.close()


def test_a_peer_that_takes_nothing(bench: Bench) -> None:
    """A body that is larger than all buffers on the way, sent to somebody who does not read."""
    with Listener(lambda connection: time.sleep(1.5)) as listener:
        target = f"127.0.0.1:{listener.port}"
        network = bench.network(f"local:tcp://{target}", timeouts=QUICK)
        request = OpenRequest(kind=StreamKind.TCP, target=target, body=bytes(30_000_000))
        late(lambda: network.streams.open(request), QUICK.connect)
        network.close()


def test_the_guests_own_shorter_times_count(bench: Bench) -> None:
    """Longer ones do not."""
    with Listener(until_closed) as listener:
        target = f"127.0.0.1:{listener.port}"
        streams = bench.network(f"local:tcp://{target}", timeouts=QUICK).streams
        for wish, counts in ((50, 0.05), (60_000, QUICK.read)):
            opened = streams.open(OpenRequest(kind=StreamKind.TCP, target=target, read_timeout_ms=wish))
            late(lambda opened=opened: opened.read(1), counts)  # type: ignore[misc]
            opened.close()
        with pytest.raises(PluginFailure, match="no time"):
            streams.open(OpenRequest(kind=StreamKind.TCP, target=target, connect_timeout_ms=0))


@pytest.mark.parametrize("call", [fetch, stream])
def test_what_is_left_of_the_guests_call_counts(call: Call, bench: Bench) -> None:
    """An import gives up a little before the call that it is part of is over."""
    with Listener(until_closed) as listener:
        url = f"http://127.0.0.1:{listener.port}"
        network = bench.network(f"local:{url}")
        with limited(0.3):
            assert late(lambda: call(network, url), 0.3) < 0
        network.close()


def test_a_file_system_that_hangs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening, reading, and looking at the size: the thread that hangs is left behind, and cleans up after itself."""
    bench.data.mkdir(exist_ok=True)
    (bench.data / "a").write_bytes(b"abc")
    network = bench.network(timeouts=QUICK)
    request = OpenRequest(kind=StreamKind.FILE, target="a")
    opened = network.streams.open(request)
    release = threading.Event()
    done = threading.Event()
    pread = os.pread

    def hang(*args: object) -> bytes:
        release.wait(20)
        return pread(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "pread", hang)
    opened._at_once = None  # type: ignore[attr-defined]
    late(lambda: opened.read(1))
    opened.close()
    fd: int = opened._fd  # type: ignore[attr-defined]
    os.fstat(fd)  # still open: the hanging read holds on to it
    release.set()
    for _ in range(500):
        try:
            os.fstat(fd)
        except OSError:
            done.set()
            break
        time.sleep(0.01)
    assert done.is_set()


@pytest.mark.parametrize("call", [fetch, stream])
def test_a_close_ends_what_is_being_opened(call: Call, bench: Bench) -> None:
    """Closing a plugin's services from another thread ends what it waits for."""
    with Listener(until_closed) as listener:
        url = f"http://127.0.0.1:{listener.port}"
        network = bench.network(f"local:{url}", timeouts=HostTimeouts())
        outcome: list[str] = []

        def waiting() -> None:
            try:
                call(network, url)
            except PluginFailure as failure:
                outcome.append(failure.case)

        thread = threading.Thread(target=waiting)
        thread.start()
        time.sleep(0.1)
        start = time.monotonic()
        network.close()
        thread.join(5)
        assert not thread.is_alive()
        assert time.monotonic() - start < 1.0
        assert outcome == ["io"]


def test_a_close_ends_a_look_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a connection that never comes."""
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(20) and [])
    with full_backlog() as port:
        site = f"http://127.0.0.1:{port}"
        network = bench.network("host:http://hangs.example", f"local:{site}", timeouts=HostTimeouts())
        outcome: list[str] = []

        def waiting(url: str) -> None:
            outcome.append(case_of(lambda: stream(network, url)))

        threads = [threading.Thread(target=waiting, args=(url,)) for url in (site, "http://hangs.example/")]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        start = time.monotonic()
        network.close()
        for thread in threads:
            thread.join(5)
            assert not thread.is_alive()
        assert time.monotonic() - start < 1.0
        assert outcome == ["io", "io"]
    release.set()


def test_a_cancel_comes_before_everything() -> None:
    """Whoever starts to wait after it does not wait."""
    cancel = Cancel()
    cancel.set()
    deadline = Deadline(10, "waiting", cancel)
    start = time.monotonic()
    for wait in (deadline.check, deadline.left, lambda: deadline.sleep(5), lambda: deadline.wait(threading.Event())):
        with pytest.raises(PluginFailure, match="closed"):
            wait()
    woken: list[int] = []
    cancel.on_set(lambda: woken.append(1))
    assert woken == [1]
    assert time.monotonic() - start < 1.0


def test_an_unused_detour_goes_nowhere() -> None:
    """The tests' own connector refuses what it was given no way for."""
    with pytest.raises(ConnectionRefusedError):
        Detour()("1.1.1.1", 80, socket.SOCK_STREAM, Deadline(1, "connecting"))
