"""Sample rate conversion, by soxr."""

from __future__ import annotations

import numpy as np
import soxr

from stellatune_plugins.model import AudioSpec, Block
from stellatune_plugins.session.report import ResampleQuality


def resampled_frames(frames: int, rate_in: int, rate_out: int) -> int:
    """How many frames so many become: rounded to the nearest."""
    return (frames * rate_out * 2 + rate_in) // (rate_in * 2)


class Resampler:
    """A stream's conversion to another rate, aligned in time, with exactly :func:`resampled_frames` in all."""

    def __init__(self, spec: AudioSpec, rate_out: int, quality: ResampleQuality) -> None:
        self._spec = spec
        self._rate_out = rate_out
        self._stream = soxr.ResampleStream(spec.sample_rate, rate_out, spec.channels, dtype="float32", quality=quality)
        self._taken = 0
        self._given = 0

    def process(self, block: Block) -> Block:
        """The frames that are due."""
        self._taken += len(block)
        return self._counted(self._stream.resample_chunk(np.ascontiguousarray(block)))

    def finish(self) -> Block:
        """What is left."""
        rest = self._counted(self._stream.resample_chunk(np.zeros((0, self._spec.channels), np.float32), last=True))
        owed = resampled_frames(self._taken, self._spec.sample_rate, self._rate_out) - self._given
        if owed < 0:  # soxr rounds up
            rest = rest[: len(rest) + owed]
        elif owed > 0:
            rest = np.concatenate([rest, np.zeros((owed, self._spec.channels), np.float32)])
        self._given += owed
        return rest

    def _counted(self, block: Block) -> Block:
        block = block.reshape(-1, self._spec.channels)
        self._given += len(block)
        return block
