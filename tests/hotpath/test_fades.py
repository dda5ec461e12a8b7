"""Fades are continuous, end where they should, and may be applied in portions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.hotpath.fades import Fade, FadeKind


@given(cut=st.integers(1, 99), kind=st.sampled_from([FadeKind.IN, FadeKind.OUT]))
def test_portions_do_not_matter(cut: int, kind: FadeKind) -> None:
    """A fade over one block equals the same fade over two."""
    wet, dry = np.full((100, 2), 0.5, np.float32), np.full((100, 2), -0.25, np.float32)
    whole, parts = wet.copy(), wet.copy()
    Fade(kind, 60, hold=7).apply(whole, dry)
    fade = Fade(kind, 60, hold=7)
    fade.apply(parts[:cut], dry[:cut])
    fade.apply(parts[cut:], dry[cut:])
    assert np.array_equal(whole, parts)


@pytest.mark.parametrize(("kind", "start", "end"), [(FadeKind.IN, 0.0, 1.0), (FadeKind.OUT, 1.0, 0.0)])
def test_a_fade_goes_all_the_way(kind: FadeKind, start: float, end: float) -> None:
    """From one signal to the other in even steps."""
    wet = np.ones((50, 1), np.float32)
    fade = Fade(kind, 50)
    fade.apply(wet, np.zeros((50, 1), np.float32))
    assert abs(wet[0, 0] - start) <= 1 / 50 + 1e-6
    assert wet[-1, 0] == end
    assert fade.left == 0


def test_an_in_fade_waits_for_the_latency() -> None:
    """While a fresh instance fills up, the dry signal is heard."""
    wet = np.ones((30, 1), np.float32)
    Fade(FadeKind.IN, 10, hold=20).apply(wet, np.zeros((30, 1), np.float32))
    assert not wet[:20].any()
    assert wet[-1, 0] == 1


def test_a_break_is_ramped_away() -> None:
    """The dry signal starts where the wet one broke off."""
    dry = np.zeros((100, 1), np.float32)
    Fade(FadeKind.SETTLE, 50, last=np.ones(1, np.float32)).apply(dry, dry)
    assert dry[0, 0] == pytest.approx(0.98)
    assert np.abs(np.diff(dry[:, 0])).max() <= 0.02 + 1e-6
    assert not dry[50:].any()
