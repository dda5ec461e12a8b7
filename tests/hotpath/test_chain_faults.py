"""A stage that crashes, hangs or lies is taken out; the block goes on behind it, and nothing is lost or done twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.errors import GuestTrap
from stellatune_plugins.hotpath import FusedChain, HotPathSettings, HotStage, Mapping
from stellatune_plugins.model import Block
from stellatune_plugins.observe import EventBus

RATE = 48000
BLOCK = 256
FADE = 240


def chain(engine: WasmEngine, *stages: HotStage, bus: EventBus | None = None, **options: Any) -> FusedChain:
    """A chain of small blocks with a short deadline."""
    limits = HotPathSettings(**{"block_frames": BLOCK, "process_deadline": 0.03, **options})
    return FusedChain(engine, stages, sample_rate=RATE, settings=limits, bus=bus)


TRIGGER = -0.9


def at_trigger(what: str) -> str:
    """Do something in the block whose first sample is the trigger, even after two stages halved it."""
    return f"(if (f32.lt (f32.load (i32.const 0)) (f32.const -0.2)) (then {what}))"


def when(n: int, what: str) -> str:
    """Do something in the n-th call of process."""
    return f"(if (i32.eq (global.get $n) (i32.const {n})) (then {what}))"


CRASHES = {
    "unreachable": ("(unreachable)", "guest-trap"),
    "out of bounds": ("(drop (i32.load (i32.const 0x7fffffff)))", "guest-trap"),
    "division by zero": ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "guest-trap"),
    "endless loop": ("(loop (br 0))", "call-deadline"),
    "too few frames": ("(i32.store (local.get $out) (i32.const 3))", "guest-contract"),
    "too many frames": ("(i32.store (local.get $out) (i32.const 0x7fffffff))", "guest-contract"),
    "no frames": ("(i32.store (local.get $out) (i32.const 0))", "guest-contract"),
    "unknown flags": ("(i32.store (local.get $flags) (i32.const 256))", "guest-contract"),
    "memory growth": ("(drop (memory.grow (i32.const 1)))", "guest-contract"),
}


@pytest.mark.parametrize("what", CRASHES)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_music_goes_on(engine: WasmEngine, guests: Any, noise: Callable[..., Block], what: str, place: int) -> None:
    """Wherever the bad stage stands, the others process every frame once, and the report names the stage."""
    code, expected = CRASHES[what]
    stages = [guests.scale(0.5), guests.scale(0.5)]
    stages.insert(place, guests.plain(at_trigger(code)))
    x = noise(20 * BLOCK)
    x[2 * BLOCK, 0] = TRIGGER
    with chain(engine, *stages) as fused:
        y = fused.process(x)
        (bypass,) = fused.reports()[place].bypasses
        others = [report for index, report in enumerate(fused.reports()) if index != place]
    assert bypass.code == expected
    assert BLOCK < bypass.at_frame <= 2 * BLOCK
    assert bypass.until_frame is not None
    assert FADE <= bypass.until_frame - bypass.at_frame <= FADE + BLOCK
    assert not any(report.bypasses for report in others)
    settled = np.r_[0 : 2 * BLOCK, 3 * BLOCK + 2 * FADE : len(x)]
    assert np.array_equal(y[settled], x[settled] * np.float32(0.25))


def test_a_crash_does_not_click(engine: WasmEngine, guests: Any) -> None:
    """On a constant signal the break is ramped, both on the way out and on the way back."""
    x = np.ones((20 * BLOCK, 2), np.float32)
    with chain(engine, guests.delay(1, factor=0.25, crash_at=5)) as fused:
        y = fused.process(x)
    steps = np.abs(np.diff(y[10:], axis=0)).max()
    assert steps <= 0.75 / FADE + 1e-6


def test_a_late_stage_that_crashes_stays_aligned(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """While it is out, the music is as late as before."""
    x = noise(40 * BLOCK)
    with chain(engine, guests.delay(100, crash_at=4), replacement_pauses=(0.05, 100.0)) as fused:
        y = fused.process(x)
        bypass, again, *_ = fused.reports()[0].bypasses
    assert bypass.until_frame is not None
    out = slice(bypass.at_frame + FADE, bypass.until_frame)
    late = np.concatenate([np.zeros((100, 2), np.float32), x])[: len(x)]
    assert out.stop - out.start == RATE * 0.05
    assert np.array_equal(y[out], late[out])
    back = bypass.until_frame + 100 + FADE
    assert np.array_equal(y[back : again.at_frame], late[back : again.at_frame])


def test_chances_run_out(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """A stage that always crashes gets as many fresh instances as there are pauses, and then no more."""
    x = noise(100 * BLOCK)
    with chain(engine, guests.plain("(unreachable)"), replacement_pauses=(0.0, 0.01)) as fused:
        fused.process(x)
        bypasses = fused.reports()[0].bypasses
    assert len(bypasses) == 3
    assert bypasses[-1].until_frame is None


def test_nan_becomes_silence(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """The block is silent, counted and blamed; the next one is heard."""
    bad = guests.plain(when(2, "(f32.store offset=40 (i32.const 0) (f32.const nan))"))
    x = noise(4 * BLOCK)
    bus = EventBus()
    with bus.recording() as events, chain(engine, guests.scale(0.5), bad, bus=bus) as fused:
        y = fused.process(x)
        report = fused.reports()[1]
    assert not y[BLOCK : 2 * BLOCK].any()
    assert np.array_equal(y[2 * BLOCK :], x[2 * BLOCK :] * np.float32(0.5))
    assert report.silenced_blocks == 1
    assert [event.name for event in events] == ["stage.silenced"]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "nan:0x1"])
@pytest.mark.parametrize("sample", [0, 1, 31, 32, 33, 126, 127, 128, 511, 512, 513])
def test_every_sample_is_looked_at(
    engine: WasmEngine, guests: Any, noise: Callable[..., Block], value: str, sample: int
) -> None:
    """NaN of any kind and infinity are found at every place of an odd block."""
    frames = 257
    stage = guests.plain(f"(f32.store (i32.const {4 * sample}) (f32.const {value}))")
    with chain(engine, stage, block_frames=frames) as fused:
        assert not fused.process(noise(frames)).any()


def test_the_largest_finite_sample_passes(engine: WasmEngine, guests: Any) -> None:
    """Loud is not broken."""
    x = np.full((100, 2), np.finfo(np.float32).max, np.float32)
    with chain(engine, guests.plain()) as fused:
        assert np.array_equal(fused.process(x), x)


def test_nan_again_and_again_is_a_crash(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """After three silent blocks in a row the stage is bypassed, so that the music is heard again."""
    x = noise(30 * BLOCK)
    with chain(engine, guests.plain("(f32.store (i32.const 0) (f32.const inf))"), replacement_pauses=()) as fused:
        y = fused.process(x)
        report = fused.reports()[0]
    assert report.silenced_blocks == 3
    assert report.bypasses[0].code == "guest-contract"
    after = 3 * BLOCK + FADE
    assert np.array_equal(y[after:], x[after:])


def test_bad_input_is_nobodys_fault(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """NaN that the host itself put in is cleaned, and no stage is blamed."""
    x = noise(2 * BLOCK)
    x[10, 0] = np.nan
    with chain(engine, guests.scale(0.5), guests.scale(0.5)) as fused:
        y = fused.process(x)
        assert all(not r.bypasses and not r.silenced_blocks for r in fused.reports())
    assert y[10, 0] == 0
    assert np.isfinite(y).all()


def test_an_error_code_costs_a_block_of_effect(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """A living stage that answers an error is skipped for that block only."""
    x = noise(5 * BLOCK)
    with chain(engine, guests.plain(when(2, "(return (i32.const 4))"))) as fused:
        assert np.array_equal(fused.process(x), x)
        assert not fused.reports()[0].bypasses


@pytest.mark.parametrize("reply", ["(return (i32.const 5))", "(i32.store (local.get $flags) (i32.const 8))"])
def test_errors_in_a_row_are_a_crash(engine: WasmEngine, guests: Any, noise: Callable[..., Block], reply: str) -> None:
    """Three error codes or soft errors in a row take the stage out."""
    with chain(engine, guests.plain(reply), replacement_pauses=()) as fused:
        fused.process(noise(10 * BLOCK))
        (bypass,) = fused.reports()[0].bypasses
    assert bypass.code == "stage-failed"
    assert BLOCK < bypass.at_frame <= 2 * BLOCK


def test_a_reset_is_done_when_asked_for(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """NEED_RESET: the block counts, and reset runs before the next."""
    extra = """(global $resets (mut i32) (i32.const 0))"""
    body = when(2, "(i32.store (local.get $flags) (i32.const 4))")
    show = "(f32.store (i32.const 0) (f32.convert_i32_u (global.get $resets)))"
    module = f"""(module (memory (export "memory") 1) (global $n (mut i32) (i32.const 0)) {extra}
      (func (export "init") (param i32 i32) (result i32) (i32.const 0))
      (func (export "process") (param $ctx i32) (param $frames i32) (param $out i32) (param $flags i32) (result i32)
        (global.set $n (i32.add (global.get $n) (i32.const 1))) (i32.store (local.get $out) (local.get $frames))
        {body} {show} (i32.const 0))
      (func (export "reset") (param i32 i32) (result i32)
        (global.set $resets (i32.add (global.get $resets) (i32.const 1))) (i32.const 0))
      (func (export "drop") (param i32)))"""
    with chain(engine, guests.stage(module, max_frames=BLOCK)) as fused:
        y = fused.process(noise(4 * BLOCK))
    assert list(y[::BLOCK, 0]) == [0, 0, 1, 1]


def test_a_crash_in_one_channel_takes_the_whole_stage_out(
    engine: WasmEngine, guests: Any, noise: Callable[..., Block]
) -> None:
    """With an instance a channel, a block is either through all of them or through none."""
    stage = guests.plain(at_trigger("(unreachable)"), channels=3, mapping=Mapping.PER_CHANNEL)
    x = noise(10 * BLOCK, 3)
    x[2 * BLOCK, 2] = TRIGGER
    with chain(engine, stage) as fused:
        y = fused.process(x)
        assert len(fused.reports()[0].bypasses) == 1
    settled = np.r_[0 : 2 * BLOCK, 3 * BLOCK + 2 * FADE : len(x)]
    assert np.array_equal(y[settled], x[settled])


def test_two_stages_may_crash_in_one_block(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """Each is dealt with, and the rest of the chain still processes the block."""
    x = noise(10 * BLOCK)
    x[BLOCK, 0] = TRIGGER
    trap, hang = guests.plain(at_trigger("(unreachable)")), guests.plain(when(2, "(loop (br 0))"))
    stages = [trap, guests.scale(0.5), hang]
    with chain(engine, *stages, replacement_pauses=()) as fused:
        y = fused.process(x)
        codes = [[b.code for b in report.bypasses] for report in fused.reports()]
    assert codes == [["guest-trap"], [], ["call-deadline"]]
    assert np.array_equal(y[4 * BLOCK :], x[4 * BLOCK :] * np.float32(0.5))


def test_a_crash_emits_what_happened(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """Trap, bypass and recovery, in this order, with the plugin's name."""
    bus = EventBus()
    x = noise(10 * BLOCK)
    x[BLOCK, 0] = TRIGGER
    with bus.recording() as events, chain(engine, guests.plain(at_trigger("(unreachable)")), bus=bus) as fused:
        fused.process(x)
    assert [event.name for event in events] == ["guest.trap", "stage.bypassed", "stage.recovered"]
    assert {event.plugin for event in events} == {"test.guest"}


def test_a_crash_while_being_configured_bypasses(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """A later configuration that traps is an error to the caller, and the stage comes back with the old one."""
    extra = """(func (export "st_hot_config") (param i32 i32 i32) (result i32)
      (if (i32.eq (i32.load8_u (local.get 1)) (i32.const 33)) (then (unreachable))) (i32.const 0))"""
    x = noise(10 * BLOCK)
    with chain(engine, guests.plain(extra=extra)) as fused:
        with pytest.raises(GuestTrap):
            fused.configure(0, "!")
        fused.process(x)
        assert fused.reports()[0].bypasses[0].until_frame is not None


def test_many_crashes_keep_the_stream_whole(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """A stage that crashes every tenth block, with chances enough: every frame comes out once."""
    x = noise(300 * BLOCK)
    flaky = guests.plain("(if (i32.eq (global.get $n) (i32.const 10)) (then (unreachable)))")
    with chain(engine, guests.scale(0.5), flaky, replacement_pauses=(0.0,) * 100) as fused:
        y = fused.process(x)
        count = len(fused.reports()[1].bypasses)
    assert count > 20
    exact = (y == x * np.float32(0.5)).all(axis=1).mean()
    assert exact > 1 - (count + 1) * (2 * FADE + BLOCK) / len(x)
