"""HTTP and HTTPS streams: read ahead, seek by ranges, go on after a dropped connection."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.deadline import Cancel, Deadline
from stellatune_plugins.host.egress import (
    ConnectionLost,
    Exchange,
    WebClient,
    WebRequest,
    check_status,
    checked_headers,
    parse_url,
)
from stellatune_plugins.host.stream.base import GuestStream, only_forward, target
from stellatune_plugins.host.stream.interface import OpenRequest
from stellatune_plugins.host.stream.version import Version
from stellatune_plugins.host.stream.waits import Waits
from stellatune_plugins.host.stream.window import Window
from stellatune_plugins.package.paths import shown

MAX_BODY: Final = 8 * 1024 * 1024
CHUNK: Final = 64 * 1024
SKIP: Final = 256 * 1024
"""Bytes that a seek forward reads and drops; a new request takes longer than these."""
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0

_UNSATISFIED = re.compile(r"bytes \*/(\d{1,18})", re.ASCII)
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)


class HttpStreams:
    """Opens HTTP streams for one plugin, each of which ends with the owner, even while it opens."""

    def __init__(self, client: WebClient, owner: Cancel) -> None:
        self._client = client
        self._owner = owner

    def open(self, request: OpenRequest, waits: Waits) -> HttpStream:
        """Send the request; gives the stream once the answer's head is there.

        Raises:
            PluginFailure: any case.
        """
        method = (request.method or "get").upper()
        if request.body is not None and len(request.body) > MAX_BODY:
            raise PluginFailure("invalid-arg", f"the body is longer than {MAX_BODY} bytes")
        web = WebRequest(
            method=method,
            url=parse_url(request.target),
            headers=checked_headers(request.headers),
            body=request.body,
        )
        stream = HttpStream(self._client, web, waits)
        stream.belong_to(self._owner)
        with stream.opening():
            stream.start()
        return stream


class HttpStream(GuestStream):
    """The body of an answer. Only a plain GET seeks and resumes: nothing else may be sent twice."""

    def __init__(self, client: WebClient, request: WebRequest, waits: Waits) -> None:
        super().__init__()
        self._client = client
        self._request = request
        self._waits = waits
        self._again = request.method == "GET" and request.body is None and "range" not in request.headers
        self._exchange: Exchange | None = None
        self._version = Version(None, None, None)
        self._size_known: int | None = None
        self._window = Window()
        self._position = 0
        self._has_ranges = True
        self._has_body = True

    def start(self) -> None:
        """Send the request for the first time."""
        whole = Deadline(self._waits.connect + self._waits.read, f"{self._request.url.site}'s answer", self.cancel)
        exchange = self._exchange = self._client.request(self._request, self._waits.connect, whole)
        check_status(exchange)
        _check_coding(exchange)
        size = exchange.length
        if self._again and exchange.status == 206:
            size = _range_from(exchange, 0)
        self._version = Version.of(exchange, size)
        self._size_known = size
        self._has_ranges = (exchange.header("accept-ranges") or "").strip().lower() != "none"
        self._has_body = self._request.method != "HEAD" and exchange.status not in {204, 205}
        if not self._has_body:
            self._drop()

    # --- reading ----------------------------------------------------------------------------------------------------

    def _read(self, max_bytes: int) -> bytes:
        data = self._window.get(self._position, max_bytes)
        if not data and not self._at_end():
            self._fill()
            data = self._window.get(self._position, max_bytes)
        self._position += len(data)
        return data

    def _at_end(self) -> bool:
        return not self._has_body or (self._size_known is not None and self._position >= self._size_known)

    def _fill(self) -> None:
        """Get the byte at the position into the window, or find out that it is the end."""
        deadline = Deadline(self._waits.read, f"reading from {self._request.url.site}", self.cancel)
        pause = FIRST_PAUSE
        while True:
            try:
                return self._come_to_position(deadline)
            except ConnectionLost as lost:
                self._drop()
                if not self._again:
                    raise
                self._pause(deadline, pause, lost)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _pause(self, deadline: Deadline, seconds: float, lost: ConnectionLost) -> None:
        """Before trying again. Where no time is left for that, say what the matter is."""
        try:
            deadline.sleep(seconds)
        except PluginFailure as failure:
            if failure.case != "timeout":
                raise
            message = f"{lost}, and did not come back within {self._waits.read:.3g} s"
            raise PluginFailure("timeout", message) from lost

    def _come_to_position(self, deadline: Deadline) -> None:
        ahead = self._position - self._window.end
        if self._exchange is None or ahead < 0 or (ahead > SKIP and self._has_ranges):
            self._reopen(deadline)
        came = False
        while self._window.end <= self._position and not self._at_end():
            came = self._receive(deadline, is_alive=came)

    def _receive(self, deadline: Deadline, *, is_alive: bool) -> bool:
        """Add to the window; true where something came.

        Args:
            deadline: of the waiting.
            is_alive: whether something came just before, so that a time-out is no reason to ask anew.
        """
        assert self._exchange is not None  # noqa: S101 - see _come_to_position
        try:
            # Waiting outside of the answer's own reading: a time-out there would break it for good.
            self._exchange.wait(deadline)
        except PluginFailure:
            if self._again and self._version.says_something and not is_alive:
                self._drop()  # the next read asks anew, in case this connection is dead
            raise
        size = self._size_known
        try:
            data = self._exchange.read(CHUNK if size is None else min(CHUNK, size - self._window.end), deadline)
        except BaseException:
            self._drop()
            raise
        self._window.put(data)
        if not data and size is not None:
            raise ConnectionLost(f"{self._request.url.site} stopped {size - self._window.end} bytes before the end")
        if not data:
            self._size_known = self._window.end
        if self._window.end == self._size_known:
            self._drop()  # nothing more comes, and somebody else may want the connection
        return bool(data)

    # --- asking again -----------------------------------------------------------------------------------------------

    def _reopen(self, deadline: Deadline) -> None:
        """Ask for the resource from the position on; it must be the one that it was."""
        self._drop()
        if not self._again:
            raise ConnectionLost(f"{self._request.url.site} broke off, and this request is not sent twice")
        at = self._position if self._has_ranges else 0
        exchange = self._client.request(self._from(at), self._waits.connect, deadline)
        if exchange.status == 416 and self._size_known is None:
            # Beyond the end, which is how one learns where that is.
            exchange.close()
            match = _UNSATISFIED.fullmatch((exchange.header("content-range") or "").strip())
            if match is not None and int(match[1]) <= at:
                self._size_known = int(match[1])
                return
        try:
            self._window.restart(self._resumed(exchange, at))
        except BaseException:
            exchange.close()
            raise
        self._exchange = exchange

    def _from(self, at: int) -> WebRequest:
        headers = dict(self._request.headers)
        if at > 0:
            headers["range"] = f"bytes={at}-"
            if self._version.condition is not None:
                headers["if-range"] = self._version.condition
        return msgspec.structs.replace(self._request, headers=headers)

    def _resumed(self, exchange: Exchange, at: int) -> int:
        """Where an answer starts; it is of the same version, or this raises."""
        if exchange.status == 416:
            raise PluginFailure("io", f"{exchange.url.site} has no byte {at} any more")
        check_status(exchange)
        _check_coding(exchange)
        start, size = 0, exchange.length
        if exchange.status == 206:
            start, size = at, _range_from(exchange, at)
        later = Version.of(exchange, size)
        if not self._version.fits(later) and (start > 0 or at > 0 or self._version.says_something):
            raise PluginFailure("io", f"the stream from {exchange.url.site} cannot go on: what is there has changed")
        if exchange.status == 200 and at > 0:
            self._has_ranges = False
        return start

    def _drop(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.close()

    # --- the rest ---------------------------------------------------------------------------------------------------

    def _seek(self, offset: int, whence: int) -> int:
        if not self._again:
            only_forward()
        # Nothing is asked for before the next read: players look at both ends of a file and come back.
        self._position = target(offset, whence, self._position, self._size_known)
        return self._position

    def _tell(self) -> int:
        return self._position

    def _size(self) -> int | None:
        return self._size_known

    def _put_away(self) -> None:
        self._drop()


def _range_from(exchange: Exchange, at: int) -> int | None:
    """The whole size that a partial answer names; it starts where it should, or this raises."""
    match = _RANGE.fullmatch((exchange.header("content-range") or "").strip())
    if match is None or int(match[1]) != at:
        raise PluginFailure("io", f"{exchange.url.site} answered with another range than was asked for")
    return None if match[3] == "*" else int(match[3])


def _check_coding(exchange: Exchange) -> None:
    coding = (exchange.header("content-encoding") or "identity").strip().lower()
    if coding not in {"", "identity"}:
        raise PluginFailure("unsupported", f"{exchange.url.site} sent its answer as {shown(coding)}, unasked")
    if exchange.status == 206 and (exchange.header("content-type") or "").lower().startswith("multipart/"):
        raise PluginFailure("unsupported", f"{exchange.url.site} answered with several ranges")
