"""How much of a stage is heard, moving without clicks. Pure arithmetic on blocks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stellatune_plugins.model import Block

Frame = npt.NDArray[np.float32]
"""One frame, shape ``(channels,)``."""


class Blend:
    """The mix of a stage's output and the dry signal, frame by frame.

    The gain moves toward its target by ``1 / frames`` a frame, from wherever it is, so a fade that is turned round
    half-way does not jump. A crash cuts to the dry signal; the step that this makes is ramped away over as many frames.

    Args:
        frames: how long a whole fade takes.
        gain: 1 for the stage alone, 0 for the dry signal alone.
    """

    def __init__(self, frames: int, gain: float = 1.0) -> None:
        self._frames = max(frames, 1)
        self.gain = gain
        self.target = gain
        self._hold = 0
        self._last: Frame | None = None
        self._step: Frame | None = None
        self._settling = 0

    @property
    def active(self) -> bool:
        """Whether a block needs :meth:`apply` to sound as it should."""
        return self.gain != self.target or self._settling > 0

    @property
    def left(self) -> int:
        """Frames until nothing moves any more."""
        moving = self._hold + round(abs(self.target - self.gain) * self._frames) if self.gain != self.target else 0
        return max(moving, self._settling)

    def fade_in(self, hold: int = 0) -> None:
        """Toward the stage, after ``hold`` frames in which a fresh instance's latency fills up."""
        self.target, self._hold = 1.0, hold

    def fade_out(self) -> None:
        """Toward the dry signal."""
        self.target, self._hold = 0.0, 0

    def cut(self, last: Frame | None, last_dry: Frame | None = None) -> None:
        """To the dry signal at once.

        Args:
            last: the last frame that was heard; ``None`` where nothing was.
            last_dry: the dry signal's frame at that moment; where it is not known, the next one stands for it, which
                disturbs even a stage that changes nothing.
        """
        heard = self.gain > 0.0
        self.gain = self.target = 0.0
        self._hold = 0
        if not heard:
            return  # the dry signal was heard already, or what was left of an earlier cut
        self._last, self._step = (None if last is None else last.copy()), None
        if last is not None and last_dry is not None:
            self._step = _limited(last, last_dry)
        self._settling = self._frames

    def forget(self) -> None:
        """After a seek there is nothing to be continuous with."""
        self.gain, self._hold, self._settling = self.target, 0, 0

    def apply(self, wet: Block, dry: Block) -> None:
        """Mix the next frames into ``wet``, in place."""
        if self.gain != self.target:
            self._mix(wet, dry)
        elif self.gain == 0.0:
            wet[...] = dry
        if self._settling:
            self._settle(wet)

    def _mix(self, wet: Block, dry: Block) -> None:
        held = min(self._hold, len(wet))
        self._hold -= held
        if self.gain == 0.0:
            wet[:held] = dry[:held]
        elif self.gain != 1.0:
            exact = dry[:held].astype(np.float64)
            wet[:held] = exact + (wet[:held] - exact) * self.gain
        wet, dry = wet[held:], dry[held:]
        steps = np.arange(1, len(wet) + 1, dtype=np.float64) / self._frames
        rising = self.target > self.gain
        gains = np.clip(self.gain + steps if rising else self.gain - steps, 0.0, 1.0)
        if len(gains):
            self.gain = float(gains[-1])
            if abs(self.target - self.gain) < 0.5 / self._frames:
                self.gain = self.target
                gains[-1] = self.target
        moving = gains != 1.0  # the others are left as they are, bit for bit
        exact = dry[moving].astype(np.float64)  # two samples at the edge of float32 are too far apart for it
        wet[moving] = exact + (wet[moving] - exact) * gains[moving, np.newaxis]

    def _settle(self, wet: Block) -> None:
        head = wet[: self._settling]
        if not len(head):
            return
        if self._step is None:
            start = np.zeros_like(head[0]) if self._last is None else self._last
            self._step = _limited(start, head[0])
        left = np.arange(self._settling - 1, self._settling - 1 - len(head), -1, dtype=np.float32)
        head += (left / np.float32(self._frames))[:, np.newaxis] * self._step
        self._settling -= len(head)


def _limited(last: Frame, dry: Frame) -> Frame:
    """The step of a break. One beyond what music has could overflow, and nothing is lost by limiting it."""
    step = last.astype(np.float64) - dry
    return np.clip(step, -4.0, 4.0).astype(np.float32)
