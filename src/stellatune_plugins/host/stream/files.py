"""Files as streams: regular ones below a granted folder."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
from typing import Final

from stellatune_plugins.errors import PluginFailure, StellatuneError
from stellatune_plugins.host.blocking import BlockingCalls
from stellatune_plugins.host.deadline import Cancel, Deadline, Gate
from stellatune_plugins.host.stream.base import GuestStream, target
from stellatune_plugins.host.stream.beneath import ESCAPED, open_beneath, open_folder
from stellatune_plugins.host.stream.interface import OpenRequest
from stellatune_plugins.host.stream.paths import FileAuthority, NotGranted, Place, places, split_path
from stellatune_plugins.host.stream.window import Window
from stellatune_plugins.host.timeouts import HostTimeouts
from stellatune_plugins.package.paths import shown

AHEAD: Final = 128 * 1024
"""Bytes read at a time where reading may have to wait."""

_AT_ONCE: Final = getattr(os, "RWF_NOWAIT", None)
"""Linux reads what is in its cache without waiting for a disk or a server, and says so where it is not."""


class FileStreams:
    """Opens the files of one plugin; the streams end with the owner."""

    def __init__(self, authority: FileAuthority, timeouts: HostTimeouts, calls: BlockingCalls, owner: Cancel) -> None:
        self._owner = owner
        self._authority = authority
        self._timeouts = timeouts
        self._calls = calls

    def open(self, request: OpenRequest) -> FileStream:
        """Open a file for reading.

        Raises:
            PluginFailure: ``invalid-arg``, ``denied``, ``not-found``, ``unsupported``, ``io`` or ``timeout``.
        """
        if request.headers or request.body or request.method not in {None, "get"}:
            raise PluginFailure("invalid-arg", "a file takes no method, headers or body")
        deadline = Deadline(self._timeouts.file, "opening the file", self._owner)
        is_absolute, parts = split_path(request.target)
        find = functools.partial(self._find, is_absolute=is_absolute, parts=parts)
        try:
            fd = self._calls.run(find, deadline, os.close)
        except NotGranted as refused:
            raise self._authority.denied("open the file", request.target, f"files:{refused.folder}") from refused
        except OSError as error:
            raise self._failure(request.target, error) from error
        except PluginFailure:
            raise
        except StellatuneError as error:
            raise PluginFailure("io", error.message) from error
        stream = FileStream(fd, self._timeouts.file, self._calls)
        stream.belong_to(self._owner)
        return stream

    def _find(self, *, is_absolute: bool, parts: list[str]) -> int:
        """The first of the places that is there, opened. Looks at the disk, so it may hang."""
        *others, last = places(self._authority, is_absolute=is_absolute, parts=parts)
        for place in others:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                return _open(place)
        return _open(last)

    def _failure(self, wanted: str, error: OSError) -> PluginFailure:
        if error.errno == ESCAPED:
            return self._authority.denied("follow a link out of its folder", wanted, None)
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return PluginFailure("not-found", f"{shown(wanted)} is not there")
        if error.errno in {errno.EACCES, errno.EPERM}:
            return PluginFailure("denied", f"the system does not let {shown(wanted)} be read")
        if error.errno in {errno.ENXIO, errno.EISDIR}:
            return PluginFailure("unsupported", f"{shown(wanted)} is no regular file")
        if error.errno in {errno.ENAMETOOLONG, errno.EINVAL}:
            return PluginFailure("invalid-arg", f"{shown(wanted)} is no file to open: {error.strerror}")
        return PluginFailure("io", f"{shown(wanted)} cannot be opened: {error.strerror}")


def _open(place: Place) -> int:
    """A descriptor of a regular file. Raises OSError, with EISDIR for everything that is none."""
    folder = open_folder(place.folder)
    try:
        fd = open_beneath(folder, place.path)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EISDIR, "it is no regular file")
    return fd


class FileStream(GuestStream):
    """An open regular file; the stream owns the descriptor."""

    def __init__(self, fd: int, timeout: float, calls: BlockingCalls) -> None:
        super().__init__()
        self._fd = fd
        self._timeout = timeout
        self._calls = calls
        self._position = 0
        self._ahead = Window()
        self._at_once = _AT_ONCE
        # A read that the stream gave up on still uses the descriptor: whoever comes last closes it.
        self._descriptor = Gate(lambda: os.close(fd))

    def _read(self, max_bytes: int) -> bytes:
        data = self._ahead.get(self._position, max_bytes)
        if not data:
            try:
                cached = self._read_cached(max_bytes)
                data = cached if cached is not None else self._read_ahead(max_bytes)
            except OSError as error:
                raise PluginFailure("io", f"the file cannot be read: {error.strerror}") from error
        self._position += len(data)
        return data

    def _read_cached(self, max_bytes: int) -> bytes | None:
        """What can be had without waiting; ``None`` where that is nothing, or nobody knows."""
        if self._at_once is None:
            return None
        buffer = bytearray(max_bytes)
        try:
            with self._descriptor.inside():
                count = os.preadv(self._fd, [buffer], self._position, self._at_once)
        except OSError as error:
            if error.errno in {errno.EOPNOTSUPP, errno.ENOSYS}:
                self._at_once = None
            elif error.errno != errno.EAGAIN:
                raise
            return None
        del buffer[count:]
        return bytes(buffer)

    def _read_ahead(self, max_bytes: int) -> bytes:
        """What has to be waited for, on another thread: more than is asked for, since each wait costs two switches."""
        deadline = Deadline(self._timeout, "reading the file", self.cancel)
        position = self._position
        data = self._calls.run(lambda: self._read_slowly(max(max_bytes, AHEAD), position), deadline)
        self._ahead.restart(position)
        self._ahead.put(data)
        return data[:max_bytes]

    def _read_slowly(self, max_bytes: int, position: int) -> bytes:
        with self._descriptor.inside():
            return os.pread(self._fd, max_bytes, position)

    def _seek(self, offset: int, whence: int) -> int:
        self._position = target(offset, whence, self._position, self._size() if whence == os.SEEK_END else None)
        return self._position

    def _tell(self) -> int:
        return self._position

    def _size(self) -> int:
        deadline = Deadline(self._timeout, "looking at the file", self.cancel)
        return self._calls.run(self._look, deadline).st_size

    def _look(self) -> os.stat_result:
        with self._descriptor.inside():
            return os.fstat(self._fd)

    def _put_away(self) -> None:
        self._descriptor.close()
