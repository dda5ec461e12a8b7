"""Whether the process at the other end still runs: every wait on it asks."""

from __future__ import annotations

import os
import select
from typing import Protocol

ENDED = "the sidecar ended"
"""What channels say of a peer that is gone, as a ``plugin-error`` of the case ``io``."""


class Peer(Protocol):
    """A sidecar, as far as its channels are concerned."""

    def fileno(self) -> int | None:
        """A descriptor that polls as readable once the process ended (a pidfd); ``None`` where there is none.

        Channels duplicate it, so its owner may close it when it likes.
        """
        ...

    def alive(self) -> bool:
        """Whether the process runs. Cheap, never waits, callable from any thread."""
        ...


class PidPeer:
    """A child process by its pidfd. The process must not have been reaped yet."""

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)

    def fileno(self) -> int | None:
        return self._fd if self._fd >= 0 else None

    def alive(self) -> bool:
        if self._fd < 0:
            return False
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """May be called again; afterwards the process counts as ended."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
