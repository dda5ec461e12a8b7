"""Servers on the loopback interface that behave, or misbehave, as a test says."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

Handler = Callable[[socket.socket], None]


class Listener:
    """Calls a function with each connection, in a thread of its own; counts them; leaves nothing behind.

    Args:
        handler: gets the connection, which is closed after it. What it raises of OSError is a peer that went away.
        port: 0 for any.
        tls: wraps each connection.
    """

    def __init__(self, handler: Handler, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """As if killed: every connection is reset, nobody listens any more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(10)
        self._socket.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a handler does not end with its connection"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with self._lock:
                self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            try:
                if self._tls is None:
                    self._handler(connection)
                else:
                    with self._lock:
                        self._open.discard(connection)
                        plain, connection = (
                            connection,
                            self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False),
                        )
                        plain.close()
                        self._open.add(connection)
                    connection.do_handshake()
                    self._handler(connection)
            finally:
                with self._lock:
                    self._open.discard(connection)
                    connection.close()


def until_closed(connection: socket.socket) -> None:
    """Wait for the peer to go away."""
    with contextlib.suppress(OSError):
        while connection.recv(4096):
            pass


class Request(NamedTuple):
    """What a client asked for."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def read_request(connection: socket.socket) -> Request:
    """The next request; EOFError where there is none."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise EOFError
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    return Request(method, target, headers, body)


def response(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A whole answer. ``Content_Type="..."``: underscores stand for hyphens; an empty value drops a header."""
    fields = {"Content-Length": str(len(body)), "Connection": "close"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in fields.items() if value)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Web:
    """Answers each request by a function of it, and remembers them. Several requests a connection."""

    def __init__(self, answer: Callable[[Request], bytes]) -> None:
        self._answer = answer
        self.requests: list[Request] = []

    def __call__(self, connection: socket.socket) -> None:
        while True:
            request = read_request(connection)
            self.requests.append(request)
            answer = self._answer(request)
            connection.sendall(answer)
            if b"Connection: close" in answer:
                return


class Files:
    """Serves one content as careful web servers do. The attributes may be changed while it serves.

    Args:
        content: what.
        ranges: whether ``Range`` is understood.
        chunked: without a length.
        etag: ``None`` for none.
    """

    def __init__(
        self, content: bytes, *, ranges: bool = True, chunked: bool = False, etag: str | None = '"one"'
    ) -> None:
        self.content = content
        self.ranges = ranges
        self.chunked = chunked
        self.etag = etag
        self.modified: str | None = None
        self.break_after: int | None = None
        """Bytes of a body after which the connection is cut, each time."""
        self.requests: list[Request] = []

    def __call__(self, connection: socket.socket) -> None:
        while True:
            request = read_request(connection)
            self.requests.append(request)
            self._answer(connection, request)

    def _answer(self, connection: socket.socket, request: Request) -> None:
        total = len(self.content)
        start = 0
        wanted = request.headers.get("range")
        condition = request.headers.get("if-range")
        fresh = condition is None or condition in {self.etag, self.modified}
        head: dict[str, str] = {"Content-Type": "audio/x"}
        if self.etag is not None:
            head["ETag"] = self.etag
        if self.modified is not None:
            head["Last-Modified"] = self.modified
        status = 200
        if wanted is not None and self.ranges and fresh:
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            status = 206 if start < total else 416
            head["Content-Range"] = f"bytes {start}-{total - 1}/{total}" if status == 206 else f"bytes */{total}"
        head["Accept-Ranges"] = "bytes" if self.ranges else "none"
        body = b"" if status == 416 else self.content[start:]
        if self.chunked:
            head["Transfer-Encoding"] = "chunked"
            body = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in _chunks(body)) + b"0\r\n\r\n"
        else:
            head["Content-Length"] = str(len(body))
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in head.items())]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        if request.method == "HEAD":
            return
        if self.break_after is not None:
            connection.sendall(body[: self.break_after])
            raise EOFError
        connection.sendall(body)


def _chunks(body: bytes) -> Iterator[bytes]:
    for at in range(0, len(body), 7000):
        yield body[at : at + 7000]


def gzipped(data: bytes, level: int = 9) -> bytes:
    """As a server sends it under ``Content-Encoding: gzip``."""
    packer = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


class Authority(NamedTuple):
    """A certificate authority of a test: nobody else trusts it, nothing of it outlives the test."""

    folder: Path

    def client(self) -> ssl.SSLContext:
        """Trusts this authority alone."""
        return ssl.create_default_context(cafile=self.folder / "ca.pem")

    def server(self, *names: str) -> ssl.SSLContext:
        """With a certificate for these names (``DNS:...``, ``IP:...``), made once."""
        stem = self.folder / names[0].replace(":", "-").replace("*", "any")
        if not Path(f"{stem}.pem").exists():
            self._certify(stem, names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{stem}.pem", f"{stem}.key")
        return context

    def _certify(self, stem: Path, names: tuple[str, ...]) -> None:
        config = self.folder / "extensions.cnf"
        config.write_text(f"subjectAltName={','.join(names)}\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=server",
                 "-keyout", f"{stem}.key", "-out", f"{stem}.csr")  # fmt: skip
        _openssl("x509", "-req", "-in", f"{stem}.csr", "-CA", f"{self.folder}/ca.pem", "-CAkey",
                 f"{self.folder}/ca.key", "-CAcreateserial", "-days", "2", "-extfile", str(config),
                 "-out", f"{stem}.pem")  # fmt: skip


def make_authority(folder: Path) -> Authority:
    """Needs the program ``openssl``."""
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=test authority", "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    return Authority(folder)


def _openssl(*args: str) -> None:
    subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=60)  # noqa: S607 - found by the PATH
