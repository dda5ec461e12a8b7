"""A file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import BinaryIO

from stellatune_plugins.errors import OutputExists, OutputFailed


def output_failed(path: Path, error: BaseException) -> OutputFailed:
    """The error for a failed write, in the words of the system."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return OutputFailed(f"{path} could not be written: {reason}", operation="output.write")


def part_of(path: Path) -> Path:
    """Where a file lies while it is not finished: beside its target, so that a rename publishes it."""
    return path.with_name(f".{path.name}.part")


def remove_stale_part(target: Path) -> None:
    """Remove what a killed process left of a target; a part that somebody is writing stays."""
    path = part_of(target)
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(path.lstat(), os.fstat(fd)):
                path.unlink()
        finally:
            os.close(fd)


class PartFile:
    """An unfinished output file, locked against other writers of the same target.

    A part left over by a killed process has no lock any more and is taken over.

    Raises:
        OutputExists: the target is there and ``overwrite`` was not asked for.
        OutputFailed: the folder cannot be written, or another process is writing the same target.
    """

    def __init__(self, target: Path, *, overwrite: bool) -> None:
        self.target = target
        self.path = part_of(target)
        self._overwrite = overwrite
        if target.is_dir():
            raise OutputFailed(f"{target} is a folder", operation="output.open")
        if not overwrite and os.path.lexists(target):
            raise OutputExists(f"{target} is there already", operation="output.open")
        self.file: BinaryIO | None = self._open()

    def publish(self) -> None:
        """Make the file durable and give it its name.

        Raises:
            OutputExists: the target appeared in the meantime.
            OutputFailed: the system refused.
        """
        file = self.file
        if file is None:
            raise OutputFailed("the output is closed", operation="output.publish")
        try:
            file.flush()
            os.fsync(file.fileno())
            if self._overwrite:
                self.path.replace(self.target)
            else:
                self._place_without_replacing()
            self._sync_folder()
        except FileExistsError as error:
            self.discard()
            raise OutputExists(f"{self.target} is there already", operation="output.publish") from error
        except OSError as error:
            self.discard()
            raise output_failed(self.target, error) from error
        self.file = None
        file.close()

    def discard(self) -> None:
        """Remove the unfinished file. May be called again, and after ``publish``."""
        file, self.file = self.file, None
        if file is not None:
            with contextlib.suppress(OSError):
                if self._is_ours(file.fileno()):
                    self.path.unlink()
            with contextlib.suppress(OSError):  # closing writes what is still buffered: no room for it, no matter
                file.close()

    def _open(self) -> BinaryIO:
        fd = -1
        try:
            while fd < 0:
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not self._is_ours(fd):  # its owner finished between our open and our lock
                    os.close(fd)
                    fd = -1
            os.ftruncate(fd, 0)
            return os.fdopen(fd, "w+b", buffering=1 << 20)
        except OSError as error:
            if fd >= 0:
                os.close(fd)
            if error.errno == errno.EWOULDBLOCK:
                message = f"{self.target} is being written by another process"
                raise OutputFailed(message, operation="output.open") from error
            raise output_failed(self.target, error).at(operation="output.open") from error

    def _is_ours(self, fd: int) -> bool:
        try:
            there = self.path.lstat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(fd))

    def _place_without_replacing(self) -> None:
        """A hard link fails where the name is taken, which a rename does not; the part's own name goes then."""
        try:
            os.link(self.path, self.target)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}:
                raise
            # A file system without links: claim the name, then rename over the claim.
            os.close(os.open(self.target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666))
            self.path.replace(self.target)
        else:
            self.path.unlink()

    def _sync_folder(self) -> None:
        with contextlib.suppress(OSError):  # not every file system syncs folders; the file itself is safe
            fd = os.open(self.target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
