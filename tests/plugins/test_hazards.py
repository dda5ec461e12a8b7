"""What every plugin must survive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

MakeTwin = Callable[..., Any]


NAMES = ["crossfeed", "gain", "limiter", "parametric-eq", "reverb"]
BUSY: dict[str, dict[str, Any]] = {
    "parametric-eq": {"bands": [{"freq_hz": 31.25 * 2**k, "gain_db": 6} for k in range(10)]},
}


@pytest.mark.parametrize("name", NAMES)
def test_reset_forgets_everything(twin: MakeTwin, name: str) -> None:
    """After infinities, NaNs and a reset, the output is that of a fresh stream."""
    config = BUSY.get(name, {})
    x = (np.random.default_rng(1).standard_normal((5000, 2)) * 0.3).astype(np.float32)
    bad = x.copy()
    bad[10], bad[500], bad[600, 1] = np.nan, np.inf, -np.inf
    one = twin(name, config=config)
    one.process(bad)
    one.reset()
    np.testing.assert_array_equal(one.process(x), twin(name, config=config).process(x))


@pytest.mark.parametrize("name", NAMES)
def test_bad_samples_do_not_stay(twin: MakeTwin, name: str) -> None:
    """A while after NaN and infinity the output is finite again, without a reset."""
    one = twin(name, config=BUSY.get(name, {}))
    bad = np.zeros((512, 2), np.float32)
    bad[7], bad[100] = np.nan, np.inf
    one.process(bad)
    one.process(np.zeros((512, 2), np.float32))
    x = (np.random.default_rng(1).standard_normal((5000, 2)) * 0.3).astype(np.float32)
    assert np.isfinite(one.process(x)).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [8000, 11025, 44100, 96000, 192000])
def test_every_rate_is_stable(twin: MakeTwin, name: str, rate: int) -> None:
    """Loud noise in the extremes of every rate gives finite sound, and silence after it."""
    one = twin(name, rate, 2, BUSY.get(name, {}))
    loud = np.random.default_rng(1).standard_normal((rate // 4, 2))
    assert np.isfinite(one.process(loud, 480)).all()
    y = one.process(np.zeros((one.tail + 4096, 2), np.float32), 4096)
    assert np.abs(y[-2048:]).max() < 3e-3


@pytest.mark.parametrize("name", NAMES)
def test_in_place_is_the_same(twin: MakeTwin, name: str) -> None:
    """Input and output may be one buffer."""
    x = (np.random.default_rng(1).standard_normal((1000, 2)) * 0.3).astype(np.float32)
    expected = twin(name, config=BUSY.get(name, {})).process(x, 1000)
    one, buffer = twin(name, config=BUSY.get(name, {})), x.copy()
    assert one.lib.st_twin_process(one.context, buffer.ctypes.data, buffer.ctypes.data, 1000) == 0
    np.testing.assert_array_equal(buffer, expected)


@pytest.mark.parametrize("name", NAMES)
def test_streams_do_not_touch_each_other(twin: MakeTwin, name: str) -> None:
    """Two streams in turn give what each gives alone."""
    x = (np.random.default_rng(1).standard_normal((2000, 2)) * 0.3).astype(np.float32)
    alone = twin(name).process(x)
    a, b = twin(name), twin(name, 48000)
    heard = []
    for at in range(0, 2000, 200):
        heard.append(a.process(x[at : at + 200]))
        b.process(x[:133])
    np.testing.assert_array_equal(np.concatenate(heard), alone)
