"""Gain: levels, balance and ramps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

MakeTwin = Callable[..., Any]


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("block", [1, 7, 64, 513])
def test_level_in_every_layout(twin: MakeTwin, channels: int, block: int) -> None:
    """Every sample of every channel is scaled by the same factor."""
    x = np.random.default_rng(1).standard_normal((1500, channels)).astype(np.float32)
    y = twin("gain", 48000, channels, {"gain_db": -12.0}).process(x, block)
    np.testing.assert_array_equal(y, x * np.float32(10 ** (-12 / 20)))


def test_balance_turns_one_side_down(twin: MakeTwin) -> None:
    """Balance to the right lowers left channels alone, and leaves centre and LFE of 5.1 as they are."""
    x = np.ones((64, 6), np.float32)
    y = twin("gain", 48000, 6, {"balance": 0.25}).process(x)
    np.testing.assert_array_equal(y[0], np.array([0.75, 1, 1, 1, 0.75, 1], np.float32))


def test_a_change_is_a_ramp(twin: MakeTwin) -> None:
    """Muting takes the time that is set, in equal steps, across blocks."""
    one = twin("gain", 48000, 2, {"ramp_ms": 10})
    x = np.ones((2000, 2), np.float32)
    one.process(x[:100])
    assert one.config({"mute": True, "ramp_ms": 10})
    y = one.process(x, 77)[:, 0]
    np.testing.assert_allclose(np.diff(y[:480]), -1 / 480, atol=1e-6)
    assert not y[479:].any()


def test_a_change_during_a_ramp_goes_on_from_there(twin: MakeTwin) -> None:
    """Turning round half way makes no step."""
    one = twin("gain", 48000, 1)
    x = np.ones((5000, 1), np.float32)
    heard = [one.process(x[:100])]
    for db in (-60.0, 0.0, -6.0, 6.0):
        assert one.config({"gain_db": db})
        heard.append(one.process(x[:333], 100))
    assert np.abs(np.diff(np.concatenate(heard)[:, 0])).max() < 2.0 / 960 + 1e-6
