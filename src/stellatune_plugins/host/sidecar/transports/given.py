"""Endpoints of a sidecar's own making: the plugin names one in the environment, the sidecar listens, the host connects.

A plugin could name any socket of the machine and have the host, which is in no sandbox, connect to it. So a Unix socket
must lie beneath the plugin's data folder, looked up step by step without links, and a port of this machine must be
granted.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar.interface import SidecarChannel
from stellatune_plugins.host.sidecar.transports.endpoint import Endpoint
from stellatune_plugins.host.sidecar.transports.fd_channel import FdChannel, Lane
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.package.manifest import TransportKind

_LOOPBACK: Final = "127.0.0.1"
_NOT_YET: Final = {errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN}
_CONNECT_SECONDS: Final = 0.05
"""A listener on this machine answers at once, or its queue is full."""


def _never(_port: int) -> bool:
    return False


class GivenRules(msgspec.Struct, frozen=True, kw_only=True):
    """Where the host connects to when a plugin says so; nowhere by default."""

    folder: Path | None = None
    """Unix sockets beneath it."""
    may_connect: Callable[[int], bool] = _never
    """Ports of the loopback interface."""


class GivenEndpoint(Endpoint):
    """Opens as often as the sidecar accepts.

    Args:
        kind: ``unix-socket`` or ``loopback-tcp``; others cannot be given, which opening says.
        text: the endpoint.
        rules: what is allowed.
        timeouts: how long channels wait.
    """

    def __init__(self, kind: TransportKind, text: str, rules: GivenRules, timeouts: HostTimeouts) -> None:
        super().__init__()
        self.kind = kind
        self._text = text
        self._rules = rules
        self._timeouts = timeouts

    def try_open(self) -> SidecarChannel | None:
        peer = self._live_peer()
        if self.kind not in {TransportKind.UNIX_SOCKET, TransportKind.LOOPBACK_TCP}:
            raise PluginFailure("unsupported", f"the host makes the endpoints of {self.kind}")
        try:
            sock = self._connect_unix() if self.kind is TransportKind.UNIX_SOCKET else self._connect_tcp()
        except TimeoutError:
            return None
        except OSError as error:
            if error.errno in _NOT_YET:
                return None
            raise PluginFailure("io", f"no connection to the sidecar: {error.strerror or error}") from error
        return FdChannel(self.kind, Lane.over(sock, peer), self._timeouts)

    def close(self) -> None:
        self._closed = True

    def _connect_unix(self) -> socket.socket:
        folder = self._rules.folder
        path = Path(self._text)
        if folder is None or not path.is_relative_to(folder) or path == folder or ".." in path.parts:
            raise PluginFailure("denied", "a sidecar's socket must lie in the plugin's data folder")
        found = _socket_beneath(folder, path.relative_to(folder).parts)
        try:
            return _connected(socket.AF_UNIX, f"/proc/self/fd/{found}")
        finally:
            os.close(found)

    def _connect_tcp(self) -> socket.socket:
        host, _, port = self._text.rpartition(":")
        if (
            host not in {_LOOPBACK, "localhost"}
            or not port.isascii()
            or not port.isdigit()
            or not 0 < int(port) < 65536
        ):
            raise PluginFailure("invalid-arg", f"{self._text[:80]!r} is no port of the loopback interface")
        if not self._rules.may_connect(int(port)):
            raise PluginFailure("denied", f"connecting to {_LOOPBACK}:{port} is not granted")
        return _connected(socket.AF_INET, (_LOOPBACK, int(port)))


def _socket_beneath(folder: Path, parts: tuple[str, ...]) -> int:
    """The socket's own descriptor (``O_PATH``), so that what was looked at is what is connected to."""
    at = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in parts:
        try:
            following = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        finally:
            os.close(at)
        at = following
    if not stat.S_ISSOCK(os.fstat(at).st_mode):
        os.close(at)
        raise PluginFailure("denied", "a sidecar's socket must be one, not a link to one")
    return at


def _connected(family: int, address: str | tuple[str, int]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(_CONNECT_SECONDS)
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock
