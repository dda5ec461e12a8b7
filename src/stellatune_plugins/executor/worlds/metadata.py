"""A guest's ``media-metadata``, cut to sizes that a host can live with.

Files in the field have odd tags, and a decoder that passes them on is no liar. So what is too long is cut, what is
too much is left out, and a number that cannot be is unknown.
"""

from __future__ import annotations

import base64
import binascii
import re
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
"""An extra of bytes under this key, or ``picture.<description>``, is a picture; its first bytes say of which kind.
So is a text there that is a data URI in base64: one call carries a good 2 MiB in lists of bytes, far more as text."""
LEFT_OUT_KEY: Final = "picture.left-out"
"""An extra of text under this key says which picture is missing, and why."""
_MAX_REMARK: Final = 200
_MAX_REMARKS: Final = 16
_DATA_URI: Final = re.compile(r"data:[^,]{0,128};base64,")

_MAGIC: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)


def metadata_of(record: Any) -> Metadata:
    """The record as the host keeps it."""
    kept = _Extras(record["extras"])
    return Metadata(
        _tags(record["tags"]),
        duration(record["duration-ms"]),
        _format(record["format"]),
        tuple(kept.extras),
        tuple(kept.pictures),
        tuple(kept.left_out[:_MAX_REMARKS]),
    )


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


class _Extras:
    """A guest's extras: what is kept of them, the pictures among them, and what there was no room for."""

    def __init__(self, entries: Any) -> None:
        self.extras: list[Extra] = []
        self.pictures: list[Picture] = []
        self.left_out: list[str] = []
        self._room = MAX_BINARY
        for entry in entries[:MAX_EXTRAS]:
            self._take(clean(entry["key"], MAX_TAG), entry["value"].case, entry["value"].value)

    def _take(self, key: str, kind: str, value: Any) -> None:
        if kind == "text":
            if key == LEFT_OUT_KEY:
                self.left_out.append(clean(value, _MAX_REMARK))
                return
            data = _from_data_uri(value) if key.partition(".")[0] == PICTURE_KEY else None
            if data is None:
                self.extras.append(TextExtra(key, clean_lines(value, MAX_TEXT)))
            else:
                self._take_bytes(key, data)
        elif kind == "bytes":
            self._take_bytes(key, value)
        else:
            self.extras.append(PlainExtra(key, value))

    def _take_bytes(self, key: str, data: bytes) -> None:
        if len(data) > self._room:
            size, most = len(data) / 2**20, MAX_BINARY >> 20
            self.left_out.append(f"{clean(key, 80)} of {size:.1f} MiB: no more than {most} MiB in all")
            return
        self._room -= len(data)
        picture = _picture(key, data)
        if picture is None:
            self.extras.append(BytesExtra(key, data))
        else:
            self.pictures.append(picture)


def _from_data_uri(text: str) -> bytes | None:
    """What a data URI in base64 holds; ``None`` where the text is none."""
    head = _DATA_URI.match(text)
    if head is None:
        return None
    try:
        return base64.b64decode(text[head.end() :], validate=True)
    except (binascii.Error, ValueError):  # the latter where it is not ASCII
        return None


def _picture(key: str, data: bytes) -> Picture | None:
    name, _, description = key.partition(".")
    if name != PICTURE_KEY:
        return None
    mime = next((mime for magic, mime in _MAGIC if data.startswith(magic)), None)
    if mime is None and data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        mime = "image/webp"
    return None if mime is None else Picture(mime, data, description)
