"""All streams of one plugin."""

from __future__ import annotations

from typing import Final

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.blocking import BlockingCalls
from stellatune_plugins.host.deadline import Cancel
from stellatune_plugins.host.egress import EgressGuard, Slots, WebClient
from stellatune_plugins.host.stream.base import GuestStream
from stellatune_plugins.host.stream.files import FileStreams
from stellatune_plugins.host.stream.http import HttpStreams
from stellatune_plugins.host.stream.interface import HostStream, OpenRequest, StreamKind
from stellatune_plugins.host.stream.paths import FileAuthority
from stellatune_plugins.host.stream.sockets import SocketStreams
from stellatune_plugins.host.stream.waits import Waits
from stellatune_plugins.host.timeouts import HostTimeouts

MAX_STREAMS: Final = 64
"""Open at once, of all kinds. A decoder needs one; a source that plays gapless two or three."""
MAX_TARGET: Final = 16 * 1024


class GuestStreams:
    """Opens streams of every kind for one plugin, and closes what is left of them.

    Args:
        authority: which files it may read.
        guard: where it may connect to.
        client: HTTP through that guard.
        calls: threads for what may hang.
        timeouts: of everything.
        limit: streams open at once.
    """

    def __init__(
        self,
        authority: FileAuthority,
        guard: EgressGuard,
        client: WebClient,
        calls: BlockingCalls,
        timeouts: HostTimeouts,
        limit: int = MAX_STREAMS,
    ) -> None:
        self._timeouts = timeouts
        self._end = Cancel()
        self._files = FileStreams(authority, timeouts, calls, self._end)
        self._http = HttpStreams(client, self._end)
        self._sockets = SocketStreams(guard, self._end)
        self._slots = Slots(limit, "open streams")

    def open(self, request: OpenRequest) -> HostStream:
        """Open a stream.

        Raises:
            PluginFailure: any case.
        """
        if len(request.target) > MAX_TARGET:
            raise PluginFailure("invalid-arg", f"the target is longer than {MAX_TARGET} characters")
        waits = Waits.of(request, self._timeouts)
        give_back = self._slots.take()
        try:
            stream = self._of_kind(request, waits)
        except BaseException:
            give_back()
            raise
        stream.when_closed(give_back)
        return stream

    def close(self) -> None:
        """Close every stream, those that are still being opened as well. May be called again, and from any thread."""
        self._end.set()

    def _of_kind(self, request: OpenRequest, waits: Waits) -> GuestStream:
        if request.kind is StreamKind.FILE:
            return self._files.open(request)
        if request.kind is StreamKind.HTTP:
            return self._http.open(request, waits)
        return self._sockets.open(request, waits)
