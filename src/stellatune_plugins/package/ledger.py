"""The book of grants: which plugin of which version was granted what, and the record of all that happened to it."""

from __future__ import annotations

import enum
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from stellatune_plugins.errors import StateDamaged
from stellatune_plugins.model import PluginId
from stellatune_plugins.package.authority import Denial
from stellatune_plugins.package.database import BUSY_SECONDS, Database
from stellatune_plugins.package.grants import Grant, stored_grant
from stellatune_plugins.package.paths import shown

APPLICATION: Final = 0x53544C47
KEPT_DENIALS: Final = 200
"""Different denials kept of a plugin; the oldest go first. A guest could fill the disk with them otherwise."""
KEPT_DECISIONS: Final = 2000
"""Decisions of the user kept of a plugin."""
MAX_WANTED: Final = 256
"""Characters kept of what a guest wanted."""
DENIAL_BUSY_SECONDS: Final = 0.05
"""A guest waits for this while its denial is written down."""

_SCHEMA: Final = """
CREATE TABLE grants (
    plugin TEXT NOT NULL,
    version TEXT NOT NULL,
    item TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (plugin, version, item)
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    plugin TEXT NOT NULL,
    version TEXT NOT NULL,
    action TEXT NOT NULL,
    item TEXT NOT NULL,
    detail TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    times INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_of_plugin ON audit (plugin, action, last_ms);
CREATE UNIQUE INDEX audit_denials ON audit (plugin, version, item, detail) WHERE action = 'denied'
"""


class AuditAction(enum.StrEnum):
    """What happened."""

    GRANTED = "granted"
    CARRIED_OVER = "carried-over"
    """Granted to the version before, and asked for by the new one too."""
    REVOKED = "revoked"
    FORGOTTEN = "forgotten"
    """The plugin was uninstalled, or the version is kept no longer."""
    ACCEPTED = "accepted"
    """An upgrade that asks for more was let in."""
    DENIED = "denied"


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the record. Denials that are the same are one line, counted."""

    plugin: str
    version: str
    action: AuditAction
    item: str
    """The grant; of a denial the one that would have allowed it, empty where none could."""
    detail: str
    """What was tried, of a denial."""
    first_ms: int
    """Milliseconds since 1970."""
    last_ms: int
    times: int


class Ledger:
    """Keeps grants and their record. Safe to use from several threads and processes at once.

    Args:
        path: the database; the first grant or denial makes it.
        wall: seconds since 1970.
        busy_seconds: how long to wait for another process.
    """

    def __init__(
        self, path: Path, *, wall: Callable[[], float] = time.time, busy_seconds: float = BUSY_SECONDS
    ) -> None:
        self._database = Database(path, application=APPLICATION, migrations=[_SCHEMA], busy_seconds=busy_seconds)
        self._wall = wall

    @property
    def path(self) -> Path:
        """The database."""
        return self._database.path

    def granted(self, plugin: PluginId, version: str) -> frozenset[Grant]:
        """What was granted to one version, asked for or not.

        Raises:
            StateFailed: nobody can tell; nothing may be taken as granted.
        """
        with self._database.reading() as connection:
            if connection is None:
                return frozenset()
            return self._rows(connection, plugin, version)

    def put(self, plugin: PluginId, version: str, grants: Iterable[Grant]) -> frozenset[Grant]:
        """Add grants; gives those that were not there. A memory or deadline grant takes an earlier one's place."""
        with self._database.writing() as connection:
            before = self._rows(connection, plugin, version)
            new = frozenset(grants) - before
            for old in sorted(g for g in before if g.kind.is_single and any(g.kind is n.kind for n in new)):
                self._delete(connection, plugin, version, old, AuditAction.REVOKED)
            for grant in sorted(new):
                self._insert(connection, plugin, version, grant, AuditAction.GRANTED)
            return new

    def take(self, plugin: PluginId, version: str, grants: Iterable[Grant]) -> frozenset[Grant]:
        """Take grants back; gives those that were there."""
        with self._database.writing() as connection:
            gone = self._rows(connection, plugin, version) & frozenset(grants)
            for grant in sorted(gone):
                self._delete(connection, plugin, version, grant, AuditAction.REVOKED)
            return gone

    def carry(
        self, plugin: PluginId, before: str, after: str, keep: Callable[[Grant], bool], accepted: Iterable[str]
    ) -> frozenset[Grant]:
        """An upgrade: the new version has those of the old one's grants that ``keep`` lets through, and no others.

        Grants of versions other than these two are forgotten; ``accepted`` says what the new one asks for besides.
        """
        with self._database.writing() as connection:
            for item in accepted:
                self._record(connection, plugin, after, AuditAction.ACCEPTED, item)
            carried = frozenset(filter(keep, self._rows(connection, plugin, before)))
            stale = self._rows(connection, plugin, after)  # the same rows, where other files have the same version
            for grant in sorted(stale - carried):
                self._delete(connection, plugin, after, grant, AuditAction.FORGOTTEN)
            for grant in sorted(carried - stale):
                self._insert(connection, plugin, after, grant, AuditAction.CARRIED_OVER)
            self._forget(connection, plugin, besides={before, after})
            return carried

    def forget(self, plugin: PluginId) -> None:
        """Drop every grant of a plugin, whatever the version; the record stays."""
        if not self.path.exists():
            return
        with self._database.writing() as connection:
            self._forget(connection, plugin, besides=set())

    def audit(self, plugin: PluginId | None = None, *, limit: int = 100) -> tuple[AuditEntry, ...]:
        """The record, newest first."""
        with self._database.reading() as connection:
            if connection is None:
                return ()
            rows = connection.execute(
                "SELECT plugin, version, action, item, detail, first_ms, last_ms, times FROM audit"
                " WHERE ?1 IS NULL OR plugin = ?1 ORDER BY last_ms DESC, id DESC LIMIT ?2",
                (plugin, limit),
            ).fetchall()
        fields = AuditEntry.__struct_fields__
        return tuple(msgspec.convert(dict(zip(fields, row, strict=True)), AuditEntry) for row in rows)

    def record_denial(self, denial: Denial, times: int = 1) -> None:
        """Write a denial down, or count it where the same one is there already. Waits for others a moment only.

        Raises:
            StateFailed: it could not be written.
        """
        now = self._now_ms()
        detail = shown(f"{denial.what} {denial.wanted}", MAX_WANTED)
        item = (denial.grant or "")[: 2 * MAX_WANTED]
        with self._database.writing(busy_seconds=DENIAL_BUSY_SECONDS, durable=False) as connection:
            connection.execute(
                "INSERT INTO audit (plugin, version, action, item, detail, first_ms, last_ms, times)"
                " VALUES (?1, ?2, 'denied', ?3, ?4, ?5, ?5, ?6)"
                " ON CONFLICT (plugin, version, item, detail) WHERE action = 'denied'"
                " DO UPDATE SET times = times + ?6, last_ms = ?5",
                (denial.plugin, denial.version, item, detail, now, times),
            )
            self._trim(connection, denial.plugin, "= 'denied'", KEPT_DENIALS)

    # ---------------------------------------------------------------------------------------------------------------

    def _rows(self, connection: sqlite3.Connection, plugin: str, version: str) -> frozenset[Grant]:
        rows = connection.execute(
            "SELECT item FROM grants WHERE plugin = ? AND version = ?", (plugin, version)
        ).fetchall()
        found = [stored_grant(item) for (item,) in rows]
        if any(grant is None for grant in found):
            raise StateDamaged(f"{self.path} has a grant for {plugin} that is none", plugin=plugin)
        return frozenset(grant for grant in found if grant is not None)

    def _insert(
        self, connection: sqlite3.Connection, plugin: str, version: str, grant: Grant, action: AuditAction
    ) -> None:
        connection.execute("INSERT INTO grants VALUES (?, ?, ?, ?)", (plugin, version, str(grant), self._now_ms()))
        self._record(connection, plugin, version, action, str(grant))

    def _delete(
        self, connection: sqlite3.Connection, plugin: str, version: str, grant: Grant, action: AuditAction
    ) -> None:
        connection.execute(
            "DELETE FROM grants WHERE plugin = ? AND version = ? AND item = ?", (plugin, version, str(grant))
        )
        self._record(connection, plugin, version, action, str(grant))

    def _forget(self, connection: sqlite3.Connection, plugin: str, besides: set[str]) -> None:
        rows = connection.execute("SELECT version, item FROM grants WHERE plugin = ?", (plugin,)).fetchall()
        for version, item in rows:
            if version not in besides:
                connection.execute(
                    "DELETE FROM grants WHERE plugin = ? AND version = ? AND item = ?", (plugin, version, item)
                )
                self._record(connection, plugin, version, AuditAction.FORGOTTEN, item)

    def _record(
        self, connection: sqlite3.Connection, plugin: str, version: str, action: AuditAction, item: str
    ) -> None:
        now = self._now_ms()
        connection.execute(
            "INSERT INTO audit (plugin, version, action, item, detail, first_ms, last_ms, times)"
            " VALUES (?, ?, ?, ?, '', ?, ?, 1)",
            (plugin, version, str(action), item, now, now),
        )
        self._trim(connection, plugin, "<> 'denied'", KEPT_DECISIONS)

    @staticmethod
    def _trim(connection: sqlite3.Connection, plugin: str, which: str, kept: int) -> None:
        connection.execute(
            f"DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE plugin = ? AND action {which}"  # noqa: S608
            " ORDER BY last_ms DESC, id DESC LIMIT -1 OFFSET ?)",
            (plugin, kept),
        )

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)
