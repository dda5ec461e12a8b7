"""Whole chains, fused and sandboxed, give the bits that the native twins give in series."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

RATES = [8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 176400, 192000]
BLOCKS = [1, 2, 3, 7, 63, 64, 65, 127, 512, 1000, 1024, 4095, 4096, 4097, 8191, 8192]
LAYOUTS = [1, 2, 6, 8]

BANDS = [
    {"type": "peak", "freq_hz": 31.25 * 2**k, "gain_db": (4.5, -6.0, 3.0)[k % 3], "q": (0.7, 1.41, 4.0)[k % 3]}
    for k in range(10)
]
MASTERING = [
    ("gain", '{"gain_db": -2.5, "balance": -0.1}'),
    ("parametric-eq", json.dumps({"preamp_db": -3, "bands": BANDS})),
    ("limiter", '{"input_db": 6, "ceiling_db": -1}'),
]
LISTENING = [
    ("crossfeed", "{}"),
    ("parametric-eq", json.dumps({"bands": [{"type": "low_shelf", "freq_hz": 100, "gain_db": 4}, *BANDS[3:6]]})),
    ("reverb", "{}"),
    ("gain", '{"gain_db": 3}'),
    ("limiter", "{}"),
]


def found(lab: Any, differs: Callable[..., str], chain: list[tuple[str, str]], **at: int) -> str:
    """What differs between the two, in words; empty for nothing."""
    rate, channels, block, least = at["rate"], at["channels"], at["block"], at["least"]
    stages = [lab.configured(*stage) for stage in chain]
    whole = max(least, 2 * block + 1)
    x = lab.programme(whole - whole % block + max(1, block // 3 | 1), channels, rate, seed=rate + block)
    native = lab.native(stages, rate, channels)
    with lab.fused(stages, rate, channels) as fused:
        assert fused.latency() == native.latency()
        said = differs(lab.run(fused, x, block), lab.run(native, x, block))
        assert not any(report.bypasses or report.silenced_blocks for report in fused.reports())
    native.close()
    return f"{at}: {said}" if said else ""


@pytest.mark.parametrize("rate", RATES)
def test_gain_eq_limiter(lab: Any, differs: Callable[..., str], rate: int) -> None:
    """The chain that most listeners will have, at every rate in every block size, over mono to 7.1 in turn."""
    for index, block in enumerate(BLOCKS):
        channels = LAYOUTS[(RATES.index(rate) + index) % len(LAYOUTS)]
        said = found(lab, differs, MASTERING, rate=rate, channels=channels, block=block, least=1500)
        assert not said


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_all_five(lab: Any, differs: Callable[..., str], rate: int) -> None:
    """Every bundled plugin in one Store, latencies added up."""
    for block in (1, 64, 127, 1000, 8192):
        said = found(lab, differs, LISTENING, rate=rate, channels=2, block=block, least=1500)
        assert not said


def test_block_size_cannot_be_heard(lab: Any) -> None:
    """However a stream is cut into blocks, the sound is the same to within -240 dBFS.

    Not to the bit: plugins zero state below 1e-20 at a block's end, to be rid of subnormals.
    """
    x = lab.programme(20011, 2, 44100)
    stages = [lab.configured(*stage) for stage in LISTENING]
    heard = []
    for block in (1000, 1, 64, 127, 4097, 20011):
        with lab.fused(stages, 44100, 2) as fused:
            heard.append(lab.run(fused, x, block))
    for other in heard[1:]:
        assert np.abs(other.astype(np.float64) - heard[0]).max() < 1e-12


@pytest.mark.stress
@pytest.mark.parametrize("rate", RATES)
def test_gain_eq_limiter_everywhere(
    lab: Any, differs: Callable[..., str], stress_size: Callable[[int, int], int], rate: int
) -> None:
    """The whole product of rates, layouts and block sizes, over a second of sound at full size."""
    percent = stress_size(0, 100)
    for channels in LAYOUTS:
        for block in BLOCKS if percent else (7, 4097):
            least = max(2000, rate * percent // 100)
            said = found(lab, differs, MASTERING, rate=rate, channels=channels, block=block, least=least)
            assert not said
