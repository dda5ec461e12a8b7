"""When a stage that failed gets another chance: pure policy, in frames of audio."""

from __future__ import annotations


class RecoveryPolicy:
    """Counts bad blocks and fresh instances of one stage.

    Args:
        strikes: bad blocks in a row that a living stage may give before it is bypassed.
        pauses: frames of audio to wait before each fresh instance.
    """

    def __init__(self, *, strikes: int, pauses: tuple[int, ...]) -> None:
        self._strikes = strikes
        self._pauses = pauses
        self._in_a_row = 0
        self._next_frame = -1
        self.replacements = 0

    def strike(self, frame: int, frames: int) -> bool:
        """Note a bad block; whether that was one too many."""
        self._in_a_row = self._in_a_row + 1 if frame == self._next_frame else 1
        self._next_frame = frame + frames
        return self._in_a_row >= self._strikes

    def return_at(self, frame: int) -> int | None:
        """When a stage that was bypassed at ``frame`` comes back, ``None`` for never. Uses up one chance."""
        if self.replacements >= len(self._pauses):
            return None
        pause = self._pauses[self.replacements]
        self.replacements += 1
        self._in_a_row = 0
        return frame + pause
