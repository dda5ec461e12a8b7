"""How often a cell may be replaced."""

from __future__ import annotations

import collections
from collections.abc import Callable

import msgspec


class ReplacementPolicy(msgspec.Struct, frozen=True):
    """At most ``limit`` replacements within ``window`` seconds."""

    limit: int = 3
    window: float = 60.0


class ReplacementBudget:
    """Counts one instance's replacements. Once overdrawn it stays so until lifted: time alone does not help.

    A plugin that crashes ever again would otherwise cost a fresh cell a second for hours, and nobody would look at it.

    Args:
        policy: how many, in how long.
        clock: monotonic seconds.
    """

    def __init__(self, policy: ReplacementPolicy, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self._times: collections.deque[float] = collections.deque()
        self.spent = 0
        """Replacements ever."""
        self.overdrawn = False

    def spend(self) -> bool:
        """Take one replacement; false where there is none left."""
        now = self._clock()
        while self._times and now - self._times[0] > self._policy.window:
            self._times.popleft()
        if self.overdrawn or len(self._times) >= self._policy.limit:
            self.overdrawn = True
            return False
        self._times.append(now)
        self.spent += 1
        return True

    def lift(self) -> None:
        """Start a new budget."""
        self._times.clear()
        self.overdrawn = False
