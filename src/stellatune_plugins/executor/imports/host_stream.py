"""The ``host-stream`` interface as guests import it; what a stream is, is the service's affair."""

from __future__ import annotations

from typing import Any, Final

from stellatune_plugins.engine.component import HostImports
from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.executor.imports.answers import Answering, method
from stellatune_plugins.executor.names import HOST_STREAM
from stellatune_plugins.executor.results import optional
from stellatune_plugins.host.stream import HostStream, HttpMethod, OpenRequest, StreamKind, StreamService

MAX_READ: Final = 256 * 1024
"""Bytes that one read gives at most, whatever the guest asks for: it may get fewer, and asks again."""
MAX_POSITION: Final = 2**64 - 1
_WHENCE: Final = {"start": 0, "current": 1, "end": 2}


def add_host_stream(imports: HostImports, service: StreamService, answering: Answering) -> None:
    """Define the whole interface for one instance."""
    imports.add_resource(HOST_STREAM, "host-stream-handle", HostStream, close=method("close"))

    def open_(request: dict[str, Any]) -> HostStream:
        return service.open(_open_request(request))

    imports.add(HOST_STREAM, "open", answering(open_))
    imports.add(HOST_STREAM, "[method]host-stream-handle.read", answering(_read))
    imports.add(HOST_STREAM, "[method]host-stream-handle.seek", answering(_seek))
    imports.add(HOST_STREAM, "[method]host-stream-handle.tell", answering(_tell))
    imports.add(HOST_STREAM, "[method]host-stream-handle.size", answering(_size))
    imports.add(HOST_STREAM, "[method]host-stream-handle.close", method("close"))


def _read(stream: HostStream, max_bytes: int) -> bytes:
    wanted = min(max_bytes, MAX_READ)
    # Whatever the service gives, the guest never gets more than it asked for.
    return stream.read(wanted)[:wanted]


def _seek(stream: HostStream, offset: int, whence: str) -> int:
    return _position(stream.seek(offset, _WHENCE[whence]))


def _tell(stream: HostStream) -> int:
    return _position(stream.tell())


def _size(stream: HostStream) -> int:
    size = stream.size()
    if size is None:
        raise PluginFailure("unsupported", "nobody knows how long the stream is")
    return _position(size)


def _position(value: int) -> int:
    """A count of bytes that the contract has room for."""
    if not 0 <= value <= MAX_POSITION:
        raise PluginFailure("internal", "the position is out of range")
    return value


def _open_request(record: dict[str, Any]) -> OpenRequest:
    verb = optional(record["method"])
    return OpenRequest(
        kind=StreamKind(record["kind"]),
        target=record["target"],
        method=None if verb is None else HttpMethod(verb),
        headers=tuple((header["name"], header["value"]) for header in record["headers"]),
        body=optional(record["body"]),
        connect_timeout_ms=optional(record["connect-timeout-ms"]),
        read_timeout_ms=optional(record["read-timeout-ms"]),
    )
