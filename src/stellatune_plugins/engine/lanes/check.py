"""Whether the functions that were given lanes are the contract's, by wasmtime's own word on their types."""

from __future__ import annotations

from collections.abc import Sequence

from stellatune_plugins.engine.lanes.graft import Lane
from stellatune_plugins.engine.wit_types import ComponentShape


def unfit_lanes(shape: ComponentShape, lanes: Sequence[Lane]) -> list[str]:
    """The functions, of a component's own, that have another type than their lanes count on."""
    unfit = []
    for lane in lanes:
        side = shape.imports if lane.bulk.imported else shape.exports
        interface = side.get(lane.interface)
        kind = interface.functions.get(lane.bulk.name) if interface else None
        if kind is None or not lane.bulk.fits(kind):
            unfit.append(f"{lane.interface}#{lane.bulk.name}")
    return unfit
