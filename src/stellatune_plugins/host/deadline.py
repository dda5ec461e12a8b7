"""A moment by which a host function must be over, and which the end of the thing it works on brings forward."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.budget import within


class Cancel:
    """Told once, from any thread, that something is over; wakes everybody who waits on its behalf."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wakers: dict[int, Callable[[], None]] = {}
        self._next = 0
        self._set = False

    @property
    def is_set(self) -> bool:
        """Whether it is over."""
        return self._set

    def set(self) -> None:
        """It is over. May be called again."""
        with self._lock:
            self._set = True
            wakers = list(self._wakers.values())
            self._wakers.clear()
        for wake in wakers:
            wake()

    def on_set(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call ``wake`` once it is over, at once where it is; gives a function that takes this back.

        ``wake`` must not raise and not wait, and may still be running when it was taken back.
        """
        with self._lock:
            if not self._set:
                number, self._next = self._next, self._next + 1
                self._wakers[number] = wake
                return lambda: self._forget(number)
        wake()
        return lambda: None

    def _forget(self, number: int) -> None:
        with self._lock:
            self._wakers.pop(number, None)


class Deadline:
    """So many seconds from now for something, or less where the guest's call has less left.

    Args:
        seconds: at most.
        doing: what takes the time, for the message: ``connecting to api.example.org``.
        cancel: ends it at once.
    """

    def __init__(self, seconds: float, doing: str, cancel: Cancel | None = None) -> None:
        self._seconds = within(seconds)
        self._end = time.monotonic() + self._seconds
        self._doing = doing
        self.cancel = cancel if cancel is not None else Cancel()

    def sooner(self, seconds: float, doing: str) -> Deadline:
        """One for a part of the work: ends with this one at the latest."""
        part = Deadline(seconds, doing, self.cancel)
        if part._end > self._end:
            part._end, part._seconds = self._end, self._seconds
        return part

    def left(self) -> float:
        """Seconds left, more than 0.

        Raises:
            PluginFailure: ``timeout`` where none are, ``io`` where it was cancelled.
        """
        self.check()
        return max(self._end - time.monotonic(), 1e-6)

    def check(self) -> None:
        """Raise as :meth:`left` does."""
        if self.cancel.is_set:
            raise closed()
        if time.monotonic() >= self._end:
            raise self.failure()

    def failure(self) -> PluginFailure:
        """What to raise where the time has run out."""
        return PluginFailure("timeout", f"{self._doing} took longer than {self._seconds:.3g} s")

    def wait(self, event: threading.Event) -> None:
        """Wait for an event; raises as :meth:`left` does. A cancel sets the event."""
        forget = self.cancel.on_set(event.set)
        try:
            event.wait(self.left())
        finally:
            forget()
        if self.cancel.is_set or not event.is_set():
            self.check()
            raise self.failure()

    def sleep(self, seconds: float) -> None:
        """Sleep, for the time that is left at most; raises as :meth:`left` does, at the end of the sleep or sooner."""
        woken = threading.Event()
        forget = self.cancel.on_set(woken.set)
        try:
            woken.wait(min(seconds, self.left()))
        finally:
            forget()
        self.check()


def closed() -> PluginFailure:
    """What a stream answers that was closed, while it waited or before."""
    return PluginFailure("io", "the stream is closed")


class Gate:
    """Lets one thread at a time use a thing; whoever leaves last, after it was closed, puts the thing away.

    Args:
        put_away: called once, by the thread that closes, or by the one that was inside then.
    """

    def __init__(self, put_away: Callable[[], None]) -> None:
        self._put_away = put_away
        self._busy = threading.Lock()
        self._closed = threading.Event()

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Use the thing.

        Raises:
            PluginFailure: ``io``: it is closed, or another thread is inside.
        """
        if not self._busy.acquire(blocking=False):
            raise closed() if self._closed.is_set() else PluginFailure("io", "the stream is in use by another thread")
        try:
            if self._closed.is_set():
                raise closed()
            yield
        finally:
            self._busy.release()
            if self._closed.is_set():
                self._end()

    def close(self) -> None:
        """Nobody gets in any more. May be called again; does not wait for who is inside."""
        self._closed.set()
        self._end()

    def _end(self) -> None:
        # The lock is never given back once the thing was put away, so that this happens once.
        if self._busy.acquire(blocking=False):
            self._put_away()
