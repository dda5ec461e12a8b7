"""How long a host function may still wait: the shorter of its own timeout and what is left of the guest's call.

The executor says when a guest's call must be over (:func:`limited`); a host function that this call reaches asks
(:func:`within`). An import that outlasted its call would come back to a guest that is stopped the moment it returns;
one that gives up a little earlier lets the guest answer ``timeout`` and live.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Final

MARGIN: Final = 0.1
"""Seconds of its call that are left to the guest after an import gave up, where the call has as much."""


class _Calls(threading.local):
    end: float | None = None


_calls = _Calls()


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Everything that this thread waits for within ends in ``seconds`` at the latest. Nests; the earlier end counts."""
    outer = _calls.end
    end = time.monotonic() + seconds
    _calls.end = end if outer is None else min(end, outer)
    try:
        yield
    finally:
        _calls.end = outer


def within(timeout: float) -> float:
    """Seconds that the caller may wait: at most ``timeout``, at least 0."""
    if _calls.end is None:
        return timeout
    left = _calls.end - time.monotonic()
    return max(0.0, min(timeout, left - min(MARGIN, left / 4)))
