"""Time that was measured now and then, and what it says of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Sample:
    """Measured time, and for how many frames."""

    nanoseconds: int = 0
    frames: int = 0

    def add(self, nanoseconds: int, frames: int) -> None:
        """Count one more measurement."""
        self.nanoseconds += nanoseconds
        self.frames += frames

    @property
    def per_frame(self) -> float:
        """Nanoseconds a frame, 0 where nothing was measured."""
        return self.nanoseconds / self.frames if self.frames else 0.0


def share_out(fused: Sample, apart: Sequence[Sample], clocks: Sequence[int]) -> list[float]:
    """Seconds of each stage for all its frames.

    Batches that are timed stage by stage take longer than fused ones, so their times only share out the latter's.

    Args:
        fused: batches that were timed as a whole.
        apart: each stage's own batches.
        clocks: each stage's frames in all.
    """
    whole = sum(sample.per_frame for sample in apart)
    scale = fused.per_frame / whole if whole and fused.frames else 1.0
    return [sample.per_frame * scale * clock / 1e9 for sample, clock in zip(apart, clocks, strict=True)]
