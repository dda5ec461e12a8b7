"""Imports are answered from the specification's table, and nothing of a guest gets near the compiler."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import wasmtime

from stellatune_plugins.engine import assemble as assembler
from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.core import CoreInstance, CoreModule, FunctionType
from stellatune_plugins.engine.store import GuestStore
from stellatune_plugins.errors import HotPathRejected
from stellatune_plugins.hotpath import refusals as room
from stellatune_plugins.hotpath.refusals import FUNCTIONS, MAX_IMPORTS, refused_imports

WASI = "wasi_snapshot_preview1"


@pytest.fixture
def store(engine: WasmEngine) -> Iterator[GuestStore]:
    """An empty Store."""
    with GuestStore(engine) as store:
        yield store


def importing(engine: WasmEngine, *imports: str) -> CoreModule:
    """A module with imports, each as ``"module" "name" (type)``; compiled apart from the host's own texts."""
    text = "".join(f"(import {each})" for each in imports)
    return CoreModule(wasmtime.Module(engine.raw, bytes(wasmtime.wat2wasm(f"(module {text})"))))


def signature(kind: FunctionType) -> str:
    """A function's type as text."""
    params = f"(param {' '.join(kind.params)})" if kind.params else ""
    return f"(func {params} {'(result i32)' if kind.results else ''})"


def test_the_table_is_that_of_the_specification() -> None:
    """Each function has the type that wasmtime's own implementation of WASI gives it."""
    engine = wasmtime.Engine()
    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    store.set_wasi(wasmtime.WasiConfig())
    linker.define_wasi()
    for name, kind in FUNCTIONS.items():
        function = linker.get(store, WASI, name)
        assert isinstance(function, wasmtime.Func)
        real = function.type(store)
        assert (name, kind.params, kind.results) == (
            name,
            tuple(str(p) for p in real.params),
            tuple(str(r) for r in real.results),
        )
    assert len(FUNCTIONS) == 46
    store.close()


def test_every_function_is_answered(store: GuestStore) -> None:
    """A module that imports them all can be instantiated."""
    wanted = [f'"{WASI}" "{name}" {signature(kind)}' for name, kind in FUNCTIONS.items()]
    module = importing(store.engine, *wanted)
    given = refused_imports(store, module, deadline=1)
    assert {name for _, name in given} == set(FUNCTIONS)
    CoreInstance(store, module, given)


def test_a_module_without_imports_costs_no_instance(store: GuestStore) -> None:
    """Nor does the Store's limit of instances count one."""
    assert refused_imports(store, importing(store.engine), deadline=1) == {}


REFUSED = {
    "another module": ('"env" "f" (func)', r"env\.f;"),
    "another version": ('"wasi_unstable" "fd_write" (func)', r"wasi_unstable\.fd_write;"),
    "an unknown function": (f'"{WASI}" "fd_fly" (func (result i32))', r"preview1\.fd_fly;"),
    "no name": (f'"{WASI}" "" (func (result i32))', r"preview1\.;"),
    "other parameters": (
        f'"{WASI}" "fd_close" (func (param i64) (result i32))',
        r"preview1\.fd_close \(i64\) -> \(i32\);",
    ),
    "another result": (f'"{WASI}" "fd_close" (func (param i32))', r"preview1\.fd_close \(i32\) -> \(\);"),
    "an exit that returns": (f'"{WASI}" "proc_exit" (func (param i32) (result i32))', r"proc_exit \(i32\) -> \(i32\);"),
    "a memory": (f'"{WASI}" "fd_close" (memory 1)', r"preview1\.fd_close;"),
    "a global": (f'"{WASI}" "fd_close" (global i32)', r"preview1\.fd_close;"),
    "a thousand parameters": (
        f'"{WASI}" "fd_close" (func (param {"i64 " * 1000}) (result i32))',
        r"preview1\.fd_close \(i64, i64, .{,60}\.\.\.;",
    ),
    "a long name": (f'"{"m" * 5000}" "{"n" * 5000}" (func)', r"imports m{60}\.\.\.\.n{60}\.\.\.;"),
    "escape sequences": (r'"\1b[2J" "a\0ab\u{202e}c" (func)', r"imports \?\[2J\.a\?b\?c;"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_anything_else_is_refused_by_name(store: GuestStore, what: str) -> None:
    """The name is short and fit to be printed, and the rule is ``imports``."""
    text, message = REFUSED[what]
    with pytest.raises(HotPathRejected, match=message) as caught:
        refused_imports(store, importing(store.engine, text), deadline=1)
    assert caught.value.details["rule"] == "imports"


def test_a_few_of_many_are_named(store: GuestStore) -> None:
    """A message is no list of a thousand."""
    module = importing(store.engine, *(f'"env" "f{number}" (func)' for number in range(1000)))
    with pytest.raises(HotPathRejected, match=r"imports env\.f0, env\.f1, env\.f2 and 997 more;"):
        refused_imports(store, module, deadline=1)


def test_one_good_import_does_not_excuse_a_bad_one(store: GuestStore) -> None:
    """All are looked at before anything is made."""
    module = importing(store.engine, f'"{WASI}" "sched_yield" (func (result i32))', '"env" "f" (func)')
    with pytest.raises(HotPathRejected, match=r"imports env\.f;"):
        refused_imports(store, module, deadline=1)


@pytest.mark.parametrize("count", [MAX_IMPORTS, MAX_IMPORTS + 1])
def test_repeated_imports_have_a_limit(store: GuestStore, count: int) -> None:
    """One function may be imported many times over, which no toolchain does beyond reason."""
    module = importing(store.engine, *[f'"{WASI}" "sched_yield" (func (result i32))'] * count)
    if count <= MAX_IMPORTS:
        assert set(refused_imports(store, module, deadline=1)) == {(WASI, "sched_yield")}
    else:
        with pytest.raises(HotPathRejected, match=f"has {count} imports") as caught:
            refused_imports(store, module, deadline=1)
        assert caught.value.details["rule"] == "imports"


def test_a_bomb_for_the_host_s_compiler_does_not_go_off(store: GuestStore) -> None:
    """900 imports of a type with 1,000 parameters took 11 s in the host's own process; fewer prove it as well."""
    kind = f"(func (param {'i64 ' * 1000}) (result i32))"
    module = importing(store.engine, *(f'"{WASI}" "{number}" {kind}' for number in range(200)))
    start = time.perf_counter()
    with pytest.raises(HotPathRejected):
        refused_imports(store, module, deadline=1)
    assert time.perf_counter() - start < 0.5


def test_guests_share_one_module_of_refusals(engine: WasmEngine) -> None:
    """It is compiled once an engine, whatever its guests import, and nothing of theirs is kept."""
    texts: list[set[bytes]] = []
    for name in ("fd_write", "fd_close", "path_open"):
        with GuestStore(engine) as store:
            refused_imports(store, importing(engine, f'"{WASI}" "{name}" {signature(FUNCTIONS[name])}'), deadline=1)
        texts.append(set(assembler._known))
    assert texts[0] == texts[1] == texts[2]
    assert engine in room._modules
