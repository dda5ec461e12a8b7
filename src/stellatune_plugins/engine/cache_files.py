"""Files of a private folder: opened without surprises, replaced whole, removed whatever they are."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from typing import Final

OTHERS: Final = 0o077
"""The permission bits of everybody but the owner."""
TEMPORARY: Final = ".new-"
"""How the names of files begin that are being written."""

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class EntryRejected(Exception):
    """Raised when an entry is there and must not be used; the text says why."""


@contextlib.contextmanager
def private_file(folder: int, name: str) -> Iterator[int]:
    """A file that is nobody else's, open for reading.

    Raises:
        FileNotFoundError: there is none.
        EntryRejected: it is a link, no regular file, another user's, open to others, or unreadable.
    """
    try:
        descriptor = os.open(name, _READ, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise EntryRejected(f"cannot be opened: {error.strerror}") from error
    try:
        _require_private(os.fstat(descriptor))
        yield descriptor
    except OSError as error:
        raise EntryRejected(f"cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _require_private(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise EntryRejected("not a regular file")
    if found.st_uid != os.geteuid():
        raise EntryRejected(f"owned by user {found.st_uid}")
    if found.st_mode & OTHERS:
        raise EntryRejected(f"open to other users (mode {stat.S_IMODE(found.st_mode):03o})")


@contextlib.contextmanager
def replacing(folder: int, name: str) -> Iterator[int]:
    """A new file that takes over ``name`` once it is whole and on the disk."""
    with temporary(folder) as (unfinished, target):
        yield target
        os.fsync(target)
        if is_folder(folder, name):
            remove(folder, name)
        os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)


@contextlib.contextmanager
def temporary(folder: int) -> Iterator[tuple[str, int]]:
    """A new private file under a name of its own, open for writing; gone afterwards unless it was renamed."""
    name = f"{TEMPORARY}{secrets.token_hex(8)}"
    target = os.open(name, _CREATE, 0o600, dir_fd=folder)
    try:
        yield name, target
    finally:
        os.close(target)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


def is_folder(folder: int, name: str) -> bool:
    """Whether the name is a folder, links not followed."""
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def remove(folder: int, name: str) -> None:
    """Remove a file, a link or a whole folder."""
    if is_folder(folder, name):
        shutil.rmtree(name, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)
