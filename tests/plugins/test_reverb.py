"""Reverb: decay, tail, width and changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

MakeTwin = Callable[..., Any]


WET = {"dry_db": -96, "wet_db": 0}


def decay_curve(one: Any, frames: int) -> npt.NDArray[np.float64]:
    """Energy that is still to come after each frame of an impulse's answer, in dB (Schroeder's integral)."""
    x = np.zeros((frames, 2), np.float32)
    x[0] = 1
    energy = (one.process(x).astype(np.float64) ** 2).sum(1)
    left = np.cumsum(energy[::-1])[::-1]
    out: npt.NDArray[np.float64] = 10 * np.log10(left / left[0] + 1e-30)
    return out


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
@pytest.mark.parametrize("decay", [0.3, 2.0])
def test_decay_and_tail(twin: MakeTwin, rate: int, decay: float) -> None:
    """Without damping the sound falls by 60 dB in the time that is set, and is gone when the tail ends."""
    one = twin("reverb", rate, 2, {**WET, "decay_s": decay, "damping_hz": 20000})
    curve = decay_curve(one, one.tail + rate)
    measured = 2 * (np.argmax(curve < -35) - np.argmax(curve < -5)) / rate
    # At low rates the highest damping frequency is still within the band.
    assert 0.75 * decay < measured < 1.15 * decay
    assert curve[one.tail] < -90


def test_damping_shortens_high_frequencies(twin: MakeTwin) -> None:
    """A lower damping frequency makes a shorter decay."""
    times = [
        int(np.argmax(decay_curve(twin("reverb", 44100, 2, {**WET, "damping_hz": hz}), 90000) < -30))
        for hz in (1000, 4000, 16000)
    ]
    assert times[0] < times[1] < times[2]


def test_predelay_is_silence_first(twin: MakeTwin) -> None:
    """Nothing of the room is heard before the pre-delay is over, and the dry sound is not delayed."""
    x = np.zeros((9000, 2), np.float32)
    x[0] = 1
    y = twin("reverb", 48000, 2, {**WET, "predelay_ms": 50}).process(x)
    assert not y[:2400].any()
    assert y[2400:].any()
    assert twin("reverb", 48000, 2, {"dry_db": 0}).process(x)[0, 0] == 1


def test_width(twin: MakeTwin) -> None:
    """Width 0 gives the same room to both ears, width 1 two that differ."""
    x = (np.random.default_rng(1).standard_normal((44100, 2)) * 0.1).astype(np.float32)
    mono = twin("reverb", 44100, 2, {**WET, "width": 0}).process(x)
    wide = twin("reverb", 44100, 2, {**WET, "width": 1}).process(x)
    np.testing.assert_allclose(mono[:, 0], mono[:, 1], atol=1e-7)
    assert abs(np.corrcoef(wide.T)[0, 1]) < 0.2


def test_silence_ends_as_zeros(twin: MakeTwin) -> None:
    """What rings out becomes exact zero: no subnormals are left circling."""
    one = twin("reverb", 8000, 2, {**WET, "decay_s": 0.2})
    one.process(np.random.default_rng(1).standard_normal((8000, 2)))
    y = one.process(np.zeros((80000, 2), np.float32))
    assert not y[-8000:].any()


@pytest.mark.parametrize("block", [1, 31, 64, 500])
def test_block_size_does_not_matter(twin: MakeTwin, block: int) -> None:
    """Blocks of any size give the same sound."""
    x = (np.random.default_rng(1).standard_normal((3001, 2)) * 0.1).astype(np.float32)
    np.testing.assert_array_equal(twin("reverb").process(x, block), twin("reverb").process(x, 4096))


def test_a_new_room_fades(twin: MakeTwin) -> None:
    """Changing every parameter while a low tone plays makes no step."""
    x = (0.25 * np.sin(2 * np.pi * 200 * np.arange(96000) / 48000))[:, None].repeat(2, 1).astype(np.float32)
    one = twin("reverb", 48000, 2, {"wet_db": -3})
    heard = [one.process(x[:24000])]
    for k, config in enumerate(
        ({"size": 1, "wet_db": 0}, {"predelay_ms": 90, "dry_db": -20}, {"decay_s": 9, "width": 0})
    ):
        assert one.config(config)
        heard.append(one.process(x[24000 * (k + 1) : 24000 * (k + 2)]))
    y = np.concatenate(heard)
    # The second difference of a tone of this pitch and level is below 0.0005.
    assert np.abs(np.diff(y, 2, axis=0)).max() < 0.002
