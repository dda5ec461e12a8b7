"""World ``source-plugin``."""

from __future__ import annotations

import msgspec

from stellatune_plugins.executor.messages.metadata import Metadata


class SourceArguments(msgspec.Struct, frozen=True, tag="source"):
    """``source.create`` takes nothing."""


class ListItems(msgspec.Struct, frozen=True, tag="source.list-items"):
    """Answered by ``Text``, which is JSON."""

    request_json: str


class OpenTrack(msgspec.Struct, frozen=True, tag="source.open-stream"):
    """Answered by :class:`StreamOpened`."""

    track_json: str


class OpenUri(msgspec.Struct, frozen=True, tag="source.open-uri"):
    """Answered by :class:`StreamOpened`."""

    uri: str


class StreamMetadata(msgspec.Struct, frozen=True, tag="source-stream.metadata"):
    """Of a processed stream; answered by :class:`~stellatune_plugins.executor.messages.Tagged`."""

    stream: int


class ReadStream(msgspec.Struct, frozen=True, tag="source-stream.read"):
    """Of a processed stream; answered by :class:`Encoded`."""

    stream: int
    max_bytes: int


class CloseStream(msgspec.Struct, frozen=True, tag="source-stream.close"):
    """Of a processed stream, also one that is gone; answered by ``Nothing``."""

    stream: int


SourceRequest = ListItems | OpenTrack | OpenUri | StreamMetadata | ReadStream | CloseStream


class StreamOpened(msgspec.Struct, frozen=True, tag="stream-opened"):
    """A track's bytes are there to be read.

    A processed stream is read from the instance by :class:`ReadStream`; its number means something there alone, and
    it ends with the instance. One that is not processed is the host's own: its number is one in the executor's
    :class:`~stellatune_plugins.executor.streams.StreamTable`, from where the caller takes it.
    """

    stream: int
    processed: bool
    ext_hint: str | None
    metadata: Metadata | None


class Encoded(msgspec.Struct, frozen=True, tag="encoded"):
    """Bytes of a processed stream; nothing follows after ``eof``."""

    data: bytes
    eof: bool


SourceValue = StreamOpened | Encoded
