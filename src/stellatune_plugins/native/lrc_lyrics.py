"""Lyrics that lie with the music: an LRC file beside the track, or the track's own tags.

``search`` takes a track: its path, or its ``file:`` URI. The candidates are what belongs to it, the best first, and
their ids are ``file:`` URIs: of an LRC file, or of the track with the fragment ``lyrics`` (text of a tag) or ``sylt``
(times of an ID3 tag). ``fetch`` gives the text, LRC where there are times. A keyword that is no path of a track has no
candidates.
"""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.model import DurationMs
from stellatune_plugins.model.lrc import format_lrc
from stellatune_plugins.model.lyrics import LyricLine, LyricSheet, LyricWord
from stellatune_plugins.native.music_library import MUSIC
from stellatune_plugins.native.music_tags import MusicFile, TagsUnreadable
from stellatune_plugins.native.unconfigured import Unconfigured

MAX_FILE: Final = 1 << 20
"""Bytes of an LRC file."""
MAX_NEIGHBOURS: Final = 20_000
"""Names in the track's folder that are looked at."""
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Candidate(msgspec.Struct, frozen=True):
    """One hit."""

    id: str
    title: str
    artist: str


class LrcProvider(Unconfigured):
    """Finds lyrics beside tracks and in them. May be used by several threads."""

    def search(self, keyword: str) -> Sequence[Candidate]:
        """What belongs to a track; empty where there is nothing, or no such track."""
        track = _path_of(keyword)
        if track is None or _ending(track) not in MUSIC or not track.is_file():
            return ()
        title, artist, found = track.stem, "", []
        try:
            music = _open_music(track)
        except (TagsUnreadable, PluginFailure):  # the text beside it may still be good
            music = None
        if music is not None:
            tags = music.metadata().tags
            title, artist = tags.title or title, ", ".join(tags.artists)
            embedded = music.lyrics()
            if embedded.stamped:
                found.append(f"{track.as_uri()}#sylt")
            if embedded.text:
                found.append(f"{track.as_uri()}#lyrics")
        beside = [path.as_uri() for path in _lrc_files(track, f"{artist} - {title}")]
        return tuple(Candidate(uri, title, artist) for uri in (*beside, *found))

    def fetch(self, candidate_id: str) -> str:
        """The text of a candidate.

        Raises:
            PluginFailure: ``invalid-arg`` for what is no candidate's id, ``not-found``, ``denied`` or ``io``.
        """
        uri, _, part = candidate_id.partition("#")
        path = _path_of(uri) if uri.startswith("file:") else None
        if path is None:
            raise PluginFailure("invalid-arg", "this is no id of lyrics")
        if part in {"lyrics", "sylt"} and _ending(path) in MUSIC:
            return _embedded(path, part)
        if part or _ending(path) != "lrc":
            raise PluginFailure("invalid-arg", "this is no id of lyrics")
        with _open(path) as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise PluginFailure("invalid-arg", f"{path.name} is larger than {MAX_FILE} bytes")
        return "\n".join(decode_text(data).splitlines()) + "\n"

    def close(self) -> None:
        """Nothing to end."""


class LrcLyrics:
    """Makes providers."""

    def create(self) -> LrcProvider:
        return LrcProvider()


def make() -> LrcLyrics:
    """The entry point's factory."""
    return LrcLyrics()


def decode_text(data: bytes) -> str:
    """Text without a stated encoding: by its mark, as UTF-16 by its zeros, as UTF-8, else as Windows-1252."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    head = data[:256]
    # LRC is full of ASCII: in UTF-16 every other byte is then zero, and in no other encoding is any.
    if head[1::2].count(0) * 4 > len(head) > 3 and not head[::2].count(0):
        return data.decode("utf-16-le", "replace")
    if head[::2].count(0) * 4 > len(head) > 3 and not head[1::2].count(0):
        return data.decode("utf-16-be", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _ending(path: Path) -> str:
    return path.suffix[1:].lower()


def _path_of(keyword: str) -> Path | None:
    """The absolute path that a path or a ``file:`` URI means; ``None`` where it is neither."""
    text = keyword.partition("#")[0] if keyword.startswith("file:") else keyword
    if text.startswith("file:"):
        rest = text.removeprefix("file:")
        host, _, below = rest.removeprefix("//").partition("/") if rest.startswith("//") else ("", "", rest.lstrip("/"))
        if host.lower() not in {"", "localhost"}:
            return None
        text = os.fsdecode(unquote_to_bytes("/" + below))
    if not text or "\0" in text or len(text) > 4096:
        return None
    return Path(text).absolute()


def _lrc_files(track: Path, name: str) -> Iterator[Path]:
    """Files named like the track, then like its artist and title; the ending's case does not matter."""
    wanted = {track.stem: 0, name: 1}
    found: list[tuple[int, str]] = []
    try:
        with os.scandir(track.parent) as entries:
            for entry, _ in zip(entries, range(MAX_NEIGHBOURS), strict=False):
                stem, dot, ending = entry.name.rpartition(".")
                if dot and ending.lower() == "lrc" and stem in wanted:
                    found.append((wanted[stem], entry.name))
    except OSError:
        return
    for _, file_name in sorted(found):
        yield track.parent / file_name


def _open(path: Path) -> FileIO:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError as error:
        raise PluginFailure("not-found", f"{path.name} is not there") from error
    except OSError as error:
        case = "denied" if isinstance(error, PermissionError) else "io"
        raise PluginFailure(case, f"{path.name} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise PluginFailure("denied", f"{path.name} is no regular file")
    return FileIO(fd, "rb")


def _open_music(path: Path) -> MusicFile:
    with _open(path) as file:
        return MusicFile(file, path.name)


def _embedded(path: Path, part: str) -> str:
    try:
        embedded = _open_music(path).lyrics()
    except TagsUnreadable as error:
        raise PluginFailure("io", f"{path.name} has no readable tags: {error}") from error
    if part == "sylt" and embedded.stamped:
        return format_lrc(_sheet_of(embedded.stamped))
    if part == "lyrics" and embedded.text:
        return "\n".join(embedded.text.splitlines()) + "\n"
    raise PluginFailure("not-found", f"{path.name} has no such lyrics")


def _sheet_of(stamped: Sequence[tuple[int, str]]) -> LyricSheet:
    """Lines out of stamped pieces: a piece that begins with a line break begins a line, or each is one if none does."""
    breaks = any(text[:1] in {"\n", "\r"} for _, text in stamped)
    lines: list[list[LyricWord]] = []
    for at, text in stamped:
        if not lines or not breaks or text[:1] in {"\n", "\r"}:
            lines.append([])
        lines[-1].append(LyricWord(DurationMs(max(0, at)), " ".join(text.strip("\r\n").splitlines())))
    return LyricSheet(
        tuple(
            LyricLine("".join(word.text for word in words), words[0].at, tuple(words) if len(words) > 1 else ())
            for words in lines
        )
    )
