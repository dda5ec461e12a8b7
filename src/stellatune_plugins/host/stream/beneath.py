"""Opening a file below a folder so that no link, no ``..`` and no race on the path leads out of it.

Linux does it in one step (``openat2`` with ``RESOLVE_BENEATH``); elsewhere every folder on the way is opened below the
one before it, and links are refused.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
from typing import Final

_OPENAT2: Final = 437
"""The number of the system call, the same on every architecture that Python runs on."""
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_BENEATH: Final = 0x08

_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""Without O_NONBLOCK, opening a named pipe waits for its writer."""
_FOLDER: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | getattr(os, "O_PATH", 0)
_TRIES: Final = 64

ESCAPED: Final = errno.EXDEV
"""The ``errno`` of a path that leads out of its folder, or to a link where links are refused."""


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_folder(path: str) -> int:
    """A descriptor of a folder that the host itself names; links on the way are followed."""
    return os.open(path, _FOLDER)


def open_beneath(folder: int, path: str) -> int:
    """A descriptor of what lies at a relative path below an open folder, opened for reading without blocking.

    Raises:
        OSError: with :data:`ESCAPED` where the path leads out of the folder, else the system's.
    """
    if "\0" in path:
        raise OSError(errno.EINVAL, "the path has a NUL character")
    return _in_one_step(folder, path) if has_openat2() else open_by_steps(folder, path)


def open_by_steps(folder: int, path: str) -> int:
    """As :func:`open_beneath`, folder by folder and without following any link."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if path.startswith("/") or ".." in parts or not parts:
        raise OSError(ESCAPED, "the path leads out of its folder")
    at = os.dup(folder)
    try:
        for part in parts[:-1]:
            deeper = _step(at, part, _FOLDER)
            os.close(at)
            at = deeper
        return _step(at, parts[-1], _FLAGS)
    finally:
        os.close(at)


def _step(folder: int, part: str, flags: int) -> int:
    try:
        return os.open(part, flags | os.O_NOFOLLOW, dir_fd=folder)
    except OSError as error:
        # O_DIRECTORY|O_NOFOLLOW on a link says ENOTDIR or ELOOP.
        if error.errno == errno.ELOOP or (error.errno == errno.ENOTDIR and _is_link(folder, part)):
            raise OSError(ESCAPED, "links are not followed") from error
        raise


def _is_link(folder: int, part: str) -> bool:
    try:
        os.readlink(part, dir_fd=folder)
    except OSError:
        return False
    return True


def _in_one_step(folder: int, path: str) -> int:
    how = _OpenHow(_FLAGS, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    name = os.fsencode(path)
    for _ in range(_TRIES):
        fd = _libc().syscall(_OPENAT2, folder, name, ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return int(fd)
        code = ctypes.get_errno()
        # EAGAIN: something was renamed meanwhile, and the kernel will not vouch for a `..` on the way.
        if code not in {errno.EAGAIN, errno.EINTR}:
            break
    if code == errno.ELOOP:  # a magic link, or a ring of links
        code = ESCAPED
    raise OSError(code, os.strerror(code))


@functools.cache
def has_openat2() -> bool:
    """Whether the system knows the call and lets us use it: sandboxes may not."""
    if not sys.platform.startswith("linux"):
        return False
    how = _OpenHow(_FOLDER, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    folder = os.open("/", _FOLDER)
    try:
        fd = _libc().syscall(_OPENAT2, folder, b".", ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            os.close(fd)
        return bool(fd >= 0)
    finally:
        os.close(folder)


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
    return libc
