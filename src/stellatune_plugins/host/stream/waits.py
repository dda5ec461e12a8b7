"""The timeouts of one stream: the host's, or the guest's own where they are shorter."""

from __future__ import annotations

from typing import Self

import msgspec

from stellatune_plugins.errors import PluginFailure
from stellatune_plugins.host.stream.interface import OpenRequest
from stellatune_plugins.host.timeouts import HostTimeouts


class Waits(msgspec.Struct, frozen=True):
    """Seconds."""

    connect: float
    """Name look-up, connection and TLS handshake; of each connection."""
    read: float
    """One read, reconnecting included; and the head of the first answer."""

    @classmethod
    def of(cls, request: OpenRequest, timeouts: HostTimeouts) -> Self:
        """Raises ``invalid-arg`` where the guest asks for no time at all."""
        return cls(
            _shorter(request.connect_timeout_ms, timeouts.connect), _shorter(request.read_timeout_ms, timeouts.read)
        )


def _shorter(wish_ms: int | None, seconds: float) -> float:
    if wish_ms is None:
        return seconds
    if wish_ms <= 0:
        raise PluginFailure("invalid-arg", "a timeout of 0 ms leaves no time to do anything")
    return min(wish_ms / 1000, seconds)
