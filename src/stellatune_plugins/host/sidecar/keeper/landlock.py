"""Landlock: which files a process and its children may use, said once and for good by the process itself.

Only the kernel interface that isolates signals and abstract sockets too (ABI 6, Linux 6.12) will do, since without it
a confined process could still signal and talk to everybody else's of the same user.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable
from typing import Final

from .kernel import syscall

NEEDED_ABI: Final = 6

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION_FLAG: Final = 1
_RULE_PATH_BENEATH: Final = 1

_EXECUTE: Final = 1 << 0
_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_TRUNCATE: Final = 1 << 14
_IOCTL_DEV: Final = 1 << 15
_ALL: Final = (1 << 16) - 1
_FILE_ONLY: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_BIND_TCP: Final = 1 << 0
_CONNECT_TCP: Final = 1 << 1
_SCOPE_ABSTRACT_SOCKETS: Final = 1 << 0
_SCOPE_SIGNALS: Final = 1 << 1

RIGHTS: Final = {
    "list": _READ_DIR,
    "read": _EXECUTE | _READ_FILE | _READ_DIR,
    "write": _ALL & ~(_EXECUTE | _IOCTL_DEV),
    "use": _READ_FILE | _WRITE_FILE | _READ_DIR,
    "device": _READ_FILE | _WRITE_FILE | _READ_DIR | _IOCTL_DEV,
}
"""By the names that plans use. What may be written may not be run, nor the other way round."""


def abi() -> int:
    """The kernel's Landlock ABI; 0 where it has none."""
    try:
        return syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    except OSError:
        return 0


def restrict_files(rules: Iterable[tuple[str, str]], *, network: bool) -> None:
    """Leave this process the given paths and nothing else, its own signals and sockets, and TCP where allowed.

    Paths that do not exist are left out. ``PR_SET_NO_NEW_PRIVS`` must be set.

    Raises:
        OSError: the kernel cannot do it.
    """
    tcp = 0 if network else _BIND_TCP | _CONNECT_TCP
    ruleset = _create(_ALL, tcp)
    try:
        for path, rights in rules:
            _allow(ruleset, path, RIGHTS[rights])
        _restrict(ruleset)
    finally:
        os.close(ruleset)


def restrict_scope() -> None:
    """Keep this process from signalling, and from abstract sockets of, processes that it does not start itself.

    Raises:
        OSError: the kernel cannot do it.
    """
    ruleset = _create(0, 0)
    try:
        _restrict(ruleset)
    finally:
        os.close(ruleset)


def _create(files: int, tcp: int) -> int:
    if abi() < NEEDED_ABI:
        raise OSError(errno.ENOSYS, f"Landlock ABI {NEEDED_ABI} is needed, the kernel has {abi()}")
    attributes = struct.pack("=QQQ", files, tcp, _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS)
    return syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))


def _allow(ruleset: int, path: str, rights: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(beneath).st_mode):
                rights &= _FILE_ONLY
            rule = struct.pack("=Qi", rights, beneath)
            syscall(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), rule, ctypes.c_uint32(0))
        finally:
            os.close(beneath)


def _restrict(ruleset: int) -> None:
    syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
