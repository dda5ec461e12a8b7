"""Every wait that a guest can cause outside its own code, in one table."""

from __future__ import annotations

import math

import msgspec


class HostTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. Where a guest names a time of its own, the shorter one counts; where it names none, these do.

    Whatever is left of the guest's call (:mod:`stellatune_plugins.host.budget`) shortens all of them further.

    Raises:
        ValueError: where an entry is not a positive, finite number.
    """

    connect: float = 10.0
    """Name look-up, connection and TLS handshake together."""
    read: float = 15.0
    """One read of a stream, reconnecting included."""
    file: float = 5.0
    """Opening a file, one read of it; a network file system may hang."""
    fetch: float = 30.0
    """``http-client.fetch-json`` as a whole."""
    launch: float = 10.0
    """Starting a sidecar and opening its control channel."""
    open_channel: float = 5.0
    channel_read: float = 30.0
    channel_write: float = 10.0
    lock: float = 30.0
    wait_exit: float = 30.0
    terminate: float = 10.0
    """Grace time at most; killing and reaping come after it."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            seconds = getattr(self, name)
            if not (math.isfinite(seconds) and seconds > 0):
                raise ValueError(f"the timeout {name} is {seconds}, not a positive number of seconds")
