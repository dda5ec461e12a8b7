"""The store's lock, and the folders below ``.staging`` that operations work in."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from stellatune_plugins.errors import StoreBusy
from stellatune_plugins.package.fsops import FsOps
from stellatune_plugins.package.layout import StoreLayout, WorkLayout, WorkName

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.02


@contextlib.contextmanager
def store_lock(layout: StoreLayout, fs: FsOps, seconds: float) -> Iterator[None]:
    """Hold the store's lock, against threads and processes alike; raises :class:`StoreBusy` after so long.

    It is held while names are looked up and changed, never while files are copied or checked. It ends with its
    process.
    """
    fs.ensure_folder(layout.root)
    lock = FileLock(layout.lock, timeout=seconds, poll_interval=_POLL_SECONDS)
    try:
        lock.acquire()
    except Timeout as error:
        raise StoreBusy(f"another process kept the plugin folder locked for {seconds:g} s") from error
    try:
        yield
    finally:
        lock.release()


class Workspace:
    """A folder of one operation, under a lock of its own that says that the operation is alive."""

    def __init__(self, layout: StoreLayout, fs: FsOps, name: WorkName) -> None:
        """To be called while the store's lock is held, so that recovery does not meet the folder without its lock."""
        self._fs = fs
        fs.ensure_folder(layout.staging)
        self.at = WorkLayout(layout.staging / str(name))
        fs.make_folder(self.at.folder)
        self._fd = os.open(self.at.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fs.sync_folder(layout.staging)
        self._left = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what is left in it. What cannot be removed stays for the next recovery."""
        try:
            if not self._left:
                self.clear()
        except OSError as error:
            _log.warning("leftovers in %s stay until the next start: %s", self.at.folder, error)
        finally:
            os.close(self._fd)

    def leave(self) -> None:
        """Leave what is in it for a later attempt."""
        self._left = True

    def clear(self) -> None:
        """Remove the folder and all in it; may be called again."""
        if self.at.folder.exists():
            self._fs.remove_tree(self.at.folder)


@contextlib.contextmanager
def abandoned(folder: Path) -> Iterator[bool]:
    """Whether nobody works in a folder below ``.staging`` any more; while the block lasts, nobody starts to."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)
