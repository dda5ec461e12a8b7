"""Parametric EQ: the cookbook's responses, precision, and changes without clicks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import freqz, sosfilt

MakeTwin = Callable[..., Any]


Array = npt.NDArray[np.float64]
TYPES = ["peak", "low_shelf", "high_shelf", "low_pass", "high_pass", "notch", "band_pass"]
GRAPHIC: dict[str, Any] = {
    "preamp_db": -3,
    "bands": [
        {"freq_hz": 31.25 * 2**k, "gain_db": gain, "q": 1.41}
        for k, gain in enumerate([6, -4, 3, -5, 4, -3, 5, -6, 4, -2])
    ],
}


def cookbook(kind: str, freq: float, gain_db: float, q: float, rate: float) -> Array:
    """A band as `[b0, b1, b2, a0, a1, a2]`: R. Bristow-Johnson's audio EQ cookbook, with a0 = 1."""
    a, w = 10 ** (gain_db / 40), 2 * np.pi * freq / rate
    c, alpha = np.cos(w), np.sin(w) / (2 * q)
    r = 2 * np.sqrt(a) * alpha
    low, high = (a + 1) - (a - 1) * c, (a + 1) + (a - 1) * c
    resonator = [1 + alpha, -2 * c, 1 - alpha]
    b, d = {
        "peak": ([1 + alpha * a, -2 * c, 1 - alpha * a], [1 + alpha / a, -2 * c, 1 - alpha / a]),
        "low_shelf": (
            [a * (low + r), 2 * a * ((a - 1) - (a + 1) * c), a * (low - r)],
            [high + r, -2 * ((a - 1) + (a + 1) * c), high - r],
        ),
        "high_shelf": (
            [a * (high + r), -2 * a * ((a - 1) + (a + 1) * c), a * (high - r)],
            [low + r, 2 * ((a - 1) - (a + 1) * c), low - r],
        ),
        "low_pass": ([(1 - c) / 2, 1 - c, (1 - c) / 2], resonator),
        "high_pass": ([(1 + c) / 2, -(1 + c), (1 + c) / 2], resonator),
        "notch": ([1, -2 * c, 1], resonator),
        "band_pass": ([alpha, 0, -alpha], resonator),
    }[kind]
    out: Array = np.array(b + d) / d[0]
    return out


def reference(x: npt.NDArray[Any], config: dict[str, Any], rate: float) -> Array:
    """The same configuration in double precision."""
    bands = [
        cookbook(b.get("type", "peak"), b["freq_hz"], b.get("gain_db", 0), b.get("q", 1), rate)
        for b in config["bands"]
        if b["freq_hz"] < 0.49 * rate
    ]
    out: Array = sosfilt(np.array(bands), x.astype(np.float64) * 10 ** (config.get("preamp_db", 0) / 20), axis=0)
    return out


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(("freq", "q"), [(40.0, 0.7), (1000.0, 2.0), (9000.0, 0.5)])
@pytest.mark.parametrize("rate", [44100, 192000])
def test_response_of_each_type(twin: MakeTwin, kind: str, freq: float, q: float, rate: int) -> None:
    """The impulse response has the cookbook's magnitude and phase, in either precision's lanes."""
    band = {"type": kind, "freq_hz": freq, "gain_db": -7.5, "q": q}
    x = np.zeros((1 << 16, 2), np.float32)
    x[0] = 1
    # Two bands of a kind share a vector where frequencies are not low.
    y = twin("parametric-eq", rate, 2, {"bands": [band, band]}).process(x).astype(np.float64)
    at = np.geomspace(20, 0.49 * rate, 200)
    sos = cookbook(kind, freq, -7.5, q, rate)
    expected = freqz(sos[:3], sos[3:], at, fs=rate)[1] ** 2
    phases = np.exp(-2j * np.pi * np.outer(at / rate, np.arange(len(y))))
    for channel in range(2):
        np.testing.assert_allclose(phases @ y[:, channel], expected, atol=3e-4)


@pytest.mark.parametrize("rate", [44100, 192000])
def test_error_against_double_precision(twin: MakeTwin, rate: int) -> None:
    """Ten bands from 31 Hz up stay more than 120 dB below full scale from the exact result."""
    random, n = np.random.default_rng(5), rate
    time = np.arange(n)[:, None] / rate
    signals = {
        "noise": random.standard_normal((n, 2)) * 0.1,
        "low": 0.5 * np.sin(2 * np.pi * 41 * time) * [1, 1],
        "mid": 0.5 * np.sin(2 * np.pi * 997 * time) * [1, -1],
    }
    boost = {"bands": [{"freq_hz": 31.25 * 2**k, "gain_db": 6, "q": 1.41} for k in range(10)]}
    for config in (GRAPHIC, boost):
        for name, signal in signals.items():
            x = signal.astype(np.float32)
            error = twin("parametric-eq", rate, 2, config).process(x) - reference(x, config, rate)
            assert 20 * np.log10(np.sqrt((error**2).mean())) < -120, name


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8])
@pytest.mark.parametrize("count", range(11))
def test_every_number_of_bands_and_channels(twin: MakeTwin, channels: int, count: int) -> None:
    """All kernels give the same filter, whatever the size of the blocks."""
    config = {**GRAPHIC, "bands": [{"type": TYPES[k % 3], **b} for k, b in enumerate(GRAPHIC["bands"][:count])]}
    x = (np.random.default_rng(count).standard_normal((700, channels)) * 0.2).astype(np.float32)
    scale = np.float32(10 ** (-3 / 20))
    expected = reference(x, config, 48000) if count else x * scale
    whole = twin("parametric-eq", 48000, channels, config).process(x)
    np.testing.assert_allclose(whole, expected, atol=3e-6)
    for block in (1, 3, 64, 333):
        np.testing.assert_array_equal(twin("parametric-eq", 48000, channels, config).process(x, block), whole)


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
@pytest.mark.parametrize(("freq", "q"), [(40.0, 10.0), (300.0, 30.0), (31.25, 1.41), (997.0, 8.0)])
def test_a_tone_on_a_band_stays_exact(twin: MakeTwin, freq: float, q: float, rate: int) -> None:
    """A tone at the centre of a strong, narrow or low band, where errors ring longest, is right to -110 dBFS."""
    config = {"bands": [{"freq_hz": freq, "gain_db": 12, "q": q}, {"freq_hz": 2 * freq, "gain_db": -9, "q": q}]}
    tone = 0.25 * np.sin(2 * np.pi * freq / rate * np.arange(rate))
    x = np.stack([tone, -tone], axis=1).astype(np.float32)
    error = twin("parametric-eq", rate, 2, config).process(x) - reference(x, config, rate)
    assert 20 * np.log10(np.sqrt(np.mean(error**2))) < -110


def test_a_change_makes_no_click(twin: MakeTwin) -> None:
    """Strong changes, some during a fade, put nothing above 5 kHz into a 200 Hz tone."""
    rate = 48000
    x = (0.25 * np.sin(2 * np.pi * 200 * np.arange(rate) / rate))[:, None].repeat(2, 1).astype(np.float32)
    one = twin("parametric-eq", rate, 2)
    heard = []
    low = {"type": "low_shelf", "freq_hz": 300}
    changes: list[dict[str, Any]] = [
        GRAPHIC,
        {"bands": []},
        {"bands": [{**low, "gain_db": 12}]},
        {"bands": [{**low, "gain_db": -12}], "preamp_db": 6},
    ]
    for k in range(40):
        heard.append(one.process(x[k * 1200 : (k + 1) * 1200], 100 if k % 2 else 640))
        if k % 5 == 2:
            for change in changes[k % 4 :]:
                assert one.config(change)
    y = np.concatenate(heard)[:, 0].astype(np.float64)
    high_pass = np.array([cookbook("high_pass", 5000, 0, 0.7, rate)] * 3)
    assert np.abs(sosfilt(high_pass, y)[200:]).max() < 2e-4


def test_a_fade_ends_at_the_new_filter(twin: MakeTwin) -> None:
    """After the fade and a moment the output is that of the new configuration alone."""
    x = (np.random.default_rng(2).standard_normal((96000, 2)) * 0.1).astype(np.float32)
    one = twin("parametric-eq", 48000, 2)
    one.process(x[:1000])
    assert one.config({"bands": [{"freq_hz": 900, "gain_db": 9}]})
    assert one.config(GRAPHIC)
    np.testing.assert_allclose(
        one.process(x)[-1000:], twin("parametric-eq", 48000, 2, GRAPHIC).process(x)[-1000:], atol=1e-6
    )
