"""What went wrong inside a call, as an error of the taxonomy."""

from __future__ import annotations

import ctypes
import re
from typing import Any

from wasmtime import _ffi

from stellatune_plugins.errors import CallDeadline, GuestTrap, InstantiateFailed, StellatuneError

_ERROR_POINTER = ctypes.POINTER(_ffi.wasmtime_error_t)
_TRAP_POINTER = ctypes.POINTER(_ffi.wasm_trap_t)

_SLUGS = {code.value: code.name.removeprefix("WASMTIME_TRAP_CODE_").lower() for code in _ffi.wasmtime_trap_code_enum}
_INTERRUPT = _ffi.wasmtime_trap_code_enum.WASMTIME_TRAP_CODE_INTERRUPT.value

# How wasmtime words each trap; an error of a component call carries its trap as text alone.
_WORDINGS = (
    ("interrupt", "interrupt"),
    ("unreachable", "unreachable_code_reached"),
    ("out of bounds memory access", "memory_out_of_bounds"),
    ("call stack exhausted", "stack_overflow"),
    ("integer divide by zero", "integer_division_by_zero"),
    ("integer overflow", "integer_overflow"),
    ("invalid conversion to integer", "bad_conversion_to_integer"),
    ("out of bounds table access", "table_out_of_bounds"),
    ("uninitialized element", "indirect_call_to_null"),
    ("indirect call type mismatch", "bad_signature"),
    ("cannot enter component instance", "cannot_enter_component"),
    ("cannot leave component instance", "cannot_leave_component"),
)
_TRAP_LINE = re.compile(r"wasm trap: (.+)")
_LIMIT_WORDS = ("resource limit exceeded", "exceeds memory limits", "exceeds table limits", "memory limits")


def _text(vector: Any) -> str:
    data: bytes = ctypes.string_at(vector.data, vector.size) if vector.size else b""
    _ffi.wasm_byte_vec_delete(ctypes.byref(vector))
    return data.decode("utf-8", "replace").rstrip("\0")


def _slug_of(text: str) -> str | None:
    line = _TRAP_LINE.search(text)
    words = line.group(1) if line else text
    for wording, slug in _WORDINGS:
        if wording in words:
            return slug
    return words.strip()[:120] if line else None


def _error(slug: str, text: str, operation: str) -> StellatuneError:
    if slug == "interrupt":
        return CallDeadline("the call ran past its deadline and was stopped", operation=operation)
    return GuestTrap(f"the guest trapped: {slug.replace('_', ' ')}", operation=operation, trap=slug, backtrace=text)


def error_from_trap(address: int, operation: str) -> StellatuneError:
    """The error for a ``wasm_trap_t``, which is deleted."""
    pointer = ctypes.cast(address, _TRAP_POINTER)
    code = ctypes.c_uint8(0)
    known = _ffi.wasmtime_trap_code(pointer, ctypes.byref(code))
    vector = _ffi.wasm_byte_vec_t()
    _ffi.wasm_trap_message(pointer, ctypes.byref(vector))
    text = _text(vector)
    _ffi.wasm_trap_delete(pointer)
    if known:
        return _error(_SLUGS.get(code.value, f"trap {code.value}"), text, operation)
    return _error(_slug_of(text) or "host error", text, operation)


def error_from_error(address: int, operation: str) -> StellatuneError:
    """The error for a ``wasmtime_error_t``, which is deleted."""
    pointer = ctypes.cast(address, _ERROR_POINTER)
    vector = _ffi.wasm_byte_vec_t()
    _ffi.wasmtime_error_message(pointer, ctypes.byref(vector))
    _ffi.wasmtime_error_delete(pointer)
    return error_from_text(_text(vector), operation)


def error_from_text(text: str, operation: str) -> StellatuneError:
    """The error for a message of wasmtime."""
    slug = _slug_of(text)
    if slug is not None:
        return _error(slug, text, operation)
    first = text.strip().splitlines()[0] if text.strip() else "wasmtime gave no reason"
    if any(words in text for words in _LIMIT_WORDS):
        return InstantiateFailed(f"a limit of the sandbox was reached: {first}", operation=operation, limit=True)
    return GuestTrap(f"the call failed: {first}", operation=operation, trap="error", backtrace=text)
