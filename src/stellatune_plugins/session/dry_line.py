"""The signal as it would be without a stage."""

from __future__ import annotations

import numpy as np

from stellatune_plugins.model import Block


class DryLine:
    """Delays by a stage's latency and gives the stage's width: channels are dropped at the end, or are silent.

    Args:
        latency: frames.
        channels: of the stage's input.
        width: of its output.
    """

    def __init__(self, latency: int, channels: int, width: int) -> None:
        self._channels = channels
        self._width = width
        self._history = np.zeros((latency, channels), np.float32)

    def delayed(self, block: Block) -> Block:
        """As many frames as go in; may be a view of them."""
        if len(self._history):
            whole = np.concatenate((self._history, block))
            self._history, block = whole[len(block) :], whole[: len(block)]
        if self._width <= self._channels:
            return block[:, : self._width]
        return np.pad(block, ((0, 0), (0, self._width - self._channels)))
