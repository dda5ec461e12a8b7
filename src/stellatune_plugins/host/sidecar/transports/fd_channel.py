"""Channels over descriptors: pipes, FIFOs and sockets."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.budget import within
from stellatune_plugins.host.sidecar.interface import SidecarChannel
from stellatune_plugins.host.sidecar.transports.door import CLOSED, Door
from stellatune_plugins.host.sidecar.transports.peer import ENDED, Peer
from stellatune_plugins.host.sidecar.transports.waiting import ReadWait
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.package.manifest import TransportKind

MOST_AT_ONCE: Final = 1024 * 1024
"""Bytes that one read gives at most, whatever the guest asks for: so much memory is set aside for it."""

_LOOK: Final = 0.05
"""Seconds between two looks at a process that has no descriptor to wait for."""
_HUNG_UP: Final = "the sidecar closed the channel"


class Lane:
    """Two directions of bytes and the process behind them. Descriptors are non-blocking and owned.

    Args:
        read_fd: where bytes come from.
        write_fd: where they go; may be the same.
        peer: the process.
        close: frees the descriptors.
        sock: the socket, where both are one.
        close_writing: frees ``write_fd`` alone, where that may happen earlier; ``close`` leaves it then.
    """

    def __init__(
        self,
        read_fd: int,
        write_fd: int,
        peer: Peer,
        close: Callable[[], None],
        *,
        sock: socket.socket | None = None,
        close_writing: Callable[[], None] | None = None,
    ) -> None:
        self._pid_fd = _own_copy(peer.fileno())
        self._close = close
        self.read_fd = read_fd
        self.write_fd = write_fd
        self.peer = peer
        self.read: Callable[[int], bytes] = sock.recv if sock else lambda count: os.read(read_fd, count)
        # No SIGPIPE, whatever the process that embeds us made of it; pipes have no such flag.
        self.write: Callable[[memoryview], int] = (
            (lambda data: sock.send(data, socket.MSG_NOSIGNAL)) if sock else (lambda data: os.write(write_fd, data))
        )
        self.reading = threading.Lock()
        self.writing = threading.Lock()
        self.door = Door(self._free)
        self.writing_door = None if close_writing is None else Door(close_writing)

    def close(self) -> None:
        """Ends everything that goes on over it. Never waits; may be called again."""
        self.close_writing()
        self.door.close()

    def close_writing(self) -> None:
        """The other side reads the end, where the descriptor for writing is one of its own."""
        if self.writing_door is not None:
            self.writing_door.close()

    @classmethod
    def over(cls, sock: socket.socket, peer: Peer) -> Lane:
        """A lane over a connected socket, which it owns from here on."""
        sock.setblocking(False)
        return cls(sock.fileno(), sock.fileno(), peer, sock.close, sock=sock)

    def wait(self, fd: int, events: int, doors: tuple[Door, ...], seconds: float) -> bool:
        """Whether ``fd`` is ready, or hung up.

        Raises:
            PluginFailure: ``io`` where a door was closed, or the process ended and nothing is ready.
        """
        poll = select.poll()
        poll.register(fd, events)
        for door in doors:
            poll.register(door.fileno(), select.POLLIN)
        if self._pid_fd >= 0:
            poll.register(self._pid_fd, select.POLLIN)
        end = time.monotonic() + seconds
        while True:
            left = max(0.0, end - time.monotonic())
            step = left if self._pid_fd >= 0 else min(left, _LOOK)
            ready = {number for number, _ in poll.poll(math.ceil(step * 1000))}
            if any(door.closed for door in doors):
                raise PluginFailure("io", CLOSED)
            if fd in ready:
                return True
            if not self.peer.alive():
                raise PluginFailure("io", ENDED)
            if step >= left:
                return False

    def _free(self) -> None:
        if self._pid_fd >= 0:
            os.close(self._pid_fd)
        self._close()


class FdChannel(SidecarChannel):
    """One channel over a lane.

    Args:
        kind: what guests are told.
        lane: what it reads and writes.
        timeouts: how long it waits.
        shared: whether the lane outlives it.
    """

    def __init__(self, kind: TransportKind, lane: Lane, timeouts: HostTimeouts, *, shared: bool = False) -> None:
        self._kind = kind
        self._lane = lane
        self._timeouts = timeouts
        self._shared = shared
        self._door = Door(lambda: None) if shared else lane.door
        self._to_read = (self._door, lane.door) if shared else (lane.door,)
        self._to_write = self._to_read if lane.writing_door is None else (*self._to_read, lane.writing_door)

    def transport(self) -> str:
        return self._kind.value

    def write(self, data: bytes) -> int:
        """All of it; fewer bytes where the time is over or the peer leaves in the middle."""
        if not data:
            return 0
        end = time.monotonic() + within(self._timeouts.channel_write)
        lane, view, done = self._lane, memoryview(data), 0
        with self._inside(self._to_write, lane.writing, end):
            try:
                while True:
                    with contextlib.suppress(BlockingIOError):
                        done += lane.write(view[done:])
                        if done == len(view):
                            return done
                    left = end - time.monotonic()
                    if left <= 0 or not lane.wait(lane.write_fd, select.POLLOUT, self._to_write, left):
                        raise PluginFailure("timeout", "the sidecar takes no bytes")  # noqa: TRY301 - judged below
            except OSError as error:
                failure: Exception = _broken(error)
            except PluginFailure as raised:
                failure = raised
        if done and not self._door.closed:
            return done
        raise failure

    def read(self, max_bytes: int, timeout_ms: int | None) -> bytes:
        """1 to ``max_bytes`` bytes; none where the guest's own time is over.

        What the sidecar had written before it ended still comes; then ``io``.
        """
        if max_bytes <= 0:
            return b""
        wait = ReadWait(timeout_ms, self._timeouts.channel_read)
        lane, most = self._lane, min(max_bytes, MOST_AT_ONCE)
        with self._inside(self._to_read, lane.reading, time.monotonic() + wait.left()):
            # Polled first: a FIFO that nobody opened yet reads as if it had ended.
            while lane.wait(lane.read_fd, select.POLLIN, self._to_read, wait.left()):
                try:
                    data = lane.read(most)
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise _broken(error) from error
                if data:
                    return data
                raise PluginFailure("io", ENDED if not lane.peer.alive() else _HUNG_UP)
        return wait.nothing()

    def close(self) -> None:
        if self._shared:
            self._door.close()
        else:
            self._lane.close()

    @staticmethod
    @contextlib.contextmanager
    def _inside(doors: tuple[Door, ...], lock: threading.Lock, end: float) -> Iterator[None]:
        """Within the doors, alone in one direction."""
        with contextlib.ExitStack() as stack:
            for door in doors:
                stack.enter_context(door)
            if not lock.acquire(timeout=max(0.0, end - time.monotonic())):
                raise PluginFailure("timeout", "another caller uses the channel")
            stack.callback(lock.release)
            yield


def _own_copy(fd: int | None) -> int:
    """A duplicate, or -1 where there is nothing: the process may end, and its descriptor be closed, at any moment."""
    with contextlib.suppress(OSError):
        return -1 if fd is None else fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 0)
    return -1


def _broken(error: OSError) -> PluginFailure:
    gone = isinstance(error, BrokenPipeError | ConnectionError)
    return PluginFailure("io", _HUNG_UP if gone else f"the channel broke: {error.strerror or type(error).__name__}")
