"""Blends are continuous, end where they should, and may be applied in portions."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stellatune_plugins.hotpath.fades import Blend
from stellatune_plugins.model import Block

WET, DRY = 0.5, -0.25


def run(blend: Blend, *sizes: int) -> Block:
    """Apply a blend to constants, in portions."""
    parts = []
    for size in sizes:
        wet, dry = np.full((size, 2), WET, np.float32), np.full((size, 2), DRY, np.float32)
        blend.apply(wet, dry)
        parts.append(wet)
    return np.concatenate(parts)


@given(cut=st.integers(1, 99), out=st.booleans(), hold=st.integers(0, 30))
def test_portions_do_not_matter(cut: int, out: bool, hold: int) -> None:
    """A fade over one block equals the same fade over two."""

    def blend() -> Blend:
        made = Blend(60, 1.0 if out else 0.0)
        if out:
            made.fade_out()
        else:
            made.fade_in(hold)
        return made

    assert np.allclose(run(blend(), 100), run(blend(), cut, 100 - cut), atol=1e-6)


def test_a_fade_goes_all_the_way_and_then_rests() -> None:
    """In even steps, and exact at the end."""
    blend = Blend(50)
    blend.fade_out()
    assert blend.left == 50
    y = run(blend, 50)[:, 0]
    assert y[-1] == np.float32(DRY)
    assert np.allclose(np.diff(y), (DRY - WET) / 50, atol=1e-6)
    assert not blend.active
    assert blend.left == 0
    assert (run(blend, 5) == np.float32(DRY)).all()


def test_an_in_fade_waits_for_the_latency() -> None:
    """While a fresh instance fills up, the dry signal is heard."""
    blend = Blend(10, 0.0)
    blend.fade_in(20)
    y = run(blend, 40)[:, 0]
    assert (y[:20] == np.float32(DRY)).all()
    assert (y[30:] == np.float32(WET)).all()


@given(st.lists(st.tuples(st.sampled_from(["in", "out"]), st.integers(1, 40)), min_size=1, max_size=20))
def test_a_fade_that_is_turned_round_does_not_jump(orders: list[tuple[str, int]]) -> None:
    """Whatever the order of ins and outs, no step is larger than the slope."""
    blend = Blend(25)
    parts = [run(blend, 3)]
    for what, frames in orders:
        if what == "in":
            blend.fade_in()
        else:
            blend.fade_out()
        parts.append(run(blend, frames))
    y = np.concatenate(parts)[:, 0]
    assert np.abs(np.diff(y)).max() <= (WET - DRY) / 25 * 1.51


def test_a_cut_is_ramped_away() -> None:
    """The dry signal starts where the stage broke off."""
    blend = Blend(50)
    blend.cut(np.full(2, WET, np.float32))
    y = run(blend, 30, 70)[:, 0]
    assert abs(y[0] - WET) <= (WET - DRY) / 50 + 1e-6
    assert np.abs(np.diff(y)).max() <= (WET - DRY) / 50 + 1e-6
    assert (y[50:] == np.float32(DRY)).all()


def test_a_cut_of_what_is_not_heard_changes_nothing() -> None:
    """A stage that crashes while it is out was not heard, so there is no step."""
    blend = Blend(50, 0.0)
    blend.cut(np.full(2, 9.0, np.float32))
    assert not blend.active
    assert (run(blend, 60) == np.float32(DRY)).all()


def test_a_wild_step_is_limited() -> None:
    """Samples at the edge of float32 do not become infinite."""
    blend = Blend(10)
    blend.cut(np.full(2, 3e38, np.float32))
    wet = np.full((10, 2), -3e38, np.float32)
    blend.apply(wet, wet.copy())
    assert np.isfinite(wet).all()


def test_samples_at_the_edge_stay_finite() -> None:
    """Halfway between the largest and the smallest float32 is zero, not infinity."""
    blend = Blend(2)
    blend.fade_out()
    wet, dry = np.full((1, 1), 3.4e38, np.float32), np.full((1, 1), -3.4e38, np.float32)
    blend.apply(wet, dry)
    assert wet[0, 0] == 0
