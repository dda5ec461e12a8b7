"""Two rings in shared memory, one a direction."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import Final

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.budget import within
from stellatune_plugins.host.ring import RingBroken, RingReader, RingWriter, create_memory
from stellatune_plugins.host.sidecar.interface import SidecarChannel
from stellatune_plugins.host.sidecar.transports.door import CLOSED, Door
from stellatune_plugins.host.sidecar.transports.endpoint import Endpoint
from stellatune_plugins.host.sidecar.transports.negotiate import Purpose, pair_text
from stellatune_plugins.host.sidecar.transports.peer import ENDED, Peer
from stellatune_plugins.host.sidecar.transports.waiting import ReadWait
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.package.manifest import TransportKind

FULL_WAIT: Final = 0.02
"""Seconds that a write to a full ring waits before it says that nothing fitted."""
_LOOK: Final = 0.02
"""Seconds between two looks at whether the sidecar still runs."""
_HUNG_UP: Final = "the sidecar closed the channel"


class SharedMemoryRingEndpoint(Endpoint):
    """The rings are sealed anonymous memory that the sidecar inherits and opens as ``/proc/self/fd/<n>``.

    Files in a folder would do for an honest sidecar; one that truncates such a file kills the host with SIGBUS. Opens
    once.
    """

    kind = TransportKind.SHARED_MEMORY_RING
    immediate = True

    def __init__(self, purpose: Purpose, timeouts: HostTimeouts, capacity: int) -> None:
        super().__init__()
        self._timeouts = timeouts
        self._rings: tuple[RingWriter, RingReader] | None = None
        fds: list[int] = []
        try:
            for end in ("tx", "rx"):
                fds.append(create_memory(capacity, f"stellatune-{purpose.file_name}-{end}"))
                self.inherited = tuple(fds)
            self._rings = RingWriter(fds[0]), RingReader(fds[1])
        except OSError as error:
            self.close()
            raise PluginFailure("io", f"no shared memory for the sidecar: {error.strerror}") from error
        text = pair_text(*(f"/proc/self/fd/{fd}" for fd in fds))
        self.environment = dict.fromkeys(purpose.variables(self.kind), text)

    def started(self, peer: Peer) -> None:
        super().started(peer)
        self._close_memory()

    def try_open(self) -> SidecarChannel:
        peer = self._live_peer()
        if self._rings is None:
            raise PluginFailure("unsupported", "the sidecar's ring is in use")
        rings, self._rings = self._rings, None
        return RingChannel(*rings, peer, self._timeouts)

    def close(self) -> None:
        self._closed = True
        self._close_memory()
        rings, self._rings = self._rings, None
        for ring in rings or ():
            ring.close()

    def _close_memory(self) -> None:
        fds, self.inherited = self.inherited, ()
        for fd in fds:
            os.close(fd)


class RingChannel(SidecarChannel):
    """One channel over two rings, which it owns.

    A write takes what fits. Where nothing does, it waits a moment and then says 0: a sink wants to know that it is
    ahead, not to wait for the music.
    """

    def __init__(self, tx: RingWriter, rx: RingReader, peer: Peer, timeouts: HostTimeouts) -> None:
        self._tx = tx
        self._rx = rx
        self._peer = peer
        self._timeouts = timeouts
        self._reading = threading.Lock()
        self._writing = threading.Lock()
        self._broken: str | None = None
        self._door = Door(self._free, self._wake)

    def transport(self) -> str:
        return TransportKind.SHARED_MEMORY_RING.value

    def write(self, data: bytes) -> int:
        """What fits of it; 0 where the ring stays full."""
        if not data:
            return 0
        end = time.monotonic() + within(min(FULL_WAIT, self._timeouts.channel_write))
        with self._inside(self._writing, end):
            while True:
                if self._tx.ended or not self._peer.alive():
                    raise PluginFailure("io", self._end())
                count = self._tx.write(data)
                left = end - time.monotonic()
                if count or left <= 0:
                    return count
                self._tx.nap(left)
                self._check_open()

    def read(self, max_bytes: int, timeout_ms: int | None) -> bytes:
        """What is there, at most ``max_bytes``; none where the guest's own time is over before anything came."""
        if max_bytes <= 0:
            return b""
        wait = ReadWait(timeout_ms, self._timeouts.channel_read)
        ended, looked = False, 0.0
        with self._inside(self._reading, time.monotonic() + wait.left()):
            while True:
                data = self._rx.read(max_bytes)
                if data:
                    return data
                # Known before this look: what the sidecar wrote before its end was read first.
                if ended:
                    raise PluginFailure("io", self._end())
                now = time.monotonic()
                ended = self._rx.ended
                if not ended and now - looked >= _LOOK:
                    ended, looked = not self._peer.alive(), now
                if ended:
                    continue
                left = wait.left()
                if not left:
                    return wait.nothing()
                self._rx.nap(min(left, _LOOK))
                self._check_open()

    def close(self) -> None:
        self._door.close()

    @contextlib.contextmanager
    def _inside(self, lock: threading.Lock, end: float) -> Iterator[None]:
        with self._door:
            if not lock.acquire(timeout=max(0.0, end - time.monotonic())):
                raise PluginFailure("timeout", "another caller uses the channel")
            try:
                if self._broken is not None:
                    raise PluginFailure("io", self._broken)
                yield
            except RingBroken as error:
                self._broken = f"the sidecar broke the ring: {error}"
                raise PluginFailure("io", self._broken) from error
            finally:
                lock.release()

    def _check_open(self) -> None:
        if self._door.closed:
            raise PluginFailure("io", CLOSED)

    def _end(self) -> str:
        return _HUNG_UP if self._peer.alive() else ENDED

    def _wake(self) -> None:
        self._tx.wake_self()
        self._rx.wake_self()

    def _free(self) -> None:
        for ring in (self._tx, self._rx):
            ring.end()
            ring.close()
