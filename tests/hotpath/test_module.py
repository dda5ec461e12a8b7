"""A hot-path module that breaks the ABI is refused before it gets near the music, each breach by its own rule."""

from __future__ import annotations

from typing import Any

import pytest

from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.engine.core import CoreModule
from stellatune_plugins.engine.store import GuestStore, StoreLimits
from stellatune_plugins.errors import (
    AbiVersionMismatch,
    CallDeadline,
    GuestContract,
    GuestTrap,
    HotPathRejected,
    InstantiateFailed,
    StageFailed,
    StellatuneError,
)
from stellatune_plugins.hotpath import HotPathSettings
from stellatune_plugins.hotpath.module import HotInstance, check_spec
from stellatune_plugins.hotpath.stage import common_latency, longest_tail
from stellatune_plugins.model import HotPathRole, SampleFormat

GOOD = """(module (memory (export "memory") 2)
  (func (export "init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "process") (param i32 i32 i32 i32) (result i32) (i32.const 0))
  (func (export "reset") (param i32 i32) (result i32) (i32.const 0))
  (func (export "drop") (param i32)) EXTRA)"""
SETTINGS = HotPathSettings(
    init_deadline=0.05, instantiate_deadline=0.05, config_deadline=0.05, query_deadline=0.05, max_memory_bytes=1 << 24
)


def open_instance(engine: WasmEngine, module: CoreModule, spec: Any, channels: int = 2) -> HotInstance:
    """Check and initialise; the Store is closed when anything fails."""
    store = GuestStore(engine, StoreLimits(memory_bytes=SETTINGS.max_memory_bytes))
    try:
        regions = check_spec(spec, module, channels=channels, settings=SETTINGS)
        return HotInstance(store, module, spec, regions, sample_rate=48000, settings=SETTINGS)
    except StellatuneError:
        store.close()
        raise


DESCRIPTIONS: dict[str, tuple[dict[str, Any], type[HotPathRejected], str]] = {
    "version 0": ({"abi_version": 0}, AbiVersionMismatch, "abi-version"),
    "version 2": ({"abi_version": 2}, AbiVersionMismatch, "abi-version"),
    "a sink": ({"role": HotPathRole.OUTPUT_SINK}, HotPathRejected, "role"),
    "no such memory": ({"memory_export": "mem"}, HotPathRejected, "memory-export"),
    "a function as memory": ({"memory_export": "init"}, HotPathRejected, "memory-export"),
    "no such init": ({"init_export": "start"}, HotPathRejected, "export-missing"),
    "no such process": ({"process_export": ""}, HotPathRejected, "export-missing"),
    "no such reset": ({"reset_export": "again"}, HotPathRejected, "export-missing"),
    "no such drop": ({"drop_export": "end"}, HotPathRejected, "export-missing"),
    "init as process": ({"process_export": "init"}, HotPathRejected, "signature"),
    "memory as process": ({"process_export": "memory"}, HotPathRejected, "signature"),
    "drop as reset": ({"reset_export": "drop"}, HotPathRejected, "signature"),
    "integers": ({"sample_format": SampleFormat.I16LE}, HotPathRejected, "sample-format"),
    "planar": ({"interleaved": False}, HotPathRejected, "interleaved"),
    "other channels": ({"channels": 6}, HotPathRejected, "channels"),
    "no frames": ({"max_frames": 0}, HotPathRejected, "max-frames"),
    "too many frames": ({"max_frames": 1 << 20}, HotPathRejected, "max-frames"),
    "input misaligned": ({"in_offset": 2}, HotPathRejected, "alignment"),
    "output misaligned": ({"out_offset": 65537}, HotPathRejected, "alignment"),
    "input beyond the address space": ({"in_offset": 0xFFFF_FFFC}, HotPathRejected, "bounds"),
    "output beyond the address space": ({"out_offset": 0xFFFF_0000}, HotPathRejected, "bounds"),
    "input beyond the memory": ({"in_offset": 1 << 20}, HotPathRejected, "bounds"),
    "output half beyond the memory": ({"out_offset": 130_000, "max_frames": 512}, HotPathRejected, "bounds"),
    "overlap by a frame": ({"in_offset": 0, "out_offset": 32_760}, HotPathRejected, "overlap"),
    "overlap from below": ({"in_offset": 16, "out_offset": 0}, HotPathRejected, "overlap"),
}


@pytest.mark.parametrize("what", DESCRIPTIONS)
def test_a_description_that_lies_is_refused(engine: WasmEngine, guests: Any, what: str) -> None:
    """The error names the rule."""
    changes, error, rule = DESCRIPTIONS[what]
    module = guests.module(GOOD.replace("EXTRA", ""))
    with pytest.raises(error) as caught:
        open_instance(engine, module, guests.spec(**changes))
    assert caught.value.details["rule"] == rule


def func(name: str, signature: str, body: str = "(i32.const 0)") -> str:
    """An exported function."""
    return f'(func (export "{name}") {signature} {body})'


MODULES: dict[str, tuple[str, type[StellatuneError], str]] = {
    "foreign import": (
        GOOD.replace("EXTRA", "").replace("(module", '(module (import "env" "f" (func))'),
        HotPathRejected,
        "env.f",
    ),
    "imported memory": (
        '(module (import "env" "memory" (memory 1)) (export "memory" (memory 0))'
        + GOOD.replace("EXTRA", "")[len('(module (memory (export "memory") 2)') :],
        HotPathRejected,
        "env.memory",
    ),
    "wasi global": (
        GOOD.replace("EXTRA", "").replace("(module", '(module (import "wasi_snapshot_preview1" "g" (global i32))'),
        HotPathRejected,
        "wasi_snapshot_preview1.g",
    ),
    "start traps": (GOOD.replace("EXTRA", "(func $s (unreachable)) (start $s)"), GuestTrap, "unreachable"),
    "start hangs": (GOOD.replace("EXTRA", "(func $s (loop (br 0))) (start $s)"), CallDeadline, "deadline"),
    "memory is full": (GOOD.replace("EXTRA", "").replace(") 2)", ") 2 2)"), HotPathRejected, "cannot grow"),
    "memory above the limit": (GOOD.replace("EXTRA", "").replace(") 2)", ") 1000)"), InstantiateFailed, "limit"),
    "config of another shape": (
        GOOD.replace("EXTRA", func("st_hot_config", "(param i32) (result i32)")),
        HotPathRejected,
        "st_hot_config",
    ),
    "latency of another shape": (
        GOOD.replace("EXTRA", func("st_hot_latency", "(result i64)", "(i64.const 0)")),
        HotPathRejected,
        "st_hot_latency",
    ),
    "tail is no function": (
        GOOD.replace("EXTRA", '(global (export "st_hot_tail") i32 (i32.const 0))'),
        HotPathRejected,
        "st_hot_tail",
    ),
    "init traps": (
        GOOD.replace(
            '(func (export "init") (param i32 i32) (result i32) (i32.const 0))',
            func("init", "(param i32 i32) (result i32)", "(unreachable)"),
        ).replace("EXTRA", ""),
        GuestTrap,
        "unreachable",
    ),
    "init hangs": (
        GOOD.replace(
            '(func (export "init") (param i32 i32) (result i32) (i32.const 0))',
            func("init", "(param i32 i32) (result i32)", "(loop (br 0)) (i32.const 0)"),
        ).replace("EXTRA", ""),
        CallDeadline,
        "deadline",
    ),
    "init refuses": (
        GOOD.replace(
            '(func (export "init") (param i32 i32) (result i32) (i32.const 0))',
            func("init", "(param i32 i32) (result i32)", "(i32.const 1)"),
        ).replace("EXTRA", ""),
        StageFailed,
        "invalid-arg",
    ),
    "init recurses": (
        GOOD.replace(
            '(func (export "init") (param i32 i32) (result i32) (i32.const 0))',
            '(func $i (export "init") (param i32 i32) (result i32)'
            " (i32.add (call $i (local.get 0) (local.get 1)) (i32.const 1)))",
        ).replace("EXTRA", ""),
        GuestTrap,
        "stack",
    ),
}


@pytest.mark.parametrize("what", MODULES)
def test_a_module_that_breaks_the_rules_is_refused(engine: WasmEngine, guests: Any, what: str) -> None:
    """The error says which rule, or how it crashed."""
    text, error, words = MODULES[what]
    with pytest.raises(error, match=words.replace(".", r"\.")):
        open_instance(engine, guests.module(text), guests.spec())


def test_init_gets_the_arguments_of_the_abi(engine: WasmEngine, guests: Any) -> None:
    """44 bytes in the order that the ABI fixes, in memory that the module does not use."""
    check = " ".join(
        f"(if (i32.ne (i32.load offset={offset} (local.get 0)) (i32.const {value})) (then (return (i32.const 1))))"
        for offset, value in ((0, 1), (4, 1), (8, 48000), (12, 2 + (1 << 16)), (16, 1024), (20, 0), (24, 65536))
    )
    size = "(if (i32.ne (i32.load offset=28 (local.get 0)) (i32.const 8192)) (then (return (i32.const 1))))"
    place = "(if (i32.lt_u (local.get 0) (i32.const 131072)) (then (return (i32.const 2))))"
    text = GOOD.replace(
        '(func (export "init") (param i32 i32) (result i32) (i32.const 0))',
        func(
            "init",
            "(param i32 i32) (result i32)",
            f"{check} {size} {place} (i32.store (local.get 1) (i32.const 77)) (i32.const 0)",
        ),
    ).replace("EXTRA", "")
    instance = open_instance(engine, guests.module(text), guests.spec(out_offset=65536, max_frames=1024))
    assert instance.context == 77
    instance.instance.store.close()


def test_wasi_imports_are_answered_with_refusals(engine: WasmEngine, guests: Any) -> None:
    """A module that pulls in fd_write runs, and gets `nosys` for it."""
    text = (
        GOOD.replace(
            "(module",
            '(module (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))',
        )
        .replace(
            '(func (export "init") (param i32 i32) (result i32) (i32.const 0))',
            func(
                "init",
                "(param i32 i32) (result i32)",
                "(i32.store (local.get 1) (call $w (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))"
                " (i32.const 0)",
            ),
        )
        .replace("EXTRA", "")
    )
    instance = open_instance(engine, guests.module(text), guests.spec())
    assert instance.context == 52
    instance.instance.store.close()


def test_a_wasi_exit_traps(engine: WasmEngine, guests: Any) -> None:
    """proc_exit cannot return, so it ends the instance and not the host."""
    text = (
        GOOD.replace("(module", '(module (import "wasi_snapshot_preview1" "proc_exit" (func $x (param i32)))')
        .replace(
            '(func (export "init") (param i32 i32) (result i32) (i32.const 0))',
            func("init", "(param i32 i32) (result i32)", "(call $x (i32.const 0)) (i32.const 0)"),
        )
        .replace("EXTRA", "")
    )
    with pytest.raises(GuestTrap):
        open_instance(engine, guests.module(text), guests.spec())


@pytest.mark.parametrize("export", ["st_hot_latency", "st_hot_tail"])
@pytest.mark.parametrize("frames", [-2, -0x80000000, 0x7FFFFFFF])
def test_a_latency_or_tail_beyond_reason_is_a_lie(engine: WasmEngine, guests: Any, export: str, frames: int) -> None:
    """Years of latency are not believed."""
    text = GOOD.replace("EXTRA", func(export, "(param i32) (result i32)", f"(i32.const {frames})"))
    instance = open_instance(engine, guests.module(text), guests.spec())
    ask = common_latency if export == "st_hot_latency" else longest_tail
    with pytest.raises(GuestContract, match="not plausible"):
        ask([instance], 48000)
    instance.instance.store.close()
