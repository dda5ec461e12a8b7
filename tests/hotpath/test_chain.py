"""The fused chain computes what its stages compute, in whatever portions, and its controls do not click."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stellatune_plugins.engine.config import WasmEngine
from stellatune_plugins.errors import ConfigRejected, StageFailed, StoreMisuse, ValueInvalid
from stellatune_plugins.hotpath import FusedChain, HotPathSettings, HotStage, Mapping
from stellatune_plugins.model import Block

RATE = 48000
FADE = 240


def chain(engine: WasmEngine, *stages: HotStage, **options: Any) -> FusedChain:
    """A chain at 48 kHz."""
    return FusedChain(engine, stages, sample_rate=RATE, settings=HotPathSettings(**options))


def test_stages_run_in_order(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """Two factors multiply, exactly as float32 does."""
    x = noise(1000)
    with chain(engine, guests.scale(0.3), guests.scale(0.7)) as fused:
        assert np.array_equal(fused.process(x), x * np.float32(0.3) * np.float32(0.7))


def test_a_chain_without_stages_changes_nothing(engine: WasmEngine, noise: Callable[..., Block]) -> None:
    """No stage, no work."""
    x = noise(10)
    with chain(engine) as fused:
        assert np.array_equal(fused.process(x), x)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 700), min_size=1, max_size=12), block=st.sampled_from([1, 7, 64, 512, 4096]))
def test_portions_do_not_matter(
    engine: WasmEngine, guests: Any, noise: Callable[..., Block], cuts: list[int], block: int
) -> None:
    """However the stream is cut into calls and blocks, a stage with memory gives the same samples."""
    x = noise(sum(cuts))
    with (
        chain(engine, guests.delay(100), guests.scale(0.5)) as whole,
        chain(engine, guests.delay(100), guests.scale(0.5), block_frames=block, batch_frames=600) as cut,
    ):
        expected = whole.process(x).copy()
        edges = np.cumsum([0, *cuts])
        parts = [cut.process(x[a:b]).copy() for a, b in itertools.pairwise(edges)]
    assert np.array_equal(np.concatenate(parts), expected)


def test_blocks_are_cut_to_the_smallest_max_frames(
    engine: WasmEngine, guests: Any, noise: Callable[..., Block]
) -> None:
    """A stage that takes 16 frames at most never sees more: it would trap."""
    strict = "(if (i32.gt_u (local.get $frames) (i32.const 16)) (then (unreachable)))"
    x = noise(1000)
    with chain(engine, guests.scale(0.5), guests.plain(strict, max_frames=16)) as fused:
        assert np.array_equal(fused.process(x), x * np.float32(0.5))
        assert not fused.reports()[1].bypasses


def test_a_range_of_stages_can_run_alone(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """Stages outside the range are not called."""
    x = noise(300)
    with chain(engine, guests.scale(0.5), guests.scale(0.25), guests.scale(0.125)) as fused:
        assert np.array_equal(fused.process(x, 1, 2), x * np.float32(0.25))


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8])
def test_any_number_of_channels(engine: WasmEngine, guests: Any, noise: Callable[..., Block], channels: int) -> None:
    """A direct stage gets every channel."""
    x = noise(333, channels)
    with chain(engine, guests.scale(0.5, channels=channels)) as fused:
        assert np.array_equal(fused.process(x), x * np.float32(0.5))


def test_a_front_pair_leaves_the_other_channels_alone(
    engine: WasmEngine, guests: Any, noise: Callable[..., Block]
) -> None:
    """A stereo stage in a 5.1 chain changes the first two channels."""
    x = noise(500, 6)
    with chain(engine, guests.scale(0.5, channels=6, width=2, mapping=Mapping.FRONT_PAIR)) as fused:
        y = fused.process(x)
    assert np.array_equal(y[:, :2], x[:, :2] * np.float32(0.5))
    assert np.array_equal(y[:, 2:], x[:, 2:])


def test_a_mono_stage_gets_an_instance_for_each_channel(
    engine: WasmEngine, guests: Any, noise: Callable[..., Block]
) -> None:
    """Three channels, three instances, the same sum."""
    x = noise(500, 3)
    with chain(engine, guests.scale(0.5, channels=3, width=1, mapping=Mapping.PER_CHANNEL)) as fused:
        assert np.array_equal(fused.process(x), x * np.float32(0.5))


def test_a_mono_stream_goes_through_a_stereo_stage(
    engine: WasmEngine, guests: Any, noise: Callable[..., Block]
) -> None:
    """The one channel is given twice and averaged."""
    x = noise(500, 1)
    with chain(engine, guests.scale(0.5, channels=1, width=2, mapping=Mapping.MONO_AS_STEREO)) as fused:
        assert np.array_equal(fused.process(x), x * np.float32(0.5))


def test_latency_and_tail_add_up(engine: WasmEngine, guests: Any) -> None:
    """The chain is as late as its stages together."""
    with chain(engine, guests.delay(100), guests.scale(1.0), guests.delay(40)) as fused:
        assert fused.latency() == 140
        assert fused.tail() == 140


def test_an_endless_tail_is_endless(engine: WasmEngine, guests: Any) -> None:
    """One stage without end makes the chain endless."""
    endless = guests.plain(extra='(func (export "st_hot_tail") (param i32) (result i32) (i32.const -1))')
    with chain(engine, guests.delay(3), endless) as fused:
        assert fused.tail() is None


def test_bypassing_keeps_the_music_aligned(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """A bypassed stage with latency is replaced by a delay of the same length."""
    x = noise(4000)
    with chain(engine, guests.delay(100, factor=0.5)) as fused:
        fused.process(x[:1000])
        fused.bypass(0)
        y = np.concatenate([fused.process(part).copy() for part in np.array_split(x[1000:], 7)])
    assert np.array_equal(y[FADE:], x[1000 + FADE - 100 : -100])


def test_bypass_and_engage_do_not_click(engine: WasmEngine, guests: Any) -> None:
    """On a constant signal, no step between samples is larger than the fade's slope."""
    x = np.ones((2000, 2), np.float32)
    with chain(engine, guests.scale(0.25)) as fused:
        parts = [fused.process(x).copy()]
        fused.bypass(0)
        parts.append(fused.process(x).copy())
        fused.engage(0)
        parts.append(fused.process(x).copy())
    y = np.concatenate(parts)
    assert y[1999, 0] == 0.25
    assert y[3999, 0] == 1.0
    assert y[-1, 0] == 0.25
    assert np.abs(np.diff(y, axis=0)).max() <= 0.75 / FADE + 1e-6


def test_a_bypassed_stage_is_not_called(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """A stage that would trap from its 2nd call on is out before."""
    trap = guests.plain("(if (i32.gt_u (global.get $n) (i32.const 1)) (then (unreachable)))")
    x = noise(FADE)
    with chain(engine, trap) as fused:
        fused.bypass(0)
        fused.process(x)
        for _ in range(5):
            assert np.array_equal(fused.process(x), x)
        assert not fused.reports()[0].bypasses


CONFIG = """(func (export "st_hot_config") (param $ctx i32) (param $p i32) (param $len i32) (result i32)
  (if (i32.eq (i32.load8_u (local.get $p)) (i32.const 33)) (then (return (i32.const 1))))
  (global.set $level (f32.convert_i32_u (i32.sub (i32.load8_u (local.get $p)) (i32.const 48)))) (i32.const 0))
  (global $level (mut f32) (f32.const 1))"""
FILL = "(f32.store (i32.const 0) (global.get $level)) (f32.store (i32.const 4) (global.get $level))"


def test_a_configuration_is_applied_between_blocks(engine: WasmEngine, guests: Any) -> None:
    """The module sees the JSON text, at the start and later."""
    x = np.zeros((1, 2), np.float32)
    with chain(engine, guests.plain(FILL, extra=CONFIG, config="3")) as fused:
        assert fused.process(x)[0, 0] == 3
        fused.configure(0, "7")
        assert fused.process(x)[0, 0] == 7


def test_a_refused_configuration_leaves_the_old_one(engine: WasmEngine, guests: Any) -> None:
    """The error names the plugin; the stage plays on."""
    x = np.zeros((1, 2), np.float32)
    with chain(engine, guests.plain(FILL, extra=CONFIG, config="3")) as fused:
        with pytest.raises(ConfigRejected) as caught:
            fused.configure(0, "!")
        assert caught.value.plugin == "test.guest"
        assert fused.process(x)[0, 0] == 3


def test_a_long_configuration_gets_room(engine: WasmEngine, guests: Any) -> None:
    """More JSON than a page holds still arrives."""
    with chain(engine, guests.plain(FILL, extra=CONFIG, config="5" + " " * 200_000)) as fused:
        assert fused.process(np.zeros((1, 2), np.float32))[0, 0] == 5


def test_a_module_that_takes_no_configuration_gets_a_fresh_instance(
    engine: WasmEngine, guests: Any, noise: Callable[..., Block]
) -> None:
    """It is faded out and a new one in; the counter of calls starts again."""
    count = "(f32.store (i32.const 0) (f32.convert_i32_u (global.get $n)))"
    x = noise(1)
    with chain(engine, guests.plain(count)) as fused:
        for expected in (1, 2, 3):
            assert fused.process(x)[0, 0] == expected
        fused.configure(0, "{}")
        fused.process(noise(2 * FADE))
        assert fused.process(x)[0, 0] < 4


def test_refused_init_names_the_plugin(engine: WasmEngine, guests: Any) -> None:
    """An init that answers `unsupported` is an error with that word, and nothing stays open."""
    with pytest.raises(StageFailed, match=r"unsupported.*test\.guest"):
        chain(engine, guests.plain(init="(i32.const 2)"))


def test_a_block_of_another_shape_is_refused(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """Mono into a stereo chain is the caller's mistake."""
    with chain(engine, guests.scale(1.0)) as fused, pytest.raises(ValueInvalid):
        fused.process(noise(10, 1))


def test_a_closed_chain_is_not_entered(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """Closing twice is fine; processing afterwards is an error, not a crash."""
    fused = chain(engine, guests.scale(1.0))
    fused.close()
    fused.close()
    with pytest.raises((StoreMisuse, IndexError)):
        fused.process(noise(10))


def test_a_drop_that_traps_is_reported(engine: WasmEngine, guests: Any) -> None:
    """A drop that traps does not disturb the closing."""
    trap = guests.stage(
        """(module (memory (export "memory") 1) (func (export "init") (param i32 i32) (result i32) (i32.const 0))
        (func (export "process") (param i32 i32 i32 i32) (result i32) (i32.const 0))
        (func (export "reset") (param i32 i32) (result i32) (i32.const 0))
        (func (export "drop") (param i32) (unreachable)))""",
        max_frames=512,
    )
    fused = chain(engine, trap)
    seen: list[str] = []
    fused._events.subscribe(lambda event: seen.append(event.name))
    fused.close()
    assert seen == ["plugin.failed"]


def test_every_stage_is_timed(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """The reports know each stage's frames and share of the time."""
    with chain(engine, guests.scale(0.5), guests.delay(100)) as fused:
        for _ in range(100):
            fused.process(noise(512))
        reports = fused.reports()
    assert [report.frames for report in reports] == [51200, 51200]
    assert all(report.seconds > 0 for report in reports)


def test_reset_forgets_the_sound(engine: WasmEngine, guests: Any, noise: Callable[..., Block]) -> None:
    """What a bypassed stage's delay still holds is gone after a reset."""
    with chain(engine, guests.delay(100)) as fused:
        fused.bypass(0)
        fused.process(noise(1000))
        fused.reset()
        assert not fused.process(np.zeros((100, 2), np.float32)).any()
