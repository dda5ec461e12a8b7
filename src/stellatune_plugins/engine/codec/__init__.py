"""The value codec: Python's form of WIT values to wasmtime's and back."""

from __future__ import annotations

from stellatune_plugins.engine.codec.decode import Decoder, decoder, owns_memory
from stellatune_plugins.engine.codec.encode import Encoder, Mismatch, encoder
from stellatune_plugins.engine.codec.function import FunctionCodec
from stellatune_plugins.engine.codec.handles import HandleSpace

__all__ = [
    "Decoder",
    "Encoder",
    "FunctionCodec",
    "HandleSpace",
    "Mismatch",
    "decoder",
    "encoder",
    "owns_memory",
]
