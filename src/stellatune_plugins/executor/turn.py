"""One user at a time, and loud about a second one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from stellatune_plugins.errors import StoreMisuse


class Turn:
    """A lock that calls take without waiting, and teardowns with. A second caller is a mistake, so it is told.

    Args:
        what: names the thing in errors, such as ``instance 3 of org.example.gain``.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def taken(self, operation: str) -> Iterator[None]:
        """Hold it for one call.

        Raises:
            StoreMisuse: another thread holds it.
        """
        if not self._lock.acquire(blocking=False):
            raise StoreMisuse(
                f"{self._what} is in use by another thread",
                operation=operation,
                hint="give each thread its own instance",
            )
        try:
            yield
        finally:
            self._lock.release()

    @property
    def busy(self) -> bool:
        """Whether somebody holds it at this moment."""
        return self._lock.locked()

    @contextlib.contextmanager
    def awaited(self, seconds: float) -> Iterator[bool]:
        """Hold it for a teardown; gives false where the holder did not end in time."""
        held = self._lock.acquire(timeout=seconds)
        try:
            yield held
        finally:
            if held:
                self._lock.release()
