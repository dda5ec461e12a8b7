"""Every kind of stream passes the public suite."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from loopback import Authority, Files, Listener, read_request, until_closed
from net_bench import Bench

from stellatune_plugins.host.stream import HostStream, OpenRequest, StreamKind
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.testing.streams import StreamCheck, StreamMaker, StreamTraits, stream_checks

READ_TIMEOUT = 0.3
TIMEOUTS = HostTimeouts(connect=5.0, read=READ_TIMEOUT, file=5.0)


class FileMaker:
    """Files in the plugin's data folder."""

    traits = StreamTraits(seeks=True, sized=True)

    def __init__(self, bench: Bench, certificates: Callable[[], Authority]) -> None:
        self._bench = bench

    @contextlib.contextmanager
    def serving(self, content: bytes) -> Iterator[HostStream]:
        streams = self._bench.network().streams
        self._bench.data.mkdir(exist_ok=True)
        (self._bench.data / "file.bin").write_bytes(content)
        yield from _closing(streams.open(OpenRequest(kind=StreamKind.FILE, target="file.bin")))

    def silent(self) -> contextlib.AbstractContextManager[HostStream]:
        raise NotImplementedError


class SlowFileMaker(FileMaker):
    """The same on a file system that cannot say what it has at hand."""

    @contextlib.contextmanager
    def serving(self, content: bytes) -> Iterator[HostStream]:
        with super().serving(content) as stream:
            stream._at_once = None  # type: ignore[attr-defined]
            yield stream


class HttpMaker:
    """A web server with ranges."""

    traits = StreamTraits(seeks=True, sized=True, read_timeout=READ_TIMEOUT)
    ranges = True
    scheme = "http"

    def __init__(self, bench: Bench, certificates: Callable[[], Authority]) -> None:
        self._bench = bench
        self._certificates = certificates

    @contextlib.contextmanager
    def serving(self, content: bytes) -> Iterator[HostStream]:
        with self._opened(Files(content, ranges=self.ranges)) as stream:
            yield stream

    @contextlib.contextmanager
    def silent(self) -> Iterator[HostStream]:
        def head_only(connection: socket.socket) -> None:
            read_request(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            until_closed(connection)

        with self._opened(head_only) as stream:
            yield stream

    @contextlib.contextmanager
    def _opened(self, handler: Callable[[socket.socket], None]) -> Iterator[HostStream]:
        secure = self.scheme == "https"
        authority = self._certificates() if secure else None
        server = authority.server("IP:127.0.0.1") if authority else None
        with Listener(handler, tls=server) as listener:
            url = f"{self.scheme}://127.0.0.1:{listener.port}"
            network = self._bench.network(
                f"local:{url}", timeouts=TIMEOUTS, tls=authority.client() if authority else None
            )
            yield from _closing(network.streams.open(OpenRequest(kind=StreamKind.HTTP, target=f"{url}/a")))


class HttpWithoutRangesMaker(HttpMaker):
    """One that starts from the beginning each time."""

    ranges = False


class HttpsMaker(HttpMaker):
    """A web server with a certificate."""

    scheme = "https"


class TcpMaker:
    """A peer that sends and hangs up."""

    traits = StreamTraits(seeks=False, sized=False, read_timeout=READ_TIMEOUT)

    def __init__(self, bench: Bench, certificates: Callable[[], Authority]) -> None:
        self._bench = bench

    @contextlib.contextmanager
    def serving(self, content: bytes) -> Iterator[HostStream]:
        with self._opened(lambda connection: connection.sendall(content)) as stream:
            yield stream

    @contextlib.contextmanager
    def silent(self) -> Iterator[HostStream]:
        with self._opened(until_closed) as stream:
            yield stream

    @contextlib.contextmanager
    def _opened(self, handler: Callable[[socket.socket], None]) -> Iterator[HostStream]:
        with Listener(handler) as listener:
            target = f"127.0.0.1:{listener.port}"
            streams = self._bench.network(f"local:tcp://{target}", timeouts=TIMEOUTS).streams
            yield from _closing(streams.open(OpenRequest(kind=StreamKind.TCP, target=target)))


class UdpMaker:
    """A peer that answers with datagrams, paced by the kernel's buffer on the loopback interface."""

    traits = StreamTraits(seeks=False, sized=False, ends=False, read_timeout=READ_TIMEOUT)

    def __init__(self, bench: Bench, certificates: Callable[[], Authority]) -> None:
        self._bench = bench

    @contextlib.contextmanager
    def serving(self, content: bytes) -> Iterator[HostStream]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer, contextlib.ExitStack() as after:
            peer.bind(("127.0.0.1", 0))
            target = f"127.0.0.1:{peer.getsockname()[1]}"
            streams = self._bench.network(f"local:udp://{target}", timeouts=TIMEOUTS).streams
            stream = streams.open(OpenRequest(kind=StreamKind.UDP, target=target, body=b"go"))
            _, client = peer.recvfrom(100)
            stop = threading.Event()
            after.callback(stop.set)
            # A datagram of every size, an empty one among them, each when the one before was read.
            sender = threading.Thread(target=_send_datagrams, args=(peer, client, content, stop))
            sender.start()
            after.callback(sender.join)
            after.callback(stop.set)
            yield from _closing(stream)

    @contextlib.contextmanager
    def silent(self) -> Iterator[HostStream]:
        with self.serving(b"") as stream:
            yield stream


def _send_datagrams(peer: socket.socket, client: tuple[str, int], content: bytes, stop: threading.Event) -> None:
    at, size = 0, 1
    while at < len(content) and not stop.wait(0.0005 if at else 0):
        peer.sendto(content[at : at + size], client)
        at += size
        size = min(size * 3, 16000)
        if size == 27:
            peer.sendto(b"", client)


def _closing(stream: HostStream) -> Iterator[HostStream]:
    try:
        yield stream
    finally:
        stream.close()


MAKERS: dict[str, type[FileMaker | HttpMaker | TcpMaker | UdpMaker]] = {
    "file": FileMaker,
    "slow-file": SlowFileMaker,
    "http": HttpMaker,
    "http-without-ranges": HttpWithoutRangesMaker,
    "https": HttpsMaker,
    "tcp": TcpMaker,
    "udp": UdpMaker,
}

CASES = [
    pytest.param(kind, check, id=f"{kind}-{check}", marks=[pytest.mark.needs("openssl")] if kind == "https" else [])
    for kind, maker in MAKERS.items()
    for check in stream_checks()
    if check.applies(maker.traits)
]


@pytest.mark.parametrize(("kind", "check"), CASES)
def test_conformance(kind: str, check: StreamCheck, bench: Bench, request: pytest.FixtureRequest) -> None:
    """What the check's description says."""
    maker: StreamMaker = MAKERS[kind](bench, lambda: request.getfixturevalue("certificates"))
    check.run(maker)


def test_every_check_says_what_it_claims() -> None:
    """A name and prose; all of them apply to something."""
    checks = stream_checks()
    assert len({check.name for check in checks}) == len(checks)
    for check in checks:
        assert len(check.description) > 20
        assert any(check.applies(maker.traits) for maker in MAKERS.values())
