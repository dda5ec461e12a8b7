"""Thousands of chains that crash, recover and end leave nothing behind."""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import psutil
import pytest

from stellatune_plugins.engine.assemble import compile_trusted
from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.hotpath import FusedChain, HotPathSettings, HotStage
from stellatune_plugins.model import BufferLayout, CoreModuleSpec, Frames, HotPathRole, SampleFormat

FLAKY = """(module (memory (export "memory") 2) (global $n (mut i32) (i32.const 0))
  (func (export "init") (param i32 i32) (result i32) (i32.const 0))
  (func (export "process") (param i32 i32 i32 i32) (result i32)
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (if (i32.eq (global.get $n) (i32.const 3)) (then (unreachable)))
    (i32.store (local.get 2) (local.get 1)) (i32.const 0)))"""
SPEC = CoreModuleSpec(
    HotPathRole.DSP_TRANSFORM,
    "x.wasm",
    1,
    "memory",
    "init",
    "process",
    None,
    None,
    BufferLayout(0, None, Frames(512), 2, SampleFormat.F32LE, interleaved=True),
)
BLOCK = 256


@pytest.mark.stress
@pytest.mark.timeout(3600)
def test_crashed_chains_leave_nothing(stress_size: Callable[[int, int], int]) -> None:
    """Each cycle is a chain whose stage traps twice and is replaced twice; memory and descriptors stay flat."""
    cycles = stress_size(500, 10_000)
    block = np.full((20 * BLOCK, 2), 0.25, np.float32)
    process = psutil.Process()
    with WasmEngine() as engine:
        stage = HotStage("test.flaky", "flaky", "main", compile_trusted(engine, FLAKY), SPEC, 2)
        settings = HotPathSettings(block_frames=BLOCK, replacement_pauses=(0.0, 0.0))

        def cycle() -> None:
            with FusedChain(engine, [stage, stage], sample_rate=48000, settings=settings) as chain:
                out = chain.process(block)
                assert len(out) == len(block)
                assert [len(report.bypasses) for report in chain.reports()] == [3, 3]

        for _ in range(100):  # allocators, caches and the ticker settle
            cycle()
        gc.collect()
        before, descriptors = process.memory_info().rss, process.num_fds()
        for _ in range(cycles):
            cycle()
        gc.collect()
        grown = process.memory_info().rss - before
        assert process.num_fds() == descriptors
    assert grown < 8 * 1024 * 1024, f"{grown} bytes more after {cycles} cycles"
