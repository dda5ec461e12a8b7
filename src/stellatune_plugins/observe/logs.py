"""Logs: JSON lines, one file a plugin and one for the program, capped in size, private to the user.

A line is one object: ``time`` (UTC, ISO 8601), ``event`` (a dotted name), then the event's own fields.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from stellatune_plugins.observe.bus import EventBus
from stellatune_plugins.observe.events import Event, GuestOutput, GuestOutputDropped

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: one process a home, or lines of two may mix at a rotation
    fcntl = None  # type: ignore[assignment]

MAX_BYTES: Final = 4 * 1024 * 1024
"""A log that would grow past this is set aside as ``NAME.1``, replacing the one set aside before."""

MAX_LINE: Final = 16 * 1024
"""Longer texts of a guest are cut."""

LINES_PER_SECOND: Final = 50.0
BURST: Final = 500

MAIN: Final = "stellatune"
_FILE_NAME = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")

_log = logging.getLogger(__name__)


class JsonLog:
    """One file of JSON lines that several threads and processes append to."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes

    def write(self, event: str, **fields: Any) -> None:
        """Append one line.

        Raises:
            OSError: the file cannot be written.
        """
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        line = msgspec.json.encode({"time": now, "event": event, **fields}, enc_hook=str) + b"\n"
        with self._opened(len(line)) as fd:
            os.write(fd, line)  # O_APPEND: one write, one whole line, whoever else writes

    @contextlib.contextmanager
    def _opened(self, room: int) -> Iterator[int]:
        """The log's descriptor, locked, after a rotation where the line would not fit."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o600)
            try:
                if fcntl is not None:
                    fcntl.flock(fd, fcntl.LOCK_EX)
                here = os.fstat(fd)
                if not self._is_current(here):
                    continue  # another process rotated while we waited
                if here.st_size and here.st_size + room > self._max_bytes:
                    self.path.replace(self.path.with_name(self.path.name + ".1"))
                    continue
                yield fd
                return
            finally:
                os.close(fd)

    def _is_current(self, opened: os.stat_result) -> bool:
        try:
            return os.path.samestat(opened, self.path.stat(follow_symlinks=False))
        except FileNotFoundError:
            return False


def main_log(folder: Path) -> JsonLog:
    """The program's own log in this folder."""
    return JsonLog(folder / f"{MAIN}.jsonl")


class _Bucket:
    """Tokens that drip in at a rate, up to a burst; one a line."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = now
        self.dropped = 0

    def take(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            self.dropped += 1
            return False
        self._tokens -= 1
        return True


class PluginLogs:
    """A hook that keeps each plugin's events, and the lines its guests print, in a file of its own.

    Guests may print without end, so their lines pass a token bucket; how many were dropped is said by a
    ``guest.output_dropped`` event before the next line that passes, and at the end. Events that belong to no plugin,
    and all but the guests' lines of those that do, go into the program's log as well.

    Args:
        folder: where the files go, made when the first line comes.
        bus: told about dropped lines; without it they only stand in the log.
        lines_per_second: what a guest may print in the long run.
        burst: what it may print at once.
        max_bytes: size at which a file is set aside.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        bus: EventBus | None = None,
        lines_per_second: float = LINES_PER_SECOND,
        burst: int = BURST,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._bus = bus
        self._rate = lines_per_second
        self._burst = burst
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._logs: dict[str, JsonLog] = {}
        self._buckets: dict[str, _Bucket] = {}
        self._broken = False

    def __call__(self, event: Event) -> None:
        """Write one event down."""
        if isinstance(event, GuestOutput):
            self._guest_line(event)
            return
        name = self._file_of(event.plugin)
        self._write(MAIN, event)
        if name != MAIN:
            self._write(name, event)

    def close(self) -> None:
        """Say what was dropped and not yet said. May be called again."""
        with self._lock:
            late = [(plugin, self._settle(bucket)) for plugin, bucket in self._buckets.items() if bucket.dropped]
        for plugin, lines in late:
            self._say_dropped(plugin or None, lines)

    def _guest_line(self, event: GuestOutput) -> None:
        key = event.plugin or ""
        with self._lock:
            now = self._clock()
            bucket = self._buckets.setdefault(key, _Bucket(self._rate, self._burst, now))
            if not bucket.take(now):
                return
            dropped = self._settle(bucket)
        if dropped:
            self._say_dropped(event.plugin, dropped)
        self._write(self._file_of(event.plugin), event)

    @staticmethod
    def _settle(bucket: _Bucket) -> int:
        dropped, bucket.dropped = bucket.dropped, 0
        return dropped

    def _say_dropped(self, plugin: str | None, lines: int) -> None:
        event = GuestOutputDropped(plugin=plugin, lines=lines)
        if self._bus is None:
            self(event)
        else:
            self._bus.emit(event)  # comes back to this hook, and reaches the others too

    @staticmethod
    def _file_of(plugin: str | None) -> str:
        """The log's name. Only what surely is a harmless file name becomes one."""
        if plugin is None or len(plugin) > 128 or not _FILE_NAME.fullmatch(plugin):
            return MAIN
        return plugin

    def _write(self, name: str, event: Event) -> None:
        if self._broken:
            return
        fields = msgspec.to_builtins(event)
        if isinstance(event, GuestOutput) and len(event.text) > MAX_LINE:
            fields["text"] = event.text[:MAX_LINE]
            fields["cut"] = len(event.text) - MAX_LINE
        with self._lock:
            log = self._logs.setdefault(name, JsonLog(self._folder / f"{name}.jsonl", max_bytes=self._max_bytes))
        try:
            log.write(event.name, **fields)
        except OSError as error:
            # A full disk must not be reported once a line, nor stop the music.
            self._broken = True
            _log.warning("logging stopped: %s", error)
