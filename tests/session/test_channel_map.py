"""Channels reach a stage, and come back, without loss."""

from __future__ import annotations

import numpy as np
import pytest

from stellatune_plugins.hotpath import Mapping
from stellatune_plugins.session import channel_map

MAX = np.finfo(np.float32).max
CASES = [(mapping, channels) for channels in range(1, 9) for mapping, _ in channel_map.candidates(channels)]


@pytest.mark.parametrize(("mapping", "channels"), CASES)
@pytest.mark.parametrize("frames", [0, 1, 10])
def test_what_goes_there_comes_back(mapping: Mapping, channels: int, frames: int) -> None:
    """A stage that changes nothing changes nothing, and gets contiguous blocks of the promised width."""
    block = np.random.default_rng(1).uniform(-1, 1, (frames, channels)).astype(np.float32)
    out = block.copy()
    for instance in range(channels if mapping is Mapping.PER_CHANNEL else 1):
        given = channel_map.gather(mapping, block, instance)
        assert given.shape == (frames, channel_map.width(mapping, channels))
        assert given.flags.c_contiguous
        channel_map.scatter(mapping, out, given, instance)
    assert np.array_equal(out, block)


@pytest.mark.parametrize(("mapping", "channels"), CASES)
@pytest.mark.parametrize("frames", [1, 10])
def test_a_stage_gets_a_copy(mapping: Mapping, channels: int, frames: int) -> None:
    """Even where a part of the block would be contiguous as it is."""
    block = np.ones((frames, channels), np.float32)
    assert not np.shares_memory(channel_map.gather(mapping, block, 0), block)


@pytest.mark.parametrize("sample", [MAX, -MAX])
def test_mono_from_stereo_does_not_overflow(sample: float) -> None:
    """Two samples at the end of float32 have a mean."""
    out = np.zeros((1, 1), np.float32)
    channel_map.scatter(Mapping.MONO_AS_STEREO, out, np.full((1, 2), sample, np.float32), 0)
    assert out[0, 0] == np.float32(sample)
