"""Crossfeed: the response of its published formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

MakeTwin = Callable[..., Any]


@pytest.mark.parametrize("rate", [44100, 192000])
@pytest.mark.parametrize(("cutoff", "feed"), [(700.0, 4.5), (700.0, 6.0), (650.0, 9.5)])
def test_response(twin: MakeTwin, rate: int, cutoff: float, feed: float) -> None:
    """Direct and crossed paths have the responses of the bs2b formulas."""
    x = np.zeros((1 << 15, 2), np.float32)
    x[0, 0] = 1
    y = twin("crossfeed", rate, 2, {"cutoff_hz": cutoff, "feed_db": feed}).process(x).astype(np.float64)
    cross = 10 ** ((-5 / 6 * feed - 3) / 20)
    shelf = 1 - 10 ** ((feed / 6 - 3) / 20)
    corner = cutoff * 2 ** ((-5 / 6 * feed - 3 - 20 * np.log10(shelf)) / 12)
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(len(x)))
    p, q = np.exp(-2 * np.pi * cutoff / rate), np.exp(-2 * np.pi * corner / rate)
    scale = 1 / (1 - shelf + cross)
    np.testing.assert_allclose(np.fft.rfft(y[:, 0]), scale * (1 - shelf * (1 - q) / (1 - q * z)), atol=2e-5)
    np.testing.assert_allclose(np.fft.rfft(y[:, 1]), scale * cross * (1 - p) / (1 - p * z), atol=2e-5)


def test_bass_of_a_mono_signal_keeps_its_level(twin: MakeTwin) -> None:
    """A steady signal on both sides comes out as it went in."""
    y = twin("crossfeed").process(np.full((8000, 2), 0.5, np.float32))
    np.testing.assert_allclose(y[-100:], 0.5, atol=1e-5)


def test_switching_off_fades_to_the_plain_signal(twin: MakeTwin) -> None:
    """Disabled, the sound passes untouched, and the way there makes no step."""
    x = (0.25 * np.sin(2 * np.pi * 200 * np.arange(24000) / 48000))[:, None] * np.array([[1.0, -1.0]])
    one = twin("crossfeed", 48000)
    first = one.process(x[:4801])
    assert one.config({"enabled": False})
    y = np.concatenate([first, one.process(x[4801:])])
    assert np.abs(np.diff(y[10:], 2, axis=0)).max() < 0.001
    np.testing.assert_array_equal(y[-9000:], x[-9000:].astype(np.float32))
