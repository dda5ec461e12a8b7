"""What a guest writes to its stdout and stderr, as lines."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable

from stellatune_plugins.executor.guest_text import clean
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import GuestOutput, GuestOutputDropped

MAX_PENDING_BYTES = 64 * 1024
MAX_LINE = 4 * 1024


class GuestLines:
    """Collects a guest's output while it runs, and emits it as events between calls.

    The engine hands output over while the guest waits, from a thread of its own, so collecting only appends. What
    does not fit until the next :meth:`flush` is dropped and counted by lines.

    Args:
        bus: hears the lines.
        plugin: id of the plugin that wrote them.
    """

    def __init__(self, bus: EventBus, plugin: str) -> None:
        self._bus = bus
        self._plugin = plugin
        self._lock = threading.Lock()
        self._chunks: collections.deque[tuple[str, bytes]] = collections.deque()
        self._pending = 0
        self._dropped = 0
        self._open = {"stdout": b"", "stderr": b""}

    def collect(self, stream: str, data: bytes) -> None:
        """Take what was written to ``stdout`` or ``stderr``."""
        with self._lock:
            room = MAX_PENDING_BYTES - self._pending
            kept, lost = data[:room], data[room:]
            if kept:
                self._chunks.append((stream, bytes(kept)))
                self._pending += len(kept)
            if lost:
                self._dropped += max(1, lost.count(b"\n"))

    def flush(self, *, final: bool = False) -> None:
        """Emit whole lines; ``final`` also emits what has no line end."""
        if not self._chunks and not self._dropped and not final:
            return  # after nearly every call
        with self._lock:
            chunks, self._chunks = self._chunks, collections.deque()
            self._pending = 0
            dropped, self._dropped = self._dropped, 0
        for stream, data in chunks:
            *lines, rest = (self._open.get(stream, b"") + data).split(b"\n")
            self._open[stream] = rest
            for line in lines:
                self._emit(stream, line)
            if len(rest) > MAX_LINE:
                self._emit(stream, rest)
                self._open[stream] = b""
        if final:
            for stream, rest in self._open.items():
                if rest:
                    self._emit(stream, rest)
                    self._open[stream] = b""
        if dropped:
            self._bus.emit(GuestOutputDropped(plugin=self._plugin, lines=dropped))

    def _emit(self, stream: str, line: bytes) -> None:
        text = clean(line.decode("utf-8", "replace"), MAX_LINE)
        if text:
            self._bus.emit(GuestOutput(plugin=self._plugin, stream=stream, text=text))


OnOutput = Callable[[str, bytes], None]
