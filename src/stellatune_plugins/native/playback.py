"""A device that plays what is queued in front of it. Shared by the native sink and the sidecar of the wasm one.

Between two pieces of music the device plays silence. Music begins once a period or two of it are queued, so that it
does not stumble over its own start. Where the queue runs dry without :meth:`Player.flush`, that is an underrun; so is
a call from the device that comes later than what the device held can last.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Final, Protocol, Self

import miniaudio
import msgspec

from stellatune_plugins.errors import OutputFailed
from stellatune_plugins.model import AudioSpec, Frames
from stellatune_plugins.native.devices import DeviceTarget, opened

SAMPLE_BYTES: Final = 4
_STALLED: Final = 5.0
"""Seconds without a call from the device after which it counts as gone. A server that was idle takes up to two."""


class Feed(Protocol):
    """Where the samples come from, as bytes; used under the player's lock."""

    def readable(self) -> int: ...

    def read(self, max_bytes: int) -> bytes: ...

    def skip(self, max_bytes: int) -> int: ...


class PlayerStatus(msgspec.Struct, frozen=True):
    """One look at a player."""

    queued: Frames
    running: bool
    underruns: int
    played: Frames
    """Frames of music that the device took."""


class Player:
    """Plays a feed on a device until it is closed.

    Args:
        target: the device.
        spec: shape of the samples, float32.
        feed: the queue.

    Raises:
        OutputFailed: the device cannot be opened or started.
    """

    def __init__(self, target: DeviceTarget, spec: AudioSpec, feed: Feed) -> None:
        self._spec = spec
        self._feed = feed
        self._frame_bytes = SAMPLE_BYTES * spec.channels
        self._period = max(1, spec.sample_rate * target.period_ms // 1000)
        self._device_frames = self._period * target.periods
        # Flushing releases shorter pieces; no queue is so short that it could not hold this.
        self._begin = min(2 * self._period, spec.sample_rate * target.queue_ms // 2000)
        self._changed = threading.Condition()
        self._playing = False
        self._draining = False
        self._underruns = 0
        self._played = 0
        self._silent = 0
        self._called = time.monotonic()
        self._failure: BaseException | None = None
        self._stopped = False
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self._device = stack.enter_context(opened(target, spec))
            self._device.stop_callback = self._on_stop
            pump = self._pump()
            next(pump)
            try:
                self._device.start(pump)
            except miniaudio.MiniaudioError as error:
                raise OutputFailed("the device cannot be started", operation="sink.open") from error
            self._stack = stack.pop_all()

    def status(self) -> PlayerStatus:
        """How it goes."""
        with self._changed:
            return self._status()

    def wait_below(self, frames: int, seconds: float) -> PlayerStatus:
        """Wait until fewer frames are queued, or the device is gone."""
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                status = self._status()
                left = end - time.monotonic()
                if status.queued < frames or not status.running or left <= 0:
                    return status
                self._changed.wait(min(left, 0.1))

    def flush(self, gone: Callable[[], bool] = lambda: False) -> None:
        """Wait until everything that is queued was heard.

        Args:
            gone: asked now and then; whoever waits does not need it any more.

        Raises:
            OutputFailed: the device stopped.
        """
        with self._changed:
            self._draining, self._silent = True, 0
            try:
                while self._feed.readable() >= self._frame_bytes or self._silent < self._device_frames + self._period:
                    if not self._status().running:
                        raise self._gone()
                    if gone():
                        return
                    self._changed.wait(0.05)
            finally:
                self._draining = self._playing = False

    def reset(self) -> None:
        """Drop what is queued. What the device holds already still sounds: ``periods`` times ``period_ms``."""
        with self._changed:
            while self._feed.skip(1 << 30):
                pass
            self._playing = self._draining = False
            self._changed.notify_all()

    def close(self) -> None:
        """Stop at once. May be called again."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        # Not under the lock: stopping waits for the device's thread, which may be waiting for it.
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _status(self) -> PlayerStatus:
        running = not self._stopped and self._failure is None and time.monotonic() - self._called < _STALLED
        queued = 0 if self._stopped else self._feed.readable() // self._frame_bytes
        return PlayerStatus(Frames(queued), running, self._underruns, Frames(self._played))

    def _gone(self) -> OutputFailed:
        what = "the device stopped" if self._failure is None else f"the device's queue broke: {self._failure}"
        return OutputFailed(what, operation="sink.flush", hint="check the device, then open the output again")

    def _on_stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _pump(self) -> Generator[bytes, int, None]:
        """The device's thread: fewer bytes than asked for are filled up with silence by miniaudio."""
        frames = yield b""
        while True:
            with self._changed:
                before, self._called = self._called, time.monotonic()
                if self._playing and self._called - before > self._device_frames / self._spec.sample_rate:
                    self._underruns += 1
                try:
                    data = self._next(frames)
                except Exception as error:  # noqa: BLE001 - nobody above could hear of it
                    self._failure, data = error, b""
                self._changed.notify_all()
            frames = yield data

    def _next(self, frames: int) -> bytes:
        if self._stopped or self._failure is not None:
            return b""
        queued = self._feed.readable() // self._frame_bytes
        if not self._playing:
            self._playing = queued >= self._begin or (self._draining and queued > 0)
        taken = min(frames, queued) if self._playing else 0
        data = self._feed.read(taken * self._frame_bytes) if taken else b""
        self._played += taken
        if taken < frames:
            if self._playing and not self._draining:
                self._underruns += 1
            self._playing = False
            self._silent = frames - taken + (0 if taken else self._silent)
        return data
