"""Code that the host itself writes: assembled and compiled in this process, since it is trusted and small."""

from __future__ import annotations

import collections
import hashlib
import threading
from typing import Final

import wasmtime

from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.core import CoreModule
from stellatune_plugins.engine.traps import reason_of
from stellatune_plugins.errors import InstantiateFailed

KEPT: Final = 32
"""How many binary forms are kept. A conductor's text can have 100 KB, so a text is known by its hash alone."""

_known: collections.OrderedDict[bytes, bytes] = collections.OrderedDict()
_lock = threading.Lock()


def assemble(text: str) -> bytes:
    """The binary form of a module in WebAssembly text.

    Raises:
        wasmtime.WasmtimeError: the text is wrong.
    """
    encoded = text.encode()
    key = hashlib.blake2b(encoded, digest_size=32).digest()
    with _lock:
        binary = _known.get(key)
        if binary is not None:
            _known.move_to_end(key)
            return binary
    binary = bytes(wasmtime.wat2wasm(encoded))
    with _lock:
        _known[key] = binary
        while len(_known) > KEPT:
            _known.popitem(last=False)
    return binary


def compile_trusted(engine: WasmEngine, text: str) -> CoreModule:
    """Compile a module of the host's own. Never to be given anything that comes from a plugin.

    Raises:
        InstantiateFailed: wasm or wasmtime does not allow a module so large; say, one with over 100 memories.
    """
    try:
        return CoreModule(wasmtime.Module(engine.raw, assemble(text)))
    except wasmtime.WasmtimeError as error:
        first = str(error).strip().partition("\n")[0]
        raise InstantiateFailed(
            f"a module of the host cannot be compiled: {first} ({reason_of(str(error))})",
            operation="compile",
            limit=True,
        ) from error
