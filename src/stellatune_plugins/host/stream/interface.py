"""The interface ``host-stream`` as plain Python: what guests ask for, and who answers."""

from __future__ import annotations

import abc
import enum
from typing import NoReturn, Protocol

import msgspec

from stellatune_plugins.errors import PluginFailure


class StreamKind(enum.StrEnum):
    """WIT ``host-stream.stream-open-kind``."""

    FILE = "file"
    HTTP = "http"
    TCP = "tcp"
    UDP = "udp"


class HttpMethod(enum.StrEnum):
    """WIT ``host-stream.http-method``."""

    GET = "get"
    POST = "post"
    PUT = "put"
    DELETE = "delete"
    HEAD = "head"
    PATCH = "patch"


class OpenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """WIT ``host-stream.open-request``, as the guest wrote it: nothing in it is checked yet."""

    kind: StreamKind
    target: str
    method: HttpMethod | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    connect_timeout_ms: int | None = None
    read_timeout_ms: int | None = None


class HostStream(abc.ABC):
    """WIT resource ``host-stream-handle``; serves :class:`~stellatune_plugins.contract.ByteStream` too.

    Methods answer an error by raising :class:`~stellatune_plugins.errors.PluginFailure` with the case to answer.
    After an error the stream may be used again where that makes sense (a seek after ``unsupported``), and closed
    always.
    """

    @abc.abstractmethod
    def read(self, max_bytes: int) -> bytes:
        """1 to ``max_bytes`` bytes; empty at the end, and for ``max_bytes`` of 0."""

    @abc.abstractmethod
    def seek(self, offset: int, whence: int = 0) -> int:
        """The new position; ``whence`` as in :mod:`os`. Raises ``unsupported`` where the stream only goes forward."""

    @abc.abstractmethod
    def tell(self) -> int: ...

    @abc.abstractmethod
    def size(self) -> int | None:
        """Bytes in all; ``None`` where nobody knows, which guests are told as ``unsupported``."""

    @abc.abstractmethod
    def close(self) -> None:
        """May be called again, and from another thread, where it ends a read that waits."""


class StreamService(Protocol):
    """Opens streams for one plugin; errors as for :class:`HostStream`."""

    def open(self, request: OpenRequest) -> HostStream: ...


class NoStreams:
    """Denies everything."""

    def open(self, request: OpenRequest) -> NoReturn:
        raise PluginFailure("denied", f"{request.kind} streams are not available")
