"""Calls that nothing can interrupt (a name look-up, a file on a network file system), given up on in time.

They run on threads of their own. Who waited too long goes away with ``timeout``; the call itself goes on until the
system lets go of it, and what it brings then is thrown away.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from stellatune_plugins.host.deadline import Deadline, closed

T = TypeVar("T")

IDLE_SECONDS = 5.0
"""An idle thread ends after so long."""


class BlockingCalls:
    """A few threads for the calls of one plugin: another plugin's stuck ones do not count against it.

    Args:
        name: for the threads.
        limit: threads at most; a call beyond them waits its turn, within its deadline.
    """

    def __init__(self, name: str, limit: int = 8) -> None:
        self._name = name
        self._limit = limit
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._threads = 0
        self._running = 0
        self._waiting = 0
        self._closed = False

    def run(self, call: Callable[[], T], deadline: Deadline, discard: Callable[[T], None] | None = None) -> T:
        """What the call gives or raises; the deadline's failure where it takes too long.

        Args:
            call: runs on another thread, and must do without anything of the caller's thread.
            deadline: of the waiting.
            discard: gets the result that came too late, to close it.
        """
        deadline.check()
        job = _Job(call, discard)
        with self._lock:
            if self._closed:
                raise closed()
            self._jobs.put(job)
            self._waiting += 1
            if self._waiting > self._threads - self._running and self._threads < self._limit:
                self._threads += 1
                threading.Thread(target=self._work, name=f"{self._name}-blocking", daemon=True).start()
        try:
            deadline.wait(job.done)
        except BaseException:
            if job.give_up():
                raise
        return job.result()

    def close(self) -> None:
        """The threads end, each after the call that it is in."""
        with self._lock:
            self._closed = True
            for _ in range(self._threads):
                self._jobs.put(None)

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                with self._lock:
                    if self._waiting == 0 or self._closed:
                        self._threads -= 1
                        return
                continue
            if job is None:
                with self._lock:
                    self._threads -= 1
                return
            with self._lock:
                self._waiting -= 1
                self._running += 1
            try:
                job.run()
            finally:
                del job
                with self._lock:
                    self._running -= 1


class _Job(Generic[T]):
    def __init__(self, call: Callable[[], T], discard: Callable[[T], None] | None) -> None:
        self._call = call
        self._discard = discard
        self._lock = threading.Lock()
        self._given_up = threading.Event()
        self._finished = False
        self._value: T
        self._error: BaseException | None = None
        self.done = threading.Event()

    def run(self) -> None:
        if self._given_up.is_set():
            return
        try:
            self._value = self._call()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._error = error
        with self._lock:
            self._finished = True
            late = self._given_up.is_set()
        self.done.set()
        if late and self._error is None and self._discard is not None:
            self._discard(self._value)

    def give_up(self) -> bool:
        """Whether nobody will take the result; false where it is there by now."""
        with self._lock:
            if not self._finished:
                self._given_up.set()
            return not self._finished

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value
