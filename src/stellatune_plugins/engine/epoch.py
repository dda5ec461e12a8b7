"""The epoch ticker: what makes a looping guest stop."""

from __future__ import annotations

import threading
import time

import wasmtime

from stellatune_plugins.errors import StoreMisuse


class EpochTicker:
    """Advances an engine's epoch once a tick from a thread of its own, while somebody holds it.

    It never catches up after a delay: a burst of ticks would end a call that has only just begun. So a deadline may
    come late on a busy machine, and never early.

    A holder may be let go of by the garbage collector, and so in the midst of any method here, on any thread. Hence
    the lock can be taken again by its owner, and ``release`` only counts: the thread sees for itself that it is done.
    """

    def __init__(self, engine: wasmtime.Engine, seconds: float) -> None:
        self.seconds = seconds
        self.count = 0
        """Ticks so far. It may lag the engine's epoch by one, and never leads it."""
        self._engine = engine
        self._holders = 0
        self._lock = threading.RLock()
        self._wanted = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def acquire(self) -> None:
        """Tick, at least until the matching ``release``.

        Raises:
            StoreMisuse: the ticker was stopped and its thread has gone, or is about to.
        """
        with self._lock:
            if self._stopping and not self._holders:
                raise StoreMisuse("the engine was closed")
            self._holders += 1
            if not self._wanted.is_set():
                self._wanted.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="stellatune-epoch", daemon=True)
                self._thread.start()

    def release(self) -> None:
        """Undo one ``acquire``; one that failed needs none, and is not counted. The last one after ``stop`` joins."""
        with self._lock:
            self._holders = max(self._holders - 1, 0)
            done = self._stopping and not self._holders
        if done:
            self._join()

    def stop(self) -> None:
        """End the thread: at once, or with the last holder, since a guest without deadlines could loop for ever.

        May be called again.
        """
        with self._lock:
            self._stopping = True
            done = not self._holders
            if done:
                self._wanted.set()
        if done:
            self._join()

    def _join(self) -> None:
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        sleep, tick = time.sleep, self._engine.increment_epoch
        while True:
            # Once stopping, holders only become fewer, and none come after the last: no lock is needed to see the end.
            if not self._holders:
                if self._stopping:
                    return
                self._rest()
                continue
            sleep(self.seconds)
            tick()
            self.count += 1

    def _rest(self) -> None:
        with self._lock:
            if not self._holders and not self._stopping:
                self._wanted.clear()
        self._wanted.wait()
