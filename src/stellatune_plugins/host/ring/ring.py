"""A ring of bytes in a mapped file: one process writes, one reads, and neither believes the other.

Layout (contract, section 5), in the machine's byte order::

    0  u32 magic      8  u32 capacity     16  u64 write_pos   32  capacity bytes
    4  u32 version   12  u32 ended        24  u64 read_pos

Positions count bytes and never wrap. ``ended`` is 0 in the contract; an end that closes sets its bit there (1 the
writer, 2 the reader), so that two ends of this implementation tell each other; who ignores it loses nothing else.

Each end keeps its own position to itself and only publishes it. The other end's position is read once an operation, and
must not have gone back nor be further away than the capacity; else the ring is broken for good.

Whoever moved a position wakes the futex on its low 32 bits. A peer that never does is found out by short naps.
"""

from __future__ import annotations

import abc
import ctypes
import mmap
import os
import struct
import sys
from types import TracebackType
from typing import Final, Self

from stellatune_plugins.host.ring import futex

MAGIC: Final = 0x53544D52
VERSION: Final = 1
HEADER_BYTES: Final = 32
MIN_CAPACITY: Final = 4 * 1024
MAX_CAPACITY: Final = 64 * 1024 * 1024
DEFAULT_CAPACITY: Final = 1024 * 1024

WRITER_ENDED: Final = 1
READER_ENDED: Final = 2

_WRITE_POS: Final = 16
_READ_POS: Final = 24
_LOW_WORD: Final = 0 if sys.byteorder == "little" else 4

_NAP: Final = 0.0005
"""Seconds between two looks at a position whose owner wakes nobody."""
_LONG_NAP: Final = 0.02
"""Likewise of one who does: only to see that the process still lives."""

Buffer = bytes | bytearray | memoryview


class RingBroken(Exception):
    """Raised when the file is no ring, or the other end wrote a position that cannot be."""


class Ring(abc.ABC):
    """One end's mapping. The descriptor may be closed afterwards; :meth:`close` undoes the mapping.

    Not for several threads, but for :meth:`wake_self`.

    Raises:
        RingBroken: a file that is no ring.
        OSError: it cannot be mapped.
    """

    _mine: int
    _theirs: int
    _my_end: int
    _their_end: int

    def __init__(self, fd: int) -> None:
        size = os.fstat(fd).st_size
        if not HEADER_BYTES + MIN_CAPACITY <= size <= HEADER_BYTES + MAX_CAPACITY:
            raise RingBroken(f"a file of {size} bytes is no ring")
        self._map = mmap.mmap(fd, size)
        magic, version, capacity, _ = struct.unpack_from("=IIII", self._map)
        if (magic, version, capacity) != (MAGIC, VERSION, size - HEADER_BYTES):
            self._map.close()
            raise RingBroken("the file's header is not that of a ring of its size")
        self.capacity: int = capacity
        self._views: list[memoryview] = []
        whole = self._view(memoryview(self._map))
        self._data = self._view(whole[HEADER_BYTES:])
        self._words = self._view(self._view(whole[8:16]).cast("I"))
        self._positions = self._view(self._view(whole[_WRITE_POS:HEADER_BYTES]).cast("Q"))
        # The export of the address object is not kept: the address is valid for as long as the map is open.
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self._position = self._positions[self._mine]
        self._seen = self._positions[self._theirs]
        self._peer_wakes = False
        try:
            self._check()
        except RingBroken:
            self.close()
            raise

    @property
    def ended(self) -> bool:
        """Whether the other end said that it closed. False from a peer that has no such notion."""
        return bool(self._words[1] & self._their_end)

    @property
    def position(self) -> int:
        """Bytes that this end has moved since the ring was made."""
        return self._position

    def end(self) -> None:
        """Tell the other end that nothing will move here any more."""
        self._words[1] |= self._my_end
        self._wake(self._mine)

    def nap(self, limit: float) -> None:
        """Sleep until the other end may have moved, for ``limit`` seconds at most; often for less."""
        seconds = min(limit, _LONG_NAP if self._peer_wakes else _NAP)
        if seconds <= 0:
            return
        low = self._seen & 0xFFFFFFFF
        if futex.wait(self._address + self._offset(self._theirs), low, seconds):
            self._peer_wakes = True

    def wake_self(self) -> None:
        """Ends a :meth:`nap` of another thread."""
        self._wake(self._theirs)

    def close(self) -> None:
        """Undo the mapping; nobody may be inside. May be called again."""
        while self._views:
            self._views.pop().release()
        self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _view(self, view: memoryview) -> memoryview:
        self._views.append(view)
        return view

    def _look(self) -> int:
        """The other end's position, checked."""
        position = self._positions[self._theirs]
        if position < self._seen:
            raise RingBroken(f"the other end's position went back from {self._seen} to {position}")
        self._seen = position
        self._check()
        if not futex.ORDERED:
            self._wake(self._theirs)
        return position

    @abc.abstractmethod
    def _check(self) -> None:
        """Refuse a position of the other end that cannot be, given this one's."""

    def _publish(self, count: int) -> None:
        if not futex.ORDERED:
            # The bytes before the position, for processors that may swap the two.
            self._wake(self._mine)
        self._position += count
        self._positions[self._mine] = self._position
        self._wake(self._mine)

    def _wake(self, which: int) -> None:
        futex.wake(self._address + self._offset(which))

    @staticmethod
    def _offset(which: int) -> int:
        return _WRITE_POS + 8 * which + _LOW_WORD


class RingWriter(Ring):
    """The end that writes."""

    _mine, _theirs = 0, 1
    _my_end, _their_end = WRITER_ENDED, READER_ENDED

    def space(self) -> int:
        """Bytes that :meth:`write` would take now."""
        return self.capacity - (self._position - self._look())

    def queued(self) -> int:
        """Bytes written and not yet read."""
        return self._position - self._look()

    def write(self, data: Buffer) -> int:
        """Take what fits now; the number of bytes, 0 where the ring is full. Never waits."""
        view = memoryview(data).cast("B")
        count = min(self.space(), len(view))
        if count:
            start = self._position % self.capacity
            first = min(count, self.capacity - start)
            self._data[start : start + first] = view[:first]
            if first < count:
                self._data[: count - first] = view[first:count]
            self._publish(count)
        return count

    def _check(self) -> None:
        if not 0 <= self._position - self._seen <= self.capacity:
            raise RingBroken(f"the reader claims position {self._seen}, the writer is at {self._position}")


class RingReader(Ring):
    """The end that reads."""

    _mine, _theirs = 1, 0
    _my_end, _their_end = READER_ENDED, WRITER_ENDED

    def readable(self) -> int:
        """Bytes that :meth:`read` would give now."""
        return self._look() - self._position

    def read(self, max_bytes: int) -> bytes:
        """What is there now, at most so much; empty where nothing is. Never waits."""
        first, second = self._parts(max_bytes)
        with first, second:
            data = b"".join((first, second)) if second else bytes(first)
        if data:
            self._publish(len(data))
        return data

    def read_into(self, target: memoryview) -> int:
        """Fill a writable buffer of bytes as far as there is something; the number of bytes. Never waits."""
        first, second = self._parts(len(target))
        with first, second:
            split, count = len(first), len(first) + len(second)
            target[:split] = first
            target[split:count] = second
        if count:
            self._publish(count)
        return count

    def skip(self, max_bytes: int) -> int:
        """Drop what is there now, at most so much; the number of bytes."""
        count = min(self.readable(), max_bytes)
        if count > 0:
            self._publish(count)
        return count

    def _parts(self, max_bytes: int) -> tuple[memoryview, memoryview]:
        """What is there, before and behind the place where the ring begins anew."""
        count = min(self.readable(), max_bytes)
        start = self._position % self.capacity
        first = min(count, self.capacity - start)
        return self._data[start : start + first], self._data[: count - first]

    def _check(self) -> None:
        if not 0 <= self._seen - self._position <= self.capacity:
            raise RingBroken(f"the writer claims position {self._seen}, the reader is at {self._position}")
