"""The component half of wasmtime's C API that is called on the hot road, as function objects of our own.

Addresses go in and out as plain integers. Whatever only touches memory keeps the GIL (``PyDLL``), since releasing it
costs more than the work; calls that may run guest code release it.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

from wasmtime import _ffi

from stellatune_plugins.engine import capi

_quick: Final = ctypes.PyDLL(str(_ffi.filename))

POINTER = ctypes.c_void_p
SIZE = ctypes.c_size_t


def _declare(library: Any, name: str, restype: Any, *argtypes: Any) -> Any:
    function = library[name]  # by index: a fresh object, whose types are nobody else's
    function.restype = restype
    function.argtypes = argtypes
    return function


func_call = _declare(
    capi.LIBRARY, "wasmtime_component_func_call", POINTER, POINTER, POINTER, POINTER, SIZE, POINTER, SIZE
)
"""``(func, context, args, args_size, results, results_size) -> error``; runs the guest's post-return by itself."""

linker_instantiate = _declare(
    capi.LIBRARY, "wasmtime_component_linker_instantiate", POINTER, POINTER, POINTER, POINTER, POINTER
)
"""``(linker, context, component, instance_out) -> error``."""

resource_any_drop = _declare(capi.LIBRARY, "wasmtime_component_resource_any_drop", POINTER, POINTER, POINTER)
"""``(context, resource) -> error``; may run a destructor of the guest. The box itself stays."""

resource_any_delete = _declare(_quick, "wasmtime_component_resource_any_delete", None, POINTER)
resource_any_clone = _declare(_quick, "wasmtime_component_resource_any_clone", POINTER, POINTER)
resource_any_to_host = _declare(_quick, "wasmtime_component_resource_any_to_host", POINTER, POINTER, POINTER, POINTER)
"""``(context, resource, host_out) -> error``; gives a borrow back, takes an own out of the Store."""

resource_host_new = _declare(
    _quick, "wasmtime_component_resource_host_new", POINTER, ctypes.c_bool, *(ctypes.c_uint32,) * 2
)
"""``(owned, rep, type) -> resource``."""

resource_host_rep = _declare(_quick, "wasmtime_component_resource_host_rep", ctypes.c_uint32, POINTER)
resource_host_delete = _declare(_quick, "wasmtime_component_resource_host_delete", None, POINTER)
resource_host_to_any = _declare(_quick, "wasmtime_component_resource_host_to_any", POINTER, POINTER, POINTER, POINTER)
"""``(context, host, any_out) -> error``."""

val_delete = _declare(_quick, "wasmtime_component_val_delete", None, POINTER)
"""Frees everything below a value, payload boxes included; the 32 bytes themselves stay, and are stale."""

val_clone = _declare(_quick, "wasmtime_component_val_clone", None, POINTER, POINTER)
"""``(source, destination)``: a deep copy in wasmtime's own memory."""

val_new = _declare(_quick, "wasmtime_component_val_new", POINTER, POINTER)
"""``(value) -> box``: moves a value into a box of wasmtime's."""

byte_vec_new = _declare(_quick, "wasm_byte_vec_new_uninitialized", None, POINTER, SIZE)
"""``(vector_out, size)``; the vector is size and address, as in a string's value."""

error_new = _declare(_quick, "wasmtime_error_new", POINTER, ctypes.c_char_p)
error_delete = _declare(_quick, "wasmtime_error_delete", None, POINTER)

linker_add_func = _declare(
    _quick, "wasmtime_component_linker_instance_add_func", POINTER, POINTER, POINTER, SIZE, POINTER, POINTER, POINTER
)
"""``(linker_instance, name, name_size, callback, data, finalizer) -> error``."""

linker_add_resource = _declare(
    _quick, "wasmtime_component_linker_instance_add_resource", POINTER, POINTER, POINTER, SIZE, *(POINTER,) * 4
)
"""``(linker_instance, name, name_size, type, destructor, data, finalizer) -> error``."""

set_stdout = _declare(_quick, "wasi_config_set_stdout_custom", None, *(POINTER,) * 4)
set_stderr = _declare(_quick, "wasi_config_set_stderr_custom", None, *(POINTER,) * 4)
"""``(config, callback, data, finalizer)``."""

ImportCallback: Any = ctypes.CFUNCTYPE(SIZE, POINTER, POINTER, POINTER, POINTER, SIZE, POINTER, SIZE)
"""``(data, context, func_type, args, args_size, results, results_size) -> error``."""

DestructorCallback: Any = ctypes.CFUNCTYPE(SIZE, POINTER, POINTER, ctypes.c_uint32)
"""``(data, context, rep) -> error``."""

OutputCallback: Any = ctypes.CFUNCTYPE(ctypes.c_ssize_t, POINTER, POINTER, SIZE)
"""``(data, bytes, size) -> bytes taken``."""

read_memory: Any = ctypes.PYFUNCTYPE(ctypes.py_object, POINTER, ctypes.c_ssize_t)(
    ("PyBytes_FromStringAndSize", ctypes.pythonapi)
)
"""``(address, size) -> bytes``: a copy."""

read_utf8: Any = ctypes.PYFUNCTYPE(ctypes.py_object, POINTER, ctypes.c_ssize_t, ctypes.c_char_p)(
    ("PyUnicode_DecodeUTF8", ctypes.pythonapi)
)
"""``(address, size, errors) -> str``."""

view_memory: Any = ctypes.PYFUNCTYPE(ctypes.py_object, POINTER, ctypes.c_ssize_t, ctypes.c_int)(
    ("PyMemoryView_FromMemory", ctypes.pythonapi)
)
"""``(address, size, TO_READ or TO_WRITE) -> memoryview``: no copy, valid as long as the memory is."""

TO_READ: Final = 0x100
TO_WRITE: Final = 0x200

BYTES_DATA: Final = bytes.__basicsize__ - 1
"""Where the bytes of a ``bytes`` object begin, counted from its ``id``: CPython keeps them inline, behind the head."""

if ctypes.string_at(id(b"stellatune") + BYTES_DATA, 10) != b"stellatune":  # pragma: no cover - another interpreter
    raise ImportError("this interpreter does not keep bytes inline, which the value codec counts on")


def error_text(address: int) -> str:
    """The message of a ``wasmtime_error_t``, which is deleted."""
    pointer = ctypes.cast(address, ctypes.POINTER(_ffi.wasmtime_error_t))
    vector = _ffi.wasm_byte_vec_t()
    _ffi.wasmtime_error_message(pointer, ctypes.byref(vector))
    text = ctypes.string_at(vector.data, vector.size).decode("utf-8", "replace")
    _ffi.wasm_byte_vec_delete(ctypes.byref(vector))
    error_delete(address)
    return text
