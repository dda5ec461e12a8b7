"""World ``decoder-plugin``."""

from __future__ import annotations

import msgspec

from stellatune_plugins.executor.messages.metadata import Metadata
from stellatune_plugins.model import DecoderInfo


class DecoderArguments(msgspec.Struct, frozen=True, tag="decoder"):
    """What ``decoder.open`` takes.

    ``stream`` is a number in the executor's :class:`~stellatune_plugins.executor.streams.StreamTable`, where the
    stream stays until its owner takes it out: a recovered instance reads it from its start again.
    """

    stream: int
    ext_hint: str | None


class ReadInfo(msgspec.Struct, frozen=True, tag="decoder.info"):
    """Answered by :class:`Info`."""


class ReadMetadata(msgspec.Struct, frozen=True, tag="decoder.metadata"):
    """Answered by :class:`~stellatune_plugins.executor.messages.Tagged`."""


class ReadPcm(msgspec.Struct, frozen=True, tag="decoder.read"):
    """The next frames; answered by :class:`Pcm`. The executor may give fewer than were asked for."""

    max_frames: int


class SeekTo(msgspec.Struct, frozen=True, tag="decoder.seek"):
    """Answered by ``Nothing``."""

    position_ms: int


DecoderRequest = ReadInfo | ReadMetadata | ReadPcm | SeekTo


class Info(msgspec.Struct, frozen=True, tag="decoder-info"):
    """What the session delivers."""

    info: DecoderInfo


class Pcm(msgspec.Struct, frozen=True, tag="pcm"):
    """Decoded frames: ``samples`` has as many whole frames of ``channels`` channels as it has bytes for."""

    channels: int
    samples: bytes
    eof: bool


class Tagged(msgspec.Struct, frozen=True, tag="metadata"):
    """What is known about a track."""

    metadata: Metadata


DecoderValue = Info | Pcm | Tagged
