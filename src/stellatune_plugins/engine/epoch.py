"""The epoch ticker: what makes a looping guest stop."""

from __future__ import annotations

import threading
import time

import wasmtime


class EpochTicker:
    """Advances an engine's epoch once a tick from a thread of its own, while somebody holds it.

    It never catches up after a delay: a burst of ticks would end a call that has only just begun. So a deadline may
    come late on a busy machine, and never early.
    """

    def __init__(self, engine: wasmtime.Engine, seconds: float) -> None:
        self.seconds = seconds
        self.count = 0
        """Ticks so far. It may lag the engine's epoch by one, and never leads it."""
        self._engine = engine
        self._holders = 0
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def acquire(self) -> None:
        """Tick, at least until the matching ``release``."""
        with self._lock:
            self._holders += 1
            if self._holders > 1 or self._stopped:
                return
            self._wanted.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="stellatune-epoch", daemon=True)
                self._thread.start()

    def release(self) -> None:
        """Undo one ``acquire``."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0 and not self._stopped:
                self._wanted.clear()

    def stop(self) -> None:
        """End the thread. May be called again."""
        with self._lock:
            self._stopped = True
            self._wanted.set()
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        sleep, tick, wanted = time.sleep, self._engine.increment_epoch, self._wanted
        while True:
            wanted.wait()
            if self._stopped:
                return
            sleep(self.seconds)
            tick()
            self.count += 1
