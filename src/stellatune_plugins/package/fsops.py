"""Every call with which the store changes a file system, in one place.

One place, so that the power-cut proof can count the calls and stop the world at any of them
(``tests/stress/test_package_powercut.py`` overrides :meth:`FsOps.before` and :meth:`FsOps.after`).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
# What a kernel or file system answers that does not know renameat2 or its flags.
_UNKNOWN = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY})

FILE_MODE = 0o644
PROGRAM_MODE = 0o755
FOLDER_MODE = 0o755


class NewFile:
    """A file being written."""

    def __init__(self, ops: FsOps, fd: int, path: Path) -> None:
        self._ops = ops
        self._fd = fd
        self._path = path

    def write(self, data: bytes) -> None:
        """Append all of the bytes."""
        view = memoryview(data)
        while view:
            self._ops.before("write", self._path)
            view = view[os.write(self._fd, view) :]
            self._ops.after("write", self._path)


class FsOps:
    """The changing calls. Paths are the store's own; none follows a link in its last part."""

    can_exchange: bool = True
    """False where the kernel or the file system cannot swap two names in one step; found out at first use."""

    def before(self, call: str, *paths: Path) -> None:
        """Comes before each changing call; nothing is done here."""

    def after(self, call: str, *paths: Path) -> None:
        """Comes after each changing call that succeeded; nothing is done here."""

    # --- making -----------------------------------------------------------------------------------------------------

    def make_folder(self, path: Path) -> None:
        """A new folder; its parent must be there."""
        self.before("mkdir", path)
        path.mkdir(FOLDER_MODE)
        self.after("mkdir", path)

    def ensure_folder(self, path: Path) -> None:
        """The folder and those above it, each made durable as it is made."""
        if path.is_dir():
            return
        self.ensure_folder(path.parent)
        with contextlib.suppress(FileExistsError):  # another process was quicker
            self.make_folder(path)
        self.sync_folder(path.parent)

    @contextlib.contextmanager
    def new_file(self, path: Path, *, program: bool = False) -> Iterator[NewFile]:
        """A new file, durable with mode and content once the block is left without an error."""
        self.before("create", path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, FILE_MODE)
        try:
            self.after("create", path)
            yield NewFile(self, fd, path)
            self.before("chmod", path)
            os.fchmod(fd, PROGRAM_MODE if program else FILE_MODE)
            self.after("chmod", path)
            self.before("fsync", path)
            os.fsync(fd)
            self.after("fsync", path)
        finally:
            os.close(fd)

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable."""
        self.before("fsync-folder", path)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno != errno.EINVAL:  # the file system has no such thing, and so nothing to wait for
                raise
        finally:
            os.close(fd)
        self.after("fsync-folder", path)

    # --- moving -----------------------------------------------------------------------------------------------------

    def move(self, source: Path, target: Path) -> None:
        """Give a file or folder another name, which must be free, and make that durable."""
        self.before("rename", source, target)
        if not _renameat2(source, target, _RENAME_NOREPLACE):
            if os.path.lexists(target):  # callers hold the store's lock, so nobody slips in between
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
            source.rename(target)
        self.after("rename", source, target)
        self.sync_folder(target.parent)
        self.sync_folder(source.parent)

    def replace_file(self, source: Path, target: Path) -> None:
        """Put a file in the place of another in one step, and make that durable."""
        self.before("replace", source, target)
        source.replace(target)
        self.after("replace", source, target)
        self.sync_folder(target.parent)

    def exchange(self, incoming: Path, place: Path, aside: Path) -> None:
        """Swap two folders: in one step where the system can, else by way of the free name ``aside``.

        A stop on the way by ``aside`` leaves one of two states, which recovery tells apart: ``aside`` is there and
        ``place`` is not (put ``aside`` back), or ``aside`` is there and ``incoming`` is not (put ``aside`` there).
        """
        if self.can_exchange:
            self.before("exchange", incoming, place)
            if _renameat2(incoming, place, _RENAME_EXCHANGE):
                self.after("exchange", incoming, place)
                self.sync_folder(place.parent)
                self.sync_folder(incoming.parent)
                return
            self.can_exchange = False
        self.move(place, aside)
        self.move(incoming, place)
        self.move(aside, incoming)

    # --- removing ---------------------------------------------------------------------------------------------------

    def remove_file(self, path: Path) -> None:
        """Remove a file, or a link itself."""
        self.before("unlink", path)
        path.unlink()
        self.after("unlink", path)

    def remove_tree(self, path: Path) -> None:
        """Remove a folder and all in it, links themselves and not what they lead to.

        Only for folders that were moved out of the way before: what is left after a stop is removed the next time.
        """
        with os.scandir(path) as listing:
            entries = list(listing)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                self.remove_tree(path / entry.name)
            else:
                self.remove_file(path / entry.name)
        self.before("rmdir", path)
        path.rmdir()
        self.after("rmdir", path)


def _load_renameat2() -> ctypes._NamedFuncPointer | None:
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
        function.restype = ctypes.c_int
    return function


_function = _load_renameat2()


def _renameat2(source: Path, target: Path, flags: int) -> bool:
    """True once done, false where the system does not know how; anything else raises."""
    if _function is None:
        return False
    if _function(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNKNOWN:
        return False
    raise OSError(code, os.strerror(code), str(source), None, str(target))
