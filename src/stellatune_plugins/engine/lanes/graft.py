"""Grafts lanes onto a component: fast ways for bulk bytes, beside everything that is there already."""

from __future__ import annotations

from typing import Final, NamedTuple

from stellatune_plugins.engine.assemble import assemble
from stellatune_plugins.engine.lanes.adapter import HOME, AdapterText
from stellatune_plugins.engine.lanes.bulk import BYTES, STRING, BulkFunction
from stellatune_plugins.engine.lanes.items import Sort
from stellatune_plugins.engine.lanes.reader import LayoutUnknown
from stellatune_plugins.engine.lanes.survey import Survey
from stellatune_plugins.engine.lanes.taps import ExportTap, ImportTap, find_taps
from stellatune_plugins.engine.lanes.writer import Appendix
from stellatune_plugins.engine.wit_types import TupleOf, WitType

MEMORIES: Final = 1
"""What a graft adds to a Store's count of memories."""
INSTANCES: Final = 2
"""What it adds to the count of core instances."""
_ERROR: Final = "plugin-error"


class Lane(NamedTuple):
    """One bulk function that has a lane.

    Args:
        bulk: which.
        interface: the full name of its interface, in the component's own version.
    """

    bulk: BulkFunction
    interface: str


class Graft(NamedTuple):
    """A component with lanes, and what is to be known of them."""

    wasm: bytes
    lanes: tuple[Lane, ...]
    refused: dict[str, str]
    """Why functions got none, by name."""


def graft_lanes(wasm: bytes) -> Graft | None:
    """Give lanes to every bulk function of a component that has a known layout; ``None`` where it has no such.

    Everything of the component stays as it is, at its place and under its number; the lanes come behind it.

    Raises:
        LayoutUnknown: the component cannot be read, or none of its bulk functions has a known layout.
    """
    survey = Survey(wasm)
    exports, imports, refused = find_taps(memoryview(wasm), survey)
    if not exports and not imports:
        if refused:
            raise LayoutUnknown("; ".join(f"{name}: {reason}" for name, reason in refused.items()))
        return None
    taps: list[ExportTap | ImportTap] = [*exports, *imports]
    lanes = tuple(Lane(tap.bulk, tap.interface) for tap in taps)
    return Graft(wasm + _appendix(survey, exports, imports), lanes, refused)


def _appendix(survey: Survey, exports: tuple[ExportTap, ...], imports: tuple[ImportTap, ...]) -> bytes:
    out = Appendix(survey)
    home = out.core_instance(out.core_module(assemble(HOME)), {})
    memory = out.core_alias(Sort.CORE_MEMORY, home, "memory")
    realloc = out.core_alias(Sort.CORE_FUNC, home, "realloc")
    top = out.core_alias(Sort.CORE_GLOBAL, home, "top")
    needs: dict[str, tuple[Sort, int]] = {
        "memory": (Sort.CORE_MEMORY, memory),
        "realloc": (Sort.CORE_FUNC, realloc),
        "top": (Sort.CORE_GLOBAL, top),
    }
    text = AdapterText(exports, imports)
    needs |= {f"m{k}": (Sort.CORE_MEMORY, index) for k, index in enumerate(text.memories)}
    needs |= {f"r{k}": (Sort.CORE_FUNC, index) for k, index in enumerate(text.reallocs)}
    for k, export in enumerate(exports):
        needs[f"f{k}"] = (Sort.CORE_FUNC, export.core)
        if export.post_return is not None:
            needs[f"post{k}"] = (Sort.CORE_FUNC, export.post_return)
    for k, imported in enumerate(imports):
        function = out.import_function(imported.bulk.lane, _type(out, imported))
        needs[f"h{k}"] = (Sort.CORE_FUNC, out.lower(function, memory, realloc))
        table = imported.table if isinstance(imported.table, int) else out.core_alias(Sort.CORE_TABLE, *imported.table)
        needs[f"t{k}"] = (Sort.CORE_TABLE, table)
    adapter = out.core_instance(out.core_module(assemble(str(text))), {"": out.core_bundle(needs)})
    for k, export in enumerate(exports):
        core = out.core_alias(Sort.CORE_FUNC, adapter, f"x{k}")
        out.export_function(export.bulk.lane, out.lift(core, memory, realloc, _type(out, export)))
    return out.finished()


def _type(out: Appendix, tap: ExportTap | ImportTap) -> int:
    """The type of a lane: strings for bytes, and tuples for records, which would want a name."""
    borrow = out.borrow(out.type_alias(tap.instance, tap.bulk.resource))
    fields = tuple(map(_in_planes, tap.bulk.fields))
    ok = fields[0] if len(fields) == 1 else TupleOf(fields)
    result = out.result(ok, out.type_alias(tap.instance, _ERROR))
    return out.function(borrow, [(name, _in_planes(kind)) for name, kind in tap.bulk.params], result)


def _in_planes(kind: WitType) -> WitType:
    return STRING if kind == BYTES else kind
