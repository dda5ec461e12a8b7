"""Reads WebAssembly's binary form, of which not a byte is believed."""

from __future__ import annotations

from typing import Final

MOST_ITEMS: Final = 100_000
_LEB_BYTES: Final = 5
_LONGEST_NAME: Final = 4096


class LayoutUnknown(Exception):
    """Raised when a component is not laid out in the one way that lanes can be grafted on; the text says why."""


class Allowance:
    """How many items and sections may still be read: a reader in Python takes a microsecond for each.

    The wiring of a language runtime with everything in it has some thousand.
    """

    __slots__ = ("left",)

    def __init__(self, items: int = MOST_ITEMS) -> None:
        self.left = items

    def take(self, items: int = 1) -> None:
        """Read so many more."""
        self.left -= items
        if self.left < 0:
            raise LayoutUnknown(f"it has more than {MOST_ITEMS} items")


class Cursor:
    """A place in some bytes, where they end, and how much may be read of them in all.

    Every method raises ``LayoutUnknown`` where the bytes are not what it is to read, and nothing else.
    """

    __slots__ = ("allowance", "at", "data", "end")

    def __init__(
        self, data: bytes | memoryview, at: int = 0, end: int | None = None, *, allowance: Allowance | None = None
    ) -> None:
        self.allowance = allowance or Allowance()
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

    def section(self) -> tuple[int, Cursor]:
        """The next section's kind, and a cursor over what is in it."""
        self.allowance.take()
        kind = self.byte()
        start, end = self.span(self.u32())
        return kind, Cursor(self.data, start, end, allowance=self.allowance)

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
        self.allowance.take(items)
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
