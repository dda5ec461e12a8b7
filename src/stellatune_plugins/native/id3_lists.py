"""The values of ID3 text frames that hold several: libavformat gives the first one only.

Just enough of ID3v2.3 and 2.4 (id3.org) to find plain text frames, in MP3 and in the ``id3 `` chunk of WAV. Compressed,
encrypted and unsynchronised frames are left to libavformat: a few lines here must not become a target for bombs.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from typing import Final

from stellatune_plugins.contract.capabilities import ByteStream

_NAMES: Final = {b"TPE1": "artist", b"TPE2": "album_artist", b"TCON": "genre"}
_MAX_TEXT: Final = 1 << 16
_MAX_FRAMES: Final = 1000
_MAX_CHUNKS: Final = 1000
_UNSYNCHRONISED: Final = 0x80
_ENCODINGS: Final = ("latin-1", "utf-16", "utf-16-be", "utf-8")


def id3_lists(stream: ByteStream) -> dict[str, tuple[str, ...]]:
    """Artists, album artists and genres where a frame has several; the stream's position is kept.

    Damaged tags give what was read before the damage.
    """
    found: dict[str, tuple[str, ...]] = {}
    with contextlib.suppress(Exception):  # whatever is wrong with a tag, the music may still be sound
        start = stream.tell()
        try:
            at = _tag_at(stream)
            if at is not None:
                for name, values in _frames(stream, at):
                    if len(values) > 1:
                        found.setdefault(name, values)
        finally:
            stream.seek(start)
    return found


def _read(stream: ByteStream, at: int, size: int) -> bytes:
    stream.seek(at)
    data = b""
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data


def _tag_at(stream: ByteStream) -> int | None:
    head = _read(stream, 0, 12)
    if head[:3] == b"ID3":
        return 0
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        at = 12
        for _ in range(_MAX_CHUNKS):
            chunk = _read(stream, at, 8)
            if len(chunk) < 8:
                return None
            name, size = struct.unpack("<4sI", chunk)
            if name in {b"id3 ", b"ID3 "}:
                return at + 8
            at += 8 + size + size % 2
    return None


def _frames(stream: ByteStream, at: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    head = _read(stream, at, 10)
    version, flags = head[3], head[5]
    if head[:3] != b"ID3" or version not in {3, 4} or flags & ~0x10:  # anything but a footer needs a real reader
        return
    end = at + 10 + _synchsafe(head[6:10])
    at += 10
    for _ in range(_MAX_FRAMES):
        frame = _read(stream, at, 10) if at + 10 <= end else b""
        if len(frame) < 10 or not frame[0]:
            return
        size = _synchsafe(frame[4:8]) if version == 4 else int.from_bytes(frame[4:8], "big")
        name = _NAMES.get(frame[:4])
        if name and not frame[9] and 1 < size <= _MAX_TEXT:
            yield name, _values(_read(stream, at + 10, size))
        at += 10 + size


def _synchsafe(data: bytes) -> int:
    value = 0
    for byte in data:
        if byte & _UNSYNCHRONISED:
            raise ValueError("no synchsafe number")
        value = value << 7 | byte
    return value


def _values(data: bytes) -> tuple[str, ...]:
    text = data[1:].decode(_ENCODINGS[data[0]], "replace")
    return tuple(part for piece in text.split("\0") if (part := piece.strip("\ufeff \0")))
