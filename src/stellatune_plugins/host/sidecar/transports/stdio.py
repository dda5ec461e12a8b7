"""The sidecar's standard input and output."""

from __future__ import annotations

import contextlib
import os
import select

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar.interface import SidecarChannel
from stellatune_plugins.host.sidecar.transports.door import CLOSED
from stellatune_plugins.host.sidecar.transports.endpoint import Endpoint
from stellatune_plugins.host.sidecar.transports.fd_channel import FdChannel, Lane
from stellatune_plugins.host.sidecar.transports.peer import Peer
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.package.manifest import TransportKind


class StdioEndpoint(Endpoint):
    """Two pipes that exist whether anybody speaks over them or not, since closing stdin is how a sidecar is stopped.

    Every opened channel is another view of the same two pipes; closing one of them closes no pipe.
    """

    kind = TransportKind.STDIO
    immediate = True

    def __init__(self, timeouts: HostTimeouts) -> None:
        super().__init__()
        self._timeouts = timeouts
        self._lane: Lane | None = None
        self.stdin, self._to_child = os.pipe2(os.O_CLOEXEC)
        try:
            self._from_child, self.stdout = os.pipe2(os.O_CLOEXEC)
        except OSError:
            _close(self.stdin, self._to_child)
            raise
        os.set_blocking(self._to_child, False)
        os.set_blocking(self._from_child, False)

    def started(self, peer: Peer) -> None:
        super().started(peer)
        self._close_childs_ends()
        self._lane = Lane(self._from_child, self._to_child, peer, self._close_output, close_writing=self._close_input)

    def try_open(self) -> SidecarChannel:
        self._live_peer()
        if self._lane is None or self._lane.door.closed:
            raise PluginFailure("io", CLOSED)
        return FdChannel(self.kind, self._lane, self._timeouts, shared=True)

    def spoken_on(self, endpoint: Endpoint) -> bool:
        """Whether ``endpoint`` is this one, and the sidecar has written something to its stdout."""
        lane = self._lane
        if endpoint is not self or lane is None:
            return False
        poll = select.poll()
        with contextlib.suppress(PluginFailure), lane.door:
            poll.register(self._from_child, select.POLLIN)
            return any(events & select.POLLIN for _, events in poll.poll(0))
        return False

    def close_stdin(self) -> None:
        """The sidecar reads the end of its input; what it still says can be read. May be called again."""
        if self._lane is not None:
            self._lane.close_writing()

    def close(self) -> None:
        self._closed = True
        self._close_childs_ends()
        if self._lane is None:
            self._close_input()
            self._close_output()
        else:
            self._lane.close()

    def _close_childs_ends(self) -> None:
        ends, self.stdin, self.stdout = (self.stdin, self.stdout), -1, -1
        _close(*ends)

    def _close_input(self) -> None:
        fd, self._to_child = self._to_child, -1
        _close(fd)

    def _close_output(self) -> None:
        fd, self._from_child = self._from_child, -1
        _close(fd)


def _close(*fds: int) -> None:
    for fd in fds:
        if fd >= 0:
            os.close(fd)
