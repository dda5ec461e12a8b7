"""A pair of FIFOs in the private folder. Duplex pipes (Windows) would stand behind the same class, under one name."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar.interface import SidecarChannel
from stellatune_plugins.host.sidecar.transports.endpoint import Endpoint
from stellatune_plugins.host.sidecar.transports.fd_channel import FdChannel, Lane
from stellatune_plugins.host.sidecar.transports.negotiate import Purpose, pair_text
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.package.manifest import TransportKind


class NamedPipeEndpoint(Endpoint):
    """The endpoint's text names both, seen from the host, as for a ring: ``tx=<file>;rx=<file>``.

    The sidecar opens ``tx`` for reading, then ``rx`` for writing; the host waits for the first. Opens once.

    The sidecar may write to the folder, so the host never opens a path in it once the sidecar runs: by then a link to
    any other file may be in the pipe's place.
    """

    kind = TransportKind.NAMED_PIPE

    def __init__(self, purpose: Purpose, folder: Path, timeouts: HostTimeouts) -> None:
        super().__init__()
        self._timeouts = timeouts
        self._opened = False
        self._tx, self._rx = (folder / f"{purpose.file_name}.{end}" for end in ("tx", "rx"))
        self._read_fd = -1
        self._tx_place = -1
        """The pipe to the sidecar itself, whatever becomes of its name."""
        try:
            for path in (self._tx, self._rx):
                os.mkfifo(path, 0o600)
                self.paths = (*self.paths, path)
            self._tx_place = os.open(self._tx, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            # Before the sidecar opens its end: a writer's open waits for a reader.
            self._read_fd = os.open(self._rx, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self.close()
            raise PluginFailure("io", f"no pipe for the sidecar: {error.strerror}") from error
        self.environment = dict.fromkeys(purpose.variables(self.kind), pair_text(str(self._tx), str(self._rx)))

    def try_open(self) -> SidecarChannel | None:
        peer = self._live_peer()
        if self._opened:
            raise PluginFailure("unsupported", "the sidecar's pipe is in use")
        try:
            write_fd = os.open(f"/proc/self/fd/{self._tx_place}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return None
            raise PluginFailure("io", f"no pipe to the sidecar: {error.strerror}") from error
        self._opened = True
        read_fd, self._read_fd = self._read_fd, -1
        self._forget_place()

        def close() -> None:
            os.close(read_fd)
            os.close(write_fd)

        return FdChannel(self.kind, Lane(read_fd, write_fd, peer, close), self._timeouts)

    def close(self) -> None:
        self._closed = True
        fd, self._read_fd = self._read_fd, -1
        if fd >= 0:
            os.close(fd)
        self._forget_place()
        for path in self.paths:
            with contextlib.suppress(OSError):
                path.unlink()

    def _forget_place(self) -> None:
        fd, self._tx_place = self._tx_place, -1
        if fd >= 0:
            os.close(fd)
