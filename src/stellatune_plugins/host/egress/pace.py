"""How often and how many at once: two small counters for one plugin."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from stellatune_plugins.errors import PluginFailure

RATE: Final = 20.0
"""Connections a second in the long run. A decoder that hops about in a remote file makes one a hop."""
BURST: Final = 100
AT_ONCE: Final = 16


class Pace:
    """A token bucket: ``burst`` at once, ``rate`` a second in the long run.

    Args:
        rate: a second.
        burst: after a rest.
        clock: seconds.
    """

    def __init__(self, rate: float = RATE, burst: int = BURST, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = float(burst)
        self._at = clock()

    def take(self, patience: float) -> float:
        """Seconds to wait before going ahead, at most ``patience``.

        Raises:
            PluginFailure: ``io``, where it would be longer. Nothing is taken then.
        """
        with self._lock:
            now = self._clock()
            self._tokens = min(float(self._burst), self._tokens + (now - self._at) * self._rate)
            self._at = now
            wait = max(0.0, (1.0 - self._tokens) / self._rate)
            if wait > patience:
                raise PluginFailure("io", f"too many connections: no more than {self._rate:g} a second in the long run")
            self._tokens -= 1.0
            return wait


class Slots:
    """So many at once.

    Args:
        limit: how many.
        what: of what, in the plural, for the message.
    """

    def __init__(self, limit: int, what: str) -> None:
        self._limit = limit
        self._what = what
        self._lock = threading.Lock()
        self._taken = 0

    @property
    def taken(self) -> int:
        """How many are in use."""
        return self._taken

    def take(self) -> Callable[[], None]:
        """Take one; gives the function that gives it back, which may be called again.

        Raises:
            PluginFailure: ``io``, where none is free.
        """
        with self._lock:
            if self._taken >= self._limit:
                raise PluginFailure("io", f"the plugin has {self._limit} {self._what} already, which is the limit")
            self._taken += 1
        returned = False

        def give_back() -> None:
            nonlocal returned
            with self._lock:
                if not returned:
                    returned = True
                    self._taken -= 1

        return give_back
