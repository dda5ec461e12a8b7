"""The folder of compiled code: private to one user, every entry authenticated before anybody may use it.

An entry is a header (magic, payload size, key, HMAC-SHA256) and the payload as wasmtime serialised it. The HMAC is
made with 32 random bytes that lie beside the entries, and covers the header's other fields and the payload. So an
entry that was damaged, cut off, written by somebody else or put under another entry's name is told from a good one
before a byte of it is executed. Every operation opens the folder anew: nothing is held that could go stale.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from stellatune_plugins.engine.cache_files import OTHERS, TEMPORARY, EntryRejected, private_file, remove, replacing
from stellatune_plugins.engine.cache_secret import KEY_BYTES, new_secret, the_secret
from stellatune_plugins.engine.sealed import Sealed, write_all

SUFFIX: Final = ".code"
STALE_SECONDS: Final = 3600.0
"""A temporary file older than this belongs to a process that died."""

_MAGIC: Final = b"STLCODE\x01"
_SIGNED: Final = struct.Struct(f">{len(_MAGIC)}sQ{KEY_BYTES}s")
_MAC_BYTES: Final = 32
_HEADER_BYTES: Final = _SIGNED.size + _MAC_BYTES
_OTHERS_WRITE: Final = 0o022


class Usage(NamedTuple):
    """What the folder holds."""

    entries: int
    bytes: int


class _Entry(NamedTuple):
    used: float
    size: int
    name: str


class CacheFolder:
    """Reads, writes and evicts entries by their 32-byte keys. Safe between threads and processes.

    Args:
        path: the folder; made when the first entry is written.
        cap_bytes: what all entries together may take; the least recently used go first.
    """

    def __init__(self, path: Path, *, cap_bytes: int) -> None:
        self.path = path
        self._cap = cap_bytes

    def read(self, key: bytes) -> Sealed | None:
        """A checked and sealed copy of an entry's payload, or None where there is none.

        Raises:
            EntryRejected: the entry failed a check; it is to be discarded.
            OSError: the folder cannot be used.
        """
        try:
            with self._opened() as folder:
                return _read_entry(folder, _entry_name(key), key, the_secret(folder))
        except FileNotFoundError:
            return None

    def write(self, key: bytes, payload: Sealed) -> None:
        """Add or replace an entry, whole or not at all, then evict down to the cap.

        Raises:
            OSError: no space, no permission, or the folder is not this user's alone.
        """
        if payload.size + _HEADER_BYTES > self._cap:
            return
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._opened() as folder:
            signed = _SIGNED.pack(_MAGIC, payload.size, key)
            with payload.view() as view:
                header = signed + _mac(the_secret(folder), signed, view)
            with replacing(folder, _entry_name(key)) as target:
                write_all(target, header)
                payload.copy_to(target)
            _evict(folder, self._cap)

    def discard(self, key: bytes) -> None:
        """Remove an entry, whatever it is.

        Raises:
            OSError: the folder cannot be written.
        """
        with contextlib.suppress(FileNotFoundError), self._opened() as folder:
            remove(folder, _entry_name(key))

    def prune(self, cap_bytes: int | None = None) -> int:
        """Evict the least recently used entries down to the cap, and what dead processes left. Returns their count.

        Raises:
            OSError: the folder cannot be used.
        """
        with contextlib.suppress(FileNotFoundError), self._opened() as folder:
            return _evict(folder, self._cap if cap_bytes is None else cap_bytes)
        return 0

    def clear(self) -> int:
        """Remove every entry. Returns their count."""
        return self.prune(0)

    def usage(self) -> Usage:
        """Count the entries and their bytes.

        Raises:
            OSError: the folder cannot be used.
        """
        with contextlib.suppress(FileNotFoundError), self._opened() as folder:
            entries = _entries(folder)
            return Usage(len(entries), sum(entry.size for entry in entries))
        return Usage(0, 0)

    @contextlib.contextmanager
    def opened_file(self, name: str) -> Iterator[int]:
        """A file of the folder for other uses, such as locks; made where it is missing.

        Raises:
            OSError: the folder cannot be written.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._opened() as folder:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(name, flags, 0o600, dir_fd=folder)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """The folder, once it is certain to be private.

        A folder of this user that others could enter is closed to them. If they could write, they may have put a
        secret of their own there, so it is replaced, and every entry with it becomes foreign.

        Raises:
            PermissionError: the folder is another user's.
            OSError: it is missing, no folder, or a link.
        """
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            if found.st_uid != os.geteuid():
                raise PermissionError(f"{self.path} belongs to user {found.st_uid}, not to {os.geteuid()}")
            if found.st_mode & OTHERS:
                os.fchmod(descriptor, 0o700)
                if found.st_mode & _OTHERS_WRITE:
                    new_secret(descriptor, replace=True)
            yield descriptor
        finally:
            os.close(descriptor)


def _entry_name(key: bytes) -> str:
    return key.hex() + SUFFIX


def _mac(secret: bytes, signed: bytes, payload: object) -> bytes:
    digest = hmac.new(secret, signed, "sha256")
    digest.update(payload)  # type: ignore[arg-type]  # any buffer
    return digest.digest()


def _read_entry(folder: int, name: str, key: bytes, secret: bytes) -> Sealed:
    with private_file(folder, name) as descriptor:
        payload = _checked_payload(descriptor, os.fstat(descriptor).st_size, key, secret)
        with contextlib.suppress(OSError):  # a read-only folder is still good for reading
            os.utime(descriptor)  # used just now, for eviction
        return payload


def _checked_payload(descriptor: int, file_size: int, key: bytes, secret: bytes) -> Sealed:
    """Copy, seal, and only then check: what was checked cannot change any more."""
    header = os.pread(descriptor, _HEADER_BYTES, 0)
    if len(header) < _HEADER_BYTES:
        raise EntryRejected("cut off within its header")
    signed, mac = header[: _SIGNED.size], header[_SIGNED.size :]
    magic, size, stored_key = _SIGNED.unpack(signed)
    if magic != _MAGIC:
        raise EntryRejected("not an entry of this version")
    if size != file_size - _HEADER_BYTES:
        raise EntryRejected(f"{file_size - _HEADER_BYTES} bytes of code instead of {size}")
    if stored_key != key:
        raise EntryRejected("the entry of another key")
    with contextlib.ExitStack() as stack:
        payload = stack.enter_context(Sealed.of_file(descriptor, _HEADER_BYTES, size))
        with payload.view() as view:
            genuine = payload.size == size and hmac.compare_digest(mac, _mac(secret, signed, view))
        if genuine:
            stack.pop_all()  # it stays open, for the caller
            return payload
    raise EntryRejected("authentication failed")


def _entries(folder: int) -> list[_Entry]:
    return [_Entry(s.st_mtime, s.st_size, name) for name, s in _listing(folder) if name.endswith(SUFFIX)]


def _listing(folder: int) -> list[tuple[str, os.stat_result]]:
    listing = []
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # another process evicts as well
            listing.append((name, os.stat(name, dir_fd=folder, follow_symlinks=False)))
    return listing


def _evict(folder: int, cap: int) -> int:
    entries = sorted(_entries(folder))
    total = sum(entry.size for entry in entries)
    removed = 0
    for entry in entries:
        if total <= cap:
            break
        with contextlib.suppress(FileNotFoundError):
            remove(folder, entry.name)
            removed += 1
        total -= entry.size
    old = time.time() - STALE_SECONDS
    for name, found in _listing(folder):
        if name.startswith(TEMPORARY) and found.st_mtime < old:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
    return removed
