"""Tags and pictures as libavformat gives them, made into the contract's metadata."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from stellatune_plugins.model import AudioTags, MetadataValue, Picture

MAX_PICTURES: Final = 16
MAX_PICTURE_BYTES: Final = 32 * 1024 * 1024
MAX_EXTRAS: Final = 256
MAX_TEXT: Final = 1 << 20

_TAKEN: Final = {
    "title", "album", "artist", "album_artist", "albumartist", "genre", "track", "tracknumber", "tracktotal",
    "totaltracks", "disc", "discnumber", "disctotal", "totaldiscs", "date", "year", "tdrc", "comment", "description",
}  # fmt: skip
_STALE: Final = re.compile(
    r"replaygain_.*|r128_.*|itunsmpb|itunnorm|encoder|encoded_by|encoder_options|major_brand|minor_version"
    r"|compatible_brands|creation_time|vendor_id|handler_name|duration|metadata_block_picture|waveformat.*"
    r"|accurateripresult|cuesheet|lame|cddb.*|language|.*_statistics_.*|number_of_.*|bps",
    re.IGNORECASE,
)
"""Extras that describe the old file's samples or container: wrong for what is made out of them."""


def _number_of(text: str) -> tuple[int | None, int | None]:
    match = re.match(r"\s*(\d{1,6})?\s*(?:/\s*(\d{1,6}))?", text)
    if match is None:
        return None, None
    return tuple(int(part) or None if part else None for part in match.groups())  # type: ignore[return-value]


def _list_of(text: str | None) -> tuple[str, ...]:
    # libavformat joins repeated Vorbis comments and ID3v2.4 values by a semicolon.
    return tuple(part for piece in (text or "").split(";") if (part := piece.strip()))


def tags_of(raw: Mapping[str, str]) -> tuple[AudioTags, tuple[tuple[str, MetadataValue], ...]]:
    """Tags, and the further text fields that stay true for a file made out of this one."""
    low = {key.lower(): value[:MAX_TEXT] for key, value in raw.items() if value}
    track, track_total = _number_of(low.get("track") or low.get("tracknumber") or "")
    disc, disc_total = _number_of(low.get("disc") or low.get("discnumber") or "")
    year = re.search(r"\d{4}", low.get("date") or low.get("year") or low.get("tdrc") or "")
    tags = AudioTags(
        title=low.get("title"),
        album=low.get("album"),
        artists=_list_of(low.get("artist")),
        album_artists=_list_of(low.get("album_artist") or low.get("albumartist")),
        genres=_list_of(low.get("genre")),
        track_number=track,
        track_total=track_total or _number_of(low.get("tracktotal") or low.get("totaltracks") or "")[0],
        disc_number=disc,
        disc_total=disc_total or _number_of(low.get("disctotal") or low.get("totaldiscs") or "")[0],
        year=int(year[0]) if year else None,
        comment=low.get("comment") or low.get("description"),
    )
    extras = tuple((key, value) for key, value in low.items() if key not in _TAKEN and not _STALE.fullmatch(key))
    return tags, extras[:MAX_EXTRAS]


def mime_of(data: bytes) -> str | None:
    """The picture's type by its first bytes; ``None`` for what is no known picture."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return "image/bmp" if data.startswith(b"BM") else None


def pictures_of(found: Iterable[tuple[bytes, str]]) -> tuple[Picture, ...]:
    """Pictures from their bytes and descriptions, within the caps, unknown types left out."""
    pictures: list[Picture] = []
    room = MAX_PICTURE_BYTES
    for data, description in found:
        mime = mime_of(data)
        if mime and len(pictures) < MAX_PICTURES and len(data) <= room:
            room -= len(data)
            pictures.append(Picture(mime, data, description))
    return tuple(pictures)
