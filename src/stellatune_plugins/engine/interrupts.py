"""Keeps Ctrl-C out of the one place where it would crash the process.

Python runs signal handlers at the entry of any function. Where that function is a callback of C code, the handler's
``KeyboardInterrupt`` is raised before the function's first ``try``, ctypes drops it and hands an undefined number to
wasmtime as the callback's answer. So while the main thread is inside a guest that has imports, SIGINT is only noted;
it takes effect inside a host function, or when the call is over. Other threads never run signal handlers.
"""

from __future__ import annotations

import importlib
import signal
import threading
from collections.abc import Callable
from typing import Any, Final

# The functions of C behind signal's own, which turn numbers into enums and back: 0.4 us against 9 us.
_native: Final[Any] = importlib.import_module("_signal")
_set: Final[Callable[[int, Any], Any]] = _native.signal
_get: Final[Callable[[int], Any]] = _native.getsignal
_SIGINT: Final = int(signal.SIGINT)
_get_ident: Final = threading.get_ident
_MAIN: Final = threading.main_thread().ident


class InterruptShield:
    """One for each instance: up while the guest runs, down inside the host's functions."""

    __slots__ = ("_noted", "_previous")

    def __init__(self) -> None:
        self._noted: dict[int, Any] = {}
        self._previous: Callable[[int, Any], Any] | None = None

    def run(self, call: Callable[..., Any], *args: Any) -> Any:
        """``call(*args)``, with an interrupt that comes meanwhile delivered afterwards."""
        if _get_ident() != _MAIN:
            return call(*args)
        previous = _get(_SIGINT)
        if not callable(previous):  # the default action or none: no Python code runs
            return call(*args)
        self._previous = previous
        _set(_SIGINT, self._noted.setdefault)
        try:
            answer = call(*args)
        finally:
            self._previous = None
            _set(_SIGINT, previous)
        self._deliver(previous)
        return answer

    def within_host(self, call: Callable[..., Any], args: Any) -> Any:
        """``call(*args)`` with interrupts as everywhere else; to be run inside a ``try``."""
        previous = self._previous
        if previous is None:
            return call(*args)
        try:
            _set(_SIGINT, previous)
            self._deliver(previous)
            return call(*args)
        finally:
            _set(_SIGINT, self._noted.setdefault)

    def _deliver(self, handler: Callable[[int, Any], Any]) -> None:
        if self._noted:
            handler(*self._noted.popitem())
