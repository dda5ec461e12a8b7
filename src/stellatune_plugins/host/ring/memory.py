"""Memory for a ring that the other side cannot take away."""

from __future__ import annotations

import fcntl
import os
import struct
from typing import Final

from stellatune_plugins.host.ring.ring import HEADER_BYTES, MAGIC, MAX_CAPACITY, MIN_CAPACITY, VERSION

_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
"""A file that a peer cuts short kills whoever touches its mapping (SIGBUS): so nobody may change its size."""


def create_memory(capacity: int, name: str = "stellatune-ring") -> int:
    """A fresh ring as a descriptor of anonymous memory (close-on-exec), zeroed and allocated.

    Raises:
        ValueError: a capacity out of bounds.
        OSError: no memory, or no such thing on this system.
    """
    if not MIN_CAPACITY <= capacity <= MAX_CAPACITY:
        raise ValueError(f"a ring of {capacity} bytes is not within {MIN_CAPACITY} to {MAX_CAPACITY}")
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        # Allocated now: a page that cannot be had later is a SIGBUS, too.
        os.posix_fallocate(fd, 0, HEADER_BYTES + capacity)
        os.pwrite(fd, struct.pack("=IIII", MAGIC, VERSION, capacity, 0), 0)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd
