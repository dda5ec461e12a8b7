"""A stream that only goes forward, as one that can go back: what was read is kept."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import IO, Final

from stellatune_plugins.contract.capabilities import ByteStream
from stellatune_plugins.errors import PluginFailure, StellatuneError

MEMORY_BYTES: Final = 4 * 1024 * 1024
"""Kept in memory; more goes to a file without a name."""
MAX_BYTES: Final = 2 * 1024 * 1024 * 1024
"""Kept at all. A stream that is longer (a radio station) goes forward alone from there on."""
_STEP: Final = 64 * 1024


def seekable(stream: ByteStream) -> bool:
    """Whether a stream goes back and forth by itself. Ends where it stood."""
    try:
        at = stream.tell()
        moved = stream.seek(at + 1) == at + 1
        return stream.seek(at) == at and moved
    except (StellatuneError, OSError, ValueError):
        return False


def rewindable(stream: ByteStream) -> ByteStream:
    """The stream itself where it seeks, else one over it that does."""
    return stream if seekable(stream) else SpooledStream(stream)


class SpooledStream:
    """Serves :class:`~stellatune_plugins.contract.ByteStream`; owns the stream below.

    Going back is free, going forward reads what is in between, and from the end there is only seeking once the end
    is known: nobody downloads a whole track because a decoder looked for a tag.

    Args:
        stream: where it stands is this one's start: what came before cannot be had back.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._base = stream.tell()
        self._kept: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 - closed by close
        self._have = 0
        """How much of the stream below was read."""
        self._lost = False
        """Too much was read: what is kept was given up."""
        self._ended = False
        self._position = 0

    def read(self, max_bytes: int) -> bytes:
        if max_bytes <= 0:
            return b""
        if self._position < self._have:
            self._kept.seek(self._position)
            data = self._kept.read(min(max_bytes, self._have - self._position))
        else:
            self._read_to(self._position)
            data = self._next(max_bytes) if self._have == self._position else b""
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """See the interface.

        Raises:
            PluginFailure: ``invalid-arg`` before the start, ``unsupported`` where it cannot be done.
        """
        if whence == os.SEEK_END:
            size = self.size()
            if size is None:
                raise PluginFailure("unsupported", "nobody knows yet where the stream ends")
            target = size + offset
        else:
            target = offset + (self._position if whence == os.SEEK_CUR else 0)
        if target < 0:
            raise PluginFailure("invalid-arg", "there is nothing before the start")
        if self._lost and target < self._have:
            raise PluginFailure("unsupported", f"only the first {MAX_BYTES} bytes of a stream are kept")
        self._position = target
        return target

    def tell(self) -> int:
        return self._position

    def size(self) -> int | None:
        if self._ended:
            return self._have
        size = self._stream.size()
        return None if size is None else max(0, size - self._base)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._kept.close()
        self._stream.close()

    def _read_to(self, position: int) -> None:
        while self._have < position and not self._ended:
            self._next(min(_STEP, position - self._have))

    def _next(self, max_bytes: int) -> bytes:
        if self._ended:
            return b""
        data = self._stream.read(max_bytes)
        if not data:
            self._ended = True
            return b""
        if not self._lost and self._have + len(data) > MAX_BYTES:
            self._lost = True
            self._kept.seek(0)
            self._kept.truncate()
        if not self._lost:
            self._kept.seek(self._have)
            self._kept.write(data)
        self._have += len(data)
        return data
