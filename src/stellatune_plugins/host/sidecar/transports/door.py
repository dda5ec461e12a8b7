"""Closing something that other threads wait in: they are woken, and the last one out frees it."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from types import TracebackType

from stellatune_plugins.errors import PluginFailure

CLOSED = "the channel is closed"


class Door:
    """Counts who is inside. ``with door:`` is a visit.

    Args:
        free: called once, when it was closed and nobody is inside any more.
        woken: called by :meth:`close`, for visitors that do not poll :meth:`fileno`.
    """

    def __init__(self, free: Callable[[], None], woken: Callable[[], None] | None = None) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._free = free
        self._woken = woken
        self._inside = 0
        self._closed = False

    def fileno(self) -> int:
        """Polls as readable once it was closed; for visitors alone."""
        return self._fd

    @property
    def closed(self) -> bool:
        """Whether nobody gets in any more."""
        return self._closed

    def close(self) -> None:
        """Nobody gets in any more, whoever is inside is woken. Never waits; may be called again."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            empty = self._inside == 0
            if not empty:
                os.eventfd_write(self._fd, 1)
                if self._woken is not None:
                    self._woken()
        if empty:
            self._end()

    def __enter__(self) -> None:
        with self._lock:
            if self._closed:
                raise PluginFailure("io", CLOSED)
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            last = self._closed and self._inside == 0
        if last:
            self._end()

    def _end(self) -> None:
        os.close(self._fd)
        self._free()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn("a sidecar's channel was not closed", ResourceWarning, stacklevel=2, source=self)
            self.close()
