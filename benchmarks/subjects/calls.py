"""Calls of a component's functions: our codec and call path against the ``wasmtime`` package's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wasmtime
from wasmtime import component as wc

from benchmarks.race import Call, race
from benchmarks.results import Row
from benchmarks.workshop import Workshop
from stellatune_plugins.engine.assemble import assemble
from stellatune_plugins.engine.component import ComponentInstance, HostImports
from stellatune_plugins.engine.store import GuestStore

NAME = "calls"
TITLE = "Calls into a component"
OURS, STOCK = "ours", "wasmtime-py"

_FOREVER = 1 << 40
_SMALL = {
    "u32 out": ("number", (), 5e-6),
    "string of 32 in and out": ("text", ("dev.stellatune.parametric-eq/eq.",), None),
    "result<option<string>> out": ("state", (), 8e-6),
}


def measure(shop: Workshop) -> Iterator[Row]:
    """Small values, then bytes."""
    component = wc.Component(shop.engine.raw, assemble(Path(__file__).parents[1].joinpath("guest.wat").read_text()))
    with GuestStore(shop.engine) as store, wasmtime.Store(shop.engine.raw) as stock_store:
        stock_store.set_epoch_deadline(_FOREVER)
        stock = wc.Linker(shop.engine.raw).instantiate(stock_store, component)
        with ComponentInstance(store, component, HostImports(), label="bench", deadline=1.0) as instance:

            def pair(function: str, args: tuple[Any, ...]) -> dict[str, Call]:
                ours, theirs = instance.function("", function), stock.get_func(stock_store, function)
                assert theirs is not None
                return {OURS: lambda: ours(*args), STOCK: lambda: theirs(stock_store, *args)}

            for case, (function, args, limit) in _SMALL.items():
                result = race(pair(function, args), shop.seconds(1.5), least_rounds=40)
                yield result.row(NAME, case, OURS, STOCK, most_seconds=limit)
            for size, name in ((4096, "4 KiB"), (65536, "64 KiB")):
                data = bytes(range(256)) * (size // 256)
                ways: tuple[tuple[str, str, Any], ...]
                ways = ("in", "take", data), ("out", "give", size), ("in and out", "echo", data)
                for way, function, given in ways:
                    result = race(pair(function, (given,)), shop.seconds(2.0), least_rounds=5 if shop.quick else 11)
                    yield result.row(NAME, f"{name} as list<u8> {way}", OURS, STOCK)
