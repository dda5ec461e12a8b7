"""What a chain delays and what it rings on: latency compensated, tail rendered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from stellatune_plugins.model import Block, Frames
from stellatune_plugins.session.stages import Chain

SILENT: Final = 10 ** (-90 / 20)
"""Below this, -90 dBFS, a tail is taken for over."""
SILENT_FOR_S: Final = 1.0


class Delivery:
    """A chain whose output lies in time with its input: its first ``latency`` frames are dropped.

    Blocks that it gives are copies, since a chain's own are valid until the next call only.
    """

    def __init__(self, chain: Chain, batch: int) -> None:
        self._chain = chain
        self._batch = batch
        self.latency: Frames = chain.latency()
        self._to_drop: int = self.latency
        self.taken = 0
        self.delivered = Frames(0)

    def process(self, block: Block) -> Iterator[Block]:
        """Send the input's next frames through."""
        self.taken += len(block)
        for at in range(0, len(block), self._batch):
            yield from self.push(block[at : at + self._batch])

    def push(self, block: Block) -> Iterator[Block]:
        """Send frames through that are no input, such as the silence behind it."""
        out = self._chain.process(block)
        dropped = min(self._to_drop, len(out))
        self._to_drop -= dropped
        if dropped < len(out):
            out = out[dropped:].copy()
            self.delivered = Frames(self.delivered + len(out))
            yield out


class Tail:
    """The silence that is sent after the input, and what comes of it.

    Args:
        chain: of the session.
        delivery: what the input went through.
        frames: of sound behind the input's end, the latency included (it comes in any case); ``None`` for a tail
            without end, which is followed until it is silent for a second.
        limit: frames behind the input's end, latency not included, at which an endless tail is cut.
    """

    def __init__(self, chain: Chain, delivery: Delivery, frames: Frames | None, *, limit: Frames) -> None:
        self._chain = chain
        self._delivery = delivery
        self._frames = frames
        self._limit = limit

    def blocks(self) -> Iterator[Block]:
        """What comes after the input's last frame went in."""
        latency = self._delivery.latency
        if self._frames is not None:
            yield from self._silence_in(max(latency, self._frames))
            return
        yield from self._silence_in(latency)
        yield from self._until_silent()

    def _silence_in(self, frames: int) -> Iterator[Block]:
        spec = self._chain.input_spec
        batch = min(frames, 16384)
        zeros = np.zeros((batch, spec.channels), np.float32)
        while frames > 0:
            block = zeros[: min(batch, frames)]
            frames -= len(block)
            yield from self._delivery.push(block)

    def _until_silent(self) -> Iterator[Block]:
        """Silent blocks wait: they are written when something audible follows, and dropped when nothing does."""
        enough = round(SILENT_FOR_S * self._chain.input_spec.sample_rate)
        waiting: list[Block] = []
        quiet = 0
        left: int = self._limit
        while left > 0 and quiet < enough:
            step = min(left, 4096)
            left -= step
            for block in self._silence_in(step):
                loud = np.flatnonzero(np.abs(block).max(axis=1) >= SILENT)
                if not len(loud):
                    waiting.append(block)
                    quiet += len(block)
                    continue
                yield from waiting
                waiting.clear()
                last = int(loud[-1]) + 1
                yield block[:last]
                quiet = len(block) - last
                if quiet:
                    waiting.append(block[last:])
        dropped = sum(map(len, waiting))
        self._delivery.delivered = Frames(self._delivery.delivered - dropped)
