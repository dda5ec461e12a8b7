"""What is remembered of failing sidecars across restarts of the host: a small database in the home."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from stellatune_plugins.package.database import Database

KEPT_SECONDS: Final = 3600.0
APPLICATION: Final = int.from_bytes(b"StSc", "big")
_SCHEMA: Final = """
CREATE TABLE failures (plugin TEXT NOT NULL, sidecar TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX failures_of ON failures (plugin, sidecar, at);
CREATE TABLE quarantines (
    plugin TEXT NOT NULL, sidecar TEXT NOT NULL, since REAL NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (plugin, sidecar)
)
"""


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """A sidecar that is not started until somebody lifts it."""

    plugin: str
    sidecar: str
    since: float
    """Seconds since 1970."""
    reason: str


class FailureMemory:
    """Shared by every host of one home; each call is one transaction, and raises ``StateFailed`` where it fails.

    Args:
        path: the file, made when something is first remembered.
        clock: seconds since 1970.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._database = Database(path, application=APPLICATION, migrations=[_SCHEMA])
        self._clock = clock

    def failed(self, plugin: str, sidecar: str) -> None:
        """Remember a failure now."""
        now = self._clock()
        with self._database.writing(durable=False) as database:
            # Those of the future are a clock that was set back.
            database.execute("DELETE FROM failures WHERE at < ? OR at > ?", (now - KEPT_SECONDS, now))
            database.execute("INSERT INTO failures VALUES (?, ?, ?)", (plugin, sidecar, now))

    def ages(self, plugin: str, sidecar: str) -> list[float]:
        """How many seconds ago it failed."""
        now = self._clock()
        with self._database.reading() as database:
            if database is None:
                return []
            rows = database.execute(
                "SELECT at FROM failures WHERE plugin = ? AND sidecar = ? AND at BETWEEN ? AND ?",
                (plugin, sidecar, now - KEPT_SECONDS, now),
            )
            return sorted(now - at for (at,) in rows)

    def healthy(self, plugin: str, sidecar: str) -> None:
        """Forget its failures."""
        with self._database.writing(durable=False) as database:
            database.execute("DELETE FROM failures WHERE plugin = ? AND sidecar = ?", (plugin, sidecar))

    def quarantine(self, plugin: str, sidecar: str, reason: str) -> None:
        """Remember that it is not to be started."""
        with self._database.writing(durable=False) as database:
            database.execute(
                "INSERT OR REPLACE INTO quarantines VALUES (?, ?, ?, ?)", (plugin, sidecar, self._clock(), reason)
            )

    def lift(self, plugin: str, sidecar: str) -> bool:
        """Let it be started again, with a clean slate; False where it was not quarantined."""
        with self._database.writing(durable=False) as database:
            database.execute("DELETE FROM failures WHERE plugin = ? AND sidecar = ?", (plugin, sidecar))
            found = database.execute("DELETE FROM quarantines WHERE plugin = ? AND sidecar = ?", (plugin, sidecar))
            return found.rowcount > 0

    def quarantined(self, plugin: str, sidecar: str) -> Quarantined | None:
        """Its quarantine, if any."""
        return next((q for q in self.quarantines() if (q.plugin, q.sidecar) == (plugin, sidecar)), None)

    def quarantines(self) -> list[Quarantined]:
        """All of them."""
        with self._database.reading() as database:
            if database is None:
                return []
            rows = database.execute("SELECT plugin, sidecar, since, reason FROM quarantines ORDER BY plugin, sidecar")
            return [Quarantined(plugin=p, sidecar=s, since=since, reason=reason) for p, s, since, reason in rows]
