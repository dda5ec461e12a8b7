"""Streams for guests: files, HTTP, TCP and UDP."""

from stellatune_plugins.host.stream.interface import (
    HostStream,
    HttpMethod,
    NoStreams,
    OpenRequest,
    StreamKind,
    StreamService,
)
from stellatune_plugins.host.stream.paths import FileAuthority
from stellatune_plugins.host.stream.service import GuestStreams

__all__ = [
    "FileAuthority",
    "GuestStreams",
    "HostStream",
    "HttpMethod",
    "NoStreams",
    "OpenRequest",
    "StreamKind",
    "StreamService",
]
