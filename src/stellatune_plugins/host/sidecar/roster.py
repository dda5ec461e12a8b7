"""Which sidecars run, told to other processes: one small file a host, written anew at each start and end."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import tempfile
import threading
from pathlib import Path
from typing import Final

import msgspec

from stellatune_plugins.host.sidecar.keeper.clearing import remove

_log = logging.getLogger(__name__)

FOLDER_PREFIX: Final = "stellatune-"
_MAX_BYTES: Final = 1 << 20


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A sidecar that runs."""

    plugin: str
    version: str
    sidecar: str
    pid: int
    tier: str
    scope: str
    started: float
    """Seconds since 1970."""
    host: int = 0
    """The host's process id."""


class _File(msgspec.Struct, frozen=True, kw_only=True):
    host: int
    born: int
    """When the host process started, in the kernel's ticks: ids are used again."""
    folder: str
    sidecars: tuple[Listed, ...] = ()


class Roster:
    """The host's own entry.

    Args:
        run: the home's folder of such entries.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._listed: dict[int, Listed] = {}
        self._path = run / f"{os.getpid()}-{secrets.token_hex(4)}.json"
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the folder that this host's sidecars share with it is to be made: a short path that nobody can guess.

        Whatever hosts that were killed have left behind is removed before.
        """
        with self._lock:
            if self._folder is None:
                sweep(self._run)
                self._folder = _short_folder() / f"{FOLDER_PREFIX}{secrets.token_hex(8)}"
                self._write()
            return self._folder

    def add(self, sidecar: Listed) -> None:
        """It runs."""
        with self._lock:
            self._listed[sidecar.pid] = msgspec.structs.replace(sidecar, host=os.getpid())
            self._tell()

    def remove(self, pid: int) -> None:
        """It ended."""
        with self._lock:
            if self._listed.pop(pid, None) is not None:
                self._tell()

    def close(self) -> None:
        """The host is done: its entry and folder go. May be called again."""
        with self._lock:
            self._listed.clear()
            folder, self._folder = self._folder, None
        if folder is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
            remove(folder)

    def _tell(self) -> None:
        """A full disk keeps others from knowing, and no sidecar from running."""
        try:
            self._write()
        except OSError as error:
            _log.warning("which sidecars run cannot be told: %s", error)

    def _write(self) -> None:
        born = _born(os.getpid())
        entry = _File(
            host=os.getpid(), born=born or 0, folder=str(self._folder or ""), sidecars=tuple(self._listed.values())
        )
        self._run.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(entry))
        fresh.replace(self._path)


def running(run: Path) -> list[Listed]:
    """What runs under every host of this home that is alive; entries of others are removed."""
    found = [sidecar for entry in sweep(run) for sidecar in entry.sidecars]
    return sorted(found, key=lambda s: (s.plugin, s.sidecar, s.pid))


def sweep(run: Path) -> list[_File]:
    """Remove what hosts that are gone have left behind; the entries of those that are not."""
    alive: list[_File] = []
    for path in sorted(run.glob("*.json")) if run.is_dir() else []:
        try:
            entry = msgspec.json.decode(_read(path), type=_File)
        except FileNotFoundError:
            continue
        except (OSError, msgspec.DecodeError):
            path.unlink(missing_ok=True)
            continue
        if entry.born and _born(entry.host) == entry.born:
            alive.append(entry)
            continue
        _remove_folder(Path(entry.folder))
        path.unlink(missing_ok=True)
    return alive


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_BYTES)


def _remove_folder(folder: Path) -> None:
    """Only what is surely one of ours: somebody may have written the entry by hand."""
    with contextlib.suppress(OSError):
        ours = folder.name.startswith(FOLDER_PREFIX) and folder.is_absolute() and not folder.is_symlink()
        if ours and folder.is_dir() and folder.stat().st_uid == os.getuid():
            remove(folder)


def _short_folder() -> Path:
    """Where sockets may lie, whose paths have a hundred characters."""
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent")
    with contextlib.suppress(OSError):
        here = runtime.stat()
        if len(str(runtime)) <= 40 and here.st_uid == os.getuid() and here.st_mode & 0o077 == 0:
            return runtime
    return Path(tempfile.gettempdir())


def _born(pid: int) -> int | None:
    """When a process started; None where it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return None if fields[0] in {b"Z", b"X"} else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
