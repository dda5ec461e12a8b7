"""Fades round a stage, so that taking it out or putting it back does not click. Pure arithmetic on blocks."""

from __future__ import annotations

import enum

import numpy as np
import numpy.typing as npt

from stellatune_plugins.model import Block

Frame = npt.NDArray[np.float32]
"""One frame, shape ``(channels,)``."""


class FadeKind(enum.Enum):
    """What a fade does."""

    IN = "in"
    """From the dry signal to the stage's output."""
    OUT = "out"
    """From the stage's output to the dry signal."""
    SETTLE = "settle"
    """From where a crashed stage's output broke off to the dry signal: a step at the break, ramped away."""


class Fade:
    """A linear fade of so many frames, applied block after block.

    Args:
        kind: what it does.
        frames: how long it takes.
        hold: frames before an IN fade begins, while a fresh instance's latency fills up.
        last: for SETTLE, the last frame that was heard before the break.
    """

    def __init__(self, kind: FadeKind, frames: int, *, hold: int = 0, last: Frame | None = None) -> None:
        self.kind = kind
        self._frames = max(frames, 1)
        self._hold = hold
        self._at = 0
        self._last = last
        self._step: Frame | None = None

    @property
    def left(self) -> int:
        """Frames until it is over."""
        return self._hold + self._frames - self._at

    def _ramp(self, count: int) -> npt.NDArray[np.float32]:
        """Rising from 0 to 1, for the next ``count`` frames, as a column."""
        at = np.arange(self._at + 1, self._at + count + 1, dtype=np.float32) - np.float32(self._hold)
        self._at += count
        ramp: npt.NDArray[np.float32] = np.clip(at / np.float32(self._frames), 0.0, 1.0)[:, np.newaxis]
        return ramp

    def apply(self, wet: Block, dry: Block) -> None:
        """Mix into ``wet``, in place. For SETTLE ``wet`` already is the dry signal."""
        ramp = self._ramp(len(wet))
        if self.kind is FadeKind.SETTLE:
            if self._step is None:
                self._step = wet[0] * 0 if self._last is None else self._last - wet[0]
            wet += (1.0 - ramp) * self._step
            return
        gain = ramp if self.kind is FadeKind.IN else 1.0 - ramp
        wet *= gain
        wet += dry * (1.0 - gain)
