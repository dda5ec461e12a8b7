"""What a music file says about itself, by mutagen: tags, length, cover, lyrics; what a bad file costs is bounded."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, BinaryIO, Final, NoReturn

import msgspec
import mutagen as _mutagen
from mutagen.id3 import _frames as _id3_frames

from stellatune_plugins.model import (
    AudioTags,
    DurationMs,
    EncodedFormat,
    MediaMetadata,
    Picture,
    SampleRate,
)
from stellatune_plugins.native.av_metadata import mime_of, tags_of

# mutagen ships a type marker and hardly a type: it is taken as untyped.
mutagen: Any = _mutagen

MAX_READ: Final = 64 * 1024 * 1024
"""Bytes that are read for one file's tags; the largest honest part of them is a cover."""
MAX_INFLATED: Final = 64 * 1024 * 1024
MAX_SECONDS: Final = 10.0
MAX_TEXT: Final = 1000
"""Characters of a title or a name that are kept."""
MAX_VALUES: Final = 32

_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    # Vorbis comments and APEv2 (which ignores case), ID3, MP4, ASF
    "title": ("title", "TIT2", "\xa9nam", "Title"),
    "album": ("album", "TALB", "\xa9alb", "WM/AlbumTitle"),
    "artist": ("artist", "TPE1", "\xa9ART", "Author"),
    "album_artist": ("albumartist", "album artist", "album_artist", "TPE2", "aART", "WM/AlbumArtist"),
    "genre": ("genre", "TCON", "\xa9gen", "WM/Genre"),
    "track": ("tracknumber", "track", "TRCK", "trkn", "WM/TrackNumber"),
    "tracktotal": ("tracktotal", "totaltracks"),
    "disc": ("discnumber", "disc", "TPOS", "disk", "WM/PartOfSet"),
    "disctotal": ("disctotal", "totaldiscs"),
    "date": ("date", "year", "TDRC", "TDRL", "\xa9day", "WM/Year"),
}
_LYRICS: Final = ("syncedlyrics", "lyrics", "unsyncedlyrics", "unsynced lyrics", "\xa9lyr", "WM/Lyrics")
_FRONT_COVER: Final = 3
_MILLISECONDS: Final = 2
"""The unit of a SYLT frame's stamps (ID3v2.4, section 4.9); the other one, MPEG frames, needs the music itself."""


class TagsUnreadable(Exception):
    """Raised when a file is no music that can be recognised, or costs too much to find out."""


class EmbeddedLyrics(msgspec.Struct, frozen=True):
    """Lyrics out of a file's tags."""

    text: str = ""
    """As it stands there; often with the stamps of an LRC file."""
    stamped: tuple[tuple[int, str], ...] = ()
    """Of an ID3 ``SYLT`` frame: milliseconds and piece of text."""


class MusicFile:
    """One file's tags, read once.

    Args:
        file: open at any place; it stays open, its position moves.
        name: the file's name, which breaks ties between formats.

    Raises:
        TagsUnreadable: see there.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        bounded = _Bounded(file, name)
        try:
            with _inflating:
                self._audio = mutagen.File(bounded)
        except TagsUnreadable:
            raise
        except Exception as error:
            raise TagsUnreadable(bounded.over or f"{type(error).__name__}: {error}"[:200]) from error
        if bounded.over:  # mutagen took the refusal for the end of the file
            raise TagsUnreadable(bounded.over)
        if self._audio is None:
            raise TagsUnreadable("no known kind of music")
        self._tags: Any = {} if self._audio.tags is None else self._audio.tags

    def metadata(self) -> MediaMetadata:
        """Tags, length and format; no pictures."""
        lists = {name: tuple(self._values(keys)) for name, keys in _FIELDS.items()}
        tags, _ = tags_of({name: values[0] for name, values in lists.items() if values})
        info = self._audio.info
        length = getattr(info, "length", None)
        rate = getattr(info, "bitrate", None)
        return MediaMetadata(
            tags=AudioTags(
                title=tags.title,
                album=tags.album,
                artists=lists["artist"],
                album_artists=lists["album_artist"],
                genres=lists["genre"],
                track_number=tags.track_number,
                track_total=tags.track_total,
                disc_number=tags.disc_number,
                disc_total=tags.disc_total,
                year=tags.year,
            ),
            duration_ms=DurationMs(round(length * 1000)) if length and 0 < length < 1e7 else None,
            format=EncodedFormat(
                codec=type(self._audio).__name__.lower(),
                sample_rate=SampleRate(info.sample_rate) if getattr(info, "sample_rate", 0) else None,
                channels=getattr(info, "channels", None) or None,
                bitrate_kbps=round(rate / 1000) if rate else None,
            ),
        )

    def cover(self) -> Picture | None:
        """The front cover, else the first picture; ``None`` where there is none that is a picture."""
        found: Picture | None = None
        for data, front in self._pictures():
            mime = mime_of(data)
            if mime and front:
                return Picture(mime, data)
            if mime and found is None:
                found = Picture(mime, data)
        return found

    def lyrics(self) -> EmbeddedLyrics:
        """Lyrics of every kind of tag; empty where there are none."""
        stamped: tuple[tuple[int, str], ...] = ()
        texts = [str(frame.text) for frame in self._frames("USLT")]
        for frame in self._frames("SYLT"):
            if frame.format == _MILLISECONDS and frame.text and not stamped:
                stamped = tuple((int(at), str(text)) for text, at in frame.text)
        for key in _LYRICS:
            texts.extend(_texts(self._get(key)))
        texts.sort(key=lambda text: "[" not in text[:200])  # stamped text first
        return EmbeddedLyrics(next((text for text in texts if text.strip()), ""), stamped)

    def _values(self, keys: tuple[str, ...]) -> Iterator[str]:
        for key in keys:
            found = [text.strip()[:MAX_TEXT] for text in _texts(self._get(key)) if text.strip()]
            if found:
                yield from found[:MAX_VALUES]
                return

    def _get(self, key: str) -> Any:
        try:
            return self._tags.get(key)
        except (KeyError, ValueError, TypeError):  # a key that this kind of tag cannot have
            return None

    def _frames(self, name: str) -> list[Any]:
        return list(self._tags.getall(name)) if hasattr(self._tags, "getall") else []

    def _pictures(self) -> Iterator[tuple[bytes, bool]]:
        for picture in getattr(self._audio, "pictures", ()):
            yield picture.data, picture.type == _FRONT_COVER
        for frame in self._frames("APIC"):
            yield frame.data, frame.type == _FRONT_COVER
        for data in self._get("covr") or ():
            yield bytes(data), True
        for text in _texts(self._get("metadata_block_picture")):
            yield _vorbis_picture(text), True
        art = self._get("Cover Art (Front)")
        if art is not None and isinstance(getattr(art, "value", None), bytes):
            yield art.value.partition(b"\0")[2], True


def _texts(value: Any) -> Iterator[str]:
    """The texts in any of the shapes that mutagen gives a field."""
    if value is None:
        return
    if hasattr(value, "genres"):  # TCON: numbers made into names
        yield from map(str, value.genres)
    elif hasattr(value, "text"):
        yield from map(str, value.text if isinstance(value.text, list) else [value.text])
    elif isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            # MP4 has pairs of number and total.
            yield "/".join(str(part) for part in item if part) if isinstance(item, tuple) else _text(item)
    else:  # APEv2
        yield from str(value).split("\0")


def _text(item: Any) -> str:
    value = getattr(item, "value", item)  # ASF
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _vorbis_picture(text: str) -> bytes:
    import base64  # noqa: PLC0415 - for Ogg files with covers alone

    from mutagen.flac import Picture as Block  # noqa: PLC0415

    untyped: Any = Block
    try:
        data: bytes = untyped(base64.b64decode(text)).data
    except Exception:  # noqa: BLE001 - mutagen raises whatever struct or slicing does on damaged data
        return b""
    return data


class _Bounded:
    """A file that stops answering once it has given a lot, or took long."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self.name = name
        self.over: str | None = None
        """Which bound was reached."""
        self._left = MAX_READ
        self._until = time.monotonic() + MAX_SECONDS
        file.seek(0)

    def read(self, size: int = -1) -> bytes:
        if time.monotonic() > self._until:
            self._refuse("reading the tags takes too long")
        wanted = self._left + 1 if size < 0 else size
        data = self._file.read(min(wanted, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            self._refuse(f"the tags are larger than {MAX_READ} bytes")
        return data

    def _refuse(self, why: str) -> NoReturn:
        self.over = why
        raise TagsUnreadable(why)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class _Inflating(threading.local):
    """mutagen inflates ID3 frames without a limit, a thousand bytes for each; this one stops."""

    left: int | None = None

    def __enter__(self) -> None:
        self.left = MAX_INFLATED

    def __exit__(self, *exc: object) -> None:
        self.left = None

    def decompress(self, data: bytes) -> bytes:
        if self.left is None:  # somebody else's use of mutagen
            return zlib.decompress(data)
        inflater = zlib.decompressobj()
        out = inflater.decompress(data, self.left + 1)
        self.left -= len(out)
        if self.left < 0:
            self.left = 0
            raise TagsUnreadable("the tags inflate without end")
        if not inflater.eof:
            raise zlib.error("incomplete data")
        return out


_inflating = _Inflating()
_untyped_frames: Any = _id3_frames
_untyped_frames.zlib = SimpleNamespace(error=zlib.error, decompress=_inflating.decompress)
