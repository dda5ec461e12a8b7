"""Each shipped DSP's code, sandboxed, against the same C sources compiled natively (zig's clang, x86-64-v3).

The code alone, without chain or host: on both sides a loop of a few instructions, in wasm and in C, calls ``process``
on the same buffers for 0.4 ms at a time, so that the way in and out of Python, under 2 us, does not count. wasm has
vectors of 128 bits and no fused multiply-add; native code may use what v3 has, except that the multiply-add stays
unfused, so that both give the same bits.
"""

from __future__ import annotations

import ctypes
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.race import Call, race
from benchmarks.results import Row, Spread, Target
from benchmarks.workshop import PLUGINS, Workshop, paged, pointer
from stellatune_plugins.engine.assemble import compile_trusted
from stellatune_plugins.engine.core import CoreInstance

NAME = "kernels"
TITLE = "Sandboxed over native code"
WASM, NATIVE = "wasm", "native"
FRAMES = (512, 64, 4096)
_WORST, _MEAN = 1.4, 1.15
# Shorter than a scheduler's time slice, and hundreds of times longer than a call from Python.
_CALL_SECONDS = 0.0004

_WASM_LOOP = """(module (import "stage" "process" (func $process (param i32 i32 i32 i32) (result i32)))
  (func (export "run") (param $context i32) (param $frames i32) (param $out i32) (param $flags i32) (param $left i32)
    (result i32) (local $code i32)
    (loop $next
      (local.set $code (i32.or (local.get $code)
        (call $process (local.get $context) (local.get $frames) (local.get $out) (local.get $flags))))
      (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (local.get $code)))"""
_C_LOOP = """typedef int process_fn(void *, const float *, float *, unsigned);
int run(process_fn *process, void *handle, const float *in, float *out, unsigned frames, unsigned left) {
    int code = 0;
    while (left--) code |= process(handle, in, out, frames);
    return code;
}
"""


def measure(shop: Workshop) -> Iterator[Row]:
    """Each plugin, then all of them."""
    rows = []
    library = _native_loop()
    for plugin in PLUGINS:
        for frames in FRAMES[:1] if shop.quick else FRAMES:
            blocks = _enough(shop, plugin, frames)
            calls = {WASM: _wasm(shop, plugin, frames, blocks), NATIVE: _native(shop, library, plugin, frames, blocks)}
            result = race(calls, shop.seconds(2.5), least_rounds=15, per={WASM: blocks, NATIVE: blocks})
            wanted = frames == FRAMES[0]
            row = result.row(NAME, f"{plugin}, {frames} frames", WASM, NATIVE, most_ratio=_WORST if wanted else None)
            if wanted:
                rows.append(row)
            yield row
    yield _together(rows)


def _enough(shop: Workshop, plugin: str, frames: int) -> int:
    """How many blocks a call should do."""
    call = _wasm(shop, plugin, frames, 50)
    start = time.perf_counter()
    call()
    return max(1, int(50 * _CALL_SECONDS / (time.perf_counter() - start)))


def _wasm(shop: Workshop, plugin: str, frames: int, blocks: int) -> Call:
    block = shop.noise(frames)
    (instance,) = shop.instances([shop.stage(plugin)])
    instance.memory.array("<f4", instance.regions.input, block.size)[:] = block.ravel()
    process = instance.process_call()
    loop = CoreInstance(
        instance.instance.store,
        compile_trusted(shop.engine, _WASM_LOOP),
        {("stage", "process"): instance.instance.raw_export(instance.spec.process_export)},
    ).call("run")
    loop.args[2], loop.args[4], loop.args[6], loop.args[8] = frames, process.args[4], process.args[6], blocks
    ticks, context = shop.engine.ticks(60.0), instance.context

    def run() -> None:
        loop.args[0] = context
        loop(ticks)
        assert not loop.args[0] & 0xFFFF_FFFF

    return run


def _native(shop: Workshop, library: ctypes.CDLL, plugin: str, frames: int, blocks: int) -> Call:
    twin, block = shop.twin(plugin), paged(shop.noise(frames))
    result = paged(np.zeros_like(block))
    process = ctypes.cast(twin.process, ctypes.c_void_p)

    def run() -> None:
        assert not library.run(process, twin.handle, pointer(block), pointer(result), frames, blocks)

    run()
    assert result.any(), "the twin did nothing"
    return run


def _native_loop() -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "loop.c"), Path(folder, "loop.so")
        source.write_text(_C_LOOP, "utf-8")
        command = [sys.executable, "-m", "ziglang", "cc", "-O3", "-shared", "-fPIC", str(source), "-o", str(made)]
        subprocess.run(command, check=True)
        library = ctypes.CDLL(str(made))
    library.run.argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_uint32] * 2
    return library


def _together(rows: list[Row]) -> Row:
    def mean(values: list[float]) -> float:
        return math.exp(sum(map(math.log, values)) / len(values))

    def spread(of: Callable[[Row], Spread]) -> Spread:
        every = [of(row) for row in rows]
        return Spread(
            mean([each.median for each in every]),
            mean([each.p99 for each in every]),
            mean([each.least for each in every]),
            len(every),
        )

    ratio = spread(lambda row: row.ratio)
    return Row(
        subject=NAME,
        case="geometric mean",
        ours=WASM,
        baseline=NATIVE,
        measured=spread(lambda row: row.measured),
        compared=spread(lambda row: row.compared),
        ratio=ratio,
        target=Target(f"<= {_MEAN} of {NATIVE}", _MEAN, ratio.median),
    )
