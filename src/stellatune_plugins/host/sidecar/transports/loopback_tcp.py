"""A TCP connection over the loopback interface, which any local user could make: so the sidecar shows a token first."""

from __future__ import annotations

import contextlib
import hmac
import secrets
import socket
import time
from typing import Final

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar.interface import SidecarChannel
from stellatune_plugins.host.sidecar.transports.endpoint import Endpoint
from stellatune_plugins.host.sidecar.transports.fd_channel import FdChannel, Lane
from stellatune_plugins.host.sidecar.transports.negotiate import Purpose
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.package.manifest import TransportKind

_TOKEN_BYTES: Final = 32
_LINE: Final = 2 * _TOKEN_BYTES + 1
"""The token in hexadecimal digits, and a line feed."""
_STRANGERS: Final = 32
"""Connections whose token is awaited at a time; the oldest gives way."""
_PATIENCE: Final = 2.0
"""Seconds that one may take to show its token."""


class _Visitor:
    """A connection that has not shown the token yet."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.line = b""
        self.until = time.monotonic() + _PATIENCE

    def is_welcome(self, token: bytes) -> bool | None:
        """``None`` where it is too early to tell. Reads the token's line and not a byte more."""
        try:
            data = self.sock.recv(_LINE - len(self.line))
        except BlockingIOError:
            return None if time.monotonic() < self.until else False
        except OSError:
            return False
        self.line += data
        if not data:
            return False
        return hmac.compare_digest(self.line, token) if len(self.line) == _LINE else None


class LoopbackTcpEndpoint(Endpoint):
    """Opens once: the token is spent with it, and the port is closed.

    The endpoint is ``127.0.0.1:<port>``; the token is in the variable of the same name with ``_TOKEN`` behind it. The
    sidecar sends it with a line feed before anything else. Whoever sends something else is dropped without an answer,
    and nobody waits for whoever sends nothing.
    """

    kind = TransportKind.LOOPBACK_TCP
    needs_network = True

    def __init__(self, purpose: Purpose, timeouts: HostTimeouts) -> None:
        super().__init__()
        self._timeouts = timeouts
        self._visitors: list[_Visitor] = []
        self._opened = False
        token = secrets.token_hex(_TOKEN_BYTES)
        self._token = f"{token}\n".encode()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.setblocking(False)
            self._socket.bind(("127.0.0.1", 0))
            self._socket.listen(_STRANGERS)
            port = self._socket.getsockname()[1]
        except OSError as error:
            self.close()
            raise PluginFailure("io", f"no port for the sidecar: {error.strerror}") from error
        names = purpose.variables(self.kind)
        self.environment = dict.fromkeys(names, f"127.0.0.1:{port}")
        self.environment |= {f"{name}_TOKEN": token for name in names}

    def try_open(self) -> SidecarChannel | None:
        peer = self._live_peer()
        if self._opened:
            raise PluginFailure("unsupported", "the sidecar's connection is in use")
        self._let_in()
        for visitor in list(self._visitors):
            welcome = visitor.is_welcome(self._token)
            if welcome is None:
                continue
            self._visitors.remove(visitor)
            if not welcome:
                visitor.sock.close()
                continue
            self._opened = True
            self._hang_up()
            visitor.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return FdChannel(self.kind, Lane.over(visitor.sock, peer), self._timeouts)
        return None

    def close(self) -> None:
        self._closed = True
        self._hang_up()

    def _let_in(self) -> None:
        try:
            for _ in range(_STRANGERS):
                sock, _address = self._socket.accept()
                self._visitors.append(_Visitor(sock))
                if len(self._visitors) > _STRANGERS:
                    self._visitors.pop(0).sock.close()
        except BlockingIOError:
            pass
        except OSError as error:
            raise PluginFailure("io", f"no connection to the sidecar: {error.strerror}") from error

    def _hang_up(self) -> None:
        self._socket.close()
        while self._visitors:
            with contextlib.suppress(OSError):
                self._visitors.pop().sock.close()
