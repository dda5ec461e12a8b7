"""Streams for guests: files, HTTP, TCP and UDP."""

from stellatune_plugins.host.stream.interface import (
    HostStream,
    HttpMethod,
    NoStreams,
    OpenRequest,
    StreamKind,
    StreamService,
)

__all__ = ["HostStream", "HttpMethod", "NoStreams", "OpenRequest", "StreamKind", "StreamService"]
