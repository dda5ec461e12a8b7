"""From wasmtime's values to the Python form, compiled once for each type.

A decoder reads one value out of a buffer at an offset and copies everything; nothing it returns points into
wasmtime's memory. Sizes and addresses come from wasmtime itself, which has validated what the guest gave: strings are
UTF-8, discriminants name cases, chars are scalar values. One call may bring back 128 MiB of values at most
(wasmtime's own allowance), that is a little under 4 MiB as ``list<u8>``.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, Final

import numpy as np

from stellatune_plugins.engine.codec import layout
from stellatune_plugins.engine.codec.encode import Mismatch
from stellatune_plugins.engine.codec.handles import HandleSpace
from stellatune_plugins.engine.component_capi import TO_READ, read_memory, read_utf8, view_memory
from stellatune_plugins.engine.values import Err, Ok, Some, Variant
from stellatune_plugins.engine.wit_types import (
    EnumOf,
    FlagsOf,
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

Decoder = Callable[[Any, int, HandleSpace], Any]
"""``(buffer, offset of the value, space) -> value``."""

_VALUE: Final = layout.VALUE_BYTES
_UNION: Final = layout.UNION
_pair: Final = layout.PAIR.unpack_from
_triple: Final = layout.TRIPLE.unpack_from
_address: Final = layout.ADDRESS.unpack_from


def decoder(kind: WitType) -> Decoder:  # noqa: C901, PLR0911 - one branch a kind of type
    """The decoder for a type.

    Raises:
        Mismatch: the type is none that values can have.
    """
    match kind:
        case Primitive():
            return _primitive(kind.name)
        case ListOf(Primitive("u8")):
            return _decode_bytes
        case ListOf():
            return _list(decoder(kind.element))
        case OptionOf():
            return _option(decoder(kind.payload))
        case ResultOf():
            return decode_result_of(
                None if kind.ok is None else decoder(kind.ok), None if kind.err is None else decoder(kind.err)
            )
        case TupleOf():
            return _tuple([decoder(element) for element in kind.elements])
        case RecordOf():
            return _record([(name, decoder(field)) for name, field in kind.fields])
        case VariantOf():
            return _variant([(name, None if case is None else decoder(case)) for name, case in kind.cases])
        case EnumOf():
            return _enum(kind.cases)
        case FlagsOf():
            return _decode_flags
        case HandleTo():
            return _handle(kind)
        case _:
            raise Mismatch(f"{kind} cannot cross the boundary")


def owns_memory(kind: WitType) -> bool:
    """Whether a value of the type has parts outside its 32 bytes, which have to be freed."""
    return not (isinstance(kind, Primitive) and kind.name != "string")


def _primitive(name: str) -> Decoder:
    if name == "bool":
        return lambda buffer, offset, _space: buffer[offset + _UNION] != 0
    if name == "string":
        return _decode_string
    if name == "char":
        scalar = Struct("<I").unpack_from
        return lambda buffer, offset, _space: chr(scalar(buffer, offset + _UNION)[0])
    codes = {"f32": "f", "f64": "d"}
    unpack = Struct("<" + (codes.get(name) or layout.INTEGERS[name][1])).unpack_from

    def decode(buffer: Any, offset: int, _space: HandleSpace) -> Any:
        return unpack(buffer, offset + _UNION)[0]

    return decode


def _decode_string(buffer: Any, offset: int, _space: HandleSpace) -> Any:
    size, address = _pair(buffer, offset + _UNION)
    return read_utf8(address, size, None) if size else ""


def _decode_bytes(buffer: Any, offset: int, _space: HandleSpace) -> Any:
    size, address = _pair(buffer, offset + _UNION)
    if not size:
        return b""
    values = np.frombuffer(view_memory(address, size * _VALUE, TO_READ), "u1")
    return values[_UNION::_VALUE].tobytes()


def _list(element: Decoder) -> Decoder:
    def decode(buffer: Any, offset: int, space: HandleSpace) -> Any:
        size, address = _pair(buffer, offset + _UNION)
        if not size:
            return []
        inner = read_memory(address, size * _VALUE)
        return [element(inner, at, space) for at in range(0, size * _VALUE, _VALUE)]

    return decode


def _tuple(elements: list[Decoder]) -> Decoder:
    plan = [(decode, index * _VALUE) for index, decode in enumerate(elements)]
    size = len(plan) * _VALUE

    def decode(buffer: Any, offset: int, space: HandleSpace) -> Any:
        inner = read_memory(_pair(buffer, offset + _UNION)[1], size)
        return tuple([decode_item(inner, at, space) for decode_item, at in plan])

    return decode


def _record(fields: list[tuple[str, Decoder]]) -> Decoder:
    plan = [
        (name, decode, index * layout.ENTRY_BYTES + layout.NAME_BYTES) for index, (name, decode) in enumerate(fields)
    ]
    size = len(plan) * layout.ENTRY_BYTES

    def decode(buffer: Any, offset: int, space: HandleSpace) -> Any:
        inner = read_memory(_pair(buffer, offset + _UNION)[1], size)
        return {name: decode_field(inner, at, space) for name, decode_field, at in plan}

    return decode


def _variant(cases: list[tuple[str, Decoder | None]]) -> Decoder:
    plan = {name.encode(): (name, decode) for name, decode in cases}

    def decode(buffer: Any, offset: int, space: HandleSpace) -> Any:
        size, address, payload = _triple(buffer, offset + _UNION)
        name, decode_payload = plan[read_memory(address, size)]
        if decode_payload is None:
            return Variant(name)
        return Variant(name, decode_payload(read_memory(payload, _VALUE), 0, space))

    return decode


def _enum(cases: tuple[str, ...]) -> Decoder:
    plan = {name.encode(): name for name in cases}

    def decode(buffer: Any, offset: int, _space: HandleSpace) -> Any:
        size, address = _pair(buffer, offset + _UNION)
        return plan[read_memory(address, size)]

    return decode


def _option(payload: Decoder) -> Decoder:
    def decode(buffer: Any, offset: int, space: HandleSpace) -> Any:
        address = _address(buffer, offset + _UNION)[0]
        return Some(payload(read_memory(address, _VALUE), 0, space)) if address else None

    return decode


def decode_result_of(ok: Decoder | None, err: Decoder | None) -> Decoder:
    """The decoder for a result of two types that have decoders already."""

    def decode(buffer: Any, offset: int, space: HandleSpace) -> Any:
        good, address = _pair(buffer, offset + _UNION)
        if good & 1:  # one byte of the eight; the rest is padding
            return Ok(None if ok is None else ok(read_memory(address, _VALUE), 0, space))
        return Err(None if err is None else err(read_memory(address, _VALUE), 0, space))

    return decode


def _decode_flags(buffer: Any, offset: int, _space: HandleSpace) -> Any:
    size, address = _pair(buffer, offset + _UNION)
    if not size:
        return frozenset()
    inner = read_memory(address, size * layout.NAME_BYTES)
    spans = (_pair(inner, at) for at in range(0, size * layout.NAME_BYTES, layout.NAME_BYTES))
    return frozenset([read_utf8(data, length, None) for length, data in spans])


def _handle(kind: HandleTo) -> Decoder:
    def decode(buffer: Any, offset: int, space: HandleSpace) -> Any:
        address = _address(buffer, offset + _UNION)[0]
        return space.guest_in(kind, address) if kind.exported else space.host_in(kind, address)

    return decode
