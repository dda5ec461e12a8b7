"""Reads WebAssembly's binary form, of which not a byte is believed."""

from __future__ import annotations

from typing import Final

_LEB_BYTES: Final = 5
_LONGEST_NAME: Final = 4096


class LayoutUnknown(Exception):
    """Raised when a component is not laid out in the one way that lanes can be grafted on; the text says why."""


class Cursor:
    """A place in some bytes, and where they end.

    Every method raises ``LayoutUnknown`` where the bytes are not what it is to read, and nothing else.
    """

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes | memoryview, at: int = 0, end: int | None = None) -> None:
        self.data = memoryview(data)
        self.at = at
        self.end = len(self.data) if end is None else end

    @property
    def done(self) -> bool:
        """Whether everything was read."""
        return self.at >= self.end

    def byte(self) -> int:
        """The next byte."""
        if self.at >= self.end:
            raise LayoutUnknown("it ends too early")
        value = self.data[self.at]
        self.at += 1
        return value

    def u32(self) -> int:
        """An unsigned number in LEB128."""
        value = 0
        for index in range(_LEB_BYTES):
            byte = self.byte()
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                break
        else:
            raise LayoutUnknown("a number is too long")
        if value >> 32:
            raise LayoutUnknown("a number is too large")
        return value

    def span(self, size: int) -> tuple[int, int]:
        """Where the next ``size`` bytes begin and end; steps over them."""
        start = self.at
        if size > self.end - start:
            raise LayoutUnknown("a part is longer than the whole")
        self.at = start + size
        return start, self.at

    def text(self) -> str:
        """A name."""
        size = self.u32()
        if size > _LONGEST_NAME:
            raise LayoutUnknown("a name is too long")
        start, end = self.span(size)
        try:
            return str(self.data[start:end], "utf-8")
        except UnicodeDecodeError:
            raise LayoutUnknown("a name is not UTF-8") from None

    def count(self) -> int:
        """How many items follow, each of a byte at the least."""
        items = self.u32()
        if items > self.end - self.at:
            raise LayoutUnknown("it counts more items than it has bytes")
        return items

    def expect(self, head: bytes, what: str) -> None:
        """Step over bytes that have to be there."""
        start, end = self.span(len(head))
        if bytes(self.data[start:end]) != head:
            raise LayoutUnknown(f"{what} is of an unknown form")

    def require(self, byte: int, what: str) -> None:
        """Step over a byte that has to be there."""
        if self.byte() != byte:
            raise LayoutUnknown(f"{what} is of an unknown form")

    def finish(self, what: str) -> None:
        """Check that everything was read."""
        if self.at != self.end:
            raise LayoutUnknown(f"{what} has bytes left over")
