"""Finds, in a component, the places where bulk bytes go in and out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stellatune_plugins.engine.lanes.bulk import BULK, BYTES, PACKAGE, VERSION, BulkFunction
from stellatune_plugins.engine.lanes.fixup import read_fixup
from stellatune_plugins.engine.lanes.items import (
    Aliased,
    Bundled,
    Embedded,
    Imported,
    Instantiated,
    Lifted,
    Lowered,
    Sort,
)
from stellatune_plugins.engine.lanes.reader import LayoutUnknown
from stellatune_plugins.engine.lanes.survey import Survey
from stellatune_plugins.engine.wit_names import find_compatible


class ExportTap(NamedTuple):
    """A bulk function that the component exports: the core function behind it, and the core parts that it uses."""

    bulk: BulkFunction
    interface: str
    instance: int
    core: int
    memory: int
    realloc: int | None
    post_return: int | None


class ImportTap(NamedTuple):
    """A bulk function that it imports: the slot of the table through which core code calls it.

    ``table`` is the table's index, or an instance and the name under which that exports it.
    """

    bulk: BulkFunction
    interface: str
    instance: int
    memory: int
    realloc: int
    table: int | tuple[int, str]
    slot: int


class Taps(NamedTuple):
    """All of a component's, and why others were left alone: by the function's name."""

    exports: tuple[ExportTap, ...]
    imports: tuple[ImportTap, ...]
    refused: dict[str, str]


def find_taps(data: memoryview, survey: Survey) -> Taps:
    """Find them; one that cannot be used is refused by itself."""
    exports: list[ExportTap] = []
    imports: list[ImportTap] = []
    refused: dict[str, str] = {}
    nested: dict[int, Survey] = {}
    for bulk in BULK:
        outside = survey.imports if bulk.imported else survey.exports
        name = find_compatible(f"{PACKAGE}/{bulk.interface}@{VERSION}", list(outside))
        if name is None:
            continue
        sort, instance = outside[name]
        if sort is not Sort.INSTANCE:
            continue  # no instance has that name, then
        try:
            if bulk.imported:
                imports += _import_taps(data, survey, bulk, name, instance)
            else:
                exports.append(_export_tap(data, survey, bulk, name, instance, nested))
        except LayoutUnknown as unknown:
            refused[f"{name}#{bulk.name}"] = str(unknown)
    return Taps(tuple(exports), tuple(imports), refused)


def _export_tap(
    data: memoryview, survey: Survey, bulk: BulkFunction, interface: str, instance: int, nested: dict[int, Survey]
) -> ExportTap:
    function = _exported_function(data, survey, bulk.name, instance, nested)
    lifted = survey.item(Sort.FUNC, function)
    if not isinstance(lifted, Lifted):
        raise LayoutUnknown("it is no lifted core function")
    options = lifted.options
    if not options.utf8:
        raise LayoutUnknown("its texts are not UTF-8")
    if options.memory is None:
        raise LayoutUnknown("it was lifted without a memory")
    if options.realloc is None and BYTES in bulk.flat:
        raise LayoutUnknown("it was lifted without an allocator")
    return ExportTap(bulk, interface, instance, lifted.core, options.memory, options.realloc, options.post_return)


def _exported_function(data: memoryview, survey: Survey, name: str, instance: int, nested: dict[int, Survey]) -> int:
    """The function that an exported instance has under a name, as the component itself numbers it."""
    made = survey.item(Sort.INSTANCE, instance)
    if isinstance(made, Bundled):
        return _function(made.items.get(name))
    if not isinstance(made, Instantiated):
        raise LayoutUnknown("its interface is passed on from elsewhere")
    # Toolchains put a component in between, which imports all the functions and exports them under their own names.
    inner = nested.get(made.what)
    if inner is None:
        span = survey.item(Sort.COMPONENT, made.what)
        if not isinstance(span, Embedded):
            raise LayoutUnknown("its interface is made by a component from elsewhere")
        inner = nested[made.what] = Survey(data, *span, allowance=survey.allowance)
    found = inner.item(Sort.FUNC, _function(inner.exports.get(name)))
    if not isinstance(found, Imported):
        raise LayoutUnknown("it is not passed on as it is")
    return _function(made.given.get(found.name))


def _function(found: tuple[Sort, int] | None) -> int:
    if found is None or found[0] is not Sort.FUNC:
        raise LayoutUnknown("it is not where it should be")
    return found[1]


def _import_taps(
    data: memoryview, survey: Survey, bulk: BulkFunction, interface: str, instance: int
) -> Iterator[ImportTap]:
    wanted = Aliased(instance, bulk.name)
    functions = {index for index, item in enumerate(survey.spaces[Sort.FUNC]) if item == wanted}
    lowered = [
        (index, item)
        for index, item in enumerate(survey.spaces[Sort.CORE_FUNC])
        if isinstance(item, Lowered) and item.func in functions
    ]
    if not lowered:
        return
    if len(lowered) > 1:
        raise LayoutUnknown("it is lowered more than once")
    core, options = lowered[0][0], lowered[0][1].options
    if not options.utf8:
        raise LayoutUnknown("its texts are not UTF-8")
    if options.memory is None or options.realloc is None:
        raise LayoutUnknown("it was lowered without a memory and an allocator")
    table, slot = _slot(data, survey, core)
    yield ImportTap(bulk, interface, instance, options.memory, options.realloc, table, slot)


def _slot(data: memoryview, survey: Survey, core: int) -> tuple[int | tuple[int, str], int]:
    """The table and the slot in it that a core function is put into."""
    instances = survey.spaces[Sort.CORE_INSTANCE]
    holders = [
        (index, field)
        for index, item in enumerate(instances)
        if isinstance(item, Bundled)
        for field, held in item.items.items()
        if held == (Sort.CORE_FUNC, core)
    ]
    if len(holders) != 1:
        raise LayoutUnknown("it is not given to one module alone")
    holder, field = holders[0]
    users = [
        (item, module)
        for item in instances
        if isinstance(item, Instantiated)
        for module, (_, given) in item.given.items()
        if given == holder
    ]
    if len(users) != 1:
        raise LayoutUnknown("it is not given to one module alone")
    user, module = users[0]
    span = survey.item(Sort.CORE_MODULE, user.what)
    if not isinstance(span, Embedded):
        raise LayoutUnknown("the module that it is given to comes from elsewhere")
    fixup = read_fixup(data, *span, survey.allowance)
    places = [index for index, place in enumerate(fixup.functions) if place == (module, field)]
    if len(places) != 1 or places[0] not in fixup.slots:
        raise LayoutUnknown("it is called directly, not through a table")
    return _table(survey, user, *fixup.table), fixup.slots[places[0]]


def _table(survey: Survey, user: Instantiated, module: str, field: str) -> int | tuple[int, str]:
    _, giver = user.given.get(module, (None, -1))
    given = survey.item(Sort.CORE_INSTANCE, giver) if giver >= 0 else None
    if isinstance(given, Instantiated):
        return giver, field
    found = given.items.get(field) if isinstance(given, Bundled) else None
    if found is None or found[0] is not Sort.CORE_TABLE:
        raise LayoutUnknown("the table of imports is not where it should be")
    return found[1]
