"""What went wrong inside a call, as an error of the taxonomy.

wasmtime's texts have the backtrace first, with function names of the guest's choice in it, line breaks included. The
reason comes last, in wasmtime's own words; nothing else is believed.
"""

from __future__ import annotations

import ctypes
import re
from typing import Any, Final

from wasmtime import _ffi

from stellatune_plugins.errors import CallDeadline, GuestTrap, InstantiateFailed, StellatuneError

_ERROR_POINTER = ctypes.POINTER(_ffi.wasmtime_error_t)
_TRAP_POINTER = ctypes.POINTER(_ffi.wasm_trap_t)

_SLUGS = {code.value: code.name.removeprefix("WASMTIME_TRAP_CODE_").lower() for code in _ffi.wasmtime_trap_code_enum}

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
_CAUSES: Final = "Caused by:"
_BACKTRACE: Final = "wasm backtrace:"
_NUMBER: Final = re.compile(r"^\d+: ")
_TRAP: Final = "wasm trap: "
_LIMIT_WORDS = ("resource limit exceeded", "exceeds memory limits", "exceeds table limits", "memory limits")

_KEPT_BYTES: Final = 4096
"""What stays of a backtrace: the text of a guest whose names are long is of megabytes."""
_REASON_BYTES: Final = 200


def _text(vector: Any) -> str:
    data: bytes = ctypes.string_at(vector.data, vector.size) if vector.size else b""
    _ffi.wasm_byte_vec_delete(ctypes.byref(vector))
    return data.decode("utf-8", "replace").rstrip("\0")


def reason_of(text: str) -> str:
    """The root cause that a message of wasmtime names: the last line behind its last heading, fit to be printed."""
    _, heading, causes = text.rpartition(_CAUSES)
    # Without causes, what follows a backtrace's heading could only be the guest's.
    words = causes if heading else text.partition(_BACKTRACE)[0]
    line = words.strip().rpartition("\n")[2].strip()
    return _legible(_NUMBER.sub("", line, count=1), _REASON_BYTES)


def _legible(text: str, limit: int) -> str:
    """At most ``limit`` bytes of a text, from its start and its end, and nothing that a terminal would obey."""
    data = text.encode("utf-8", "replace")
    if len(data) > limit:
        data = data[: limit * 3 // 4 - 3] + b"..." + data[-(limit // 4) :]
    kept = data.decode("utf-8", "ignore")
    return "".join(char if char == "\n" or char.isprintable() else "?" for char in kept)


def _slug_of(text: str) -> str | None:
    reason = reason_of(text)
    if not reason.startswith(_TRAP):
        return None
    words = reason.removeprefix(_TRAP)
    for wording, slug in _WORDINGS:
        if wording in words:
            return slug
    return words[:120]


def _error(slug: str, text: str, operation: str) -> StellatuneError:
    if slug == "interrupt":
        return CallDeadline("the call ran past its deadline and was stopped", operation=operation)
    return GuestTrap(
        f"the guest trapped: {slug.replace('_', ' ')}",
        operation=operation,
        trap=slug,
        backtrace=_legible(text, _KEPT_BYTES),
    )


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
    reason = reason_of(text) or "wasmtime gave no reason"
    if any(words in reason for words in _LIMIT_WORDS):
        return InstantiateFailed(f"a limit of the sandbox was reached: {reason}", operation=operation, limit=True)
    return GuestTrap(
        f"the call failed: {reason}", operation=operation, trap="error", backtrace=_legible(text, _KEPT_BYTES)
    )
