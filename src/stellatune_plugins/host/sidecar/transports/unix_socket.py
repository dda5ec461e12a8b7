"""A stream socket in the private folder; the host listens, the sidecar connects."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import Final

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar.interface import SidecarChannel
from stellatune_plugins.host.sidecar.transports.endpoint import Endpoint
from stellatune_plugins.host.sidecar.transports.fd_channel import FdChannel, Lane
from stellatune_plugins.host.sidecar.transports.negotiate import Purpose
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.package.manifest import TransportKind

_WAITING: Final = 8
"""Connections that may wait for their ``open``."""
_CREDENTIALS: Final = struct.Struct("=iII")


class UnixSocketEndpoint(Endpoint):
    """Opens as often as the sidecar connects: the n-th ``open`` gets the n-th connection."""

    kind = TransportKind.UNIX_SOCKET

    def __init__(self, purpose: Purpose, folder: Path, timeouts: HostTimeouts) -> None:
        super().__init__()
        self._timeouts = timeouts
        path = folder / f"{purpose.file_name}.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.setblocking(False)
            self._socket.bind(str(path))
            self.paths = (path,)
            path.chmod(0o600)
            self._socket.listen(_WAITING)
        except OSError as error:
            self.close()
            # A path that is too long has no errno.
            raise PluginFailure("io", f"no socket for the sidecar: {error.strerror or error}") from error
        self.environment = dict.fromkeys(purpose.variables(self.kind), str(path))

    def try_open(self) -> SidecarChannel | None:
        peer = self._live_peer()
        while True:
            try:
                sock, _ = self._socket.accept()
            except BlockingIOError:
                return None
            except OSError as error:
                raise PluginFailure("io", f"no connection to the sidecar: {error.strerror}") from error
            if _is_ours(sock):
                return FdChannel(self.kind, Lane.over(sock, peer), self._timeouts)
            sock.close()

    def close(self) -> None:
        self._closed = True
        self._socket.close()
        for path in self.paths:
            with contextlib.suppress(OSError):
                path.unlink()


def _is_ours(sock: socket.socket) -> bool:
    """Whether a process of this user connected: the folder's mode says so already, this does not depend on it."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(raw)
    return user in {os.geteuid(), 0}
