"""Metadata as plain data. The model's extras are a union of text and bytes, which no decoder of messages can tell."""

from __future__ import annotations

import msgspec

from stellatune_plugins.model import AudioTags, DurationMs, EncodedFormat, MediaMetadata, MetadataValue, Picture


class TextExtra(msgspec.Struct, frozen=True, tag="text"):
    """An extra that is a text."""

    key: str
    value: str


class PlainExtra(msgspec.Struct, frozen=True, tag="plain"):
    """An extra that is a truth or a number."""

    key: str
    value: bool | int | float


class BytesExtra(msgspec.Struct, frozen=True, tag="bytes"):
    """An extra of raw bytes."""

    key: str
    value: bytes


Extra = TextExtra | PlainExtra | BytesExtra


class Metadata(msgspec.Struct, frozen=True):
    """:class:`~stellatune_plugins.model.MediaMetadata`, ready to travel, and what there was no room for."""

    tags: AudioTags
    duration_ms: DurationMs | None
    format: EncodedFormat
    extras: tuple[Extra, ...] = ()
    pictures: tuple[Picture, ...] = ()
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, metadata: MediaMetadata) -> Metadata:
        """The message for the model."""
        return cls(
            metadata.tags,
            metadata.duration_ms,
            metadata.format,
            tuple(_extra(key, value) for key, value in metadata.extras),
            metadata.pictures,
        )

    def to_model(self) -> MediaMetadata:
        """The model for the message."""
        return MediaMetadata(
            tags=self.tags,
            duration_ms=self.duration_ms,
            format=self.format,
            extras=tuple((extra.key, extra.value) for extra in self.extras),
            pictures=self.pictures,
        )


def _extra(key: str, value: MetadataValue) -> Extra:
    if isinstance(value, str):
        return TextExtra(key, value)
    return BytesExtra(key, value) if isinstance(value, bytes) else PlainExtra(key, value)
