"""Compiles components in this process, with lanes for bulk bytes as the code store gives them."""

from __future__ import annotations

from wasmtime.component import Component

from stellatune_plugins.engine import WasmEngine
from stellatune_plugins.engine.lanes import LayoutUnknown, attach_lanes, graft_lanes


def laned(engine: WasmEngine, wasm: bytes) -> Component:
    """The component, with lanes where it has a use for them and a layout that is known."""
    try:
        graft = graft_lanes(wasm)
    except LayoutUnknown:
        graft = None
    if graft is None:
        return Component(engine.raw, wasm)
    component = Component(engine.raw, graft.wasm)
    attach_lanes(component, graft.lanes)
    return component
