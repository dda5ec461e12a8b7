"""Limiter: the ceiling, the latency, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import butter, resample_poly, sosfilt

MakeTwin = Callable[..., Any]


RATE = 44100


def true_peak_db(x: npt.NDArray[Any]) -> float:
    """The highest value of a 16 times oversampled signal, away from its cut ends."""
    finer = resample_poly(x.astype(np.float64), 16, 1, axis=0, window=("kaiser", 8.0))[1600:-1600]
    return float(20 * np.log10(np.abs(finer).max()))


def signal(name: str) -> npt.NDArray[np.float32]:
    """A loud second of something difficult."""
    random, time = np.random.default_rng(3), np.arange(RATE) / RATE
    if name == "noise":
        x = sosfilt(butter(8, 16000 / (RATE / 2), output="sos"), random.standard_normal(RATE))
    elif name == "between samples":
        x = 1.9 * np.sin(2 * np.pi * RATE / 4 * time + np.pi / 4)
    elif name == "strokes":
        x = 3 * np.sin(2 * np.pi * 9001 * time) * np.exp(-((time * 10) % 1) * 5)
    else:
        beat = (time * 8) % 1
        x = 2 * np.sin(2 * np.pi * 80 * time) * np.exp(-beat * 6)
        x += sosfilt(butter(8, 18000 / (RATE / 2), output="sos"), random.standard_normal(RATE)) * np.exp(-beat * 40)
    x *= np.minimum(1, time / 0.01)
    out: npt.NDArray[np.float32] = np.stack([x, -0.5 * x], 1).astype(np.float32)
    return out


@pytest.mark.parametrize("name", ["noise", "between samples", "strokes", "drums"])
@pytest.mark.parametrize(
    "config", [{}, {"lookahead_ms": 0.5, "release_ms": 5}, {"ceiling_db": -3, "input_db": 12}, {"lookahead_ms": 10}]
)
def test_true_peak_stays_below_the_ceiling(twin: MakeTwin, name: str, config: dict[str, float]) -> None:
    """The true peak of loud signals comes out at most a tenth of a decibel above the ceiling."""
    x = signal(name)
    y = twin("limiter", RATE, 2, config).process(x, 300)
    peak = true_peak_db(y)
    assert peak < config.get("ceiling_db", -1) + 0.1
    # Strokes between rests need not come near; a steady signal does.
    assert peak > config.get("ceiling_db", -1) - 0.4


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
@pytest.mark.parametrize("lookahead", [0.5, 2.0, 10.0])
def test_quiet_music_is_only_delayed(twin: MakeTwin, channels: int, lookahead: float) -> None:
    """Below the ceiling every sample comes out as it was, late by the latency that is reported."""
    x = (np.random.default_rng(1).standard_normal((9000, channels)) * 0.1).astype(np.float32)
    one = twin("limiter", 48000, channels, {"lookahead_ms": lookahead})
    y = one.process(x, 333)
    assert one.latency == round(lookahead * 48) + 11
    np.testing.assert_array_equal(y[one.latency :], x[: -one.latency])
    assert not y[: one.latency].any()
    assert one.tail == one.latency


def test_channels_share_one_gain(twin: MakeTwin) -> None:
    """A peak in one channel turns all down alike."""
    x = np.full((4000, 6), 0.25, np.float32)
    x[2000:2050, 3] = 4
    one = twin("limiter", 48000, 6)
    y = one.process(x)[one.latency :]
    for channel in (0, 1, 2, 4, 5):
        np.testing.assert_array_equal(y[:, channel], y[:, 0])
    assert y[2020, 0] < 0.07


def test_gain_comes_back_after_a_peak(twin: MakeTwin) -> None:
    """After the release the signal is what it was, to the bit."""
    x = np.full((96000, 2), 0.25, np.float32)
    x[100] = 8
    y = twin("limiter", 48000, 2, {"release_ms": 50}).process(x)
    np.testing.assert_array_equal(y[-1000:], x[-1000:])


def test_a_new_look_ahead_fades_out_and_in(twin: MakeTwin) -> None:
    """Changing the look-ahead while playing makes no step and ends at the new latency."""
    x = (0.25 * np.sin(2 * np.pi * 200 * np.arange(48000) / 48000))[:, None].astype(np.float32)
    one = twin("limiter", 48000, 1)
    first = one.process(x[:4800])
    assert one.config({"lookahead_ms": 7})
    y = np.concatenate([first, one.process(x[4800:])])[:, 0]
    # The tone itself moves by at most 0.0066 a sample; the fades add little.
    assert np.abs(np.diff(y)).max() < 0.009
    assert one.latency == 336 + 11
    np.testing.assert_array_equal(y[-9000:], x[-9000 - one.latency : -one.latency, 0])
