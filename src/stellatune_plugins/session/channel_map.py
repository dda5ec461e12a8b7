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


def gather(mapping: Mapping, block: Block, instance: int) -> Block:
    """What one instance of the stage gets."""
    if mapping is Mapping.DIRECT:
        return block
    if mapping is Mapping.FRONT_PAIR:
        return np.ascontiguousarray(block[:, :2])
    if mapping is Mapping.PER_CHANNEL:
        return np.ascontiguousarray(block[:, instance : instance + 1])
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
        out[:, 0] = (result[:, 0] + result[:, 1]) * np.float32(0.5)
