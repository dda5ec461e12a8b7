"""How wasmtime's C API lays out a value: 32 bytes, a kind and a union at offset 8 (``wasmtime_component_val_t``).

The numbers are of the pinned version; the import fails where the library's own structures disagree.
"""

from __future__ import annotations

import ctypes
from struct import Struct
from typing import Final

from wasmtime import _ffi

VALUE_BYTES: Final = 32
UNION: Final = 8
"""Offset of the union within a value."""
ENTRY_BYTES: Final = 48
"""A record's field: the name's size and address, then the value."""
NAME_BYTES: Final = 16
"""A flag's name: size and address."""

BOOL: Final = 0
STRING: Final = 12
LIST: Final = 13
RECORD: Final = 14
TUPLE: Final = 15
VARIANT: Final = 16
ENUM: Final = 17
OPTION: Final = 18
RESULT: Final = 19
FLAGS: Final = 20
RESOURCE: Final = 21
U8: Final = 2
CHAR: Final = 11
F32: Final = 9
F64: Final = 10

INTEGERS: Final = {
    # name: kind, struct code, lowest, highest
    "s8": (1, "b", -(1 << 7), (1 << 7) - 1),
    "u8": (2, "B", 0, (1 << 8) - 1),
    "s16": (3, "h", -(1 << 15), (1 << 15) - 1),
    "u16": (4, "H", 0, (1 << 16) - 1),
    "s32": (5, "i", -(1 << 31), (1 << 31) - 1),
    "u32": (6, "I", 0, (1 << 32) - 1),
    "s64": (7, "q", -(1 << 63), (1 << 63) - 1),
    "u64": (8, "Q", 0, (1 << 64) - 1),
}


def scalar_struct(code: str) -> Struct:
    """A whole value with one scalar of ``code`` in it: kind, scalar."""
    width = Struct(f"<{code}").size
    return Struct(f"<B7x{code}{VALUE_BYTES - UNION - width}x")


SPAN = Struct("<B7xQQ8x")
"""A whole value with a size and an address: strings, lists, records, tuples, enums, flags."""
POINTER = Struct("<B7xQ16x")
"""A whole value with one address: options and resources."""
OUTCOME = Struct("<B7xB7xQ8x")
"""A whole result: whether it is ok, and the payload's address."""
CASE = Struct("<B7xQQQ")
"""A whole variant: the name's size and address, and the payload's address."""
PAIR = Struct("<QQ")
TRIPLE = Struct("<QQQ")
ADDRESS = Struct("<Q")

if (
    ctypes.sizeof(_ffi.wasmtime_component_val_t) != VALUE_BYTES
    or _ffi.wasmtime_component_val_t.of.offset != UNION
    or ctypes.sizeof(_ffi.wasmtime_component_valrecord_entry) != ENTRY_BYTES
    or ctypes.sizeof(_ffi.wasm_name_t) != NAME_BYTES
    or _ffi.WASMTIME_COMPONENT_RESOURCE.value != RESOURCE
):  # pragma: no cover - another wasmtime than the pinned one
    raise ImportError("this wasmtime lays out component values in another way than the pinned version")
