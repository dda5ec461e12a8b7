"""When a sidecar that ended is started again: a state machine without a clock or chance of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from stellatune_plugins.package.manifest import SidecarRestart

FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 60.0
JITTER: Final = 0.2
"""Share of a delay by which it is longer or shorter, by chance, so that many do not come back at once."""
HEALTHY_SECONDS: Final = 600.0
"""A run that lasted so long starts a new count."""
QUARANTINE: Final = ((5, 60.0), (8, 600.0))
"""So many failures in so many seconds."""


class Again(msgspec.Struct, frozen=True):
    """Start it again after ``delay`` seconds; ``attempt`` counts the restarts since it was last healthy, from 1."""

    delay: float
    attempt: int


class Rest(msgspec.Struct, frozen=True):
    """Leave it: it was told to end, or its policy says so."""


class Quarantine(msgspec.Struct, frozen=True):
    """Leave it until somebody lifts the quarantine."""

    failures: int
    seconds: float


Decision = Again | Rest | Quarantine


class Supervision:
    """One sidecar's history, and what follows from it.

    Args:
        policy: the manifest's.
        chance: a number from 0 to 1, evenly spread.
        failures: times of earlier failures, of earlier hosts too, on the clock of the ``now`` below.
    """

    def __init__(self, policy: SidecarRestart, chance: Callable[[], float], failures: Iterable[float] = ()) -> None:
        self.policy = policy
        self._chance = chance
        self._failures = sorted(failures)
        self._attempts = 0
        self._started: float | None = None

    @property
    def failures(self) -> tuple[float, ...]:
        """The failures that still count, oldest first."""
        return tuple(self._failures)

    def started(self, now: float) -> None:
        """It runs."""
        self._started = now

    def ended(self, now: float, *, failed: bool, intended: bool = False) -> Decision:
        """It ended, or did not even start.

        Args:
            now: seconds on any steady clock.
            failed: by its exit code, or since it did not start.
            intended: the host stopped it.
        """
        started, self._started = self._started, None
        if started is not None and now - started >= HEALTHY_SECONDS:
            self._attempts = 0
            self._failures.clear()
        if intended:
            return Rest()
        if failed:
            longest = max(seconds for _, seconds in QUARANTINE)
            self._failures = [then for then in self._failures if now - then < longest]
            self._failures.append(now)
            for most, seconds in QUARANTINE:
                count = sum(now - then < seconds for then in self._failures)
                if count >= most:
                    return Quarantine(count, seconds)
        if self.policy is SidecarRestart.NEVER or (self.policy is SidecarRestart.ON_FAILURE and not failed):
            return Rest()
        return self._again()

    def lifted(self) -> None:
        """The quarantine was lifted: a clean slate."""
        self._failures.clear()
        self._attempts = 0

    def _again(self) -> Again:
        self._attempts += 1
        if self._attempts == 1:
            return Again(0.0, 1)
        # Beyond the sixth doubling it no longer grows, and neither must the number.
        plain = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(self._attempts - 2, 10))
        return Again(plain * (1 + JITTER * (2 * self._chance() - 1)), self._attempts)
