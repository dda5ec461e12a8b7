"""Byte rings in shared memory between two processes: the layout of the contract's section 5. Standard library only."""

from stellatune_plugins.host.ring.memory import create_memory
from stellatune_plugins.host.ring.ring import (
    DEFAULT_CAPACITY,
    HEADER_BYTES,
    MAGIC,
    MAX_CAPACITY,
    MIN_CAPACITY,
    VERSION,
    Ring,
    RingBroken,
    RingReader,
    RingWriter,
)

__all__ = [
    "DEFAULT_CAPACITY",
    "HEADER_BYTES",
    "MAGIC",
    "MAX_CAPACITY",
    "MIN_CAPACITY",
    "VERSION",
    "Ring",
    "RingBroken",
    "RingReader",
    "RingWriter",
    "create_memory",
]
