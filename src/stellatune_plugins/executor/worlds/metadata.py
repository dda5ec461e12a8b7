"""A guest's ``media-metadata``, cut to sizes that a host can live with.

Files in the field have odd tags, and a decoder that passes them on is no liar. So what is too long is cut, what is
too much is left out, and a number that cannot be is unknown.
"""

from __future__ import annotations

from typing import Any, Final

from stellatune_plugins.executor.guest_text import clean, clean_lines
from stellatune_plugins.executor.messages.metadata import BytesExtra, Extra, Metadata, PlainExtra, TextExtra
from stellatune_plugins.executor.results import optional
from stellatune_plugins.executor.worlds.checks import MAX_CHANNELS, MAX_SAMPLE_RATE
from stellatune_plugins.model import AudioTags, DurationMs, EncodedFormat, Picture, SampleRate

MAX_TAG: Final = 4_096
"""Characters of a tag."""
MAX_TEXT: Final = 256 * 1024
"""Characters of a comment or an extra: lyrics are kept in such."""
MAX_NAMES: Final = 64
"""Artists, album artists, genres."""
MAX_EXTRAS: Final = 512
MAX_BINARY: Final = 16 * 1024 * 1024
"""Bytes of one extra, and of all pictures together."""
MAX_DURATION_MS: Final = 365 * 24 * 3_600_000
PICTURE_KEY: Final = "picture"
"""An extra of bytes under this key, or ``picture.<description>``, is a picture; its first bytes say of which kind."""

_MAGIC: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)


def metadata_of(record: Any) -> Metadata:
    """The record as the host keeps it."""
    extras, pictures = _extras(record["extras"])
    return Metadata(_tags(record["tags"]), duration(record["duration-ms"]), _format(record["format"]), extras, pictures)


def duration(value: Any) -> DurationMs | None:
    """An ``option<u64>`` of milliseconds; more than a year is no duration."""
    ms = optional(value)
    return DurationMs(ms) if ms is not None and ms <= MAX_DURATION_MS else None


def _tags(record: Any) -> AudioTags:
    def text(name: str) -> str | None:
        value = optional(record[name])
        return clean(value, MAX_TAG) or None if value is not None else None

    def names(name: str) -> tuple[str, ...]:
        return tuple(kept for value in record[name][:MAX_NAMES] if (kept := clean(value, MAX_TAG)))

    comment = optional(record["comment"])
    return AudioTags(
        title=text("title"),
        album=text("album"),
        artists=names("artists"),
        album_artists=names("album-artists"),
        genres=names("genres"),
        track_number=optional(record["track-number"]),
        track_total=optional(record["track-total"]),
        disc_number=optional(record["disc-number"]),
        disc_total=optional(record["disc-total"]),
        year=optional(record["year"]),
        comment=None if comment is None else clean_lines(comment, MAX_TEXT),
    )


def _format(record: Any) -> EncodedFormat:
    rate = _within(record["sample-rate"], MAX_SAMPLE_RATE)
    container = optional(record["container"])
    return EncodedFormat(
        codec=clean(record["codec"], 64) or "unknown",
        sample_rate=None if rate is None else SampleRate(rate),
        channels=_within(record["channels"], MAX_CHANNELS),
        bitrate_kbps=_within(record["bitrate-kbps"], 1_000_000),
        container=None if container is None else clean(container, 64) or None,
    )


def _within(value: Any, most: int) -> int | None:
    number: int | None = optional(value)
    return number if number is not None and 1 <= number <= most else None


def _extras(entries: Any) -> tuple[tuple[Extra, ...], tuple[Picture, ...]]:
    extras: list[Extra] = []
    pictures: list[Picture] = []
    room = MAX_BINARY
    for entry in entries[:MAX_EXTRAS]:
        key, kind, value = clean(entry["key"], MAX_TAG), entry["value"].case, entry["value"].value
        if kind != "bytes":
            extras.append(TextExtra(key, clean_lines(value, MAX_TEXT)) if kind == "text" else PlainExtra(key, value))
            continue
        if len(value) > room:
            continue
        room -= len(value)
        picture = _picture(key, value)
        if picture is None:
            extras.append(BytesExtra(key, value))
        else:
            pictures.append(picture)
    return tuple(extras), tuple(pictures)


def _picture(key: str, data: bytes) -> Picture | None:
    name, _, description = key.partition(".")
    if name != PICTURE_KEY:
        return None
    mime = next((mime for magic, mime in _MAGIC if data.startswith(magic)), None)
    if mime is None and data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        mime = "image/webp"
    return None if mime is None else Picture(mime, data, description)
