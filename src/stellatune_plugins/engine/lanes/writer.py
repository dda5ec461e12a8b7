"""Appends definitions to a component, in WebAssembly's binary form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from stellatune_plugins.engine.lanes.items import Sort
from stellatune_plugins.engine.lanes.survey import Survey
from stellatune_plugins.engine.wit_types import OptionOf, Primitive, TupleOf, WitType

_PRIMITIVES: Final = {
    name: code
    for code, name in enumerate(
        ("string", "char", "f64", "f32", "u64", "s64", "u32", "s32", "u16", "s16", "u8", "s8", "bool"), 0x73
    )
}


def leb(value: int) -> bytes:
    """An unsigned number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed_leb(value: int) -> bytes:
    """A number that is not negative, in the signed form in which types are referred to."""
    out = bytearray()
    while value > 0x3F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _name(text: str) -> bytes:
    raw = text.encode()
    return leb(len(raw)) + raw


def _list(parts: Sequence[bytes]) -> bytes:
    return leb(len(parts)) + b"".join(parts)


def _item(held: tuple[Sort, int], *, core: bool) -> bytes:
    sort, index = held
    return (sort.code[1:] if core else sort.code) + leb(index)


class Appendix:
    """What comes behind a component's last section. Every method that defines something gives its index."""

    def __init__(self, survey: Survey) -> None:
        self._counts = {sort: len(space) for sort, space in survey.spaces.items()}
        self._parts: list[bytes] = []

    def finished(self) -> bytes:
        """All of it."""
        return b"".join(self._parts)

    def core_module(self, binary: bytes) -> int:
        """A core module as it is."""
        self._section(1, binary)
        return self._defined(Sort.CORE_MODULE)

    def core_instance(self, module: int, given: Mapping[str, int]) -> int:
        """An instance of a core module, given core instances by name."""
        args = [_name(name) + Sort.CORE_INSTANCE.code[1:] + leb(index) for name, index in given.items()]
        self._section(2, b"\x01\x00" + leb(module) + _list(args))
        return self._defined(Sort.CORE_INSTANCE)

    def core_bundle(self, items: Mapping[str, tuple[Sort, int]]) -> int:
        """A core instance of items that are there."""
        held = [_name(name) + _item(item, core=True) for name, item in items.items()]
        self._section(2, b"\x01\x01" + _list(held))
        return self._defined(Sort.CORE_INSTANCE)

    def core_alias(self, sort: Sort, instance: int, name: str) -> int:
        """What a core instance exports."""
        self._section(6, b"\x01" + sort.code + b"\x01" + leb(instance) + _name(name))
        return self._defined(sort)

    def type_alias(self, instance: int, name: str) -> int:
        """A type that an instance exports."""
        self._section(6, b"\x01" + Sort.TYPE.code + b"\x00" + leb(instance) + _name(name))
        return self._defined(Sort.TYPE)

    def borrow(self, resource: int) -> int:
        """The type of a borrowed resource."""
        return self._type(b"\x68" + leb(resource))

    def result(self, ok: WitType, err: int) -> int:
        """The type of a result whose error is a type that is there."""
        return self._type(b"\x6a\x01" + self._reference(ok) + b"\x01" + signed_leb(err))

    def function(self, borrow: int, params: Sequence[tuple[str, WitType]], result: int) -> int:
        """The type of a method."""
        named = [_name("self") + signed_leb(borrow), *(_name(name) + self._reference(kind) for name, kind in params)]
        return self._type(b"\x40" + _list(named) + b"\x00" + signed_leb(result))

    def import_function(self, name: str, kind: int) -> int:
        """A function of a type, from outside."""
        self._section(10, b"\x01\x00" + _name(name) + b"\x01" + leb(kind))
        return self._defined(Sort.FUNC)

    def lower(self, function: int, memory: int, realloc: int) -> int:
        """A core function out of one of the component's."""
        self._section(8, b"\x01\x01\x00" + leb(function) + b"\x03\x00\x03" + leb(memory) + b"\x04" + leb(realloc))
        return self._defined(Sort.CORE_FUNC)

    def lift(self, core: int, memory: int, realloc: int, kind: int) -> int:
        """The other way round."""
        options = b"\x03\x00\x03" + leb(memory) + b"\x04" + leb(realloc)
        self._section(8, b"\x01\x00\x00" + leb(core) + options + leb(kind))
        return self._defined(Sort.FUNC)

    def export_function(self, name: str, function: int) -> int:
        """Show a function at the root."""
        self._section(11, b"\x01\x00" + _name(name) + Sort.FUNC.code + leb(function) + b"\x00")
        return self._defined(Sort.FUNC)

    def _reference(self, kind: WitType) -> bytes:
        """How a type refers to another, which is defined first where that is needed."""
        match kind:
            case Primitive(name):
                return bytes([_PRIMITIVES[name]])
            case OptionOf(payload):
                return signed_leb(self._type(b"\x6b" + self._reference(payload)))
            case TupleOf(elements):
                return signed_leb(self._type(b"\x6f" + _list([self._reference(element) for element in elements])))
        raise TypeError(kind)

    def _type(self, body: bytes) -> int:
        self._section(7, b"\x01" + body)
        return self._defined(Sort.TYPE)

    def _section(self, kind: int, body: bytes) -> None:
        self._parts += [bytes([kind]), leb(len(body)), body]

    def _defined(self, sort: Sort) -> int:
        index = self._counts[sort]
        self._counts[sort] = index + 1
        return index
