"""Removing folders that a sidecar could write to, whatever it made of them."""

from __future__ import annotations

import contextlib
import os
from typing import Final

_PLACE: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_Identity = tuple[int, int]


def remove(folder: str | os.PathLike[str]) -> None:
    """A folder with all that is in it; what cannot be removed stays. Links are removed, not followed.

    However deep it is, where ``shutil.rmtree`` takes a descriptor and a call a level; and whatever rights to a folder
    were taken away.
    """
    with contextlib.suppress(OSError):
        _empty(_open(folder, None))
        os.rmdir(folder)  # noqa: PTH106 - pathlib is not imported in these processes


def _empty(at: int) -> None:
    """Go through the tree with one descriptor, which is closed: down by names, up by ``..``."""
    above: list[tuple[_Identity, str, list[str]]] = []
    try:
        left = _clear(at)
        while True:
            if left:
                name = left.pop()
                try:
                    deeper = _open(name, at)
                except OSError:
                    continue
                above.append((_identity(at), name, left))
                os.close(at)
                at, left = deeper, _clear(deeper)
            elif above:
                identity, name, left = above.pop()
                parent = os.open("..", _FOLDER, dir_fd=at)
                os.close(at)
                at = parent
                if _identity(at) != identity:  # somebody moved it meanwhile
                    return
                with contextlib.suppress(OSError):
                    os.rmdir(name, dir_fd=at)
            else:
                return
    finally:
        os.close(at)


def _clear(folder: int) -> list[str]:
    """Remove what is no folder; the names of those that are."""
    folders: list[str] = []
    with os.scandir(folder) as listing:
        entries = list(listing)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            folders.append(entry.name)
        else:
            with contextlib.suppress(OSError):
                os.unlink(entry.name, dir_fd=folder)
    return folders


def _open(name: str | os.PathLike[str], at: int | None) -> int:
    """A folder, with its owner's rights given back; raises OSError for anything else."""
    place = os.open(name, _PLACE, dir_fd=at)
    try:
        with contextlib.suppress(OSError):
            os.chmod(f"/proc/self/fd/{place}", 0o700)  # noqa: PTH101 - likewise
        return os.open(f"/proc/self/fd/{place}", _FOLDER)
    finally:
        os.close(place)


def _identity(folder: int) -> _Identity:
    status = os.fstat(folder)
    return status.st_dev, status.st_ino
