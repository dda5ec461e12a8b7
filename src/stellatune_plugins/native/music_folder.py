"""A folder that is looked at from within: no link is followed, so nothing leads out of it.

A link to something inside is no loss, since that is found at its own place. Paths are tuples of names, as bytes,
because names on Linux are bytes; their text form (:func:`to_text`) is percent-encoded, so it survives JSON.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from stellatune_plugins.errors import PluginFailure

MAX_DEPTH: Final = 32
MAX_FILES: Final = 500_000

Place = tuple[bytes, ...]
"""Names from the folder down; empty for the folder itself."""

_SAFE: Final = " !$&'()*+,;=:@[]"
_FOLDER: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY
_FILE: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


class FoundFile(msgspec.Struct, frozen=True):
    """A regular file, and what tells it from what it was before."""

    place: Place
    size: int
    mtime_ns: int
    inode: int


def to_text(place: Place) -> str:
    """A place as text: names joined by slashes."""
    return "/".join(quote_from_bytes(name, safe=_SAFE) for name in place)


def to_place(text: str) -> Place:
    """The place that such a text means.

    Raises:
        PluginFailure: ``invalid-arg``, where a name is none.
    """
    place = tuple(unquote_to_bytes(name) for name in text.split("/")) if text else ()
    if len(place) > MAX_DEPTH or any(name in {b"", b".", b".."} or b"/" in name or b"\0" in name for name in place):
        raise PluginFailure("invalid-arg", "this is no place below the folder")
    return place


def shown(name: bytes) -> str:
    """A name for people."""
    return name.decode("utf-8", "replace")


def uri_below(folder: Path, place: Place) -> str:
    """The ``file:`` URI of something below a folder."""
    return f"{folder.absolute().as_uri().rstrip('/')}/" + "/".join(quote_from_bytes(name) for name in place)


class MusicFolder:
    """The folder, open.

    Raises:
        PluginFailure: ``not-found`` or ``denied``, where there is no such folder or it may not be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            self._fd = os.open(self.path, _FOLDER)
        except OSError as error:
            raise _failure(error, f"the folder {path}") from error
        except ValueError as error:
            raise PluginFailure("invalid-arg", f"the folder's name is none: {error}") from error

    def close(self) -> None:
        """May be called again."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def uri(self, place: Place) -> str:
        """The ``file:`` URI of something below."""
        return uri_below(self.path, place)

    def place_of(self, uri: str) -> Place:
        """What a ``file:`` URI without fragment means.

        Raises:
            PluginFailure: ``denied``, where it is not below the folder; ``invalid-arg`` where it is no such URI.
        """
        scheme, mark, rest = uri.partition("://")
        host, slash, path = rest.partition("/")
        if scheme.lower() != "file" or not mark or not slash or host.lower() not in {"", "localhost"}:
            raise PluginFailure("invalid-arg", "only file: URIs can be opened here")
        whole = unquote_to_bytes("/" + path)
        below = os.fsencode(self.path).rstrip(b"/") + b"/"
        if not whole.startswith(below):
            raise PluginFailure("denied", "this is not below the music folder")
        return to_place(quote_from_bytes(whole[len(below) :]))

    def open(self, place: Place) -> FileIO:
        """Open a regular file, step by step, so that no link and no exchange on the way leads elsewhere.

        Raises:
            PluginFailure: ``not-found``, ``denied`` (a link among them) or ``io``.
        """
        if not place:
            raise PluginFailure("invalid-arg", "the folder itself is no file")
        here = self._enter(place[:-1])
        try:
            fd = os.open(place[-1], _FILE, dir_fd=here)
        except OSError as error:
            raise _failure(error, shown(place[-1])) from error
        finally:
            os.close(here)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise PluginFailure("denied", f"{shown(place[-1])} is no regular file")
        return FileIO(fd, "rb")

    def names(self, place: Place) -> tuple[list[FoundFile], list[Place]]:
        """The files and the folders in one folder, hidden ones and links left out.

        Raises:
            PluginFailure: as for :meth:`open`.
        """
        here = self._enter(place)
        files, folders = [], []
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    name = os.fsencode(entry.name)
                    with contextlib.suppress(OSError):  # gone since
                        if name.startswith(b"."):
                            continue
                        if entry.is_dir(follow_symlinks=False):
                            folders.append((*place, name))
                        elif entry.is_file(follow_symlinks=False):
                            info = entry.stat(follow_symlinks=False)
                            files.append(FoundFile((*place, name), info.st_size, info.st_mtime_ns, info.st_ino))
        except OSError as error:
            raise _failure(error, shown(place[-1]) if place else "the folder") from error
        finally:
            os.close(here)
        return files, folders

    def walk(self) -> Iterator[list[FoundFile]]:
        """The files of each folder; what cannot be read is passed over.

        Raises:
            PluginFailure: the folder itself cannot be read.
        """
        waiting: list[Place] = [()]
        count = 0
        while waiting:
            place = waiting.pop()
            try:
                files, folders = self.names(place)
            except PluginFailure:
                if not place:
                    raise
                continue
            count += len(files)
            if len(place) < MAX_DEPTH - 1:
                waiting.extend(sorted(folders, reverse=True))
            yield sorted(files, key=lambda file: file.place)
            if count > MAX_FILES:
                return

    def _enter(self, place: Place) -> int:
        """A descriptor of a folder below; the caller closes it."""
        here = os.dup(self._fd)
        for name in place:
            try:
                below = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=here)
            except OSError as error:
                raise _failure(error, shown(name)) from error
            finally:
                os.close(here)
            here = below
        return here


def _failure(error: OSError, what: str) -> PluginFailure:
    reason = error.strerror or str(error)
    if isinstance(error, FileNotFoundError):
        return PluginFailure("not-found", f"{what} is not there")
    # ELOOP is how O_NOFOLLOW refuses a link; a folder that is a link comes as ENOTDIR.
    if isinstance(error, (PermissionError, NotADirectoryError)) or "symbolic links" in reason:
        return PluginFailure("denied", f"{what} cannot be opened: {reason}")
    return PluginFailure("io", f"{what} cannot be read: {reason}")
