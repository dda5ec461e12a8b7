"""The bytes of a stream around the reader: what was read ahead, and a little of what is behind."""

from __future__ import annotations

from typing import Final

CAPACITY: Final = 1024 * 1024


class Window:
    """At most :data:`CAPACITY` bytes in a row, filled at the end, forgotten at the start."""

    def __init__(self) -> None:
        self._start = 0
        self._data = bytearray()

    @property
    def end(self) -> int:
        """Offset of the byte after the last one."""
        return self._start + len(self._data)

    def restart(self, at: int) -> None:
        """Forget everything; the next bytes start there."""
        self._start = at
        self._data.clear()

    def put(self, data: bytes) -> None:
        """Append."""
        self._data += data
        excess = len(self._data) - CAPACITY
        if excess > 0:
            del self._data[:excess]
            self._start += excess

    def get(self, position: int, count: int) -> bytes:
        """At most ``count`` bytes from there; empty where they are not in it."""
        at = position - self._start
        return bytes(self._data[at : at + count]) if at >= 0 else b""
