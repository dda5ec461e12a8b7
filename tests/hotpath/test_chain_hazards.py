"""What must not happen to a fused chain, each by its name."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.errors import ConfigRejected, HotPathRejected, InstantiateFailed, StoreMisuse
from stellatune_plugins.hotpath import FusedChain, HotPathSettings, HotStage, Mapping
from stellatune_plugins.model import Block

RATE = 48000


def chain(engine: WasmEngine, *stages: HotStage, **options: Any) -> FusedChain:
    """A chain at 48 kHz in small blocks."""
    settings = HotPathSettings(**{"block_frames": 256, **options})
    return FusedChain(engine, stages, sample_rate=RATE, settings=settings)


def test_many_resets_do_not_recurse(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """A reset asked for in each of thousands of blocks, while another stage waits to come back."""
    nervous = guests.plain("(i32.store (local.get $flags) (i32.const 4))", max_frames=8)
    crashed = guests.plain("(unreachable)")
    x = noise(16_384)
    with chain(engine, crashed, nervous, replacement_pauses=(100.0,)) as fused:
        fused.process(x)
        assert fused.reports()[1].frames == len(x)


def test_a_second_thread_is_refused(engine: WasmEngine, guests: Any) -> None:
    """While one thread processes, another gets an error from every method, and nothing crashes."""
    x = np.full((4096, 2), 0.5, np.float32)
    fused = chain(engine, *[guests.scale(0.5)] * 8)
    refused: list[str] = []
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            for deed in (fused.close, lambda: fused.process(x), lambda: fused.bypass(0), fused.reset):
                try:
                    deed()
                except StoreMisuse as error:
                    refused.append(error.message)

    thread = threading.Thread(target=disturb)
    thread.start()

    def insist() -> None:
        for _ in range(100_000):
            fused.process(x)

    try:
        with pytest.raises(StoreMisuse):
            insist()
    finally:
        stop.set()
        thread.join()
        fused.close()
    assert all("chain" in message for message in refused)


@pytest.mark.parametrize("frames", [64, 4096])
def test_an_interrupt_leaves_the_chain_usable(engine: WasmEngine, guests: Any, frames: int) -> None:
    """Ctrl-C at hundreds of moments: the chain is never left locked, and no stage is blamed for it."""
    x = np.full((frames, 2), 0.5, np.float32)
    interrupted = 0
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with chain(engine, *[guests.scale(0.5)] * 4) as fused:
            deadline = time.monotonic() + 1.5
            while time.monotonic() < deadline:
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0005 + (interrupted % 50) * 1e-5)
                    while True:
                        fused.process(x)
                except KeyboardInterrupt:
                    interrupted += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert np.allclose(fused.process(x), 0.03125)
            assert not any(report.bypasses for report in fused.reports())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 100


def test_after_close_every_method_says_so(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """No crash, no IndexError."""
    fused = chain(engine, guests.scale(0.5), guests.delay(10))
    fused.process(noise(100))
    fused.close()
    deeds: list[Callable[[], object]] = [
        lambda: fused.process(noise(100)),
        lambda: fused.process(noise(100), 0, 1),
        lambda: fused.bypass(0),
        lambda: fused.engage(0),
        lambda: fused.replace(0),
        lambda: fused.configure(0, "{}"),
        fused.reset,
    ]
    for deed in deeds:
        with pytest.raises(StoreMisuse, match="closed"):
            deed()
    assert [report.frames for report in fused.reports()] == [100, 100]


def test_too_many_instances_are_refused_by_name(engine: WasmEngine, guests: Any) -> None:
    """A conductor may import a hundred memories; the stage that is too many is named."""
    wide = [guests.scale(0.5, channels=8, width=1, mapping=Mapping.PER_CHANNEL) for _ in range(13)]
    with pytest.raises(HotPathRejected) as caught:
        chain(engine, *wide)
    assert caught.value.details == {"rule": "memories", "stage": 12}
    assert caught.value.plugin == "test.guest"


def test_latency_that_takes_too_much_memory_is_refused(engine: WasmEngine, guests: Any) -> None:
    """Ten seconds in eight channels, ten times over."""
    claim = f'(func (export "st_hot_latency") (param i32) (result i32) (i32.const {10 * RATE}))'
    with pytest.raises(HotPathRejected) as caught:
        chain(engine, *[guests.plain(extra=claim, channels=8, max_frames=512) for _ in range(12)])
    assert caught.value.details["rule"] == "latency"


def test_a_guest_has_one_memory(engine: WasmEngine, guests: Any) -> None:
    """The limit counts a memory each, so a second one is refused."""
    text = "(memory 1)"
    with pytest.raises(InstantiateFailed):
        chain(engine, guests.plain(extra=text))


def test_a_bypassed_plugin_does_not_eat_the_others_time(engine: WasmEngine, guests: Any) -> None:
    """A claim of ten seconds of latency and tiny blocks cost nobody a deadline."""
    claim = f'(func (export "st_hot_latency") (param i32) (result i32) (i32.const {10 * RATE}))'
    evil = guests.plain(extra=claim, max_frames=16)
    x = np.zeros((16_384, 2), np.float32)
    with chain(engine, guests.scale(0.5), evil, guests.scale(0.5), process_deadline=0.25) as fused:
        fused.bypass(1)
        for _ in range(10):
            fused.process(x)
        assert not any(report.bypasses for report in fused.reports())


def test_a_held_out_stage_stays_out(engine: WasmEngine, guests: Any) -> None:
    """Neither a new configuration nor a replacement brings it back; engaging does, renewed."""
    x = np.ones((2000, 2), np.float32)
    with chain(engine, guests.scale(0.25)) as fused:
        fused.bypass(0)
        fused.process(x)
        fused.configure(0, "{}")
        fused.replace(0)
        assert (fused.process(x) == 1).all()
        fused.engage(0)
        fused.process(x)
        assert (fused.process(x) == 0.25).all()


def test_refused_large_configurations_harm_nobody(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """Fifty times a quarter of a megabyte: refused each time, room is kept, and the stage lives on."""
    refuse = '(func (export "st_hot_config") (param i32 i32 i32) (result i32) (i32.gt_u (local.get 2) (i32.const 9)))'
    with chain(engine, guests.plain(extra=refuse), max_memory_bytes=4 << 20, max_bus_bytes=4 << 20) as fused:
        for _ in range(50):
            with pytest.raises(ConfigRejected):
                fused.configure(0, " " * 250_000)
        fused.process(noise(1000))
        assert not fused.reports()[0].bypasses


def test_two_large_samples_do_not_make_infinity(engine: WasmEngine, guests: Any) -> None:
    """A mono stream through a stereo stage at the edge of float32."""
    x = np.full((100, 1), 3e38, np.float32)
    with chain(engine, guests.plain(channels=1, mapping=Mapping.MONO_AS_STEREO)) as fused:
        assert np.array_equal(fused.process(x), x)


@pytest.mark.parametrize("cuts", [(0, 2), (0, 1, 2), (0, 1)])
def test_groups_are_fused_and_timed_each(engine: WasmEngine, guests: Any, cuts: tuple[int, ...]) -> None:
    """With a host-called stage between, every stage's time is known."""
    x = np.full((512, 2), 0.5, np.float32)
    with chain(engine, guests.scale(0.5), guests.scale(0.5)) as fused:
        for _ in range(50):
            for first, end in itertools.pairwise(cuts):
                fused.process(x, first, end)
        reports = fused.reports()[: cuts[-1]]
    assert all(report.seconds > 0 and report.frames == 50 * 512 for report in reports)


def test_any_memory_layout_is_taken(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """Fortran order, strides, read-only memory, no frames at all: the same samples, in C order."""
    x = noise(3000)
    frozen = x.copy()
    frozen.flags.writeable = False
    wide = np.zeros((6000, 4), np.float32)
    wide[::2, ::2] = x
    with chain(engine, guests.scale(0.5), batch_frames=1000) as fused:
        for block in (np.asfortranarray(x), frozen, wide[::2, ::2]):
            out = fused.process(block)
            assert np.array_equal(out, x * np.float32(0.5))
            assert out.flags.c_contiguous
        assert fused.process(x[:0]).shape == (0, 2)
