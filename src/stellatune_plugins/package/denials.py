"""Writing denials down: at once, but not without end, since a guest can be denied a million times a second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from stellatune_plugins.errors import StateFailed
from stellatune_plugins.observe import EventBus
from stellatune_plugins.observe.events import PermissionDenied
from stellatune_plugins.package.authority import Denial
from stellatune_plugins.package.ledger import Ledger

BURST: Final = 20
PER_SECOND: Final = 1.0

_log = logging.getLogger(__name__)


class _Told:
    """What is known of one plugin's denials: a bucket of those that may still be told, and the newest."""

    def __init__(self, now: float) -> None:
        self.tokens = float(BURST)
        self.at = now
        self.unsaid = 0
        self.newest: tuple[float, Denial] | None = None

    def may_tell(self, now: float) -> bool:
        self.tokens = min(BURST, self.tokens + (now - self.at) * PER_SECOND)
        self.at = now
        if self.tokens < 1:
            self.unsaid += 1
            return False
        self.tokens -= 1
        return True


class DenialLog:
    """Hears the denials of all plugins of one process; those that come too fast are counted.

    It never raises and hardly waits: a guest stands behind each denial, and denied it is in any case.

    Args:
        ledger: where denials are recorded; ``None`` for nowhere.
        bus: gets an event for each that is told.
        clock: monotonic seconds.
    """

    def __init__(self, ledger: Ledger | None, bus: EventBus, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._bus = bus
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[str, _Told] = {}

    def __call__(self, denial: Denial) -> None:
        """Take one denial."""
        now = self._clock()
        with self._lock:
            told = self._told.setdefault(denial.plugin, _Told(now))
            told.newest = (now, denial)
            if not told.may_tell(now):
                return
            unsaid, told.unsaid = told.unsaid, 0
        if unsaid:
            self._record_unsaid(denial, unsaid)
        self._record(denial)
        self._bus.emit(
            PermissionDenied(
                plugin=denial.plugin,
                version=denial.version,
                what=denial.what,
                wanted=denial.wanted[:MAX_TOLD],
                grant=denial.grant,
                unsaid=unsaid,
            )
        )

    def newest(self, plugin: str, *, since: float) -> Denial | None:
        """The plugin's newest denial, where it is no older than that moment of the clock."""
        with self._lock:
            told = self._told.get(plugin)
            if told is None or told.newest is None or told.newest[0] < since:
                return None
            return told.newest[1]

    def now(self) -> float:
        """The clock's present moment, for :meth:`newest`."""
        return self._clock()

    def close(self) -> None:
        """Write down how many were counted and not told. May be called again."""
        with self._lock:
            late = [(told.newest[1], told.unsaid) for told in self._told.values() if told.newest and told.unsaid]
            for told in self._told.values():
                told.unsaid = 0
        for denial, unsaid in late:
            self._record_unsaid(denial, unsaid)

    def _record_unsaid(self, denial: Denial, times: int) -> None:
        more = Denial(
            plugin=denial.plugin,
            version=denial.version,
            what="and more, too fast to be told apart",
            wanted="",
            grant=None,
        )
        self._record(more, times)

    def _record(self, denial: Denial, times: int = 1) -> None:
        if self._ledger is None:
            return
        try:
            self._ledger.record_denial(denial, times)
        except StateFailed as error:
            _log.warning("a denial of %s could not be recorded: %s", denial.plugin, error)


MAX_TOLD: Final = 1024
"""Characters of a guest's own words in an event."""
