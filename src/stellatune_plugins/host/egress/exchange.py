"""HTTP through the guard: one request and its answer, redirects followed with each hop judged anew.

urllib3 speaks the protocol, on a connection that the guard made; its pools, redirects, retries and proxies stay unused.
"""

from __future__ import annotations

import email.errors
import http.client
from collections.abc import Mapping
from typing import Final

import msgspec
import urllib3
from urllib3.connection import HTTPConnection

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.deadline import Deadline
from stellatune_plugins.host.egress.failures import ConnectionLost
from stellatune_plugins.host.egress.guard import EgressGuard
from stellatune_plugins.host.egress.headers import for_another_origin, without_body
from stellatune_plugins.host.egress.urls import WebUrl, join
from stellatune_plugins.host.egress.wire import HttpSocket, Wire

MAX_REDIRECTS: Final = 5

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_BUSY: Final = frozenset({502, 503, 504})


class WebRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Checked: see :func:`~stellatune_plugins.host.egress.headers.checked_headers`."""

    method: str
    url: WebUrl
    headers: Mapping[str, str]
    body: bytes | None = None


class Exchange:
    """An answer whose body is still to be read, by one thread. Close it."""

    def __init__(
        self,
        wire: Wire,
        sock: HttpSocket,
        connection: HTTPConnection,
        response: urllib3.BaseHTTPResponse,
        url: WebUrl,
    ) -> None:
        self._wire = wire
        self._socket = sock
        self._connection = connection
        self._response = response
        self.url = url
        """Whose answer this is, after redirects."""
        self.status = response.status

    def header(self, name: str) -> str | None:
        """A header of the answer; repeated ones joined by commas."""
        return self._response.headers.get(name)

    @property
    def length(self) -> int | None:
        """Bytes of the body as announced; ``None`` where it ends when it ends."""
        text = self.header("content-length")
        if self.header("transfer-encoding") is not None or text is None:
            return None
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

    def wait(self, deadline: Deadline) -> None:
        """Wait until a read finds something, an end or a broken connection included; raises the deadline's failure."""
        if self._socket.is_dry():
            self._wire.wait_readable(deadline)

    def read(self, max_bytes: int, deadline: Deadline) -> bytes:
        """1 to ``max_bytes`` bytes as they come, undecoded; empty at the end.

        Raises:
            PluginFailure: the deadline's.
            ConnectionLost: it broke off before the end.
        """
        self._wire.deadline = deadline
        try:
            return self._response.read1(max_bytes, decode_content=False) or b""
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            deadline.check()
            raise ConnectionLost(f"{self.url.site} broke off in the middle: {_said(error)}") from error

    def close(self) -> None:
        """May be called again."""
        self._response.close()
        self._connection.close()
        self._wire.close()


class WebClient:
    """Makes requests for one plugin."""

    def __init__(self, guard: EgressGuard, user_agent: str) -> None:
        self._guard = guard
        self._user_agent = user_agent

    def request(self, request: WebRequest, connect: float, whole: Deadline) -> Exchange:
        """Send a request; gives the answer once its head is there and is no redirect.

        Args:
            request: what to send.
            connect: seconds for each connection.
            whole: of everything, redirects included; the body's reads have their own.

        Raises:
            PluginFailure: ``denied``, ``timeout``, ``io``, ``invalid-arg`` for a redirect that leads nowhere.
            ConnectionLost: trying again may help.
        """
        for _ in range(MAX_REDIRECTS + 1):
            exchange = self._once(request, whole.sooner(connect, f"connecting to {request.url.host}"), whole)
            try:
                location = exchange.header("location") if exchange.status in _REDIRECTS else None
                if location is None:
                    return exchange
                request = self._redirected(request, exchange.status, location)
            except BaseException:
                exchange.close()
                raise
            exchange.close()
        raise PluginFailure("io", f"{request.url.site}: more than {MAX_REDIRECTS} redirects")

    def _once(self, request: WebRequest, connecting: Deadline, whole: Deadline) -> Exchange:
        url = request.url
        wire = self._guard.connect(url.scheme, url.host, url.port, connecting)
        wire.deadline = whole
        connection = HTTPConnection(url.host, url.port, proxy=None)
        sock = HttpSocket(wire)
        connection.sock = sock
        connection.auto_open = 0
        connection.response_class = _Answer
        try:
            connection.request(
                request.method,
                url.target,
                body=request.body,
                headers={
                    "host": url.authority,
                    "user-agent": self._user_agent,
                    "accept": "*/*",
                    "accept-encoding": "identity",
                    **request.headers,
                },
                preload_content=False,
                decode_content=False,
            )
            return Exchange(wire, sock, connection, connection.getresponse(), url)
        except BaseException as error:
            connection.close()
            wire.close()
            if isinstance(error, (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)):
                whole.check()
                raise ConnectionLost(f"{url.site} gave no proper answer: {_said(error)}") from error
            raise

    def _redirected(self, request: WebRequest, status: int, location: str) -> WebRequest:
        """The next request. Raises where a redirect must not be followed."""
        url = join(request.url, location)
        method, headers, body = request.method, request.headers, request.body
        if request.url.scheme == "https" and url.scheme == "http":
            raise self._guard.refuse("follow a redirect from https to", url.site)
        if method != "HEAD" and (status == 303 or (status in {301, 302} and method == "POST")):
            method, body, headers = "GET", None, without_body(headers)
        if url.origin != request.url.origin:
            if body is not None:
                raise self._guard.refuse("send the body of its request on to", url.site)
            headers = for_another_origin(headers)
        return WebRequest(method=method, url=url, headers=headers, body=body)


class _Answer(http.client.HTTPResponse):
    """Refuses a head that broke off or is garbled: what stood behind the fault, a length maybe, would be lost."""

    def begin(self) -> None:
        super().begin()
        if any(isinstance(defect, _GARBLED) for defect in self.headers.defects):
            raise http.client.HTTPException("the head is garbled")


_GARBLED = (
    email.errors.FirstHeaderLineIsContinuationDefect,
    email.errors.MisplacedEnvelopeHeaderDefect,
    email.errors.MissingHeaderBodySeparatorDefect,
)


def check_status(exchange: Exchange) -> None:
    """Raise for an answer that is no success.

    Raises:
        PluginFailure: by the status.
        ConnectionLost: a server behind it is away for the moment.
    """
    status = exchange.status
    if 200 <= status < 300:
        return
    message = f"{exchange.url.site} answered {status} {http.client.responses.get(status, '')}".rstrip()
    if status in _BUSY:
        raise ConnectionLost(message)
    case = {401: "denied", 403: "denied", 404: "not-found", 410: "not-found", 408: "timeout"}.get(status, "io")
    raise PluginFailure(case, message)


def _said(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
