"""Closing at any moment, from anywhere: nothing hangs, nothing is left."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable

import pytest
from loopback import Authority, Files, Listener, read_request
from net_bench import Bench

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.network import PluginNetwork
from stellatune_plugins.host.stream import OpenRequest, StreamKind
from stellatune_plugins.host.stream.service import MAX_STREAMS
from stellatune_plugins.host.timeouts import HostTimeouts

CONTENT = random.Random(3).randbytes(300_000)


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough


def stuttering(connection: socket.socket) -> None:
    """Sends a bit, waits a bit, and may hang up."""
    dice = random.Random()
    if connection.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM:
        request = read_request(connection)
        start = int(request.headers.get("range", "bytes=0-")[6:-1])
        size = len(CONTENT)
        connection.sendall(
            f"HTTP/1.1 {206 if start else 200} OK\r\nETag: 1\r\nContent-Length: {size - start}\r\n"
            f"Content-Range: bytes {start}-{size - 1}/{size}\r\n\r\n".encode()
        )
        for at in range(start, size, 10_000):
            connection.sendall(CONTENT[at : at + 10_000])
            time.sleep(dice.random() * 0.002)
            if dice.random() < 0.02:
                return


def drain(network: PluginNetwork, request: OpenRequest, opened: list[object], outcomes: list[str]) -> None:
    """Open and read until somebody closes."""
    try:
        stream = network.streams.open(request)
        opened.append(stream)
        got = b""
        while data := stream.read(7000):
            got += data
        assert CONTENT.startswith(got[:7000])
        outcomes.append("end")
        stream.close()
    except PluginFailure as failure:
        outcomes.append(failure.case)


@pytest.mark.stress
@pytest.mark.parametrize(
    "scheme",
    [
        "http",
        "file",
        # Of a socket that is reset as TLS begins, ssl itself forgets to close its half-made object; that happens when
        # the object goes, a moment later, with a warning. The count of descriptors below is what matters.
        pytest.param("https", marks=pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")),
    ],
)
@pytest.mark.needs("openssl")
def test_closed_at_any_moment(
    scheme: str,
    bench: Bench,
    certificates: Authority,
    stress_size: Callable[[int, int], int],
) -> None:
    """While it opens, connects, reads or seeks: the reader is back at once, no descriptor and no slot is left."""
    bench.data.mkdir(exist_ok=True)
    (bench.data / "file").write_bytes(CONTENT)
    dice = random.Random(1)
    secure = scheme == "https"
    tls = certificates.server("IP:127.0.0.1") if secure else None
    rounds = stress_size(40, 2000)
    with Listener(stuttering, tls=tls) as listener:
        url = f"{scheme}://127.0.0.1:{listener.port}/"
        kind = StreamKind.FILE if scheme == "file" else StreamKind.HTTP
        request = OpenRequest(kind=kind, target="file" if scheme == "file" else url)
        client = certificates.client() if secure else None
        before = descriptors()
        for number in range(rounds):
            grants = () if scheme == "file" else (f"local:{url[:-1]}",)
            network = PluginNetwork(bench.authority(*grants), HostTimeouts(), tls=client)
            opened: list[object] = []
            outcomes: list[str] = []
            reader = threading.Thread(target=drain, args=(network, request, opened, outcomes))
            reader.start()
            time.sleep(dice.random() * 0.03)
            start = time.monotonic()
            if number % 2 and opened:
                opened[0].close()  # type: ignore[attr-defined]
            network.close()
            reader.join(10)
            assert not reader.is_alive()
            assert time.monotonic() - start < 2.0
            assert outcomes[0] in {"io", "end"}
            assert network.open_connections == 0
    deadline = time.monotonic() + 10
    while descriptors() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert descriptors() <= before


def test_streams_are_limited_and_given_back(bench: Bench) -> None:
    """64 at once; a closed one makes room; the service closes what is left."""
    bench.data.mkdir(exist_ok=True)
    (bench.data / "file").write_bytes(CONTENT)
    network = bench.network()
    request = OpenRequest(kind=StreamKind.FILE, target="file")
    before = descriptors()
    opened = [network.streams.open(request) for _ in range(MAX_STREAMS)]
    with pytest.raises(PluginFailure, match="64 open streams"):
        network.streams.open(request)
    opened[0].close()
    opened[0] = network.streams.open(request)
    network.close()
    for stream in opened:
        with pytest.raises(PluginFailure, match="closed"):
            stream.read(1)
    assert descriptors() <= before


def test_after_close_nothing_opens(bench: Bench) -> None:
    """Of any kind."""
    network = bench.network("local:http://127.0.0.1:9", "local:tcp://127.0.0.1:9", "local:udp://127.0.0.1:9")
    network.close()
    targets = {
        StreamKind.FILE: "file",
        StreamKind.HTTP: "http://127.0.0.1:9/",
        StreamKind.TCP: "127.0.0.1:9",
        StreamKind.UDP: "127.0.0.1:9",
    }
    for kind, target in targets.items():
        with pytest.raises(PluginFailure) as failed:
            network.streams.open(OpenRequest(kind=kind, target=target))
        assert failed.value.case == "io"


def test_two_readers_at_once_are_told(bench: Bench) -> None:
    """Misuse is loud: the second reader is refused, and the first one not disturbed."""
    started, go_on = threading.Event(), threading.Event()

    def waiting(connection: socket.socket) -> None:
        started.set()
        go_on.wait(10)
        connection.sendall(b"abc")

    with Listener(waiting) as listener:
        target = f"127.0.0.1:{listener.port}"
        stream = bench.network(f"local:tcp://{target}", timeouts=HostTimeouts()).streams.open(
            OpenRequest(kind=StreamKind.TCP, target=target)
        )
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(stream.read(3)))
        reader.start()
        started.wait(10)
        time.sleep(0.05)
        with pytest.raises(PluginFailure, match="another thread"):
            stream.read(1)
        go_on.set()
        reader.join(10)
        assert got == [b"abc"]
        stream.close()


def test_a_broken_off_post_is_not_sent_again(bench: Bench) -> None:
    """The stream fails instead, however often it is read."""
    files = Files(CONTENT)
    files.break_after = 1000
    with Listener(files) as listener:
        url = f"http://127.0.0.1:{listener.port}"
        stream = bench.network(f"local:{url}").streams.open(
            OpenRequest(kind=StreamKind.HTTP, target=url, method="post", body=b"x")  # type: ignore[arg-type]
        )
        assert stream.read(1000) == CONTENT[:1000]
        for _ in range(3):
            with pytest.raises(PluginFailure) as failed:
                stream.read(10)
            assert failed.value.case == "io"
        stream.close()
        assert len(files.requests) == 1
