"""Names to addresses, by the system, without waiting longer than the deadline says."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from stellatune_plugins.host.blocking import BlockingCalls
from stellatune_plugins.host.deadline import Deadline
from stellatune_plugins.host.egress.failures import ConnectionLost


class SystemResolver:
    """``getaddrinfo``, which knows no timeout of its own, on other threads."""

    def __init__(self, calls: BlockingCalls) -> None:
        self._calls = calls

    def __call__(self, host: str, port: int, deadline: Deadline) -> Sequence[str]:
        try:
            found = self._calls.run(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), deadline)
        except (OSError, UnicodeError) as error:
            raise ConnectionLost(f"the name {host} cannot be resolved: {error}") from error
        return [str(entry[4][0]) for entry in found]
