"""Code that the host itself writes: assembled and compiled in this process, since it is trusted and small."""

from __future__ import annotations

import functools

import wasmtime

from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.core import CoreModule


@functools.lru_cache(maxsize=128)
def assemble(text: str) -> bytes:
    """The binary form of a module in WebAssembly text."""
    return bytes(wasmtime.wat2wasm(text))


def compile_trusted(engine: WasmEngine, text: str) -> CoreModule:
    """Compile a module of the host's own. Never to be given anything that comes from a plugin."""
    return CoreModule(wasmtime.Module(engine.raw, assemble(text)))
