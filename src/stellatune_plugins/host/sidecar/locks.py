"""Named locks: one set a plugin, first come, first served."""

from __future__ import annotations

import collections
import threading
import time
from typing import Final

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.sidecar.interface import SidecarLockGuard

MAX_NAME: Final = 256
MAX_TICKETS: Final = 256
"""Locks held and waited for, of one plugin."""


class NamedLocks:
    """The locks of one plugin, whichever of its instances takes them, from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queues: dict[str, collections.deque[Guard]] = {}
        self._closed = False

    def lock(self, name: str, timeout: float) -> Guard:
        """Take the lock once everybody who asked before has let go of it.

        Raises:
            PluginFailure: ``invalid-arg`` for an odd name, ``timeout``, ``internal`` for too many at once, ``io`` once
                the plugin is being deactivated.
        """
        if not name or len(name) > MAX_NAME or not name.isprintable():
            raise PluginFailure("invalid-arg", f"a lock's name has 1 to {MAX_NAME} printable characters")
        end = time.monotonic() + timeout
        ticket = Guard(self, name)
        with self._changed:
            if sum(map(len, self._queues.values())) >= MAX_TICKETS:
                raise PluginFailure("internal", f"the plugin holds or waits for {MAX_TICKETS} locks")
            self._queues.setdefault(name, collections.deque()).append(ticket)
            try:
                self._await(ticket, end)
            except BaseException:
                self._leave(ticket)
                raise
        return ticket

    def _await(self, ticket: Guard, end: float) -> None:
        while not ticket.held and not self._closed:
            left = end - time.monotonic()
            if left <= 0:
                raise PluginFailure("timeout", f"the lock {ticket.name!r} was not free in time")
            self._changed.wait(left)
        if self._closed:
            raise PluginFailure("io", "the plugin is being deactivated")

    def held(self) -> list[str]:
        """Names of the locks that somebody holds."""
        with self._changed:
            return sorted(self._queues)

    def open(self) -> None:
        """Serve again after :meth:`close`."""
        with self._changed:
            self._closed = False

    def close(self) -> None:
        """Free every lock and send everybody who waits away."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            for queue in list(self._queues.values()):
                for ticket in [t for t in queue if t.held]:
                    self._leave(ticket)

    def release(self, ticket: Guard) -> None:
        """Let go of it; does nothing for one that was let go of."""
        with self._changed:
            self._leave(ticket)

    def _leave(self, ticket: Guard) -> None:
        queue = self._queues.get(ticket.name)
        if queue is not None and ticket in queue:
            queue.remove(ticket)
            if not queue:
                del self._queues[ticket.name]
            self._changed.notify_all()


class Guard(SidecarLockGuard):
    """A lock that is held, or a place in its queue."""

    def __init__(self, locks: NamedLocks, name: str) -> None:
        self.name = name
        self._locks = locks

    @property
    def held(self) -> bool:
        """Whether it is at the head of its queue. For the locks alone, which are locked then."""
        queue = self._locks._queues.get(self.name)  # noqa: SLF001 - two halves of one thing
        return bool(queue) and queue[0] is self  # type: ignore[index]

    def unlock(self) -> None:
        self._locks.release(self)
