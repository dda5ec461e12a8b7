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
    _syscall = ctypes.CDLL(None, use_errno=True).syscall
    _syscall.restype = ctypes.c_long


def wait(address: int, expected: int, seconds: float) -> bool:
    """Sleep while the 32-bit word at ``address`` is ``expected``; whether somebody woke us.

    The address need not be accessible: the kernel checks it, and the wait ends at once where it is not.
    """
    if _NUMBER is None:
        time.sleep(seconds)
        return False
    whole = int(seconds)
    limit = _Timespec(whole, int((seconds - whole) * 1e9))
    done = _syscall(
        ctypes.c_long(_NUMBER),
        ctypes.c_void_p(address),
        ctypes.c_int(_WAIT),
        ctypes.c_uint32(expected),
        ctypes.byref(limit),
        ctypes.c_void_p(0),
        ctypes.c_int(0),
    )
    return bool(done == 0)


def wake(address: int) -> None:
    """Wake everybody who sleeps on the word. A full memory barrier, too: the kernel's look at its waiters is one."""
    if _NUMBER is not None:
        _syscall(
            ctypes.c_long(_NUMBER),
            ctypes.c_void_p(address),
            ctypes.c_int(_WAKE),
            ctypes.c_int(_EVERYBODY),
            ctypes.c_void_p(0),
            ctypes.c_void_p(0),
            ctypes.c_int(0),
        )
