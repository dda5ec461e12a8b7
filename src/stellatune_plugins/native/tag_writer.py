"""Tags and pictures into finished files, by mutagen."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from mutagen import flac as _flac
from mutagen import id3 as _id3
from mutagen import oggopus as _oggopus
from mutagen import oggvorbis as _oggvorbis
from mutagen import wave as _wave

from stellatune_plugins.model import AudioTags, MediaMetadata, Picture

# mutagen ships a type marker and hardly a type: its modules are taken as untyped.
flac: Any = _flac
id3: Any = _id3
oggopus: Any = _oggopus
oggvorbis: Any = _oggvorbis
wave: Any = _wave

_FRONT_COVER: Final = 3
_ID3_EXTRAS: Final = {
    "composer": "TCOM", "copyright": "TCOP", "publisher": "TPUB", "isrc": "TSRC", "bpm": "TBPM", "lyricist": "TEXT",
    "conductor": "TPE3",
}  # fmt: skip


def vorbis_comments(metadata: MediaMetadata) -> Iterator[tuple[str, str]]:
    """Vorbis comments, one for each value."""
    tags = metadata.tags
    yield from (("TITLE", tags.title),) if tags.title else ()
    yield from (("ALBUM", tags.album),) if tags.album else ()
    for key, values in (("ARTIST", tags.artists), ("ALBUMARTIST", tags.album_artists), ("GENRE", tags.genres)):
        for value in values:
            yield key, value
    for key, number in (
        ("TRACKNUMBER", tags.track_number),
        ("TRACKTOTAL", tags.track_total),
        ("DISCNUMBER", tags.disc_number),
        ("DISCTOTAL", tags.disc_total),
        ("DATE", tags.year),
    ):
        if number is not None:
            yield key, str(number)
    if tags.comment:
        yield "COMMENT", tags.comment
    for key, text in metadata.extras:
        name = key.upper()
        if isinstance(text, str) and text and name.isascii() and name.isprintable() and "=" not in name:
            yield name, text


def id3_frames(metadata: MediaMetadata) -> Iterator[Any]:
    """ID3v2.4 frames; several values are one frame's list."""
    tags, frames, utf8 = metadata.tags, id3, id3.Encoding.UTF8
    for frame, text in (
        (frames.TIT2, [tags.title] if tags.title else []),
        (frames.TALB, [tags.album] if tags.album else []),
        (frames.TPE1, list(tags.artists)),
        (frames.TPE2, list(tags.album_artists)),
        (frames.TCON, list(tags.genres)),
        (frames.TRCK, _position(tags.track_number, tags.track_total)),
        (frames.TPOS, _position(tags.disc_number, tags.disc_total)),
        (frames.TDRC, [str(tags.year)] if tags.year is not None else []),
    ):
        if text:
            yield frame(encoding=utf8, text=text)
    if tags.comment:
        yield frames.COMM(encoding=utf8, lang="XXX", desc="", text=[tags.comment])
    for key, value in metadata.extras:
        if isinstance(value, str) and value:
            named = _ID3_EXTRAS.get(key.lower())
            if named:
                yield getattr(frames, named)(encoding=utf8, text=[value])
            else:
                yield frames.TXXX(encoding=utf8, desc=key, text=[value])
    for index, picture in enumerate(metadata.pictures):
        # Players tell pictures apart by type and description, so a second one must not look like the first.
        description = picture.description or (f"picture {index + 1}" if index else "")
        yield frames.APIC(
            encoding=utf8, mime=picture.mime, type=0 if index else _FRONT_COVER, desc=description, data=picture.data
        )


def has_anything(metadata: MediaMetadata) -> bool:
    """Whether there is something to write."""
    return metadata.tags != AudioTags() or bool(metadata.extras) or bool(metadata.pictures)


def write_tags(file: BinaryIO, container: str, metadata: MediaMetadata) -> None:
    """Write tags and pictures into a finished file, in place.

    Args:
        file: open for reading and writing.
        container: ``wav``, ``flac``, ``ogg`` or ``opus``.
        metadata: what to write.

    Raises:
        mutagen.MutagenError: the file was not written: no room, or it is not what it should be.
    """
    file.seek(0)
    if container == "wav":
        audio = wave.WAVE(file)
        audio.add_tags()
        for frame in id3_frames(metadata):
            audio.tags.add(frame)
        file.seek(0)
        audio.save(file)
        return
    kind = {"flac": flac.FLAC, "ogg": oggvorbis.OggVorbis, "opus": oggopus.OggOpus}[container]
    audio = kind(file)
    if audio.tags is None:
        audio.add_tags()
    for key, value in vorbis_comments(metadata):
        audio.tags.append((key, value))
    for index, picture in enumerate(metadata.pictures):
        block = _flac_picture(picture, front=index == 0)
        if container == "flac":
            audio.add_picture(block)
        else:
            audio.tags.append(("METADATA_BLOCK_PICTURE", base64.b64encode(block.write()).decode("ascii")))
    file.seek(0)
    audio.save(file)


def _position(number: int | None, total: int | None) -> list[str]:
    if number is None:
        return []
    return [str(number) if total is None else f"{number}/{total}"]


def _flac_picture(picture: Picture, *, front: bool) -> Any:
    block = flac.Picture()
    block.type = _FRONT_COVER if front else 0
    block.mime = picture.mime
    block.desc = picture.description
    block.data = picture.data
    return block
