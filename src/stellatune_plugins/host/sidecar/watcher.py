"""One thread that waits for all that sidecars do by themselves: their ends, their words, their time running out."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import os
import selectors
import threading
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Watcher:
    """Calls back, from a thread of its own, when a descriptor is readable and when a time has come.

    The thread starts with the first call. A callback must be quick; one that raises is logged, and its descriptor is
    watched on.
    """

    def __init__(self, name: str = "sidecars") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._wakes, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._wakes, selectors.EVENT_READ)
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._closed = False

    def watch(self, descriptor: int, readable: Callable[[], None]) -> None:
        """Call back whenever the descriptor is readable, or at its end, until :meth:`forget`."""
        with self._lock:
            self._selector.register(descriptor, selectors.EVENT_READ, readable)
            self._stir()

    def forget(self, descriptor: int) -> None:
        """Stop watching, before the descriptor is closed. May be called again."""
        with self._lock, contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(descriptor)

    def call_later(self, seconds: float, function: Callable[[], None]) -> None:
        """Call once, after a time. There is no calling it off: the function looks whether it is still needed."""
        with self._lock:
            heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), function))
            self._stir()

    def close(self) -> None:
        """End the thread; what was still to come does not. May be called again, though not from a callback."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._stir()
            thread = self._thread
        if thread is not None:
            thread.join()
        self._selector.close()
        os.close(self._wakes)
        os.close(self._wake)

    def _stir(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake, b"x")

    def _run(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select(self._wait()):
                if key.fd == self._wakes:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wakes, 4096)
                elif key.data is not None and not self._closed:
                    self._call(key.data)
            for function in self._due():
                self._call(function)

    def _wait(self) -> float | None:
        with self._lock:
            return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _due(self) -> list[Callable[[], None]]:
        now = time.monotonic()
        due = []
        with self._lock:
            while self._timers and self._timers[0][0] <= now and not self._closed:
                due.append(heapq.heappop(self._timers)[2])
        return due

    @staticmethod
    def _call(function: Callable[[], None]) -> None:
        try:
            function()
        except Exception:  # noqa: BLE001 - the thread serves all sidecars
            _log.exception("watching a sidecar failed")
