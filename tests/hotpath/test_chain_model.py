"""Every frame goes through every stage once, in its place, whatever the stages do and whatever the user does to them.

Each frame of the stream carries its number, and each stage adds a power of four to it. So what comes out says of every
frame whether it is missing, where it came from, and how often each stage processed it. Fades take no time here, since a
mixed frame says nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from stellatune_plugins.engine.assemble import compile_trusted
from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.errors import CallDeadline, GuestTrap
from stellatune_plugins.hotpath import FusedChain, HotPathSettings, HotStage, Mapping
from stellatune_plugins.hotpath.layout import stage_channels
from stellatune_plugins.model import BufferLayout, CoreModuleSpec, Frames, HotPathRole, SampleFormat
from stellatune_plugins.observe import Event, EventBus
from stellatune_plugins.observe.events import StageSilenced

FRAMES = 4000
NUMBER = 256
"""A frame's number times this leaves room for four stages' counts of up to three."""
OUTPUT = 131_072
RING = 262_144

DEEDS = {
    "trap before": "(unreachable)",
    "trap half-way": None,
    "loop half-way": None,
    "error code": "(return (i32.const 4))",
    "wrong frames": "(i32.store (local.get $out) (i32.const 1))",
    "soft error": "(i32.store (local.get $flags) (i32.const 8))",
    "asks for a reset": "(i32.store (local.get $flags) (i32.const 4))",
    "not a number": "(f32.store (i32.const {output}) (f32.const nan))",
    "grows": "(drop (memory.grow (i32.const 1)))",
    "unknown flags": "(i32.store (local.get $flags) (i32.const 512))",
}
BEFORE = ("trap before",)
HALF_WAY = {"trap half-way": "(unreachable)", "loop half-way": "(loop (br 0))"}


def guest(rng: random.Random, index: int, channels: int, *, latency: int, output: int, spin: int, clears: bool) -> str:
    """A stage that adds its mark to each sample, late by its latency, and now and then does one of some deeds."""
    deeds = rng.sample(list(DEEDS), rng.randint(0, 4)) or ["asks for a reset"]
    when = f"(i32.eqz (i32.rem_u (i32.shr_u (global.get $n) (i32.const 8)) (i32.const {rng.choice([3, 10, 40])})))"
    which = f"(i32.rem_u (i32.shr_u (global.get $n) (i32.const 20)) (i32.const {len(deeds)}))"

    def at(deed: str, body: str) -> str:
        if deed not in deeds:
            return ""
        return f"(if (i32.eq (local.get $deed) (i32.const {deeds.index(deed)})) (then {body}))"

    late = turn = ""
    if latency:
        turn = f"(global.set $w (i32.rem_u (i32.add (global.get $w) (i32.const 1)) (i32.const {latency})))"
        late = f"""(local.set $q (i32.add (i32.const {RING})
            (i32.mul (i32.const 4) (i32.add (local.get $c) (i32.mul (global.get $w) (i32.const {channels}))))))
          (local.set $old (f32.load (local.get $q))) (f32.store (local.get $q) (local.get $x))
          (local.set $x (local.get $old))"""
    half = "".join(
        at(deed, f"(if (i32.ge_u (local.get $k) (i32.shr_u (local.get $frames) (i32.const 1))) (then {body}))")
        for deed, body in HALF_WAY.items()
    )
    first = "".join(at(deed, str(DEEDS[deed])) for deed in BEFORE)
    last = "".join(
        at(deed, body.replace("{output}", str(output)))
        for deed, body in DEEDS.items()
        if body is not None and deed not in BEFORE
    )
    clear = f"(memory.fill (i32.const {RING}) (i32.const 0) (i32.const 65536)) (global.set $w (i32.const 0))"
    return f"""(module (memory (export "memory") 6)
      (global $n (mut i32) (i32.const {rng.randrange(1 << 30)})) (global $w (mut i32) (i32.const 0))
      (func (export "init") (param i32 i32) (result i32) (i32.const 0))
      (func (export "reset") (param i32 i32) (result i32) {clear if clears else ""} (i32.const 0))
      (func (export "drop") (param i32))
      (func (export "st_hot_config") (param i32 i32 i32) (result i32) (i32.const 0))
      (func (export "st_hot_latency") (param i32) (result i32) (i32.const {latency}))
      (func (export "process") (param $ctx i32) (param $frames i32) (param $out i32) (param $flags i32) (result i32)
        (local $deed i32) (local $k i32) (local $c i32) (local $p i32) (local $q i32) (local $x f32) (local $old f32)
        (global.set $n (i32.add (i32.mul (global.get $n) (i32.const 1664525)) (i32.const 1013904223)))
        (local.set $deed (i32.const -1))
        (if {when} (then (local.set $deed {which})))
        (local.set $c (i32.const {spin}))
        (block $rested (loop $spin (br_if $rested (i32.eqz (local.get $c)))
          (local.set $c (i32.sub (local.get $c) (i32.const 1))) (br $spin)))
        {first}
        (i32.store (local.get $out) (local.get $frames))
        (block $end (loop $frame (br_if $end (i32.ge_u (local.get $k) (local.get $frames)))
          (local.set $c (i32.const 0))
          (block $wide (loop $channel (br_if $wide (i32.ge_u (local.get $c) (i32.const {channels})))
            (local.set $p (i32.mul (i32.const 4)
              (i32.add (local.get $c) (i32.mul (local.get $k) (i32.const {channels})))))
            (local.set $x (f32.load (local.get $p)))
            {late}
            (f32.store offset={output} (local.get $p) (f32.add (local.get $x) (f32.const {4**index})))
            (local.set $c (i32.add (local.get $c) (i32.const 1))) (br $channel)))
          {turn}
          {half}
          (local.set $k (i32.add (local.get $k) (i32.const 1))) (br $frame)))
        {last} (i32.const 0)))"""


def stage(engine: WasmEngine, rng: random.Random, index: int, channels: int, *, spin: int, clears: bool) -> HotStage:
    """A stage of any shape."""
    mappings = [Mapping.DIRECT, Mapping.MONO_AS_STEREO if channels == 1 else Mapping.PER_CHANNEL]
    if channels > 2:
        mappings.append(Mapping.FRONT_PAIR)
    mapping = rng.choice(mappings)
    width = stage_channels(mapping, channels)
    output = rng.choice([0, OUTPUT])
    text = guest(
        rng,
        index,
        width,
        latency=rng.choice([0, 0, 1, 5, 64, 300]),
        output=output,
        spin=spin if rng.random() < 0.5 else 0,
        clears=clears,
    )
    buffer = BufferLayout(
        0, output or None, Frames(rng.choice([7, 64, 256, 4096])), width, SampleFormat.F32LE, interleaved=True
    )
    spec = CoreModuleSpec(HotPathRole.DSP_TRANSFORM, "x", 1, "memory", "init", "process", "reset", "drop", buffer)
    return HotStage(f"stage{index}", "t", "m", compile_trusted(engine, text), spec, channels, "{}", mapping)


def meddle(rng: random.Random, chain: FusedChain) -> None:
    """Something that a user might do between two blocks."""
    k = rng.randrange(chain.stages)
    deed = rng.choice(["bypass", "engage", "replace", "configure"])
    with contextlib.suppress(CallDeadline, GuestTrap):
        if deed == "configure":
            chain.configure(k, "{}")
        else:
            getattr(chain, deed)(k)


def run(engine: WasmEngine, seed: int, *, spin: int = 0, deadline: float = 0.002) -> int:
    """One random chain through one stream; how many bypasses there were."""
    rng = random.Random(seed)
    channels = rng.choice([1, 2, 2, 3, 6])
    clears = rng.random() < 0.5
    stages = [stage(engine, rng, i, channels, spin=spin, clears=clears) for i in range(rng.randint(1, 4))]
    silent = 0

    def hear(event: Event) -> None:
        nonlocal silent
        if isinstance(event, StageSilenced):
            silent += event.frames

    bus = EventBus()
    bus.subscribe(hear)
    settings = HotPathSettings(
        fade_ms=0,
        block_frames=rng.choice([16, 100, 256, 1024]),
        batch_frames=rng.choice([50, 1000, 4096]),
        process_deadline=deadline,
        time_every=rng.choice([2, 3, 32]),
        strikes=rng.choice([1, 3]),
        replacement_pauses=tuple(rng.choice([0, 0.001, 0.01]) for _ in range(60)),
    )
    count = len(stages)
    inner = sorted(rng.sample(range(1, count), rng.randint(0, count - 1))) if rng.random() < 0.3 else []
    edges = [0, *inner, count]
    steady = rng.randint(1, 400) if rng.random() < 0.5 else None
    outs = []
    with FusedChain(engine, stages, sample_rate=48000, settings=settings, bus=bus) as chain:
        at = 0
        while at < FRAMES:
            frames = steady or rng.choice([0, 1, 5, 64, 256, 1000, 3000])
            numbers = np.arange(at + 1, at + frames + 1, dtype=np.float32) * NUMBER
            block = np.repeat(numbers[:, np.newaxis], channels, axis=1)
            for first, end in itertools.pairwise(edges):
                block = chain.process(block, first, end)
            outs.append(block.copy())
            at += frames
            if rng.random() < 0.15:
                meddle(rng, chain)
        latency = chain.latency()
        reports = chain.reports()
    check(np.concatenate(outs), latency, count, silent)
    assert [report.frames for report in reports] == [at] * count
    return sum(len(report.bypasses) for report in reports)


def check(out: np.ndarray[tuple[int, int], np.dtype[np.float32]], latency: int, stages: int, silent: int) -> None:
    """Every frame in its place, and through no stage twice; zeros only where silence was announced."""
    values = out.astype(np.int64)
    assert np.array_equal(out, values)
    numbers = values // NUMBER
    wanted = np.maximum(np.arange(len(out)) + 1 - latency, 0)[:, np.newaxis]
    holes = (numbers == 0) & (wanted != 0)
    assert not ((numbers != wanted) & ~holes).any()
    assert holes.any(axis=1).sum() <= silent
    for k in range(stages):
        assert ((values // 4**k) % 4).max() <= 1


@pytest.fixture(scope="module")
def engine() -> Iterator[WasmEngine]:
    """An engine whose epochs are short, so that deadlines fall everywhere."""
    with WasmEngine(tick_seconds=0.0005) as engine:
        yield engine


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_lost_or_done_twice(engine: WasmEngine, seed: int) -> None:
    """Ten chains a seed, with every kind of fault and control call."""
    for part in range(10):
        run(engine, 1000 * seed + part)


@pytest.mark.parametrize("seed", range(4))
def test_deadlines_may_fall_anywhere(engine: WasmEngine, seed: int) -> None:
    """Guests that are slow, and a deadline of two epochs: most calls are cut off, inside stages and between."""
    for part in range(5):
        run(engine, 1000 * seed + part, spin=3000, deadline=0)


@pytest.mark.stress
@pytest.mark.timeout(3600)
def test_nothing_is_lost_or_done_twice_at_length(engine: WasmEngine, stress_size: Callable[[int, int], int]) -> None:
    """Thousands of chains."""
    bypasses = sum(run(engine, 1_000_000 + k, spin=3000 * (k % 2)) for k in range(stress_size(20, 5000)))
    assert bypasses > 100
