"""One run of a sidecar: a process from its start to its end, with everything that it leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from stellatune_plugins.host.sidecar.keeper.plan import KILL, STOP, Plan, is_readable, receive
from stellatune_plugins.host.sidecar.nursery import Nursery
from stellatune_plugins.host.sidecar.watcher import Watcher
from stellatune_plugins.host.sidecar.words import LastWords

TERM_SECONDS: Final = 0.25
"""Between SIGTERM and SIGKILL."""
REAP_SECONDS: Final = 0.7
"""For SIGKILL to do its work; longer only where the kernel waits for a disk."""
FLOOD_SECONDS: Final = 0.05
"""Before the next read of a standard error that is never empty: a megabyte a second at most."""
KILLED: Final = 128 + 9
"""The exit code of what was killed, by the shell's convention."""


class StartFailed(Exception):
    """Raised when a sidecar could not be started; nothing of it is left."""


class _NoAnswer(StartFailed):
    """Nobody took the request up."""


class Run:
    """A sidecar that has started. Methods may be called from any thread; none waits unless it says so.

    Serves as the channels' :class:`~stellatune_plugins.host.sidecar.transports.Peer`.

    Make it by :meth:`start`.
    """

    def __init__(self, channel: socket.socket, watcher: Watcher, words: LastWords) -> None:
        self._channel = channel
        self._watcher = watcher
        self._words: LastWords | None = words
        self._words_descriptor = words.descriptor
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._on_end: list[Callable[[int], None]] = []
        self._pidfd = -1
        self._stopping = False
        self.pid = 0
        """The sidecar's process id, as the host sees it."""
        self.seconds = 0.0
        """What the start took."""
        self.started_at = 0.0
        """On the monotonic clock."""
        self.code: int | None = None
        """The exit code once it ended; 128 and the number for a signal."""
        self.signalled = False
        """Whether it was sent a signal from here."""
        self.close_stdin: Callable[[], None] = _nothing
        """Asks the sidecar to stop."""

    @classmethod
    def start(
        cls,
        nursery: Nursery,
        watcher: Watcher,
        plan: Plan,
        *,
        stdin: int,
        stdout: int,
        on_line: Callable[[str], None],
        on_dropped: Callable[[int], None],
        timeout: float,
    ) -> Run:
        """Start it and wait until the program runs.

        Args:
            nursery: forks.
            watcher: sees to the rest of its life.
            plan: what was decided.
            stdin: what it reads; stays the caller's.
            stdout: what it writes; stays the caller's.
            on_line: hears what it writes to its standard error, in the watcher's thread.
            on_dropped: hears how many lines of it were too many at once.
            timeout: seconds.

        Raises:
            StartFailed: it does not run.
        """
        began = time.monotonic()

        def hears(descriptor: int) -> LastWords:
            return LastWords(descriptor, on_line, on_dropped)

        try:
            run = cls._spawn(nursery, watcher, plan, stdin, stdout, hears, timeout)
        except _NoAnswer:
            # A nursery that was killed just now took the request along; there is a new one by now.
            left = began + timeout - time.monotonic()
            run = cls._spawn(nursery, watcher, plan, stdin, stdout, hears, left)
        run.begin(began)
        return run

    def begin(self, began: float) -> None:
        """It runs: watch it from here on."""
        self.started_at = time.monotonic()
        self.seconds = self.started_at - began
        self._watcher.watch(self._words_descriptor, self._hear_words)
        self._watcher.watch(self._channel.fileno(), self._hear_keeper)

    @classmethod
    def _spawn(
        cls,
        nursery: Nursery,
        watcher: Watcher,
        plan: Plan,
        stdin: int,
        stdout: int,
        hears: Callable[[int], LastWords],
        timeout: float,
    ) -> Run:
        reads, writes = os.pipe()
        words = hears(reads)
        try:
            try:
                channel = nursery.spawn(plan, [stdin, stdout, writes])
            finally:
                os.close(writes)
        except (OSError, RuntimeError) as error:
            words.close()
            raise StartFailed(str(error)) from error
        run = cls(channel, watcher, words)
        try:
            run._await_start(timeout)
        except BaseException:
            run._abandon()
            raise
        return run

    def _await_start(self, timeout: float) -> None:
        if not is_readable(self._channel.fileno(), timeout):
            raise StartFailed(f"it did not start within {timeout:g} seconds")
        message, descriptors = self._receive(1)
        if not message:
            raise _NoAnswer("its keeper ended")
        if "started" not in message:
            if self._words is not None:
                self._words.drain()
            raise StartFailed(str(message.get("failed")))
        self.pid = message["started"]
        [self._pidfd] = descriptors

    def _receive(self, most: int = 0) -> tuple[dict[str, Any], list[int]]:
        """One message of the keeper; empty where the keeper is gone."""
        try:
            data, descriptors = receive(self._channel, most)
        except ConnectionResetError:
            return {}, []
        message: dict[str, Any] = json.loads(data) if data else {}
        return message, descriptors

    def _abandon(self) -> None:
        """Not started: the keeper sees the end of the channel, and kills what there is."""
        self._channel.close()
        if self._words is not None:
            self._words.close()

    # --- the process as channels see it -------------------------------------------------------------------------------

    def fileno(self) -> int | None:
        """A pidfd, or ``None`` once it ended."""
        with self._lock:
            return self._pidfd if self._pidfd >= 0 else None

    def alive(self) -> bool:
        """Whether the process runs."""
        with self._lock:
            if self._pidfd < 0:
                return False
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            return not poll.poll(0)

    # --- its end -----------------------------------------------------------------------------------------------------

    def wait(self, timeout: float) -> int | None:
        """Wait until nothing of it is left; the exit code, or ``None`` where there is still something."""
        self._ended.wait(timeout)
        return self.code

    def on_end(self, function: Callable[[int], None]) -> None:
        """Call with the exit code once nothing is left, in a thread of its own; at once where that is so already."""
        with self._lock:
            if self.code is None:
                self._on_end.append(function)
                return
            code = self.code
        function(code)

    def stop(self, grace: float) -> None:
        """Begin to stop it: stdin closed now, SIGTERM after the grace time, SIGKILL soon after."""
        with self._lock:
            again, self._stopping = self._stopping, True
        if again and grace > 0:
            return
        self.close_stdin()
        if grace > 0:
            self._watcher.call_later(grace, self._terminate)
        else:
            self._terminate()

    def kill(self) -> None:
        """SIGKILL for it and everything below it, now."""
        self._tell(KILL)

    def _terminate(self) -> None:
        if self.code is None:
            self._tell(STOP)
            self._watcher.call_later(TERM_SECONDS, self.kill)

    def _tell(self, word: bytes) -> None:
        with self._lock:
            if self.code is None:
                self.signalled = True
                with contextlib.suppress(OSError):
                    self._channel.send(word)

    # --- in the watcher's thread --------------------------------------------------------------------------------------

    def _hear_words(self) -> None:
        words = self._words
        if words is None:
            return
        if not words.read():
            self._end_words()
        elif words.busy:
            # One that writes without end waits for its pipe, and keeps no thread of the host busy.
            self._watcher.forget(words.descriptor)
            self._watcher.call_later(FLOOD_SECONDS, self._listen_again)

    def _listen_again(self) -> None:
        words = self._words
        if words is not None:
            self._watcher.watch(words.descriptor, self._hear_words)

    def _hear_keeper(self) -> None:
        message, _ = self._receive()
        code = int(message["exited"]) if "exited" in message else KILLED  # without a word: the keeper was killed
        self._watcher.forget(self._channel.fileno())
        if self._words is not None:
            self._words.drain()
        self._end_words()
        with self._lock:
            self.code = code
            self._channel.close()
            pidfd, self._pidfd = self._pidfd, -1
            os.close(pidfd)
            waiting, self._on_end = self._on_end, []
        # They write files and tell others; the times of other sidecars do not wait for that.
        threading.Thread(target=self._finish, args=(waiting, code), name="sidecar-end", daemon=True).start()

    def _finish(self, waiting: list[Callable[[int], None]], code: int) -> None:
        try:
            for function in waiting:
                function(code)
        finally:
            self._ended.set()

    def _end_words(self) -> None:
        words, self._words = self._words, None
        if words is not None:
            self._watcher.forget(words.descriptor)
            words.close()


def _nothing() -> None:
    """Nothing is connected to the process's stdin."""
