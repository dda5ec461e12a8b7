"""WASI preview 2 with nothing granted: no files, environment, arguments or sockets.

Guests see clocks, randomness and streams that are empty, and what they print reaches the caller.
"""

from __future__ import annotations

import ctypes
import itertools
import weakref
from collections.abc import Callable
from typing import Any, Final

import wasmtime

from stellatune_plugins.engine import component_capi as api

STDOUT: Final = "stdout"
STDERR: Final = "stderr"

_PROVIDED: Final = tuple(f"wasi:{package}/" for package in ("cli", "clocks", "filesystem", "io", "random", "sockets"))


def is_wasi(interface: str) -> bool:
    """Whether an interface is one of WASI's."""
    return interface.startswith("wasi:")


def is_provided(interface: str) -> bool:
    """Whether it is of WASI preview 2 proper; what else there is of WASI traps when called."""
    return interface.startswith(_PROVIDED) and "@0.2." in interface


class OutputTap:
    """Hands what a guest prints to ``receive(stream, data)``.

    wasmtime calls it on a thread of its own and keeps the guest waiting, so ``receive`` must only enqueue. The first
    exception it raises is kept in ``failure`` and ends the capture; the guest goes on.
    """

    def __init__(self, receive: Callable[[str, bytes], None]) -> None:
        self.failure: BaseException | None = None
        self._receive: Callable[[str, bytes], None] | None = receive

    def take(self, stream: str, data: bytes) -> None:
        """One piece of output."""
        receive = self._receive
        if receive is None:
            return
        try:
            receive(stream, data)
        except BaseException as error:  # noqa: BLE001 - nothing may pass into wasmtime
            self.failure = error
            self._receive = None

    def close(self) -> None:
        """Whatever comes later is dropped."""
        self._receive = None


_taps: weakref.WeakValueDictionary[int, OutputTap] = weakref.WeakValueDictionary()
_numbers: Final = itertools.count(1)


def _deliver(stream: str, number: int, address: int, size: int) -> int:
    try:
        tap = _taps.get(number)
        if tap is not None and size:
            tap.take(stream, api.read_memory(address, size))
    except BaseException:  # noqa: BLE001, S110 - nothing may pass into wasmtime; output may get lost
        pass
    return size


_stdout: Final = api.OutputCallback(lambda number, address, size: _deliver(STDOUT, number, address, size))
_stderr: Final = api.OutputCallback(lambda number, address, size: _deliver(STDERR, number, address, size))


def grant_nothing(store: Any, tap: OutputTap | None) -> None:
    """Give a ``wasmtime.Store`` a WASI context without any right.

    Args:
        store: whose guests import WASI.
        tap: gets what they print, as long as somebody else keeps it alive; without one, output is discarded.
    """
    config = wasmtime.WasiConfig()
    if tap is not None:
        number = next(_numbers)
        _taps[number] = tap
        address = ctypes.cast(config.ptr(), ctypes.c_void_p)
        api.set_stdout(address, ctypes.cast(_stdout, ctypes.c_void_p), number, None)
        api.set_stderr(address, ctypes.cast(_stderr, ctypes.c_void_p), number, None)
    store.set_wasi(config)
