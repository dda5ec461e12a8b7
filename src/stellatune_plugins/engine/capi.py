"""The few functions of wasmtime's C API that are called on the hot road, as function objects of our own.

The package's own wrappers rebuild types at each call (50 to 440 us). These take plain addresses, so a prepared call
costs 1 to 2 us. They come from the shared library that the pinned wheel carries (ADR 0003).
"""

from __future__ import annotations

import ctypes
from typing import Final

from wasmtime import _ffi

LIBRARY: Final = ctypes.CDLL(str(_ffi.filename))

func_call_unchecked = LIBRARY.wasmtime_func_call_unchecked
"""``(context, func, args_and_results, slots, trap_out) -> error``: all addresses; releases the GIL."""
func_call_unchecked.restype = ctypes.c_void_p
func_call_unchecked.argtypes = [
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_void_p,
]

# It only stores a number, so it keeps the GIL: releasing it would cost more than the call.
set_epoch_deadline = ctypes.PyDLL(str(_ffi.filename)).wasmtime_context_set_epoch_deadline
"""``(context, ticks_beyond_current)``."""
set_epoch_deadline.restype = None
set_epoch_deadline.argtypes = [ctypes.c_void_p, ctypes.c_uint64]

memory_data = LIBRARY.wasmtime_memory_data
memory_data.restype = ctypes.c_void_p
memory_data.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
