"""Every bundled DSP plugin, sandboxed, gives the bits that its native twin gives.

No tolerance: neither side may contract multiplications into fused ones (``-ffp-contract=off``), the math functions are
the plugins' own, and wasm's float operations are IEEE 754's, subnormals included.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stellatune_plugins.hotpath import Mapping

BUNDLED = Path(__file__).resolve().parents[2] / "src" / "stellatune_plugins" / "bundled"

RATES = [8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 176400, 192000]
BLOCKS = [1, 2, 3, 7, 63, 64, 65, 127, 512, 1000, 1024, 4095, 4096, 4097, 8191, 8192]
LAYOUTS = [1, 2, 6, 8]
CHANNELS = {"reverb": [1, 2], "crossfeed": [2]}


def bands(*items: tuple[str, float, float, float]) -> str:
    """An equaliser's configuration."""
    keys = ("type", "freq_hz", "gain_db", "q")
    return json.dumps({"preamp_db": -1.5, "bands": [dict(zip(keys, item, strict=True)) for item in items]})


# Three a plugin: near the defaults, everything in use, and the ends of the ranges.
CONFIGS = {
    "gain": [
        '{"gain_db": -3.7, "balance": 0.25}',
        '{"gain_db": 24, "balance": -1}',
        '{"gain_db": -96, "balance": 0.999}',
    ],
    "parametric-eq": [
        bands(*(("peak", 31.25 * 2**k, (-1) ** k * (3 + k), 1.41) for k in range(10))),
        bands(
            ("low_shelf", 105, 5.5, 0.7),
            ("high_shelf", 2500, -7, 0.7),
            ("peak", 60, -6, 2),
            ("notch", 1000, 0, 8),
            ("high_pass", 20, 0, 0.71),
            ("low_pass", 19000, 0, 0.71),
            ("peak", 3300.3, 9, 4),
        ),
        bands(
            ("peak", 10, 30, 30), ("band_pass", 300, 0, 0.1), ("low_pass", 40000, 0, 30), ("high_shelf", 15, -30, 0.1)
        ),
    ],
    "limiter": [
        '{"input_db": 6}',
        '{"input_db": 12, "ceiling_db": -6, "lookahead_ms": 5, "release_ms": 50}',
        '{"input_db": 24, "ceiling_db": -24, "lookahead_ms": 0.5, "release_ms": 5}',
    ],
    "reverb": [
        "{}",
        '{"decay_s": 6, "size": 1, "predelay_ms": 100, "damping_hz": 12000, "low_cut_hz": 300, "width": 0.3}',
        '{"decay_s": 0.2, "size": 0, "predelay_ms": 0, "damping_hz": 500, "wet_db": 6, "dry_db": -96}',
    ],
    "crossfeed": [
        "{}",
        '{"cutoff_hz": 2000, "feed_db": 1}',
        '{"cutoff_hz": 300, "feed_db": 15}',
    ],
}


def frames_for(block: int, least: int) -> int:
    """A length that ends in an odd final block, wherever a block has more than one frame."""
    whole = max(least, 2 * block + 1)
    return whole - whole % block + max(1, block // 3 | 1)


def compare(lab: Any, name: str, config: str, *, rate: int, channels: int, block: int, least: int) -> tuple[Any, Any]:
    """A programme through both."""
    configured = [lab.configured(name, config)]
    x = lab.programme(frames_for(block, least), channels, rate, seed=block)
    native = lab.native(configured, rate, channels)
    try:
        with lab.fused(configured, rate, channels) as fused:
            assert fused.latency() == native.latency()
            return lab.run(fused, x, block), lab.run(native, x, block)
    finally:
        native.close()


def test_no_plugin_is_forgotten() -> None:
    """Every bundled DSP plugin, known by its core module, is compared."""
    assert {path.parent.parent.name for path in BUNDLED.glob("*/wasm/*.hot.wasm")} == {
        f"dev.stellatune.{name}" for name in CONFIGS
    }


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", CONFIGS)
def test_wasm_equals_native(lab: Any, differs: Callable[..., str], name: str, rate: int) -> None:
    """Every pair of rate and block, of rate and layout, of block and layout, and of each with a configuration."""
    layouts = CHANNELS.get(name, LAYOUTS)
    for index, block in enumerate(BLOCKS):
        turn = RATES.index(rate) + index
        channels, config = layouts[turn % len(layouts)], CONFIGS[name][turn % 3]
        wasm, native = compare(lab, name, config, rate=rate, channels=channels, block=block, least=1500)
        found = differs(wasm, native)
        assert not found, f"{channels} channels in blocks of {block}"


@pytest.mark.stress
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", CONFIGS)
def test_wasm_equals_native_everywhere(
    lab: Any, differs: Callable[..., str], stress_size: Callable[[int, int], int], name: str, rate: int
) -> None:
    """The whole product: every rate, block, layout and configuration, over a second of sound at full size."""
    percent = stress_size(0, 100)
    blocks = BLOCKS if percent else [512, 4097]
    for channels in CHANNELS.get(name, LAYOUTS):
        for block in blocks:
            for config in CONFIGS[name] if percent else CONFIGS[name][:1]:
                least = max(2000, min(rate, 40_000 * block) * percent // 100)
                wasm, native = compare(lab, name, config, rate=rate, channels=channels, block=block, least=least)
                found = differs(wasm, native)
                assert not found, f"{channels} channels in blocks of {block}, {config}"


@pytest.mark.parametrize("name", CONFIGS)
def test_the_comparison_sees_the_sound_change(lab: Any, differs: Callable[..., str], name: str) -> None:
    """The signals pass through real work: each configuration changes them, and none like another."""
    heard = [compare(lab, name, config, rate=44100, channels=2, block=1000, least=1500)[0] for config in CONFIGS[name]]
    dry = lab.programme(frames_for(1000, 1500), 2, 44100, seed=1000)
    assert all(differs(wet, dry) for wet in heard)
    assert differs(heard[0], heard[1])
    assert differs(heard[1], heard[2])


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
@pytest.mark.parametrize("name", CONFIGS)
def test_reset_forgets_alike(lab: Any, differs: Callable[..., str], name: str, rate: int) -> None:
    """After a reset both give what they gave at first."""
    stages = [lab.configured(name, CONFIGS[name][0])]
    x = lab.programme(5001, 2, rate)
    native = lab.native(stages, rate, 2)
    with lab.fused(stages, rate, 2) as fused:
        for chain in (fused, native):
            first = lab.run(chain, x, 777)
            chain.reset()
            found = differs(first, lab.run(chain, x, 777))
            assert not found
    native.close()


@pytest.mark.parametrize("name", ["reverb", "crossfeed"])
def test_a_stereo_plugin_in_surround_gets_the_front_pair(lab: Any, differs: Callable[..., str], name: str) -> None:
    """5.1 round a stereo plugin: the front pair as its twin has it, the rest untouched."""
    stages = [lab.configured(name, CONFIGS[name][0])]
    x = lab.programme(5001, 6, 48000)
    native = lab.native(stages, 48000, 2)
    with lab.fused(stages, 48000, 6, Mapping.FRONT_PAIR) as fused:
        assert fused.latency() == 0
        wet = lab.run(fused, x, 333)
    found = differs(wet[:, :2].copy(), lab.run(native, x[:, :2], 333))
    native.close()
    assert not found
    found = differs(wet[:, 2:].copy(), x[:, 2:].copy())
    assert not found
