"""From the Python form to wasmtime's values, compiled once for each type.

An encoder gives the 32 bytes of one value. Whatever they point to lies in ``bytes`` objects that are appended to
``keep``: memory of Python's, so that a call copies nothing, and a value that turns out wrong half-way has nothing to
be freed. wasmtime only reads arguments. The result of a host import must be in wasmtime's memory; there one
``val_clone`` copies the finished value.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stellatune_plugins.engine.codec import layout
from stellatune_plugins.engine.codec.handles import HandleSpace
from stellatune_plugins.engine.component_capi import BYTES_DATA
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

Encoder = Callable[[Any, list[Any], HandleSpace], bytes]
"""``(value, keep, space) -> 32 bytes``."""


class Mismatch(Exception):
    """Raised when a value does not fit its type; composite encoders add their part of the path on the way out."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.path: list[str] = []

    def at(self, step: str) -> Mismatch:
        """Note where it happened, one level further out."""
        self.path.append(step)
        return self

    def __str__(self) -> str:
        return f"{''.join(reversed(self.path))}: {self.message}"


def describe(value: Any) -> str:
    """A value in a few words, for messages."""
    kind = type(value).__name__
    if isinstance(value, (bool, int, float)) or value is None:
        return f"{kind} {value!r:.40}" if value is not None else "None"
    return kind


def encoder(kind: WitType) -> Encoder:  # noqa: C901, PLR0911 - one branch a kind of type
    """The encoder for a type.

    Raises:
        Mismatch: the type is none that values can have.
    """
    match kind:
        case Primitive():
            return _primitive(kind.name)
        case ListOf(Primitive("u8")):
            return _encode_bytes
        case ListOf():
            return _list(encoder(kind.element))
        case OptionOf():
            return _option(encoder(kind.payload))
        case ResultOf():
            return encode_result_of(
                None if kind.ok is None else encoder(kind.ok), None if kind.err is None else encoder(kind.err)
            )
        case TupleOf():
            return _tuple([encoder(element) for element in kind.elements])
        case RecordOf():
            return _record([(name, encoder(field)) for name, field in kind.fields])
        case VariantOf():
            return _variant([(name, None if case is None else encoder(case)) for name, case in kind.cases])
        case EnumOf():
            return _enum(kind.cases)
        case FlagsOf():
            return _flags(kind.names)
        case HandleTo():
            return _handle(kind)
        case _:
            raise Mismatch(f"{kind} cannot cross the boundary")


def _primitive(name: str) -> Encoder:
    if name in layout.INTEGERS:
        return _integer(name)
    return {
        "bool": _encode_bool,
        "f32": _encode_f32,
        "f64": _encode_f64,
        "char": _encode_char,
        "string": _encode_string,
    }[name]


def _integer(name: str) -> Encoder:
    kind, code, lowest, highest = layout.INTEGERS[name]
    pack = layout.scalar_struct(code).pack

    def encode(value: Any, _keep: list[Any], _space: HandleSpace) -> bytes:
        if value.__class__ is not int:
            if not isinstance(value, int) or isinstance(value, bool):
                raise Mismatch(f"{describe(value)} where {name} is expected")
            value = int(value)
        try:
            return pack(kind, value)
        except struct.error:
            raise Mismatch(f"{value:.40g} is out of range for {name} ({lowest} to {highest})") from None

    return encode


_pack_bool: Final = layout.scalar_struct("?").pack
_pack_f32: Final = layout.scalar_struct("f").pack
_pack_f64: Final = layout.scalar_struct("d").pack
_pack_char: Final = layout.scalar_struct("I").pack
_pack_span: Final = layout.SPAN.pack
_pack_pointer: Final = layout.POINTER.pack
_pack_outcome: Final = layout.OUTCOME.pack
_pack_case: Final = layout.CASE.pack
_NOTHING: Final = np.empty(0, np.uint8)


def _encode_bool(value: Any, _keep: list[Any], _space: HandleSpace) -> bytes:
    if not isinstance(value, bool):
        raise Mismatch(f"{describe(value)} where bool is expected")
    return _pack_bool(layout.BOOL, value)


def _float(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (float, int)):
        raise Mismatch(f"{describe(value)} where {name} is expected")
    try:
        return float(value)
    except OverflowError:
        raise Mismatch(f"an int too large for {name}") from None


def _encode_f32(value: Any, _keep: list[Any], _space: HandleSpace) -> bytes:
    try:
        return _pack_f32(layout.F32, _float(value, "f32"))
    except OverflowError:
        raise Mismatch(f"{value!r:.40} is out of range for f32") from None


def _encode_f64(value: Any, _keep: list[Any], _space: HandleSpace) -> bytes:
    return _pack_f64(layout.F64, _float(value, "f64"))


def _encode_char(value: Any, _keep: list[Any], _space: HandleSpace) -> bytes:
    if not isinstance(value, str) or len(value) != 1:
        raise Mismatch(f"{describe(value)} where one character is expected")
    code = ord(value)
    if 0xD800 <= code <= 0xDFFF:
        raise Mismatch(f"the surrogate U+{code:04X} is no character")
    return _pack_char(layout.CHAR, code)


def _encode_string(value: Any, keep: list[Any], _space: HandleSpace) -> bytes:
    if not isinstance(value, str):
        raise Mismatch(f"{describe(value)} where string is expected")
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise Mismatch(f"a string with a lone surrogate at index {error.start}") from None
    keep.append(data)
    return _pack_span(layout.STRING, len(data), id(data) + BYTES_DATA)


def source_of(value: Any) -> npt.NDArray[np.uint8]:
    """The bytes of what may stand for a ``list<u8>``, without a copy.

    Raises:
        Mismatch: it is something else.
    """
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise Mismatch(f"{describe(value)} where bytes are expected")
    if not len(value):
        return _NOTHING
    try:
        return np.frombuffer(value, np.uint8)
    except (ValueError, BufferError):
        raise Mismatch("a memoryview that is not contiguous where bytes are expected") from None


def _encode_bytes(value: Any, keep: list[Any], _space: HandleSpace) -> bytes:
    source = source_of(value)
    if not source.size:
        return _pack_span(layout.LIST, 0, 0)
    values = np.zeros((source.size, layout.VALUE_BYTES), "u1")
    values[:, 0] = layout.U8
    values[:, layout.UNION] = source
    keep.append(values)
    return _pack_span(layout.LIST, source.size, values.__array_interface__["data"][0])


def _list(element: Encoder) -> Encoder:
    def encode(value: Any, keep: list[Any], space: HandleSpace) -> bytes:
        if not isinstance(value, (list, tuple)):
            raise Mismatch(f"{describe(value)} where a list is expected")
        parts = []
        try:
            for item in value:
                parts.append(element(item, keep, space))  # noqa: PERF401 - its length is the index that failed
        except Mismatch as error:
            raise error.at(f"[{len(parts)}]") from None
        image = b"".join(parts)
        keep.append(image)
        return _pack_span(layout.LIST, len(parts), id(image) + BYTES_DATA)

    return encode


def _tuple(elements: list[Encoder]) -> Encoder:
    arity = len(elements)

    def encode(value: Any, keep: list[Any], space: HandleSpace) -> bytes:
        if not isinstance(value, tuple):
            raise Mismatch(f"{describe(value)} where a tuple is expected")
        if len(value) != arity:
            raise Mismatch(f"a tuple of {len(value)} where one of {arity} is expected")
        parts: list[bytes] = []
        try:
            for encode_item, item in zip(elements, value, strict=True):
                parts.append(encode_item(item, keep, space))
        except Mismatch as error:
            raise error.at(f"[{len(parts)}]") from None
        image = b"".join(parts)
        keep.append(image)
        return _pack_span(layout.TUPLE, arity, id(image) + BYTES_DATA)

    return encode


def _record(fields: list[tuple[str, Encoder]]) -> Encoder:
    names = [name.encode() for name, _ in fields]
    plan = [
        (name, layout.PAIR.pack(len(raw), id(raw) + BYTES_DATA), encode)
        for (name, encode), raw in zip(fields, names, strict=True)
    ]
    arity = len(plan)

    def encode(value: Any, keep: list[Any], space: HandleSpace, _names: list[bytes] = names) -> bytes:
        if not isinstance(value, dict):
            raise Mismatch(f"{describe(value)} where a record (a dict) is expected")
        parts = []
        name = ""
        try:
            for name, head, encode_field in plan:
                parts.append(head)
                parts.append(encode_field(value[name], keep, space))
        except Mismatch as error:
            raise error.at(f".{name}") from None
        except KeyError:
            raise Mismatch("the field is missing").at(f".{name}") from None
        if len(value) != arity:
            extra = sorted(str(key) for key in value if all(key != name for name, _, _ in plan))
            raise Mismatch(f"fields that the record does not have: {', '.join(extra)}")
        image = b"".join(parts)
        keep.append(image)
        return _pack_span(layout.RECORD, arity, id(image) + BYTES_DATA)

    return encode


def _variant(cases: list[tuple[str, Encoder | None]]) -> Encoder:
    names = {name: name.encode() for name, _ in cases}
    plan = {name: (len(names[name]), id(names[name]) + BYTES_DATA, encode) for name, encode in cases}

    def encode(value: Any, keep: list[Any], space: HandleSpace, _names: dict[str, bytes] = names) -> bytes:
        if not isinstance(value, Variant):
            raise Mismatch(f"{describe(value)} where a Variant is expected")
        found = plan.get(value.case) if isinstance(value.case, str) else None
        if found is None:
            raise Mismatch(f"no case {value.case!r:.60}; the cases are {', '.join(plan)}")
        size, address, payload = found
        if payload is None:
            if value.value is not None:
                raise Mismatch("the case carries no value").at(f".{value.case}")
            return _pack_case(layout.VARIANT, size, address, 0)
        try:
            image = payload(value.value, keep, space)
        except Mismatch as error:
            raise error.at(f".{value.case}") from None
        keep.append(image)
        return _pack_case(layout.VARIANT, size, address, id(image) + BYTES_DATA)

    return encode


def _enum(cases: tuple[str, ...]) -> Encoder:
    names = [name.encode() for name in cases]
    images = {
        case: _pack_span(layout.ENUM, len(raw), id(raw) + BYTES_DATA) for case, raw in zip(cases, names, strict=True)
    }

    def encode(value: Any, _keep: list[Any], _space: HandleSpace, _names: list[bytes] = names) -> bytes:
        if not isinstance(value, str):
            raise Mismatch(f"{describe(value)} where the name of a case is expected")
        image = images.get(value)
        if image is None:
            raise Mismatch(f"no case {value!r:.60}; the cases are {', '.join(images)}")
        return image

    return encode


def _option(payload: Encoder) -> Encoder:
    absent = _pack_pointer(layout.OPTION, 0)

    def encode(value: Any, keep: list[Any], space: HandleSpace) -> bytes:
        if value is None:
            return absent
        if not isinstance(value, Some):
            raise Mismatch(f"{describe(value)} where None or Some(...) is expected")
        image = payload(value.value, keep, space)
        keep.append(image)
        return _pack_pointer(layout.OPTION, id(image) + BYTES_DATA)

    return encode


def encode_result_of(ok: Encoder | None, err: Encoder | None) -> Encoder:
    """The encoder for a result of two types that have encoders already."""

    def encode(value: Any, keep: list[Any], space: HandleSpace) -> bytes:
        if isinstance(value, Ok):
            good, payload, step = 1, ok, ".ok"
        elif isinstance(value, Err):
            good, payload, step = 0, err, ".err"
        else:
            raise Mismatch(f"{describe(value)} where Ok(...) or Err(...) is expected")
        if payload is None:
            if value.value is not None:
                raise Mismatch("this side of the result carries no value").at(step)
            return _pack_outcome(layout.RESULT, good, 0)
        try:
            image = payload(value.value, keep, space)
        except Mismatch as error:
            raise error.at(step) from None
        keep.append(image)
        return _pack_outcome(layout.RESULT, good, id(image) + BYTES_DATA)

    return encode


def _flags(names: tuple[str, ...]) -> Encoder:
    raw = {name: name.encode() for name in names}
    heads = {name: layout.PAIR.pack(len(data), id(data) + BYTES_DATA) for name, data in raw.items()}

    def encode(value: Any, keep: list[Any], _space: HandleSpace, _raw: dict[str, bytes] = raw) -> bytes:
        if not isinstance(value, (set, frozenset)):
            raise Mismatch(f"{describe(value)} where a set of flags is expected")
        unknown = [name for name in value if not isinstance(name, str) or name not in heads]
        if unknown:
            shown = ", ".join(sorted(f"{name!r:.40}" for name in unknown))
            raise Mismatch(f"no flags {shown}; the flags are {', '.join(heads)}")
        image = b"".join(head for name, head in heads.items() if name in value)
        keep.append(image)
        return _pack_span(layout.FLAGS, len(value), id(image) + BYTES_DATA)

    return encode


def _handle(kind: HandleTo) -> Encoder:
    def encode(value: Any, keep: list[Any], space: HandleSpace) -> bytes:
        address = space.guest_out(kind, value, keep) if kind.exported else space.host_out(kind, value, keep)
        return _pack_pointer(layout.RESOURCE, address)

    return encode
