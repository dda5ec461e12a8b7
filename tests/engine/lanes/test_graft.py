"""What gets lanes and what does not, and that nothing else about a component changes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from bulk_guests import WORLDS, BulkGuest, BulkGuests, Host, bulk_wasm

import stellatune_plugins
from stellatune_plugins.engine import ComponentInstance, GuestStore, Ok, WasmEngine, check_world
from stellatune_plugins.engine.assemble import assemble
from stellatune_plugins.engine.cache import CodeStore
from stellatune_plugins.engine.compiler import CompileLimits
from stellatune_plugins.engine.lanes import Graft, LayoutUnknown, graft_lanes, lanes_of
from stellatune_plugins.engine.lanes.adapter import AdapterText
from stellatune_plugins.engine.lanes.bulk import BULK
from stellatune_plugins.engine.lanes.survey import PREAMBLE, Survey
from stellatune_plugins.engine.lanes.taps import ExportTap, ImportTap
from stellatune_plugins.engine.lanes.writer import leb
from stellatune_plugins.engine.shape import component_shape
from stellatune_plugins.engine.world import contract_package
from stellatune_plugins.errors import WasmInvalid, WorldMismatch
from stellatune_plugins.observe import Event, EventBus
from stellatune_plugins.observe.events import CodeCompiled, CodeLanesRefused, CodeLoaded

DSP = "stellatune:plugin/dsp-plugin@0.1.0"
LANE = "lane-dsp-processor-process-interleaved-f32"


def grafted(wasm: bytes) -> Graft:
    """With lanes, which it must get."""
    graft = graft_lanes(wasm)
    assert graft is not None
    return graft


@pytest.fixture
def heard() -> list[Event]:
    """What a store of the test says."""
    return []


@pytest.fixture
def code(guest_engine: WasmEngine, tmp_path: Path, heard: list[Event]) -> CodeStore:
    """A store with a folder."""
    bus = EventBus()
    bus.subscribe(heard.append)
    return CodeStore(guest_engine, tmp_path / "code", bus=bus)


@pytest.mark.parametrize("interface", list(WORLDS))
def test_nothing_of_the_component_changes(bulk: BulkGuests, interface: str) -> None:
    """Its bytes come first, as they were; its shape is the same, and so is the world it is of."""
    wasm = bulk_wasm(interface)
    graft = grafted(wasm)
    assert graft.wasm.startswith(wasm)
    assert len(graft.wasm) - len(wasm) < 6000
    fast, slow = bulk.component(interface, lanes=True), bulk.component(interface, lanes=False)
    assert component_shape(fast) == component_shape(slow)
    for component in (fast, slow):
        check_world(component, f"stellatune:plugin/{WORLDS[interface][0]}@0.1.0")
        with pytest.raises(WorldMismatch):
            check_world(component, "stellatune:plugin/lyrics-plugin@0.1.0")


BUNDLED = sorted(Path(stellatune_plugins.__file__).parent.glob("bundled/*/wasm/*.wasm"))


@pytest.mark.parametrize(
    "path", [path for path in BUNDLED if path.read_bytes().startswith(PREAMBLE)], ids=lambda p: p.stem
)
def test_every_bundled_component_has_all_its_lanes(path: Path) -> None:
    """None of their bulk functions is refused; whoever has none imports and exports none."""
    wasm = path.read_bytes()
    graft = graft_lanes(wasm)
    if graft is None:
        assert not any(bulk.name.encode() in wasm for bulk in BULK)
    else:
        assert graft.refused == {}


def test_the_contracts_bulk_functions_are_all_there() -> None:
    """Every method of the contract with a plain ``list<u8>`` in it has a lane, and each has the contract's type."""
    package = contract_package()
    carrying = set()
    for interface, shape in package.interfaces.items():
        for name, kind in shape.functions.items():
            if "list<u8>" in str(kind).replace("option<list<u8>>", "").partition("extras")[0]:
                carrying.add((interface, name))
    assert carrying == {(bulk.interface, bulk.name) for bulk in BULK}
    for bulk in BULK:
        assert bulk.fits(package.interfaces[bulk.interface].functions[bulk.name])


@pytest.mark.parametrize("version", ["0.1.0", "0.1.7"])
def test_every_version_of_the_contract_gets_lanes(guest_engine: WasmEngine, code: CodeStore, version: str) -> None:
    """They are found by the plugin's own names for the interfaces."""
    wasm = bulk_wasm("decoder").replace(b"@0.1.0", f"@{version}".encode())
    component = code.load_component(wasm, path="a.wasm")
    assert {lane.interface.partition("@")[2] for lane in lanes_of(component)} == {version}
    host = Host()
    host.stream.data = b"\xff" * 8
    decoder = f"stellatune:plugin/decoder@{version}"
    with (
        GuestStore(guest_engine) as store,
        ComponentInstance(store, component, host.imports, label="v", deadline=5.0) as instance,
    ):
        session = instance.function("stellatune:plugin/decoder@0.1.0", "open")(host.stream, None).value
        instance.function(decoder, "[method]session.apply-config-update-json")(session, "s")
        read = instance.function("stellatune:plugin/decoder@0.1.0", "[method]session.read-pcm-f32")
        assert read(session, 8).value["interleaved-f32le"] == b"\xff" * 8


def test_a_store_gives_lanes_and_caches_them(
    guest_engine: WasmEngine, code: CodeStore, heard: list[Event], tmp_path: Path
) -> None:
    """Compiled once; another store finds the code in the folder, and the lanes with it."""
    wasm = bulk_wasm("dsp")
    assert len(lanes_of(code.load_component(wasm, path="a.wasm"))) == 3
    assert [type(event) for event in heard] == [CodeCompiled]
    bus = EventBus()
    later: list[Event] = []
    bus.subscribe(later.append)
    component = CodeStore(guest_engine, tmp_path / "code", bus=bus).load_component(wasm, path="a.wasm")
    assert [type(event) for event in later] == [CodeLoaded]
    assert len(lanes_of(component)) == 3
    with (
        GuestStore(guest_engine) as store,
        ComponentInstance(store, component, Host().imports, label="cached", deadline=5.0) as instance,
    ):
        guest = BulkGuest(instance, "dsp", Host())
        guest.play("i")
        assert guest.carry(b"\x01\x80") == Ok(b"\xfe\x7f")


def test_a_guest_with_start_code_has_all_its_lanes(guest_engine: WasmEngine, code: CodeStore) -> None:
    """Toolchains run it where the table of imports is filled, once it is; the lanes come after that."""
    component = code.load_component(bulk_wasm("decoder", "-DSTARTS"), path="a.wasm")
    assert len(lanes_of(component)) == 4
    host = Host()
    host.stream.data = b"\x80\x7f" * 8
    with (
        GuestStore(guest_engine) as store,
        ComponentInstance(store, component, host.imports, label="starts", deadline=5.0) as instance,
    ):
        guest = BulkGuest(instance, "decoder", host)
        assert guest.carry(2).value["interleaved-f32le"] == bytes([9, 40])
        guest.play("s")
        assert guest.carry(16).value["interleaved-f32le"] == b"\x80\x7f" * 8


def test_what_carries_no_bytes_gets_none(code: CodeStore, heard: list[Event]) -> None:
    """And that is no event."""
    core = assemble("(module)")
    component = code.load_component(b"\0asm\x0d\0\1\0" + bytes([1, len(core)]) + core, path="a.wasm")
    assert lanes_of(component) == ()
    assert [type(event) for event in heard] == [CodeCompiled]


PROCESSOR = """(component
  (type $e' (variant (case "invalid-arg" string) (case "not-found" string) (case "io" string) (case "timeout" string)
    (case "unsupported" string) (case "denied" string) (case "internal" string)))
  (core module $m (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
    (func (export "make") (result i32) (i32.const 1))
    (func (export "process") (param i32 CORE i32 i32) (result i32)
      (i32.store8 (i32.const 64) (i32.const 0))
      (i32.store (i32.const 68) (local.get 2)) (i32.store (i32.const 72) (local.get 3)) (i32.const 64)))
  (core instance $m (instantiate $m))
  (alias core export $m "memory" (core memory $memory))
  (alias core export $m "realloc" (core func $realloc))
  (type $r (resource (rep i32)))
  (core func $new (canon resource.new $r))
  (core module $n (import "" "new" (func $new (param i32) (result i32)))
    (func (export "make") (result i32) (call $new (i32.const 7))))
  (core instance $n (instantiate $n (with "" (instance (export "new" (func $new))))))
  (func $make (result (own $r)) (canon lift (core func $n "make")))
  (func $process (param "self" (borrow $r)) (param "channels" CHANNELS) (param "interleaved-f32le" (list u8))
    (result (result (list u8) (error $e')))
    (canon lift (core func $m "process") (memory $memory) (realloc $realloc) ENCODING))
  BEFORE
  (component $shim
    (import "r" (type $r (sub resource)))
    (type $e'' (variant (case "invalid-arg" string) (case "not-found" string) (case "io" string) (case "timeout" string)
      (case "unsupported" string) (case "denied" string) (case "internal" string)))
    (import "e" (type $e (eq $e'')))
    (import "make" (func $make (result (own $r))))
    (import "process" (func $process (param "self" (borrow $r)) (param "channels" CHANNELS)
      (param "interleaved-f32le" (list u8)) (result (result (list u8) (error $e)))))
    (export $r2 "processor" (type $r))
    (export $e2 "plugin-error" (type $e))
    (export "make" (func $make) (func (result (own $r2))))
    (export "[method]processor.process-interleaved-f32" (func $process) (func (param "self" (borrow $r2))
      (param "channels" CHANNELS) (param "interleaved-f32le" (list u8)) (result (result (list u8) (error $e2))))))
  (instance $dsp (instantiate $shim
    (with "r" (type $r)) (with "e" (type $e')) (with "make" (func $make)) (with "process" (func PASSED))))
  (export "stellatune:plugin/dsp@0.1.0" (instance $dsp))
  ROOT)"""


def processor(**holes: str) -> bytes:
    """A component with a bulk function that gives back what it gets; the holes in its text may be filled otherwise."""
    text = PROCESSOR
    usual = {"core": "i32", "channels": "u16", "before": "", "encoding": "", "passed": "$process", "root": ""}
    for name, filling in (usual | holes).items():
        text = text.replace(name.upper(), filling)
    return assemble(text)


def echo(engine: WasmEngine, component: Any, data: bytes) -> Any:
    """What its bulk function makes of bytes."""
    dsp = "stellatune:plugin/dsp@0.1.0"
    with (
        GuestStore(engine) as store,
        ComponentInstance(store, component, Host().imports, label="echo", deadline=5.0) as instance,
    ):
        made = instance.function(dsp, "make")()
        return instance.function(dsp, "[method]processor.process-interleaved-f32")(made, 2, data)


def test_the_hand_made_component_gets_lanes(guest_engine: WasmEngine, code: CodeStore, heard: list[Event]) -> None:
    """As it stands; the tests below each spoil one thing."""
    component = code.load_component(processor(), path="a.wasm")
    assert [lane.bulk.lane for lane in lanes_of(component)] == [LANE]
    assert [type(event) for event in heard] == [CodeCompiled]
    assert echo(guest_engine, component, b"\x80\x7f") == Ok(b"\x80\x7f")


SPOILT = {
    "another type": (processor(channels="u32"), "not of the contract's type"),
    "another core type": (processor(core="i64", channels="u64"), "type mismatch|incompatible"),
    "a name taken": (
        processor(
            before='(func $plain (result u32) (canon lift (core func $m "make")))',
            root=f'(export "{LANE}" (func $plain))',
        ),
        "conflicts|already",
    ),
    "texts of another kind": (processor(encoding="string-encoding=utf16"), "not UTF-8"),
    "a function passed on": (
        processor(before='(instance $b (export "p" (func $process))) (alias export $b "p" (func $q))', passed="$q"),
        "no lifted core function",
    ),
}


@pytest.mark.parametrize(("wasm", "reason"), SPOILT.values(), ids=list(SPOILT))
def test_a_component_that_lanes_do_not_fit_goes_without(
    guest_engine: WasmEngine, code: CodeStore, heard: list[Event], wasm: bytes, reason: str
) -> None:
    """It works by ``list<u8>``, somebody is told why, and it is not tried again."""
    for _ in range(2):
        component = code.load_component(wasm, path="a.wasm", plugin="some.plugin")
        assert lanes_of(component) == ()
        assert echo(guest_engine, component, b"\x80\x7f") == Ok(b"\x80\x7f")
    refused = [event for event in heard if isinstance(event, CodeLanesRefused)]
    assert [(event.plugin, event.path) for event in refused] == [("some.plugin", "a.wasm")] * 2
    assert re.search(reason, refused[0].reason), refused[0].reason
    assert refused[0].reason == refused[1].reason
    assert sum(isinstance(event, CodeCompiled) for event in heard) <= 2


def test_an_invalid_component_is_reported_as_it_is(code: CodeStore) -> None:
    """Not with what lanes would have made of it."""
    wasm = processor() + b"\x0b\x07\x01\x00\x01x\x01\x63\x00"  # exports function 99 as x
    with pytest.raises(WasmInvalid) as caught:
        code.load_component(wasm, path="a.wasm")
    assert "99" in caught.value.message


def test_shipped_lanes_are_none_of_ours(code: CodeStore, heard: list[Event]) -> None:
    """A plugin that ships a graft has root functions that no world has; it is neither believed nor served."""
    shipped = grafted(bulk_wasm("decoder")).wasm
    component = code.load_component(shipped, path="a.wasm")
    assert lanes_of(component) == ()
    assert any(isinstance(event, CodeLanesRefused) for event in heard)
    assert "lane-sidecar-channel-read" in component_shape(component).imports[""].functions
    with pytest.raises(WorldMismatch, match="at its root"):
        check_world(component, "stellatune:plugin/decoder-plugin@0.1.0")


def test_a_component_that_lanes_would_make_too_large_goes_without(guest_engine: WasmEngine, bulk: BulkGuests) -> None:
    """The limit is for what the plugin ships."""
    wasm = bulk_wasm("dsp")
    store = CodeStore(guest_engine, None, limits=CompileLimits(wasm_bytes=len(wasm)))
    assert lanes_of(store.load_component(wasm, path="a.wasm")) == ()


@pytest.mark.parametrize(
    ("wasm", "reason"),
    [
        (b"", "longer than the whole"),
        (b"\0asm\1\0\0\0", "unknown form"),
        (b"\0asm\x0d\0\1\0\x63\x00", "section of kind 99"),
        (b"\0asm\x0d\0\1\0\x07\x7f", "longer than the whole"),
        (b"\0asm\x0d\0\1\0\x07\xff\xff\xff\xff\xff\x01", "too long"),
        (b"\0asm\x0d\0\1\0\x07\xff\xff\xff\xff\x7f", "too large"),
        (b"\0asm\x0d\0\1\0\x07\x02\xff\x7f", "more items than it has bytes"),
        (b"\0asm\x0d\0\1\0\x0a\x05\x01\x00\x01\xff\x01", "not UTF-8"),
        (b"\0asm\x0d\0\1\0\x0a\x06\x01\x00\x01a\x02\x00", "value"),
        (b"\0asm\x0d\0\1\0\x08\x02\x01\x0d", "built-in 0x0d"),
        (b"\0asm\x0d\0\1\0\x08\x07\x01\x00\x00\x00\x01\x06\x00", "option 0x06"),
        (b"\0asm\x0d\0\1\0\x0b\x08\x01\x00\x01a\x01\x00\x00\x00", "left over"),
    ],
)
def test_an_unknown_layout_is_refused_by_name(wasm: bytes, reason: str) -> None:
    """And by nothing but ``LayoutUnknown``."""
    with pytest.raises(LayoutUnknown, match=reason):
        graft_lanes(wasm)


def section(kind: int, body: bytes) -> bytes:
    """With its head."""
    return bytes([kind]) + leb(len(body)) + body


MANY = 1_000_000
ENDLESS = {
    "sections": b"\0\0" * MANY,
    "types": section(7, leb(MANY) + b"\x7f" * MANY),
    "aliases": section(6, leb(MANY) + b"\x01\x00\x00\x00" * MANY),
    "items of an instance": section(2, b"\x01\x01" + leb(MANY) + b"\x00\x00\x00" * MANY),
    "arguments": section(5, b"\x01\x00\x00" + leb(MANY) + b"\x00\x01\x00" * MANY),
    "options": section(8, b"\x01\x01\x00\x00" + leb(MANY) + b"\x00" * MANY),
}


@pytest.mark.parametrize("body", ENDLESS.values(), ids=list(ENDLESS))
def test_a_component_without_end_is_not_read_to_its_end(body: bytes) -> None:
    """A hundred thousand items are enough for everybody; reading more would cost seconds."""
    with pytest.raises(LayoutUnknown, match="more than 100000 items"):
        Survey(b"\0asm\x0d\0\1\0" + body)


def test_the_adapter_is_valid_by_itself() -> None:
    """For every function at once, over two memories and three allocators."""
    exports = [
        ExportTap(bulk, "", 0, 0, index % 2, index % 3, index % 2 or None) for index, bulk in enumerate(BULK[:4])
    ]
    imports = [ImportTap(bulk, "", 0, 0, 1, 0, index) for index, bulk in enumerate(BULK[4:])]
    assert assemble(str(AdapterText(exports, imports))).startswith(b"\0asm")
