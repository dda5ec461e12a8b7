"""A package in a zip archive."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from stellatune_plugins.errors import SourceUnreadable
from stellatune_plugins.package.caps import DEFAULT_CAPS, Caps, refusal
from stellatune_plugins.package.sources import CHUNK_BYTES, Candidate, Entry, admit
from stellatune_plugins.package.zip_layout import STORED, ZipMember, read_layout


class ZipSource:
    """Reads the whole archive into memory first (at most ``caps.packed`` bytes), so that it cannot change meanwhile.

    Decompression is done here on zlib, not by :mod:`zipfile`: that stops at the declared size and so cannot tell an
    entry that holds more, and it would parse the headers a second time, in its own way.
    """

    def __init__(self, path: Path, *, caps: Caps = DEFAULT_CAPS) -> None:
        self._path = path
        located = read_layout(_read_file(path, caps), caps)
        self._located = {member.name: (member, body) for member, body in located}
        candidates = [_candidate(member, body) for member, body in located]
        self._entries = admit(candidates, caps, skip_receipts=False)

    @property
    def label(self) -> str:
        return str(self._path.absolute())

    def entries(self) -> Sequence[Entry]:
        return self._entries

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        member, body = self._located[entry.origin]
        crc = size = 0
        for chunk in _unpacked(member, body):
            crc = zlib.crc32(chunk, crc)
            size += len(chunk)
            if size > member.size:
                break
            yield chunk
        if size != member.size:
            raise refusal("size-disagrees", f"the entry holds other than its {member.size} bytes", member.name)
        if crc != member.crc:
            raise refusal("bad-sum", "the entry is damaged: its sum is wrong", member.name)

    def close(self) -> None:
        self._located = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _read_file(path: Path, caps: Caps) -> bytes:
    try:
        # Not blocking: opening a pipe would wait for its other end.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise SourceUnreadable(f"{path} is no regular file")
            data = file.read(caps.packed + 1)
    except OSError as error:
        raise SourceUnreadable(f"cannot read {path}: {error}") from error
    if len(data) > caps.packed:
        raise refusal("archive-too-large", f"the archive is larger than {caps.packed} bytes")
    return data


def _candidate(member: ZipMember, body: memoryview) -> Candidate:
    # An archive without Unix modes cannot say what is a program; what lies in the programs' folders is one then.
    executable = bool(member.mode & 0o111) if stat.S_IMODE(member.mode) else True
    return Candidate(
        path=member.name, is_folder=member.is_folder, size=member.size, packed=len(body), executable=executable
    )


def _unpacked(member: ZipMember, body: memoryview) -> Iterator[bytes]:
    if member.method == STORED:
        for at in range(0, len(body), CHUNK_BYTES):
            yield bytes(body[at : at + CHUNK_BYTES])
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    at = 0
    try:
        while not inflater.eof:
            feed: bytes | memoryview = inflater.unconsumed_tail
            if not feed:
                feed = body[at : at + CHUNK_BYTES]
                at += len(feed)
            chunk = inflater.decompress(feed, CHUNK_BYTES)
            if chunk:
                yield chunk
            elif not feed and not inflater.eof:
                raise refusal("bad-data", "the entry's packed data is cut off", member.name)
    except zlib.error as error:
        raise refusal("bad-data", f"the entry's packed data is damaged: {error}", member.name) from error
    if inflater.unused_data or inflater.unconsumed_tail or at < len(body):
        raise refusal("size-disagrees", "the entry has bytes behind its packed data", member.name)
