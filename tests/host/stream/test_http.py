"""HTTP streams: ranges, what servers get wrong, and going on after a break."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from loopback import Files, Listener, Request, Web, read_request, response, until_closed
from net_bench import Bench, Detour, Names, case_of

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.stream import HostStream, HttpMethod, OpenRequest, StreamKind
from stellatune_plugins.host.stream.http import SKIP
from stellatune_plugins.host.timeouts import HostTimeouts

CONTENT = random.Random(5).randbytes(1_500_000)
TIMEOUTS = HostTimeouts(connect=2.0, read=2.0, file=2.0, fetch=2.0)


@contextmanager
def streaming(
    bench: Bench, handler: Callable[[socket.socket], None], timeouts: HostTimeouts = TIMEOUTS, **fields: object
) -> Iterator[tuple[HostStream, Listener]]:
    """A stream of a server's page."""
    with Listener(handler) as listener:
        url = f"http://127.0.0.1:{listener.port}"
        network = bench.network(f"local:{url}", timeouts=timeouts)
        request = OpenRequest(kind=StreamKind.HTTP, target=f"{url}/music", **fields)  # type: ignore[arg-type]
        stream = network.streams.open(request)
        try:
            yield stream, listener
        finally:
            stream.close()
            network.close()


def read_all(stream: HostStream) -> bytes:
    """Everything from here on."""
    data = bytearray()
    while piece := stream.read(50_000):
        data += piece
    return bytes(data)


def exactly(stream: HostStream, count: int) -> bytes:
    """That many bytes."""
    data = b""
    while len(data) < count:
        data += stream.read(count - len(data))
    return data


# --- seeking --------------------------------------------------------------------------------------------------------


def test_a_seek_asks_for_a_range(bench: Bench) -> None:
    """From there on, of the same version, once; nothing is asked for by the seek itself."""
    files = Files(CONTENT)
    with streaming(bench, files) as (stream, _):
        assert exactly(stream, 100) == CONTENT[:100]
        stream.seek(-1000, os.SEEK_END)
        stream.seek(1_000_000)
        assert len(files.requests) == 1
        assert exactly(stream, 10) == CONTENT[1_000_000:1_000_010]
        assert [r.headers.get("range") for r in files.requests] == [None, "bytes=1000000-"]
        assert files.requests[1].headers["if-range"] == '"one"'
        assert files.requests[1].headers["accept-encoding"] == "identity"


def test_small_hops_ask_for_nothing(bench: Bench) -> None:
    """Back into what is still in memory, and forward over what comes anyway."""
    files = Files(CONTENT)
    with streaming(bench, files) as (stream, _):
        assert exactly(stream, 100_000) == CONTENT[:100_000]
        stream.seek(0)
        assert exactly(stream, 10) == CONTENT[:10]
        stream.seek(100_000 + SKIP // 2)
        assert exactly(stream, 10) == CONTENT[100_000 + SKIP // 2 :][:10]
        assert len(files.requests) == 1


def test_a_server_without_ranges_starts_over(bench: Bench) -> None:
    """Seeks work all the same, by reading from the start or on."""
    files = Files(CONTENT, ranges=False)
    with streaming(bench, files) as (stream, _):
        stream.seek(1_400_000)
        assert exactly(stream, 10) == CONTENT[1_400_000:1_400_010]
        stream.seek(5)
        assert exactly(stream, 10) == CONTENT[5:15]
        assert len(files.requests) == 2
        assert not any("range" in r.headers for r in files.requests)


def test_a_server_that_promises_ranges_and_has_none(bench: Bench) -> None:
    """It answers a range with everything; found out once, then reading takes the place of asking."""
    files = Files(CONTENT, ranges=False)

    def silent_about_it(connection: socket.socket) -> None:
        while True:
            request = read_request(connection)
            files.requests.append(request)
            connection.sendall(response(200, CONTENT, ETag='"one"', Connection="keep-alive"))

    with streaming(bench, silent_about_it) as (stream, _):
        stream.seek(1_000_000)
        assert exactly(stream, 10) == CONTENT[1_000_000:1_000_010]
        stream.seek(1_400_000)
        assert exactly(stream, 10) == CONTENT[1_400_000:1_400_010]
        assert [r.headers.get("range") for r in files.requests] == [None, "bytes=1000000-"]


def test_chunked_answers_have_no_size_until_their_end(bench: Bench) -> None:
    """No seeking from an end that nobody knows; afterwards it is known."""
    with streaming(bench, Files(CONTENT[:20_000], chunked=True)) as (stream, _):
        assert stream.size() is None
        assert case_of(lambda: stream.seek(0, os.SEEK_END)) == "unsupported"
        assert read_all(stream) == CONTENT[:20_000]
        assert stream.size() == 20_000
        assert stream.seek(-5, os.SEEK_END) == 19_995
        assert read_all(stream) == CONTENT[19_995:20_000]


@pytest.mark.parametrize("size", [0, 1, 2, 65_535, 65_536, 65_537])
@pytest.mark.parametrize("chunked", [False, True])
def test_sizes_at_the_edges(size: int, chunked: bool, bench: Bench) -> None:
    """Nothing is lost or made up around a buffer's size."""
    with streaming(bench, Files(CONTENT[:size], chunked=chunked)) as (stream, _):
        assert read_all(stream) == CONTENT[:size]
        assert stream.read(1) == b""
        assert stream.tell() == size


def test_other_methods_send_once_and_go_forward(bench: Bench) -> None:
    """A POST is not repeated for a seek."""
    web = Web(lambda request: response(200, request.method.encode() + b" " + request.body))
    with streaming(bench, web, method=HttpMethod.POST, body=b"question") as (stream, _):
        assert case_of(lambda: stream.seek(0)) == "unsupported"
        assert read_all(stream) == b"POST question"
        assert len(web.requests) == 1


def test_head_has_a_size_and_no_body(bench: Bench) -> None:
    """Which is what one asks it for."""
    with streaming(bench, Files(CONTENT), method=HttpMethod.HEAD) as (stream, _):
        assert stream.size() == len(CONTENT)
        assert stream.read(10) == b""


def test_a_range_of_the_guests_own_is_left_alone(bench: Bench) -> None:
    """It gets those bytes, and no seeking."""
    files = Files(CONTENT)
    with streaming(bench, files, headers=(("Range", "bytes=1000-"),)) as (stream, _):
        assert exactly(stream, 10) == CONTENT[1000:1010]
        assert stream.size() == len(CONTENT) - 1000
        assert case_of(lambda: stream.seek(0)) == "unsupported"


# --- breaks ---------------------------------------------------------------------------------------------------------


def test_goes_on_after_every_break(bench: Bench) -> None:
    """A connection that is cut every 100,000 bytes gives the whole file; each range starts where the last one broke."""
    files = Files(CONTENT)
    files.break_after = 100_000
    with streaming(bench, files) as (stream, _):
        assert read_all(stream) == CONTENT
        assert len(files.requests) == 15
        starts = [int((r.headers.get("range") or "bytes=0-")[6:-1]) for r in files.requests]
        assert starts == list(range(0, 1_500_000, 100_000))


def test_goes_on_where_a_server_gives_less_than_it_was_asked_for(bench: Bench) -> None:
    """Ranges of 50,000 bytes at most, each whole in itself: the file is not over before its size is."""
    asked: list[Request] = []

    def stingy(request: Request) -> bytes:
        asked.append(request)
        start = int(request.headers.get("range", "bytes=0-")[6:-1])
        part = CONTENT[start : min(start + 50_000, 300_000)]
        span = f"bytes {start}-{start + len(part) - 1}/300000"
        return response(206, part, Content_Range=span, ETag='"x"')

    with streaming(bench, Web(stingy), HostTimeouts(read=10.0)) as (stream, _):
        assert stream.size() == 300_000
        assert read_all(stream) == CONTENT[:300_000]
        assert len(asked) == 6


def test_the_connection_is_given_back_at_the_end(bench: Bench) -> None:
    """Not only when the stream is closed: a plugin has few."""
    with Listener(Files(CONTENT[:1000])) as listener:
        url = f"http://127.0.0.1:{listener.port}"
        network = bench.network(f"local:{url}")
        stream = network.streams.open(OpenRequest(kind=StreamKind.HTTP, target=url))
        assert network.open_connections == 1
        assert exactly(stream, 1000) == CONTENT[:1000]
        assert network.open_connections == 0
        stream.close()


def test_the_end_of_a_file_without_a_size_is_found_by_asking_beyond(bench: Bench) -> None:
    """416 says where it is."""
    files = Files(CONTENT[:500_000], chunked=True)
    with streaming(bench, files) as (stream, _):
        stream.seek(900_000)
        assert stream.read(10) == b""
        assert stream.size() == 500_000
        assert stream.seek(-10, os.SEEK_END) == 499_990
        assert exactly(stream, 10) == CONTENT[499_990:500_000]


def test_a_slow_way_to_a_far_place_is_gone_in_several_reads(bench: Bench) -> None:
    """Without ranges, on a slow line: a read that timed out on the way is not for nothing."""

    def slow(connection: socket.socket) -> None:
        request = read_request(connection)
        asked.append(request)
        connection.sendall(b'HTTP/1.1 200 OK\r\nAccept-Ranges: none\r\nETag: "x"\r\nContent-Length: 1500000\r\n\r\n')
        for at in range(0, 1_500_000, 50_000):
            connection.sendall(CONTENT[at : at + 50_000])
            time.sleep(0.03)

    asked: list[Request] = []
    with streaming(bench, slow, HostTimeouts(read=0.4)) as (stream, _):
        stream.seek(1_400_000)
        cases: list[str] = []
        while not cases or cases[-1] != "ok":
            cases.append(case_of(lambda: stream.read(1)))
            assert len(cases) < 50
        assert set(cases[:-1]) == {"timeout"}
        assert stream.tell() == 1_400_001
        assert len(asked) <= 2


def test_goes_on_without_ranges_too(bench: Bench) -> None:
    """By reading past what it has, while the version is the same."""
    files = Files(CONTENT[:300_000], ranges=False)
    files.break_after = 200_000
    with streaming(bench, files) as (stream, _):
        assert exactly(stream, 200_000) == CONTENT[:200_000]
        files.break_after = None
        assert read_all(stream) == CONTENT[200_000:300_000]


@pytest.mark.parametrize("tags", ["etag", "modified", "size", "weak"])
def test_a_changed_file_is_never_mixed_in(tags: str, bench: Bench) -> None:
    """Whatever says that it is another one: the read fails, and no byte of the other one is given."""
    files = Files(CONTENT[:400_000], etag=None)
    if tags == "etag":
        files.etag = '"one"'
    elif tags == "weak":
        files.etag = 'W/"one"'
    elif tags == "modified":
        files.modified = "Thu, 01 Jan 2026 00:00:00 GMT"
    files.break_after = 200_000
    with streaming(bench, files) as (stream, _):
        assert exactly(stream, 200_000) == CONTENT[:200_000]
        files.break_after = None
        files.content = CONTENT[500_000 : 900_000 + (tags == "size")]
        if tags == "etag":
            files.etag = '"two"'
        elif tags == "weak":
            files.etag = 'W/"two"'
        elif tags == "modified":
            files.modified = "Fri, 02 Jan 2026 00:00:00 GMT"
        with pytest.raises(PluginFailure, match="changed") as failed:
            stream.read(10)
        assert failed.value.case == "io"
        assert stream.tell() == 200_000


def test_without_any_sign_of_its_version_nothing_is_resumed(bench: Bench) -> None:
    """No tag, no date, no size: it could be anything."""

    def nameless(connection: socket.socket) -> None:
        request = read_request(connection)
        if "range" in request.headers:
            connection.sendall(response(206, b"defg", Content_Range="bytes 3-6/*", Content_Length=""))
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")

    with streaming(bench, nameless) as (stream, _):
        assert exactly(stream, 3) == b"abc"
        with pytest.raises(PluginFailure, match="cannot go on"):
            stream.read(10)


@pytest.mark.parametrize(
    "content_range",
    [
        "bytes 0-6/7",
        "bytes 4-6/7",
        "bytes 3-6",
        "3-6/7",
        "bytes 3-6/x",
        "bytes */7",
        "",
        "bytes 03-6/7x",
        "items 3-6/7",
    ],
)
def test_a_wrong_range_is_refused(content_range: str, bench: Bench) -> None:
    """An answer that starts anywhere but where it was asked to is not stitched on."""

    def wrong(connection: socket.socket) -> None:
        request = read_request(connection)
        if "range" in request.headers:
            connection.sendall(response(206, b"defg", Content_Range=content_range, ETag='"x"'))
        else:
            connection.sendall(response(200, b"abcdefg", ETag='"x"')[:-4])

    with streaming(bench, wrong) as (stream, _):
        assert exactly(stream, 3) == b"abc"
        assert case_of(lambda: stream.read(10)) == "io"


def test_a_file_that_shrank_says_so(bench: Bench) -> None:
    """416 in the middle of what should be there."""
    files = Files(CONTENT[:10_000])
    files.break_after = 5000
    with streaming(bench, files) as (stream, _):
        assert exactly(stream, 5000) == CONTENT[:5000]
        files.content = CONTENT[:100]
        with pytest.raises(PluginFailure, match="no byte 5000 any more"):
            stream.read(10)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "x-unknown", "gzip, identity"])
def test_coded_bodies_are_refused(coding: str, bench: Bench) -> None:
    """Offsets in coded bytes mean nothing to a decoder."""
    web = Web(lambda request: response(200, b"x", Content_Encoding=coding))
    with Listener(web) as listener:
        url = f"http://127.0.0.1:{listener.port}"
        streams = bench.network(f"local:{url}").streams
        assert case_of(lambda: streams.open(OpenRequest(kind=StreamKind.HTTP, target=url))) == "unsupported"


def test_a_killed_server_that_comes_back_is_resumed(bench: Bench) -> None:
    """Killed in mid-stream, started again on the same port half a second later: not a byte is missing."""
    files = Files(CONTENT)

    def slowly(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        files(connection)

    first = Listener(slowly)
    url = f"http://127.0.0.1:{first.port}"
    network = bench.network(f"local:{url}", timeouts=HostTimeouts(connect=5, read=10))
    stream = network.streams.open(OpenRequest(kind=StreamKind.HTTP, target=url))
    got = exactly(stream, 10_000)
    first.stop()
    restarted: list[Listener] = []
    timer = threading.Timer(0.5, lambda: restarted.append(Listener(files, port=first.port)))
    timer.start()
    try:
        got += read_all(stream)
    finally:
        timer.join()
        stream.close()
        restarted[0].stop()
    assert got == CONTENT
    assert len(files.requests) >= 2


def test_a_killed_server_that_stays_away_is_a_clear_error_in_time(bench: Bench) -> None:
    """``timeout`` within the read's time, naming the server; the stream can be tried again later."""
    files = Files(CONTENT)
    files.break_after = 70_000
    listener = Listener(files)
    site = f"http://127.0.0.1:{listener.port}"
    stream = bench.network(f"local:{site}", timeouts=HostTimeouts(read=1.0)).streams.open(
        OpenRequest(kind=StreamKind.HTTP, target=site)
    )
    exactly(stream, 70_000)
    listener.stop()
    start = time.monotonic()
    with pytest.raises(PluginFailure, match="did not come back within 1 s") as failed:
        stream.read(10)
    assert time.monotonic() - start < 1.5
    assert failed.value.case == "timeout"
    files.break_after = None
    with Listener(files, port=listener.port):
        assert read_all(stream) == CONTENT[70_000:]
        stream.close()


def test_a_busy_server_is_asked_again(bench: Bench) -> None:
    """503 while it starts, as a proxy before it would say."""
    files = Files(CONTENT[:50_000])
    files.break_after = 20_000
    answers = iter([503, 502, 504])

    def starting(connection: socket.socket) -> None:
        if files.requests and (status := next(answers, None)):
            read_request(connection)
            connection.sendall(response(status))
            return
        files(connection)

    with streaming(bench, starting) as (stream, listener):
        assert exactly(stream, 20_000) == CONTENT[:20_000]
        assert read_all(stream) == CONTENT[20_000:50_000]
        assert listener.connections == 6


def test_a_pause_of_the_server_loses_nothing(bench: Bench) -> None:
    """A read that timed out is followed by one that goes on, on a new connection where that is safe."""
    resumed = threading.Event()

    def pausing(connection: socket.socket) -> None:
        request = read_request(connection)
        if "range" in request.headers:
            connection.sendall(response(206, b"def", Content_Range="bytes 3-5/6", ETag='"x"'))
            resumed.set()
        else:
            connection.sendall(response(200, b"abcdef", ETag='"x"')[:-3])
            until_closed(connection)

    with streaming(bench, pausing, HostTimeouts(read=0.3)) as (stream, _):
        assert exactly(stream, 3) == b"abc"
        assert case_of(lambda: stream.read(3)) == "timeout"
        assert exactly(stream, 3) == b"def"
        assert resumed.wait(10)


def test_a_live_stream_goes_on_after_a_pause(bench: Bench) -> None:
    """Without any version to come back to, the connection is kept: radio has no second chance."""
    go_on = threading.Event()

    def radio(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.0 200 OK\r\nicy-name: x\r\n\r\nabc")
        go_on.wait(10)
        connection.sendall(b"def")

    with streaming(bench, radio, HostTimeouts(read=0.3)) as (stream, listener):
        assert stream.size() is None
        assert exactly(stream, 3) == b"abc"
        assert case_of(lambda: stream.read(3)) == "timeout"
        go_on.set()
        assert exactly(stream, 3) == b"def"
        assert listener.connections == 1


def test_every_reconnection_is_judged_anew(bench: Bench) -> None:
    """A resume asks for the name again; where that now is at home, it is over."""
    files = Files(CONTENT[:10_000])
    files.break_after = 4000
    names = Names({"turns.example": []})
    names.table["turns.example"] = [["1.1.1.1"], ["127.0.0.1"]]
    with Listener(files) as listener:
        network = bench.network("host:http://turns.example", resolver=names, connector=Detour(listener.port))
        stream = network.streams.open(OpenRequest(kind=StreamKind.HTTP, target="http://turns.example/"))
        assert exactly(stream, 4000) == CONTENT[:4000]
        assert case_of(lambda: stream.read(1)) == "denied"
        assert len(files.requests) == 1
        stream.close()


# --- answers of hostile servers -------------------------------------------------------------------------------------

HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "garbage": b"\x00\x01\x02\x03" * 100,
    "no status": b"HTTP/1.1\r\n\r\n",
    "odd status": b"HTTP/1.1 2OO OK\r\n\r\n",
    "status 0": b"HTTP/1.1 000 No\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.0\r\n",
    "endless status": b"HTTP/1.1 200 " + b"x" * 100_000,
    "endless header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000,
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    "garbled head": b"HTTP/1.1 200 OK\r\nwhat is this\r\nContent-Length: 3\r\n\r\nabc",
    "folded first": b"HTTP/1.1 200 OK\r\n folded\r\nContent-Length: 3\r\n\r\nabc",
    "cut head": b"HTTP/1.1 200 OK\r\nContent-Le",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers_fail_to_open(name: str, bench: Bench) -> None:
    """With ``io``, in little time and memory."""

    def hostile(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(HOSTILE[name])

    with Listener(hostile) as listener:
        url = f"http://127.0.0.1:{listener.port}"
        streams = bench.network(f"local:{url}").streams
        assert case_of(lambda: streams.open(OpenRequest(kind=StreamKind.HTTP, target=url))) == "io"


@pytest.mark.parametrize(
    ("head", "body", "given"),
    [
        (b"Content-Length: 3", b"abcdefgh", b"abc"),
        (b"Content-Length: -3", b"abc", b"abc"),
        (b"Content-Length: 99999999999999999999", b"abc", None),
        (b"Transfer-Encoding: chunked", b"3\r\nabc\r\nZZ\r\n", None),
        (b"Transfer-Encoding: chunked", b"ffffffffffffffff\r\nabc", None),
        (b"Transfer-Encoding: chunked", b"-3\r\nabc\r\n", None),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3", b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
    ],
)
def test_hostile_bodies(head: bytes, body: bytes, given: bytes | None, bench: Bench) -> None:
    """What is announced bounds what is given; a broken frame is ``io`` (or ``timeout``, having tried again)."""
    request_of: list[Request] = []

    def hostile(connection: socket.socket) -> None:
        request_of.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body)

    with streaming(bench, hostile, HostTimeouts(read=0.5)) as (stream, _):
        if given is not None:
            assert read_all(stream) == given
        else:
            with pytest.raises(PluginFailure) as failed:
                read_all(stream)
            assert failed.value.case in {"io", "timeout"}
