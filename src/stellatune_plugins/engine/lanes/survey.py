"""What a component consists of: every index space, with where each of its items came from.

Types are counted and not read: what they say is asked of wasmtime once the component is compiled. Nested components
and core modules are stepped over; whoever needs one reads its span.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stellatune_plugins.engine.lanes.items import (
    CORE,
    Aliased,
    Bundled,
    Embedded,
    Exported,
    Imported,
    Instantiated,
    Item,
    Lifted,
    Lowered,
    Options,
    Other,
    Sort,
)
from stellatune_plugins.engine.lanes.reader import Allowance, Cursor, LayoutUnknown

PREAMBLE: Final = b"\0asm\x0d\x00\x01\x00"


_OTHER: Final = Other()

# The canonical built-ins that make one core function out of one index.
_BUILTINS: Final = frozenset((0x02, 0x03, 0x04))  # resource.new, resource.drop, resource.rep
_UTF8, _UTF16, _COMPACT_UTF16, _MEMORY, _REALLOC, _POST_RETURN = range(6)
"""The canonical options."""


class Survey:
    """See the module.

    Args:
        data: everything that ``start`` and ``end`` are places in.
        start: where the component begins.
        end: where it ends.
        allowance: what may be read, shared with the component that it is nested in.

    Raises:
        LayoutUnknown: it has something that this reader does not know.
    """

    def __init__(
        self, data: bytes | memoryview, start: int = 0, end: int | None = None, *, allowance: Allowance | None = None
    ) -> None:
        self.spaces: dict[Sort, list[Item]] = {sort: [] for sort in Sort}
        self.imports: dict[str, tuple[Sort, int]] = {}
        self.exports: dict[str, tuple[Sort, int]] = {}
        cursor = Cursor(data, start, end, allowance=allowance)
        self.allowance = cursor.allowance
        cursor.expect(PREAMBLE, "the component")
        while not cursor.done:
            self._section(*cursor.section())

    def item(self, sort: Sort, index: int) -> Item:
        """An item, with the names that exports gave to it seen through.

        Raises:
            LayoutUnknown: there is none.
        """
        space = self.spaces[sort]
        while index < len(space):
            found = space[index]
            if not isinstance(found, Exported):
                return found
            if found.of >= index:
                break
            index = found.of
        raise LayoutUnknown(f"there is no {sort.name.lower()} {index}")

    def _add(self, sort: Sort, item: Item) -> int:
        self.spaces[sort].append(item)
        return len(self.spaces[sort]) - 1

    def _section(self, kind: int, cursor: Cursor) -> None:
        match kind:
            case 0:  # custom
                return
            case 1:
                self._add(Sort.CORE_MODULE, Embedded(cursor.at, cursor.end))
            case 4:
                self._add(Sort.COMPONENT, Embedded(cursor.at, cursor.end))
            case 3:
                self.spaces[Sort.CORE_TYPE] += [_OTHER] * cursor.count()
            case 7:
                self.spaces[Sort.TYPE] += [_OTHER] * cursor.count()
            case _ if kind in _READERS:
                for _ in range(cursor.count()):
                    _READERS[kind](self, cursor)
                cursor.finish("a section")
            case _:
                raise LayoutUnknown(f"it has a section of kind {kind}")

    def _core_instance(self, cursor: Cursor) -> None:
        match cursor.byte():
            case 0:
                what = cursor.u32()
                given = {}
                for _ in range(cursor.count()):
                    name = cursor.text()
                    cursor.require(Sort.CORE_INSTANCE & 0xFF, "an argument of a core instance")
                    given[name] = (Sort.CORE_INSTANCE, cursor.u32())
                self._add(Sort.CORE_INSTANCE, Instantiated(what, given))
            case 1:
                items = {}
                for _ in range(cursor.count()):
                    name = cursor.text()
                    items[name] = (_sort(CORE | cursor.byte()), cursor.u32())
                self._add(Sort.CORE_INSTANCE, Bundled(items))
            case _:
                raise LayoutUnknown("a core instance is of an unknown form")

    def _instance(self, cursor: Cursor) -> None:
        match cursor.byte():
            case 0:
                what = cursor.u32()
                given = {}
                for _ in range(cursor.count()):
                    name = cursor.text()
                    given[name] = (_any_sort(cursor), cursor.u32())
                self._add(Sort.INSTANCE, Instantiated(what, given))
            case 1:
                items = {}
                for _ in range(cursor.count()):
                    name = _extern_name(cursor)
                    items[name] = (_any_sort(cursor), cursor.u32())
                self._add(Sort.INSTANCE, Bundled(items))
            case _:
                raise LayoutUnknown("an instance is of an unknown form")

    def _alias(self, cursor: Cursor) -> None:
        sort = _any_sort(cursor)
        match cursor.byte():
            case 0 | 1:
                self._add(sort, Aliased(cursor.u32(), cursor.text()))
            case 2:
                cursor.u32(), cursor.u32()
                self._add(sort, _OTHER)
            case _:
                raise LayoutUnknown("an alias is of an unknown form")

    def _canon(self, cursor: Cursor) -> None:
        kind = cursor.byte()
        if kind == 0:
            cursor.require(0, "a lift")
            core, options, _ = cursor.u32(), _options(cursor), cursor.u32()
            self._add(Sort.FUNC, Lifted(core, options))
        elif kind == 1:
            cursor.require(0, "a lower")
            self._add(Sort.CORE_FUNC, Lowered(cursor.u32(), _options(cursor)))
        elif kind in _BUILTINS:
            cursor.u32()
            self._add(Sort.CORE_FUNC, _OTHER)
        else:
            raise LayoutUnknown(f"it uses the canonical built-in 0x{kind:02x}")

    def _import(self, cursor: Cursor) -> None:
        name = _extern_name(cursor)
        sort = _extern(cursor)
        self.imports[name] = (sort, self._add(sort, Imported(name)))

    def _export(self, cursor: Cursor) -> None:
        name = _extern_name(cursor)
        sort, index = _any_sort(cursor), cursor.u32()
        match cursor.byte():
            case 0:
                pass
            case 1:
                _extern(cursor)
            case _:
                raise LayoutUnknown("an export is of an unknown form")
        self.exports[name] = (sort, self._add(sort, Exported(index)))


_READERS: Final[dict[int, Callable[[Survey, Cursor], None]]] = {
    2: Survey._core_instance,  # noqa: SLF001 - one module
    5: Survey._instance,  # noqa: SLF001
    6: Survey._alias,  # noqa: SLF001
    8: Survey._canon,  # noqa: SLF001
    10: Survey._import,  # noqa: SLF001
    11: Survey._export,  # noqa: SLF001
}


def _sort(code: int) -> Sort:
    try:
        return Sort(code)
    except ValueError:
        raise LayoutUnknown(f"it has items of the unknown sort 0x{code:x}") from None


def _any_sort(cursor: Cursor) -> Sort:
    code = cursor.byte()
    return _sort(code or CORE | cursor.byte())


def _extern_name(cursor: Cursor) -> str:
    if cursor.byte() > 1:
        raise LayoutUnknown("a name is of an unknown form")
    return cursor.text()


def _extern(cursor: Cursor) -> Sort:
    """What an import is, or what an export says that it is."""
    sort = _any_sort(cursor)
    if sort in {Sort.FUNC, Sort.COMPONENT, Sort.INSTANCE, Sort.CORE_MODULE}:
        cursor.u32()
    elif sort is Sort.TYPE:
        match cursor.byte():
            case 0:
                cursor.u32()
            case 1:
                pass
            case _:
                raise LayoutUnknown("the bound of a type is of an unknown form")
    else:
        raise LayoutUnknown(f"an import or export is a {sort.name.lower()}")
    return sort


def _options(cursor: Cursor) -> Options:
    found: dict[int, int] = {}
    utf8 = True
    for _ in range(cursor.count()):
        option = cursor.byte()
        if option in {_UTF8, _UTF16, _COMPACT_UTF16}:
            utf8 = option == _UTF8
        elif option in {_MEMORY, _REALLOC, _POST_RETURN}:
            found[option] = cursor.u32()
        else:
            raise LayoutUnknown(f"a function has the canonical option 0x{option:02x}")
    return Options(found.get(_MEMORY), found.get(_REALLOC), found.get(_POST_RETURN), utf8)
