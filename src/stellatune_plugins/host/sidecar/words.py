"""What a sidecar writes to its standard error, as lines of the plugin's log."""

from __future__ import annotations

import os
import time
import unicodedata
from collections.abc import Callable
from typing import Final

from stellatune_plugins.host.sidecar.keeper.plan import is_readable

READ_BYTES: Final = 64 * 1024
MOST_LINES: Final = 200
"""Of one read; the rest is dropped, and counted."""
_BUSY_SECONDS: Final = 0.02
_PIPE_READS: Final = 20
"""More than a pipe holds."""
MAX_LINE: Final = 4 * 1024
"""Characters; longer lines are cut into several."""


class LastWords:
    """Splits what comes through a pipe into lines. The log itself sees to how many of them it takes.

    Args:
        descriptor: the reading end, ours from here on.
        on_line: hears each line, without what steers a terminal.
        on_dropped: hears how many lines came in one go beyond ``MOST_LINES``.
    """

    def __init__(self, descriptor: int, on_line: Callable[[str], None], on_dropped: Callable[[int], None]) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self.busy = False
        """Whether the last two reads came one right after the other."""
        self._read_at = 0.0
        self._on_line = on_line
        self._on_dropped = on_dropped
        self._open = b""

    def read(self) -> bool:
        """Take what is there; False at the end."""
        try:
            data = os.read(self.descriptor, READ_BYTES)
        except BlockingIOError:
            return True
        now = time.monotonic()
        self.busy, self._read_at = now - self._read_at < _BUSY_SECONDS, now
        *lines, self._open = (self._open + data).split(b"\n")
        while len(self._open) > MAX_LINE:
            lines.append(self._open[:MAX_LINE])
            self._open = self._open[MAX_LINE:]
        for line in lines[:MOST_LINES]:
            self._say(line)
        if len(lines) > MOST_LINES:
            self._on_dropped(len(lines) - MOST_LINES)
        return bool(data)

    def drain(self) -> None:
        """Take what is left in the pipe of a writer that is gone. Never waits."""
        for _ in range(_PIPE_READS):
            if not is_readable(self.descriptor, 0) or not self.read():
                return

    def close(self) -> None:
        """Say what had no line end, and close."""
        last, self._open = self._open, b""
        self._say(last)
        os.close(self.descriptor)

    def _say(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r")
        text = "".join(" " if unicodedata.category(letter).startswith("C") else letter for letter in text[:MAX_LINE])
        if text.strip():
            self._on_line(text)
