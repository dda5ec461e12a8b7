"""One SQLite file in the user's home, shared by threads and processes.

A file that is damaged, foreign, from a newer version or open to others is an error for whoever asks, never an empty
answer: what was written in it may have been a refusal.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

from stellatune_plugins.errors import StateBusy, StateDamaged, StateFailed

BUSY_SECONDS: Final = 5.0

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class Database:
    """Makes a connection for each piece of work, so that no thread ever meets another one's.

    Args:
        path: the file, made by the first write, private to the user.
        application: four bytes as a number, that tell this kind of file from others.
        migrations: SQL scripts; the file's version is how many of them it has seen.
        busy_seconds: how long to wait for another process.
    """

    def __init__(
        self, path: Path, *, application: int, migrations: Sequence[str], busy_seconds: float = BUSY_SECONDS
    ) -> None:
        self.path = path
        self._application = application
        self._migrations = tuple(migrations)
        self._busy_seconds = busy_seconds

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """A consistent view; ``None`` where nothing was ever written. Checked whole first, so keep the file small.

        Raises:
            StateDamaged, StateBusy, StateFailed: it cannot be read, or not be trusted.
        """
        with self._failures("read"):
            if not self._is_there():
                yield None
                return
            with contextlib.closing(self._connect("ro", self._busy_seconds)) as connection:
                connection.execute("BEGIN")
                if self._version(connection) == 0:
                    yield None
                    return
                self._check(connection)
                yield connection

    @contextlib.contextmanager
    def writing(self, *, busy_seconds: float | None = None, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction: committed at the end of the block, undone where the block raises.

        Args:
            busy_seconds: how long to wait for another process, where not as usual.
            durable: whether to wait until it would survive a power cut.

        Raises:
            StateDamaged, StateBusy, StateFailed: nothing was written.
        """
        with self._failures("write"):
            if not self._is_there():
                self._make()
            seconds = self._busy_seconds if busy_seconds is None else busy_seconds
            with contextlib.closing(self._connect("rw", seconds)) as connection:
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                _insist(connection, "BEGIN IMMEDIATE", seconds)
                try:
                    self._migrate(connection)
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise

    # --- the file ---------------------------------------------------------------------------------------------------

    def _is_there(self) -> bool:
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(found.st_mode):
            raise StateFailed(f"{self.path} is no regular file")
        # Whoever can write it can grant anything.
        if hasattr(os, "geteuid") and found.st_uid not in {os.geteuid(), 0}:
            raise StateFailed(f"{self.path} belongs to user {found.st_uid}")
        if found.st_mode & _OTHERS:
            raise StateFailed(f"{self.path} can be written by others", hint=f"chmod go-w {self.path}")
        return True

    def _make(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def _connect(self, mode: str, seconds: float) -> sqlite3.Connection:
        try:
            connection = self._open(f"mode={mode}", seconds)
            self._prepare(connection, mode, seconds)
        except sqlite3.OperationalError:
            # A journal that could not be made: a file system that is read-only, with nothing waiting in a journal.
            if mode != "ro" or not self._is_settled():
                raise
            connection = self._open("mode=ro&immutable=1", seconds)
        return connection

    def _open(self, how: str, seconds: float) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?{how}", uri=True, timeout=seconds, isolation_level=None
        )

    @staticmethod
    def _prepare(connection: sqlite3.Connection, mode: str, seconds: float) -> None:
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            if mode == "rw":
                _insist(connection, "PRAGMA journal_mode = WAL", seconds)
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except BaseException:
            connection.close()
            raise

    def _is_settled(self) -> bool:
        journal = self.path.with_name(self.path.name + "-wal")
        return not journal.exists() or journal.stat().st_size == 0

    # --- what is in it ----------------------------------------------------------------------------------------------

    def _version(self, connection: sqlite3.Connection) -> int:
        application = int(connection.execute("PRAGMA application_id").fetchone()[0])
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        tables = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
        if application != (self._application if version else 0) or bool(tables) != bool(version):
            raise StateDamaged(f"{self.path} is not what it should be: another program's, or damaged")
        if version > len(self._migrations):
            raise StateFailed(f"{self.path} was written by a newer version", hint="upgrade stellatune-plugins")
        return version

    def _check(self, connection: sqlite3.Connection) -> None:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise StateDamaged(f"{self.path} is damaged: {found}")

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = self._version(connection)
        for script in self._migrations[version:]:
            for statement in script.split(";"):
                connection.execute(statement)
        if version < len(self._migrations):
            connection.execute(f"PRAGMA application_id = {self._application}")
            connection.execute(f"PRAGMA user_version = {len(self._migrations)}")

    @contextlib.contextmanager
    def _failures(self, verb: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self._raise(error, verb)
        except OSError as error:
            raise StateFailed(f"cannot {verb} {self.path}: {error}") from error

    def _raise(self, error: sqlite3.Error, verb: str) -> NoReturn:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if _is_busy(error):
            raise StateBusy(f"{self.path} is in use by another process") from error
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}:
            raise StateDamaged(f"{self.path} is damaged: {error}") from error
        raise StateFailed(f"cannot {verb} {self.path}: {error}") from error


def _insist(connection: sqlite3.Connection, statement: str, seconds: float) -> None:
    """Run what SQLite does not wait for by itself: the first switch to a write-ahead log, and its recovery."""
    end = time.monotonic() + seconds
    while True:
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() >= end:
                raise
            time.sleep(0.005)
        else:
            return


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
