"""A package in a folder, read so that nothing can be slipped in between looking and reading."""

from __future__ import annotations

import collections
import itertools
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from stellatune_plugins.errors import SourceUnreadable
from stellatune_plugins.package.caps import DEFAULT_CAPS, Caps, refusal
from stellatune_plugins.package.paths import MAX_DEPTH, shown
from stellatune_plugins.package.sources import CHUNK_BYTES, Candidate, Entry, admit

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Seen(msgspec.Struct, frozen=True):
    """What a file was when it was found; what is opened later must be the same."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> _Seen:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class FolderSource:
    """Walks the folder by file descriptors, never by path, and follows no link."""

    def __init__(self, path: Path, *, caps: Caps = DEFAULT_CAPS) -> None:
        self._path = path
        self._caps = caps
        self._fd = -1
        self._seen: dict[str, _Seen] = {}
        self._links: dict[str, int] = {}
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            candidates = list(self._walk(self._fd, "", 0))
            self._refuse_outside_links()
            self._entries = admit(candidates, caps, skip_receipts=True)
        except OSError as error:
            self.close()
            raise SourceUnreadable(f"cannot read {path}: {error}") from error
        except BaseException:
            self.close()
            raise

    @property
    def label(self) -> str:
        return str(self._path.absolute())

    def entries(self) -> Sequence[Entry]:
        return self._entries

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        try:
            fd = self._open(entry.origin)
        except OSError as error:
            raise SourceUnreadable(f"cannot read {shown(entry.origin)}: {error}") from error
        try:
            if _Seen.of(os.fstat(fd)) != self._seen[entry.origin]:
                raise _changed(entry)
            left = self._seen[entry.origin].size
            while chunk := os.read(fd, CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise _changed(entry)
                yield chunk
            if left or _Seen.of(os.fstat(fd)) != self._seen[entry.origin]:
                raise _changed(entry)
        except OSError as error:
            raise SourceUnreadable(f"cannot read {shown(entry.origin)}: {error}") from error
        finally:
            os.close(fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _walk(self, fd: int, prefix: str, depth: int) -> Iterator[Candidate]:
        with os.scandir(fd) as listing:
            names = sorted(entry.name for entry in itertools.islice(listing, self._caps.entries + 1))
        for name in names:
            path = f"{prefix}{name}"
            if len(self._seen) >= self._caps.entries:
                raise refusal("too-many-entries", f"the folder has more than {self._caps.entries} entries")
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            self._seen[path] = _Seen.of(status)
            if stat.S_ISDIR(status.st_mode):
                yield Candidate(path=path, is_folder=True, size=0, packed=None, executable=False)
                yield from self._walk_below(fd, name, path, depth + 1)
            elif stat.S_ISREG(status.st_mode):
                self._links[path] = status.st_nlink
                executable = bool(status.st_mode & 0o111)
                yield Candidate(path=path, is_folder=False, size=status.st_size, packed=None, executable=executable)
            elif stat.S_ISLNK(status.st_mode):
                raise refusal("link", "the folder has a symbolic link in it", path)
            else:
                raise refusal("special-file", "the folder has a device, a pipe or a socket in it", path)

    def _walk_below(self, fd: int, name: str, path: str, depth: int) -> Iterator[Candidate]:
        if depth > MAX_DEPTH:
            raise refusal("path-too-deep", f"the folder is more than {MAX_DEPTH} levels deep", path)
        inner = os.open(name, _FOLDER_FLAGS, dir_fd=fd)
        try:
            yield from self._walk(inner, f"{path}/", depth)
        finally:
            os.close(inner)

    def _refuse_outside_links(self) -> None:
        """A file with more names than the folder has of it is also somewhere else, and perhaps somebody else's."""
        inside = collections.Counter((self._seen[path].device, self._seen[path].inode) for path in self._links)
        for path, links in self._links.items():
            seen = self._seen[path]
            if links > inside[seen.device, seen.inode]:
                raise refusal("hard-link", "the file has another name outside the folder", path)

    def _open(self, path: str) -> int:
        """Open a file part by part from the folder's descriptor."""
        *folders, name = path.split("/")
        fd = os.dup(self._fd)
        try:
            for folder in folders:
                inner = os.open(folder, _FOLDER_FLAGS, dir_fd=fd)
                os.close(fd)
                fd = inner
            return os.open(name, _FILE_FLAGS, dir_fd=fd)
        finally:
            os.close(fd)


def _changed(entry: Entry) -> SourceUnreadable:
    return SourceUnreadable(
        f"{shown(entry.origin)} changed while it was read", hint="try again when nobody writes there"
    )
