"""How long a guest's read may wait, and what it is told at the end of it."""

from __future__ import annotations

import time

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.budget import within


class ReadWait:
    """One read's time.

    A guest that names a time gets no bytes once it is over: nothing came, which is no error (and what plugins in the
    field expect of a ring). Where the host's own limit or the end of the guest's call came first, that is ``timeout``.

    Args:
        timeout_ms: what the guest named.
        limit: the host's own limit in seconds.
    """

    def __init__(self, timeout_ms: int | None, limit: float) -> None:
        asked = None if timeout_ms is None else timeout_ms / 1000
        granted = within(limit if asked is None else min(asked, limit))
        self._own = asked is not None and granted >= asked
        self._end = time.monotonic() + granted

    def left(self) -> float:
        """Seconds; 0 at the end."""
        return max(0.0, self._end - time.monotonic())

    def nothing(self) -> bytes:
        """The answer to a guest for which nothing came."""
        if self._own:
            return b""
        raise PluginFailure("timeout", "nothing came from the sidecar")
