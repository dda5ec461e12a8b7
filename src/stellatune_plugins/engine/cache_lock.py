"""Who compiles what: one compilation of the same code at a time, between threads and between processes."""

from __future__ import annotations

import contextlib
import fcntl
import struct
import threading
from typing import Final

from stellatune_plugins.engine.cache_folder import CacheFolder

LOCK_FILE: Final = "lock"

# struct flock on 64-bit Linux: type, whence, start, length, process (0 for locks of an open file description).
_FLOCK: Final = struct.Struct("@hhqqi4x")
_OFFSET_BYTES: Final = 7  # a key's head as a file offset has to stay below 2**63


class CompileClaims:
    """Claims on keys. None is waited for, so nobody can hold one while waiting for another.

    Between processes a claim is the lock of one byte of a file, chosen by the key: the kernel frees it with its
    process, and no file is left behind for each key.
    """

    def __init__(self, folder: CacheFolder | None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._taken: set[bytes] = set()

    def take(self, key: bytes) -> contextlib.ExitStack | None:
        """A claim, to be closed when the code is there or has failed; None where somebody else has it."""
        with self._lock:
            if key in self._taken:
                return None
            self._taken.add(key)
        with contextlib.ExitStack() as claim:
            claim.callback(self._release, key)
            if self._folder is not None and not self._lock_file(self._folder, key, claim):
                return None
            return claim.pop_all()
        raise AssertionError("unreachable")  # pragma: no cover

    def _release(self, key: bytes) -> None:
        with self._lock:
            self._taken.discard(key)

    @staticmethod
    def _lock_file(folder: CacheFolder, key: bytes, claim: contextlib.ExitStack) -> bool:
        offset = int.from_bytes(key[:_OFFSET_BYTES])
        try:
            descriptor = claim.enter_context(folder.opened_file(LOCK_FILE))
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, 0, offset, 1, 0))
        except BlockingIOError:
            return False
        except OSError:
            # No lock to be had, as in a read-only folder: work done twice is better than none.
            return True
        return True
