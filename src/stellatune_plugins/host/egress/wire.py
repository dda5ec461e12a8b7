"""A connected socket whose every wait ends with a deadline that may change from use to use."""

from __future__ import annotations

import contextlib
import io
import select
import socket
import ssl
from collections.abc import Callable
from typing import Any

from stellatune_plugins.host.deadline import Deadline
from stellatune_plugins.host.egress.failures import ConnectionLost


class Wire:
    """Plain or TLS, a stream or datagrams. One thread uses it; a cancel from another ends its waits.

    Args:
        sock: connected; the wire closes it.
        peer: whom it is connected to, for messages.
        deadline: of the first use.
        on_closed: called once.
    """

    def __init__(self, sock: socket.socket, peer: str, deadline: Deadline, on_closed: Callable[[], None]) -> None:
        self._sock = sock
        self._peer = peer
        self._on_closed = on_closed
        self._closed = False
        self.deadline = deadline
        self._forget = deadline.cancel.on_set(self._wake)

    def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Shake hands, and verify that the certificate is the name's."""
        try:
            self._sock.settimeout(self.deadline.left())
            tls = context.wrap_socket(self._sock, server_hostname=name, do_handshake_on_connect=False)
            self._sock = tls
            self.deadline.check()  # a cancel that came while neither socket had the descriptor woke nobody
            tls.do_handshake()
        except TimeoutError as error:
            raise self.deadline.failure() from error
        except ssl.SSLCertVerificationError as error:
            self.deadline.check()
            raise ConnectionLost(f"the certificate of {self._peer} is not trusted: {error.verify_message}") from error
        except (OSError, ValueError) as error:
            self.deadline.check()
            raise ConnectionLost(f"the TLS handshake with {self._peer} failed: {error}") from error

    def recv_into(self, buffer: Any) -> int:
        """Bytes received; 0 at the end of a stream."""
        if self._sock.type is socket.SOCK_DGRAM:
            # The shutdown that a cancel does wakes a poll here, but no receive: that would only find nothing.
            self.wait_readable(self.deadline)
        try:
            self._sock.settimeout(self.deadline.left())
            count = self._sock.recv_into(buffer)
        except TimeoutError as error:
            raise self.deadline.failure() from error
        except OSError as error:
            self.deadline.check()
            raise ConnectionLost(f"the connection to {self._peer} broke: {_reason(error)}") from error
        if count == 0 and self.deadline.cancel.is_set:
            self.deadline.check()
        return count

    def wait_readable(self, deadline: Deadline) -> None:
        """Wait until there is something to receive, or the end."""
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        if not poll.poll(deadline.left() * 1000):
            raise deadline.failure()
        deadline.check()

    def send_all(self, data: Any) -> None:
        """Send all bytes, or one datagram."""
        view = memoryview(data).cast("B")
        try:
            while True:
                self._sock.settimeout(self.deadline.left())
                view = view[self._sock.send(view) :]
                if not view:
                    return
        except TimeoutError as error:
            raise self.deadline.failure() from error
        except OSError as error:
            self.deadline.check()
            raise ConnectionLost(f"the connection to {self._peer} broke: {_reason(error)}") from error

    def close(self) -> None:
        """May be called again; not while another thread uses the wire."""
        if self._closed:
            return
        self._closed = True
        self._forget()
        self._sock.close()
        self._on_closed()

    def _wake(self) -> None:
        # The plain socket's shutdown, under TLS too: SSLSocket's own would take its TLS off beneath the reader.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)


class _Raw(io.RawIOBase):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.dry = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        return None if self.dry else self._wire.recv_into(buffer)


class HttpSocket:
    """A wire as :mod:`http.client` wants its socket. Closing it leaves the wire open: its owner closes that."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._raw = _Raw(wire)
        self._file = io.BufferedReader(self._raw, 64 * 1024)

    def is_dry(self) -> bool:
        """Whether nothing that was received is still to be read."""
        if self._file.closed:
            return False
        self._raw.dry = True
        try:
            return not self._file.peek(1)
        finally:
            self._raw.dry = False

    def makefile(self, mode: str) -> Any:  # noqa: ARG002 - always "rb"
        return self._file

    def sendall(self, data: Any) -> None:
        self._wire.send_all(data)

    def settimeout(self, seconds: Any) -> None:
        """The wire's deadline counts."""

    def close(self) -> None:
        """See the class."""


def connect_socket(address: str, port: int, kind: socket.SocketKind, deadline: Deadline) -> socket.socket:
    """The usual connector."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    forget = deadline.cancel.on_set(lambda: _shut(sock))
    try:
        sock.settimeout(deadline.left())
        if kind is socket.SOCK_STREAM:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect((address, port))
        deadline.check()
    except TimeoutError as error:
        sock.close()
        raise deadline.failure() from error
    except BaseException:
        sock.close()
        raise
    finally:
        forget()
    return sock


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
