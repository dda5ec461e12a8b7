"""Audio: its shape, its tags, and the samples themselves."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import msgspec

from stellatune_plugins.model.ids import DurationMs, Frames, SampleRate

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Block = npt.NDArray[np.float32]
else:
    # Importing numpy takes 0.15 s, and what never touches a sample (most commands) need not wait for it.
    Block = Any
"""Samples of shape ``(frames, channels)``, C-contiguous, so interleaved in memory; full scale is 1.0."""


class AudioSpec(msgspec.Struct, frozen=True):
    """The shape of a stream: WIT ``common.audio-spec``."""

    sample_rate: SampleRate
    channels: int

    def __str__(self) -> str:
        return f"{self.sample_rate} Hz, {self.channels} ch"


class Layouts(enum.IntFlag):
    """Channel layouts that a processor supports: WIT ``dsp.processor.supported-layouts``."""

    MONO = 1
    STEREO = 2
    SURROUND_5_1 = 4
    SURROUND_7_1 = 8
    ANY = 0xFFFF_FFFF

    def supports(self, channels: int) -> bool:
        """Whether a stream of so many channels fits without mapping."""
        if int(self) == int(Layouts.ANY):
            return True
        bit = _LAYOUT_OF_CHANNELS.get(channels)
        return bit is not None and bool(int(self) & int(bit))


_LAYOUT_OF_CHANNELS = {1: Layouts.MONO, 2: Layouts.STEREO, 6: Layouts.SURROUND_5_1, 8: Layouts.SURROUND_7_1}


class EncodedFormat(msgspec.Struct, frozen=True):
    """How a track is encoded: WIT ``common.encoded-audio-format``."""

    codec: str
    sample_rate: SampleRate | None = None
    channels: int | None = None
    bitrate_kbps: int | None = None
    container: str | None = None


class AudioTags(msgspec.Struct, frozen=True):
    """What a listener reads about a track: WIT ``common.audio-tags``."""

    title: str | None = None
    album: str | None = None
    artists: tuple[str, ...] = ()
    album_artists: tuple[str, ...] = ()
    genres: tuple[str, ...] = ()
    track_number: int | None = None
    track_total: int | None = None
    disc_number: int | None = None
    disc_total: int | None = None
    year: int | None = None
    comment: str | None = None


MetadataValue = str | bool | int | float | bytes


class Picture(msgspec.Struct, frozen=True):
    """An embedded picture, such as the front cover."""

    mime: str
    data: bytes
    description: str = ""


class MediaMetadata(msgspec.Struct, frozen=True):
    """Everything known about a track: WIT ``common.media-metadata``, and the pictures beside it."""

    tags: AudioTags = AudioTags()
    duration_ms: DurationMs | None = None
    format: EncodedFormat = EncodedFormat(codec="unknown")
    extras: tuple[tuple[str, MetadataValue], ...] = ()
    pictures: tuple[Picture, ...] = ()


class DecoderInfo(msgspec.Struct, frozen=True):
    """What a decoder session delivers: WIT ``common.decoder-info``."""

    spec: AudioSpec
    duration_ms: DurationMs | None
    seekable: bool
    encoder_delay: Frames = Frames(0)
    encoder_padding: Frames = Frames(0)


class PcmChunk(msgspec.Struct, frozen=True):
    """Decoded samples; ``eof`` says that nothing follows."""

    block: Block
    eof: bool


class NegotiatedSpec(msgspec.Struct, frozen=True):
    """What a sink's target agrees to: WIT ``output-sink.negotiated-spec``."""

    spec: AudioSpec
    preferred_chunk: Frames
    prefer_track_rate: bool


class SinkStatus(msgspec.Struct, frozen=True):
    """WIT ``output-sink.runtime-status``."""

    queued_samples: int
    running: bool
