"""A new configuration at the same frame moves both sides in the same way, ramps and fades included."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stellatune_plugins.errors import ConfigRejected


def bands(*items: tuple[str, float, float]) -> str:
    """An equaliser's configuration."""
    return json.dumps({"bands": [dict(zip(("type", "freq_hz", "gain_db"), item, strict=True)) for item in items]})


# What each plugin is told in turn: small moves, large ones, and one right after another, while a fade still runs.
MOVES = {
    "gain": ['{"gain_db": -6}', '{"gain_db": 6, "balance": 1}', '{"mute": true}', '{"gain_db": -1, "ramp_ms": 1}'],
    "parametric-eq": [
        bands(("peak", 1000, 6)),
        bands(("peak", 1000, -6), ("low_shelf", 80, 3)),
        bands(*(("peak", 40 * 2**k, 5) for k in range(9))),
        bands(),
    ],
    "limiter": ['{"input_db": 6}', '{"input_db": 12, "ceiling_db": -12}', '{"release_ms": 5}', "{}"],
    "reverb": ['{"size": 0.9}', '{"decay_s": 8, "wet_db": 0}', '{"predelay_ms": 50}', '{"dry_db": -96}'],
    "crossfeed": ['{"feed_db": 9}', '{"enabled": false}', '{"enabled": true, "cutoff_hz": 1500}', "{}"],
}
# The latency itself changes: both sides start the new delay from silence.
LOOK_AHEADS = ['{"lookahead_ms": 2}', '{"lookahead_ms": 7}', '{"lookahead_ms": 0.5, "input_db": 6}']


def both(lab: Any, name: str, moves: list[str], *, rate: int, channels: int, block: int, every: int) -> tuple[Any, Any]:
    """A programme through both; before every so-manieth block the next configuration."""
    stages = [lab.configured(name, moves[0])]
    x = lab.programme(block * every * (len(moves) + 1) + block // 2 + 1, channels, rate, seed=3)
    native = lab.native(stages, rate, channels)
    heard = []
    with lab.fused(stages, rate, channels) as fused:
        for chain in (fused, native):
            parts = []
            for index, at in enumerate(range(0, len(x), block)):
                if index and index % every == 0:
                    chain.configure(0, moves[(index // every) % len(moves)])
                parts.append(chain.process(x[at : at + block]).copy())
            heard.append(np.concatenate(parts))
        assert fused.latency() == native.latency()
    native.close()
    return heard[0], heard[1]


@pytest.mark.parametrize(
    ("rate", "channels", "block", "every"),
    [
        (8000, 1, 1, 300),
        (44100, 2, 64, 9),
        (48000, 2, 127, 31),
        (96000, 2, 1000, 2),
        (192000, 2, 4097, 1),
    ],
)
@pytest.mark.parametrize("name", MOVES)
def test_changes_while_it_plays(
    lab: Any, differs: Callable[..., str], name: str, rate: int, channels: int, block: int, every: int
) -> None:
    """Volume, filters, ceilings and rooms change between two blocks."""
    channels = 2 if name == "crossfeed" else channels
    wasm, native = both(lab, name, MOVES[name], rate=rate, channels=channels, block=block, every=every)
    said = differs(wasm, native)
    assert not said


@pytest.mark.parametrize(("rate", "channels", "block"), [(8000, 6, 100), (44100, 2, 333), (192000, 8, 2000)])
def test_changes_of_latency(lab: Any, differs: Callable[..., str], rate: int, channels: int, block: int) -> None:
    """A limiter's look-ahead changes while it plays."""
    wasm, native = both(lab, "limiter", LOOK_AHEADS, rate=rate, channels=channels, block=block, every=3)
    said = differs(wasm, native)
    assert not said


@pytest.mark.parametrize("name", MOVES)
def test_a_refused_change_changes_nothing(lab: Any, differs: Callable[..., str], name: str) -> None:
    """What the core module and the twin refuse, they refuse alike, and go on as before."""
    stages = [lab.configured(name, MOVES[name][0])]
    x = lab.programme(3000, 2, 44100)
    native = lab.native(stages, 44100, 2)
    undisturbed = lab.run(native, x, 500)
    native.reset()
    with lab.fused(stages, 44100, 2) as fused:
        heard = [fused.process(x[:500]).copy()]
        for chain in (fused, native):
            with pytest.raises(ConfigRejected):
                chain.configure(0, '{"gain_db": "loud", "preamp_db": [], "input_db": {}, "size": "", "cutoff_hz": 1}')
        heard += [fused.process(x[at : at + 500]).copy() for at in range(500, 3000, 500)]
    native.close()
    said = differs(np.concatenate(heard), undisturbed)
    assert not said
