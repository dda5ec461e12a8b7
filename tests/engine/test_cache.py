"""Compiled code from memory, from the folder and from the compiler."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from wasmtime.component import Component

from stellatune_plugins.engine import cache
from stellatune_plugins.engine.cache import CodeStore
from stellatune_plugins.engine.cache_files import EntryRejected
from stellatune_plugins.engine.cache_folder import CacheFolder
from stellatune_plugins.engine.cache_key import code_key, this_target
from stellatune_plugins.engine.cache_lock import CompileClaims
from stellatune_plugins.engine.compiler import CompileJob, CompileLimits
from stellatune_plugins.engine.config import EngineSettings, WasmEngine
from stellatune_plugins.engine.wasm_kind import CodeKind
from stellatune_plugins.errors import CompileFailed, CompileLimit, NotWasm, WasmInvalid
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import CodeCacheRejected, CodeCompiled, CodeLoaded

DESCRIPTORS = Path("/proc/self/fd")


def _module(number: int = 42) -> bytes:
    return bytes(wasmtime.wat2wasm(f'(module (func (export "f") (result i32) i32.const {number}))'))


def _component() -> bytes:
    core = _module()
    return b"\0asm\x0d\0\x01\0" + bytes([1, len(core)]) + core


def _job(wasm: bytes, kind: CodeKind = CodeKind.MODULE, path: str = "a.wasm") -> CompileJob:
    return CompileJob(wasm, kind, path, "some.plugin")


def _entry(folder: Path) -> Path:
    (entry,) = folder.glob("*.code")
    return entry


def _run(engine: WasmEngine, module: wasmtime.Module) -> Any:
    store = wasmtime.Store(engine.raw)
    store.set_epoch_deadline(1000)
    function = wasmtime.Instance(store, module, []).exports(store)["f"]
    assert isinstance(function, wasmtime.Func)
    return function(store)


@pytest.fixture
def engine() -> Iterator[WasmEngine]:
    """One engine a test."""
    with WasmEngine() as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the cache is to lie; not made yet."""
    return tmp_path / "cache" / "code"


def test_code_is_compiled_once_and_loaded_after(engine: WasmEngine, folder: Path) -> None:
    """The first store compiles, one over the same folder loads, and both give working code."""
    bus = EventBus()
    with bus.recording() as events:
        for _ in range(2):
            module = CodeStore(engine, folder, bus=bus).load_module(_module(), path="a.wasm", plugin="some.plugin")
            assert _run(engine, module) == 42
    compiled, loaded = events
    assert isinstance(compiled, CodeCompiled)
    assert (compiled.plugin, compiled.path, compiled.wasm_bytes) == ("some.plugin", "a.wasm", len(_module()))
    assert isinstance(loaded, CodeLoaded)
    assert (loaded.plugin, loaded.path) == ("some.plugin", "a.wasm")


def test_components_are_cached_too(engine: WasmEngine, folder: Path) -> None:
    """A component is stored and loaded as one."""
    stores = [CodeStore(engine, folder) for _ in range(2)]
    assert all(isinstance(store.load_component(_component(), path="c.wasm"), Component) for store in stores)
    assert [store.stats()[:3] for store in stores] == [(0, 0, 1), (0, 1, 0)]


def test_a_store_shares_what_it_has(engine: WasmEngine) -> None:
    """The same bytes give the same object, under any path; without a folder as well."""
    store = CodeStore(engine, None)
    first = store.load_module(_module(), path="a.wasm")
    assert store.load_module(_module(), path="b.wasm") is first
    assert store.stats() == (1, 0, 1, 0, 0, 0)


def test_a_store_keeps_few_that_nobody_holds(engine: WasmEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that somebody holds is shared for ever; the rest only while it is among the last used."""
    monkeypatch.setattr(cache, "KEPT", 1)
    store = CodeStore(engine, None)
    held = store.load_module(_module(1), path="1")
    store.load_module(_module(2), path="2")
    store.load_module(_module(3), path="3")
    assert store.load_module(_module(1), path="1") is held
    store.load_module(_module(2), path="2")
    assert store.stats().compiled == 4


def test_other_settings_do_not_share_entries(folder: Path) -> None:
    """An engine with other settings compiles for itself."""
    for settings in (EngineSettings(), EngineSettings(opt_level="none")):
        with WasmEngine(settings) as engine:
            store = CodeStore(engine, folder)
            assert _run(engine, store.load_module(_module(), path="a.wasm")) == 42
            assert store.stats().compiled == 1
    assert len(list(folder.glob("*.code"))) == 2


@pytest.mark.parametrize("wasm", [b"(module)", _component(), b""])
def test_what_is_no_module_starts_nothing(engine: WasmEngine, folder: Path, wasm: bytes) -> None:
    """The kind is checked before the cache is looked at or a process is started."""
    store = CodeStore(engine, folder)
    with pytest.raises(NotWasm):
        store.load_module(wasm, path="a.wasm")
    with pytest.raises(NotWasm):
        store.load_component(_module(), path="a.wasm")
    assert not folder.exists()


def test_one_bad_piece_does_not_stop_the_rest(engine: WasmEngine, folder: Path) -> None:
    """A batch gives each piece's code or error, in order; doubles are compiled once."""
    store = CodeStore(engine, folder, limits=CompileLimits(wasm_bytes=1000))
    results = store.load_many(
        [
            _job(_module(1)),
            _job(b"text"),
            _job(_component(), CodeKind.COMPONENT),
            _job(b"\0asm\1\0\0\0\x63"),
            _job(_module(1)),
            _job(_module(2) + b"\0" * 1000),
        ]
    )
    kinds = [wasmtime.Module, NotWasm, Component, WasmInvalid, wasmtime.Module, CompileLimit]
    assert [type(result) for result in results] == kinds
    assert results[0] is results[4]
    assert store.stats().compiled == 2
    assert store.load_many([]) == []


def test_a_damaged_entry_is_rebuilt(engine: WasmEngine, folder: Path) -> None:
    """It is rejected by name, compiled again, and good from then on."""
    CodeStore(engine, folder).load_module(_module(), path="a.wasm")
    data = bytearray(_entry(folder).read_bytes())
    data[-1] ^= 1
    _entry(folder).write_bytes(data)
    bus = EventBus()
    with bus.recording() as events:
        module = CodeStore(engine, folder, bus=bus).load_module(_module(), path="a.wasm", plugin="some.plugin")
        assert _run(engine, module) == 42
        CodeStore(engine, folder, bus=bus).load_module(_module(), path="a.wasm")
    assert [type(event) for event in events] == [CodeCacheRejected, CodeCompiled, CodeLoaded]
    rejected = events[0]
    assert isinstance(rejected, CodeCacheRejected)
    assert (rejected.plugin, rejected.path, rejected.reason) == ("some.plugin", "a.wasm", "authentication failed")


def test_code_that_the_engine_refuses_is_rebuilt(
    engine: WasmEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A genuine entry that wasmtime itself will not take, as after a move to another machine, is compiled again."""
    CodeStore(engine, folder).load_module(_module(), path="a.wasm")
    deserialise, refusals = CodeStore._deserialise, [wasmtime.WasmtimeError("made for another host")]

    def picky(self: CodeStore, *args: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return deserialise(self, *args)

    monkeypatch.setattr(CodeStore, "_deserialise", picky)
    store = CodeStore(engine, folder)
    assert _run(engine, store.load_module(_module(), path="a.wasm")) == 42
    assert store.stats()[:4] == (0, 0, 1, 1)


def test_code_that_the_engine_refuses_at_once_fails(engine: WasmEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh code that cannot be loaded is an error with its cause, not a loop."""

    def refuse(*_: Any) -> Any:
        raise wasmtime.WasmtimeError("no")

    monkeypatch.setattr(CodeStore, "_deserialise", refuse)
    with pytest.raises(CompileFailed) as caught:
        CodeStore(engine, None).load_module(_module(), path="a.wasm")
    assert isinstance(caught.value.__cause__, wasmtime.WasmtimeError)


def test_without_a_usable_folder_code_is_compiled(
    engine: WasmEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder that cannot be made costs the cache and one warning, nothing else."""
    (tmp_path / "file").write_bytes(b"")
    store = CodeStore(engine, tmp_path / "file" / "code")
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            assert _run(engine, store.load_module(_module(number), path="a.wasm")) == number
    assert store.stats() == (0, 0, 3, 0, 0, 0)
    assert len([record for record in caplog.records if "cannot be used" in record.message]) == 1


def test_clear_and_prune(engine: WasmEngine, folder: Path) -> None:
    """Clearing forgets memory and folder; pruning only the folder's surplus."""
    store = CodeStore(engine, folder)
    store.load_many([_job(_module(n)) for n in range(3)])
    one = store.stats().bytes // 3
    assert store.prune(2 * one) == 1
    assert store.stats().entries == 2
    assert store.clear() == 2
    assert store.load_module(_module(0), path="a.wasm")
    assert store.stats()[:3] == (0, 0, 4)


def test_threads_compile_the_same_code_once(engine: WasmEngine, folder: Path) -> None:
    """Four threads that ask at the same moment get one and the same module."""
    store, found = CodeStore(engine, folder), list[wasmtime.Module]()
    gate = threading.Barrier(4)

    def load() -> None:
        gate.wait()
        found.append(store.load_module(_module(), path="a.wasm"))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len({id(module) for module in found}) == 1
    assert store.stats().compiled == 1


LOAD = """
import sys, pathlib
from stellatune_plugins.engine.cache import CodeStore
from stellatune_plugins.engine.config import WasmEngine
with WasmEngine() as engine:
    store = CodeStore(engine, pathlib.Path(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    store.load_module(bytes.fromhex(sys.argv[2]), path="a.wasm")
    print(store.stats().compiled, store.stats().loaded, flush=True)
"""


def test_processes_compile_the_same_code_once(folder: Path) -> None:
    """Of two processes that start at the same moment over an empty folder, one compiles and the other loads."""
    command = [sys.executable, "-c", LOAD, str(folder), _module().hex()]
    loaders = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for _ in "ab"
    ]
    for loader in loaders:
        assert loader.stdout is not None
        assert loader.stdout.readline() == "ready\n"
    for loader in loaders:
        assert loader.stdin is not None
        loader.stdin.write("\n")
        loader.stdin.flush()
    answers = sorted(loader.communicate(timeout=60)[0] for loader in loaders)
    assert answers == ["0 1\n", "1 0\n"]


def test_a_hanging_process_does_not_block_the_rest(engine: WasmEngine, folder: Path) -> None:
    """Where somebody else keeps the claim for longer than compiling may take, the work is done here."""
    key = code_key(_module(), CodeKind.MODULE, engine.settings, this_target())
    claim = CompileClaims(CacheFolder(folder, cap_bytes=1)).take(key)
    assert claim is not None
    with claim:
        store = CodeStore(engine, folder, limits=CompileLimits(seconds=2))
        assert _run(engine, store.load_module(_module(), path="a.wasm")) == 42
        assert store.stats().compiled == 1


def test_loading_leaks_no_descriptors(engine: WasmEngine, folder: Path) -> None:
    """Five hundred loads and rejections leave as many open files as before."""
    store = CodeStore(engine, folder)
    store.load_module(_module(), path="a.wasm")
    before = sum(1 for _ in DESCRIPTORS.iterdir())
    for _ in range(500):
        CodeStore(engine, folder).load_module(_module(), path="a.wasm")
    reader = CacheFolder(folder, cap_bytes=1 << 20)
    _entry(folder).chmod(0o644)
    for _ in range(500):
        with pytest.raises(EntryRejected):
            reader.read(bytes.fromhex(_entry(folder).stem))
    assert sum(1 for _ in DESCRIPTORS.iterdir()) <= before
