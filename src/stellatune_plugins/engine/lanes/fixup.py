"""Reads the small core module that toolchains put at the end of a component's wiring.

The functions that a guest imports need its memory, which is there only once the guest is instantiated. So toolchains
have it call through a table, and fill that table last, by instantiating a module that imports the functions and the
table and has nothing but an element segment; where the guest has an ``_initialize``, that is its start function.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from stellatune_plugins.engine.lanes.reader import Allowance, Cursor, LayoutUnknown

_PREAMBLE: Final = b"\0asm\x01\x00\x00\x00"
_CUSTOM, _TYPES, _IMPORTS, _START, _ELEMENTS = 0, 1, 2, 8, 9
_FUNC, _TABLE = 0, 1
_FUNCREF: Final = 0x70
_I32_CONST, _END = 0x41, 0x0B
_LARGEST_IN_A_BYTE: Final = 0x3F
"""Of a number in signed LEB128."""


class Fixup(NamedTuple):
    """What such a module does.

    Args:
        functions: module and field of each function that it imports.
        table: module and field of the table.
        slots: where each function goes, by its place in ``functions``.
    """

    functions: tuple[tuple[str, str], ...]
    table: tuple[str, str]
    slots: dict[int, int]


def read_fixup(data: memoryview, start: int, end: int, allowance: Allowance) -> Fixup:
    """Read the module between two places.

    Args:
        data: what the places are in.
        start: where the module begins.
        end: where it ends.
        allowance: what may be read of it.

    Raises:
        LayoutUnknown: it is no such module.
    """
    cursor = Cursor(data, start, end, allowance=allowance)
    cursor.expect(_PREAMBLE, "a core module")
    functions: list[tuple[str, str]] = []
    tables: list[tuple[str, str]] = []
    slots: dict[int, int] = {}
    while not cursor.done:
        kind, section = cursor.section()
        if kind == _IMPORTS:
            for place, sort in _imports(section):
                (functions if sort == _FUNC else tables).append(place)
        elif kind == _ELEMENTS:
            _elements(section, slots)
        elif kind not in {_CUSTOM, _TYPES, _START}:
            raise LayoutUnknown("the module that fills the table of imports does more than that")
    if len(tables) != 1:
        raise LayoutUnknown("imports are not called through one table")
    return Fixup(tuple(functions), tables[0], slots)


def _imports(cursor: Cursor) -> Iterator[tuple[tuple[str, str], int]]:
    for _ in range(cursor.count()):
        place = cursor.text(), cursor.text()
        sort = cursor.byte()
        if sort == _FUNC:
            cursor.u32()
        elif sort == _TABLE:
            cursor.require(_FUNCREF, "the table of imports")
            limits = cursor.byte()
            if limits > 1:
                raise LayoutUnknown("the table of imports is of an unknown form")
            cursor.u32()
            if limits:
                cursor.u32()
        else:
            raise LayoutUnknown("the module that fills the table of imports imports something else")
        yield place, sort
    cursor.finish("an import section")


def _elements(cursor: Cursor, slots: dict[int, int]) -> None:
    for _ in range(cursor.count()):
        cursor.require(0, "an element segment")
        cursor.require(_I32_CONST, "the offset of an element segment")
        offset = cursor.byte()
        if offset > _LARGEST_IN_A_BYTE:
            raise LayoutUnknown("an element segment does not begin near the start of its table")
        cursor.require(_END, "the offset of an element segment")
        for index in range(cursor.count()):
            slots[cursor.u32()] = offset + index
    cursor.finish("an element section")
