"""From codec frames to blocks: conversion to float, and a queue that keeps the last block back."""

from __future__ import annotations

from typing import Any

import av
import numpy as np

from stellatune_plugins.model import AudioSpec, Block


class Converter:
    """Makes interleaved float blocks of one size out of frames: in C, without the GIL.

    Args:
        spec: of the blocks; frames of another shape, as in chained Ogg, are converted to it.
        layout: PyAV's layout of the blocks.
        batch: frames a block.
    """

    def __init__(self, spec: AudioSpec, layout: Any, batch: int) -> None:
        self._spec = spec
        self._layout = layout
        self._batch = batch
        self._graph: Any = None

    def convert(self, frame: Any) -> list[Block]:
        """The blocks that became full."""
        frame.pts = None  # the filter graph must not act on gaps: the decoder does
        if self._graph is None:
            self._graph = av.AudioResampler(
                format="flt", layout=self._layout, rate=self._spec.sample_rate, frame_size=self._batch
            )
        try:
            return [self._samples_of(out) for out in self._graph.resample(frame)]
        except ValueError:  # the shape changed
            return self.flush() + self.convert(frame)

    def flush(self) -> list[Block]:
        """What is left."""
        graph, self._graph = self._graph, None
        return [] if graph is None else [self._samples_of(out) for out in graph.resample(None)]

    def _samples_of(self, frame: Any) -> Block:
        channels = self._spec.channels
        flat = np.frombuffer(frame.planes[0], np.float32, frame.samples * channels)
        return flat.reshape(frame.samples, channels)


class BlockQueue:
    """Blocks that wait to be read. The newest one is held back, since its end may turn out to be padding."""

    def __init__(self) -> None:
        self._ready: list[Block] = []
        self._held: Block | None = None
        self._to_drop = 0

    def __bool__(self) -> bool:
        return bool(self._ready)

    def drop(self, frames: int) -> None:
        """Leave out the next so many frames."""
        self._to_drop = max(0, frames)

    def put(self, block: Block) -> None:
        """Append a block."""
        dropped = min(len(block), self._to_drop)
        self._to_drop -= dropped
        if dropped == len(block):
            return
        self.release()
        self._held = block[dropped:]

    def release(self) -> None:
        """Let the newest block go as well."""
        if self._held is not None:
            self._ready.append(self._held)
            self._held = None

    def get(self, max_frames: int) -> Block:
        """The next frames; there must be some."""
        block = self._ready[0]
        if len(block) <= max_frames:
            return self._ready.pop(0)
        self._ready[0] = block[max_frames:]
        return block[:max_frames]

    def cut(self, frames: int) -> None:
        """Take so many frames off the end."""
        while frames > 0 and self._ready:
            block = self._ready.pop()
            if len(block) > frames:
                self._ready.append(block[: len(block) - frames])
            frames -= len(block)
