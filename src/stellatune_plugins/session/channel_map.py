"""How the channels of a chain reach a stage that does not support their layout."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stellatune_plugins.hotpath import Mapping
from stellatune_plugins.model import Block


def candidates(channels: int) -> Iterator[tuple[Mapping, int]]:
    """The ways to bring so many channels to a stage, best first, each with the channels that the stage sees."""
    yield Mapping.DIRECT, channels
    if channels == 1:
        yield Mapping.MONO_AS_STEREO, 2
        return
    if channels > 2:
        yield Mapping.FRONT_PAIR, 2
    yield Mapping.PER_CHANNEL, 1


def width(mapping: Mapping, channels: int) -> int:
    """The channels that the stage sees when so many are brought to it this way."""
    return next(seen for candidate, seen in candidates(channels) if candidate is mapping)


def gather(mapping: Mapping, block: Block, instance: int) -> Block:
    """What one instance of the stage gets: always a copy of its own, since it may work in place."""
    if mapping is Mapping.DIRECT:
        return np.array(block, order="C")
    if mapping is Mapping.FRONT_PAIR:
        return np.array(block[:, :2], order="C")
    if mapping is Mapping.PER_CHANNEL:
        return np.array(block[:, instance : instance + 1], order="C")
    return np.repeat(block, 2, axis=1)


def scatter(mapping: Mapping, out: Block, result: Block, instance: int) -> None:
    """Put what an instance gave into ``out``, which holds the dry signal."""
    if mapping is Mapping.DIRECT:
        out[...] = result
    elif mapping is Mapping.FRONT_PAIR:
        out[:, :2] = result
    elif mapping is Mapping.PER_CHANNEL:
        out[:, instance] = result[:, 0]
    else:
        half = np.float32(0.5)  # of each, since the sum of both may be infinite
        out[:, 0] = half * result[:, 0] + half * result[:, 1]
