"""Sleeping on a word of shared memory until another process says that it changed.

Futexes belong to Linux; elsewhere, and on machines whose call number is not listed, a wait is a plain sleep.
"""

from __future__ import annotations

import ctypes
import platform
import sys
import time
from typing import Final

_NUMBERS: Final = {"x86_64": 202, "amd64": 202, "aarch64": 98, "arm64": 98, "riscv64": 98}
_NUMBER: Final = _NUMBERS.get(platform.machine().lower()) if sys.platform == "linux" else None
_WAIT: Final = 0
_WAKE: Final = 1
_EVERYBODY: Final = 2**31 - 1
ORDERED: Final = platform.machine().lower() in {"x86_64", "amd64"}
"""Whether the processor keeps the order of stores as other processors see it."""


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


if _NUMBER is not None:
    _libc = ctypes.CDLL(None)
    # Indexing makes a function of its own each time: arguments are converted by its types, which is the fast way.
    _wait, _wake = _libc["syscall"], _libc["syscall"]
    _wait.restype = _wake.restype = ctypes.c_long
    _wait.argtypes = (
        ctypes.c_long,
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_uint32,
        ctypes.POINTER(_Timespec),
        ctypes.c_void_p,
        ctypes.c_int,
    )
    _wake.argtypes = (ctypes.c_long, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)


def wait(address: int, expected: int, seconds: float) -> bool:
    """Sleep while the 32-bit word at ``address`` is ``expected``; whether somebody woke us.

    The address need not be accessible: the kernel checks it, and the wait ends at once where it is not.
    """
    if _NUMBER is None:
        time.sleep(seconds)
        return False
    whole = int(seconds)
    limit = _Timespec(whole, int((seconds - whole) * 1e9))
    return bool(_wait(_NUMBER, address, _WAIT, expected, limit, None, 0) == 0)


def wake(address: int) -> None:
    """Wake everybody who sleeps on the word. A full memory barrier, too: the kernel's look at its waiters is one."""
    if _NUMBER is not None:
        _wake(_NUMBER, address, _WAKE, _EVERYBODY)
