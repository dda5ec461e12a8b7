"""The codecs of one function's parameters and result."""

from __future__ import annotations

from typing import Any, Final

from stellatune_plugins.engine.codec import layout
from stellatune_plugins.engine.codec.decode import decoder, owns_memory
from stellatune_plugins.engine.codec.encode import Mismatch, encoder
from stellatune_plugins.engine.codec.handles import HandleSpace
from stellatune_plugins.engine.wit_types import (
    FunctionType,
    HandleTo,
    ListOf,
    OptionOf,
    Primitive,
    RecordOf,
    ResultOf,
    TupleOf,
    VariantOf,
    WitType,
)
from stellatune_plugins.errors import ValueInvalid, WasmInvalid

PLUGIN_ERROR: Final = VariantOf(
    tuple(
        (case, Primitive("string"))
        for case in ("invalid-arg", "not-found", "io", "timeout", "unsupported", "denied", "internal")
    )
)
"""The contract's ``plugin-error``."""


def carries_handles(kind: WitType | None) -> bool:
    """Whether a value of the type may contain a resource handle."""
    match kind:
        case HandleTo():
            return True
        case ListOf(inner) | OptionOf(inner):
            return carries_handles(inner)
        case ResultOf(ok, err):
            return carries_handles(ok) or carries_handles(err)
        case TupleOf(elements):
            return any(map(carries_handles, elements))
        case RecordOf(parts) | VariantOf(parts):
            return any(carries_handles(part) for _, part in parts)
        case _:
            return False


class FunctionCodec:
    """Everything about a function that does not depend on an instance; shared by all instances and threads.

    Args:
        name: for messages.
        kind: the function's type.

    Raises:
        WasmInvalid: a parameter or the result is of a type that cannot cross the boundary.
    """

    def __init__(self, name: str, kind: FunctionType) -> None:
        self.name = name
        self.kind = kind
        self.arity = len(kind.params)
        self.param_names = tuple(param for param, _ in kind.params)
        types = [param for _, param in kind.params]
        try:
            self.encoders = tuple(map(encoder, types))
            self.decoders = tuple(map(decoder, types))
            self.encode_result = None if kind.result is None else encoder(kind.result)
            self.decode_result = None if kind.result is None else decoder(kind.result)
        except Mismatch as error:
            raise WasmInvalid(f"{name}: {error.message}") from None
        self.result_owns_memory = kind.result is not None and owns_memory(kind.result)
        self.params_carry_handles = any(map(carries_handles, types))
        self.answers_plugin_error = isinstance(kind.result, ResultOf) and kind.result.err == PLUGIN_ERROR

    def encode_args(self, args: tuple[Any, ...], keep: list[Any], space: HandleSpace) -> bytes:
        """All arguments in a row, 32 bytes each.

        Raises:
            ValueInvalid: there are too many or too few, or one does not fit; the message has the path to it.
        """
        if len(args) != self.arity:
            raise ValueInvalid(
                f"{len(args)} arguments where {self.arity} are expected: ({', '.join(self.param_names)})",
                operation=self.name,
            )
        images: list[bytes] = []
        try:
            for encode, value in zip(self.encoders, args, strict=True):
                images.append(encode(value, keep, space))
        except Mismatch as error:
            raise ValueInvalid(str(error.at(self.param_names[len(images)])), operation=self.name) from None
        return b"".join(images)

    def decode_args(self, buffer: bytes, space: HandleSpace) -> list[Any]:
        """The arguments that a guest passed to an import."""
        return [decode(buffer, index * layout.VALUE_BYTES, space) for index, decode in enumerate(self.decoders)]

    def store_answer(self, _value: Any, _results: int) -> bool:
        """Store an import's result in its place, if there is a quicker way than by ``encode_answer``.

        Args:
            results: the result's address.

        Returns:
            Whether it was stored.
        """
        return False

    def encode_answer(self, value: Any, keep: list[Any], space: HandleSpace) -> bytes:
        """An import's result.

        Raises:
            ValueInvalid: it is not of the function's type.
        """
        if self.encode_result is None:
            if value is not None:
                raise ValueInvalid("a result where the function has none", operation=self.name)
            return b""
        try:
            return self.encode_result(value, keep, space)
        except Mismatch as error:
            raise ValueInvalid(str(error.at("result")), operation=self.name) from None
