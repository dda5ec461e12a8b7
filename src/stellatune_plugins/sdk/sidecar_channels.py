"""Channels as the sidecar sees them; :mod:`stellatune_plugins.sdk.sidecar` opens them. Standard library only."""

from __future__ import annotations

import abc
import json
import math
import os
import select
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final, Self

from stellatune_plugins.host.ring import RingReader, RingWriter

LINE_BYTES: Final = 1024 * 1024
"""The longest line that :meth:`Channel.receive` takes."""
_AT_ONCE: Final = 256 * 1024
_LOOK: Final = 0.1
"""Seconds between two looks at whether the host is still there."""
_PARENT: Final = os.getppid()


class Ended(EOFError):
    """Raised when the host closed the channel, asked this process to stop by closing its stdin, or died."""


class Channel(abc.ABC):
    """One connection to the host. One thread may read while another writes."""

    kind: str
    """The transport, as WIT names it."""

    def __init__(self) -> None:
        self._rest = b""

    @abc.abstractmethod
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """1 to ``max_bytes`` bytes; empty where the time is over first."""

    @abc.abstractmethod
    def write(self, data: bytes | bytearray | memoryview, timeout: float | None = None) -> int:
        """Write all of it; the number of bytes, which is smaller where the time is over first."""

    @abc.abstractmethod
    def close(self) -> None:
        """May be called again."""

    def receive(self, timeout: float | None = None) -> Any:
        """The JSON value of the next line; ``None`` where the time is over first.

        Raises:
            ValueError: a line that is no JSON, or longer than ``LINE_BYTES``.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while b"\n" not in self._rest:
            if len(self._rest) > LINE_BYTES:
                raise ValueError(f"a line of more than {LINE_BYTES} bytes")
            data = self.read(_AT_ONCE, None if end is None else max(0.0, end - time.monotonic()))
            if not data:
                return None
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    def lines(self) -> Iterator[Any]:
        """The JSON values of all lines to come."""
        while True:
            yield self.receive()

    def send(self, value: Any) -> None:
        """One JSON value as a line."""
        self.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FdChannel(Channel):
    """Over pipes and sockets. Takes non-blocking descriptors, and owns them."""

    def __init__(self, kind: str, read_fd: int, write_fd: int) -> None:
        super().__init__()
        self.kind = kind
        self._read_fd = read_fd
        self._write_fd = write_fd

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if max_bytes <= 0:
            return b""
        end = None if timeout is None else time.monotonic() + timeout
        while self._ready(self._read_fd, select.POLLIN, end):
            try:
                data = os.read(self._read_fd, max_bytes)
            except BlockingIOError:
                continue
            except OSError as error:
                raise Ended("the channel broke") from error
            if not data:
                raise Ended("the host closed the channel")
            return data
        return b""

    def write(self, data: bytes | bytearray | memoryview, timeout: float | None = None) -> int:
        view, done = memoryview(data).cast("B"), 0
        end = None if timeout is None else time.monotonic() + timeout
        while done < len(view) and self._ready(self._write_fd, select.POLLOUT, end):
            try:
                done += os.write(self._write_fd, view[done:])
            except BlockingIOError:
                continue
            except OSError as error:
                raise Ended("the host closed the channel") from error
        return done

    def close(self) -> None:
        fds, self._read_fd, self._write_fd = {self._read_fd, self._write_fd}, -1, -1
        for fd in fds:
            if fd >= 0:
                os.close(fd)

    def _ready(self, fd: int, events: int, end: float | None) -> bool:
        if fd < 0:
            raise Ended("the channel is closed")
        poll = select.poll()
        poll.register(fd, events)
        while True:
            left = math.inf if end is None else end - time.monotonic()
            if poll.poll(math.ceil(min(_LOOK, max(0.0, left)) * 1000)):
                return True
            if left <= 0:
                return False
            if host_gone():
                raise Ended("the host is gone")


class RingChannel(Channel):
    """Over two rings, which it owns. ``incoming`` may be read without this class, by one thread at a time."""

    kind = "shared-memory-ring"

    def __init__(self, incoming: RingReader, outgoing: RingWriter) -> None:
        super().__init__()
        self.incoming = incoming
        self.outgoing = outgoing
        self._open = True

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if max_bytes <= 0 or not self._wait(self.incoming, self.incoming.readable, timeout):
            return b""
        return self.incoming.read(max_bytes)

    def read_into(self, target: memoryview, timeout: float | None = None) -> int:
        """As :meth:`read`, into a writable buffer; the number of bytes."""
        if not len(target) or not self._wait(self.incoming, self.incoming.readable, timeout):
            return 0
        return self.incoming.read_into(target)

    def write(self, data: bytes | bytearray | memoryview, timeout: float | None = None) -> int:
        view, done = memoryview(data).cast("B"), 0
        end = None if timeout is None else time.monotonic() + timeout
        while done < len(view):
            left = None if end is None else max(0.0, end - time.monotonic())
            if not self._wait(self.outgoing, self.outgoing.space, left):
                break
            done += self.outgoing.write(view[done:])
        return done

    def close(self) -> None:
        if self._open:
            self._open = False
            for ring in (self.incoming, self.outgoing):
                ring.end()
                ring.close()

    def _wait(self, ring: RingReader | RingWriter, there: Callable[[], int], timeout: float | None) -> bool:
        """Whether there is something to read, or room; false where the time is over."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        looked = 0.0
        while True:
            if not self._open:
                raise Ended("the channel is closed")
            ended = ring.ended
            if not ended and there():
                return True
            now = time.monotonic()
            if not ended and now - looked >= _LOOK:
                ended, looked = host_gone(), now
            # What was written before the end is read after it; nobody reads what is written after it.
            if ended and ring is self.incoming and there():
                return True
            if ended:
                raise Ended("the host closed the channel")
            if now >= end:
                return False
            ring.nap(min(end - now, _LOOK))


def host_gone() -> bool:
    """Whether the host closed our stdin or died: then a sidecar stops."""
    if os.getppid() != _PARENT:
        return True
    poll = select.poll()
    poll.register(0, 0)
    return bool(poll.poll(0))
